"""Servers that are copies of another one, shared by the tests of a session."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar
from uuid import uuid4

import pytest

from local.databases.mariadb import MariaDB
from local.databases.postgres import Postgres
from local.databases.replication import LOGGED, PRIMARY, replica, standby
from tests.e2e.company import Company, Source
from tests.e2e.compare import SERVERS

from .copies import ReplicaSource, StandbySource, SubscriberSource

# It replays commits late, and lets a read of ours hold back a replayed DDL for no longer than a second.
DELAYED = {"recovery_min_apply_delay": "300ms", "max_standby_streaming_delay": "1s"}

SourceT = TypeVar("SourceT", bound=Source)


@pytest.fixture(scope="session")
def primary() -> Iterator[Postgres]:
    with Postgres.start(settings=PRIMARY) as server:
        yield server


@pytest.fixture(scope="session")
def standby_server(primary: Postgres) -> Iterator[Postgres]:
    with standby(primary, settings=DELAYED) as server:
        yield server


@pytest.fixture(scope="session", params=SERVERS[1:])  # none if MariaDB is not here
def maria_pair() -> Iterator[tuple[MariaDB, MariaDB]]:
    with MariaDB.start(settings=LOGGED) as server, replica(server) as copy:
        yield server, copy


def ready(source: SourceT) -> SourceT:
    """Create the source's database and its secret."""
    source.create()
    source.put_secret(source.secret())
    return source


@pytest.fixture
def standby_source(company: Company, primary: Postgres, standby_server: Postgres) -> Iterator[StandbySource]:
    source = ready(StandbySource(company, f"s{uuid4().hex[:10]}", primary, standby_server))
    source.arrived()
    yield source
    source.resume()


@pytest.fixture
def subscriber_source(company: Company, primary: Postgres, postgres: Postgres) -> Iterator[SubscriberSource]:
    source = ready(SubscriberSource(company, f"s{uuid4().hex[:10]}", primary, postgres))
    yield source
    source.unsubscribe()


@pytest.fixture
def replica_source(company: Company, maria_pair: tuple[MariaDB, MariaDB]) -> Iterator[ReplicaSource]:
    source = ready(ReplicaSource(company, f"s{uuid4().hex[:10]}", *maria_pair))
    yield source
    source.copy_sql("SET GLOBAL read_only = OFF", "START SLAVE")
