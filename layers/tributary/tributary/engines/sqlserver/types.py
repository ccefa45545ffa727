"""SQL Server's types: the kind of each, and how its values are rendered.

One entry per type of the manual's chapter; any other type is refused by its name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from tributary.engines.odbc import Binding, BoundType, bound_as_decimal
from tributary.engines.protocol import unsupported
from tributary.errors import InternalError
from tributary.model.query import ReadColumn
from tributary.model.source_catalog import SourceColumn
from tributary.model.types import Kind, decimal
from tributary.reading.keyset import hex_digits


@dataclass(frozen=True, slots=True)
class Declared:
    """The parts of a type's text; `size` is None for `max`."""

    word: str
    size: int | None = None
    scale: int | None = None
    collation: str | None = None


@dataclass(frozen=True, slots=True)
class Type:
    """How one type is read: the kind of its values, and the expression of their exact text or number."""

    kind: Callable[[Declared], Kind]
    text: str  # the expression, `{0}` being the column: readable text, or a number of the bound type
    bound: BoundType = "utf-8"
    size_bytes: int | None = None
    orders: bool = True
    finer: bool = False  # times with more than six decimals
    note: str = "exact"  # what arrives, in words


def _fixed(name: str) -> Callable[[Declared], Kind]:
    kind = Kind(name)  # type: ignore[arg-type]
    return lambda declared: kind


def _decimal(declared: Declared) -> Kind:
    return decimal(declared.size or 18, declared.scale or 0)


def _text(declared: Declared) -> Kind:
    """Return the text kind with its limit in bytes: a UTF-16 unit has up to three in UTF-8, a pair four."""
    if declared.size is None:
        return Kind("text")
    in_utf8 = "_UTF8" in (declared.collation or "")
    return Kind("text", size_bytes=max(declared.size * (1 if in_utf8 else 3), 1))


def _binary(declared: Declared) -> Kind:
    return Kind("binary", size_bytes=declared.size)


def _text_of(size_bytes: int) -> Callable[[Declared], Kind]:
    kind = Kind("text", size_bytes=size_bytes)
    return lambda declared: kind


