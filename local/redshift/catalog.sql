-- Redshift's system views over PostgreSQL's catalog, and the stand-in's own tables.

CREATE TABLE stand_in.long_name (short text PRIMARY KEY, full_name text NOT NULL);

CREATE FUNCTION stand_in.type_word(kind oid) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE format_type($1, NULL)
    WHEN 'jsonb' THEN 'super' WHEN 'bytea' THEN 'binary varying' WHEN 'text' THEN 'character varying'
    WHEN 'bpchar' THEN 'character' ELSE format_type($1, NULL) END
$$;

CREATE VIEW pg_catalog.svv_tables AS
SELECT current_database()::varchar AS table_catalog, coalesce(sn.full_name, n.nspname)::varchar AS table_schema,
  coalesce(tn.full_name, c.relname)::varchar AS table_name,
  (CASE WHEN c.relkind = 'v' THEN 'VIEW' WHEN c.relpersistence = 't' THEN 'LOCAL TEMPORARY'
    ELSE 'BASE TABLE' END)::varchar AS table_type,
  obj_description(c.oid, 'pg_class')::varchar AS remarks, c.oid AS table_id
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN stand_in.long_name sn ON sn.short = n.nspname
LEFT JOIN stand_in.long_name tn ON tn.short = c.relname
WHERE c.relkind IN ('r', 'v', 'p') AND n.nspname NOT IN ('stand_in', 'pg_toast')
  AND has_schema_privilege(n.oid, 'USAGE')
  AND has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, DELETE, REFERENCES');

