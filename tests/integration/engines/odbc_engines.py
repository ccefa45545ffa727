"""The ODBC reading path on servers that are here: PostgreSQL by psqlODBC, MariaDB by its own driver.

Each is an engine whose SQL is that of the engine without ODBC and whose way to the server is
`tributary.engines.odbc`, which is also SQL Server's. A dialect says how values travel.
"""

from __future__ import annotations

import ctypes.util
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import Any, TypeVar

from tributary.engines import odbc
from tributary.engines.mysql import engine as mysql
from tributary.engines.mysql import errors as mysql_errors
from tributary.engines.mysql import session as mysql_session
from tributary.engines.mysql import sql as mysql_sql
from tributary.engines.mysql.types import FAMILIES, family
from tributary.engines.odbc import Binding, BoundType, Dialect
from tributary.engines.postgresql import engine as postgresql
from tributary.engines.postgresql import settings
from tributary.engines.postgresql import sql as postgresql_sql
from tributary.engines.postgresql import types as postgresql_types
from tributary.model.query import Page, Query, ReadColumn
from tributary.model.source_catalog import SourceTable, TableName
from tributary.secret import Secret

NUMBERS: dict[str, tuple[BoundType, str]] = {  # of PostgreSQL: how they travel, and as what they are cast
    "boolean": ("int32", "int4"),
    "smallint": ("int32", "int4"),
    "integer": ("int32", "int4"),
    "bigint": ("int64", "int8"),
    "real": ("float64", "float8"),
    "double precision": ("float64", "float8"),
}
BOUND: dict[str, BoundType] = {  # of MariaDB: by their kind
    "int16": "int32",
    "int32": "int32",
    "int64": "int64",
    "float32": "float64",
    "float64": "float64",
}
BARE = ("number", "date", "datetime", "time")  # of MariaDB: a cast to BINARY writes them as one to CHAR does
SIZES = {"decimal": 80, "date": 16, "timestamp": 40, "timestamptz": 40, "uuid": 36}
DAYS_BEFORE_1970 = 719_528  # as MariaDB counts them
AS_KEPT = "SET character_set_results = binary"
AnswerT = TypeVar("AnswerT")
DRIVERS = {"postgresql": "psqlodbcw.so", "mysql": "libmaodbc.so"}


def available(name: str) -> bool:
    """Return whether the driver manager and the engine's driver are installed here."""
    if not ctypes.util.find_library("odbc"):
        return False
    import pyodbc

    try:
        pyodbc.connect(f"Driver={DRIVERS[name]};Server=127.0.0.1;Port=1", timeout=1)
    except pyodbc.Error as error:
        return "Can't open lib" not in str(error)
    return True


def _postgresql_binding(column: ReadColumn) -> Binding:
    reference = f"t.{postgresql.quote(column.name)}"
    if column.type in NUMBERS:
        bound, cast = NUMBERS[column.type]
        return Binding(f"{reference}::{cast}", bound)
    if column.kind.name == "binary":
        return Binding(reference, "bytes")
    field = postgresql_types.field(reference, column.type)
    written = f"pg_catalog.convert_to(pg_catalog.format('%s', {field}), 'UTF8')"  # as COPY writes it
    sql = f"CASE WHEN {reference} IS NOT NULL THEN {written} END"
    return Binding(sql, "utf-8", column.kind.size_bytes or SIZES.get(column.kind.name))


def _mysql_binding(column: ReadColumn) -> Binding:
    reference, name = f"t.{mysql.quote(column.name)}", family(column.type)
    known, size_bytes = FAMILIES[name], column.kind.size_bytes or SIZES.get(column.kind.name)
    bound = BOUND.get(column.kind.name)
    if column.type.startswith("decimal(") and odbc.bound_as_decimal(column.kind):
        bound = "decimal"  # as SQL Server's travel
    if bound:
        return Binding(known.field.format(reference), bound)
    if name == "binary":
        return Binding(reference, "bytes", size_bytes)
    if name == "doubtful":  # whose plain form tells what is no text
        return Binding(known.field.format(reference), "utf-8", size_bytes)
    if name == "text":
        if size_bytes is None:  # UTF-16 could pass max_allowed_packet
            return Binding(f"CAST(CONVERT({reference} USING utf8mb4) AS BINARY)", "utf-8")
        return Binding(f"CAST(CONVERT({reference} USING utf16le) AS BINARY)", "utf-16", size_bytes)
    text = reference if name in BARE else known.text.format(reference)
    return Binding(f"CAST({text} AS BINARY)", "utf-8", size_bytes)


def _mysql_binding_as_stored(column: ReadColumn) -> Binding:
    """Take texts as they are kept, which is in UTF-8, and dates as days, as of SQL Server.

    No text is converted in a session that is pinned by AS_KEPT. Of a date without a year or a day, nothing
    would arrive.
    """
    reference, name = f"t.{mysql.quote(column.name)}", family(column.type)
    if column.kind.name == "date":
        return Binding(f"TO_DAYS({reference}) - {DAYS_BEFORE_1970}", "days")
    if name == "text":
        return Binding(reference, "utf-8", column.kind.size_bytes)
    known = _mysql_binding(column)
    return replace(known, sql=f"CONCAT({reference})") if name in BARE and known.type == "utf-8" else known


