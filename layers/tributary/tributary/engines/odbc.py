"""Reading through ODBC: columns in bulk by arrow-odbc, small queries and odd rows by pyodbc.

ODBC's own times lose precision, its texts depend on locales, code pages and drivers, and its drivers
convert wrongly between what is bound and what is selected. So integers and floats are selected as exactly
what is bound, decimals are bound as the answer itself says they are, dates are the number of a day, and all
else travels as bytes that the server rendered: exact text in ASCII or UTF-16, or the binary itself.
A transit buffer has a bound. A value beyond it is never cut: its page is read again, in the end row by row.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from tributary.engines.network import CONNECT_TIMEOUT_S
from tributary.errors import (
    ConfigError,
    InternalError,
    QueryCancelled,
    SourceRefused,
    SourceUnavailable,
    TableRefused,
    TributaryError,
)
from tributary.model.query import Page, Query, ReadColumn
from tributary.model.source_catalog import TableName
from tributary.model.types import Kind
from tributary.reading import csv_pages, keyset, values
from tributary.reading.csv_blocks import BLOCK_BYTES, Block

if TYPE_CHECKING:
    import pyarrow

CAPS_BYTES = (8_192, 262_144)  # of a transit buffer for one value; beyond the last, rows are read one by one
TRANSIT_BYTES = 8 << 20  # of the buffer for all the rows of one fetch: one is filled while one is read
ROW_BYTES_AT_MOST = 32 << 20  # of the buffers of one row, however many columns it has
FETCH_ROWS = 65_535
EPOCH = date(1970, 1, 1)
FINER = r"(\.\d{6})\d+"  # a warehouse's times have six decimals: what is finer is cut, never rounded up

Form = Literal["int32", "int64", "float64", "decimal", "days", "utf-8", "utf-16", "bytes"]
NUMBERS = ("int32", "int64", "float64", "decimal", "days")  # days are counted from 1970-01-01
Meaning = Literal["cancelled", "forbidden", "gone", "unreadable", "broken", "busy", "refused"]


@dataclass(frozen=True, slots=True)
class Wire:
    """How a column travels: the expression to select, and what its values are.

    `size_bytes` bounds what is no number, None where it is unbounded. `finer`: texts of times that may
    have more than six decimals.
    """

    sql: str
    form: Form
    size_bytes: int | None = None
    finer: bool = False


@dataclass(frozen=True, slots=True)
class Dialect:
    """What differs between databases behind ODBC.

    `meanings`: of a server's own error numbers, and of SQLSTATEs where the standard's meaning is not
    meant. `driver_times_out`: whether the driver bounds a statement's time; else the pins must.
    """

    wire: Callable[[ReadColumn], Wire]
    select: Callable[[Query, Sequence[str]], str]
    meanings: Mapping[str, Meaning]
    driver_times_out: bool = True


@dataclass(slots=True)
class Session:
    """One connection at a time: through pyodbc or through arrow-odbc, whichever is asked for.

    `pins` are the statements that make a connection ours. `caps` says which of CAPS_BYTES a table
    has needed so far, len(CAPS_BYTES) where none was enough. A session that broke stays broken.
    """

    dialect: Dialect
    connection_string: str = field(repr=False)
    where: str
    pins: tuple[str, ...]
    statement_timeout_s: int
    rows: Any = None
    bulk: Any = None
    broken: bool = False
    caps: dict[TableName, int] = field(default_factory=dict)


# --- sessions -----------------------------------------------------------------------------------


def connection_string(parts: Mapping[str, str]) -> str:
    """Return the connection string; every value stands in braces, so that none can end before its end."""
    return "".join(f"{name}={{{value.replace('}', '}}')}}};" for name, value in parts.items())


def open_session(
    dialect: Dialect, connection: str, *, where: str, pins: Sequence[str], statement_timeout_s: int
) -> Session:
    """Connect, which proves host, user, database and pins; see `Engine.connect` for what it raises."""
    session = Session(dialect, connection, where, tuple(pins), statement_timeout_s)
    by_rows(session)
    return session


def close(session: Session) -> None:
    """Close the session; never raises."""
    rows, session.rows, session.bulk = session.rows, None, None
    if rows is not None:
        with suppress(Exception):  # of the driver
            rows.close()


def by_rows(session: Session) -> Any:
    """Return the pyodbc connection, opened and pinned if it is not there."""
    if session.rows is None:
        pyodbc = _drivers().pyodbc
        pyodbc.pooling = False  # a pooled connection would keep our settings for somebody else
        close(session)
        with _connecting(session):
            connection = pyodbc.connect(session.connection_string, autocommit=True, timeout=CONNECT_TIMEOUT_S)
            if session.dialect.driver_times_out:
                connection.timeout = session.statement_timeout_s
            for pin in session.pins:
                connection.execute(pin).close()
        session.rows = connection
    return session.rows


def in_bulk(session: Session) -> Any:
    """Return the arrow-odbc connection, opened and pinned if it is not there."""
    if session.bulk is None:
        arrow_odbc = _drivers().arrow_odbc
        close(session)
        with _connecting(session):
            connection = arrow_odbc.connect(session.connection_string, login_timeout_sec=CONNECT_TIMEOUT_S)
            for pin in session.pins:
                connection.read_arrow_batches(pin, batch_size=1, max_text_size=8, max_binary_size=8)
        session.bulk = connection
    return session.bulk


@dataclass(frozen=True, slots=True)
class _Drivers:
    pyodbc: Any
    arrow_odbc: Any


def _drivers() -> _Drivers:
    """Import what speaks ODBC: not there unless the ODBC parts were built into the drivers layer."""
    try:
        import arrow_odbc
        import pyodbc
    except (ImportError, OSError):
        raise ConfigError(NOT_BUILT) from None
    return _Drivers(pyodbc, arrow_odbc)


NOT_BUILT = (
    "this engine needs the ODBC parts of the drivers layer, which this build left out; take them in, in "
    'layers/drivers/requirements.txt, and deploy again: see "SQL Server" in docs/configuration.md'
)

# --- errors: the one place where the drivers' become ours ---------------------------------------

STATE = re.compile(r"State: (\w{5}), Native error: (-?\d+)")  # as arrow-odbc words it
NATIVE = re.compile(r"\((-?\d+)\) \(SQL\w+\)")  # as pyodbc words it
TOO_LARGE = "too large to be written into the allocated buffer"
NO_DRIVER = re.compile(r"Can't open lib|Data source name not found")
TLS = re.compile(r"SSL|TLS|certificate", re.IGNORECASE)
STANDARD: dict[str, Meaning] = {  # SQLSTATEs, or their classes
    "08": "broken",
    "HYT00": "cancelled",
    "HYT01": "broken",
    "HY008": "cancelled",
    "40001": "broken",
    "42S02": "gone",
    "42S22": "gone",
    "28000": "refused",
}


class _Cut(Exception):
    """A value did not fit its transit buffer."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What an ODBC error says in its codes; its text stays behind."""

    state: str
    native: str

    def __str__(self) -> str:
        return self.state if self.native in ("0", "1") else f"{self.state}, {self.native}"


