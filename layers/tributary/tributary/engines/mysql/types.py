"""MySQL's and MariaDB's types: the kind of each, and its family: how its values are written.

TYPES has an entry per type of the manuals' chapters, FAMILIES one per text form. A type belongs to one family
or is refused by its name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from tributary.engines.protocol import unsupported
from tributary.model.source_catalog import SourceColumn
from tributary.model.types import Kind, decimal
from tributary.reading.repair import MISFIT

FamilyName = Literal[
    "number",
    "bits",
    "float",
    "date",
    "datetime",
    "timestamp",
    "time",
    "text",
    "doubtful",
    "plain",
    "binary",
    "geometry",
]


@dataclass(frozen=True, slots=True)
class Family:
    """Expressions of values: `text` is the exact text, `field` is what is read; `raw` if that is bytes."""

    text: str
    field: str
    raw: bool = False


# FLOAT renders six digits; the product is a DOUBLE and renders all of them. A client gets BIT as bytes, and
# the sum as a number.
TEXT = "CONVERT({0} USING utf8mb4)"
# A byte that is not a character of its set becomes a question mark without an error, and some codes of big5
# and tis620 become U+FFFD, which no such set has. If the text has one, or more question marks than the bytes,
# a misfit is read instead. With utf8mb4_bin, REPLACE and LOCATE compare characters exactly.
QUESTION_MARKS = (
    "CHAR_LENGTH(" + TEXT + ") - CHAR_LENGTH(REPLACE(" + TEXT + " COLLATE utf8mb4_bin, '?', '')) "
    "= LENGTH({0}) - LENGTH(REPLACE(CAST({0} AS BINARY), '?', '')) "
    "AND LOCATE(_utf8mb4 x'EFBFBD', " + TEXT + " COLLATE utf8mb4_bin) = 0"
)
# Sets in which two codes are one character: its text, as a literal, finds the rows of one code only.
TWO_CODES = ("armscii8", "cp932", "eucjpms", "sjis", "ujis")
AS_CHAR = "CAST({0} AS CHAR)"
HEX = "HEX({0})"
ZONED = "CONCAT({0}, 'Z')"
FAMILIES: dict[FamilyName, Family] = {
    "number": Family(AS_CHAR, "{0}"),
    "bits": Family("CAST({0} + 0 AS CHAR)", "{0} + 0"),
    "float": Family("CAST({0} * 1e0 AS CHAR)", "{0} * 1e0"),
    "date": Family(AS_CHAR, "{0}"),
    "datetime": Family(AS_CHAR, "{0}"),
    "timestamp": Family(ZONED, ZONED),
    "time": Family(AS_CHAR, "{0}"),
    "text": Family(TEXT, "{0}"),
    "doubtful": Family(
        TEXT, f"IF({{0}} IS NULL OR {QUESTION_MARKS}, CAST({TEXT} AS BINARY), x'{MISFIT.hex()}')"
    ),
    "plain": Family(AS_CHAR, AS_CHAR),
    "binary": Family(HEX, "{0}", raw=True),
    "geometry": Family(HEX, "{0}", raw=True),
}


@dataclass(frozen=True, slots=True)
class Type:
    """A type: how its values are written, and their kind."""

    family: FamilyName
    kind: Kind | None = None  # None: the type's arguments decide
    orders: bool = True  # compared as it is ordered, exactly, with one text per value
    note: str = "exact"  # what arrives, in words


GEOMETRY = Type(
    "geometry",
    Kind("text"),
    orders=False,
    note="as text: the server's own form in hex, which is the SRID in four bytes, then WKB",
)
EXACT_TEXT = "exact; a byte that is not a character of its set is a misfit"
TYPES: dict[str, Type] = {
    # numeric
    "tinyint": Type("number", note="exact; a number also as `tinyint(1)`, unless `booleans` names it"),
    "smallint": Type("number"),
    "mediumint": Type("number"),
    "int": Type("number"),
    "bigint": Type("number"),
    "decimal": Type("number", note="exact, or refused if a value has more digits than a DECIMAL"),
    "float": Type("float", Kind("float32"), orders=False, note="exact, bit for bit"),
    "double": Type("float", Kind("float64"), orders=False, note="exact, bit for bit"),
    "bit": Type("bits", note="as the number whose bits they are"),
    # date and time
    "date": Type("date", Kind("date")),
    "datetime": Type("datetime", Kind("timestamp")),
    "timestamp": Type("timestamp", Kind("timestamptz"), note="exact, in UTC"),
    "time": Type("time", Kind("text", size_bytes=17), note="as text: `-838:59:59.000000`"),
    "year": Type("number", Kind("int16")),
    # strings
    "char": Type("text", note=f"{EXACT_TEXT}; the server itself removes the padding"),
    "varchar": Type("text", note=EXACT_TEXT),
    "tinytext": Type("text", note=EXACT_TEXT),
    "text": Type("text", note=EXACT_TEXT),
    "mediumtext": Type("text", note=EXACT_TEXT),
    "longtext": Type("text", note=EXACT_TEXT),
    "enum": Type("text", orders=False, note="its label"),
    "set": Type("text", orders=False, note="its labels, with commas"),
    "binary": Type("binary"),
    "varbinary": Type("binary"),
    "tinyblob": Type("binary"),
    "blob": Type("binary"),
    "mediumblob": Type("binary"),
    "longblob": Type("binary"),
    # JSON and spatial
    "json": Type(
        "text",
        Kind("json"),
        orders=False,
        note="the same value; numbers within are what JSON_PARSE makes of them",
    ),
    "geometry": GEOMETRY,
    "point": GEOMETRY,
    "linestring": GEOMETRY,
    "polygon": GEOMETRY,
    "multipoint": GEOMETRY,
    "multilinestring": GEOMETRY,
    "multipolygon": GEOMETRY,
    "geometrycollection": GEOMETRY,
    "geomcollection": GEOMETRY,
    # MySQL 9, MariaDB
    "vector": Type("binary", Kind("binary"), orders=False, note="its bytes: floats of four bytes each"),
    "uuid": Type("text", Kind("uuid")),
    "inet4": Type("plain", Kind("text", size_bytes=15), note="as its own text"),
    "inet6": Type("plain", Kind("text", size_bytes=39), note="as its own text"),
}
BITS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}
UNBOUNDED = {"tinytext": 255, "text": 65_535, "mediumtext": None, "longtext": None}
BLOBS = {"tinyblob": 255, "blob": 65_535, "mediumblob": None, "longblob": None}
TYPE = re.compile(r"(\w++)(?:\((.*)\))?([^)]*)", re.DOTALL)
LABEL = re.compile(r"'((?:[^']|'')*)'")


def _parsed(type: str) -> tuple[str, str, str]:
    """Return the type's name, its arguments in parentheses, and what follows."""
    match = TYPE.fullmatch(type)
    return (match[1].lower(), match[2] or "", match[3]) if match else (type, "", "")


