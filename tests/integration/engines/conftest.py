"""One source per engine that is available here: the shared suite runs on each."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pymysql
import pytest

from local.databases import mariadb as mariadb_server
from local.databases import pgbouncer
from local.databases import postgres as postgres_server
from local.databases.mariadb import MariaDB
from local.databases.postgres import Postgres
from local.databases.replication import GALERA
from tests.integration.engines import external, odbc_engines
from tests.integration.engines.facts import FACTS
from tests.integration.engines.postgresql_servers import SERVERS
from tests.integration.engines.source import Source
from tests.integration.redshift_warehouse import Warehouse, serve
from tributary.engines import registry
from tributary.redshift import control
from tributary.secret import Secret

HERE = [
    *(["postgresql"] if postgres_server.available() else []),
    *(["mysql"] if mariadb_server.available() else []),
    "sqlite",
]
BY_ODBC = {f"{name} by ODBC": name for name in HERE if name != "sqlite" and odbc_engines.available(name)}
EXTERNAL = {f"external {name}": name for name in external.OPENERS if external.address(name)}
FACTS_OF = {name: FACTS[name] for name in HERE} | {
    name: FACTS[engine] for name, engine in (BY_ODBC | EXTERNAL).items()
}
collect_ignore_glob = [
    *([] if mariadb_server.available() else ["test_mysql*.py"]),
    *([] if GALERA.exists() else ["test_galera.py"]),
    *([] if BY_ODBC else ["test_odbc*.py"]),
    *([] if (Path(__file__).parents[3] / ".firebird").is_dir() else ["test_firebird.py"]),
    *([] if "mysql by ODBC" in BY_ODBC else ["test_odbc_as_kept.py"]),
    *([] if pgbouncer.available() else ["test_postgresql_pooler.py"]),
    *([] if external.address("sqlserver") else ["test_sqlserver*.py"]),
]


@pytest.fixture(scope="module", params=SERVERS, ids=lambda binaries: "newest" if binaries is None else "15")
def server(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    with Postgres.start(binaries=request.param) as started:
        yield started


@pytest.fixture(params=FACTS_OF)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Source]:
    """One empty database on each engine."""
    with OPEN[request.param](request, tmp_path) as opened:
        yield opened


@pytest.fixture(params=[name for name, facts in FACTS_OF.items() if facts.sessions])
def server_source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Source]:
    """One empty database on each engine that is a server."""
    with OPEN[request.param](request, tmp_path) as opened:
        yield opened


@pytest.fixture(params=[name for name in HERE if FACTS[name].sessions])
def dialled_source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Source]:
    """One empty database on each server to which the way is ours, and no foreign driver's."""
    with OPEN[request.param](request, tmp_path) as opened:
        yield opened


@pytest.fixture(params=[name for name, facts in FACTS_OF.items() if facts.read_only])
def read_only_source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Source]:
    """One empty database on each engine whose server refuses what a session of ours would write."""
    with OPEN[request.param](request, tmp_path) as opened:
        yield opened


@pytest.fixture(params=BY_ODBC)
def odbc_source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Source]:
    """One empty database on each server that is read by ODBC here."""
    with OPEN[request.param](request, tmp_path) as opened:
        yield opened


@pytest.fixture
def sql_server() -> Iterator[Source]:
    with external.sql_server() as opened:
        yield opened


@pytest.fixture
def pg(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Source]:
    with _postgresql(request, tmp_path) as opened:
        yield opened


@pytest.fixture
def maria(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Source]:
    with _mysql(request, tmp_path) as opened:
        yield opened


@pytest.fixture
def lite(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Source]:
    with _sqlite(request, tmp_path) as opened:
        yield opened


@contextmanager
def _postgresql(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Source]:
    server: Postgres = request.getfixturevalue("postgres")
    name = f"engines_{uuid.uuid4().hex[:8]}"
    admin = server.connect()
    admin.run(f"CREATE DATABASE {name}")
    inside = server.connect(name)
    secret = Secret(host=server.host, port=server.port, username="postgres", dbname=name, sslmode="disable")

    def insert(sql: str, rows: list[list[Any]]) -> None:
        inside.run("BEGIN")
        for row in rows:
            inside.run(sql, **{f"p{place}": value for place, value in enumerate(row)})
        inside.run("COMMIT")

    try:
        yield Source("postgresql", registry.get("postgresql"), secret, "public", inside.run, server, insert)
    finally:
        inside.close()
        admin.run(f"DROP DATABASE {name} WITH (FORCE)")
        admin.close()


@contextmanager
def _mysql(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Source]:
    server: MariaDB = request.getfixturevalue("mariadb")
    name = f"engines_{uuid.uuid4().hex[:8]}"
    admin = server.connect()
    admin.autocommit(True)

    def execute(sql: str) -> Any:
        with admin.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()

    def insert(sql: str, rows: list[list[Any]]) -> None:
        with admin.cursor() as cursor:
            cursor.execute("SET time_zone = '+00:00'")
            cursor.executemany(sql, rows)

    execute(f"CREATE DATABASE {name}")
    execute(f"USE {name}")
    secret = Secret(host=server.host, port=server.port, username="root", dbname=name, sslmode="disable")
    try:
        yield Source("mysql", registry.get("mysql"), secret, name, execute, server, insert)
    finally:
        try:
            execute(f"DROP DATABASE {name}")
        except pymysql.Error:
            again = server.connect()  # a test may have ended the administrator's session
            again.cursor().execute(f"DROP DATABASE {name}")


@contextmanager
def _sqlite(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Source]:
    file = tmp_path / "odd name %.db"
    admin = sqlite3.connect(file, isolation_level=None)

    def execute(sql: str) -> Any:
        return admin.execute(sql).fetchall()

    execute("PRAGMA user_version = 1")  # writes the file
    try:
        secret = Secret(dbname=str(file))
        yield Source(
            "sqlite",
            registry.get("sqlite"),
            secret,
            "main",
            execute,
            insert=admin.executemany,
        )
    finally:
        admin.close()


OPEN = {"postgresql": _postgresql, "mysql": _mysql, "sqlite": _sqlite}


@contextmanager
def _by_odbc(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Source]:
    with OPEN[name](request, tmp_path) as opened:
        yield replace(opened, engine=odbc_engines.engine(name))


@contextmanager
def _external(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Source]:
    with external.OPENERS[name]() as opened:
        yield opened


OPEN |= {by_odbc: partial(_by_odbc, name) for by_odbc, name in BY_ODBC.items()}
OPEN |= {there: partial(_external, name) for there, name in EXTERNAL.items()}


@pytest.fixture(scope="module")
def warehouse(postgres: Postgres) -> Iterator[Warehouse]:
    with serve(postgres) as served:
        for statement in control.create():
            served.run(statement)
        yield served