def failure(error: Exception) -> Failure:
    """Return the codes of a driver's error."""
    text = str(error)
    if found := STATE.search(text):
        return Failure(found[1], found[2])
    state = str(error.args[0])[:5] if error.args and type(error).__module__.startswith("pyodbc") else "HY000"
    native = NATIVE.search(text)
    return Failure(state, native[1] if native else "0")


def meaning(dialect: Dialect, known: Failure) -> Meaning | None:
    """Return what the failure means, by the server's number, then by SQLSTATE, then by its class."""
    told = dialect.meanings
    for code in (known.native, known.state, known.state[:2]):
        if found := told.get(code) or STANDARD.get(code):
            return found
    return None


def _is_drivers(error: Exception) -> bool:
    drivers = _drivers()
    return isinstance(error, (drivers.pyodbc.Error, drivers.arrow_odbc.Error))


@contextmanager
def _connecting(session: Session) -> Iterator[None]:
    """Turn what goes wrong while connecting into our errors."""
    if session.broken:
        raise SourceUnavailable(f"the connection to {session.where} broke")
    try:
        yield
    except Exception as error:
        if not _is_drivers(error):
            raise
        raise _refused(session, error) from None


def _refused(session: Session, error: Exception) -> TributaryError:
    where, known = session.where, failure(error)
    if NO_DRIVER.search(str(error)):
        return ConfigError(NOT_BUILT)
    meant = meaning(session.dialect, known)
    if TLS.search(str(error)) and meant != "refused":
        return SourceRefused(
            f"TLS with {where} failed ({known}); put the authority's PEM into the secret's "
            '"sslrootcert", or set "sslmode" there: require, or disable on a network that you trust'
        )
    if meant in ("refused", "forbidden", "gone"):
        return SourceRefused(f"{where} refused the connection ({known}); check username, password and dbname")
    if meant == "busy":
        return SourceUnavailable(f"{where} has no connection free ({known}); lower max_connections")
    if meant in ("broken", "cancelled"):
        return SourceUnavailable(f"{where} cannot be reached, or fell silent ({known}); check host and port")
    return SourceRefused(f"{where} refused the connection ({known}); check the secret")


