"""Reads through ODBC: columns in bulk by arrow-odbc, small queries and long values by pyodbc.

ODBC's time types lose precision, its texts depend on locales, code pages and drivers, and its drivers convert
wrongly between bound and selected types. So integers and floats are selected as exactly the bound type,
decimals are bound as the result describes them, dates are day numbers, and everything else arrives as bytes
that the server rendered: exact text in ASCII or UTF-16, or the binary value itself.
A bound buffer has a limit. A longer value is never truncated: its page is read again, finally row by row.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from tributary.engines import statement_errors
from tributary.engines.network import CONNECT_TIMEOUT_S, NAME_DIFFERS, UNTRUSTED, openssl_authorities
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

CAPS_BYTES = (8_192, 262_144)  # of the buffer for one value; above the last, rows are read one by one
FETCH_BYTES = 8 << 20  # of the buffer for all rows of one fetch: one is filled while one is read
ROW_BYTES_AT_MOST = 32 << 20  # of all the buffers of one row
FETCH_ROWS = 65_535
EPOCH = date(1970, 1, 1)
FINER = r"(\.\d{6})\d+"  # the warehouse has six decimals: further ones are truncated, never rounded up

BoundType = Literal["int32", "int64", "float64", "decimal", "days", "utf-8", "utf-16", "bytes"]
NUMBERS = ("int32", "int64", "float64", "decimal", "days")  # days are counted from 1970-01-01
Meaning = Literal[
    "cancelled", "forbidden", "gone", "unreadable", "broken", "busy", "refused", "blocked", "no TLS"
]


@dataclass(frozen=True, slots=True)
class Binding:
    """How a column is selected, and as what its values are bound."""

    sql: str
    type: BoundType
    size_bytes: int | None = None  # the most that a text or binary has, None if unbounded
    finer: bool = False  # texts of times that may have more than six decimals


@dataclass(frozen=True, slots=True)
class Dialect:
    """What differs between databases behind ODBC."""

    binding: Callable[[ReadColumn], Binding]
    select: Callable[[Query, Sequence[str]], str]
    meanings: Mapping[str, Meaning]  # of the server's error numbers, and of SQLSTATEs it uses in its own way
    reasons: Mapping[str, str] = field(default_factory=dict)  # what an error number means, in words
    bugs: Collection[str] = ()  # error numbers that only the server's maker can correct
    view: Callable[[TableName], str] | None = None  # the query that has a row if the table is a view
    ascii_statement: Callable[[str], str] = str  # the statement in ASCII alone: see `_in_bulk`
    bound_values: Callable[[int], str] | None = (
        None  # the statement that has the server bound a value's bytes
    )
    driver_times_out: bool = True  # whether the driver bounds a statement's time; otherwise the pins must


@dataclass(slots=True)
class Session:
    """One connection at a time, through pyodbc or through arrow-odbc."""

    dialect: Dialect
    connection_string: str = field(repr=False)
    where: str
    pins: tuple[str, ...]  # the statements that set a new connection's settings
    statement_timeout_s: int
    authorities: str | None = None  # PEM of those that OpenSSL must trust alone, None for the system's
    rows: Any = None  # the pyodbc connection
    bulk: Any = None  # the arrow-odbc connection
    broken: bool = False  # a broken session stays broken
    visible_rows: bool = False  # whether row-level security may leave rows out
    caps: dict[TableName, int] = field(default_factory=dict)  # per table the index into CAPS_BYTES it needs


# --- sessions -----------------------------------------------------------------------------------


def connection_string(parts: Mapping[str, str]) -> str:
    """Return the connection string; every value is in braces, so that none can add a keyword."""
    return "".join(f"{name}={{{value.replace('}', '}}')}}};" for name, value in parts.items())


def open_session(
    dialect: Dialect,
    connection: str,
    *,
    where: str,
    pins: Sequence[str],
    statement_timeout_s: int,
    authorities: str | None = None,
    visible_rows: bool = False,
) -> Session:
    """Connect, which checks host, user, database and pins; see `Engine.connect` for what it raises."""
    session = Session(
        dialect,
        connection,
        where,
        tuple(pins),
        statement_timeout_s,
        authorities,
        visible_rows=visible_rows,
    )
    by_rows(session)
    return session


def close(session: Session) -> None:
    """Close the session; never raises."""
    rows, session.rows, session.bulk = session.rows, None, None
    if rows is not None:
        with suppress(Exception):  # of the driver
            rows.close()


def by_rows(session: Session) -> Any:
    """Return the pyodbc connection; open and pin it if there is none."""
    if session.rows is None:
        pyodbc = _drivers().pyodbc
        pyodbc.pooling = False  # a pooled connection would keep our settings for its next user
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
    """Return the arrow-odbc connection; open and pin it if there is none."""
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
    """Import the ODBC modules; they are missing unless the drivers layer was built with them."""
    try:
        import arrow_odbc
        import pyodbc
    except (ImportError, OSError):
        raise ConfigError(NOT_BUILT) from None
    return _Drivers(pyodbc, arrow_odbc)


NOT_BUILT = (
    "this engine needs the ODBC parts of the drivers layer, which this build does not include; run "
    'make driver-sqlserver and deploy again: see "SQL Server" in docs/configuration.md'
)

# --- errors: the drivers' errors become ours here and nowhere else ------------------------------

STATE = re.compile(r"State: (\w{5}), Native error: (-?\d+)")  # as arrow-odbc words it
NATIVE = re.compile(r"\((-?\d+)\) \(SQL\w+\)")  # as pyodbc words it
TOO_LARGE = "too large to be written into the allocated buffer"
NO_DRIVER = re.compile(r"Can't open lib|Data source name not found")
TLS = re.compile(r"SSL|TLS|certificate", re.IGNORECASE)
OTHER_NAME = re.compile(r"name does not match|hostname mismatch|IP address mismatch", re.IGNORECASE)
NOT_VERIFIED = re.compile(r"certificate verify failed", re.IGNORECASE)
INSECURE = 'or set "sslmode" in the secret: require, or disable on a network that you trust'
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


class _ValueTooLong(Exception):
    """A value did not fit its bound buffer."""


@dataclass(frozen=True, slots=True)
class ErrorCodes:
    """The codes of an ODBC error, without its text."""

    state: str
    native: str

    def __str__(self) -> str:
        return self.state if self.native in ("0", "1") else f"{self.state}, {self.native}"


def error_codes(error: Exception) -> ErrorCodes:
    """Return the codes of a driver's error."""
    text = str(error)
    if match := STATE.search(text):
        return ErrorCodes(match[1], match[2])
    state = str(error.args[0])[:5] if error.args and type(error).__module__.startswith("pyodbc") else "HY000"
    native = NATIVE.search(text)
    return ErrorCodes(state, native[1] if native else "0")


