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
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from socket import socket
from ssl import SSLError
from threading import Timer
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pymysql
from pymysql.cursors import Cursor, SSCursor

from tributary.engines import statement_errors
from tributary.engines.mysql import catalog, packets, ranges, types
from tributary.engines.mysql.types import FAMILIES, family
from tributary.engines.network import (
    CONNECT_TIMEOUT_S,
    SILENCE_S,
    abort_connection,
    address,
    close_connection,
    dial,
    host_of,
    tls,
    tls_refused,
)
from tributary.errors import (
    InternalError,
    SourceRefused,
    SourceUnavailable,
    TableRefused,
    TributaryError,
)
from tributary.model.query import Page, Query, ReadColumn
from tributary.model.source_catalog import NEVER, Clock, Size, SourceColumn, SourceTable, TableName
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
# An autocommitted SELECT is one snapshot; the list of transactions needs one that lasts.
READ_ONLY = "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
MODE = "NO_BACKSLASH_ESCAPES"
LARGEST = "18446744073709551615"
DRIVER_ERRORS = (pymysql.Error, OSError, struct.error, ValueError, AttributeError, RuntimeError)


@dataclass(slots=True)
class Session:
    """A connection."""

    driver: pymysql.Connection[Cursor]
    spare: socket  # a second handle on its socket, to abort a read from outside
    where: str
    users_mode: str  # the server's own sql_mode, which a user's SQL is written for
    mode: str = MODE  # the session's sql_mode now


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
                host=host_of(secret),
                port=secret.port or PORT,
                user=secret.username,
                password=secret.password.get_secret_value().encode(),  # PyMySQL encodes a text as latin-1
                database=secret.dbname or None,
                ssl=context,
                ssl_disabled=context is None,
                charset="utf8mb4",
                use_unicode=False,
                conv={},  # values stay the source's own text
                autocommit=None,  # the pins set it: the driver cannot write the value with an empty `conv`
                read_timeout=statement_timeout_s + SILENCE_S,
                program_name="tributary",
                defer_connect=True,
            )
            driver.connect(sock)
            _run(driver, pin(statement_timeout_s, []))  # a limit of the server's could stop the next query
            _run(driver, pin(statement_timeout_s, _optional(driver)))
            _run(driver, READ_ONLY)
            ((mode,),) = _run(driver, "SELECT @@GLOBAL.sql_mode")
    except BaseException:
        close_connection(spare)
        sock.close()
        raise
    finally:
        limit.cancel()
    return Session(driver, spare, where, _without_padding(mode or ""))


# What only some servers have. Limits of a statement's time are in seconds (MariaDB) or milliseconds (MySQL).
OPTIONAL = {
    "max_statement_time": "{timeout_s}",
    "max_execution_time": "{timeout_ms}",
    "old_mode": "''",  # MariaDB: casts and defaults of versions long past
    "system_versioning_asof": "DEFAULT",  # MariaDB: rows of another time
    "show_old_temporals": "0",  # MySQL: a comment in a type's text
    "show_gipk_in_create_table_and_information_schema": "1",  # MySQL: a key that the server made
    "resultset_metadata": "'FULL'",  # MySQL: the columns of a result
}


def _optional(driver: pymysql.Connection[Cursor]) -> list[str]:
    """Return those of OPTIONAL that the server has."""
    names = ", ".join(f"'{name}'" for name in OPTIONAL)
    rows = _run(driver, f"SHOW SESSION VARIABLES WHERE Variable_name IN ({names})")
    return sorted(str(name) for name, _ in rows)


def pin(statement_timeout_s: int, optional: Sequence[str]) -> str:
    """Return the statement that pins a session: bounded, every row, one text form per value.

    With NO_BACKSLASH_ESCAPES a literal is the text between quotes, with its quotes doubled and nothing else.
    DEFAULT would be the server's own value, so limits are stated. docs/source-evidence.md has the reasons.
    """
    later = {
        name: OPTIONAL[name].format(timeout_s=statement_timeout_s, timeout_ms=1000 * statement_timeout_s)
        for name in optional
    }
    settings = {
        "sql_mode": f"'{MODE}'",
        "time_zone": "'+00:00'",
        "autocommit": "1",
        "completion_type": "'NO_CHAIN'",
        "sql_auto_is_null": "0",
        "sql_select_limit": LARGEST,
        "max_join_size": LARGEST,  # before sql_big_selects, which it changes
        "sql_big_selects": "1",
        "max_sort_length": "1024",  # bytes of a text that ORDER BY compares
        "lock_wait_timeout": str(min(LOCK_TIMEOUT_S, statement_timeout_s)),
        "net_write_timeout": str(NET_WRITE_TIMEOUT_S),
        "timestamp": "DEFAULT",  # of a session alone: the clock
        **later,
    }
    return "SET " + ", ".join(f"SESSION {name} = {value}" for name, value in settings.items())


