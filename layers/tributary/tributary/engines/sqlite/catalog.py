"""Queries on SQLite's schema, and how their results become `SourceTable`s."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from tributary.model.source_catalog import SourceColumn, SourceTable, TableName

TABLES = """
SELECT name FROM pragma_table_list
WHERE schema = 'main' AND type IN ('table', 'view', 'virtual') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
"""

# An ordinary table's primary key may hold NULL, for compatibility with old versions of SQLite, unless the
# column is the rowid itself (lang_createtable.html, "The PRIMARY KEY").
COLUMNS = """
SELECT l.name, c.name, c.type,
       c."notnull" = 0 AND NOT (c.pk > 0 AND (l.wr OR (upper(c.type) = 'INTEGER' AND k.columns = 1))),
       c.pk, l.type <> 'table'
FROM pragma_table_list AS l
JOIN pragma_table_xinfo(l.name) AS c ON c.hidden <> 1
JOIN (SELECT l.name, (SELECT count(*) FROM pragma_table_info(l.name) AS p WHERE p.pk > 0) AS columns
      FROM pragma_table_list AS l WHERE l.schema = 'main') AS k ON k.name = l.name
WHERE l.schema = 'main'
ORDER BY l.name, c.cid
"""

INDEXES = """
SELECT l.name, i.name, i."unique", i.origin, c.name, c."desc", c.coll
FROM pragma_table_list AS l
JOIN pragma_index_list(l.name) AS i ON i.partial = 0
JOIN pragma_index_xinfo(i.name) AS c ON c.key = 1
WHERE l.schema = 'main'
ORDER BY l.name, i.seq, c.seqno
"""


def tables(
    columns: Iterable[tuple[object, ...]], indexes: Iterable[tuple[object, ...]], names: Collection[TableName]
) -> dict[TableName, SourceTable]:
    """Return the named tables as the results of COLUMNS and INDEXES describe them."""
    index_rows = list(indexes)
    described: dict[TableName, list[tuple[SourceColumn, int]]] = {}
    views = set()
    for table, column, type, nullable, place, view in columns:
        if (name := TableName("main", str(table))) in names:
            if view:
                views.add(name)
            listed = described.setdefault(name, [])
            listed.append((SourceColumn(str(column), str(type), bool(nullable)), int(str(place))))
    return {
        name: replace(_table(name, listed, index_rows), nulls_enforced=name not in views)
        for name, listed in described.items()
    }


def _table(
    name: TableName, listed: list[tuple[SourceColumn, int]], indexes: list[tuple[object, ...]]
) -> SourceTable:
    key = tuple(column.name for column, place in sorted(listed, key=lambda one: one[1]) if place)
    nullable = {column.name for column, _ in listed if column.nullable}
    keys: dict[str, list[str | None]] = {}
    unique = set()
    for table, index, is_unique, origin, column, *_ in indexes:
        if table == name.table:
            keys.setdefault(str(index), []).append(None if column is None else str(column))
            if is_unique and origin != "pk":
                unique.add(str(index))
    whole = {
        index: tuple(c for c in columns if c is not None)
        for index, columns in keys.items()
        if None not in columns  # None: an expression, or the rowid
    }
    rowid = [key] if key and key not in whole.values() else []
    return SourceTable(
        name,
        tuple(column for column, _ in listed),
        key,
        tuple(columns for index, columns in whole.items() if index in unique and not nullable & {*columns}),
        (*rowid, *whole.values()),
    )
