"""SQL Server and Azure SQL through ODBC: this module writes T-SQL, and `odbc` reads the values.

SQL Server has no read-only session: only SELECTs are sent, and the user's rights protect the source. Reads
use the database's snapshot isolation if it is allowed, otherwise READ COMMITTED. A writer waits for a read no
longer than one short page.
"""

from __future__ import annotations

import importlib.util
import platform
from collections.abc import Collection, Generator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

from tributary.engines import odbc
from tributary.engines.network import address, host_of
from tributary.engines.odbc import Dialect, Meaning, Session
from tributary.engines.sqlserver import catalog, types
from tributary.engines.sqlserver.types import binding, quote, string, text, utf16_hex
from tributary.errors import InternalError, SecretError, TableRefused
from tributary.model.query import Page, Query, ReadColumn
from tributary.model.source_catalog import Clock, Size, SourceColumn, SourceTable, TableName
from tributary.reading import keyset
from tributary.reading.keyset import relation
from tributary.secret import Secret

PORT = 1433
ask, close, kind, literal, orders = odbc.ask, odbc.close, types.kind, types.literal, types.orders
FRACTION_DIGITS = 2  # of datetime, whose third digit is rounded to 0, 3 or 7
INDEX_ENDS_WITH_KEY = True  # the clustered key, which the primary key is by default
LOCK_TIMEOUT_S = 30  # by default the server waits without a limit
DRIVER = "ODBC Driver 18 for SQL Server"  # the name that Microsoft's package registers
DRIVER_FILE = "libs/linux/rhel/{machine}/lib/libmsodbcsql-18.*.so.*"  # within mssql_python_odbc

# learn.microsoft.com: "Database engine errors", "Troubleshoot connectivity issues" (Azure SQL), and the list
# of transient errors of Microsoft.Data.SqlClient.
REASONS = {
    "18456": "wrong user name or password",
    "18452": "the login is of a Windows domain; use one of SQL Server",
    "18470": "the account is disabled",
    "18486": "the account is locked",
    "18487": "the password has expired",
    "18488": "the password must be changed",
    "4060": "no such database, or the user may not use it",
    "911": "no such database",
    "4064": "the login's default database cannot be used",
    "40532": "no such server, or it is of another subscription",
}
MEANINGS: dict[str, Meaning] = {
    **dict.fromkeys(REASONS, "refused"),
    **dict.fromkeys(("40615", "40914", "47073"), "blocked"),
    "20": "no TLS",  # of the driver itself
    **dict.fromkeys(("229", "230", "300", "297", "262", "916", "371"), "forbidden"),
    **dict.fromkeys(("208", "207", "3701", "4902"), "gone"),
    **dict.fromkeys(
        ("3952", "3954", "41332"), "unreadable"
    ),  # no snapshot isolation in this database, or not for a memory-optimized table
    **dict.fromkeys(("1222", "3617"), "cancelled"),  # lock time-out; cancelled from outside
    **dict.fromkeys(("1205", "3960", "3961", "3966", "596", "983", "976", "978", "921", "926"), "broken"),
    **dict.fromkeys(("41301", "41302", "41305", "41325", "41839"), "broken"),  # of memory-optimized tables
    **dict.fromkeys(("615", "617", "669", "601", "4221", "42108", "42109", "40143", "40166"), "broken"),
    **dict.fromkeys(("40197", "40501", "40540", "40549", "40550", "40551", "40552", "40553"), "broken"),
    **dict.fromkeys(("40613", "40648", "45168", "45169", "49918", "49977", "49983"), "broken"),
    **dict.fromkeys(
        ("701", "802", "1203", "1204", "8628", "8645", "8651", "17803"), "broken"
    ),  # memory, locks
    **dict.fromkeys(("17809", "10922", "10928", "10929", "10936", "49919", "49920", "18401"), "busy"),
    **dict.fromkeys(("64", "121", "233", "10053", "10054", "10060", "11001"), "broken"),  # of the network
    "01000": "broken",  # the driver's network layer; no server answered
}


# --- sessions -----------------------------------------------------------------------------------


