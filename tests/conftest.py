"""Servers that every test of one session shares; a test makes its own database or schema in them.

Each worker of pytest-xdist is a session of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from local.databases import mariadb as mariadb_server
from local.databases import postgres as postgres_server
from local.databases.mariadb import MariaDB
from local.databases.postgres import Postgres

# How fast a machine is says nothing about the code.
settings.register_profile("tributary", deadline=None)
settings.load_profile("tributary")

# Shared modules with assertions, so that a failure shows the values.
pytest.register_assert_rewrite("tests.e2e", "tests.integration", "tests.unit")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with Postgres.start() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    with MariaDB.start() as server:
        yield server


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    here = {"PostgreSQL": postgres_server.available(), "MariaDB": mariadb_server.available()}
    if missing := [name for name, available in here.items() if not available]:
        terminalreporter.write_line(f"tests of {' and '.join(missing)} were left out: no server is here")
