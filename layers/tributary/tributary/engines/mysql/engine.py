"""MySQL and MariaDB through PyMySQL: rows in the protocol's text form, read from its socket.

Every statement is a short, read-only transaction of its own in a session with pinned settings, so that a
value's text means the same in every run.
"""

from __future__ import annotations

import re
import struct
import time
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from socket import socket
from ssl import SSLError
from threading import Timer
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pymysql
from pymysql.cursors import Cursor, SSCursor

from tributary.engines.mysql import catalog, packets, ranges, types
from tributary.engines.mysql.types import FAMILIES, family
from tributary.engines.network import (
    CONNECT_TIMEOUT_S,
    SILENCE_S,
    abort_connection,
    address,
    close_connection,
    dial,
    tls,
    tls_refused,
)
from tributary.errors import (
    InternalError,
    QueryCancelled,
    SourceRefused,
    SourceUnavailable,
    TableRefused,
    TributaryError,
)
from tributary.model.query import Page, Query, ReadColumn
from tributary.model.source_catalog import Clock, Size, SourceColumn, SourceTable, TableName
from tributary.reading import csv_pages, keyset, values
from tributary.reading.csv_blocks import Block, Write, pumped
from tributary.reading.keyset import hex_digits, relation
from tributary.reading.receive_buffer import ColumnTooLong
from tributary.secret import Secret

if TYPE_CHECKING:
    import pyarrow

PORT = 3306
kind, orders = types.kind, types.orders
FRACTION_DIGITS = 0  # DATETIME is DATETIME(0)
INDEX_ENDS_WITH_KEY = True  # InnoDB
LOCK_TIMEOUT_S = 30  # the server's default is a day
NET_WRITE_TIMEOUT_S = 600  # how long the server waits for a reader that is busy uploading
ATTEMPTS, RETRY_AFTER_S = 20, 0.12  # to read a current list, see `catalog.OLDEST_TRANSACTION`
READ_ONLY = "SET SESSION TRANSACTION READ ONLY"
DRIVER_ERRORS = (pymysql.Error, OSError, struct.error, ValueError, AttributeError, RuntimeError)


@dataclass(frozen=True, slots=True)
class Session:
    """A connection."""

    driver: pymysql.Connection[Cursor]
    spare: socket  # a second handle on its socket, to abort a read from outside
    where: str


# --- sessions -----------------------------------------------------------------------------------


def connect(secret: Secret, *, statement_timeout_s: int, visible_rows: bool = False) -> Session:
    """Open a read-only, pinned session; see the Protocol."""
    where = address(secret, PORT)
    context = tls(secret)
    sock = dial(secret, PORT)
    spare = sock.dup()
    limit = Timer(CONNECT_TIMEOUT_S, abort_connection, [spare])  # PyMySQL's own time-out is for reads
    limit.start()
    try:
        with _refusals(where):
            driver = pymysql.Connection(
                host=secret.host,
                port=secret.port or PORT,
                user=secret.username,
                password=secret.password.get_secret_value().encode(),  # PyMySQL encodes a text as latin-1
                database=secret.dbname or None,
                ssl=context,
                ssl_disabled=context is None,
                charset="utf8mb4",
                use_unicode=False,
                conv={},  # values stay the source's own text
                autocommit=True,
                read_timeout=statement_timeout_s + SILENCE_S,
                program_name="tributary",
                defer_connect=True,
            )
            driver.connect(sock)
            _run(driver, pin(statement_timeout_s, _limit_name(driver)))
            _run(driver, READ_ONLY)
    except BaseException:
        close_connection(spare)
        sock.close()
        raise
    finally:
        limit.cancel()
    return Session(driver, spare, where)


def _limit_name(driver: pymysql.Connection[Cursor]) -> str:
    """Return the variable that bounds a statement's time: MariaDB's in seconds, or MySQL's."""
    names = "'max_statement_time', 'max_execution_time'"
    rows = _run(driver, f"SHOW SESSION VARIABLES WHERE Variable_name IN ({names})")
    return str(rows[0][0]) if rows else ""


def pin(statement_timeout_s: int, limit_name: str) -> str:
    """Return the statement that pins a session: bounded, one text form per value.

    With NO_BACKSLASH_ESCAPES a literal is the text between quotes, with its quotes doubled and nothing else.
    """
    limits = {"max_statement_time": statement_timeout_s, "max_execution_time": 1000 * statement_timeout_s}
    settings = {
        "sql_mode": "'NO_BACKSLASH_ESCAPES'",
        "time_zone": "'+00:00'",
        "sql_auto_is_null": "0",
        "sql_select_limit": "DEFAULT",
        "sql_big_selects": "1",
        "lock_wait_timeout": str(min(LOCK_TIMEOUT_S, statement_timeout_s)),
        "net_write_timeout": str(NET_WRITE_TIMEOUT_S),
        **{name: str(value) for name, value in limits.items() if name == limit_name},
    }
    return "SET " + ", ".join(f"SESSION {name} = {value}" for name, value in settings.items())


