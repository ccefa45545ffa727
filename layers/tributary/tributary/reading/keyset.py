"""Keyset paging: predicates and an order by which pages have neither gaps nor overlaps.

Only the source compares values: the texts of a position are sent back as literals of the columns' types.
The lexicographic comparison has two forms. `(a, b) > (x, y)` uses the index in PostgreSQL and SQLite;
`a > x OR (a = x AND b > y)` uses it in MySQL and MariaDB. With the wrong form the whole index is scanned.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tributary.errors import InternalError, TableRefused
from tributary.model.source_catalog import TableName

if TYPE_CHECKING:
    from tributary.model.query import Query

Predicate = Callable[[Sequence[str], Sequence[str]], str]


@dataclass(frozen=True, slots=True)
class Form:
    """One form of the two predicates: rows strictly after the literals, and rows up to and including them."""

    after: Predicate
    up_to: Predicate


def after_row(columns: Sequence[str], literals: Sequence[str]) -> str:
    """Return the predicate for rows strictly after the literals, as row values.

    ``(a, b) > (1, 2)``; a single column needs no row: ``a > 1``.
    """
    if len(columns) == 1:
        return f"{columns[0]} > {literals[0]}"
    return f"({', '.join(columns)}) > ({', '.join(literals)})"


def up_to_row(columns: Sequence[str], literals: Sequence[str]) -> str:
    """Return the predicate for rows not after the literals, as row values: ``(a, b) <= (1, 2)``."""
    if len(columns) == 1:
        return f"{columns[0]} <= {literals[0]}"
    return f"({', '.join(columns)}) <= ({', '.join(literals)})"


def after_alternatives(columns: Sequence[str], literals: Sequence[str]) -> str:
    """Return the predicate for rows strictly after the literals, as alternatives.

    ``(a > 1 OR (a = 1 AND b > 2))``: lexicographic, so ties on the first column are not skipped.
    """
    return _alternatives(columns, literals, ">", last=">")


def up_to_alternatives(columns: Sequence[str], literals: Sequence[str]) -> str:
    """Return the predicate for rows not after the literals: ``(a < 1 OR (a = 1 AND b <= 2))``."""
    return _alternatives(columns, literals, "<", last="<=")


def _alternatives(columns: Sequence[str], literals: Sequence[str], sign: str, *, last: str) -> str:
    alternatives = []
    for index in range(len(columns)):
        ties = [f"{columns[i]} = {literals[i]}" for i in range(index)]
        compared = last if index == len(columns) - 1 else sign
        alternatives.append(" AND ".join([*ties, f"{columns[index]} {compared} {literals[index]}"]))
    first, *rest = alternatives
    return f"({first} OR {' OR '.join(f'({alternative})' for alternative in rest)})" if rest else first


ROWS = Form(after_row, up_to_row)
ALTERNATIVES = Form(after_alternatives, up_to_alternatives)


def order(query: Query) -> tuple[str, ...]:
    """Return the columns that the query's rows are ordered by, the same on every page.

    A cursor that is NULL in every row orders nothing, and a position cannot hold NULL.
    """
    return tuple(name for name in query.order if not (query.nulls and name == query.cursor))


def conditions(
    query: Query, form: Form, column: Callable[[str], str], literal: Callable[[str, str], str]
) -> list[str]:
    """Return the predicates of the query, to be joined by AND.

    `column` gives a column's reference by its name, `literal` a text as a literal of a type.
    A position is above the bounds `after` and `since`, so these are left out then: with two lower bounds
    MariaDB does not use an index range.
    """
    types = {known.name: known.type for known in query.columns}
    ordered = order(query)
    predicates = [] if query.where is None else [user_condition(query.where)]
    if query.cursor is not None:
        cursor = column(query.cursor)

        def bound(text: str) -> str:
            return literal(text, types[query.cursor or ""])

        implied = query.position is not None and ordered[:1] == (query.cursor,)
        lower = [] if implied else [(">", query.after), (">=", query.since)]
        bounds = [*lower, ("<=", query.up_to), ("<", query.before)]
        stated = [f"{cursor} {sign} {bound(text)}" for sign, text in bounds if text is not None]
        if query.nulls:
            predicates.append(f"{cursor} IS NULL")
        elif stated or implied:
            predicates += stated
        else:
            predicates.append(f"{cursor} IS NOT NULL")
    for compare, key in ((form.after, query.position), (form.up_to, query.end)):
        if key is not None:
            literals = [literal(text, types[name]) for name, text in zip(ordered, key, strict=True)]
            predicates.append(compare([column(name) for name in ordered], literals))
    return predicates


def has_user_sql(sql: str) -> bool:
    """Return whether a statement holds a user's SQL, by the lines that it gets from the functions below."""
    return "(\n" in sql


def user_condition(where: str) -> str:
    """Return a user's condition as one predicate among others; a comment at its end ends with its line."""
    return f"(\n{where}\n)"


def tail(query: Query, column: Callable[[str], str]) -> str:
    """Return the ORDER BY and LIMIT clauses, each with a space before it, '' if there are none."""
    ordered = ", ".join(column(name) for name in order(query))
    limit = "" if query.limit is None else f" LIMIT {query.limit:d}"
    return (f" ORDER BY {ordered}" if ordered else "") + limit


def position(query: Query, texts: Sequence[str | None]) -> tuple[str, ...]:
    """Return a row's position in the query's order; `texts` are those of all its columns.

    Raises TableRefused if a column that orders the rows holds NULL.
    """
    places = {column.name: place for place, column in enumerate(query.columns)}
    ordered = []
    for name in order(query):
        text = texts[places[name]]
        if text is None:
            raise TableRefused(
                f'column "{name}" of {query.table} orders its rows and holds NULL; '
                "choose a key and a cursor column that are NOT NULL"
            )
        ordered.append(text)
    return tuple(ordered)


HEX = re.compile(r"(?:[0-9A-Fa-f]{2})*")


def relation(table: TableName, sql: str | None, quote: Callable[..., str]) -> str:
    """Return what rows are selected from: the table, or the user's query as a derived table.

    The query is on lines of its own, so that a comment at its end ends there.
    """
    return quote(table.schema, table.table) if sql is None else f"(\n{sql}\n)"


def hex_digits(text: str) -> str:
    """Return the text of a binary value, which must be hex since it goes into SQL between quotes."""
    if not HEX.fullmatch(text):
        raise InternalError("a position in a binary column is not hex")
    return text
