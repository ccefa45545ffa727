"""The text of MySQL's statements: identifiers by `quote`, values by `literal`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tributary.engines.mysql.types import FAMILIES, family, orders
from tributary.errors import InternalError, TableRefused
from tributary.model.query import Query
from tributary.model.source_catalog import TableName
from tributary.reading import keyset
from tributary.reading.keyset import hex_digits, relation

NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")
DATE = re.compile(r"\d{4}-\d\d-\d\d")
TIME = re.compile(r"-?\d{2,3}:\d\d:\d\d(\.\d{1,6})?")
MOMENT = re.compile(r"(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d{1,6})?)(?:Z|\+00(?::?00)?)?")


def quote(*names: str) -> str:
    """Return the dotted, quoted identifier."""
    return ".".join("`" + name.replace("`", "``") + "`" for name in names)


def literal(text: str, type: str) -> str:
    """Return the literal of a value's own text: ``12.50``, ``DATE'2024-01-02'``, ``x'00ff'``."""
    known = family(type)
    if known == "binary":
        return f"x'{hex_digits(text)}'"
    quoted = "'" + text.replace("'", "''") + "'"
    if known in ("text", "doubtful", "plain"):  # a backslash means itself in some modes only
        return f"_utf8mb4 x'{text.encode(errors='surrogateescape').hex()}'" if "\\" in text else quoted
    if known == "date" and DATE.fullmatch(text):
        return "DATE" + quoted
    if known in ("datetime", "timestamp") and (match := MOMENT.fullmatch(text)):
        return f"TIMESTAMP'{match[1]}'"  # in the session's zone, which is UTC
    if known == "time" and TIME.fullmatch(text):
        return "TIME" + quoted
    if known in ("number", "bits", "float") and NUMBER.fullmatch(text):
        return text
    raise InternalError(f"a position in a column of type {type} does not have the form of its values")


def rendered(name: str, type: str) -> str:
    """Return the expression of a column's exact text."""
    return FAMILIES[family(type)].text.format(quote(name))


def create_index(name: str, table: TableName, columns: Sequence[str]) -> str:
    """Return the statement that creates an index."""
    return (
        f"CREATE INDEX {quote(name)} ON {quote(table.schema, table.table)} ({', '.join(map(quote, columns))})"
    )


def select(query: Query) -> str:
    """Return the SELECT of the query with plain columns."""
    return select_columns(query, ", ".join(qualified(column.name) for column in query.columns))


def rows(query: Query) -> str:
    """Return the SELECT of the query with the texts, or bytes, that are read."""
    columns = [FAMILIES[family(column.type)].field.format(qualified(column.name)) for column in query.columns]
    return select_columns(query, ", ".join(columns))


def qualified(name: str) -> str:
    """Return the column of the table that is read, whose alias is `t`."""
    return f"t.{quote(name)}"


def select_columns(query: Query, columns: str) -> str:
    """Return the SELECT of the query with those expressions."""
    type_of = {column.name: column.type for column in query.columns}
    for name in keyset.order(query):
        if not orders(type_of[name]):
            raise TableRefused(
                f'column "{name}" of {query.table} has type {type_of[name]}, whose order and comparison '
                "differ, so rows cannot be read by it; choose another key or cursor"
            )
    where = " AND ".join(keyset.conditions(query, keyset.ALTERNATIVES, qualified, literal))
    return (
        f"SELECT {columns} FROM {relation(query.table, query.sql, quote)} AS t"
        + (f" WHERE {where}" if where else "")
        + keyset.tail(query, qualified)
    )