@contextmanager
def queries(session: Session, table: TableName | None = None) -> Iterator[None]:
    """Turn what goes wrong in a statement into our errors."""
    try:
        yield
    except Exception as error:
        if not _is_drivers(error):
            raise
        if TOO_LARGE in str(error):
            raise _Cut from None
        ours = _reduced(session, failure(error), str(table or "a table"))
        session.broken = isinstance(ours, SourceUnavailable)
        raise ours from None


def _reduced(session: Session, known: Failure, table: str) -> TributaryError:
    where = session.where
    match meaning(session.dialect, known):
        case "cancelled":
            return QueryCancelled(f"{where} cancelled a query on {table} ({known})")
        case "forbidden" | "refused":
            return TableRefused(f"{table} may not be read ({known}); grant SELECT on it to the source's user")
        case "gone":
            return TableRefused(f"{table}, or a column that is read of it, does not exist any more ({known})")
        case "unreadable":
            return TableRefused(f"{table} cannot be read in the session's isolation level ({known})")
        case "broken" | "busy":
            return SourceUnavailable(f"{where} could not finish a query on {table} ({known})")
    return InternalError(f"{where} failed on {table} with {known}")


# --- small queries ------------------------------------------------------------------------------


def ask(session: Session, sql: str) -> tuple[str | None, ...] | None:
    """Return the first row of a small query as texts, None where there is none."""
    answer = answers(session, sql, at_most=1)
    return answer[0] if answer else None


def answers(session: Session, sql: str, *, at_most: int | None = None) -> list[tuple[str | None, ...]]:
    """Return a small query's rows as texts."""
    connection = by_rows(session)
    with queries(session), closing(connection.cursor()) as cursor:
        cursor.execute(sql)
        if cursor.description is None:
            return []
        found = cursor.fetchall() if at_most is None else cursor.fetchmany(at_most)
    return [tuple(None if value is None else _text(value) for value in row) for row in found]


def _text(value: object) -> str:
    if isinstance(value, bytes | bytearray):
        return value.hex()
    return str(int(value)) if isinstance(value, bool) else str(value)


# --- reading ------------------------------------------------------------------------------------


def read(session: Session, query: Query) -> Generator[Page]:
    """Run the query and yield its rows; see `Engine.read`.

    An ordered query goes on after the last page with larger buffers, in the end by rows. One without
    an order cannot be taken up again: it is read in bulk only where no value can be too long.
    """
    wires = [session.dialect.wire(column) for column in query.columns]
    level = _first_level(session, query, wires)
    position, limit = query.position, query.limit
    while True:
        rest = replace(query, position=position, limit=limit)
        in_bulk = level < len(CAPS_BYTES) and _fits(wires, CAPS_BYTES[level])
        try:
            for page in (_in_bulk if in_bulk else _by_rows)(session, rest, wires, level):
                position = page.position
                limit = None if limit is None else limit - page.rows
                yield page
            return
        except _Cut:
            if not query.order:
                raise InternalError(f"a value of {query.table} is longer than its type allows") from None
            level += 1
            session.caps[query.table] = level


def _first_level(session: Session, query: Query, wires: Sequence[Wire]) -> int:
    if not query.order:
        return len(CAPS_BYTES) if any(_is_long(wire) for wire in wires) else 0
    return session.caps.get(query.table, 0)


def _is_long(wire: Wire) -> bool:
    return wire.form not in NUMBERS and (wire.size_bytes is None or wire.size_bytes > CAPS_BYTES[0])


def _cap_bytes(wires: Sequence[Wire], cap_bytes: int) -> int:
    """Return the buffer that the widest of the columns needs, the cap where it may be wider than that."""
    sizes = [
        cap_bytes if _is_long(wire) else wire.size_bytes or 0 for wire in wires if wire.form not in NUMBERS
    ]
    return max(sizes, default=0) + 8  # so that a value which fills its buffer is one that was cut


def _fits(wires: Sequence[Wire], cap_bytes: int) -> bool:
    return len(wires) * _cap_bytes(wires, cap_bytes) <= ROW_BYTES_AT_MOST


