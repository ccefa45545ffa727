"""MySQL and MariaDB through PyMySQL: rows in the protocol's text form, read from its socket.

Every statement is a short, read-only transaction of its own in a session with pinned settings, so that a
value's text means the same in every run. This module has the names of the Protocol.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from tributary.engines.mysql import catalog, ranges
from tributary.engines.mysql.clock import clock
from tributary.engines.mysql.errors import queries
from tributary.engines.mysql.row_reader import ask, read
from tributary.engines.mysql.session import Session, close, connect, run, use_mode_of
from tributary.engines.mysql.sql import create_index, literal, qualified, quote, rendered, select
from tributary.engines.mysql.types import FAMILIES, family, kind, orders
from tributary.model.query import ReadColumn
from tributary.model.source_catalog import Size, SourceColumn, SourceTable, TableName
from tributary.reading.keyset import relation

__all__ = [
    "FRACTION_DIGITS",
    "GRADE",
    "INDEX_ENDS_WITH_KEY",
    "ONE_ROW",
    "OVERLAP_REQUIRED",
    "ask",
    "clock",
    "close",
    "connect",
    "counter_horizon",
    "create_index",
    "describe",
    "describe_query",
    "foreign",
    "hidden_tables",
    "key_range_ends",
    "kind",
    "list_tables",
    "literal",
    "orders",
    "quote",
    "read",
    "rendered",
    "select",
    "sizes",
]


FRACTION_DIGITS = 0  # DATETIME is DATETIME(0)
INDEX_ENDS_WITH_KEY = True  # InnoDB
OVERLAP_REQUIRED = False
GRADE = "exact"
ONE_ROW = ""


def foreign(session: Session, names: Collection[TableName]) -> set[TableName]:
    """Return the tables whose rows are on another server, and the views if there is any such table."""
    if not names:
        return set()
    with queries(session.where):
        rows = run(session.driver, catalog.named(catalog.FOREIGN, names))
    return {
        name
        for schema, table, elsewhere in rows
        if elsewhere == "1" and (name := TableName(str(schema), str(table))) in names
    }


def counter_horizon(session: Session, type: str) -> str | None:
    """Return None: the server has no counter whose uncommitted values it knows; see the Protocol."""
    return None


def list_tables(session: Session) -> list[TableName]:
    """Return every table and view on which the user has a privilege, in all databases."""
    with queries(session.where):
        return sorted(TableName(str(s), str(t)) for s, t in run(session.driver, catalog.TABLES))


def hidden_tables(session: Session) -> list[TableName]:
    """Return no table: the server shows none on which the user has no privilege."""
    return []


def describe(session: Session, names: Collection[TableName]) -> dict[TableName, SourceTable]:
    """Return the catalog's description of the named tables, in a few queries; missing tables are left out."""
    if not names:
        return {}
    with queries(session.where):
        columns = run(session.driver, catalog.named(catalog.COLUMNS, names))
        indexes = run(session.driver, catalog.named(catalog.INDEXES, names))
        relations = run(session.driver, catalog.named(catalog.RELATIONS, names))
        shapes = run(session.driver, catalog.named(catalog.SHAPES, names))
        hazards = catalog.hazards(run(session.driver, catalog.named(catalog.HAZARDS, names)))
        described = catalog.tables(columns, indexes, relations, shapes, set(names))
        return {
            name: replace(table, cursor_hazards=hazards.get(name, ())) for name, table in described.items()
        }


def describe_query(session: Session, name: TableName, sql: str) -> SourceTable:
    """Return the columns of the query from the header of an empty result."""
    with queries(session.where, name), session.driver.cursor() as cursor:
        statement = f"SELECT * FROM {relation(name, sql, quote)} AS t LIMIT 0"
        use_mode_of(session, statement)
        cursor.execute(statement)
        answer: Any = cursor
        fields = answer._result.fields
    columns = (SourceColumn(_named(field.name), catalog.answered(field), nullable=True) for field in fields)
    return SourceTable(name, tuple(columns))


def _named(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name


def sizes(session: Session, names: Collection[TableName]) -> dict[TableName, Size]:
    """Return the storage engine's estimates of the tables' sizes; views are left out."""
    if not names:
        return {}
    with queries(session.where):
        rows = run(session.driver, catalog.named(ranges.SIZES, names))
    estimates = {
        TableName(str(schema), str(table)): Size(int(count or 0), int(size_bytes or 0))
        for schema, table, count, size_bytes in rows
    }
    return {name: size for name, size in estimates.items() if name in names}


def key_range_ends(
    session: Session, table: TableName, key: Sequence[ReadColumn], count: int
) -> list[tuple[str, ...]]:
    """Return keys that the optimizer's index dives place about equally far apart; see the Protocol."""
    columns = tuple(qualified(column.name) for column in key)
    texts = tuple(
        FAMILIES[family(column.type)].text.format(name) for column, name in zip(key, columns, strict=True)
    )
    key_types = tuple(column.type for column in key)
    keyed = ranges.KeyedTable(quote(table.schema, table.table), columns, texts, key_types, literal)
    return ranges.range_ends(lambda sql: ask(session, sql), keyed, count)
