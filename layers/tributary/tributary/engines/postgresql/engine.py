"""PostgreSQL through pg8000: COPY as CSV, which the server renders and Arrow parses.

Every statement is a short, read-only transaction of its own with pinned settings, so that a value's text
means the same in every run. This module has the names of the Protocol.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import replace

from tributary.engines.postgresql import catalog, ranges, settings, transaction, types
from tributary.engines.postgresql import clock as source_clock
from tributary.engines.postgresql.row_reader import ask, read
from tributary.engines.postgresql.session import Session, close, connect, fetch, queries
from tributary.engines.postgresql.sql import create_index, qualified, quote, rendered, select
from tributary.engines.postgresql.types import kind, literal, orders
from tributary.model.query import ReadColumn
from tributary.model.source_catalog import Clock, Size, SourceColumn, SourceTable, TableName
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


FRACTION_DIGITS = 6  # of a second, in a type without a precision
INDEX_ENDS_WITH_KEY = False
OVERLAP_REQUIRED = False
GRADE = "exact"
ONE_ROW = ""
BLOCK_BYTES = 8192  # the default of a build; with another, samples are larger or smaller


def clock(session: Session) -> Clock:
    """Read the source's clock, then the oldest transaction of this database."""
    with queries(session):
        for attempts_left in reversed(range(source_clock.ATTEMPTS)):
            (now,) = fetch(session, source_clock.NOW)
            if not (attempts_left and source_clock.is_applying(now)):
                break
            time.sleep(source_clock.RETRY_AFTER_S)
        ((oldest, hidden),) = fetch(session, source_clock.OLDEST)
        return source_clock.clock_of(now, oldest, hidden)


def foreign(session: Session, names: Collection[TableName]) -> set[TableName]:
    """Return the tables whose writers this server does not list: foreign, or filled by a refresh."""
    if not names:
        return set()
    with queries(session):
        return {
            name
            for schema, table in fetch(session, catalog.named(source_clock.FOREIGN, names))
            if (name := TableName(str(schema), str(table))) in names
        }


def counter_horizon(session: Session, type: str) -> str | None:
    """Return None: the server has no counter whose uncommitted values it knows; see the Protocol."""
    return None


def list_tables(session: Session) -> list[TableName]:
    """Return every table and view the user may read: a partitioned table once, none of extensions."""
    return _tables(session, readable="t")


def hidden_tables(session: Session) -> list[TableName]:
    """Return the tables and views that the catalog shows and the user may not read, in name order."""
    return _tables(session, readable="f")


def _tables(session: Session, *, readable: str) -> list[TableName]:
    with queries(session):
        rows = fetch(session, catalog.TABLES)
        return sorted(
            TableName(str(schema), str(table)) for schema, table, may_read in rows if may_read == readable
        )


def describe(session: Session, names: Collection[TableName]) -> dict[TableName, SourceTable]:
    """Return the catalog's description of the named tables, in a few queries; missing tables are left out."""
    if not names:
        return {}
    with queries(session):
        columns = fetch(session, catalog.named(catalog.COLUMNS, names))
        described = catalog.tables(columns, fetch(session, catalog.named(catalog.INDEXES, names)))
        prints = catalog.fingerprints(fetch(session, catalog.named(catalog.FINGERPRINTS, names)))
        hazards = catalog.hazards(fetch(session, catalog.named(catalog.HAZARDS, names)))
    return {
        name: replace(
            table,
            fingerprint=prints.get(name, table.fingerprint),
            cursor_hazards=hazards.get(name, ()),
        )
        for name, table in described.items()
    }


def describe_query(session: Session, name: TableName, sql: str) -> SourceTable:
    """Return the columns of the query from the header of an empty result."""
    with queries(session, name):
        query = f"SELECT * FROM {relation(name, sql, quote)} AS t LIMIT 0"
        _, columns = transaction.run(session.driver, session.opening(settings.USERS_PATH), query)
    column_types = fetch(session, catalog.described([(c["type_oid"], c["type_modifier"]) for c in columns]))
    return SourceTable(
        name,
        tuple(
            SourceColumn(str(column["name"]), str(type), nullable=True)
            for column, (type,) in zip(columns, column_types, strict=True)
        ),
    )


def sizes(session: Session, names: Collection[TableName]) -> dict[TableName, Size]:
    """Return the planner's estimates of the tables' sizes; views are left out."""
    if not names:
        return {}
    with queries(session):
        return {
            TableName(str(schema), str(table)): Size(int(count or 0), int(size_bytes or 0))
            for schema, table, count, size_bytes in fetch(session, catalog.named(ranges.SIZES, names))
        }


def key_range_ends(
    session: Session, table: TableName, key: Sequence[ReadColumn], count: int
) -> list[tuple[str, ...]]:
    """Return keys of sampled blocks that divide the table; see the Protocol."""
    size = sizes(session, [table]).get(table)
    if size is None:
        return []
    sql = ranges.range_ends(
        quote(table.schema, table.table),
        [qualified(column.name) for column in key],
        [types.text(qualified(column.name), column.type) for column in key],
        ranges.percent(size.size_bytes, BLOCK_BYTES, count),
        count,
    )
    return [tuple(map(str, row)) for row in fetch(session, sql)]
