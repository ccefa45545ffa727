"""Values of a driver, or its Arrow columns -> Arrow columns that `reading.values` takes, nothing altered.

No value passes through a float or a text that was neither. A column whose values all have the class of its
kind is converted at once; any other becomes texts, which are checked one by one and handled by policy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from tributary.engines.generic.dialects import Dialect
from tributary.model.query import ReadColumn
from tributary.model.types import arrow
from tributary.reading import values
from tributary.reading.repair import MISFIT

if TYPE_CHECKING:
    import pyarrow

INTEGERS = ("int16", "int32", "int64")
FLOATS = ("float32", "float64")
TEXTS = ("text", "json", "uuid")
CLASSES: dict[str, frozenset[type]] = {
    **dict.fromkeys(INTEGERS, frozenset((int,))),
    "decimal": frozenset(
        (
            Decimal,
            int,
        )
    ),
    **dict.fromkeys(FLOATS, frozenset((float,))),
    "date": frozenset((date,)),
    "timestamp": frozenset((datetime,)),
    "timestamptz": frozenset((datetime,)),
    **dict.fromkeys(TEXTS, frozenset((str,))),
    "binary": frozenset((bytes,)),
    "boolean": frozenset((bool,)),
}
NONE = type(None)
DAYS_OF_ALL_YEARS = (-719_162, 2_932_896)  # 0001-01-01 and 9999-12-31, from 1970-01-01
MICROSECONDS_OF_A_DAY = 86_400_000_000


def of_objects(read: Sequence[object], column: ReadColumn, dialect: Dialect) -> pyarrow.Array:
    """Return a column of a driver's objects for `values.parse`."""
    import pyarrow as pa

    kind = column.kind.name
    classes = set(map(type, read)) - {NONE}
    if kind == "timestamptz" and dialect.utc_sessions and classes == {datetime}:
        read = [None if v is None else v.replace(tzinfo=v.tzinfo or UTC) for v in read]  # type: ignore[attr-defined]
    if classes <= CLASSES[kind] and not (kind in ("timestamp", "timestamptz") and _zones_differ(read, kind)):
        try:
            array = pa.array(read, _read_as(column))
        except (pa.ArrowInvalid, OverflowError, UnicodeEncodeError):
            pass
        else:
            return values.hexed(array) if kind == "binary" else array
    rendering = _rendering(column, dialect)
    return pa.array([None if value is None else rendering(value) for value in read], pa.binary())


def _zones_differ(read: Sequence[Any], kind: str) -> bool:
    """Return whether a time has a zone that its kind lacks, or lacks the one that it must have."""
    aware = kind == "timestamptz"
    return any(value is not None and (value.tzinfo is not None) != aware for value in read)


def _read_as(column: ReadColumn) -> pyarrow.DataType:
    import pyarrow as pa

    kind = column.kind.name
    if kind in INTEGERS:
        return pa.int64()
    if kind in FLOATS:
        return pa.float64()
    return arrow(column.kind)


def _rendering(column: ReadColumn, dialect: Dialect) -> Callable[[object], bytes]:
    """Return how values are written that do not all have the class of the column's kind."""
    kind = column.kind.name
    if kind == "text":
        if column.policies.get("misfit") == "text":
            return as_text
        return _text_alone if dialect.stores_any else _text
    return {
        **dict.fromkeys(INTEGERS, _integer),
        **dict.fromkeys(FLOATS, _float),
        "decimal": _decimal_or_float if dialect.stores_any else _decimal,
        "date": _time,
        "timestamp": _time,
        "timestamptz": _time,
        "boolean": _boolean,
        "binary": _binary,
        "json": _json,
        "uuid": as_text,
    }[kind]


def _integer(value: object) -> bytes:
    if type(value) is int:
        return b"%d" % value
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        return format(value, "f").partition(".")[0].encode()
    return MISFIT


def _decimal(value: object) -> bytes:
    if isinstance(value, Decimal):
        return (format(value, "f") if value.is_finite() else str(value)).encode()
    if type(value) is int:
        return b"%d" % value
    return _utf8(value) if type(value) is str else MISFIT


def _decimal_or_float(value: object) -> bytes:
    """Render a number of SQLite, whose decimals are floats: by its shortest text, which has its digits."""
    if type(value) is float:
        return format(Decimal(repr(value)), "f").encode() if math.isfinite(value) else repr(value).encode()
    return MISFIT if type(value) is str else _decimal(value)


def _float(value: object) -> bytes:
    return str(value).encode() if type(value) in (int, float) or isinstance(value, Decimal) else MISFIT


def _time(value: object) -> bytes:
    if isinstance(value, datetime):
        return _moment(value).encode()
    if isinstance(value, date):
        return value.isoformat().encode()
    return _utf8(value) if type(value) is str else MISFIT


def _moment(value: datetime) -> str:
    if value.tzinfo is None:
        return value.isoformat(sep=" ")
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ") + "Z"


def _boolean(value: object) -> bytes:
    if type(value) is bool or (type(value) is int and value in (0, 1)):
        return b"1" if value else b"0"
    return MISFIT