def connect(secret: Secret, *, statement_timeout_s: int, visible_rows: bool = False) -> Session:
    """Open a pinned session; see the Protocol."""
    where = address(secret, PORT)
    return odbc.open_session(
        Dialect(binding, _select, MEANINGS, REASONS, ascii_statement),
        connection_string(secret, driver()),
        where=where,
        pins=pins(statement_timeout_s),
        statement_timeout_s=statement_timeout_s,
        authorities=secret.sslrootcert if secret.sslmode == "verify-full" else None,
    )


def connection_string(secret: Secret, driver: str) -> str:
    """Return the connection string: encrypted and verified unless the secret turns that off."""
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
    if not secret.dbname:  # the server would take the login's default database
        raise SecretError('the source\'s secret has no "dbname"; write the name of the database there')
    return odbc.connection_string(
        {
            "Driver": driver,
            "Server": f"tcp:{host_of(secret)},{secret.port or PORT}",
            "Database": secret.dbname,
            "UID": secret.username,
            "PWD": secret.password.get_secret_value(),
            "Encrypt": "no" if secret.sslmode == "disable" else "yes",
            "TrustServerCertificate": "no" if secret.sslmode == "verify-full" else "yes",
            "ApplicationIntent": "ReadOnly",
            "APP": "tributary",
        }
    )


def driver() -> str:
    """Return the driver's file in the drivers layer, else the name that a machine may have registered."""
    package = None
    with suppress(ImportError, ValueError):
        package = importlib.util.find_spec("mssql_python_odbc")
    for folder in (package.submodule_search_locations or []) if package else []:
        for file in sorted(
            Path(folder).glob(DRIVER_FILE.format(machine=MACHINES.get(platform.machine(), "*")))
        ):
            return str(file)
    return DRIVER


MACHINES = {"aarch64": "arm64"}  # folders of the wheel that are not named as the machine