def _in_bulk(session: Session, query: Query, wires: Sequence[Wire], level: int) -> Generator[Page]:
    """Yield the query's rows, fetched by columns.

    A thread of arrow-odbc fetches the next rows meanwhile. The time spent waiting for the source is
    what its time-out is about: the driver's ends with the first row.
    """
    cap_bytes = _cap_bytes(wires, CAPS_BYTES[level])
    sql = session.dialect.select(query, [wire.sql for wire in wires])
    connection = in_bulk(session)
    waited_s, started = 0.0, time.monotonic()
    gathered = _Gathered(query, wires)
    with queries(session, query.table):
        reader = connection.read_arrow_batches(
            sql,
            batch_size=FETCH_ROWS if query.limit is None else min(FETCH_ROWS, query.limit),
            max_bytes_per_batch=max(TRANSIT_BYTES, len(wires) * cap_bytes),
            max_text_size=cap_bytes,
            max_binary_size=cap_bytes,
            map_schema=partial(_schema, query, wires),
            fetch_concurrently=True,
            query_timeout_sec=session.statement_timeout_s if session.dialect.driver_times_out else None,
        )
        while (batch := next(reader, None)) is not None:
            waited_s += time.monotonic() - started
            _check_uncut(batch, wires, cap_bytes)
            if waited_s > session.statement_timeout_s:
                raise QueryCancelled(f"a query on {query.table} took longer than its time-out")
            yield from gathered.add(batch)
            started = time.monotonic()
    yield from gathered.rest()


def _schema(query: Query, wires: Sequence[Wire], told: pyarrow.Schema) -> pyarrow.Schema:
    """Return what the columns are bound as, given what the answer's own description says.

    A decimal has the digits of that description: of more than a buffer of fewer is made for, some would be
    cut off without a word. Whether they are as many as planned is seen where the values are. Raises
    TableRefused where it is a decimal no more.
    """
    import pyarrow as pa

    bound = {"int32": pa.int32(), "int64": pa.int64(), "float64": pa.float64(), "days": pa.int32()}
    fields = []
    for place, wire in enumerate(wires):
        type = bound.get(wire.form, pa.binary())
        if wire.form == "decimal":
            type = told.field(place).type
            if not pa.types.is_decimal128(type):
                raise _no_decimal(query, place)
        fields.append((f"c{place}", type))
    return pa.schema(fields)


def _no_decimal(query: Query, place: int) -> TableRefused:
    return TableRefused(
        f'column "{query.columns[place].name}" of {query.table} is no decimal any more; '
        "the next run reads what it is now"
    )


def bound_as_decimal(kind: Kind) -> bool:
    """Say whether a column may travel as a decimal.

    arrow-odbc's buffer takes the digits, a sign and a point: not the 0 that some drivers write before the
    point where all digits are behind it.
    """
    return kind.name == "decimal" and not kind.loose and (kind.precision or 0) > (kind.scale or 0)


def _check_uncut(batch: pyarrow.RecordBatch, wires: Sequence[Wire], cap_bytes: int) -> None:
    """Raise _Cut where a value fills its buffer: a driver that does not say what it cut is caught so."""
    import pyarrow.compute as pc

    for wire, column in zip(wires, batch.columns, strict=True):
        if wire.form not in NUMBERS and (pc.max(pc.binary_length(column)).as_py() or 0) >= cap_bytes:
            raise _Cut


class _Gathered:
    """Gathers batches until they are worth a page."""

    def __init__(self, query: Query, wires: Sequence[Wire]) -> None:
        self._query, self._wires = query, wires
        self._batches: list[pyarrow.RecordBatch] = []
        self._size_bytes = 0

    def add(self, batch: pyarrow.RecordBatch) -> Iterator[Page]:
        """Take the rows in; yield the page that is full with them."""
        if not batch.num_rows:
            return
        self._batches.append(batch)
        self._size_bytes += batch.nbytes
        if self._size_bytes >= BLOCK_BYTES:
            yield from self.rest()

    def rest(self) -> Iterator[Page]:
        """Yield what is there, if anything is."""
        if self._batches:
            position = self._position(self._batches[-1]) if self._query.order else None
            rows = sum(batch.num_rows for batch in self._batches)
            parse = partial(_parse, self._batches, self._query, self._wires)
            yield Page(rows, position, self._size_bytes, parse)
            self._batches, self._size_bytes = [], 0

    def _position(self, batch: pyarrow.RecordBatch) -> tuple[str, ...]:
        last = (column[-1].as_py() for column in batch.columns)
        texts = (_field_of(wire, value) for wire, value in zip(self._wires, last, strict=True))
        return keyset.position(
            self._query, [None if text is None else text.decode(errors="surrogateescape") for text in texts]
        )


