-- Changes that make PostgreSQL count, compare and call as Redshift does; run once, as superuser, with
-- standard_conforming_strings on. Sessions have it off, so no function body may contain a backslash.

CREATE SCHEMA stand_in;
GRANT USAGE ON SCHEMA stand_in TO PUBLIC;

-- Strings compare without their trailing blanks (r_Character_types), everywhere: =, joins, GROUP BY,
-- DISTINCT, ORDER BY, IN. CHAR does this in PostgreSQL, so the operators and operator classes of text
-- are pointed at CHAR's functions. Values keep their blanks.
UPDATE pg_operator SET oprcode = 'bpchareq'::regproc WHERE oid = '=(text,text)'::regoperator;
UPDATE pg_operator SET oprcode = 'bpcharne'::regproc WHERE oid = '<>(text,text)'::regoperator;
UPDATE pg_operator SET oprcode = 'bpcharlt'::regproc WHERE oid = '<(text,text)'::regoperator;
UPDATE pg_operator SET oprcode = 'bpcharle'::regproc WHERE oid = '<=(text,text)'::regoperator;
UPDATE pg_operator SET oprcode = 'bpchargt'::regproc WHERE oid = '>(text,text)'::regoperator;
UPDATE pg_operator SET oprcode = 'bpcharge'::regproc WHERE oid = '>=(text,text)'::regoperator;
UPDATE pg_amproc SET amproc = 'bpcharcmp'::regproc WHERE amproc = 'bttextcmp'::regproc;
UPDATE pg_amproc SET amproc = 'bpchar_sortsupport'::regproc WHERE amproc = 'bttextsortsupport'::regproc;
UPDATE pg_amproc SET amproc = 'hashbpchar'::regproc WHERE amproc = 'hashtext'::regproc;
UPDATE pg_amproc SET amproc = 'hashbpcharextended'::regproc WHERE amproc = 'hashtextextended'::regproc;

-- VARCHAR(n) counts bytes. An assignment that does not fit fails unless only blanks are lost; an
-- explicit cast cuts. The support function keeps a widening ALTER from rewriting the table.
CREATE FUNCTION stand_in.cut_varchar(whole varchar, size_bytes integer, is_explicit boolean) RETURNS varchar
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
  characters integer := least(length(whole), size_bytes);
BEGIN
  IF NOT is_explicit AND octet_length(rtrim(whole, ' ')) > size_bytes THEN
    RAISE EXCEPTION 'value too long for type character varying(%)', size_bytes USING ERRCODE = '22001';
  END IF;
  WHILE octet_length(left(whole, characters)) > size_bytes LOOP
    characters := characters - greatest(1, (octet_length(left(whole, characters)) - size_bytes) / 4);
  END LOOP;
  RETURN left(whole, characters);
END $$;

CREATE FUNCTION stand_in.fit_varchar(varchar, integer, boolean) RETURNS varchar
LANGUAGE sql IMMUTABLE PARALLEL SAFE SUPPORT varchar_support AS $$
  SELECT CASE WHEN octet_length($1) > $2 - 4 THEN stand_in.cut_varchar($1, $2 - 4, $3) ELSE $1 END
$$;
UPDATE pg_cast SET castfunc = 'stand_in.fit_varchar'::regproc
WHERE castsource = 'varchar'::regtype AND casttarget = 'varchar'::regtype;

-- Redshift's functions that PostgreSQL lacks.
CREATE FUNCTION pg_catalog.getdate() RETURNS timestamp LANGUAGE sql STABLE AS $$
  SELECT date_trunc('second', statement_timestamp() AT TIME ZONE 'UTC')
$$;
CREATE FUNCTION pg_catalog.sysdate() RETURNS timestamp LANGUAGE sql STABLE AS $$
  SELECT transaction_timestamp() AT TIME ZONE 'UTC'
