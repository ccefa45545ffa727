"""Queries on PostgreSQL's catalog, and how their results become `SourceTable`s.

Names are compared exactly as written. What pg_catalog does not state stays unknown.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Sequence

from tributary.model.source_catalog import (
    CatalogFingerprint,
    CursorHazard,
    SourceColumn,
    SourceTable,
    TableName,
)

Row = tuple[str | None, ...]

# A table is readable with the right to select one of its columns. Partitions and tables of extensions are
# left out.
TABLES = """
SELECT n.nspname, c.relname,
       pg_catalog.has_schema_privilege(n.oid, 'USAGE')
         AND pg_catalog.has_any_column_privilege(c.oid, 'SELECT')
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND NOT c.relispartition
  AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND n.nspname !~ '^pg_(toast|temp)'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                  WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                    AND d.objid = c.oid AND d.deptype = 'e')
"""

VIEWS = """
SELECT 1
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'v' AND (n.nspname, c.relname) IN ({names})
"""

# A word before the name marks a type that is not built in. A true array type has no array type itself.
WORD = """CASE
         WHEN t.typtype = 'e' THEN 'enum '
         WHEN t.typtype = 'c' THEN 'composite '
         WHEN t.typtype = 'r' THEN 'range '
         WHEN t.typtype = 'm' THEN 'multirange '
         WHEN t.typcategory = 'A' AND t.typarray = 0 THEN 'array '
         WHEN t.typnamespace <> 'pg_catalog'::pg_catalog.regnamespace THEN 'other '
         ELSE ''
       END"""

# The result of a query has the base types of domains (protocol-message-formats, RowDescription).
DESCRIBED = f"""
SELECT {WORD} || pg_catalog.format_type(t.oid, v.mod)
FROM (VALUES {{places}}) AS v(place, oid, mod) JOIN pg_catalog.pg_type AS t ON t.oid = v.oid
ORDER BY v.place
"""

# A NOT NULL constraint that is NOT VALID (PostgreSQL 18) says nothing about older rows.
NOT_NULL = """(a.attnotnull AND NOT EXISTS (
  SELECT FROM pg_catalog.pg_constraint AS k
  WHERE k.conrelid = a.attrelid AND k.contype = 'n' AND NOT k.convalidated AND a.attnum = ANY (k.conkey)))"""

# The indexes of an inheritance parent do not cover the rows of its children, which a SELECT returns too.
# Nothing enforces a foreign table's NOT NULL.
# A domain is read as the type at the end of its chain of base types.
COLUMNS = f"""
SELECT n.nspname, c.relname, a.attname,
       {WORD} || pg_catalog.format_type(t.oid, d.mod),
       NOT ({NOT_NULL} OR d.not_null),
       pg_catalog.col_description(c.oid, a.attnum), pg_catalog.obj_description(c.oid, 'pg_class'),
       pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT'),
       NOT (c.relkind = 'r' AND EXISTS (SELECT FROM pg_catalog.pg_inherits AS h WHERE h.inhparent = c.oid)),
       c.relkind NOT IN ('v', 'm', 'f'), c.relkind = 'v'
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
CROSS JOIN LATERAL (
  WITH RECURSIVE made(oid, mod, base, base_mod, not_null, steps) AS (
    SELECT t.oid, a.atttypmod, t.typbasetype, t.typtypmod, t.typnotnull, 0
    FROM pg_catalog.pg_type AS t WHERE t.oid = a.atttypid
    UNION ALL
    SELECT t.oid, made.base_mod, t.typbasetype, t.typtypmod, made.not_null OR t.typnotnull, made.steps + 1
    FROM made JOIN pg_catalog.pg_type AS t ON t.oid = made.base
  )
  SELECT oid, mod, not_null FROM made ORDER BY steps DESC LIMIT 1
) AS d
JOIN pg_catalog.pg_type AS t ON t.oid = d.oid
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND (n.nspname, c.relname) IN ({{names}})
ORDER BY c.oid, a.attnum
"""

# An index is usable if it orders rows as ORDER BY does: a B-tree over the whole table, of plain columns in
# one direction, each with its default operator class and the column's own collation.
INDEXES = f"""
SELECT n.nspname, c.relname, i.indisprimary,
       i.indisunique AND i.indimmediate AND k.not_null AND k.plain,
       k.plain AND m.amname = 'btree'
         AND (SELECT pg_catalog.count(DISTINCT o) FROM pg_catalog.unnest(i.indoption) AS o) = 1,
       k.names
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.indrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class AS x ON x.oid = i.indexrelid
JOIN pg_catalog.pg_am AS m ON m.oid = x.relam
CROSS JOIN LATERAL (
  SELECT pg_catalog.json_agg(a.attname ORDER BY s.place) AS names,
         pg_catalog.bool_and({NOT_NULL}) AS not_null,
         pg_catalog.bool_and(o.opcdefault AND i.indcollation[s.place - 1] = a.attcollation) AS plain
  FROM pg_catalog.generate_series(1, i.indnkeyatts) AS s(place)
  JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[s.place - 1]
  JOIN pg_catalog.pg_opclass AS o ON o.oid = i.indclass[s.place - 1]
) AS k
WHERE i.indisvalid AND i.indisready AND i.indpred IS NULL AND i.indexprs IS NULL
  AND (n.nspname, c.relname) IN ({{names}})