def meaning(dialect: Dialect, codes: ErrorCodes) -> Meaning | None:
    """Return the meaning of the server's number, else of the SQLSTATE, else of the SQLSTATE's class."""
    for code in (codes.native, codes.state, codes.state[:2]):
        if meant := dialect.meanings.get(code) or STANDARD.get(code):
            return meant
    return None


def _is_drivers(error: Exception) -> bool:
    drivers = _drivers()
    return isinstance(error, (drivers.pyodbc.Error, drivers.arrow_odbc.Error))


@contextmanager
def _connecting(session: Session) -> Iterator[None]:
    """Turn errors while connecting into ours."""
    if session.broken:
        raise SourceUnavailable(f"the connection to {session.where} broke")
    try:
        with openssl_authorities(session.authorities):
            yield
    except Exception as error:
        if not _is_drivers(error):
            raise
        raise _refused(session, error) from None


CHECK = "check username, password and dbname"
CONNECTING: dict[Meaning | None, tuple[type[TributaryError], str]] = {
    "no TLS": (SourceRefused, "{where} offers no TLS ({codes}); switch it on there, " + INSECURE),
    "blocked": (SourceRefused, "the firewall of {where} blocks this address ({codes}); allow it there"),
    **dict.fromkeys(
        ("refused", "forbidden", "gone"),
        (SourceRefused, "{where} refused the connection ({codes}); " + CHECK),
    ),
    "busy": (SourceUnavailable, "{where} has no connection free ({codes}); lower max_connections"),
    **dict.fromkeys(
        ("broken", "cancelled"),
        (
            SourceUnavailable,
            "{where} cannot be reached, or stopped answering ({codes}); check host and port",
        ),
    ),
}
OTHER_REFUSAL = (SourceRefused, "{where} refused the connection ({codes}); check the secret")