def _binary(value: object) -> bytes:
    return bytes(value).hex().encode() if isinstance(value, bytes | bytearray | memoryview) else MISFIT


def _text(value: object) -> bytes:
    """Render a value that the driver did not give as a text; bytes have no text that is known here."""
    return MISFIT if isinstance(value, bytes | bytearray | memoryview) else as_text(value)


def _utf8(value: str) -> bytes:
    """Return the text's bytes; what is not UTF-8 stays so, and is handled by policy."""
    try:
        return value.encode(errors="surrogateescape")
    except UnicodeEncodeError:  # half of a pair, which is no byte that could not be decoded
        return value.encode(errors="surrogatepass")


def _text_alone(value: object) -> bytes:
    return _utf8(value) if type(value) is str else MISFIT


def _json(value: object) -> bytes:
    if type(value) in (int, float):  # a text that is a number, in a column of SQLite
        return repr(value).encode()
    return _text_alone(value)


def as_text(value: object) -> bytes:  # noqa: PLR0911 - a class of values a line
    """Return a value's own text: `Page.position` carries it, and a column taken as text."""
    if isinstance(value, str):
        return _utf8(value)
    if isinstance(value, bool):
        return b"1" if value else b"0"
    if isinstance(value, Decimal):
        return format(value, "f").encode()
    if isinstance(value, datetime):
        return _moment(value).encode()
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex().upper().encode()
    if isinstance(value, timedelta):
        return _clock(value).encode()
    if isinstance(value, date | time):
        return value.isoformat().encode()
    if isinstance(value, int | float | UUID):
        return str(value).encode()
    if isinstance(value, set | frozenset):
        return ",".join(sorted(map(str, value))).encode()
    return MISFIT


def _clock(value: timedelta) -> str:
    """Return a span of time as hours, minutes and seconds, as MySQL writes its TIME."""
    sign, span = ("-", -value) if value < timedelta(0) else ("", value)
    seconds = span.days * 86_400 + span.seconds
    fraction = f".{span.microseconds:06d}" if span.microseconds else ""
    return f"{sign}{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{fraction}"


def of_arrow(read: pyarrow.Array, column: ReadColumn) -> pyarrow.Array:  # noqa: PLR0911 - a kind a line
    """Return a column that a driver gave in Arrow for `values.parse`."""
    import pyarrow as pa

    kind = column.kind.name
    if kind in INTEGERS and pa.types.is_integer(read.type):
        return read if pa.types.is_int64(read.type) else read.cast(pa.int64())
    if kind in FLOATS and pa.types.is_floating(read.type):
        return read
    if kind == "binary" and _is_binary(read.type):
        return values.hexed(read.cast(pa.binary()))
    if kind in ("timestamp", "timestamptz") and pa.types.is_timestamp(read.type):
        return _in_all_years(read, column)
    if kind == "date" and pa.types.is_date32(read.type):
        return _in_all_years(read, column)
    if read.type == arrow(column.kind):
        return read
    if pa.types.is_string(read.type) or pa.types.is_large_string(read.type) or read.type == pa.string_view():
        return read.cast(pa.string()).cast(pa.binary())
    return pa.array([None if one is None else MISFIT for one in read.to_pylist()], pa.binary())


def _is_binary(type: pyarrow.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_binary(type) or pa.types.is_large_binary(type) or type == pa.binary_view())


def _in_all_years(read: pyarrow.Array, column: ReadColumn) -> pyarrow.Array:
    """Return dates or times as they are, or as texts if one is infinite or outside the years 1 to 9999."""
    import pyarrow as pa
    import pyarrow.compute as pc

    of_days = column.kind.name == "date"
    wanted = arrow(column.kind)
    if not of_days and (read.type.unit != "us" or (read.type.tz is None) != (wanted.tz is None)):
        return pa.array([None if one is None else MISFIT for one in read.to_pylist()], pa.binary())
    numbers = read.view(pa.int32() if of_days else pa.int64())
    unit = 1 if of_days else MICROSECONDS_OF_A_DAY
    first, last = DAYS_OF_ALL_YEARS[0] * unit, (DAYS_OF_ALL_YEARS[1] + 1) * unit - 1
    outside = pc.or_(pc.less(numbers, first), pc.greater(numbers, last))
    if not pc.any(outside).as_py():
        return read if of_days else numbers.view(wanted)
    texts = [
        None
        if number is None
        else (b"infinity" if number > 0 else b"-infinity")
        if not first <= number <= last
        else _text_of(number, of_days=of_days, zone=wanted != pa.timestamp("us"))
        for number in numbers.to_pylist()
    ]
    return pa.array(texts, pa.binary())


def _text_of(number: int, *, of_days: bool, zone: bool) -> bytes:
    if of_days:
        return (date(1970, 1, 1) + timedelta(number)).isoformat().encode()
    moment = datetime(1970, 1, 1) + timedelta(microseconds=number)
    return (moment.isoformat(sep=" ") + ("Z" if zone else "")).encode()