ORDER BY i.indisprimary DESC, x.relname
"""


# What a relation's rows come from: itself, what its view reads, and partitions and inheriting tables. A rule
# that is no view's (ev_type other than 1) reads nothing for a SELECT.
REACHED = """
  reached(root, oid, child) AS (
    SELECT c.oid, c.oid, false
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE (n.nspname, c.relname) IN ({names})
    UNION
    SELECT r.root, e.oid, e.child
    FROM reached AS r
    CROSS JOIN LATERAL (
      SELECT d.refobjid AS oid, false AS child
      FROM pg_catalog.pg_rewrite AS w
      JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
        AND d.objid = w.oid AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
      WHERE w.ev_class = r.oid AND w.ev_type = '1' AND d.refobjid <> r.oid AND d.refobjid >= 16384
      UNION ALL
      SELECT h.inhrelid, true FROM pg_catalog.pg_inherits AS h WHERE h.inhparent = r.oid) AS e)"""

# A renamed label keeps the id of its member; a domain, an array, a composite type or a range may hold the
# enum. ALTER COLUMN … TYPE writes a new catalog row of the column and a new file; VACUUM FULL writes only a
# new file. A virtual generated column has no file. A partition that was detached and attached again has a new
# row in pg_inherits. The ids of a database's own types and tables begin at 16384 (FirstNormalObjectId).
FINGERPRINTS = f"""
WITH RECURSIVE {REACHED},
  held(root, attname, type) AS (
    SELECT a.attrelid, a.attname, a.atttypid
    FROM (SELECT DISTINCT r.root FROM reached AS r) AS r
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = r.root AND a.attnum > 0 AND NOT a.attisdropped
    WHERE a.atttypid >= 16384
    UNION
    SELECT h.root, h.attname, e.type
    FROM held AS h
    JOIN pg_catalog.pg_type AS t ON t.oid = h.type
    CROSS JOIN LATERAL (
      SELECT t.typbasetype AS type
      UNION ALL
      SELECT t.typelem
      UNION ALL
      SELECT a.atttypid FROM pg_catalog.pg_attribute AS a
      WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
      UNION ALL
      SELECT g.rngsubtype FROM pg_catalog.pg_range AS g WHERE g.rngtypid = t.oid) AS e
    WHERE e.type >= 16384)