def _refused(session: Session, error: Exception) -> TributaryError:
    where, codes, text = session.where, error_codes(error), str(error)
    if NO_DRIVER.search(text):
        return ConfigError(NOT_BUILT)
    meant = meaning(session.dialect, codes)
    if TLS.search(text) and meant not in ("refused", "blocked", "forbidden", "gone", "no TLS"):
        return _tls_refused(where, codes, text)
    reason = session.dialect.reasons.get(codes.native)
    kind, message = CONNECTING.get(meant, OTHER_REFUSAL)
    return kind(message.format(where=where, codes=f"{codes}: {reason}" if reason else codes))


def _tls_refused(where: str, codes: ErrorCodes, text: str) -> SourceRefused:
    """Return the error for a failed TLS handshake; the driver's text is only searched, never repeated."""
    if OTHER_NAME.search(text):
        return SourceRefused(f"the certificate of {where} could not be verified ({codes}): {NAME_DIFFERS}")
    if NOT_VERIFIED.search(text):
        return SourceRefused(f"the certificate of {where} could not be verified ({codes}): {UNTRUSTED}")
    return SourceRefused(f"TLS with {where} failed ({codes}); check its TLS, {INSECURE}")


@contextmanager
def queries(session: Session, table: TableName | None = None) -> Iterator[None]:
    """Turn errors of a statement into ours."""
    try:
        yield
    except Exception as error:
        if not _is_drivers(error):
            raise
        if TOO_LARGE in str(error):
            raise _ValueTooLong from None
        ours = _reduced(session, error_codes(error), table)
        session.broken = isinstance(ours, SourceUnavailable)
        raise ours from None


def _reduced(session: Session, codes: ErrorCodes, table: TableName | None) -> TributaryError:
    where, name = session.where, str(table or "a table")
    match meaning(session.dialect, codes):
        case "cancelled":
            return statement_errors.cancelled(where, name, str(codes))
        case "broken" | "busy":
            return statement_errors.unavailable(where, name, str(codes))
        case None if codes.native in session.dialect.bugs or _is_of_the_driver(codes):
            return InternalError(f"{where} failed on {name} with {codes}")
        case meant:
            return _table_refused(session, codes, table, meant)


def _table_refused(
    session: Session, codes: ErrorCodes, table: TableName | None, meant: Meaning | None
) -> TableRefused:
    name, reason = str(table or "a table"), session.dialect.reasons.get(codes.native)
    if meant in ("forbidden", "refused"):
        return statement_errors.forbidden(name, str(codes))
    if meant == "unreadable":
        shown = f"{codes}: {reason}" if reason else codes
        return TableRefused(f"{name} cannot be read in the session's isolation level ({shown})")
    is_view = _is_view(session, table)
    if meant == "gone" and not is_view:
        return statement_errors.gone(name, str(codes))
    return statement_errors.fails(name, str(codes), reason, is_view=is_view)


def _is_of_the_driver(codes: ErrorCodes) -> bool:
    """Return whether the driver or its manager found the fault, since the server's errors have a number."""
    return codes.native in ("0", "1") and codes.state.startswith(("HY", "IM", "07"))


def _is_view(session: Session, table: TableName | None) -> bool:
    """Return whether the table is a view; False if the server can no longer tell."""
    if table is None or session.dialect.view is None:
        return False
    try:
        with closing(by_rows(session).cursor()) as cursor:
            return cursor.execute(session.dialect.view(table)).fetchone() is not None
    except Exception as error:
        if _is_drivers(error) or isinstance(error, TributaryError):
            return False
        raise


