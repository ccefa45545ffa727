"""SQL Server and Azure SQL through ODBC: T-SQL in, and the values out as `odbc` carries them.

SQL Server knows no read-only session: what keeps the source unwritten is that only SELECTs are sent,
and the rights of the user. Reads are of the database's snapshot where it allows that, else of what is
committed; a writer waits for none of them longer than one short page.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import tempfile
from collections.abc import Collection, Generator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

from tributary.engines import odbc
from tributary.engines.network import address
from tributary.engines.odbc import Dialect, Meaning, Session, ask, close
from tributary.engines.sqlserver import catalog
from tributary.engines.sqlserver.types import kind, literal, orders, quote, string, text, wire
from tributary.errors import InternalError, SecretError, TableRefused
from tributary.model.query import Page, Query, ReadColumn
from tributary.model.source_catalog import Clock, Size, SourceColumn, SourceTable, TableName
from tributary.reading import keyset
from tributary.reading.keyset import relation
from tributary.secret import Secret

__all__ = [  # the Protocol
    "FRACTION_DIGITS",
    "INDEX_ENDS_WITH_KEY",
    "ask",
    "clock",
    "close",
    "connect",
    "counter_horizon",
    "create_index",
    "describe",
    "describe_query",
    "kind",
    "list_tables",
    "literal",
    "orders",
    "quote",
    "read",
    "rendered",
    "select",
    "sizes",
    "split",
]

PORT = 1433
FRACTION_DIGITS = 2  # of datetime, whose third is rounded to 0, 3 or 7
INDEX_ENDS_WITH_KEY = True  # the clustered key, which the primary key is by default
LOCK_TIMEOUT_S = 30  # the server's own is for ever
DRIVER = "ODBC Driver 18 for SQL Server"  # where Microsoft's own package installed it
DRIVER_FILE = "libs/linux/rhel/{machine}/lib/libmsodbcsql-18.*.so.*"  # within mssql_python_odbc

MEANINGS: dict[str, Meaning] = {
    **dict.fromkeys(("18456", "18452", "4060", "4064", "40532", "18486", "18487", "18488"), "refused"),
    **dict.fromkeys(("229", "230", "300", "297", "262", "916"), "forbidden"),
    **dict.fromkeys(("208", "207", "3701", "4902"), "gone"),
    **dict.fromkeys(("3952", "3954", "41332"), "unreadable"),  # no snapshot here, or none of a memory table
    **dict.fromkeys(("1222", "3617"), "cancelled"),  # a lock not given in time; ended from outside
    **dict.fromkeys(("1205", "3960", "3961", "596", "40197", "40501", "40613", "49918"), "broken"),
    **dict.fromkeys(("17809", "10928", "10929", "49919", "49920"), "busy"),
    "01000": "broken",  # the driver's network layer, and nothing of a server
}


# --- sessions -----------------------------------------------------------------------------------


def connect(secret: Secret, *, statement_timeout_s: int) -> Session:
    """Open a pinned session; see the Protocol."""
    where = address(secret, PORT)
    return odbc.open_session(
        Dialect(wire, _select, MEANINGS),
        connection_string(secret, driver()),
        where=where,
        pins=pins(statement_timeout_s),
        statement_timeout_s=statement_timeout_s,
    )


def connection_string(secret: Secret, driver: str) -> str:
    """Return what the driver connects by: encrypted and verified unless the secret says otherwise."""
    if secret.sslmode == "verify-ca":
        raise SecretError(
            "SQL Server's driver verifies a certificate's host name whenever it verifies its authority; "
            'set "sslmode" in the secret to verify-full or require'
        )
    if "\\" in secret.host:
        raise SecretError(
            'a named instance cannot be looked up from Lambda; write the host alone as "host" and the '
            'instance\'s port as "port" in the secret'
        )
    if secret.sslmode == "verify-full" and secret.sslrootcert:
        _trust(secret.sslrootcert)
    return odbc.connection_string(
        {
            "Driver": driver,
            "Server": f"tcp:{secret.host},{secret.port or PORT}",
            "Database": secret.dbname,
            "UID": secret.username,
            "PWD": secret.password.get_secret_value(),
            "Encrypt": "no" if secret.sslmode == "disable" else "yes",
            "TrustServerCertificate": "no" if secret.sslmode == "verify-full" else "yes",
            "ApplicationIntent": "ReadOnly",
            "APP": "tributary",
        }
    )


def _trust(authorities: str) -> None:
    """Make OpenSSL, which the driver uses, verify with these authorities: it has no option for them."""
    digest = hashlib.sha256(authorities.encode()).hexdigest()
    file = Path(tempfile.gettempdir()) / f"authorities-{digest}.pem"  # one, however often it is asked for
    file.write_text(authorities)
    os.environ["SSL_CERT_FILE"] = str(file)


def driver() -> str:
    """Return the driver's file in the drivers layer, else the name under which a machine may have it."""
    found = None
    with suppress(ImportError, ValueError):
        found = importlib.util.find_spec("mssql_python_odbc")
    for folder in (found.submodule_search_locations or []) if found else []:
        for file in sorted(
            Path(folder).glob(DRIVER_FILE.format(machine=MACHINES.get(platform.machine(), "*")))
        ):
            return str(file)
    return DRIVER