def close(session: Session) -> None:
    """Close the session; never raises."""
    with suppress(*DRIVER_ERRORS):
        session.driver.close()
    close_connection(session.spare)


# --- errors: the driver's errors become ours here and nowhere else -------------------------------

REFUSALS = {
    1045: "wrong user name or password",
    1044: "the user may not use this database",
    1049: "no such database",
    1130: "this address is not allowed to connect",
    1129: "the server has blocked this address after failed attempts; run FLUSH HOSTS there",
    1698: "the user may not log in with a password",
    3159: "the server requires TLS; set sslmode in the secret to verify-full",
    3118: "the account is locked",
}
BUSY = (1040, 1203, 1226)  # too many connections, of all or of this user
CANCELLED = (1317, 1969, 3024)  # interrupted, and the statement time-outs of MariaDB and MySQL
FORBIDDEN = (1142, 1143, 1044, 1370)
GONE = (1146, 1054, 1049, 1356, 1109)
BROKEN = (1053, 1077, 1079, 1152, 1158, 1159, 1160, 1161, 1205, 1213, 1927, 2003, 2006, 2013, 4031)


@contextmanager
def _refusals(where: str) -> Iterator[None]:
    """Turn errors while connecting into ours."""
    try:
        yield
    except DRIVER_ERRORS as error:
        raise _refused(error, where) from None


def _refused(error: Exception, where: str) -> TributaryError:
    cause, code = getattr(error, "original_exception", error), _code(error)
    if isinstance(cause, SSLError) or code == 2026:
        return tls_refused(cause if isinstance(cause, SSLError) else None, where)
    if code in BUSY:
        return SourceUnavailable(f"{where} has no connection free ({code}); lower max_connections")
    if isinstance(error, RuntimeError):  # PyMySQL without `cryptography` cannot encrypt a password
        return SourceRefused(f"{where} accepts passwords over TLS only; do not set sslmode: disable")
    if (code < 2000 and code not in BROKEN) or code in REFUSALS:
        reason = f": {REFUSALS[code]}" if code in REFUSALS else ""
        return SourceRefused(f"{where} refused the connection ({code}{reason}); check the secret")
    return SourceUnavailable(f"{where} closed the connection, or stopped answering, while connecting")


@contextmanager
def _queries(session: Session, table: TableName | None = None) -> Iterator[None]:
    """Turn errors of a statement into ours."""
    try:
        yield
    except DRIVER_ERRORS as error:
        raise _reduced(_code(error), session.where, str(table or "a table")) from None


def _code(error: BaseException) -> int:
    """Return the server's error number, 2013 (connection lost) if the error has none."""
    number = error.args[0] if isinstance(error, pymysql.Error) and error.args else None
    return number if isinstance(number, int) and number else 2013


def _reduced(code: int, where: str, table: str) -> TributaryError:
    if code in CANCELLED:
        return QueryCancelled(f"{where} cancelled a query on {table} ({code})")
    if code in FORBIDDEN:
        return TableRefused(f"{table} may not be read ({code}); grant SELECT on it to the source's user")
    if code in GONE:
        return TableRefused(f"{table}, or one of its columns, no longer exists ({code})")
    if code in BROKEN:
        return SourceUnavailable(f"{where} could not finish a query on {table} ({code})")
    return InternalError(f"{where} failed on {table} with error {code}")


# --- SQL text -----------------------------------------------------------------------------------


def quote(*names: str) -> str:
    """Return the dotted, quoted identifier."""
    return ".".join("`" + name.replace("`", "``") + "`" for name in names)


NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")
DATE = re.compile(r"\d{4}-\d\d-\d\d")
TIME = re.compile(r"-?\d{2,3}:\d\d:\d\d(\.\d{1,6})?")
MOMENT = re.compile(r"(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d{1,6})?)(?:Z|\+00(?::?00)?)?")


def literal(text: str, type: str) -> str:
    """Return the literal of a value's own text: ``12.50``, ``DATE'2024-01-02'``, ``x'00ff'``."""
    known = family(type)
    if known == "binary":
        return f"x'{hex_digits(text)}'"
    quoted = "'" + text.replace("'", "''") + "'"
    if known in ("text", "doubtful", "plain"):
        return quoted
    if known == "date" and DATE.fullmatch(text):
        return "DATE" + quoted
    if known in ("datetime", "timestamp") and (match := MOMENT.fullmatch(text)):
        return f"TIMESTAMP'{match[1]}'"  # in the session's zone, which is UTC
    if known == "time" and TIME.fullmatch(text):
        return "TIME" + quoted
    if known in ("number", "bits", "float") and NUMBER.fullmatch(text):
        return text
    raise InternalError(f"a position in a column of type {type} does not have the form of its values")