SELECT n.nspname, c.relname,
  (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(h.attname, e.oid::text, e.enumlabel))
   FROM held AS h JOIN pg_catalog.pg_enum AS e ON e.enumtypid = h.type
   WHERE h.root = c.oid),
  (SELECT pg_catalog.json_object_agg(a.attname, a.xmin || ' ' || a.atttypid || ' ' || a.atttypmod)
   FROM pg_catalog.pg_attribute AS a
   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p')),
  p.files, p.partitions, p.attached,
  CASE WHEN c.relkind IN ('r', 'p') THEN c.oid::text
       ELSE 'view ' || pg_catalog.hashtextextended(p.bodies, 0) END,
  (SELECT pg_catalog.json_object_agg(x.name, pg_catalog.hashtextextended(x.body, 0)::text)
   FROM (SELECT DISTINCT pg_catalog.pg_get_expr(f.adbin, f.adrelid) AS body,
                CASE WHEN m.oid = c.oid THEN a.attname::text ELSE m.relname || '.' || a.attname END AS name
         FROM reached AS r
         JOIN pg_catalog.pg_class AS m ON m.oid = r.oid
         JOIN pg_catalog.pg_attribute AS a ON a.attrelid = r.oid AND a.attgenerated <> ''
           AND NOT a.attisdropped
         JOIN pg_catalog.pg_attrdef AS f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
         WHERE r.root = c.oid) AS x),
  (SELECT COALESCE(pg_catalog.json_object_agg(s.srsubid::text, s.srsubid::text), '{{}}')
   FROM (SELECT DISTINCT b.srsubid
         FROM reached AS r
         JOIN pg_catalog.pg_subscription_rel AS b ON b.srrelid = r.oid AND b.srsubstate = 'r'
         WHERE r.root = c.oid) AS s)
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
  SELECT pg_catalog.json_object_agg(k.oid::text, pg_catalog.pg_relation_filenode(k.oid)::text)
           FILTER (WHERE (k.child OR k.oid = c.oid) AND c.relkind IN ('r', 'p')
                     AND pg_catalog.pg_relation_filenode(k.oid) IS NOT NULL) AS files,
         pg_catalog.json_object_agg(k.oid::text, pg_catalog.format('%I.%I', k.nspname, k.relname))
           FILTER (WHERE k.child AND k.relkind <> 'p') AS partitions,
         pg_catalog.json_object_agg(k.oid::text, k.attached)
           FILTER (WHERE k.attached IS NOT NULL) AS attached,
         pg_catalog.string_agg(k.body, ' ' ORDER BY k.body) AS bodies
  FROM (SELECT r.oid, pg_catalog.bool_or(r.child) AS child, m.relkind, m.relname, s.nspname,
               (SELECT pg_catalog.string_agg(h.xmin::text, ' ' ORDER BY h.inhparent)
                FROM pg_catalog.pg_inherits AS h WHERE h.inhrelid = r.oid) AS attached,
               CASE WHEN m.relkind IN ('v', 'm') THEN pg_catalog.pg_get_viewdef(r.oid)
                    WHEN NOT pg_catalog.bool_or(r.child) THEN r.oid::text END AS body
        FROM reached AS r
        JOIN pg_catalog.pg_class AS m ON m.oid = r.oid
        JOIN pg_catalog.pg_namespace AS s ON s.oid = m.relnamespace
        WHERE r.root = c.oid
        GROUP BY r.oid, m.relkind, m.relname, s.nspname) AS k
) AS p
WHERE c.relkind IN ('r', 'p', 'v', 'm') AND (n.nspname, c.relname) IN ({{names}})
"""


# A referential action changes a row as an UPDATE does: only a trigger moves its cursor, if it fires for the
# columns of the key. A sequence with CACHE gives each session a block of values, so a lower value may be
# committed after a higher one. A view has the hazards of what it reads.
HAZARDS = f"""
WITH RECURSIVE {REACHED},
  hazards(root, attname, reason) AS (
    SELECT r.root, NULL::pg_catalog.name,
           pg_catalog.format('foreign key %s changes rows by itself, and no trigger is there to move a '
                             'cursor', k.conname)
    FROM reached AS r
    JOIN pg_catalog.pg_constraint AS k ON k.conrelid = r.oid
    WHERE k.contype = 'f' AND k.conparentid = 0
      AND (k.confupdtype IN ('c', 'n', 'd') OR k.confdeltype IN ('n', 'd'))
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger AS g
                      WHERE g.tgrelid = k.conrelid AND NOT g.tgisinternal AND g.tgenabled IN ('O', 'A')
                        AND g.tgtype & 19 = 19
                        AND (g.tgattr::text = '' OR k.conkey && g.tgattr::pg_catalog.int2[]))
    UNION ALL
    SELECT r.root, NULL, pg_catalog.format('trigger %s is disabled', g.tgname)
    FROM reached AS r
    JOIN pg_catalog.pg_trigger AS g ON g.tgrelid = r.oid
    WHERE NOT g.tgisinternal AND g.tgenabled IN ('D', 'R') AND g.tgtype & 19 = 19
    UNION ALL
    SELECT r.root, a.attname,
           CASE WHEN q.seqcycle THEN 'its sequence begins again after its end (CYCLE)'
                WHEN q.seqincrement < 0 THEN 'its sequence counts down'
                ELSE pg_catalog.format('its sequence gives each session a block of %s values (CACHE)',
                                       q.seqcache)
           END
    FROM reached AS r
    CROSS JOIN LATERAL (
      SELECT d.objid AS sequence, d.refobjsubid AS place
      FROM pg_catalog.pg_depend AS d
      WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype IN ('a', 'i')
        AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = r.oid
      UNION
      SELECT d.refobjid, f.adnum
      FROM pg_catalog.pg_attrdef AS f
      JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass
        AND d.objid = f.oid AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
      WHERE f.adrelid = r.oid) AS u
    JOIN pg_catalog.pg_sequence AS q ON q.seqrelid = u.sequence
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = r.oid AND a.attnum = u.place
    WHERE q.seqcache > 1 OR q.seqcycle OR q.seqincrement < 0)
