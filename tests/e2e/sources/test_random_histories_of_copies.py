"""Random histories that are read from a copy of the server that is written to, and through a pooler.

What a run must bring is what had arrived at the copy before it began; in the end, everything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from uuid import uuid4

import pytest

from local.databases import pgbouncer
from local.databases.mariadb import MariaDB
from local.databases.postgres import Postgres
from tests.e2e.company import Company
from tests.e2e.random_history import histories
from tests.e2e.random_places import Copy, Place, Pooled, Subscriber

from .conftest import ready
from .copies import PooledSource, ReplicaSource, StandbySource, SubscriberSource

ENOUGH = 30  # seeds of each place in a soak
SERVER_CONNECTIONS = 10  # of the pooler: for runs, frozen attempts and the application


@pytest.fixture
def cleanup() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def name() -> str:
    return f"s{uuid4().hex[:10]}"


def test_what_was_committed_at_the_primary_arrives_from_a_delayed_standby(
    company: Company, primary: Postgres, standby_server: Postgres, cleanup: ExitStack
) -> None:
    def place() -> Place:
        source = ready(StandbySource(company, name(), primary, standby_server))
        source.arrived()
        cleanup.callback(source.resume)
        return Copy(source, source)

    histories("standby", place, few=(1,), enough=ENOUGH)


def test_what_was_committed_at_the_publisher_arrives_from_a_subscriber(
    company: Company, primary: Postgres, postgres: Postgres, cleanup: ExitStack
) -> None:
    def place() -> Place:
        cleanup.close()  # a server has workers for a few subscriptions
        source = ready(SubscriberSource(company, name(), primary, postgres))
        cleanup.callback(source.unsubscribe)
        return Subscriber(source, source)

    histories("subscriber", place, few=(1,), enough=ENOUGH)


def test_what_was_committed_at_the_primary_arrives_from_a_replica(
    company: Company, maria_pair: tuple[MariaDB, MariaDB], cleanup: ExitStack
) -> None:
    def place() -> Place:
        source = ready(ReplicaSource(company, name(), *maria_pair))
        cleanup.callback(source.resume)
        return Copy(source, source)

    histories("replica", place, few=(1,), enough=ENOUGH)


@pytest.fixture(params=["PgBouncer"] if pgbouncer.available() else [])
def pooled_source(company: Company, postgres: Postgres) -> Iterator[Callable[[], PooledSource]]:
    with pgbouncer.pooled(postgres, pool_size=SERVER_CONNECTIONS) as port:
        yield lambda: ready(PooledSource(company, name(), port))


def test_what_was_committed_arrives_through_a_pooler_that_an_application_shares(
    pooled_source: Callable[[], PooledSource],
) -> None:
    def place() -> Place:
        source = pooled_source()
        return Pooled(source, source.pooler_port)

    histories("pooler", place, few=(1,), enough=ENOUGH)