def rendered(name: str, type: str) -> str:
    """Return the expression of a column's exact text."""
    return FAMILIES[family(type)].text.format(quote(name))


def create_index(name: str, table: TableName, columns: Sequence[str]) -> str:
    """Return the statement that creates an index."""
    return (
        f"CREATE INDEX {quote(name)} ON {quote(table.schema, table.table)} ({', '.join(map(quote, columns))})"
    )


def select(query: Query) -> str:
    """Return the SELECT of the query with plain columns."""
    return _select(query, ", ".join(_column(column.name) for column in query.columns))


def rows(query: Query) -> str:
    """Return the SELECT of the query with the texts, or bytes, that are read."""
    columns = [FAMILIES[family(column.type)].field.format(_column(column.name)) for column in query.columns]
    return _select(query, ", ".join(columns))


def _column(name: str) -> str:
    return f"t.{quote(name)}"


def _select(query: Query, columns: str) -> str:
    type_of = {column.name: column.type for column in query.columns}
    for name in keyset.order(query):
        if not orders(type_of[name]):
            raise TableRefused(
                f'column "{name}" of {query.table} has type {type_of[name]}, whose order and comparison '
                "differ, so rows cannot be read by it; choose another key or cursor"
            )
    where = " AND ".join(keyset.conditions(query, keyset.ALTERNATIVES, _column, literal))
    return (
        f"SELECT {columns} FROM {relation(query.table, query.sql, quote)} AS t"
        + (f" WHERE {where}" if where else "")
        + keyset.tail(query, _column)
    )


# --- reading ------------------------------------------------------------------------------------


def _run(driver: pymysql.Connection[Cursor], sql: str) -> list[tuple[str | None, ...]]:
    """Return a small query's rows as texts."""
    with driver.cursor() as cursor:
        cursor.execute(sql)
        answer: Any = cursor.fetchall()  # bytes: the session decodes nothing
    return [tuple(None if value is None else value.decode() for value in row) for row in answer or ()]


def ask(session: Session, sql: str, *, user_sql: bool = False) -> tuple[str | None, ...] | None:
    """Return the first row of a small query as texts, None without a row."""
    with _queries(session):
        answer = _run(session.driver, sql)
    return answer[0] if answer else None


class _Rows(SSCursor):
    """An unbuffered cursor that can be closed early: PyMySQL's own would read to the end."""

    _result: Any

    @property
    def result(self) -> Any:
        """Return the driver's state of the result."""
        return self._result

    def abandon(self) -> None:
        """Drop the rest of the result; the connection is lost with it."""
        if self._result is not None:
            self._result.unbuffered_active = False


def read(session: Session, query: Query) -> Generator[Page]:
    """Run the query and yield its rows; see the Protocol."""
    if packets.usable(session.driver):
        return _off_the_socket(session, query)
    return csv_pages.pages(query, _through_the_driver(session, query))


def _off_the_socket(session: Session, query: Query) -> Generator[Page]:
    answer = _Rows(session.driver)
    try:
        with _queries(session, query.table):
            answer.execute(rows(query))
            for taken in packets.rows(session.driver, answer.result, longest_bytes=query.longest_bytes):
                yield _page(taken, query)
    except ColumnTooLong as error:
        abort_connection(session.spare)  # the server is still sending
        raise values.too_long(query, error.place) from None
    except GeneratorExit:
        abort_connection(session.spare)  # the server is still sending
        raise
    finally:
        answer.abandon()


def _page(taken: packets.Rows, query: Query) -> Page:
    position = None
    if query.order:
        last = zip(taken.last(), map(_is_raw, query.columns), strict=True)
        texts = (_text(value, raw) for value, raw in last)
        position = keyset.position(
            query, [None if text is None else text.decode(errors="surrogateescape") for text in texts]
        )
    return Page(len(taken), position, len(taken.content), partial(_parse, taken, query))


def _parse(taken: packets.Rows, query: Query) -> tuple[pyarrow.Table, values.Counts]:
    columns = zip(taken.columns(len(query.columns)), map(_is_raw, query.columns), strict=True)
    return values.parse(query, [values.hexed(column) if raw else column for column, raw in columns])


def _text(value: bytes | None, raw: bool) -> bytes | None:
    return value.hex().upper().encode() if raw and value is not None else value


def _is_raw(column: ReadColumn) -> bool:
    return FAMILIES[family(column.type)].raw


