"""SQLite through the standard library: a file on this machine, opened read-only.

Any column of SQLite may hold any value: each value is checked against the declared type when it is read
(`sqlite.types`). One that does not fit is refused or handled by policy, never cast.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tributary.engines.sqlite import catalog, types
from tributary.engines.sqlite.types import declared
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
from tributary.reading import csv_pages, keyset, values
from tributary.reading.csv_blocks import collected
from tributary.reading.keyset import hex_digits, relation
from tributary.secret import Secret

kind, orders = types.kind, types.orders
FRACTION_DIGITS = 0  # as CURRENT_TIMESTAMP writes it
INDEX_ENDS_WITH_KEY = True  # the rowid, which an INTEGER PRIMARY KEY is
OVERLAP_REQUIRED = False
GRADE = "exact"
ONE_ROW = ""
BUSY_TIMEOUT_S = 10
STEPS = 10_000  # of SQLite's virtual machine between two checks of the time-out
FETCHED_ROWS = 1_000
MOST_BYTES = 1_000_000_000  # of a row, in SQLite itself


@dataclass(frozen=True, slots=True)
class Session:
    """A connection, and how long a statement may take."""

    driver: sqlite3.Connection
    statement_timeout_s: int


def connect(secret: Secret, *, statement_timeout_s: int, visible_rows: bool = False) -> Session:
    """Open the file that the secret's `dbname` names; see the Protocol."""
    if not secret.dbname:
        raise SecretError('the source\'s secret has no "dbname"; write the path of the SQLite file there')
    file = Path(secret.dbname).absolute()
    try:
        driver = sqlite3.connect(
            f"{file.as_uri()}?mode=ro",
            uri=True,
            timeout=BUSY_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,
        )
        # Bytes that are not text are kept.
        driver.text_factory = lambda text: text.decode(errors="surrogateescape")
        driver.execute("PRAGMA query_only = ON")
        driver.execute("PRAGMA trusted_schema = OFF")
        driver.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.Error as error:
        if _code(error) in BUSY:
            raise SourceUnavailable(f"the SQLite file is locked ({_code(error)})") from None
        raise SourceRefused(
            f"the SQLite file cannot be opened ({_code(error)}); check the path in the secret's dbname "
            "and that it holds a SQLite database"
        ) from None
    return Session(driver, statement_timeout_s)


def close(session: Session) -> None:
    """Close the session; never raises."""
    with suppress(sqlite3.Error):
        session.driver.close()


# --- errors: the driver's errors become ours here and nowhere else -------------------------------

# SQLITE_READONLY: the file has a journal, of a writer that is committing or that crashed. A reader cannot
# roll it back, so a retry waits for a writer.
BUSY = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_IOERR", "SQLITE_READONLY")


@contextmanager
def _queries(session: Session, table: TableName | None = None) -> Iterator[None]:
    """Bound the statement's time, and turn its errors into ours."""
    end = time.monotonic() + session.statement_timeout_s
    try:
        session.driver.set_progress_handler(lambda: time.monotonic() > end, STEPS)
        yield
    except sqlite3.Error as error:
        raise _reduced(error, str(table or "a table")) from None


def _code(error: sqlite3.Error) -> str:
    name = str(getattr(error, "sqlite_errorname", "SQLITE_ERROR"))
    return "_".join(name.split("_")[:2])  # SQLITE_IOERR_READ is a kind of SQLITE_IOERR


def _reduced(error: sqlite3.Error, table: str) -> TributaryError:
    code = _code(error)
    if code == "SQLITE_INTERRUPT":
        return QueryCancelled(f"a query on {table} took longer than its time-out")
    if code in BUSY:
        return SourceUnavailable(f"the SQLite file could not be read ({code})")
    if str(error).startswith(("no such table", "no such column")):
        return TableRefused(f"{table}, or one of its columns, no longer exists")
    if code in ("SQLITE_CORRUPT", "SQLITE_NOTADB"):
        return TableRefused(f"{table} cannot be read: the SQLite file is damaged ({code})")
    return InternalError(f"SQLite failed on {table} with {code}")


# --- SQL text -----------------------------------------------------------------------------------


def quote(*names: str) -> str:
    """Return the dotted, quoted identifier."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def literal(text: str, type: str) -> str:
    """Return the literal of a value's own text: numbers bare, blobs in hex, everything else quoted."""
    name = declared(type).name
    if name in ("int64", "decimal", "boolean", "float64"):
        if not NUMBER.fullmatch(text):
            raise InternalError(f"a position in a column of type {type} is not a number")
        return text
    if name == "binary":
        return f"x'{hex_digits(text)}'"
    return "'" + text.replace("'", "''") + "'"


NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")


def rendered(name: str, type: str) -> str:
    """Return the expression of a column's exact text."""
    column = quote(name)
    return f"hex({column})" if declared(type).name == "binary" else column


def create_index(name: str, table: TableName, columns: Sequence[str]) -> str:
    """Return the statement that creates an index."""
    listed = ", ".join(map(quote, columns))
    return f"CREATE INDEX {quote(name)} ON {quote(table.table)} ({listed})"


