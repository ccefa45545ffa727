"""The text of PostgreSQL's statements: identifiers by `quote`, values by `literal`."""

from __future__ import annotations

from collections.abc import Sequence

from tributary.engines.postgresql import types
from tributary.engines.postgresql.types import literal
from tributary.model.query import Query
from tributary.model.source_catalog import TableName
from tributary.reading import keyset
from tributary.reading.keyset import relation


def quote(*names: str) -> str:
    """Return the dotted, quoted identifier."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def rendered(name: str, type: str) -> str:
    """Return the expression of a column's exact text."""
    return types.text(quote(name), type)


def create_index(name: str, table: TableName, columns: Sequence[str]) -> str:
    """Return the statement that creates an index."""
    return (
        f"CREATE INDEX {quote(name)} ON {quote(table.schema, table.table)} ({', '.join(map(quote, columns))})"
    )


def select(query: Query) -> str:
    """Return the SELECT of the query with plain columns."""
    return select_columns(query, [qualified(column.name) for column in query.columns])


def copy(query: Query) -> str:
    """Return the COPY of the query: the server's CSV, binaries in hex without a prefix."""
    columns = [types.field(qualified(column.name), column.type) for column in query.columns]
    return copy_columns(query, columns)


def copy_columns(query: Query, columns: list[str]) -> str:
    """Return the COPY of the query with those expressions."""
    return f"COPY ({select_columns(query, columns)}) TO STDOUT (FORMAT csv)"


def qualified(name: str) -> str:
    """Return the column of the table that is read, whose alias is `t`."""
    return f"t.{quote(name)}"  # qualified: ORDER BY prefers an output column of that name


def select_columns(query: Query, columns: list[str]) -> str:
    """Return the SELECT of the query with those expressions."""
    where = " AND ".join(keyset.conditions(query, keyset.ROWS, qualified, literal))
    return (
        f"SELECT {', '.join(columns)} FROM {relation(query.table, query.sql, quote)} AS t"
        + (f" WHERE {where}" if where else "")
        + keyset.tail(query, qualified)
    )
