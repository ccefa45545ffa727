"""Values of every type that Hypothesis draws: written by the driver, moved, and read in the warehouse.

Each type is a column of one table and each drawn row a row of it, so thousands of values need one run.
"""

from __future__ import annotations

import ipaddress
import json
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from datetime import time as clock_time
from decimal import Context, Decimal
from typing import Any, cast

import hypothesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import strategies as st

from tests.integration.engines.moving import move
from tests.integration.engines.source import Source
from tests.integration.redshift_warehouse import Warehouse

ROWS = 250
EXACT = Context(prec=100)


Strategy = st.SearchStrategy[Any]


def same(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Drawn:
    """A type's values: how they are drawn, given to the driver, and what the warehouse says of them.

    `cast` goes around the parameter where the driver cannot tell the type.
    """

    values: Strategy
    arrived: Callable[[Any], Any] = same
    given: Callable[[Any], Any] = same
    cast: str = "{}"
    read: Callable[[Any], Any] = same


def integers(bits: int, *, unsigned: bool = False) -> Strategy:
    low, high = (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return st.integers(low, high) | st.sampled_from([low, high, 0])


def decimals(whole: int, scale: int) -> Strategy:
    most = 10 ** (whole + scale) - 1
    return (st.integers(-most, most) | st.integers(-99, 99)).map(lambda n: Decimal(f"{n}e-{scale}"))


def fixed(scale: int) -> Callable[[Decimal], str]:
    def shown(value: Decimal) -> str:
        return format(value.quantize(Decimal(f"1e-{scale}"), context=EXACT), "f")

    return shown


def bits_of(value: float | str, form: str = ">d") -> bytes:
    """Return a float's bits, every NaN's alike; the Data API gives NaN and infinities as text."""
    number = float(value)
    return b"NaN" if math.isnan(number) else struct.pack(form, number)


def floats(width: int, *, finite: bool = False) -> Drawn:
    special = not finite  # such a server has no negative zero either
    drawn = st.floats(width=cast(Any, width), allow_nan=special, allow_infinity=special)
    if finite:
        drawn = drawn.map(lambda value: value + 0.0)

    def bits(value: float | str) -> bytes:
        return bits_of(value, ">f" if width == 32 else ">d")

    return Drawn(drawn, arrived=bits, read=bits)


def texts(characters: int, *, encoding: str = "utf-8", **without: Any) -> Strategy:
    alphabet = st.characters(codec=encoding, exclude_characters="\0", **without)
    return st.text(alphabet, max_size=characters) | st.sampled_from(
        ["", " ", '"', '"",\n', "\\N", "NULL", "\r\n"]
    )


def stamps(first: datetime, last: datetime) -> Strategy:
    return st.datetimes(first, last) | st.sampled_from([first, last, datetime(2026, 3, 29, 2, 30)])


def shown(moment: datetime) -> str:
    """Return a time as the Data API shows it."""
    text = moment.replace(tzinfo=None).isoformat(" ")
    return (text.rstrip("0") if "." in text else text) + ("+00" if moment.tzinfo else "")


def in_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC)


def of_day(moment: clock_time) -> str:
    text = moment.isoformat()
    return text.rstrip("0") if "." in text else text


JSON_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
JSON_LEAF = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | JSON_TEXT
)
JSON = st.recursive(
    JSON_LEAF,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(JSON_TEXT, inner, max_size=3),
    max_leaves=5,
)


def numbers(text: str | None) -> Any:
    """Read JSON with every number as a Decimal: the warehouse may write 1e2 as 100."""
    return None if text is None else json.loads(text, parse_float=Decimal, parse_int=Decimal)


