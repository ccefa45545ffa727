"""Queries on PostgreSQL's catalog, and how their results become `SourceTable`s.

Names are compared exactly as written. What pg_catalog does not state stays unknown.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence

from tributary.model.source_catalog import SourceColumn, SourceTable, TableName

Row = tuple[str | None, ...]

TABLES = """
SELECT n.nspname, c.relname
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND NOT c.relispartition
  AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND n.nspname !~ '^pg_(toast|temp)'
  AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
  AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
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

# A domain is read as the type at the end of its chain of base types.
COLUMNS = f"""
SELECT n.nspname, c.relname, a.attname,
       {WORD} || pg_catalog.format_type(t.oid, d.mod),
       NOT (a.attnotnull OR d.not_null),
       pg_catalog.col_description(c.oid, a.attnum), pg_catalog.obj_description(c.oid, 'pg_class'),
       c.relkind = 'v'
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
INDEXES = """
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
         pg_catalog.bool_and(a.attnotnull) AS not_null,
         pg_catalog.bool_and(o.opcdefault AND i.indcollation[s.place - 1] = a.attcollation) AS plain
  FROM pg_catalog.generate_series(1, i.indnkeyatts) AS s(place)
  JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[s.place - 1]
  JOIN pg_catalog.pg_opclass AS o ON o.oid = i.indclass[s.place - 1]
) AS k
WHERE i.indisvalid AND i.indisready AND i.indpred IS NULL AND i.indexprs IS NULL
  AND (n.nspname, c.relname) IN ({names})
ORDER BY i.indisprimary DESC, x.relname
"""


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
    comments: dict[TableName, str | None] = {}
    views: set[TableName] = set()
    for schema, table, column, type, nullable, comment, table_comment, view in columns:
        name = TableName(str(schema), str(table))
        comments[name] = table_comment
        if view == "t":
            views.add(name)
        described.setdefault(name, []).append(SourceColumn(str(column), str(type), nullable == "t", comment))
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
            comments[name],
            name in views,
        )
        for name, listed in described.items()
    }
