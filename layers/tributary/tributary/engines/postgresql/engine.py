"""PostgreSQL through pg8000: COPY as CSV, which the server renders and Arrow parses.

Every statement is a short, read-only transaction of its own with pinned settings, so that a value's text
means the same in every run.
"""

from __future__ import annotations

import ssl
import struct
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from socket import socket

import pg8000.native
from pg8000.converters import PG_TYPES
from scramp import ScramException  # type: ignore[import-untyped]

from tributary.engines.network import (
    SILENCE_S,
    abort_connection,
    address,
    close_connection,
    dial,
    tls,
    tls_refused,
)
from tributary.engines.postgresql import catalog, copy_frames, ranges, types
from tributary.errors import (
    InternalError,
    QueryCancelled,
    SecretError,
    SourceRefused,
    SourceUnavailable,
    TableRefused,
    TributaryError,
)
from tributary.model.query import Page, Query, ReadColumn
from tributary.model.source_catalog import Clock, Size, SourceColumn, SourceTable, TableName
from tributary.reading import csv_pages, keyset
from tributary.reading.csv_blocks import Block, Write, pumped
from tributary.reading.keyset import relation
from tributary.secret import Secret

PORT = 5432
kind, literal, orders = types.kind, types.literal, types.orders
SSL_REQUEST = struct.pack("!ii", 8, 80877103)  # protocol-flow.html, "SSL Session Encryption"
FRACTION_DIGITS = 6  # of a second, in a type without a precision
INDEX_ENDS_WITH_KEY = False
LOCK_TIMEOUT_S = 30
BLOCK_BYTES = 8192  # the default of a build; with another, samples are larger or smaller
DRIVER_ERRORS = (pg8000.native.Error, OSError, struct.error, ValueError, AttributeError)


@dataclass(frozen=True, slots=True)
class Session:
    """A connection."""

    driver: pg8000.native.Connection
    spare: socket  # a second handle on its socket, to abort a read from outside
    where: str


@dataclass(frozen=True, slots=True)
class _Records:
    """The stream that pg8000 copies into: it calls `write` once per CopyData message, so per row."""

    write: Write


# --- sessions -----------------------------------------------------------------------------------


def connect(secret: Secret, *, statement_timeout_s: int) -> Session:
    """Open a read-only, pinned session; see the Protocol."""
    if not secret.dbname:
        raise SecretError('the source\'s secret has no "dbname"; write the name of the database there')
    where = address(secret, PORT)
    sock = dial(secret, PORT)
    spare = sock.dup()
    try:
        sock = _encrypted(sock, secret, where)
        with _refusals(where):
            driver = pg8000.native.Connection(
                secret.username,
                database=secret.dbname,
                password=secret.password.get_secret_value(),
                sock=sock,
                ssl_context=False,
                application_name="tributary",
            )
            for oid in PG_TYPES:
                driver.register_in_adapter(oid, str)  # values stay the source's own text
            driver.run(pin(statement_timeout_s))
            _watch_reader(driver)
        sock.settimeout(statement_timeout_s + SILENCE_S)
    except BaseException:
        close_connection(spare)
        sock.close()
        raise
    return Session(driver, spare, where)


def _encrypted(sock: socket, secret: Secret, where: str) -> socket:
    """Start TLS as pg8000 would, but keep the socket, whose time-out changes after the connect."""
    context = tls(secret)
    if context is None:
        return sock
    try:
        sock.sendall(SSL_REQUEST)
        if sock.recv(1) != b"S":
            raise tls_refused(None, where)
        return context.wrap_socket(sock, server_hostname=secret.host)
    except ssl.SSLError as error:
        raise tls_refused(error, where) from None
    except OSError:
        raise SourceUnavailable(
            f"{where} closed the connection, or stopped answering, in the TLS handshake"
        ) from None


def pin(statement_timeout_s: int) -> str:
    """Return the statement that pins a session: read-only, bounded, one text form per value."""
    settings = {
        "default_transaction_read_only": "on",
        "statement_timeout": f"{statement_timeout_s}s",
        "lock_timeout": f"{min(LOCK_TIMEOUT_S, statement_timeout_s)}s",
        "idle_in_transaction_session_timeout": "60s",
        "client_encoding": "UTF8",
        "standard_conforming_strings": "on",
        "search_path": "",
        "DateStyle": "ISO, YMD",
        "IntervalStyle": "postgres",
        "TimeZone": "UTC",
        "extra_float_digits": "3",
        "bytea_output": "hex",
    }
    calls = ", ".join(
        f"pg_catalog.set_config('{name}', '{value}', false)" for name, value in settings.items()
    )
    return f"SELECT {calls}"


def _watch_reader(driver: pg8000.native.Connection) -> None:
    """End a query whose reader is gone, even before its first row: since PostgreSQL 14, on Linux."""
    with suppress(pg8000.native.DatabaseError):
        driver.run("SET client_connection_check_interval = '10s'")


