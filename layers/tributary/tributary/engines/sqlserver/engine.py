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
from dataclasses import replace
from pathlib import Path

from tributary.engines import odbc
from tributary.engines.network import address, host_of
from tributary.engines.odbc import Dialect, Session
from tributary.engines.sqlserver import catalog, error_codes, settings, types
from tributary.engines.sqlserver import clock as source_clock
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
OVERLAP_REQUIRED = False
GRADE = "exact"
ONE_ROW = ""
TEXTSIZE_AT_MOST = 2_147_483_647
DRIVER = "ODBC Driver 18 for SQL Server"  # the name that Microsoft's package registers
DRIVER_FILE = "libs/linux/rhel/{machine}/lib/libmsodbcsql-18.*.so.*"  # within mssql_python_odbc


# --- sessions -----------------------------------------------------------------------------------


def connect(secret: Secret, *, statement_timeout_s: int, visible_rows: bool = False) -> Session:
    """Open a pinned session; see the Protocol."""
    where = address(secret, PORT)
    return odbc.open_session(
        Dialect(
            binding,
            _select,
            error_codes.MEANINGS,
            error_codes.REASONS,
            ascii_statement=ascii_statement,
            bound_values=bound_values,
            bugs=error_codes.BUGS,
            view=lambda table: catalog.named(catalog.VIEW, [table]),
        ),
        connection_string(secret, driver()),
        where=where,
        pins=settings.pins(statement_timeout_s),
        statement_timeout_s=statement_timeout_s,
        authorities=secret.sslrootcert if secret.sslmode == "verify-full" else None,
        visible_rows=visible_rows,
    )


def bound_values(size_bytes: int) -> str:
    """Return the statement by which the server cuts longer values of MAX types before it sends them."""
    return f"SET TEXTSIZE {min(size_bytes, TEXTSIZE_AT_MOST)}"


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
    """Return the tables whose rows are elsewhere, and the views if there is any way to such rows."""
    if not names:
        return set()
    try:
        row = ask(session, catalog.LINKED_SERVERS)
    except TableRefused:  # Azure SQL has no linked servers
        row = None
    query = catalog.FOREIGN.replace("{servers}", str(int(row[0] or 0) if row else 0))
    rows = odbc.answers(session, catalog.named(query, names))
    return {name for schema, table in rows if (name := TableName(str(schema), str(table))) in names}


def counter_horizon(session: Session, type: str) -> str | None:
    """Return the rowversion up to which everything is committed; None for every other type."""
    if type != "rowversion":
        return None
    row = ask(session, catalog.ROWVERSION_HORIZON)
    return row[0] if row else None


def clock(session: Session) -> Clock:
    """Read the source's clock, what kind of copy it is, then its oldest transaction and statement."""
    row = ask(session, source_clock.CLOCK)
    if row is None or row[0] is None or row[1] is None:
        raise InternalError(f"{session.where} returned no row for a question about itself")
    now = source_clock.now_of(row)
    copy = source_clock.copy_of(now, lambda sql: ask(session, sql))
    if not now.can_be_written:
        return Clock(now.at, None, copy.hidden, copy.notes, copy.data_at)
    try:
        oldest = ask(session, catalog.OLDEST)
    except TableRefused:
        return Clock(now.at, None, copy.hidden or source_clock.LACKS_VIEW, copy.notes, copy.data_at)
    return source_clock.clock_of(now, copy, oldest, catalog.REQUEST_MINUTES)


# --- catalog ------------------------------------------------------------------------------------


def list_tables(session: Session) -> list[TableName]:
    """Return every table and view of which the user may read a column, in name order."""
    return _tables(session, readable="1")


def hidden_tables(session: Session) -> list[TableName]:
    """Return the tables and views that the catalog shows and the user may not read, in name order."""
    return _tables(session, readable="0")


def _tables(session: Session, *, readable: str) -> list[TableName]:
    rows = odbc.answers(session, catalog.TABLES)
    return sorted(
        TableName(str(schema), str(table)) for schema, table, may_read in rows if may_read == readable
    )


def describe(session: Session, names: Collection[TableName]) -> dict[TableName, SourceTable]:
    """Return the catalog's description of the named tables, in a few queries; missing tables are left out."""
    if not names:
        return {}

    def rows(query: str) -> list[tuple[str | None, ...]]:
        return odbc.answers(session, catalog.named(query, names))

    described = catalog.tables(rows(catalog.COLUMNS), rows(catalog.INDEXES), set(names))
    hazards, partitions = catalog.hazards(rows(catalog.HAZARDS)), catalog.partitions(rows(catalog.PARTITIONS))
    policies = {} if session.visible_rows else catalog.policies(rows(catalog.FILTERS))
    return {
        name: replace(
            table,
            fingerprint=replace(table.fingerprint, partitions=partitions.get(name, {})),
            cursor_hazards=hazards.get(name, ()),
            filtered_by=policies.get(name),
        )
        for name, table in described.items()
    }


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