# --- small queries ------------------------------------------------------------------------------


def ask(session: Session, sql: str) -> tuple[str | None, ...] | None:
    """Return the first row of a small query as texts, None without a row."""
    answer = answers(session, sql, at_most=1)
    return answer[0] if answer else None


def answers(session: Session, sql: str, *, at_most: int | None = None) -> list[tuple[str | None, ...]]:
    """Return a small query's rows as texts."""
    connection = by_rows(session)
    with queries(session), closing(connection.cursor()) as cursor:
        cursor.execute(sql)
        if cursor.description is None:
            return []
        rows = cursor.fetchall() if at_most is None else cursor.fetchmany(at_most)
    return [tuple(None if value is None else _text(value) for value in row) for row in rows]


def _text(value: object) -> str:
    if isinstance(value, bytes | bytearray):
        return value.hex()
    return str(int(value)) if isinstance(value, bool) else str(value)


# --- reading ------------------------------------------------------------------------------------


def read(session: Session, query: Query) -> Generator[Page]:
    """Run the query and yield its rows; see `Engine.read`.

    An ordered query continues after the last page with larger buffers, finally row by row. One without an
    order cannot be resumed: it is read in bulk only if no value can be too long.
    """
    bindings = [session.dialect.binding(column) for column in query.columns]
    level = _first_level(session, query, bindings)
    position, limit = query.position, query.limit
    while True:
        rest = replace(query, position=position, limit=limit)
        in_bulk = (
            level < len(CAPS_BYTES) and _fits(bindings, CAPS_BYTES[level]) and _connects_in_ascii(session)
        )
        try:
            for page in (_in_bulk if in_bulk else _by_rows)(session, rest, bindings, level):
                position = page.position
                limit = None if limit is None else limit - page.rows
                yield page
            return
        except _ValueTooLong:
            if not query.order:
                raise InternalError(f"a value of {query.table} is longer than its type allows") from None
            level += 1
            session.caps[query.table] = level


def _connects_in_ascii(session: Session) -> bool:
    """Return whether arrow-odbc sends the connection string unchanged; see `_in_bulk`."""
    return session.connection_string.isascii()


def _first_level(session: Session, query: Query, bindings: Sequence[Binding]) -> int:
    if not query.order:
        return len(CAPS_BYTES) if any(_is_long(binding) for binding in bindings) else 0
    return session.caps.get(query.table, 0)


def _is_long(binding: Binding) -> bool:
    return binding.type not in NUMBERS and (binding.size_bytes is None or binding.size_bytes > CAPS_BYTES[0])


def _cap_bytes(bindings: Sequence[Binding], cap_bytes: int) -> int:
    """Return the buffer that the widest column needs, the cap if a column may be wider."""
    sizes = [
        cap_bytes if _is_long(binding) else binding.size_bytes or 0
        for binding in bindings
        if binding.type not in NUMBERS
    ]
    return max(sizes, default=0) + 8  # so that a value which fills its buffer was truncated


def _fits(bindings: Sequence[Binding], cap_bytes: int) -> bool:
    return len(bindings) * _cap_bytes(bindings, cap_bytes) <= ROW_BYTES_AT_MOST


def _in_bulk(session: Session, query: Query, bindings: Sequence[Binding], level: int) -> Generator[Page]:
    """Yield the query's rows, fetched by columns; a thread of arrow-odbc fetches the next ones ahead.

    The driver's time-out ends with the first row, so the time spent waiting for the source is added up here.
    arrow-odbc sends UTF-8, and unixODBC turns it into UTF-16 character by character, by the locale: all but
    ASCII may arrive as other characters. So the statement and the names of its columns are ASCII alone.
    """
    cap_bytes = _cap_bytes(bindings, CAPS_BYTES[level])
    sql = session.dialect.ascii_statement(_select(session, query, bindings))
    connection = in_bulk(session)
    waited_s, started = 0.0, time.monotonic()
    collector = _PageCollector(query, bindings)
    with queries(session, query.table):
        reader = connection.read_arrow_batches(
            sql,
            batch_size=FETCH_ROWS if query.limit is None else min(FETCH_ROWS, query.limit),
            max_bytes_per_batch=max(FETCH_BYTES, len(bindings) * cap_bytes),
            max_text_size=cap_bytes,
            max_binary_size=cap_bytes,
            map_schema=partial(_schema, query, bindings),
            fetch_concurrently=True,
            query_timeout_sec=session.statement_timeout_s if session.dialect.driver_times_out else None,
        )
        while (batch := next(reader, None)) is not None:
            waited_s += time.monotonic() - started
            _check_complete(batch, bindings, cap_bytes)
            if waited_s > session.statement_timeout_s:
                raise QueryCancelled(f"a query on {query.table} took longer than its time-out")
            yield from collector.add(batch)
            started = time.monotonic()
    yield from collector.rest()