def family(type: str) -> FamilyName:
    """Return how values of the type are written; as the server casts them if the type is not listed."""
    word, _, rest = _parsed(type)
    known = TYPES[word].family if word in TYPES else "plain"
    return "doubtful" if known == "text" and "character set" in rest else known


def kind(column: SourceColumn) -> Kind:
    """Return the kind of the column's values; raises UnsupportedType with the type's name."""
    word, arguments, rest = _parsed(column.type)
    if word not in TYPES:
        raise unsupported(column)
    if word in BITS:
        return _integer(BITS[word] + (1 if "unsigned" in rest else 0))
    if word == "bit":
        return _integer(int(arguments or 1) + 1)
    if word == "decimal":
        precision, scale = (int(part) for part in arguments.split(","))
        return decimal(precision, scale)
    known = TYPES[word]
    if known.kind is not None:
        return known.kind
    if known.family == "binary":
        return Kind("binary", size_bytes=BLOBS[word] if word in BLOBS else int(arguments or 1))
    return _text(word, arguments)


def _integer(bits: int) -> Kind:
    """Return the smallest kind for that number of bits, with the sign; tinyint(1) holds 2 to 127 too."""
    if bits > 64:
        return decimal(20, 0)
    return Kind("int16" if bits <= 16 else "int32" if bits <= 32 else "int64")


def _text(word: str, arguments: str) -> Kind:
    """Return the text kind with its limit in bytes: a character has up to four in UTF-8."""
    characters: int | None
    if word in UNBOUNDED:
        characters = UNBOUNDED[word]
    elif word in ("enum", "set"):
        labels = [len(label) for label in LABEL.findall(arguments)]
        characters = max(labels) if word == "enum" else sum(labels) + len(labels)
    else:
        characters = int(arguments or 1)
    return Kind("text", size_bytes=4 * max(characters, 1) if characters is not None else None)


def note(type: str) -> str:
    """Return in words what arrives of the type's values."""
    word = _parsed(type)[0]
    return TYPES[word].note if word in TYPES else "refused"


def orders(type: str) -> bool:
    """Return whether pages can be ordered by values of that type.

    ENUM and SET are ordered by their number and compared by their text, floats have no exact text, and a
    JSON value's order is not that of its text. In some character sets two values have one text.
    """
    word, _, rest = _parsed(type)
    return word in TYPES and TYPES[word].orders and rest.partition("character set ")[2] not in TWO_CODES
