"""PostgreSQL's word on its tables: the questions to its catalog, what the answers mean, and its types.

Names are compared as they are written, and everything that pg_catalog does not say stays unknown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable

from ..catalog import SourceColumn, SourceTable, TableName
from ..types import Kind
from . import unsupported

ENUM = "enum "  # how `SourceColumn.type` tells an enum from the other types that users define

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

# A domain is read as the type that it is made of, an enum as its labels.
COLUMNS = """
SELECT n.nspname, c.relname, a.attname,
       CASE t.typtype
         WHEN 'd' THEN pg_catalog.format_type(t.typbasetype, t.typtypmod)
         WHEN 'e' THEN 'enum ' || pg_catalog.format_type(a.atttypid, a.atttypmod)
         ELSE pg_catalog.format_type(a.atttypid, a.atttypmod)
       END,
       NOT (a.attnotnull OR t.typnotnull)
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND (n.nspname, c.relname) IN ({names})
ORDER BY c.oid, a.attnum
"""

# An index counts where it orders rows as ORDER BY does: B-tree, whole table, plain columns in one
# direction, each in its default operator class and the column's own collation.
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


def named(question: str, names: Collection[TableName]) -> str:
    """Return the question with the tables' names in it."""
    listed = ", ".join(f"({_string(name.schema)}, {_string(name.table)})" for name in sorted(names))
    return question.replace("{names}", listed)


def _string(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def tables(columns: Iterable[Row], indexes: Iterable[Row]) -> dict[TableName, SourceTable]:
    """Return the tables that the answers to COLUMNS and INDEXES describe."""
    found: dict[TableName, list[SourceColumn]] = {}
    for schema, table, column, type, nullable in columns:
        name = TableName(str(schema), str(table))
        found.setdefault(name, []).append(SourceColumn(str(column), str(type), nullable == "t"))
    keys: dict[TableName, list[tuple[str, str, str, tuple[str, ...]]]] = {name: [] for name in found}
    for schema, table, primary, unique, orders, names in indexes:
        name = TableName(str(schema), str(table))
        if name in keys:  # a table may be made between the two questions
            keys[name].append((str(primary), str(unique), str(orders), tuple(json.loads(names or "[]"))))
    return {
        name: SourceTable(
            name,
            tuple(listed),
            next((key for primary, _, _, key in keys[name] if primary == "t"), ()),
            tuple(key for primary, unique, _, key in keys[name] if primary == "f" and unique == "t"),
            tuple(key for _, _, orders, key in keys[name] if orders == "t"),
        )
        for name, listed in found.items()
    }


PLAIN = {
    "smallint": Kind("int16"),
    "integer": Kind("int32"),
    "bigint": Kind("int64"),
    "real": Kind("float32"),
    "double precision": Kind("float64"),
    "date": Kind("date"),
    "boolean": Kind("boolean"),
    "text": Kind("text"),
    "character varying": Kind("text"),
    "name": Kind("text", size_bytes=63),
    "bytea": Kind("binary"),
    "uuid": Kind("uuid"),
    "json": Kind("json"),
    "jsonb": Kind("json"),
}
NUMERIC = re.compile(r"numeric\((\d+),(-?\d+)\)")
TIMESTAMP = re.compile(r"timestamp(?:\(\d\))? (with|without) time zone")
CHARACTER = re.compile(r"character(?: varying)?\((\d+)\)")


def kind(column: SourceColumn) -> Kind:
    """Return the kind of the column's values; raises UnsupportedType by the type's name."""
    if column.type in PLAIN:
        return PLAIN[column.type]
    if column.type.startswith(ENUM):
        return Kind("text", size_bytes=4 * 63)  # a label is a name: 63 bytes in the server's encoding
    if match := NUMERIC.fullmatch(column.type):
        return _decimal(column, int(match[1]), int(match[2]))
    if match := TIMESTAMP.fullmatch(column.type):
        return Kind("timestamptz" if match[1] == "with" else "timestamp")
    if match := CHARACTER.fullmatch(column.type):
        return Kind("text", size_bytes=4 * int(match[1]))
    if column.type == "numeric":
        raise unsupported(column, "numeric without precision")
    raise unsupported(column)


def _decimal(column: SourceColumn, precision: int, scale: int) -> Kind:
    """Return the decimal that holds every value; PostgreSQL also knows numeric(3,-2) and numeric(2,4)."""
    digits = max(precision - scale, precision) if scale < 0 else max(precision, scale)
    scale = max(scale, 0)
    if digits > 38 or scale > 37:
        raise unsupported(column)
    return Kind("decimal", precision=digits, scale=scale)


def orders(type: str) -> bool:
    """Say whether pages can be ordered by values of that type: json has no order, floats no exact text."""
    return type not in ("json", "real", "double precision")