def pins(statement_timeout_s: int) -> tuple[str, ...]:
    """Return the statements that pin a session: its waits are bounded, and a text has one meaning.

    In a deadlock, this session is the victim.
    """
    settings = (
        "NOCOUNT ON",
        "LANGUAGE us_english",
        "DATEFORMAT ymd",
        "ROWCOUNT 0",
        "TEXTSIZE 2147483647",  # a longer value would be truncated silently
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


# Snapshot isolation, if the database allows it: each statement sees one version of the rows, and waits for no
# writer. Otherwise READ COMMITTED, which also reads versions if READ_COMMITTED_SNAPSHOT is on. In Azure SQL
# DB_ID() may differ from sys.databases; the name does not.
ISOLATION = """
IF EXISTS (SELECT 1 FROM sys.databases WHERE name = DB_NAME() AND snapshot_isolation_state = 1)
BEGIN SET TRANSACTION ISOLATION LEVEL SNAPSHOT END
ELSE BEGIN SET TRANSACTION ISOLATION LEVEL READ COMMITTED END
"""


# --- SQL text -----------------------------------------------------------------------------------


def rendered(name: str, type: str) -> str:
    """Return the expression of a column's exact text."""
    return text(quote(name), type)


def create_index(name: str, table: TableName, columns: Sequence[str]) -> str:
    """Return the statement that creates an index."""
    return (
        f"CREATE INDEX {quote(name)} ON {quote(table.schema, table.table)} ({', '.join(map(quote, columns))})"
    )


def select(query: Query) -> str:
    """Return the SELECT of the query with plain columns."""
    return _select(query, [_column(column.name) for column in query.columns])


def _column(name: str) -> str:
    return f"t.{quote(name)}"


def _select(query: Query, columns: Sequence[str]) -> str:
    type_of = {column.name: column.type for column in query.columns}
    for name in keyset.order(query):
        if not orders(type_of[name]):
            raise TableRefused(
                f'column "{name}" of {query.table} has type {type_of[name]}, by which rows cannot be read; '
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


def ascii_statement(sql: str) -> str:
    """Return the statement in ASCII: itself, or as UTF-16 in hex digits that the server runs."""
    if sql.isascii():
        return sql
    return (
        f"DECLARE @statement nvarchar(max) = CONVERT(nvarchar(max), 0x{utf16_hex(sql)}); "
        "EXEC sys.sp_executesql @statement"
    )


# --- reading ------------------------------------------------------------------------------------


def read(session: Session, query: Query) -> Generator[Page]:
    """Run the query as one statement and yield its rows; see the Protocol."""
    return odbc.read(session, query)


def foreign(session: Session, names: Collection[TableName]) -> set[TableName]:
    """Return no table: external tables are refused by their type."""
    return set()


def counter_horizon(session: Session, type: str) -> str | None:
    """Return the rowversion up to which everything is committed; None for every other type."""
    if type != "rowversion":
        return None
    row = ask(session, catalog.ROWVERSION_HORIZON)
    return row[0] if row else None


def clock(session: Session) -> Clock:
    """Read the source's clock, then its oldest transaction and statement."""
    row = ask(session, catalog.CLOCK)
    if row is None or row[0] is None or row[1] is None:
        raise InternalError(f"{session.where} returned no row for a question about itself")
    now = _time(row[0]).replace(tzinfo=UTC)
    if row[2] == "READ_ONLY":
        return Clock(now, None, "a replica does not show its primary's transactions")
    try:
        oldest = ask(session, catalog.OLDEST)
    except TableRefused:
        return Clock(now, None, "the user lacks VIEW SERVER STATE, so open transactions cannot be seen")
    begun, passed_over = oldest if oldest else (None, None)
    ahead = timedelta(minutes=int(row[1]))
    return Clock(
        now,
        earliest(_time(begun), now, ahead) if begun else None,
        notes=_passed_over(int(passed_over or 0)),
    )


def _passed_over(requests: int) -> tuple[str, ...]:
    """Return the note about requests that run without a transaction for longer than is waited for."""
    if not requests:
        return ()
    count = "1 request runs" if requests == 1 else f"{requests} requests run"
    note = (
        f"{count} on the server for more than {catalog.REQUEST_MINUTES} minutes without a transaction, and "
        "the watermark does not wait for them: a row that they write with an earlier time is not read"
    )
    return (note,)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text[:26])


def earliest(begun: datetime, now: datetime, ahead: timedelta) -> datetime:
    """Return the earliest instant at which the server's clock may have shown the local time `begun`.

    The server reports its zone's offset from UTC now, not at that time. Of all zones with that offset now,
    the one that was farthest ahead then is used.
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


def hidden_tables(session: Session) -> list[TableName]:
    """Return the tables and views that the catalog shows and the user may not read, in name order."""
    return sorted(TableName(str(s), str(t)) for s, t in odbc.answers(session, catalog.HIDDEN_TABLES))


def describe(session: Session, names: Collection[TableName]) -> dict[TableName, SourceTable]:
    """Return the catalog's word on the named tables, in two queries; what does not exist is left out."""
    if not names:
        return {}
    columns = odbc.answers(session, catalog.named(catalog.COLUMNS, names))
    indexes = odbc.answers(session, catalog.named(catalog.INDEXES, names))
    return catalog.tables(columns, indexes, set(names))


def describe_query(session: Session, name: TableName, sql: str) -> SourceTable:
    """Return the columns of the query as the server describes them without running it."""
    statement = string(f"SELECT * FROM {relation(name, sql, quote)} AS t")
    rows = odbc.answers(session, catalog.DESCRIBED.replace("{statement}", statement))
    if not rows:
        raise TableRefused(f"the server cannot describe the columns of {name}")
    return SourceTable(
        name,
        tuple(SourceColumn(str(column), catalog.type_text(*type), nullable=True) for column, *type in rows),
    )


def sizes(session: Session, names: Collection[TableName]) -> dict[TableName, Size]:
    """Return nothing: tables are not divided here, so their sizes are not needed."""
    return {}


def key_range_ends(
    session: Session, table: TableName, key: Sequence[ReadColumn], count: int
) -> list[tuple[str, ...]]:
    """Return nothing: sampling of keys was never tried on an SQL Server."""
    return []