def _without_padding(mode: str) -> str:
    """Return the server's sql_mode for a user's SQL; padding would change the values that are read."""
    return ",".join(part for part in mode.split(",") if part and part != "PAD_CHAR_TO_FULL_LENGTH")


def _use_mode_of(session: Session, sql: str) -> None:
    """Set the sql_mode that the statement is written for; our own parts of it mean the same in each."""
    mode = session.users_mode if keyset.has_user_sql(sql) else MODE
    if mode != session.mode:
        _run(session.driver, f"SET SESSION sql_mode = '{mode}'")
        session.mode = mode


def close(session: Session) -> None:
    """Close the session; never raises."""
    with suppress(*DRIVER_ERRORS):
        session.driver.close()
    close_connection(session.spare)


# --- errors: the driver's errors become ours here and nowhere else -------------------------------

REFUSALS = {
    1045: "wrong user name or password",
    1820: "the password must be changed",
    1862: "the password has expired",
    4151: "the account is locked",
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
FORBIDDEN = (1142, 1143, 1044, 1227)
GONE = (1146, 1054, 1049, 1109)
OF_VIEWS = (1356, 1449)
BUGS = (1105,)  # unknown error
BROKEN = (
    1053,
    1077,
    1079,
    1152,
    1158,
    1159,
    1160,
    1161,
    1180,
    1205,
    1206,
    1213,
    1615,
    1927,
    2003,
    2006,
    2013,
    4031,
)


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


# dev.mysql.com/doc/mysql-errors, mariadb.com/kb/en/mariadb-error-codes: what a user can correct.
MEANINGS = {
    1356: "it refers to a table, a column or a function that is missing, or its definer lacks a right",
    1449: "its definer does not exist",
    1365: "a division by zero",
    1690: "a number is out of range",
    1264: "a number is out of range",
    1292: "a value that is no value of its type",
    1366: "a value that is no value of its type",
    1242: "a subquery returned more than one row",
    1300: "bytes that are no characters of their character set",
    1267: "collations that cannot be compared",
    1064: "its SQL cannot be parsed",
    1146: "a table that it reads does not exist",
    1054: "a column does not exist",
    1305: "a function does not exist",
    1370: "a function may not be executed",
    1792: "it writes",
    1644: "a function raised an error",
    1194: "it is damaged",
    145: "it is damaged",
    1104: "it would examine more rows than max_join_size",
    1038: "sorting needs more memory than the server gives",
    1114: "a temporary table is full",
}


def _reduced(code: int, where: str, table: str) -> TributaryError:
    shown = str(code)
    if code in CANCELLED:
        return statement_errors.cancelled(where, table, shown)
    if code in BROKEN or 2000 <= code < 3000:  # of the client's side
        return statement_errors.unavailable(where, table, shown)
    if code in FORBIDDEN:
        return statement_errors.forbidden(table, shown)
    if code in GONE:
        return statement_errors.gone(table, shown)
    if code in BUGS:
        return InternalError(f"{where} failed on {table} with error {code}")
    return statement_errors.fails(table, shown, MEANINGS.get(code), is_view=code in OF_VIEWS)


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
    if known in ("text", "doubtful", "plain"):  # a backslash means itself in some modes only
        return f"_utf8mb4 x'{text.encode(errors='surrogateescape').hex()}'" if "\\" in text else quoted
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


def ask(session: Session, sql: str) -> tuple[str | None, ...] | None:
    """Return the first row of a small query as texts, None without a row."""
    with _queries(session):
        _use_mode_of(session, sql)
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
            sql = rows(query)
            _use_mode_of(session, sql)
            answer.execute(sql)
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
            sql = rows(query)
            _use_mode_of(session, sql)
            answer = _Rows(session.driver)
            try:
                answer.execute(sql)
                for row in answer.fetchall_unbuffered():
                    write(csv_pages.line(map(_text, row, raw)))
            except BaseException:
                answer.abandon()
                raise

    return pumped(fill, abort=lambda: abort_connection(session.spare))


def clock(session: Session) -> Clock:
    """Read the source's clock, then its oldest transaction and statement, and whether it is a copy."""
    with _queries(session):
        now = _time(_run(session.driver, "SELECT UTC_TIMESTAMP(6)")[0][0])
        copy = _copy(session.driver, now)
        transaction, hidden = _oldest_transaction(session.driver)
        if hidden:
            return Clock(now, None, copy.hidden or hidden, copy.notes, copy.data_at)
        ((statement,),) = _run(session.driver, catalog.OLDEST_STATEMENT)
    oldest = min((_time(start) for start in (transaction, statement) if start), default=None)
    return Clock(now, oldest, copy.hidden, copy.notes, copy.data_at)


@dataclass(frozen=True, slots=True)
class Copy:
    """Why other servers may write this one's rows too (None: none do), and up to when these are here."""

    hidden: str | None = None
    data_at: datetime | None = None
    notes: tuple[str, ...] = ()


REPLICA = "a replica does not show its primary's transactions"
CLUSTER = "a cluster does not show other nodes' transactions"
NOT_RUNNING = (
    "replication is configured and does not run, so the watermark waits for it; start it, or remove its "
    "configuration (RESET REPLICA ALL) if nothing more will come from there"
)
LAG_UNKNOWN = (
    "the user may not ask how far this replica is behind (grant it REPLICA MONITOR, on MySQL REPLICATION "
    "CLIENT), so rows that arrive later than the overlap are missed"
)


def _copy(driver: pymysql.Connection[Cursor], now: datetime) -> Copy:
    names = {str(name).lower() for name, _ in _run(driver, catalog.COPY)}
    if names & {"wsrep_on", "group_replication_group_name"}:
        return Copy(CLUSTER)
    channels = _channels(driver)
    if channels:
        behind_s = [_behind_s(channel) for channel in channels]
        if None in behind_s:
            return Copy(REPLICA, NEVER, (NOT_RUNNING,))
        return Copy(REPLICA, now - timedelta(seconds=max(each or 0 for each in behind_s)))
    if channels is None and (names or _run(driver, catalog.REPLICATION_THREADS) != [("0",)]):
        return Copy(REPLICA, notes=(LAG_UNKNOWN,))
    return Copy(REPLICA if "innodb_read_only" in names else None)


def _channels(driver: pymysql.Connection[Cursor]) -> list[dict[str, str | None]] | None:
    """Return the state of each primary that this server replicates, None without the right to ask."""
    for query in catalog.REPLICA_STATUS:
        try:
            return _named_rows(driver, query)
        except pymysql.Error as error:
            if _code(error) not in (1064, 1227, 1235):  # in other servers' words, or without the right
                raise
    return None


def _behind_s(channel: dict[str, str | None]) -> int | None:
    """Return how far the replica may be behind that primary, None if replication does not run."""
    behind = channel.get("Seconds_Behind_Master", channel.get("Seconds_Behind_Source"))
    return None if behind is None else int(behind) + int(channel.get("SQL_Delay") or 0)


def _named_rows(driver: pymysql.Connection[Cursor], sql: str) -> list[dict[str, str | None]]:
    with driver.cursor() as cursor:
        cursor.execute(sql)
        names = [str(column[0]) for column in cursor.description or ()]
        rows: Any = cursor.fetchall()
    return [
        {name: None if value is None else value.decode() for name, value in zip(names, row, strict=True)}
        for row in rows
    ]


def foreign(session: Session, names: Collection[TableName]) -> set[TableName]:
    """Return the tables whose rows are on another server, and the views if there is any such table."""
    if not names:
        return set()
    with _queries(session):
        rows = _run(session.driver, catalog.named(catalog.FOREIGN, names))
    return {
        name
        for schema, table, elsewhere in rows
        if elsewhere == "1" and (name := TableName(str(schema), str(table))) in names
    }


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


def hidden_tables(session: Session) -> list[TableName]:
    """Return no table: the server shows none on which the user has no privilege."""
    return []


def describe(session: Session, names: Collection[TableName]) -> dict[TableName, SourceTable]:
    """Return the catalog's description of the named tables, in a few queries; missing tables are left out."""
    if not names:
        return {}
    with _queries(session):
        columns = _run(session.driver, catalog.named(catalog.COLUMNS, names))
        indexes = _run(session.driver, catalog.named(catalog.INDEXES, names))
        relations = _run(session.driver, catalog.named(catalog.RELATIONS, names))
        hazards = catalog.hazards(_run(session.driver, catalog.named(catalog.HAZARDS, names)))
        described = catalog.tables(columns, indexes, relations, set(names))
        return {
            name: replace(table, cursor_hazards=hazards.get(name, ())) for name, table in described.items()
        }


def describe_query(session: Session, name: TableName, sql: str) -> SourceTable:
    """Return the columns of the query from the header of an empty result."""
    with _queries(session, name), session.driver.cursor() as cursor:
        statement = f"SELECT * FROM {relation(name, sql, quote)} AS t LIMIT 0"
        _use_mode_of(session, statement)
        cursor.execute(statement)
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