$$;
CREATE FUNCTION pg_catalog.len(text) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT length($1)';
-- A SUPER takes no attribute twice in one object (super-configurations), and a thousand levels
-- (limitations-super). A NUL and half a character are refused by jsonb itself.
CREATE FUNCTION stand_in.json_depth(doc text) RETURNS integer LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
  backslash text := chr(92);
  depth integer := 0;
  deepest integer := 0;
  mark text;
BEGIN
  doc := regexp_replace(replace(doc, backslash || backslash, ''), backslash || backslash || '"', '', 'g');
  doc := regexp_replace(doc, '"[^"]*"', '', 'g');
  FOREACH mark IN ARRAY regexp_split_to_array(regexp_replace(doc, '[^][{}]', '', 'g'), '') LOOP
    depth := depth + CASE WHEN mark IN ('[', '{') THEN 1 ELSE -1 END;
    deepest := greatest(deepest, depth);
  END LOOP;
  RETURN deepest;
END $$;

CREATE FUNCTION stand_in.refuse_json(doc text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
  IF NOT doc IS JSON THEN
    RETURN doc::jsonb;
  ELSIF NOT doc IS JSON WITH UNIQUE KEYS THEN
    RAISE EXCEPTION 'Duplicate attribute names are not allowed in a SUPER object';
  ELSIF stand_in.json_depth(doc) > 1000 THEN
    RAISE EXCEPTION 'SUPER value exceeds the maximum nesting depth of 1000';
  END IF;
  RETURN doc::jsonb;
END $$;

CREATE FUNCTION pg_catalog.json_parse(text) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN $1 IS JSON WITH UNIQUE KEYS AND length($1) <= 2000 THEN $1::jsonb
              ELSE stand_in.refuse_json($1) END
$$;
CREATE FUNCTION pg_catalog.can_json_parse(text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT $1 IS JSON
$$;
CREATE FUNCTION pg_catalog.is_valid_json(text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT $1 IS JSON OBJECT
$$;
CREATE FUNCTION pg_catalog.json_typeof(jsonb) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT jsonb_typeof($1)
$$;
CREATE FUNCTION pg_catalog.json_serialize(j jsonb) RETURNS varchar LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE jsonb_typeof(j)
    WHEN 'object' THEN '{' || coalesce((
      SELECT string_agg(to_json(key)::text || ':' || pg_catalog.json_serialize(value), ',' ORDER BY place)
      FROM jsonb_each(j) WITH ORDINALITY AS member(key, value, place)), '') || '}'
    WHEN 'array' THEN '[' || coalesce((
      SELECT string_agg(pg_catalog.json_serialize(value), ',' ORDER BY place)
      FROM jsonb_array_elements(j) WITH ORDINALITY AS element(value, place)), '') || ']'
    ELSE j::text END
$$;
CREATE FUNCTION pg_catalog.sha2(text, integer) RETURNS varchar LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT encode(CASE $2 WHEN 224 THEN sha224(convert_to($1, 'UTF8')) WHEN 384 THEN sha384(convert_to($1, 'UTF8'))
    WHEN 512 THEN sha512(convert_to($1, 'UTF8')) ELSE sha256(convert_to($1, 'UTF8')) END, 'hex')
$$;
CREATE FUNCTION pg_catalog.to_hex(bytea) RETURNS varchar LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT encode($1, 'hex')
$$;
CREATE FUNCTION pg_catalog.strtol(digits text, radix integer) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
  value numeric := 0;
  digit text;
  place integer;
BEGIN
  FOREACH digit IN ARRAY regexp_split_to_array(lower(ltrim(digits, '+-')), '') LOOP
    place := strpos(left('0123456789abcdefghijklmnopqrstuvwxyz', radix), digit);
    IF place = 0 OR digit = '' THEN
      RAISE EXCEPTION 'The input % is not valid to be converted to base %', digits, radix;
    END IF;
    value := value * radix + place - 1;
  END LOOP;
  RETURN CASE WHEN left(digits, 1) = '-' THEN -value ELSE value END;
END $$;
CREATE FUNCTION pg_catalog.dateadd(part text, amount bigint, moment timestamp) RETURNS timestamp
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT moment + (amount::text || ' ' || part)::interval $$;
CREATE FUNCTION pg_catalog.datediff(part text, earlier timestamp, later timestamp) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE
    WHEN lower(part) IN ('year', 'years', 'y', 'yr') THEN extract(year FROM later) - extract(year FROM earlier)
    WHEN lower(part) IN ('month', 'months', 'mon', 'mons') THEN
      12 * (extract(year FROM later) - extract(year FROM earlier))
        + extract(month FROM later) - extract(month FROM earlier)
    WHEN lower(part) IN ('week', 'weeks', 'w') THEN
      extract(epoch FROM date_trunc('week', later) - date_trunc('week', earlier)) / 604800
    WHEN lower(part) IN ('day', 'days', 'd') THEN later::date - earlier::date
    WHEN lower(part) IN ('hour', 'hours', 'h', 'hr') THEN
      extract(epoch FROM date_trunc('hour', later) - date_trunc('hour', earlier)) / 3600
    WHEN lower(part) IN ('minute', 'minutes', 'm', 'min') THEN
      extract(epoch FROM date_trunc('minute', later) - date_trunc('minute', earlier)) / 60
    ELSE extract(epoch FROM date_trunc('second', later) - date_trunc('second', earlier)) END::bigint
$$;
CREATE FUNCTION pg_catalog.convert_timezone(source text, target text, moment timestamp) RETURNS timestamp
LANGUAGE sql STABLE PARALLEL SAFE AS $$ SELECT (moment AT TIME ZONE source) AT TIME ZONE target $$;
CREATE FUNCTION pg_catalog.convert_timezone(target text, moment timestamp) RETURNS timestamp
LANGUAGE sql STABLE PARALLEL SAFE AS $$ SELECT (moment AT TIME ZONE 'UTC') AT TIME ZONE target $$;
CREATE FUNCTION pg_catalog.pg_last_copy_count() RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT coalesce(nullif(current_setting('stand_in.last_copy_count', true), ''), '0')::bigint
$$;

-- The checks before ALTER COLUMN TYPE (r_ALTER_TABLE).
CREATE FUNCTION stand_in.check_new_size(owner text, named text, size_bytes integer) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  found record;
  too_long boolean;
BEGIN
  SELECT atttypid, atttypmod, atthasdef, attoptions INTO found FROM pg_attribute
  WHERE attrelid = owner::regclass AND attname = named AND NOT attisdropped;
  IF found IS NULL THEN
    RAISE EXCEPTION 'column "%" of relation % does not exist', named, owner;
  ELSIF found.atttypid <> 'varchar'::regtype THEN
    RAISE EXCEPTION 'ALTER COLUMN TYPE changes only the size of a VARCHAR column';
  ELSIF found.atttypmod - 4 = size_bytes THEN
    RAISE EXCEPTION 'target column size should be different';
  ELSIF found.atthasdef THEN
    RAISE EXCEPTION 'cannot alter the type of column "%": it has a DEFAULT', named;
  ELSIF 'n_distinct=-1' = ANY (found.attoptions) THEN
    RAISE EXCEPTION 'cannot alter the type of column "%": it is part of a key', named;
  ELSIF 'n_distinct_inherited=-1' = ANY (found.attoptions) THEN
    RAISE EXCEPTION 'cannot alter the type of column "%": its encoding does not allow it', named;
  END IF;
  EXECUTE format('SELECT EXISTS (SELECT 1 FROM %s WHERE octet_length(%I) > %s)', owner, named, size_bytes)
  INTO too_long;
  IF too_long THEN
    RAISE EXCEPTION 'cannot alter the type of column "%": existing values are longer', named;
  END IF;
END $$;
