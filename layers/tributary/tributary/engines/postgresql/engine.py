"""PostgreSQL through pg8000: COPY as CSV, which the server renders and Arrow parses.

Every statement is a short, read-only transaction of its own with pinned settings, so that a value's text
means the same in every run.
"""

from __future__ import annotations

import re
import ssl
import struct
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from socket import socket

import pg8000.native
from pg8000.converters import PG_TYPES
from scramp import ScramException  # type: ignore[import-untyped]

from tributary.engines import statement_errors
from tributary.engines.network import (
    SILENCE_S,
    abort_connection,
    address,
    close_connection,
    dial,
    host_of,
    tls,
    tls_refused,
)
from tributary.engines.postgresql import catalog, copy_frames, ranges, settings, transaction, types
from tributary.engines.postgresql import clock as source_clock
from tributary.engines.postgresql.login import Connection
from tributary.errors import (
    InternalError,
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
BLOCK_BYTES = 8192  # the default of a build; with another, samples are larger or smaller
DRIVER_ERRORS = (pg8000.native.Error, OSError, struct.error, ValueError, AttributeError)


@dataclass(frozen=True, slots=True)
class Session:
    """A connection."""

    driver: pg8000.native.Connection
    spare: socket  # a second handle on its socket, to abort a read from outside
    where: str
    statement_timeout_s: int
    watch: bool  # whether the server can end a query whose reader is gone
    visible_rows: bool  # whether row-level security may leave rows out

    def opening(self, path: str = settings.NO_PATH) -> tuple[str, ...]:
        """Return the statements that begin a transaction with that search_path."""
        return settings.opening(
            self.statement_timeout_s, path=path, watch=self.watch, visible_rows=self.visible_rows
        )


@dataclass(frozen=True, slots=True)
class _Records:
    """The stream that pg8000 copies into: it calls `write` once per CopyData message, so per row."""

    write: Write


# --- sessions -----------------------------------------------------------------------------------


def connect(secret: Secret, *, statement_timeout_s: int, visible_rows: bool = False) -> Session:
    """Open a read-only, pinned session; see the Protocol."""
    if not secret.dbname:
        raise SecretError('the source\'s secret has no "dbname"; write the name of the database there')
    where = address(secret, PORT)
    sock = dial(secret, PORT)
    spare = sock.dup()
    try:
        sock = _encrypted(sock, secret, where)
        with _refusals(where):
            driver = Connection(
                secret.username,
                database=secret.dbname,
                password=secret.password.get_secret_value(),
                sock=sock,
                ssl_context=False,
                application_name="tributary",
                startup_params={"client_encoding": "UTF8"},  # a setting of the role's could be another
            )
            for oid in PG_TYPES:
                driver.register_in_adapter(oid, str)  # values stay the source's own text
            watch = _watches(driver, statement_timeout_s)
        sock.settimeout(statement_timeout_s + SILENCE_S)
    except BaseException:
        close_connection(spare)
        sock.close()
        raise
    return Session(driver, spare, where, statement_timeout_s, watch, visible_rows)


def _encrypted(sock: socket, secret: Secret, where: str) -> socket:
    """Start TLS as pg8000 would, but keep the socket, whose time-out changes after the connect."""
    context = tls(secret)
    if context is None:
        return sock
    try:
        sock.sendall(SSL_REQUEST)
        if sock.recv(1) != b"S":
            raise tls_refused(None, where)
        return context.wrap_socket(sock, server_hostname=host_of(secret))
    except ssl.SSLError as error:
        raise tls_refused(error, where) from None
    except OSError:
        raise SourceUnavailable(
            f"{where} closed the connection, or stopped answering, in the TLS handshake"
        ) from None


def _watches(driver: pg8000.native.Connection, statement_timeout_s: int) -> bool:
    """Return whether the server accepts `WATCH`; raises what the driver does if it accepts no settings."""
    for watch in (True, False):
        opening = settings.opening(statement_timeout_s, path=settings.NO_PATH, watch=watch)
        try:
            transaction.run(driver, opening, "SELECT 1")
        except pg8000.native.DatabaseError as error:
            if not watch or _code(error) != "22023":  # invalid_parameter_value: not on this platform
                raise
        else:
            break
    return watch


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
def _queries(session: Session, table: TableName | None = None, column: str | None = None) -> Iterator[None]:
    """Turn errors of a statement into ours."""
    try:
        yield
    except pg8000.native.DatabaseError as error:
        raise _reduced(session, error, table, column) from None
    except DRIVER_ERRORS:
        raise SourceUnavailable(f"the connection to {session.where} broke") from None


CODE = re.compile(r"[0-9A-Z]{5}")


def _code(error: pg8000.native.DatabaseError) -> str:
    """Return the error's SQLSTATE; a function in the source may raise one of its own."""
    code = _field(error, "C")
    return code if CODE.fullmatch(code) else "?????"


def _field(error: pg8000.native.DatabaseError, name: str) -> str:
    detail = error.args[0] if error.args else None
    return str(detail.get(name, "")) if isinstance(detail, dict) else ""


# postgresql.org/docs/current/errcodes-appendix.html; what is not listed is the user's to correct.
CANCELLED = ("57014", "40001", "72000")  # by a time-out too; a conflict with recovery; a snapshot too old
PASSES = ("08", "53", "57", "58", "40", "55006", "55P03", "HV00N")
BUGS = ("XX000",)
MEANINGS = {
    "22012": "a division by zero",
    "22003": "a number is out of range",
    "22008": "a time is out of range",
    "22021": "bytes that are no characters of the database's encoding",
    "22P02": "a text that is no value of its type",
    "22P05": "a character that UTF-8 does not have",
    "22023": "an invalid argument",
    "21000": "a subquery returned more than one row",
    "25006": "it writes",
    "42P01": "a table that it reads does not exist",
    "42703": "a column does not exist",
    "42883": "a function or an operator does not exist",
    "42704": "a type or another object does not exist",
    "3F000": "a schema does not exist",
    "0A000": "not possible on this server, such as an unlogged table on a standby",
    "54001": "it needs more stack than the server has",
    "P0001": "a function raised an error",
    "XX001": "its data are damaged",
    "XX002": "an index of it is damaged",
}


def _reduced(
    session: Session, error: pg8000.native.DatabaseError, table: TableName | None, column: str | None
) -> TributaryError:
    code, name = _code(error), str(table or "a table")
    if code in CANCELLED:
        return statement_errors.cancelled(session.where, name, code)
    if code.startswith(PASSES):
        return statement_errors.unavailable(session.where, name, code)
    if code in BUGS:
        return InternalError(f"{session.where} failed on {name} with SQLSTATE {code}")
    return _refused(session, error, table, column)


def _refused(
    session: Session, error: pg8000.native.DatabaseError, table: TableName | None, column: str | None
) -> TableRefused:
    code, name = _code(error), str(table or "a table")
    if _field(error, "R") == "check_enable_rls":  # the routine: its message may be in any language
        return TableRefused(
            f"the user may not see every row of {name}, because of row-level security ({code}); give it "
            "BYPASSRLS, or set rows: visible in the source's file to read only what the user may see"
        )
    is_view = table is not None and _is_view(session, table)
    if code == "42501":
        return statement_errors.forbidden(name, code)
    if code in ("42P01", "42703", "3F000") and not is_view:
        return statement_errors.gone(name, code)
    if code == "55000":
        return TableRefused(
            f"{name} cannot be read now ({code}); a materialized view must be refreshed first"
        )
    return statement_errors.fails(name, code, MEANINGS.get(code), is_view=is_view, column=column)


def _is_view(session: Session, table: TableName) -> bool:
    """Return whether the table is a view; False if the server can no longer tell."""
    try:
        rows, _ = transaction.run(session.driver, session.opening(), catalog.named(catalog.VIEWS, [table]))
    except DRIVER_ERRORS:
        return False
    return bool(rows)


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
    return _copied(query, columns)


def _copied(query: Query, columns: list[str]) -> str:
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
    rows = _rows(session, sql, path=settings.USERS_PATH if keyset.has_user_sql(sql) else settings.NO_PATH)
    return rows[0] if rows else None


def _rows(session: Session, sql: str, *, path: str = settings.NO_PATH) -> list[tuple[str | None, ...]]:
    with _queries(session):
        rows, _ = transaction.run(session.driver, session.opening(path), sql)
        return [tuple(row) for row in rows]


def _path(query: Query) -> str:
    """Return the search_path of a read: a user's SQL means what it means in the user's own sessions."""
    if query.sql is not None or query.where is not None:
        return settings.USERS_PATH
    return settings.path_of(query.table)


def read(session: Session, query: Query) -> Generator[Page]:
    """Run the query as one COPY and yield its rows; see the Protocol."""
    direct = copy_frames.usable(session.driver)
    return csv_pages.pages(query, (_off_the_socket if direct else _through_the_driver)(session, query))


def _off_the_socket(session: Session, query: Query) -> Generator[Block]:
    try:
        with _queries(session, query.table):
            try:
                opening, longest = session.opening(_path(query)), query.longest_bytes
                yield from copy_frames.blocks(session.driver, opening, copy(query), longest_bytes=longest)
            except pg8000.native.DatabaseError as error:
                with _queries(session, query.table, _failing_column(session, query, error)):
                    raise
    except GeneratorExit:
        abort_connection(session.spare)  # the server is still sending
        raise


def _failing_column(session: Session, query: Query, error: pg8000.native.DatabaseError) -> str | None:
    """Return the column whose values of this page fail with the same data exception, None if not known."""
    if not _code(error).startswith("22") or query.limit is None:
        return None
    for column in query.columns:
        alone = _copied(query, [types.field(_column(column.name), column.type)])
        try:
            for _ in copy_frames.blocks(session.driver, session.opening(_path(query)), alone):
                pass
        except pg8000.native.DatabaseError as failure:
            return column.name if _code(failure) == _code(error) else None
    return None


def _through_the_driver(session: Session, query: Query) -> Generator[Block]:
    """Read by the driver's public interface alone: slower, but independent of its internals."""

    def fill(write: Write) -> int:
        with (
            _queries(session, query.table),
            transaction.by_the_driver(session.driver, session.opening(_path(query))),
        ):
            session.driver.run(copy(query), stream=_Records(write))
            return int(session.driver.row_count)

    return pumped(fill, abort=lambda: abort_connection(session.spare))


def clock(session: Session) -> Clock:
    """Read the source's clock, then the oldest transaction of this database."""
    (now,) = _rows(session, source_clock.NOW)
    ((oldest, hidden),) = _rows(session, source_clock.OLDEST)
    return source_clock.clock_of(now, oldest, hidden)


def foreign(session: Session, names: Collection[TableName]) -> set[TableName]:
    """Return the tables whose writers this server does not list: foreign, or filled by a refresh."""
    if not names:
        return set()
    return {
        name
        for schema, table in _rows(session, catalog.named(source_clock.FOREIGN, names))
        if (name := TableName(str(schema), str(table))) in names
    }


def counter_horizon(session: Session, type: str) -> str | None:
    """Return None: the server has no counter whose uncommitted values it knows; see the Protocol."""
    return None


# --- catalog ------------------------------------------------------------------------------------


def list_tables(session: Session) -> list[TableName]:
    """Return every table and view the user may read: a partitioned table once, none of extensions."""
    return _tables(session, readable="t")


def hidden_tables(session: Session) -> list[TableName]:
    """Return the tables and views that the catalog shows and the user may not read, in name order."""
    return _tables(session, readable="f")


def _tables(session: Session, *, readable: str) -> list[TableName]:
    rows = _rows(session, catalog.TABLES)
    return sorted(
        TableName(str(schema), str(table)) for schema, table, may_read in rows if may_read == readable
    )


def describe(session: Session, names: Collection[TableName]) -> dict[TableName, SourceTable]:
    """Return the catalog's description of the named tables, in a few queries; missing tables are left out."""
    if not names:
        return {}
    columns = _rows(session, catalog.named(catalog.COLUMNS, names))
    described = catalog.tables(columns, _rows(session, catalog.named(catalog.INDEXES, names)))
    prints = catalog.fingerprints(_rows(session, catalog.named(catalog.FINGERPRINTS, names)))
    hazards = catalog.hazards(_rows(session, catalog.named(catalog.HAZARDS, names)))
    return {
        name: replace(
            table,
            fingerprint=prints.get(name, table.fingerprint),
            cursor_hazards=hazards.get(name, ()),
        )
        for name, table in described.items()
    }


def describe_query(session: Session, name: TableName, sql: str) -> SourceTable:
    """Return the columns of the query from the header of an empty result."""
    with _queries(session, name):
        query = f"SELECT * FROM {relation(name, sql, quote)} AS t LIMIT 0"
        _, columns = transaction.run(session.driver, session.opening(settings.USERS_PATH), query)
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
