"""Statements for a dialect: pages that SQLAlchemy compiles, and the literals of small questions.

Bounds and positions are bound as values of the column's own type, so that the database compares them and uses
its indexes. The lexicographic comparison is the OR form, which every database has.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import FromClause

from tributary.engines.generic.dialects import LITERALS, Dialect
from tributary.errors import InternalError, TableRefused
from tributary.model.query import Query, ReadColumn
from tributary.model.types import Kind
from tributary.reading import keyset

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import Dialect as Compiler

INTEGER = re.compile(r"-?\d+")


class Rows(FromClause):
    """What rows are selected from, called `t`: its text is sent as it is written."""

    inherit_cache = False
    named_with_column = False

    def __init__(self, sql: str) -> None:
        self.sql = sql

    @property
    def _from_objects(self) -> list[FromClause]:
        return [self]


@compiles(Rows)
def _rows_text(element: Rows, compiler: Any, **_options: Any) -> str:
    text = f"{element.sql} t"  # Oracle takes no AS here
    return text.replace("%", "%%") if compiler.preparer._double_percents else text


def page(
    query: Query, relation: str, selected: Sequence[str], compiler: Compiler, dialect: Dialect
) -> sa.Select[Any]:
    """Return the SELECT of the query from the relation; `selected` are the expressions of its columns."""
    kinds = {column.name: column.kind for column in query.columns}
    references = {column.name: reference(column.name, compiler) for column in query.columns}
    columns: list[Any] = [sa.literal_column(sql).label(f"c{place}") for place, sql in enumerate(selected)]
    statement = sa.select(*columns).select_from(Rows(relation))
    for predicate in _predicates(query, kinds, references, dialect):
        statement = statement.where(predicate)
    ordered = [references[name] for name in keyset.order(query)]
    if ordered:
        statement = statement.order_by(*ordered)
    return statement if query.limit is None else statement.limit(query.limit)


def reference(name: str, compiler: Compiler) -> Any:
    """Return the column of the table, which is called `t` in every page."""
    return sa.literal_column(f"t.{compiler.identifier_preparer.quote_identifier(name)}")


def _predicates(
    query: Query, kinds: dict[str, Kind], references: dict[str, Any], dialect: Dialect
) -> list[Any]:
    """Return the conditions of the query, as `keyset.conditions` has them."""
    ordered = keyset.order(query)
    predicates: list[Any] = []
    if query.where is not None:
        predicates.append(sa.literal_column(keyset.user_condition(query.where)))
    if query.cursor is not None:
        predicates += _bounds(query, ordered, references[query.cursor], kinds[query.cursor], dialect)
    for key, last in ((query.position, False), (query.end, True)):
        if key is not None:
            columns = [references[name] for name in ordered]
            bounds = [bound(text, kinds[name], dialect) for name, text in zip(ordered, key, strict=True)]
            predicates.append(_up_to(columns, bounds) if last else _after(columns, bounds))
    return predicates


def _bounds(query: Query, ordered: Sequence[str], cursor: Any, kind: Kind, dialect: Dialect) -> list[Any]:
    if query.nulls:
        return [cursor.is_(None)]
    implied = query.position is not None and ordered[:1] == (query.cursor,)
    stated: list[Any] = []
    if not implied:
        stated += [cursor > bound(query.after, kind, dialect)] if query.after is not None else []
        stated += [cursor >= bound(query.since, kind, dialect)] if query.since is not None else []
    stated += [cursor <= bound(query.up_to, kind, dialect)] if query.up_to is not None else []
    stated += [cursor < bound(query.before, kind, dialect)] if query.before is not None else []
    return stated if stated or implied else [cursor.is_not(None)]


def _after(columns: Sequence[Any], bounds: Sequence[Any]) -> Any:
    """Return `a > x OR (a = x AND b > y)`."""
    alternatives = []
    for place, column in enumerate(columns):
        ties = [columns[before] == bounds[before] for before in range(place)]
        alternatives.append(sa.and_(*ties, column > bounds[place]))
    return sa.or_(*alternatives)


def _up_to(columns: Sequence[Any], bounds: Sequence[Any]) -> Any:
    """Return `a < x OR (a = x AND b <= y)`."""
    alternatives = []
    for place, column in enumerate(columns):
        ties = [columns[before] == bounds[before] for before in range(place)]
        last = column <= bounds[place] if place == len(columns) - 1 else column < bounds[place]
        alternatives.append(sa.and_(*ties, last))
    return sa.or_(*alternatives)


# --- values of positions ------------------------------------------------------------------------


def value(text: str, kind: Kind, dialect: Dialect) -> Any:  # noqa: PLR0911 - a kind a line
    """Return the driver's value of a position's text; raises InternalError if it is none of the kind."""
    try:
        if kind.is_integer:
            return int(text) if INTEGER.fullmatch(text) else _none(kind)
        if kind.name == "decimal":
            number = Decimal(text)
            return number if number.is_finite() else _none(kind)
        if kind.orders_time and dialect.stores_any:
            return text
        if kind.name == "date":
            return date.fromisoformat(text)
        if kind.orders_time:
            return _moment(text, kind, dialect)
        return bytes.fromhex(text) if kind.name == "binary" else text
    except (ValueError, InvalidOperation):
        return _none(kind)


def _none(kind: Kind) -> Any:
    raise InternalError(f"a position in a column of kind {kind.name} is no value of it")


def _moment(text: str, kind: Kind, dialect: Dialect) -> datetime:
    moment = datetime.fromisoformat(text)
    if kind.name == "timestamp":
        return moment.replace(tzinfo=None)
    in_utc = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return in_utc.replace(tzinfo=None) if dialect.utc_sessions else in_utc


def bound(text: str, kind: Kind, dialect: Dialect) -> Any:
    """Return a bound parameter of the column's type.

    A text has no type, so that the database takes it for one of the column's: a CHAR or a UUID too.
    """
    return sa.literal(value(text, kind, dialect), _bound_type(kind, dialect))


def _bound_type(kind: Kind, dialect: Dialect) -> Any:
    if kind.is_integer:
        return sa.BigInteger()
    if kind.name == "decimal":
        return sa.Numeric(kind.precision, kind.scale)
    if kind.orders_time and not dialect.stores_any:
        return sa.Date() if kind.name == "date" else sa.DateTime(timezone=kind.name == "timestamptz")
    return sa.LargeBinary() if kind.name == "binary" else sa.types.NullType()


def literal(text: str, kind: Kind, dialect: Dialect) -> str:
    """Return the SQL literal of a value's text, of the type that the kind is in this dialect."""
    held = value(text, kind, dialect)
    if kind.is_integer or kind.name == "decimal":
        return format(held, "f") if isinstance(held, Decimal) else str(held)
    if isinstance(held, datetime):
        whole = held.replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")
        text = whole[: len(whole) - 6 + dialect.fraction_digits]
    elif isinstance(held, date):
        text = held.isoformat()
    elif isinstance(held, bytes):
        raise TableRefused(f"a {kind.name} value has no literal here; choose another key or cursor")
    if dialect.escapes:
        text = text.replace("\\", "\\\\")
    form = dialect.literals.get(kind.name) or LITERALS.get(kind.name) or "'{}'"
    return form.format(text.replace("'", "''"))


def selected(column: ReadColumn, form: str, compiler: Compiler) -> str:
    """Return the expression that a column is read by; `form` has `{}` for the column, '' for itself."""
    name = f"t.{compiler.identifier_preparer.quote_identifier(column.name)}"
    return form.replace("{}", name) if form else name