NUMBER = "CONVERT(int, {0})"
UNITS = 4_000  # of UTF-16 in the longest nvarchar except nvarchar(max)
LONG = "CONVERT(nvarchar(max), {0})"
MONEY = Kind("decimal", precision=19, scale=4)
SMALL_MONEY = Kind("decimal", precision=10, scale=4)
DECIMALS = {"money": "CONVERT(decimal(19,4), {0})", "smallmoney": "CONVERT(decimal(10,4), {0})"}
DAYS = "DATEDIFF(day, CONVERT(date, '19700101', 112), {0})"
UTC = "CONVERT(varchar(27), CONVERT(datetime2(7), SWITCHOFFSET({0}, '+00:00')), 121) + 'Z'"
TRUNCATED = "its seventh decimal is truncated, never rounded up"
TYPES: dict[str, Type] = {
    # exact numerics
    "bit": Type(_fixed("boolean"), NUMBER, "int32"),
    "tinyint": Type(_fixed("int16"), NUMBER, "int32"),
    "smallint": Type(_fixed("int16"), NUMBER, "int32"),
    "int": Type(_fixed("int32"), NUMBER, "int32"),
    "bigint": Type(_fixed("int64"), "CONVERT(bigint, {0})", "int64"),
    "decimal": Type(_decimal, "CONVERT(varchar(41), {0})", size_bytes=41),
    "numeric": Type(_decimal, "CONVERT(varchar(41), {0})", size_bytes=41),
    "money": Type(lambda declared: MONEY, f"CONVERT(varchar(41), {DECIMALS['money']})", size_bytes=41),
    "smallmoney": Type(
        lambda declared: SMALL_MONEY, f"CONVERT(varchar(41), {DECIMALS['smallmoney']})", size_bytes=41
    ),
    # approximate numerics
    "float": Type(
        _fixed("float64"), "CONVERT(float(53), {0})", "float64", orders=False, note="exact, bit for bit"
    ),
    "real": Type(
        _fixed("float32"), "CONVERT(float(53), {0})", "float64", orders=False, note="exact, bit for bit"
    ),
    # dates and times
    "date": Type(_fixed("date"), "CONVERT(varchar(10), {0}, 23)", size_bytes=10),
    "time": Type(
        _text_of(16),
        "CONVERT(varchar(16), {0}, 121)",
        size_bytes=16,
        note="as text, such as `23:59:59.9999999`",
    ),
    "smalldatetime": Type(_fixed("timestamp"), "CONVERT(varchar(19), {0}, 120)", size_bytes=19),
    "datetime": Type(
        _fixed("timestamp"),
        "CONVERT(varchar(23), {0}, 121)",
        size_bytes=23,
        note="in the milliseconds that SQL Server shows: `.000`, `.003` or `.007`",
    ),
    "datetime2": Type(
        _fixed("timestamp"),
        "CONVERT(varchar(27), {0}, 121)",
        size_bytes=27,
        finer=True,
        note=f"exact; {TRUNCATED}",
    ),
    "datetimeoffset": Type(
        _fixed("timestamptz"), UTC, size_bytes=28, finer=True, note=f"in UTC; {TRUNCATED}"
    ),
    # texts
    "char": Type(_text, "CONVERT(nvarchar({n}), {0})", "utf-16"),
    "varchar": Type(_text, "CONVERT(nvarchar({n}), {0})", "utf-16"),
    "nchar": Type(_text, "CONVERT(nvarchar({n}), {0})", "utf-16"),
    "nvarchar": Type(_text, "CONVERT(nvarchar({n}), {0})", "utf-16"),
    "text": Type(_text, LONG, "utf-16", orders=False),
    "ntext": Type(_text, LONG, "utf-16", orders=False),
    # binaries
    "binary": Type(_binary, "CONVERT(varchar(max), {0}, 2)", "bytes"),
    "varbinary": Type(_binary, "CONVERT(varchar(max), {0}, 2)", "bytes"),
    "image": Type(_binary, "CONVERT(varchar(max), CONVERT(varbinary(max), {0}), 2)", "bytes", orders=False),
    # others
    "rowversion": Type(
        _fixed("int64"), "CONVERT(bigint, {0})", "int64", note="as the number that its eight bytes are"
    ),
    "uniqueidentifier": Type(
        _fixed("uuid"), "LOWER(CONVERT(char(36), {0}))", size_bytes=36, note="in lower-case letters"
    ),
    "xml": Type(_text, LONG, "utf-16", orders=False, note="as text, in the form that SQL Server stores"),
    "json": Type(
        lambda declared: Kind("json", loose=True),
        LONG,
        "utf-16",
        orders=False,
        note="the same value; numbers within are what JSON_PARSE makes of them",
    ),
    "vector": Type(_fixed("json"), LONG, "utf-16", orders=False, note="as a JSON array of numbers"),
    "hierarchyid": Type(_text, "{0}.ToString()", "utf-16", orders=False, note="as its path, such as `/1/3/`"),
    "geometry": Type(
        _text,
        "N'SRID=' + CONVERT(nvarchar(11), {0}.STSrid) + N';' + {0}.AsTextZM()",
        "utf-16",
        orders=False,
        note="as text: `SRID=4326;POINT (1 2)`, with Z and M",
    ),
    "geography": Type(
        _text,
        "N'SRID=' + CONVERT(nvarchar(11), {0}.STSrid) + N';' + {0}.AsTextZM()",
        "utf-16",
        orders=False,
        note="as text: `SRID=4326;POINT (1 2)`, with Z and M",
    ),
}
AS_TEXT = Type(_text, LONG, "utf-16", orders=False)  # for a type that is not listed, if a policy reads it

TYPE = re.compile(r"(\w+)(?:\((max|\d+)(?:,(\d+))?\))?(?: COLLATE (\w+))?")


def declared(type: str) -> Declared:
    """Return the parts of a type's text."""
    match = TYPE.fullmatch(type)
    if match is None:
        return Declared(type)
    size = int(match[2]) if match[2] and match[2] != "max" else None
    return Declared(match[1], size, int(match[3]) if match[3] else None, match[4])


def kind(column: SourceColumn) -> Kind:
    """Return the kind of the column's values; raises UnsupportedType with the type's name."""
    known = declared(column.type)
    if known.word not in TYPES:
        raise unsupported(column)
    return TYPES[known.word].kind(known)


def note(type: str) -> str:
    """Return in words what arrives of the type's values."""
    word = declared(type).word
    return TYPES[word].note if word in TYPES else "refused"


# Code pages that have two codes for some characters, in a collation that compares the codes: a literal has
# one of them only. Other collations compare characters.
TWO_CODES = re.compile(r"(?:Japanese|Chinese|Korean)_\w*?BIN2?(?!\w)")


def orders(type: str) -> bool:
    """Return whether pages can be ordered by values of that type: not floats, nor types without an index."""
    known = declared(type)
    unbounded = known.size is None and known.word in ("varchar", "nvarchar", "varbinary")
    two_codes = known.word in ("char", "varchar") and TWO_CODES.match(known.collation or "") is not None
    return known.word in TYPES and TYPES[known.word].orders and not unbounded and not two_codes


def text(reference: str, type: str) -> str:
    """Return the expression of a value's exact text, or of its number."""
    known = declared(type)
    units = known.size if known.size is not None and known.size <= UNITS else "max"
    return TYPES.get(known.word, AS_TEXT).text.replace("{n}", str(units)).replace("{0}", reference)