MACHINES = {"aarch64": "arm64"}  # as the wheel names its folders, where it is not as the machine does


def pins(statement_timeout_s: int) -> tuple[str, ...]:
    """Return the statements that pin a session: its waits are bounded, and a text has one meaning.

    Where two sessions block each other for good, this one is the one that gives way.
    """
    settings = (
        "NOCOUNT ON",
        "LANGUAGE us_english",
        "DATEFORMAT ymd",
        "ROWCOUNT 0",
        "TEXTSIZE 2147483647",  # what is longer would be cut without a word
        "ANSI_NULLS ON",
        "ANSI_PADDING ON",
        "ANSI_WARNINGS ON",
        "QUOTED_IDENTIFIER ON",
        "IMPLICIT_TRANSACTIONS OFF",
        "CONCAT_NULL_YIELDS_NULL ON",
        "ARITHABORT ON",
        "NUMERIC_ROUNDABORT OFF",
        "DEADLOCK_PRIORITY LOW",
        f"LOCK_TIMEOUT {1000 * min(LOCK_TIMEOUT_S, statement_timeout_s)}",
    )
    return "; ".join(f"SET {setting}" for setting in settings), ISOLATION


# One version of the rows for each statement, where the database keeps versions; a reader then waits for
# no writer. Otherwise what is committed, of which READ_COMMITTED_SNAPSHOT keeps versions too.
ISOLATION = """
IF EXISTS (SELECT 1 FROM sys.databases WHERE database_id = DB_ID() AND snapshot_isolation_state = 1)
BEGIN SET TRANSACTION ISOLATION LEVEL SNAPSHOT END
ELSE BEGIN SET TRANSACTION ISOLATION LEVEL READ COMMITTED END
"""


# --- SQL text -----------------------------------------------------------------------------------


def rendered(name: str, type: str) -> str:
    """Return the expression of a column's exact text."""
    return text(quote(name), type)


def create_index(name: str, table: TableName, columns: Sequence[str]) -> str:
    """Return the statement that makes an index."""
    return (
        f"CREATE INDEX {quote(name)} ON {quote(table.schema, table.table)} ({', '.join(map(quote, columns))})"
    )


def select(query: Query) -> str:
    """Return the SELECT of the query, its columns as they are."""
    return _select(query, [_column(column.name) for column in query.columns])


def _column(name: str) -> str:
    return f"t.{quote(name)}"


def _select(query: Query, columns: Sequence[str]) -> str:
    types = {column.name: column.type for column in query.columns}
    for name in keyset.order(query):
        if not orders(types[name]):
            raise TableRefused(
                f'column "{name}" of {query.table} has type {types[name]}, by which rows cannot be read; '
                "choose another key or cursor"
            )
    top = "" if query.limit is None else f"TOP ({query.limit:d}) "
    where = " AND ".join(keyset.conditions(query, keyset.ALTERNATIVES, _column, literal))
    order = ", ".join(map(_column, keyset.order(query)))
    return (
        f"SELECT {top}{', '.join(columns)} FROM {relation(query.table, query.sql, quote)} AS t"
        + (f" WHERE {where}" if where else "")
        + (f" ORDER BY {order}" if order else "")
    )


