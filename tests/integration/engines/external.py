"""Servers that run elsewhere, at addresses from the environment: `make test-external`.

    TRIBUTARY_TEST_SQLSERVER=sqlserver://sa:password@127.0.0.1:1433?sslmode=require

The user must be an administrator: each test creates a database of its own, and drops it.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pg8000.native
import pymysql

from tests.integration.engines.source import Source
from tributary.engines import registry
from tributary.engines.sqlserver import engine as sqlserver
from tributary.secret import Secret

MARIADB_ALONE = frozenset({"uuid", "inet4", "inet6", "json"})  # whose JSON is a text


def address(engine: str) -> str:
    """Return the address of that engine's server, '' if there is none."""
    return os.environ.get(f"TRIBUTARY_TEST_{engine.upper()}", "")


def secret_of(url: str) -> Secret:
    """Return the address as a secret."""
    parts = urlsplit(url)
    return Secret.model_validate(
        {
            "host": parts.hostname or "",
            "port": parts.port,
            "username": unquote(parts.username or ""),
            "password": unquote(parts.password or ""),
            "dbname": parts.path.strip("/"),
            **{name: values[0] for name, values in parse_qs(parts.query).items()},
        }
    )


@contextmanager
def postgresql() -> Iterator[Source]:
    secret, name = secret_of(address("postgresql")), _name()
    login = {"user": secret.username, "password": secret.password.get_secret_value(), "host": secret.host}
    with closing(pg8000.native.Connection(**login, port=secret.port or 5432, database="postgres")) as admin:
        admin.run(f"CREATE DATABASE {name}")
        try:
            with closing(
                pg8000.native.Connection(**login, port=secret.port or 5432, database=name)
            ) as inside:
                yield Source(
                    "postgresql",
                    registry.get("postgresql"),
                    secret.model_copy(update={"dbname": name}),
                    "public",
                    inside.run,
                )
        finally:
            admin.run(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def mysql() -> Iterator[Source]:
    secret, name = secret_of(address("mysql")), _name()
    password = secret.password.get_secret_value()
    admin = pymysql.connect(
        host=secret.host,
        port=secret.port or 3306,
        user=secret.username,
        password=password,
        autocommit=True,
        charset="utf8mb4",
    )

    def execute(sql: str) -> Any:
        with admin.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()

    with closing(admin):
        execute(f"CREATE DATABASE {name}")
        execute(f"USE {name}")
        is_mariadb = "MariaDB" in str(execute("SELECT VERSION()")[0][0])
        try:
            inside = secret.model_copy(update={"dbname": name})
            lacks = frozenset() if is_mariadb else MARIADB_ALONE
            yield Source("mysql", registry.get("mysql"), inside, name, execute, lacks=lacks)
        finally:
            execute(f"DROP DATABASE {name}")


@contextmanager
def sql_server() -> Iterator[Source]:
    import pyodbc

    secret, name = secret_of(address("sqlserver")), _name()

    def connect(database: str) -> Any:
        inside = secret.model_copy(update={"dbname": database})
        return pyodbc.connect(sqlserver.connection_string(inside, sqlserver.driver()), autocommit=True)

    with closing(connect("master")) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        try:
            with closing(connect(name)) as inside:

                def execute(sql: str) -> Any:
                    cursor, rows = inside.execute(sql), list[Any]()
                    while True:
                        rows += cursor.fetchall() if cursor.description else []
                        if not cursor.nextset():
                            return rows

                of_name = secret.model_copy(update={"dbname": name})
                yield Source("sqlserver", registry.get("sqlserver"), of_name, "dbo", execute)
        finally:
            admin.execute(f"ALTER DATABASE {name} SET SINGLE_USER WITH ROLLBACK IMMEDIATE")
            admin.execute(f"DROP DATABASE {name}")


def _name() -> str:
    return f"tributary_{uuid.uuid4().hex[:8]}"


OPENERS: dict[str, Callable[[], AbstractContextManager[Source]]] = {
    "postgresql": postgresql,
    "mysql": mysql,
    "sqlserver": sql_server,
}