def close(session: Session) -> None:
    """Close the session; never raises."""
    with suppress(*DRIVER_ERRORS):
        session.driver.close()
    close_connection(session.spare)


# --- errors: the driver's errors become ours here and nowhere else -------------------------------


@contextmanager
def _refusals(where: str) -> Iterator[None]:
    """Turn errors while connecting into ours."""
    try:
        yield
    except pg8000.native.DatabaseError as error:
        code = _code(error)
        if code.startswith(("08", "53", "57")) and code != "08P01":
            raise SourceUnavailable(f"{where} takes no connection now ({code})") from None
        raise SourceRefused(
            f"{where} refused the connection ({code}{REFUSALS.get(code, '')}); check username, password "
            "and dbname in the secret, and the server's pg_hba.conf"
        ) from None
    except ScramException:
        raise SourceRefused(f"{where} refused the password; check the secret") from None
    except DRIVER_ERRORS:
        raise SourceUnavailable(
            f"{where} closed the connection, or stopped answering, while connecting"
        ) from None


REFUSALS = {
    "28P01": ": wrong user name or password",
    "28000": ": no access for this user, database or address, or not without TLS",
    "3D000": ": no such database",
    "42501": ": the user may not connect to this database",
}


@contextmanager
def _queries(session: Session, table: TableName | None = None) -> Iterator[None]:
    """Turn errors of a statement into ours."""
    try:
        yield
    except pg8000.native.DatabaseError as error:
        raise _reduced(_code(error), session.where, str(table or "a table")) from None
    except DRIVER_ERRORS:
        raise SourceUnavailable(f"the connection to {session.where} broke") from None


def _code(error: pg8000.native.DatabaseError) -> str:
    detail = error.args[0] if error.args else None
    return str(detail.get("C", "?????")) if isinstance(detail, dict) else "?????"


def _reduced(code: str, where: str, table: str) -> TributaryError:
    if code in ("57014", "40001"):  # cancelled, by a time-out too; conflict with recovery
        return QueryCancelled(f"{where} cancelled a query on {table} ({code})")
    if code == "42501":
        return TableRefused(f"{table} may not be read ({code}); grant SELECT on it to the source's user")
    if code in ("42P01", "42703", "3F000"):
        return TableRefused(f"{table}, or one of its columns, no longer exists ({code})")
    if code == "55000":
        return TableRefused(
            f"{table} cannot be read now ({code}); a materialized view must be refreshed first"
        )
    if code in ("40P01", "55P03") or code.startswith(("08", "53", "57P")):
        return SourceUnavailable(f"{where} could not finish a query on {table} ({code})")
    return InternalError(f"{where} failed on {table} with SQLSTATE {code}")


# --- SQL text -----------------------------------------------------------------------------------


def quote(*names: str) -> str:
    """Return the dotted, quoted identifier."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def rendered(name: str, type: str) -> str:
    """Return the expression of a column's exact text."""
    return types.text(quote(name), type)


def create_index(name: str, table: TableName, columns: Sequence[str]) -> str:
    """Return the statement that creates an index."""
    return (
        f"CREATE INDEX {quote(name)} ON {quote(table.schema, table.table)} ({', '.join(map(quote, columns))})"
    )


def select(query: Query) -> str:
    """Return the SELECT of the query with plain columns."""
    return _select(query, [_column(column.name) for column in query.columns])


def copy(query: Query) -> str:
    """Return the COPY of the query: the server's CSV, binaries in hex without a prefix."""
    columns = [types.field(_column(column.name), column.type) for column in query.columns]
    return f"COPY ({_select(query, columns)}) TO STDOUT (FORMAT csv)"


def _column(name: str) -> str:
    return f"t.{quote(name)}"  # qualified: ORDER BY prefers an output column of that name


def _select(query: Query, columns: list[str]) -> str:
    where = " AND ".join(keyset.conditions(query, keyset.ROWS, _column, literal))
    return (
        f"SELECT {', '.join(columns)} FROM {relation(query.table, query.sql, quote)} AS t"
        + (f" WHERE {where}" if where else "")
        + keyset.tail(query, _column)
    )


# --- reading ------------------------------------------------------------------------------------


def ask(session: Session, sql: str) -> tuple[str | None, ...] | None:
    """Return the first row of a small query as texts, None without a row."""
    rows = _rows(session, sql)
    return rows[0] if rows else None


def _rows(session: Session, sql: str) -> list[tuple[str | None, ...]]:
    with _queries(session):
        return [tuple(row) for row in session.driver.run(sql) or ()]


def read(session: Session, query: Query) -> Generator[Page]:
    """Run the query as one COPY and yield its rows; see the Protocol."""
    direct = copy_frames.usable(session.driver)
    return csv_pages.pages(query, (_off_the_socket if direct else _through_the_driver)(session, query))