def binding(column: ReadColumn) -> Binding:
    """Return how the column is read: a number as it is, a date as a day number, everything else as bytes."""
    reference, known = f"t.{quote(column.name)}", declared(column.type)
    if column.kind.name == "date":
        return Binding(DAYS.format(reference), "days")
    if bound_as_decimal(column.kind):
        return Binding(DECIMALS.get(known.word, "{0}").format(reference), "decimal")
    listed = TYPES.get(known.word, AS_TEXT)
    if listed.bound == "bytes":
        return Binding(f"CONVERT(varbinary({known.size or 'max'}), {reference})", "bytes", known.size)
    rendered = text(reference, column.type)
    if listed.bound == "utf-16":
        size_bytes = 2 * known.size if known.size is not None and known.size <= UNITS else None
        return Binding(f"CONVERT(varbinary({size_bytes or 'max'}), {rendered})", "utf-16", size_bytes)
    if listed.bound == "utf-8":
        finer = listed.finer and column.kind.name != "text"
        return Binding(
            f"CONVERT(varbinary({listed.size_bytes}), {rendered})", "utf-8", listed.size_bytes, finer
        )
    return Binding(rendered, listed.bound)


def quote(*names: str) -> str:
    """Return the dotted identifier in brackets."""
    return ".".join("[" + name.replace("]", "]]") + "]" for name in names)


# --- literals -----------------------------------------------------------------------------------

STRINGS = ("char", "varchar", "nchar", "nvarchar")
NUMBERS = ("bit", "tinyint", "smallint", "int", "bigint", "decimal", "numeric", "money", "smallmoney")
MOMENTS = {"smalldatetime": 3, "datetime": 3, "datetime2": 7, "datetimeoffset": 7}  # decimals in a literal
DAY, CLOCK = r"\d{4}-\d\d-\d\d", r"\d\d:\d\d:\d\d"
FORMS: dict[str, re.Pattern[str]] = {
    **dict.fromkeys(NUMBERS, re.compile(r"-?\d+(\.\d+)?")),
    **dict.fromkeys(MOMENTS, re.compile(rf"({DAY})[ T]({CLOCK})(?:\.(\d{{1,7}}))?(?:Z|\+00(?::?00)?)?")),
    "rowversion": re.compile(r"[0-9]{1,19}"),
    "uniqueidentifier": re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"),
    "time": re.compile(rf"{CLOCK}(?:\.\d{{1,7}})?"),
    "date": re.compile(DAY),
}


def literal(text: str, type: str) -> str:
    """Return the literal of a value's own text, of the column's exact type: an index stays usable.

    ``CAST(7 AS bigint)``, ``CAST('2024-01-02T10:00:00.1234567' AS datetime2(7))``, and a varchar in the
    column's own collation, never N'' against it: ``CAST(N'a' COLLATE Latin1_General_CI_AS AS varchar(20))``.
    A time has the form that every language and date format of a session reads alike.
    """
    known, bare = declared(type), type.partition(" COLLATE ")[0]
    if known.word in STRINGS:
        collation = f" COLLATE {known.collation}" if known.collation else ""
        return f"CAST({string(text)}{collation} AS {bare})"
    if known.word in ("binary", "varbinary"):
        return f"CAST(0x{hex_digits(text)} AS {bare})"
    match = FORMS[known.word].fullmatch(text) if known.word in FORMS else None
    if match is None:
        raise InternalError(f"a position in a column of type {type} does not have the form of its values")
    if known.word == "rowversion":
        return f"0x{int(text):016x}"
    if known.word in NUMBERS:
        return f"CAST({text} AS {bare})"
    return f"CAST('{_moment(match, known.word) if known.word in MOMENTS else text}' AS {bare})"


def _moment(match: re.Match[str], word: str) -> str:
    fraction = (match[3] or "")[: MOMENTS[word]]
    moment = f"{match[1]}T{match[2]}" + (f".{fraction}" if fraction else "")
    return moment + ("+00:00" if word == "datetimeoffset" else "")


def string(text: str) -> str:
    """Return the Unicode literal of a text, in ASCII: ``N'it''s'``, ``CAST(0xE900 AS nvarchar(1))``.

    A NUL character would end the statement for the driver; for other characters see `odbc._in_bulk`.
    """
    if text.isascii() and "\0" not in text:
        return "N'" + text.replace("'", "''") + "'"
    digits = utf16_hex(text)
    units = len(digits) // 4
    return f"CAST(0x{digits} AS nvarchar({units if units <= UNITS else 'max'}))"


def utf16_hex(text: str) -> str:
    """Return the text as SQL Server stores it, in hex digits; a lone surrogate stays what it was."""
    exact = text.encode(errors="surrogateescape").decode(errors="surrogatepass")
    return exact.encode("utf-16-le", "surrogatepass").hex().upper()