def _select(session: Session, query: Query, bindings: Sequence[Binding]) -> str:
    columns = [f"{binding.sql} AS c{place}" for place, binding in enumerate(bindings)]
    return session.dialect.select(query, columns)


def _schema(query: Query, bindings: Sequence[Binding], described: pyarrow.Schema) -> pyarrow.Schema:
    """Return the types that the columns are bound as, given how the result describes them.

    A decimal is bound with the described digits: a buffer for fewer would truncate silently. Whether they
    are the planned ones is checked with the values. Raises TableRefused if it is no longer a decimal.
    """
    import pyarrow as pa

    bound = {"int32": pa.int32(), "int64": pa.int64(), "float64": pa.float64(), "days": pa.int32()}
    fields = []
    for place, binding in enumerate(bindings):
        type = bound.get(binding.type, pa.binary())
        if binding.type == "decimal":
            type = described.field(place).type
            if not pa.types.is_decimal128(type):
                raise _no_decimal(query, place)
        fields.append((f"c{place}", type))
    return pa.schema(fields)


def _no_decimal(query: Query, place: int) -> TableRefused:
    return TableRefused(
        f'column "{query.columns[place].name}" of {query.table} is no longer a decimal; '
        "the next run reads its new type"
    )


def bound_as_decimal(kind: Kind) -> bool:
    """Return whether a column may be bound as a decimal.

    arrow-odbc's buffer has room for the digits, a sign and a point, but not for the 0 that some drivers write
    before the point if all digits come after it.
    """
    return kind.name == "decimal" and not kind.loose and (kind.precision or 0) > (kind.scale or 0)


def _check_complete(batch: pyarrow.RecordBatch, bindings: Sequence[Binding], cap_bytes: int) -> None:
    """Raise _ValueTooLong if a value fills its buffer, since some drivers truncate without a warning."""
    import pyarrow.compute as pc

    for binding, column in zip(bindings, batch.columns, strict=True):
        if binding.type not in NUMBERS and (pc.max(pc.binary_length(column)).as_py() or 0) >= cap_bytes:
            raise _ValueTooLong


class _PageCollector:
    """Collects batches until they fill a page."""

    def __init__(self, query: Query, bindings: Sequence[Binding]) -> None:
        self._query, self._bindings = query, bindings
        self._batches: list[pyarrow.RecordBatch] = []
        self._size_bytes = 0

    def add(self, batch: pyarrow.RecordBatch) -> Iterator[Page]:
        """Add the rows; yield the page that they fill, if any."""
        if not batch.num_rows:
            return
        self._batches.append(batch)
        self._size_bytes += batch.nbytes
        if self._size_bytes >= BLOCK_BYTES:
            yield from self.rest()

    def rest(self) -> Iterator[Page]:
        """Yield the rows collected so far, if any."""
        if self._batches:
            position = self._position(self._batches[-1]) if self._query.order else None
            rows = sum(batch.num_rows for batch in self._batches)
            parse = partial(_parse, self._batches, self._query, self._bindings)
            yield Page(rows, position, self._size_bytes, parse)
            self._batches, self._size_bytes = [], 0

    def _position(self, batch: pyarrow.RecordBatch) -> tuple[str, ...]:
        last = (column[-1].as_py() for column in batch.columns)
        texts = (_field_of(binding, value) for binding, value in zip(self._bindings, last, strict=True))
        return keyset.position(
            self._query, [None if text is None else text.decode(errors="surrogateescape") for text in texts]
        )