def _off_the_socket(session: Session, query: Query) -> Generator[Block]:
    try:
        with _queries(session, query.table):
            yield from copy_frames.blocks(session.driver, copy(query))
    except GeneratorExit:
        abort_connection(session.spare)  # the server is still sending
        raise


def _through_the_driver(session: Session, query: Query) -> Generator[Block]:
    """Read by the driver's public interface alone: slower, but independent of its internals."""

    def fill(write: Write) -> int:
        with _queries(session, query.table):
            session.driver.run(copy(query), stream=_Records(write))
            return int(session.driver.row_count)

    return pumped(fill, abort=lambda: abort_connection(session.spare))


def clock(session: Session) -> Clock:
    """Read the source's clock, then the oldest transaction of this database."""
    now = _one(session, "SELECT pg_catalog.clock_timestamp()")
    row = ask(session, OLDEST)
    oldest, hidden = row if row else (None, None)
    return Clock(_time(now), _time(oldest) if oldest else None, hidden)


def _one(session: Session, sql: str) -> str:
    row = ask(session, sql)
    if row is None or row[0] is None:
        raise InternalError(f"{session.where} returned no row for a question about itself")
    return row[0]


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


# A walsender only reads and autovacuum writes no rows, but the workers that apply a subscription do. Without
# pg_read_all_stats the xact_start of other users is NULL, without an error. A prepared transaction has left
# its session, and its `prepared` is later than the now() that its rows may hold.
OLDEST = """
SELECT pg_catalog.min(a.xact_start),
       CASE WHEN pg_catalog.pg_is_in_recovery() THEN 'a replica does not show the primary''s transactions'
            WHEN NOT pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')
              THEN 'the user lacks pg_read_all_stats, so other users'' transactions cannot be seen'
            WHEN pg_catalog.current_setting('track_activities') <> 'on'
              THEN 'track_activities is off, so transactions cannot be seen'
            WHEN EXISTS (SELECT FROM pg_catalog.pg_prepared_xacts AS p
                         WHERE p.database = pg_catalog.current_database())
              THEN 'a prepared transaction is open, and its start cannot be seen'
       END
FROM pg_catalog.pg_stat_activity AS a
WHERE a.datname = pg_catalog.current_database()
  AND a.pid <> pg_catalog.pg_backend_pid()
  AND a.backend_type NOT IN ('autovacuum worker', 'walsender')
"""


def counter_horizon(session: Session, type: str) -> str | None:
    """Return None: the server has no counter whose uncommitted values it knows; see the Protocol."""
    return None


# --- catalog ------------------------------------------------------------------------------------


def list_tables(session: Session) -> list[TableName]:
    """Return every table and view the user may read: a partitioned table once, none of extensions."""
    return sorted(TableName(str(schema), str(table)) for schema, table in _rows(session, catalog.TABLES))


def describe(session: Session, names: Collection[TableName]) -> dict[TableName, SourceTable]:
    """Return the catalog's description of the named tables, in two queries; missing tables are left out."""
    if not names:
        return {}
    columns = _rows(session, catalog.named(catalog.COLUMNS, names))
    return catalog.tables(columns, _rows(session, catalog.named(catalog.INDEXES, names)))


def describe_query(session: Session, name: TableName, sql: str) -> SourceTable:
    """Return the columns of the query from the header of an empty result."""
    with _queries(session, name):
        session.driver.run(f"SELECT * FROM {relation(name, sql, quote)} AS t LIMIT 0")
        columns = session.driver.columns or []
    column_types = _rows(session, catalog.described([(c["type_oid"], c["type_modifier"]) for c in columns]))
    return SourceTable(
        name,
        tuple(
            SourceColumn(str(column["name"]), str(type), nullable=True)
            for column, (type,) in zip(columns, column_types, strict=True)
        ),
    )


def sizes(session: Session, names: Collection[TableName]) -> dict[TableName, Size]:
    """Return the planner's estimates of the tables' sizes; views are left out."""
    if not names:
        return {}
    rows = _rows(session, catalog.named(ranges.SIZES, names))
    return {
        TableName(str(schema), str(table)): Size(int(count or 0), int(size_bytes or 0))
        for schema, table, count, size_bytes in rows
    }


def key_range_ends(
    session: Session, table: TableName, key: Sequence[ReadColumn], count: int
) -> list[tuple[str, ...]]:
    """Return keys of sampled blocks that divide the table; see the Protocol."""
    size = sizes(session, [table]).get(table)
    if size is None:
        return []
    sql = ranges.range_ends(
        quote(table.schema, table.table),
        [_column(column.name) for column in key],
        [types.text(_column(column.name), column.type) for column in key],
        ranges.percent(size.size_bytes, BLOCK_BYTES, count),
        count,
    )
    return [tuple(map(str, row)) for row in _rows(session, sql)]
