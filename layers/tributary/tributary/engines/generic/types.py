"""Types of databases behind SQLAlchemy: what a type's text means, and how a column of it is selected.

A type is known by its text, which the database's catalog gives, or SQLAlchemy's reflection. Names of standard
SQL mean the same everywhere; a dialect's own rows come first. A type that no row knows is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tributary.model.source_catalog import SourceColumn
from tributary.model.types import ANY_DECIMAL, Kind, decimal

TEXT_CAST = "CAST({} AS VARCHAR)"


@dataclass(frozen=True, slots=True)
class Type:
    """A type: the kind of its values, what arrives in words, and how it is selected.

    `select`: the expression of its values, with `{}` for the column; '' for the column itself.
    `orders`: whether a driver gives a value that is compared exactly when it is bound again.
    """

    kind: Kind
    note: str = "exact"
    select: str = ""
    orders: bool = True
    sized: bool = True  # whether its arguments bound the kind: those of a decimal float do not


def _named(type: Type, *names: str) -> dict[str, Type]:
    return dict.fromkeys(names, type)


UNORDERED = ("boolean", "float32", "float64", "json", "binary")
AS_TEXT = "as the database's own text"
FINER = "exact; what is finer than microseconds is cut by the driver"

STANDARD: dict[str, Type] = {
    **_named(Type(Kind("int16")), "SMALLINT", "TINYINT", "INT2"),
    **_named(Type(Kind("int32")), "INTEGER", "INT", "INT4", "MEDIUMINT"),
    **_named(Type(Kind("int64")), "BIGINT", "INT8"),
    **_named(
        Type(ANY_DECIMAL, "exact, or refused if a value has more digits"),
        "DECIMAL",
        "NUMERIC",
        "DEC",
        "NUMBER",
    ),
    **_named(Type(Kind("float64"), orders=False), "FLOAT", "DOUBLE", "DOUBLE PRECISION", "REAL"),
    **_named(Type(Kind("date")), "DATE"),
    **_named(
        Type(Kind("timestamp"), FINER),
        *("TIMESTAMP", "DATETIME", "TIMESTAMP WITHOUT TIME ZONE"),
    ),
    **_named(Type(Kind("timestamptz"), FINER), "TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ"),
    **_named(
        Type(Kind("text")),
        *("CHAR", "CHARACTER", "VARCHAR", "CHARACTER VARYING", "NCHAR", "NVARCHAR", "VARCHAR2", "NVARCHAR2"),
        *("TEXT", "STRING"),
    ),
    **_named(Type(Kind("text"), orders=False), "CLOB", "NCLOB", "LONG VARCHAR"),
    **_named(Type(Kind("text"), AS_TEXT, TEXT_CAST, orders=False), "TIME", "TIME WITHOUT TIME ZONE"),
    **_named(
        Type(Kind("binary"), orders=False), "BLOB", "BINARY", "VARBINARY", "BYTEA", "RAW", "LONG VARBINARY"
    ),
    **_named(Type(Kind("boolean"), orders=False), "BOOLEAN", "BOOL"),
    **_named(Type(Kind("uuid")), "UUID"),
    **_named(Type(Kind("json", loose=True), "the same value", TEXT_CAST, orders=False), "JSON", "JSONB"),
}
PARENTHESES = re.compile(r"\([^()]*\)")
ARRAY = re.compile(r"\[\d*\]$")
COLLATION = re.compile(r" (?:CHARACTER SET|CHARSET|COLLATE|SEGMENT SIZE) \S+")


def name_of(type: str) -> str:
    """Return the type's name in upper case, without arguments, character set and collation."""
    words, before = type, ""
    while words != before:
        words, before = PARENTHESES.sub("", words), words
    return COLLATION.sub("", " ".join(words.upper().split()))


def arguments_of(type: str) -> tuple[int, ...]:
    """Return the type's numbers in parentheses, () if it has none or others."""
    inside = type.partition("(")[2].partition(")")[0]
    parts = [part.strip().partition(" ")[0] for part in inside.split(",")]
    return tuple(map(int, parts)) if all(re.fullmatch(r"-?\d{1,9}", part) for part in parts) else ()


def known(type: str, rows: Mapping[str, Type]) -> Type:
    """Return the row of a type's text with its arguments applied; raises LookupError if no row knows it."""
    name, arguments = name_of(type), arguments_of(type)
    if ARRAY.search(name) and "[]" in rows:
        name = "[]"
    row = rows.get(" ".join(type.upper().split())) or rows.get(name) or STANDARD[name]
    bounded = row.sized and not (row.select and row.kind.name == "text")
    kind = _sized(row.kind, arguments) if bounded else row.kind
    return Type(kind, row.note, row.select, row.orders)


def _sized(kind: Kind, arguments: tuple[int, ...]) -> Kind:
    """Return the kind with a type's arguments: its characters, bytes or digits."""
    if not arguments:
        return kind
    if kind.name == "text" and kind.size_bytes is None:
        return Kind("text", size_bytes=4 * max(arguments[0], 1))
    if kind.name == "binary":
        return Kind("binary", size_bytes=max(arguments[0], 1))
    if kind.name == "decimal" and kind == ANY_DECIMAL:
        precision, scale = arguments[0], arguments[1] if len(arguments) > 1 else 0
        if precision < 1 or not 0 <= scale <= precision:
            return ANY_DECIMAL
        return decimal(precision, scale)
    return kind


def described(column: SourceColumn, rows: Mapping[str, Type]) -> str:
    """Return in words what arrives of a column, '' if its type is refused."""
    try:
        return known(column.type, rows).note
    except LookupError:
        return ""
