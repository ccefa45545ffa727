"""PostgreSQL's types: the kind of each, how its values are rendered, and whether rows can be read by it.

One entry per type of the manual's chapter 8 and of pg_catalog. By default a value is rendered as COPY writes
it, by the type's own output function: that is what a dump contains.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tributary.engines.protocol import unsupported
from tributary.model.source_catalog import SourceColumn
from tributary.model.types import ANY_DECIMAL, Kind, decimal
from tributary.reading.keyset import hex_digits


@dataclass(frozen=True, slots=True)
class Type:
    """A type and the expressions of its values."""

    kind: Kind | None  # None: refused
    note: str = "exact"  # what arrives, in words
    orders: bool = False  # compared exactly and in an order of its own, with one text per value
    text: str = "{0}::text"  # the expression of a value's exact text
    field: str | None = None  # the expression that COPY writes, None for the column itself


def _text(size_bytes: int | None, note: str, *, orders: bool = False) -> Type:
    return Type(Kind("text", size_bytes=size_bytes), note, orders)


TO_JSON = "pg_catalog.to_json({0})"
HEX = "pg_catalog.encode({0}, 'hex')"
PLAIN_CHARACTER = (
    "pg_catalog.textin(pg_catalog.bpcharout({0}))"  # a cast would strip the blanks that COPY keeps
)
OWN_TEXT = "as its own text"
NAMED = "as text: the name, or the number if nothing has it any more"
INTERNAL = Type(None, "refused: a type of the server's own catalogs")

TYPES: dict[str, Type] = {
    # 8.1 numeric, and 8.2 monetary
    "smallint": Type(Kind("int16"), orders=True),
    "integer": Type(Kind("int32"), orders=True),
    "bigint": Type(Kind("int64"), orders=True),
    "numeric": Type(ANY_DECIMAL, "exact, or refused if a value has more digits", orders=True),
    "real": Type(Kind("float32"), "exact, bit for bit; NaN and infinities too"),
    "double precision": Type(Kind("float64"), "exact, bit for bit; NaN and infinities too"),
    "money": Type(
        decimal(19, 2), "exact, without its currency", text="{0}::numeric::text", field="{0}::numeric"
    ),
    # 8.3 character, 8.4 binary
    "character varying": Type(Kind("text"), orders=True),
    "character": Type(Kind("text"), "exact, with its padding", orders=True, text=PLAIN_CHARACTER),
    "bpchar": Type(Kind("text"), "exact", orders=True, text=PLAIN_CHARACTER),
    "text": Type(Kind("text"), orders=True),
    '"char"': _text(4, "exact"),
    "name": _text(4 * 63, "exact", orders=True),
    "bytea": Type(Kind("binary"), orders=True, text=HEX, field=HEX),
    # 8.5 date and time
    "timestamp without time zone": Type(Kind("timestamp"), orders=True),
    "timestamp with time zone": Type(Kind("timestamptz"), "exact, in UTC", orders=True),
    "date": Type(Kind("date"), orders=True),
    "time without time zone": _text(15, "as text: `12:30:00.5`", orders=True),
    "time with time zone": _text(24, "as text: `12:30:00.5+02`", orders=True),
    "interval": _text(100, "as text: `1 year 2 mons -3 days 04:05:06.789`"),
    # 8.6 boolean
    "boolean": Type(Kind("boolean"), orders=True),
    # 8.8 geometric
    "point": _text(64, "as text: `(1.5,-2)`"),
    "line": _text(96, "as text: `{1,-1,0}`"),
    "lseg": _text(128, "as text: `[(0,0),(1,1)]`"),
    "box": _text(128, "as text: `(1,1),(0,0)`"),
    "path": _text(None, "as text: `[(0,0),(1,1)]`"),
    "polygon": _text(None, "as text: `((0,0),(1,1),(1,0))`"),
    "circle": _text(96, "as text: `<(0,0),2.5>`"),
    # 8.9 network
    "cidr": _text(64, OWN_TEXT, orders=True),
    "inet": _text(64, OWN_TEXT, orders=True),
    "macaddr": _text(17, OWN_TEXT, orders=True),
    "macaddr8": _text(23, OWN_TEXT, orders=True),
    # 8.10 bit strings
    "bit": _text(None, "as text of zeros and ones", orders=True),
    "bit varying": _text(None, "as text of zeros and ones", orders=True),
    # 8.11 text search
    "tsvector": _text(None, OWN_TEXT),
    "tsquery": _text(None, OWN_TEXT),
    # 8.12 to 8.14
    "uuid": Type(Kind("uuid"), "exact, in lower case", orders=True),
    "xml": _text(None, "as text"),
    "json": Type(
        Kind("json", loose=True), "the same value; numbers within are what JSON_PARSE makes of them"
    ),
    "jsonb": Type(Kind("json"), "the same value; numbers within are what JSON_PARSE makes of them"),
    "jsonpath": _text(None, OWN_TEXT),
    # 8.19 object identifiers, 8.20 pg_lsn
    "oid": Type(Kind("int64"), orders=True),
    "regclass": _text(None, NAMED),
    "regcollation": _text(None, NAMED),
    "regconfig": _text(None, NAMED),
    "regdictionary": _text(None, NAMED),
    "regnamespace": _text(None, NAMED),
    "regoper": _text(None, NAMED),
    "regoperator": _text(None, NAMED),
    "regproc": _text(None, NAMED),
    "regprocedure": _text(None, NAMED),
    "regrole": _text(None, NAMED),
    "regtype": _text(None, NAMED),
    "xid": Type(Kind("int64")),
    "cid": Type(Kind("int64")),
    "tid": _text(24, "as text: `(0,1)`"),
    "xid8": Type(decimal(20, 0), orders=True),
    "pg_lsn": _text(17, "as text: `16/B374D848`", orders=True),
    # not in the chapter, but possible in a column
    "pg_snapshot": _text(None, OWN_TEXT),
    "txid_snapshot": _text(None, OWN_TEXT),
    "refcursor": _text(None, OWN_TEXT),
    "aclitem": _text(None, OWN_TEXT),
    "int2vector": _text(None, OWN_TEXT),
    "oidvector": _text(None, OWN_TEXT),
    "gtsvector": INTERNAL,
    "pg_brin_bloom_summary": INTERNAL,
    "pg_brin_minmax_multi_summary": INTERNAL,
    "pg_dependencies": INTERNAL,
    "pg_mcv_list": INTERNAL,
    "pg_ndistinct": INTERNAL,
    "pg_node_tree": INTERNAL,
}

# Types that users and extensions define, by the word that the catalog query puts before the name.
JSON = Type(Kind("json"), "as `to_json` writes it: JSON", text="pg_catalog.to_json({0})::text", field=TO_JSON)
DEFINED: dict[str, Type] = {
    "enum": Type(Kind("text", size_bytes=4 * 63), "its label", orders=True),  # a label is a name: 63 bytes
    "array": JSON,
    "composite": JSON,
    "range": _text(None, "as text: `[1,10)`"),
    "multirange": _text(None, "as text: `{[1,3),[5,8)}`"),
    "other": _text(None, "as its own text, which is what a dump holds"),
}
EXTENSIONS: dict[str, Type] = {"hstore": JSON}

ARGUMENTS = re.compile(r"\((-?\d+)(?:,(-?\d+))?\)")
INTERVAL = re.compile(r"interval\b.*")
LAST_NAME = re.compile(r'.*?"?(\w+)"?(?:\(.*)?', re.DOTALL)


def find(type: str) -> Type | None:
    """Return the entry of a column's type, as the catalog writes it; None if it has none."""
    word, _, name = type.partition(" ")
    if word in DEFINED:
        extension = LAST_NAME.fullmatch(name)
        return EXTENSIONS.get(extension[1] if extension else "", DEFINED[word])
    return TYPES.get(INTERVAL.sub("interval", ARGUMENTS.sub("", type)))