def select(query: Query) -> str:
    """Return the SELECT of the query with plain columns."""
    where = " AND ".join(keyset.conditions(query, keyset.ROWS, _column, literal))
    columns = ", ".join(f"{_column(column.name)} AS c{place}" for place, column in enumerate(query.columns))
    return (
        f"SELECT {columns} FROM {relation(query.table, query.sql, quote)} AS t"
        + (f" WHERE {where}" if where else "")
        + keyset.tail(query, _column)
    )


def _column(name: str) -> str:
    return f"t.{quote(name)}"


# --- reading ------------------------------------------------------------------------------------


def ask(session: Session, sql: str) -> tuple[str | None, ...] | None:
    """Return the first row of a small query as texts, None without a row."""
    with _queries(session):
        row = session.driver.execute(sql).fetchone()
    return None if row is None else tuple(None if value is None else str(value) for value in row)


def read(session: Session, query: Query) -> Generator[Page]:
    """Run the query as one statement and yield its rows; see the Protocol."""
    return csv_pages.pages(query, collected(_records(session, query)))


def _records(session: Session, query: Query) -> Generator[bytes]:
    renderings = [types.rendering(column) for column in query.columns]
    with (
        _queries(session, query.table),
        _bounded(session, query),
        closing(session.driver.execute(select(query))) as cursor,
    ):
        while rows := cursor.fetchmany(FETCHED_ROWS):
            for row in rows:
                yield csv_pages.bounded_line(
                    query,
                    [None if v is None else render(v) for render, v in zip(renderings, row, strict=True)],
                )


@contextmanager
def _bounded(session: Session, query: Query) -> Iterator[None]:
    """Have SQLite read no longer row than the query's bound: twice that, since a file may be in UTF-16."""
    longest_bytes = min(2 * query.longest_bytes + 2, MOST_BYTES)
    before = session.driver.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, longest_bytes)
    try:
        yield
    except sqlite3.DataError as error:
        session.driver.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, before)
        if _code(error) != "SQLITE_TOOBIG":
            raise
        raise values.too_long(query, _widest(session, query)) from None
    finally:
        session.driver.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, before)


def _widest(session: Session, query: Query) -> int:
    """Return the place of the column with the longest value, which SQLite before 3.43 reads to measure it."""
    length = "octet_length({})" if sqlite3.sqlite_version_info >= (3, 43) else "length(CAST({} AS BLOB))"
    sizes = ", ".join(f"ifnull(max({length.format(_column(column.name))}), 0)" for column in query.columns)
    sql = f"SELECT {sizes} FROM {relation(query.table, query.sql, quote)} AS t"
    with _queries(session, query.table):
        lengths = session.driver.execute(sql).fetchone()
    return int(lengths.index(max(lengths)))


def clock(session: Session) -> Clock:
    """Read the clock; SQLite has no list of transactions."""
    row = ask(session, "SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')")
    now = datetime.fromisoformat(str(row[0] if row else "")).replace(tzinfo=UTC)
    return Clock(now, None, "SQLite shows no transactions")


def foreign(session: Session, names: Collection[TableName]) -> set[TableName]:
    """Return no table: a file has no other writers."""
    return set()


def counter_horizon(session: Session, type: str) -> str | None:
    """Return None: the server has no counter whose uncommitted values it knows; see the Protocol."""
    return None


# --- catalog ------------------------------------------------------------------------------------


def list_tables(session: Session) -> list[TableName]:
    """Return every table and view of the file, in name order."""
    with _queries(session):
        return sorted(TableName("main", str(name)) for (name,) in session.driver.execute(catalog.TABLES))


def hidden_tables(session: Session) -> list[TableName]:
    """Return no table: SQLite has no rights."""
    return []


def describe(session: Session, names: Collection[TableName]) -> dict[TableName, SourceTable]:
    """Return the schema's description of the named tables, in two queries; missing tables are left out."""
    with _queries(session):
        columns = session.driver.execute(catalog.COLUMNS).fetchall()
        return catalog.tables(columns, session.driver.execute(catalog.INDEXES).fetchall(), set(names))


def describe_query(session: Session, name: TableName, sql: str) -> SourceTable:
    """Return the query's columns; SQLite knows their types only for a view.

    The view is temporary, in the session's own database: the file does not change.
    """
    source = relation(name, sql, quote)
    with _queries(session, name):
        session.driver.execute("PRAGMA query_only = OFF")
        try:
            session.driver.execute(f"CREATE TEMP VIEW tributary_query AS SELECT * FROM {source}")
            rows = session.driver.execute("PRAGMA temp.table_xinfo(tributary_query)").fetchall()
            session.driver.execute("DROP VIEW temp.tributary_query")
        finally:
            session.driver.execute("PRAGMA query_only = ON")
    columns = (SourceColumn(str(row[1]), str(row[2]), nullable=True) for row in rows)
    return SourceTable(name, tuple(columns))


def sizes(session: Session, names: Collection[TableName]) -> dict[TableName, Size]:
    """Return nothing: SQLite keeps no row counts, and counting would read every row."""
    return {}


def key_range_ends(
    session: Session, table: TableName, key: Sequence[ReadColumn], count: int
) -> list[tuple[str, ...]]:
    """Return nothing: SQLite can neither sample a table nor estimate a range of an index."""
    return []