def json_in_sqlite(value: Any) -> Any:
    """Return what a column of type JSON keeps: with NUMERIC affinity, a whole float becomes an integer."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
        return Decimal(int(value))
    return numbers(json.dumps(value))


FIRST, LAST = datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999_999)
DAYS = st.dates() | st.sampled_from([date.min, date.max, date(2024, 2, 29)])
DAY = Drawn(DAYS, date.isoformat, date.isoformat)
UUIDS = Drawn(st.uuids(), str, str)
HEX = Drawn(st.binary(max_size=20), bytes.hex)

POSTGRESQL: dict[str, Drawn] = {
    "smallint": Drawn(integers(16)),
    "integer": Drawn(integers(32)),
    "bigint": Drawn(integers(64)),
    "numeric(10,2)": Drawn(decimals(8, 2), fixed(2)),
    "numeric(38,37)": Drawn(decimals(1, 37), fixed(37)),
    "numeric": Drawn(decimals(28, 10), fixed(10)),
    "numeric(60,20)": Drawn(decimals(18, 20), fixed(20)),
    "real": floats(32),
    "double precision": floats(64),
    "boolean": Drawn(st.booleans()),
    "text": Drawn(texts(30)),
    "varchar(5)": Drawn(texts(2)),
    "character(5)": Drawn(texts(2), lambda v: v.ljust(5)),
    "bytea": HEX,
    "date": Drawn(DAYS, date.isoformat, str, "{}::text::date"),
    "timestamp": Drawn(stamps(FIRST, LAST), shown, str, "{}::text::timestamp"),
    "timestamptz": Drawn(stamps(FIRST, LAST).map(in_utc), shown, str, "{}::text::timestamptz"),
    "time": Drawn(st.times(), of_day, str, "{}::text::time"),
    "uuid": UUIDS,
    "json": Drawn(JSON, lambda v: numbers(json.dumps(v)), json.dumps, "{}::text::json", numbers),
    "jsonb": Drawn(JSON, lambda v: numbers(json.dumps(v)), json.dumps, "{}::text::jsonb", numbers),
    "integer[]": Drawn(st.lists(st.none() | integers(32), max_size=4), read=json.loads),
    "text[]": Drawn(st.lists(st.none() | texts(5), max_size=4), read=json.loads),
    "inet": Drawn(st.ip_addresses(), same, str, "{}::text::inet", ipaddress.ip_address),
    "bit(9)": Drawn(st.integers(0, 511).map(lambda n: f"{n:09b}"), cast="{}::text::bit(9)"),
    "interval": Drawn(
        st.integers(2, 10**9) | st.integers(-(10**9), -2),
        lambda n: f"{n} days",
        lambda n: f"{n} days",
        "{}::text::interval",
    ),
}

MYSQL: dict[str, Drawn] = {
    "tinyint": Drawn(integers(8)),
    "tinyint unsigned": Drawn(integers(8, unsigned=True)),
    "smallint unsigned": Drawn(integers(16, unsigned=True)),
    "mediumint": Drawn(integers(24)),
    "int unsigned": Drawn(integers(32, unsigned=True)),
    "bigint": Drawn(integers(64)),
    "bigint unsigned": Drawn(integers(64, unsigned=True), str),
    "bit(64)": Drawn(integers(64, unsigned=True), str),
    "bit(1)": Drawn(st.integers(0, 1)),
    "decimal(10,2)": Drawn(decimals(8, 2), fixed(2)),
    "decimal(65,30)": Drawn(decimals(8, 30), fixed(30)),
    "float": floats(32, finite=True),
    "double": floats(64, finite=True),
    "text": Drawn(texts(30)),
    "varchar(5)": Drawn(texts(2)),
    "varchar(9) CHARACTER SET latin1": Drawn(texts(9, encoding="latin-1", exclude_categories=["Cc"])),
    "varchar(9) CHARACTER SET utf16": Drawn(texts(9)),
    "char(5)": Drawn(texts(2), lambda v: v.rstrip(" ")),
    "varbinary(30)": HEX,
    "blob": HEX,
    "date": DAY,
    "datetime(6)": Drawn(stamps(FIRST, LAST), shown, str),
    "datetime": Drawn(stamps(FIRST, LAST).map(lambda v: v.replace(microsecond=0)), shown, str),
    "timestamp(6)": Drawn(
        stamps(datetime(1970, 1, 1, 0, 0, 1), datetime(2038, 1, 19, 3, 14, 7)),
        lambda v: shown(in_utc(v)),
        str,
    ),
    "time(6)": Drawn(
        st.tuples(
            st.sampled_from(["", "-"]), st.integers(0, 838), st.integers(0, 59), st.integers(1, 59)
        ).map(lambda t: f"{t[0]}{t[1]:02d}:{t[2]:02d}:{t[3]:02d}.{t[2]:06d}")
    ),
    "year": Drawn(st.integers(1901, 2155)),
    "enum('a','b c','ü\"')": Drawn(st.sampled_from(["a", "b c", 'ü"'])),
    "set('x','y')": Drawn(st.sampled_from(["", "x", "x,y"])),
    "uuid": Drawn(st.uuids(version=1) | st.uuids(version=4), str, str),  # it refuses others
    "inet6": Drawn(st.ip_addresses(v=6), same, str, read=ipaddress.ip_address),
    "json": Drawn(JSON.map(json.dumps)),
}

SQLITE: dict[str, Drawn] = {
    "INTEGER": Drawn(integers(64)),
    "NUMERIC": Drawn(integers(63), lambda n: f"{n}.0000000000"),
    "DECIMAL(12,4)": Drawn(
        st.integers(-(10**10), 10**10).map(lambda n: n / 10**4), lambda v: fixed(4)(Decimal(repr(v)))
    ),
    "REAL": Drawn(st.floats(allow_nan=False), bits_of, read=bits_of),
    "TEXT": Drawn(texts(30)),
    "BLOB": HEX,
    "BOOLEAN": Drawn(st.booleans()),
    "DATE": DAY,
    "DATETIME": Drawn(stamps(FIRST, LAST), shown, str),
    "JSON": Drawn(JSON, json_in_sqlite, json.dumps, read=numbers),
}
TYPES = {"postgresql": POSTGRESQL, "mysql": MYSQL, "sqlite": SQLITE}


def rows_of(types: dict[str, Drawn], *, seed: int, count: int) -> list[tuple[Any, ...]]:
    """Draw rows, one value per type, some of them None."""
    rows: list[tuple[Any, ...]] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.tuples(*(drawn.values | st.none() for drawn in types.values())))
    def draw(row: tuple[Any, ...]) -> None:
        rows.append(row)

    draw()
    return rows


def write(source: Source, table: str, types: dict[str, Drawn], rows: list[tuple[Any, ...]]) -> None:
    """Make the table and insert the rows with the driver's own parameters."""
    columns = ", ".join(f"c{place} {type} NULL" for place, type in enumerate(types))
    source.execute(f"CREATE TABLE {table} (id INTEGER NOT NULL PRIMARY KEY, {columns})")
    holder = {"postgresql": ":p{}", "mysql": "%s", "sqlite": "?"}[source.name]
    holders = [holder.format(0)]
    holders += [drawn.cast.format(holder.format(place + 1)) for place, drawn in enumerate(types.values())]
    given = [
        [
            number,
            *(None if v is None else drawn.given(v) for v, drawn in zip(row, types.values(), strict=True)),
        ]
        for number, row in enumerate(rows)
    ]
    source.insert(f"INSERT INTO {table} VALUES ({', '.join(holders)})", given)


def check(source: Source, warehouse: Warehouse, *, seed: int) -> None:
    types = TYPES[source.name]
    rows = rows_of(types, seed=seed, count=ROWS)
    table = f"drawn_{seed}"
    write(source, table, types, rows)
    moved = move(source, warehouse, table, page_rows=97)
    assert (moved.result.failure, moved.result.rows, moved.result.altered) == (None, len(rows), ())
    loaded = moved.rows(", ".join(f"c{place}" for place in range(len(types))))
    for place, (type, drawn) in enumerate(types.items()):
        for row, cells in zip(rows, loaded, strict=True):
            value, cell = row[place], cells[place]
            expected = None if value is None else drawn.arrived(value)
            arrived = None if cell is None else drawn.read(cell)
            assert (type, value, arrived) == (type, value, expected)