def _parse(
    batches: Sequence[pyarrow.RecordBatch], query: Query, bindings: Sequence[Binding]
) -> tuple[pyarrow.Table, values.Counts]:
    import pyarrow as pa

    whole = pa.Table.from_batches(batches)
    columns = [
        _field(binding, column.combine_chunks())
        for binding, column in zip(bindings, whole.columns, strict=True)
    ]
    return values.parse(query, columns)


def _plain(value: float | Decimal) -> bytes:
    return (format(value, "f") if isinstance(value, Decimal) else repr(value)).encode()


def _field(binding: Binding, read: pyarrow.Array) -> pyarrow.Array:
    """Return the column as numbers, dates or texts in UTF-8; bytes become hex."""
    import pyarrow as pa

    if binding.type == "days":
        return read.view(pa.date32())
    if binding.type == "utf-16":
        return _truncated(binding, _utf8(read))
    return _truncated(binding, values.hexed(read) if binding.type == "bytes" else read)


def _truncated(binding: Binding, texts: pyarrow.Array) -> pyarrow.Array:
    import pyarrow.compute as pc

    return pc.replace_substring_regex(texts, FINER, r"\1") if binding.finer else texts


def _utf8(read: pyarrow.Array) -> pyarrow.Array:
    """Return UTF-16 as UTF-8, in one step if all of it is ASCII.

    A lone surrogate is kept: it is invalid UTF-8, which the value policies find and handle.
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
    texts = pa.Array.from_buffers(
        pa.binary(), len(read), [None, halved.buffers()[1], pa.py_buffer(text.encode())]
    )
    return texts if valid is None else pc.if_else(read.is_valid(), texts, None)


def utf8(value: bytes) -> bytes:
    """Return one text in UTF-16 as UTF-8."""
    return value.decode("utf-16-le", "surrogatepass").encode("utf-8", "surrogatepass")


def _by_rows(session: Session, query: Query, bindings: Sequence[Binding], level: int) -> Generator[Page]:
    """Yield the query's rows, fetched one by one: slow, but values may have any length."""
    return csv_pages.pages(query, _one_by_one(session, query, bindings))


def _one_by_one(session: Session, query: Query, bindings: Sequence[Binding]) -> Generator[Block]:
    sql = _select(session, query, bindings)
    connection = by_rows(session)
    texts: list[bytes] = []
    size_bytes = 0
    last = b""
    with queries(session, query.table), closing(connection.cursor()) as cursor:
        if (
            session.dialect.bound_values
        ):  # with room for UTF-16, so that a value that is cut is above the bound
            cursor.execute(session.dialect.bound_values(2 * query.longest_bytes + 2))
        cursor.execute(sql)
        for place, (binding, described) in enumerate(zip(bindings, cursor.description, strict=True)):
            if binding.type == "decimal" and described[1] is not Decimal:
                raise _no_decimal(query, place)
        for row in cursor:
            fields = [_field_of(binding, value) for binding, value in zip(bindings, row, strict=True)]
            last = csv_pages.bounded_line(query, fields)
            texts.append(csv_pages.line(map(_truncated_text, bindings, fields)))
            size_bytes += len(texts[-1])
            if size_bytes >= BLOCK_BYTES:
                yield Block(b"".join(texts), len(texts), last)
                texts, size_bytes = [], 0
    if texts:
        yield Block(b"".join(texts), len(texts), last)


def _field_of(binding: Binding, value: Any) -> bytes | None:
    if value is None:
        return None
    if binding.type == "days":
        return str(EPOCH + timedelta(value)).encode()
    if binding.type in NUMBERS:
        return _plain(value)
    if binding.type == "utf-16":
        return utf8(value)
    return value.hex().encode() if binding.type == "bytes" else bytes(value)


def _truncated_text(binding: Binding, text: bytes | None) -> bytes | None:
    return re.sub(FINER.encode(), rb"\1", text) if binding.finer and text is not None else text