def kind(column: SourceColumn) -> Kind:
    """Return the kind of the column's values; raises UnsupportedType with the type's name."""
    known = find(column.type)
    if known is None or known.kind is None:
        raise unsupported(column)
    digits = ARGUMENTS.search(column.type)
    if column.type.startswith("numeric(") and digits:
        return _decimal(int(digits[1]), int(digits[2] or 0))
    if column.type.startswith("character") and digits:
        return Kind("text", size_bytes=4 * int(digits[1]))
    if column.type.startswith("bit") and digits:
        return Kind("text", size_bytes=int(digits[1]))
    return known.kind


def _decimal(precision: int, scale: int) -> Kind:
    """Return the decimal that holds every value; PostgreSQL also has numeric(3,-2) and numeric(2,4)."""
    digits = precision - scale if scale < 0 else max(precision, scale)
    return decimal(digits, max(scale, 0))


def note(type: str) -> str:
    """Return in words what arrives of the type's values."""
    known = find(type)
    return known.note if known else "refused"


def orders(type: str) -> bool:
    """Return whether pages can be ordered by values of that type."""
    known = find(type)
    return known is not None and known.orders


def text(reference: str, type: str) -> str:
    """Return the expression of a value's exact text."""
    known = find(type)
    return (known.text if known else "{0}::text").format(reference)


def field(reference: str, type: str) -> str:
    """Return the expression that COPY writes."""
    known = find(type)
    return (known.field or "{0}" if known else "{0}").format(reference)


def literal(text: str, type: str) -> str:
    """Return the literal of that exact type: ``'2024-01-02'::date``."""
    if type == "bytea":
        return f"'\\x{hex_digits(text)}'::bytea"
    word, _, name = type.partition(" ")
    return "'" + text.replace("'", "''") + "'::" + (name if word in DEFINED else type)
