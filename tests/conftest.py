"""Servers that every test of one session shares; a test makes its own database or schema in them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.databases.mariadb import MariaDB
from local.databases.postgres import Postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with Postgres.start() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    with MariaDB.start() as server:
        yield server