def _through_the_driver(session: Session, query: Query) -> Generator[Block]:
    """Read by the driver's public interface alone: slower, but independent of its internals."""
    raw = [_is_raw(column) for column in query.columns]

    def fill(write: Write) -> None:
        with _queries(session, query.table):
            answer = _Rows(session.driver)
            try:
                answer.execute(rows(query))
                for row in answer.fetchall_unbuffered():
                    write(csv_pages.line(map(_text, row, raw)))
            except BaseException:
                answer.abandon()
                raise

    return pumped(fill, abort=lambda: abort_connection(session.spare))


def clock(session: Session) -> Clock:
    """Read the source's clock, then its oldest transaction and statement."""
    with _queries(session):
        now = _time(_run(session.driver, "SELECT UTC_TIMESTAMP(6)")[0][0])
        transaction, hidden = _oldest_transaction(session.driver)
        if hidden:
            return Clock(now, None, hidden)
        ((statement,),) = _run(session.driver, catalog.OLDEST_STATEMENT)
        if _run(session.driver, catalog.REPLICA):
            hidden = "a replica does not show its primary's transactions"
    return Clock(
        now, min((_time(start) for start in (transaction, statement) if start), default=None), hidden
    )


def _oldest_transaction(driver: pymysql.Connection[Cursor]) -> tuple[str | None, str | None]:
    """Return the oldest transaction's start and what hides it; our own proves the list current."""
    _run(driver, "START TRANSACTION WITH CONSISTENT SNAPSHOT")
    try:
        for _ in range(ATTEMPTS):
            query = catalog.OLDEST_TRANSACTION.replace("{token}", uuid4().hex)
            ((current, prepared, oldest),) = _run(driver, query)
            if current == "1":
                held = "a prepared transaction is open, and its start cannot be seen"
                return oldest, held if prepared != "0" else None
            time.sleep(RETRY_AFTER_S)
    except pymysql.Error as error:
        if _code(error) == 1227:
            return None, "the user lacks PROCESS, so open transactions cannot be seen"
        raise
    finally:
        _run(driver, "ROLLBACK")
    return (
        None,
        "the server's list of transactions is out of date, because something reads it without a pause",
    )


def _time(text: str | None) -> datetime:
    return datetime.fromisoformat(text or "").replace(tzinfo=UTC)


def counter_horizon(session: Session, type: str) -> str | None:
    """Return None: the server has no counter whose uncommitted values it knows; see the Protocol."""
    return None


# --- catalog ------------------------------------------------------------------------------------


def list_tables(session: Session) -> list[TableName]:
    """Return every table and view on which the user has a privilege, in all databases."""
    with _queries(session):
        return sorted(TableName(str(s), str(t)) for s, t in _run(session.driver, catalog.TABLES))


def describe(session: Session, names: Collection[TableName]) -> dict[TableName, SourceTable]:
    """Return the catalog's description of the named tables, in two queries; missing tables are left out."""
    if not names:
        return {}
    with _queries(session):
        columns = _run(session.driver, catalog.named(catalog.COLUMNS, names))
        return catalog.tables(
            columns, _run(session.driver, catalog.named(catalog.INDEXES, names)), set(names)
        )


def describe_query(session: Session, name: TableName, sql: str) -> SourceTable:
    """Return the columns of the query from the header of an empty result."""
    with _queries(session, name), session.driver.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {relation(name, sql, quote)} AS t LIMIT 0")
        answer: Any = cursor
        fields = answer._result.fields
    columns = (SourceColumn(_named(field.name), catalog.answered(field), nullable=True) for field in fields)
    return SourceTable(name, tuple(columns))


def _named(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name


def sizes(session: Session, names: Collection[TableName]) -> dict[TableName, Size]:
    """Return the storage engine's estimates of the tables' sizes; views are left out."""
    if not names:
        return {}
    with _queries(session):
        rows = _run(session.driver, catalog.named(ranges.SIZES, names))
    estimates = {
        TableName(str(schema), str(table)): Size(int(count or 0), int(size_bytes or 0))
        for schema, table, count, size_bytes in rows
    }
    return {name: size for name, size in estimates.items() if name in names}


def key_range_ends(
    session: Session, table: TableName, key: Sequence[ReadColumn], count: int
) -> list[tuple[str, ...]]:
    """Return keys that the optimizer's index dives place about equally far apart; see the Protocol."""
    columns = tuple(_column(column.name) for column in key)
    texts = tuple(
        FAMILIES[family(column.type)].text.format(name) for column, name in zip(key, columns, strict=True)
    )
    key_types = tuple(column.type for column in key)
    keyed = ranges.KeyedTable(quote(table.schema, table.table), columns, texts, key_types, literal)
    return ranges.range_ends(lambda sql: ask(session, sql), keyed, count)