CREATE VIEW pg_catalog.svv_columns AS
SELECT t.table_catalog, t.table_schema, t.table_name,
  coalesce(cn.full_name, a.attname)::varchar AS column_name, a.attnum::integer AS ordinal_position,
  pg_get_expr(d.adbin, d.adrelid)::varchar AS column_default,
  (CASE WHEN a.attnotnull THEN 'NO' ELSE 'YES' END)::varchar AS is_nullable,
  stand_in.type_word(a.atttypid)::varchar AS data_type,
  (CASE WHEN a.atttypid IN ('varchar'::regtype, 'bpchar'::regtype) THEN a.atttypmod - 4
    WHEN a.atttypid = 'text'::regtype THEN 256
    END)::integer AS character_maximum_length,  -- NULL for VARBYTE (estuary/connectors#3341)
  information_schema._pg_numeric_precision(a.atttypid, a.atttypmod)::integer AS numeric_precision,
  information_schema._pg_numeric_precision_radix(a.atttypid, a.atttypmod)::integer AS numeric_precision_radix,
  information_schema._pg_numeric_scale(a.atttypid, a.atttypmod)::integer AS numeric_scale,
  information_schema._pg_datetime_precision(a.atttypid, a.atttypmod)::integer AS datetime_precision,
  col_description(a.attrelid, a.attnum)::varchar AS remarks
FROM pg_catalog.svv_tables t JOIN pg_attribute a ON a.attrelid = t.table_id
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN stand_in.long_name cn ON cn.short = a.attname
WHERE a.attnum > 0 AND NOT a.attisdropped;

-- PostgreSQL's catalog tables as queries see them: full names, and format_type with Redshift's words.
CREATE VIEW stand_in.pg_namespace AS
SELECT n.oid, coalesce(l.full_name, n.nspname)::varchar AS nspname, n.nspowner
FROM pg_catalog.pg_namespace n LEFT JOIN stand_in.long_name l ON l.short = n.nspname;
CREATE VIEW stand_in.pg_class AS
SELECT c.oid, coalesce(l.full_name, c.relname)::varchar AS relname, c.relnamespace, c.relowner, c.relkind,
  c.reltuples, c.relpages, c.relnatts
FROM pg_catalog.pg_class c LEFT JOIN stand_in.long_name l ON l.short = c.relname;
CREATE VIEW stand_in.pg_attribute AS
SELECT a.attrelid, coalesce(l.full_name, a.attname)::varchar AS attname, a.atttypid, a.attnum, a.atttypmod,
  a.attnotnull, a.attisdropped
FROM pg_catalog.pg_attribute a LEFT JOIN stand_in.long_name l ON l.short = a.attname;
GRANT SELECT ON stand_in.pg_namespace, stand_in.pg_class, stand_in.pg_attribute TO PUBLIC;

CREATE FUNCTION stand_in.format_type(kind oid, modifier integer) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT CASE $1 WHEN 'text'::regtype THEN 'character varying(256)'
    WHEN 'jsonb'::regtype THEN 'super'
    WHEN 'bytea'::regtype THEN 'binary varying'  -- without a size, as long as no real warehouse was asked
    ELSE pg_catalog.format_type($1, $2) END
$$;

CREATE TABLE stand_in.load_error (
  user_name text, query_id bigint, transaction_id bigint, session_id integer, database_name varchar,
  table_id integer, start_time timestamp, file_name varchar, line_number bigint, column_name varchar,
  column_type varchar, column_length varchar, position integer, error_code integer, error_message varchar
);
CREATE VIEW pg_catalog.sys_load_error_detail AS
SELECT usesysid::integer AS user_id, query_id, transaction_id, session_id, database_name, table_id, start_time,
  file_name, line_number, column_name, column_type, column_length, position, error_code, error_message
FROM stand_in.load_error LEFT JOIN pg_user ON usename = user_name
WHERE user_name = current_user OR (SELECT usesuper FROM pg_user WHERE usename = current_user);

CREATE TABLE stand_in.load_history (
  user_name text, query_id bigint, transaction_id bigint, session_id integer, database_name varchar,
  status varchar, table_name varchar, start_time timestamp, end_time timestamp, duration bigint,
  data_source varchar, loaded_rows bigint, loaded_bytes bigint, source_file_count integer,
  source_file_bytes bigint, error_count bigint
);
CREATE VIEW pg_catalog.sys_load_history AS
SELECT usesysid::integer AS user_id, query_id, transaction_id, session_id, database_name, status, table_name,
  start_time, end_time, duration, data_source, loaded_rows, loaded_bytes, source_file_count,
  source_file_bytes, error_count
FROM stand_in.load_history LEFT JOIN pg_user ON usename = user_name
WHERE user_name = current_user OR (SELECT usesuper FROM pg_user WHERE usename = current_user);

-- Policies are stored and have no effect; only an administrator may see or change them.
CREATE TABLE stand_in.policy (name text PRIMARY KEY, kind text NOT NULL);
CREATE TABLE stand_in.attached_policy (
  name text NOT NULL REFERENCES stand_in.policy, relation regclass NOT NULL, column_name text NOT NULL,
  grantee text NOT NULL, PRIMARY KEY (name, relation, column_name, grantee)
);
CREATE FUNCTION stand_in.detach_policy(policy text, of regclass, of_column text, from_role text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM stand_in.attached_policy
  WHERE name = policy AND relation = of AND column_name = of_column AND grantee = from_role;
  IF NOT FOUND THEN
    RAISE 'policy "%" is not attached', policy;
  END IF;
END $$;
CREATE VIEW pg_catalog.svv_masking_policy AS
SELECT name AS policy_name FROM stand_in.policy WHERE kind = 'masking';
CREATE VIEW pg_catalog.svv_rls_policy AS SELECT name AS polname FROM stand_in.policy WHERE kind = 'rls';
CREATE VIEW pg_catalog.svv_roles AS SELECT oid AS role_id, rolname::text AS role_name FROM pg_roles
WHERE NOT rolcanlogin;
CREATE VIEW pg_catalog.svv_user_grants AS  -- DG:r_SVV_USER_GRANTS
SELECT u.oid AS user_id, u.rolname::text AS user_name, r.oid AS role_id, r.rolname::text AS role_name, m.admin_option
FROM pg_auth_members m JOIN pg_roles u ON u.oid = m.member JOIN pg_roles r ON r.oid = m.roleid;

GRANT SELECT ON pg_catalog.svv_tables, pg_catalog.svv_columns, pg_catalog.sys_load_error_detail,
  pg_catalog.sys_load_history TO PUBLIC;

-- Who may COPY: PUBLIC, until ASSUMEROLE is revoked from it (DG:r_GRANT-usage-notes).
CREATE TABLE stand_in.assume_role (grantee text PRIMARY KEY);
INSERT INTO stand_in.assume_role VALUES ('public');
GRANT SELECT ON stand_in.assume_role TO PUBLIC;
CREATE FUNCTION stand_in.check_assume_role() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (
    SELECT FROM stand_in.assume_role WHERE grantee IN ('public', current_user)
  ) AND NOT (SELECT usesuper FROM pg_user WHERE usename = current_user) THEN
    RAISE 'permission denied: user % has no ASSUMEROLE permission for COPY', current_user;
  END IF;
END $$;

-- External schemas and tables (Redshift Spectrum). A partition's rows are read as it is added.
CREATE TABLE stand_in.external_schema (
  name text PRIMARY KEY, database_name text NOT NULL, role text NOT NULL
);
CREATE TABLE stand_in.external_table (relation oid PRIMARY KEY, location text NOT NULL, keys text[] NOT NULL);
CREATE TABLE stand_in.external_partition (
  relation oid REFERENCES stand_in.external_table ON DELETE CASCADE, "values" text, location text NOT NULL,
  PRIMARY KEY (relation, "values")
);

CREATE FUNCTION stand_in.note_external_schema(named text, database_name text, role text) RETURNS void
LANGUAGE sql SECURITY DEFINER AS $$
  INSERT INTO stand_in.external_schema VALUES (named, database_name, role) ON CONFLICT DO NOTHING
$$;

CREATE FUNCTION stand_in.note_external_table(named regclass, location text, keys text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  IF NOT EXISTS (
    SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN stand_in.external_schema s ON s.name = n.nspname WHERE c.oid = named
  ) THEN
    RAISE '% is not in an external schema', named;
  END IF;
  INSERT INTO stand_in.external_table VALUES (named, location, keys);
END $$;

CREATE FUNCTION stand_in.note_partition(named regclass, told text, location text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM stand_in.external_table WHERE relation = named) THEN
    RAISE '% is not an external table', named;
  END IF;
  INSERT INTO stand_in.external_partition VALUES (named, told, location) ON CONFLICT DO NOTHING;
  RETURN FOUND;
END $$;

CREATE FUNCTION stand_in.forget_partition(named regclass, told text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  DELETE FROM stand_in.external_partition WHERE relation = named AND "values" = told;
  IF NOT FOUND THEN
    RAISE 'partition % does not exist', told;
  END IF;
END $$;

CREATE FUNCTION stand_in.refuse_external(named text, what text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  IF EXISTS (SELECT FROM stand_in.external_table WHERE relation = to_regclass(named)) THEN
    RAISE '% cannot run inside a transaction block', what;
  END IF;
END $$;

CREATE VIEW pg_catalog.svv_external_schemas AS
SELECT n.oid AS esoid, 1 AS eskind, s.name AS schemaname, n.nspowner AS esowner, s.database_name AS databasename,
  '{"IAM_ROLE":"' || s.role || '"}' AS esoptions
FROM stand_in.external_schema s JOIN pg_namespace n ON n.nspname = s.name;

CREATE VIEW pg_catalog.svv_external_tables AS
SELECT current_database()::text AS redshift_database_name, coalesce(sn.full_name, n.nspname)::text AS schemaname,
  coalesce(tn.full_name, c.relname)::text AS tablename, 'EXTERNAL TABLE'::text AS tabletype, e.location, e.relation
FROM stand_in.external_table e JOIN pg_class c ON c.oid = e.relation
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN stand_in.long_name sn ON sn.short = n.nspname
LEFT JOIN stand_in.long_name tn ON tn.short = c.relname;

CREATE VIEW pg_catalog.svv_external_columns AS
SELECT t.schemaname, t.tablename, coalesce(cn.full_name, a.attname)::text AS columnname,
  stand_in.type_word(a.atttypid) AS external_type, a.attnum::integer AS columnnum,
  coalesce(array_position(e.keys, a.attname::text), 0) AS part_key, ''::text AS is_nullable
FROM pg_catalog.svv_external_tables t JOIN stand_in.external_table e USING (relation)
JOIN pg_attribute a ON a.attrelid = t.relation AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN stand_in.long_name cn ON cn.short = a.attname;

CREATE VIEW pg_catalog.svv_external_partitions AS
SELECT t.schemaname, t.tablename, p."values", left(p.location, 128) AS location
FROM pg_catalog.svv_external_tables t JOIN stand_in.external_partition p USING (relation);

GRANT SELECT ON pg_catalog.svv_external_schemas, pg_catalog.svv_external_tables,
  pg_catalog.svv_external_columns, pg_catalog.svv_external_partitions TO PUBLIC;

-- Late binding views: PostgreSQL binds every view, so these are dropped before a change of the tables
-- that they read, and recreated after it if that is possible.
CREATE TABLE stand_in.late_view (view_name text PRIMARY KEY, definition text NOT NULL, owner name NOT NULL);

CREATE FUNCTION stand_in.restore_late_views() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
  late record;
BEGIN
  FOR late IN SELECT * FROM stand_in.late_view WHERE to_regclass(view_name) IS NULL LOOP
    BEGIN
      EXECUTE 'CREATE VIEW ' || late.view_name || late.definition;
      EXECUTE 'ALTER VIEW ' || late.view_name || ' OWNER TO ' || quote_ident(late.owner);
    EXCEPTION
      WHEN undefined_table OR undefined_column OR invalid_schema_name THEN
        NULL; -- it stays broken until its tables exist
      WHEN duplicate_table OR duplicate_object OR unique_violation THEN
        NULL; -- another transaction was faster
    END;
  END LOOP;
END $$;

CREATE FUNCTION stand_in.define_late_view(named text, definition text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  EXECUTE 'DROP VIEW IF EXISTS ' || named;
  INSERT INTO stand_in.late_view VALUES (named, definition, session_user)
  ON CONFLICT (view_name) DO UPDATE SET definition = excluded.definition, owner = excluded.owner;
  PERFORM stand_in.restore_late_views();
END $$;

CREATE FUNCTION stand_in.release_late_views(changed text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
  late text;
BEGIN
  FOR late IN
    SELECT DISTINCT v.view_name FROM stand_in.late_view v JOIN pg_rewrite r ON r.ev_class = to_regclass(v.view_name)
    JOIN pg_depend d ON d.objid = r.oid AND d.classid = 'pg_rewrite'::regclass
    WHERE d.refobjid = to_regclass(changed)
  LOOP
    EXECUTE 'DROP VIEW ' || late;
  END LOOP;
END $$;

CREATE FUNCTION stand_in.forget_late_view(named text) RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
  DELETE FROM stand_in.late_view WHERE view_name = named
$$;
