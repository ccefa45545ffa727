"""SQLite's types: which values a declared type allows, and how each value is rendered.

SQLite does not enforce declared types: any column may hold any value. Here the type states which values the
column may hold. One that does not fit is a misfit: refused or handled by policy, never cast.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from tributary.engines.protocol import unsupported
from tributary.model.query import ReadColumn
from tributary.model.source_catalog import SourceColumn
from tributary.model.types import ANY_DECIMAL, Kind, decimal
from tributary.reading.repair import MISFIT


@dataclass(frozen=True, slots=True)
class Type:
    """A declared type: the kind of its values, and what arrives, in words."""

    kind: Kind
    note: str = "exact; a value of another storage class is a misfit"


NAMES: dict[Type, tuple[str, ...]] = {
    Type(Kind("int64")): (
        *("INT", "INTEGER", "TINYINT", "SMALLINT", "MEDIUMINT", "BIGINT", "UNSIGNED BIG INT"),
        *("INT2", "INT4", "INT8"),
    ),
    Type(Kind("float64")): ("REAL", "DOUBLE", "DOUBLE PRECISION", "FLOAT"),
    Type(Kind("text")): (
        *("TEXT", "CLOB", "VARCHAR", "CHAR", "CHARACTER", "VARYING CHARACTER", "CHARACTER VARYING"),
        *("NVARCHAR", "NCHAR", "NATIVE CHARACTER"),
    ),
    Type(Kind("text"), "as text, exact"): ("TIME", "UUID", "GUID"),
    Type(Kind("date"), "exact, if it is written as `2024-02-29`"): ("DATE",),
    Type(Kind("timestamp"), "exact, if it is written as `2024-02-29 12:30:00.5` without a zone"): (
        "DATETIME",
        "TIMESTAMP",
    ),
    Type(Kind("boolean"), "0 and 1"): ("BOOLEAN", "BOOL"),
    Type(Kind("binary")): ("BLOB",),
    Type(Kind("json", loose=True), "the same value; numbers within are what JSON_PARSE makes of them"): (
        "JSON",
    ),
    Type(ANY_DECIMAL, "exact, or refused if a value has more digits; a REAL by its shortest digits"): (
        "NUMERIC",
        "DECIMAL",
    ),
}
TYPES: dict[str, Type] = {name: type for type, names in NAMES.items() for name in names}
ARGUMENTS = re.compile(r"(?<!\s)\s*+\(\s*+(\d++)\s*+(?:,\s*+(\d++)\s*+)?\)")  # linear, whatever is declared


def kind(column: SourceColumn) -> Kind:
    """Return the kind of the column's declared type; raises UnsupportedType with the type's name."""
    try:
        return declared(column.type)
    except LookupError:
        raise unsupported(column, column.type or "no type") from None


def declared(type: str) -> Kind:
    """Return the kind of a declared type; raises LookupError if it has none."""
    words = " ".join(type.upper().split())
    digits = ARGUMENTS.search(words)
    known = TYPES[ARGUMENTS.sub("", words).strip()].kind
    if digits and known.name == "text":
        return Kind("text", size_bytes=4 * max(int(digits[1]), 1))
    if digits and known.name == "decimal":
        precision, scale = int(digits[1]), int(digits[2] or 0)
        if not precision or scale > precision:
            raise LookupError(words)
        bounded = decimal(precision, scale)
        return Kind("decimal", precision=bounded.precision, scale=bounded.scale, loose=True)
    return known


def note(type: str) -> str:
    """Return in words what arrives of the type's values."""
    known = TYPES.get(ARGUMENTS.sub("", type.upper()).strip())
    return known.note if known else "refused: such a column holds anything"


def orders(type: str) -> bool:
    """Return whether pages can be ordered by values of that type: floats have no exact text."""
    try:
        return declared(type).name not in ("float64", "json")
    except LookupError:
        return False


# --- renderings ---------------------------------------------------------------------------------


def rendering(column: ReadColumn) -> Callable[[object], bytes]:
    """Return how values of the column are written; a column that became text accepts every value.

    `MISFIT` replaces a value whose storage class does not fit the declared type.
    """
    if column.kind.name == "text" and (
        column.policies.get("misfit") == "text" or not _declares_text(column.type)
    ):
        return _any_as_text
    return RENDERINGS[column.kind.name]


def _declares_text(type: str) -> bool:
    try:
        return declared(type).name == "text"
    except LookupError:
        return False


def _integer(value: object) -> bytes:
    return b"%d" % value if type(value) is int else MISFIT


def _decimal(value: object) -> bytes:
    """Render a number in plain digits; a REAL by its shortest text, which has its 15 exact digits."""
    if type(value) is int:
        return b"%d" % value
    if type(value) is float:
        return format(Decimal(repr(value)), "f").encode() if math.isfinite(value) else repr(value).encode()
    return MISFIT


def _real(value: object) -> bytes:
    return repr(value).encode() if type(value) in (int, float) else MISFIT


def _text(value: object) -> bytes:
    return value.encode(errors="surrogateescape") if type(value) is str else MISFIT


def _json(value: object) -> bytes:
    """Render JSON; the column's affinity is NUMERIC, so a text that is a number is stored as one."""
    return repr(value).encode() if type(value) in (int, float) else _text(value)


def _boolean(value: object) -> bytes:
    return b"%d" % value if value in (0, 1) and type(value) is int else MISFIT


def _blob(value: object) -> bytes:
    return value.hex().encode() if type(value) is bytes else MISFIT


def _any_as_text(value: object) -> bytes:
    """Render a value of any storage class: numbers as Python's shortest text, blobs in hex."""
    if type(value) is bytes:
        return value.hex().upper().encode()
    return _text(value) if type(value) is str else repr(value).encode()


RENDERINGS: dict[str, Callable[[object], bytes]] = {
    "int16": _integer,
    "int64": _integer,
    "decimal": _decimal,
    "float64": _real,
    "text": _text,
    "json": _json,
    "date": _text,
    "timestamp": _text,
    "boolean": _boolean,
    "binary": _blob,
}