def _parse(
    batches: Sequence[pyarrow.RecordBatch], query: Query, wires: Sequence[Wire]
) -> tuple[pyarrow.Table, values.Counts]:
    import pyarrow as pa

    whole = pa.Table.from_batches(batches)
    columns = [
        _field(wire, column.combine_chunks()) for wire, column in zip(wires, whole.columns, strict=True)
    ]
    return values.parse(query, columns)


def _plain(value: float | Decimal) -> bytes:
    return (format(value, "f") if isinstance(value, Decimal) else repr(value)).encode()


def _field(wire: Wire, read: pyarrow.Array) -> pyarrow.Array:
    """Return the column as numbers or dates, or as texts: bytes of UTF-8, of hex where it has bytes."""
    import pyarrow as pa

    if wire.form == "days":
        return read.view(pa.date32())
    if wire.form == "utf-16":
        return _coarser(wire, _utf8(read))
    return _coarser(wire, values.hexed(read) if wire.form == "bytes" else read)


def _coarser(wire: Wire, texts: pyarrow.Array) -> pyarrow.Array:
    import pyarrow.compute as pc

    return pc.replace_substring_regex(texts, FINER, r"\1") if wire.finer else texts


def _utf8(read: pyarrow.Array) -> pyarrow.Array:
    """Return UTF-16 as UTF-8, at once where all of it is ASCII.

    Half of a pair is kept as what it is, which no reader of UTF-8 takes: it is found and treated there.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    valid, offsets, data = read.buffers()
    starts = pa.Array.from_buffers(pa.int32(), len(read) + 1, [None, offsets], offset=read.offset)
    first, end = starts[0].as_py(), starts[len(read)].as_py()
    whole = data.to_pybytes()[first:end] if data is not None else b""
    text = whole.decode("utf-16-le", "surrogatepass")
    if not text.isascii():
        return pa.array([None if value is None else utf8(value) for value in read.to_pylist()], pa.binary())
    halved = pc.shift_right(pc.subtract(starts, pa.scalar(first, pa.int32())), pa.scalar(1, pa.int32()))
    found = pa.Array.from_buffers(
        pa.binary(), len(read), [None, halved.buffers()[1], pa.py_buffer(text.encode())]
    )
    return found if valid is None else pc.if_else(read.is_valid(), found, None)


def utf8(value: bytes) -> bytes:
    """Return one text in UTF-16 as UTF-8."""
    return value.decode("utf-16-le", "surrogatepass").encode("utf-8", "surrogatepass")


def _by_rows(session: Session, query: Query, wires: Sequence[Wire], level: int) -> Generator[Page]:
    """Yield the query's rows, fetched one by one: slow, and of any length."""
    return csv_pages.pages(query, _one_by_one(session, query, wires))


def _one_by_one(session: Session, query: Query, wires: Sequence[Wire]) -> Generator[Block]:
    sql = session.dialect.select(query, [wire.sql for wire in wires])
    connection = by_rows(session)
    texts: list[bytes] = []
    size_bytes = 0
    last = b""
    with queries(session, query.table), closing(connection.cursor()) as cursor:
        cursor.execute(sql)
        for place, (wire, told) in enumerate(zip(wires, cursor.description, strict=True)):
            if wire.form == "decimal" and told[1] is not Decimal:
                raise _no_decimal(query, place)
        for row in cursor:
            fields = [_field_of(wire, value) for wire, value in zip(wires, row, strict=True)]
            last = csv_pages.line(fields)
            texts.append(csv_pages.line(map(_coarser_of, wires, fields)))
            size_bytes += len(texts[-1])
            if size_bytes >= BLOCK_BYTES:
                yield Block(b"".join(texts), len(texts), last)
                texts, size_bytes = [], 0
    if texts:
        yield Block(b"".join(texts), len(texts), last)


def _field_of(wire: Wire, value: Any) -> bytes | None:
    if value is None:
        return None
    if wire.form == "days":
        return str(EPOCH + timedelta(value)).encode()
    if wire.form in NUMBERS:
        return _plain(value)
    if wire.form == "utf-16":
        return utf8(value)
    return value.hex().encode() if wire.form == "bytes" else bytes(value)


def _coarser_of(wire: Wire, text: bytes | None) -> bytes | None:
    return re.sub(FINER.encode(), rb"\1", text) if wire.finer and text is not None else text