# --- reading ------------------------------------------------------------------------------------


def read(session: Session, query: Query) -> Generator[Page]:
    """Run the query as one statement and yield its rows; see the Protocol."""
    return odbc.read(session, query)


def counter_horizon(session: Session, type: str) -> str | None:
    """Return the rowversion up to which everything is committed; None for every other type."""
    if type != "rowversion":
        return None
    row = ask(session, catalog.SETTLED)
    return row[0] if row else None


def clock(session: Session) -> Clock:
    """Read the source's clock, then its oldest transaction and statement."""
    row = ask(session, catalog.CLOCK)
    if row is None or row[0] is None or row[1] is None:
        raise InternalError(f"{session.where} gave no answer to a question about itself")
    now = _time(row[0]).replace(tzinfo=UTC)
    if row[2] == "READ_ONLY":
        return Clock(now, None, "a replica does not show its primary's transactions")
    try:
        oldest = ask(session, catalog.OLDEST)
    except TableRefused:
        return Clock(now, None, "the user lacks VIEW SERVER STATE, so open transactions cannot be seen")
    begun = oldest[0] if oldest else None
    ahead = timedelta(minutes=int(row[1]))
    return Clock(now, earliest(_time(begun), now, ahead) if begun else None)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text[:26])


def earliest(begun: datetime, now: datetime, ahead: timedelta) -> datetime:
    """Return the earliest instant that may have shown the local time `begun` on the server's clock.

    The server says how far its zone is ahead of UTC now, not how far it was then: it is taken as the
    one of all zones, of those that are as far ahead now, which was the farthest.
    """
    if not ahead:
        return begun.replace(tzinfo=UTC)
    alike = (
        zone
        for zone in map(ZoneInfo, sorted(available_timezones()))
        if now.astimezone(zone).utcoffset() == ahead
    )
    instants = (begun.replace(tzinfo=zone, fold=fold).astimezone(UTC) for zone in alike for fold in (0, 1))
    return min(instants, default=begun.replace(tzinfo=UTC) - ahead - timedelta(hours=1))


# --- catalog ------------------------------------------------------------------------------------


def list_tables(session: Session) -> list[TableName]:
    """Return every table and view of the database that the user may read, in name order."""
    return sorted(TableName(str(s), str(t)) for s, t in odbc.answers(session, catalog.TABLES))


def describe(session: Session, names: Collection[TableName]) -> dict[TableName, SourceTable]:
    """Return the catalog's word on the named tables, in two queries; what does not exist is left out."""
    if not names:
        return {}
    columns = odbc.answers(session, catalog.named(catalog.COLUMNS, names))
    indexes = odbc.answers(session, catalog.named(catalog.INDEXES, names))
    return catalog.tables(columns, indexes, set(names))


def describe_query(session: Session, name: TableName, sql: str) -> SourceTable:
    """Return what the server says of the query's columns, which it does not run for that."""
    statement = string(f"SELECT * FROM {relation(name, sql, quote)} AS t")
    rows = odbc.answers(session, catalog.DESCRIBED.replace("{statement}", statement))
    if not rows:
        raise TableRefused(f"the server cannot tell the columns of {name}")
    return SourceTable(
        name,
        tuple(SourceColumn(str(column), catalog.type_text(*type), nullable=True) for column, *type in rows),
    )


def sizes(session: Session, names: Collection[TableName]) -> dict[TableName, Size]:
    """Return nothing: no table is cut here, so its size decides nothing."""
    return {}


def split(session: Session, table: TableName, key: Sequence[ReadColumn], count: int) -> list[tuple[str, ...]]:
    """Return nothing: how SQL Server samples keys could not be tried on one yet."""
    return []