SELECT DISTINCT n.nspname, c.relname, t.attname, t.reason
FROM hazards AS t
JOIN pg_catalog.pg_class AS c ON c.oid = t.root
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
ORDER BY 1, 2, 3, 4
"""


def hazards(rows: Iterable[Row]) -> dict[TableName, tuple[CursorHazard, ...]]:
    """Return the cursor hazards that the result of HAZARDS describes."""
    by_table: dict[TableName, tuple[CursorHazard, ...]] = {}
    for schema, table, column, reason in rows:
        name = TableName(str(schema), str(table))
        by_table[name] = (*by_table.get(name, ()), CursorHazard(column, str(reason)))
    return by_table


def fingerprints(rows: Iterable[Row]) -> dict[TableName, CatalogFingerprint]:
    """Return the fingerprints that the result of FINGERPRINTS describes."""
    prints = {}
    for schema, table, labels, definitions, files, partitions, attached, identity, *later in rows:
        expressions, subscriptions = later
        by_column: dict[str, dict[str, str]] = {}
        for column, member, label in json.loads(labels or "[]"):
            by_column.setdefault(column, {})[member] = hashlib.sha256(label.encode()).hexdigest()[:16]
        prints[TableName(str(schema), str(table))] = CatalogFingerprint(
            labels=by_column,
            definitions=json.loads(definitions or "{}"),
            files=json.loads(files or "{}"),
            partitions=json.loads(partitions or "{}"),
            identity=identity,
            attached=json.loads(attached or "{}"),
            formulas=json.loads(expressions or "{}"),
            subscriptions=json.loads(subscriptions or "{}"),
        )
    return prints


def named(query: str, names: Collection[TableName]) -> str:
    """Return the query with the tables' names in it."""
    listed = ", ".join(f"({string(name.schema)}, {string(name.table)})" for name in sorted(names))
    return query.replace("{names}", listed)


def described(columns: Sequence[tuple[int, int]]) -> str:
    """Return the query for the types of a result's columns, each given by its oid and modifier."""
    places = (f"({place}, {oid}, {mod})" for place, (oid, mod) in enumerate(columns))
    return DESCRIBED.replace("{places}", ", ".join(places))


def string(text: str) -> str:
    """Return the literal of a text."""
    return "'" + text.replace("'", "''") + "'"


def tables(columns: Iterable[Row], indexes: Iterable[Row]) -> dict[TableName, SourceTable]:
    """Return the tables that the results of COLUMNS and INDEXES describe."""
    described: dict[TableName, list[SourceColumn]] = {}
    of_tables: dict[TableName, tuple[str | None, bool, bool, bool]] = {}
    for schema, table, column, type, nullable, comment, *of_table in columns:
        table_comment, readable, keys_hold, nulls_hold, view = of_table
        name = TableName(str(schema), str(table))
        of_tables[name] = table_comment, view == "t", keys_hold == "t", nulls_hold == "t"
        described.setdefault(name, []).append(
            SourceColumn(str(column), str(type), nullable == "t", comment, readable == "t")
        )
    keys: dict[TableName, list[tuple[str, str, str, tuple[str, ...]]]] = {name: [] for name in described}
    for schema, table, primary, unique, orders, names in indexes:
        name = TableName(str(schema), str(table))
        if name in keys:  # a table may be created between the two queries
            keys[name].append((str(primary), str(unique), str(orders), tuple(json.loads(names or "[]"))))
    return {
        name: SourceTable(
            name,
            tuple(listed),
            next((key for primary, _, _, key in keys[name] if primary == "t"), ()),
            tuple(key for primary, unique, _, key in keys[name] if primary == "f" and unique == "t"),
            tuple(key for _, _, orders, key in keys[name] if orders == "t"),
            *of_tables[name],
        )
        for name, listed in described.items()
    }
