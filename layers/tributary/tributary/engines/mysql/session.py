"""A session with MySQL or MariaDB: read-only, with settings that give a value one text form."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from socket import socket
from ssl import SSLContext
from typing import Any

from tributary.engines.mysql.errors import DRIVER_ERRORS, refusals
from tributary.engines.mysql.login import Connection, refused_plugins
from tributary.engines.network import (
    CONNECT_TIMEOUT_S,
    SILENCE_S,
    CertificateNames,
    address,
    close_connection,
    connecting,
    host_of,
    names_only,
    tls,
)
from tributary.errors import TributaryError
from tributary.reading import keyset
from tributary.secret import Secret

PORT = 3306
LOCK_TIMEOUT_S = 30  # the server's default is a day
NET_WRITE_TIMEOUT_S = 600  # how long the server waits for a reader that is busy uploading
# An autocommitted SELECT is one snapshot; the list of transactions needs one that lasts.
READ_ONLY = "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
MODE = "NO_BACKSLASH_ESCAPES"
LARGEST = "18446744073709551615"
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


@dataclass(slots=True)
class Session:
    """A connection."""

    driver: Connection
    spare: socket  # a second handle on its socket, to abort a read from outside
    where: str
    users_mode: str  # the server's own sql_mode, which a user's SQL is written for
    mode: str = MODE  # the session's sql_mode now


def connect(secret: Secret, *, statement_timeout_s: int, visible_rows: bool = False) -> Session:
    """Open a read-only, pinned session; see the Protocol."""
    where = address(secret, PORT)
    context = tls(secret)
    with connecting(secret, PORT) as (sock, spare):
        names = partial(_certificate_names, secret)
        with refusals(where, encrypted=context is not None, certificate_names=names):
            driver = _driver(secret, context, statement_timeout_s)
            driver.connect(sock)
            run(driver, pin(statement_timeout_s, []))  # a limit of the server's could stop the next query
            run(driver, pin(statement_timeout_s, _optional(driver)))
            run(driver, READ_ONLY)
            ((mode,),) = run(driver, "SELECT @@GLOBAL.sql_mode")
    return Session(driver, spare, where, _without_padding(mode or ""))


def _driver(secret: Secret, context: SSLContext | None, statement_timeout_s: int) -> Connection:
    """Return a connection that is not open yet."""
    return Connection(
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
        auth_plugin_map=refused_plugins(encrypted=context is not None),
        defer_connect=True,
    )


def _certificate_names(secret: Secret) -> tuple[str, ...]:
    """Ask for the server's certificate by another connection; no names if that fails."""
    try:
        with connecting(secret, PORT) as (sock, _):
            _driver(secret, names_only(secret), CONNECT_TIMEOUT_S).connect(sock)
    except CertificateNames as names:
        return tuple(map(str, names.args))
    except (*DRIVER_ERRORS, TributaryError):
        pass
    return ()


def _optional(driver: Connection) -> list[str]:
    """Return those of OPTIONAL that the server has."""
    names = ", ".join(f"'{name}'" for name in OPTIONAL)
    rows = run(driver, f"SHOW SESSION VARIABLES WHERE Variable_name IN ({names})")
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


def use_mode_of(session: Session, sql: str) -> None:
    """Set the sql_mode that the statement is written for; our own parts of it mean the same in each."""
    mode = session.users_mode if keyset.has_user_sql(sql) else MODE
    if mode != session.mode:
        run(session.driver, f"SET SESSION sql_mode = '{mode}'")
        session.mode = mode


def run(driver: Connection, sql: str) -> list[tuple[str | None, ...]]:
    """Return a small query's rows as texts."""
    with driver.cursor() as cursor:
        cursor.execute(sql)
        answer: Any = cursor.fetchall()  # bytes: the session decodes nothing
    return [tuple(None if value is None else value.decode() for value in row) for row in answer or ()]


def close(session: Session) -> None:
    """Close the session; never raises."""
    with suppress(*DRIVER_ERRORS):
        session.driver.close()
    close_connection(session.spare)