def _postgresql_connection(secret: Secret) -> str:
    """Return it without braces, which psqlODBC takes around passwords and settings alone."""
    plain = {
        "Driver": DRIVERS["postgresql"],
        "Server": secret.host,
        "Port": str(secret.port),
        "UID": secret.username,
        "Database": secret.dbname,
        "UseDeclareFetch": "1",  # rows as they are read, not all at once
        "Fetch": "1000",
        "BoolsAsChar": "0",
        "ByteaAsLongVarBinary": "1",
        "MaxLongVarcharSize": "100000000",
    }
    braced = {
        "PWD": secret.password.get_secret_value(),
        "ConnSettings": "SET application_name = 'tributary'",
    }
    return "".join(f"{name}={value};" for name, value in plain.items()) + odbc.connection_string(braced)


def _mysql_connection(secret: Secret) -> str:
    return odbc.connection_string(
        {
            "Driver": DRIVERS["mysql"],
            "Server": secret.host,
            "Port": str(secret.port),
            "UID": secret.username,
            "PWD": secret.password.get_secret_value(),
            "Database": secret.dbname,
            "Charset": "utf8mb4",
            "ForwardOnly": "1",
            "NO_CACHE": "1",
        }
    )


def _select(select: Callable[..., str], query: Query, columns: Sequence[str]) -> str:
    return select(query, ", ".join(columns) if select is mysql_sql.select_columns else list(columns))


def _postgresql_pins(timeout_s: int) -> tuple[str, ...]:
    """Return the settings of a session: this way to the server has no transactions of its own."""
    pins = settings.pins(timeout_s, path=settings.NO_PATH, watch=False)
    return "SET default_transaction_read_only = on", re.sub(
        r"(set_config\('\w+', '[^']*'), true\)", r"\1, false)", pins
    )


@dataclass(frozen=True)
class Way:
    """One engine's way over ODBC."""

    native: ModuleType
    port: int
    connection: Callable[[Secret], str]
    pins: Callable[[int], tuple[str, ...]]
    dialect: Dialect


WAYS = {
    "postgresql": Way(
        postgresql,
        5432,
        _postgresql_connection,
        _postgresql_pins,
        Dialect(
            _postgresql_binding,
            partial(_select, postgresql_sql.select_columns),
            {
                "57014": "cancelled",
                "42501": "forbidden",
                "42P01": "gone",
                "42703": "gone",
                "57P01": "broken",
                "3D000": "refused",
            },
            driver_times_out=False,  # the pin does, and psqlODBC knows no time-out of a connection
        ),
    ),
    "mysql": Way(
        mysql,
        3306,
        _mysql_connection,
        lambda timeout_s: (mysql_session.pin(timeout_s, ["max_statement_time"]), mysql_session.READ_ONLY),
        Dialect(
            _mysql_binding,
            partial(_select, mysql_sql.select_columns),
            {
                **{str(code): "cancelled" for code in mysql_errors.CANCELLED},
                **{str(code): "forbidden" for code in mysql_errors.FORBIDDEN},
                **{str(code): "gone" for code in mysql_errors.GONE},
                **{str(code): "broken" for code in mysql_errors.BROKEN},
                **dict.fromkeys(("2002", "5013", "5014"), "broken"),
                "1045": "refused",
            },
            driver_times_out=False,
        ),
    ),
}


def engine(name: str, *, as_kept: bool = False) -> Any:
    """Return the engine of that name with ODBC as its way to the server; see `_mysql_binding_as_stored`."""
    way = WAYS[name]
    dialect = replace(way.dialect, binding=_mysql_binding_as_stored) if as_kept else way.dialect
    pins_of = (lambda timeout_s: (*way.pins(timeout_s), AS_KEPT)) if as_kept else way.pins

    def connect(secret: Secret, *, statement_timeout_s: int, visible_rows: bool = False) -> odbc.Session:
        session = odbc.open_session(
            dialect,
            way.connection(secret),
            where=f"{secret.host}:{secret.port or way.port}",
            pins=pins_of(statement_timeout_s),
            statement_timeout_s=statement_timeout_s,
        )
        CATALOGS[id(session)] = secret
        return session

    def from_catalog(what: Callable[[Any], AnswerT], session: odbc.Session) -> AnswerT:
        connection = way.native.connect(CATALOGS[id(session)], statement_timeout_s=60)
        try:
            return what(connection)
        finally:
            way.native.close(connection)

    def list_tables(session: odbc.Session) -> list[TableName]:
        return from_catalog(way.native.list_tables, session)

    def describe(session: odbc.Session, names: Collection[TableName]) -> dict[TableName, SourceTable]:
        return from_catalog(lambda connection: way.native.describe(connection, names), session)

    def read(session: odbc.Session, query: Query) -> Iterator[Page]:
        return odbc.read(session, query)

    facts = ("FRACTION_DIGITS", "GRADE", "INDEX_ENDS_WITH_KEY", "ONE_ROW", "OVERLAP_REQUIRED")
    shared = (*facts, "kind", "orders", "quote", "literal", "select", "rendered")
    return SimpleNamespace(
        **{part: getattr(way.native, part) for part in shared},
        connect=connect,
        close=odbc.close,
        list_tables=list_tables,
        describe=describe,
        ask=odbc.ask,
        read=read,
    )


CATALOGS: dict[int, Secret] = {}  # of the sessions that are open: their catalogs are asked without ODBC
