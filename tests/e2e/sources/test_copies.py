"""A source that is a copy of another server: its list of transactions does not show who writes its rows.

In each, A begins and writes, then B writes and commits, and A commits after a run has loaded B.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

from tests.e2e.company import Company, PostgresSource
from tests.e2e.compare import only_table
from tests.patience import wait_for
from tributary.engines import registry
from tributary.model.source_catalog import TableName
from tributary.secret import Secret

from .copies import ReplicaSource, StandbySource, SubscriberSource

ORDERS = "CREATE TABLE orders (id int PRIMARY KEY, note text, at timestamptz NOT NULL DEFAULT now())"
MARIA_ORDERS = "CREATE TABLE orders (id int PRIMARY KEY, note text, at datetime(6) NOT NULL DEFAULT NOW(6))"


def notes_of(source: Any) -> list[str]:
    """Run the source and return the notes of its one table."""
    notes: list[str] = only_table(source.run())["notes"]
    return notes


def test_a_row_that_commits_late_at_the_primary_arrives_from_a_delayed_standby(
    standby_source: StandbySource,
) -> None:
    source = standby_source
    source.sql(ORDERS)
    source.file("tables: [{name: public.orders, mode: merge, cursor: at, overlap: 1 second}]")
    with source.transaction() as late:
        late.run("INSERT INTO orders VALUES (1, 'late')")
        source.sql("INSERT INTO orders VALUES (2, 'soon')")
        source.pause()
        # As long as the standby replays nothing, the time that passes makes no row safe.
        source.sql("SELECT pg_sleep(2.5)")
        notes = notes_of(source)
    assert source.loaded("orders", "id") == [(2,)]
    assert any("a standby does not show the primary's transactions" in note for note in notes)

    source.resume()
    source.arrived()
    source.run()

    assert source.loaded("orders", "id") == [(1,), (2,)]


def test_a_standby_that_replays_reaches_rows_that_are_appended(standby_source: StandbySource) -> None:
    source = standby_source
    source.sql(ORDERS, "INSERT INTO orders VALUES (1, 'a', now() - interval '1 minute')")
    source.arrived()
    source.file("tables: [{name: public.orders, mode: append, cursor: at}]")
    notes = notes_of(source)
    assert source.control("public.orders")[-1]["watermark"] is None  # an hour late, as it says
    assert any("an hour late" in note for note in notes)

    source.sql("UPDATE orders SET at = now() - interval '3 hours'")
    source.arrived()
    source.run()
    assert source.loaded("orders", "id") == [(1,)]


def test_a_row_that_commits_late_at_the_publisher_arrives_in_a_subscriber(
    subscriber_source: SubscriberSource,
) -> None:
    source = subscriber_source
    source.subscribe(ORDERS)
    source.file("tables: [{name: public.orders, mode: merge, cursor: at}]")
    with source.transaction() as late:
        late.run("INSERT INTO orders VALUES (1, 'late')")
        source.sql("INSERT INTO orders VALUES (2, 'soon')")
        wait_for(lambda: source.copy_sql("SELECT id FROM orders") == [(2,)])
        notes = notes_of(source)
    assert source.loaded("orders", "id") == [(2,)]
    assert any("a subscription fills this database" in note for note in notes)

    wait_for(lambda: source.copy_sql("SELECT count(*) FROM orders") == [(2,)])
    source.run()

    assert source.loaded("orders", "id") == [(1,), (2,)]


def test_a_row_that_a_restarted_subscription_applies_late_arrives(
    subscriber_source: SubscriberSource,
) -> None:
    """A worker hears the publisher's time at its start, before it hears of the changes that it missed."""
    source = subscriber_source
    source.subscribe(ORDERS)
    source.file("tables: [{name: public.orders, mode: merge, cursor: at, overlap: 1 second}]")
    source.pause()
    with source.transaction() as late:
        late.run("INSERT INTO orders VALUES (1, 'late')")
        source.sql("INSERT INTO orders VALUES (2, 'soon')")
    source.sql("SELECT pg_sleep(2.5)")
    with closing(source.subscriber.connect(source.name)) as session:
        session.run("BEGIN")
        session.run("INSERT INTO orders VALUES (1, 'this key holds the worker back')")
        source.resume()
        wait_for(lambda: source.copy_sql("SELECT id FROM orders") == [(2,)])
        notes = notes_of(source)
        session.run("ROLLBACK")
    wait_for(lambda: source.copy_sql("SELECT count(*) FROM orders") == [(2,)])
    source.run()

    assert any("has changes left to apply" in note for note in notes)
    assert source.loaded("orders", "id") == [(1,), (2,)]


def test_rows_of_any_age_that_another_subscription_copies_arrive(
    company: Company, subscriber_source: SubscriberSource
) -> None:
    """Two shards are gathered in one table: the first copy of the second comes with its old rows."""
    source = subscriber_source
    source.subscribe(ORDERS)
    source.sql("INSERT INTO orders VALUES (1, 'a', now() - interval '2 hours')")
    source.file("tables: [{name: public.orders, mode: merge, cursor: at, overlap: 0 seconds}]")
    source.arrived()
    source.run()
    assert source.watermark("public.orders") is not None
    with closing(source.primary.connect()) as admin:
        admin.run(f"CREATE DATABASE {source.name}_2")
    with closing(source.primary.connect(f"{source.name}_2")) as shard:
        shard.run(ORDERS)
        shard.run("INSERT INTO orders VALUES (2, 'b', now() - interval '3 days')")
        shard.run("CREATE PUBLICATION everything FOR ALL TABLES")
    address = f"host={source.primary.host} port={source.primary.port} user=postgres dbname={source.name}_2"
    source.copy_sql(f"CREATE SUBSCRIPTION {source.name}_2 CONNECTION '{address}' PUBLICATION everything")
    try:
        ready = "SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel"
        wait_for(lambda: source.copy_sql(ready) == [(True,)])

        notes = notes_of(source)

        assert any("another subscription has begun to fill the table" in note for note in notes)
        assert source.loaded("orders", "id") == [(1,), (2,)]
    finally:
        source.copy_sql(f"DROP SUBSCRIPTION {source.name}_2")


def test_a_stopped_subscription_holds_the_watermark_and_is_named(subscriber_source: SubscriberSource) -> None:
    source = subscriber_source
    source.subscribe(ORDERS)
    source.sql("INSERT INTO orders VALUES (1, 'a', now() - interval '3 hours')")
    wait_for(lambda: source.copy_sql("SELECT id FROM orders") == [(1,)])
    source.pause()
    source.file("tables: [{name: public.orders, mode: merge, cursor: at}]")

    notes = notes_of(source)

    assert source.loaded("orders", "id") == [(1,)]
    assert source.watermark("public.orders") is None
    assert any("a subscription of this database is not running" in note for note in notes)


@pytest.mark.parametrize("read_only", ["ON", "OFF"])
def test_rows_of_a_replica_are_appended_and_merged_within_the_promised_delay(
    replica_source: ReplicaSource, read_only: str
) -> None:
    source = replica_source
    source.sql(
        MARIA_ORDERS,
        "CREATE TABLE merged LIKE orders",
        *(
            f"INSERT INTO {table} SELECT seq, 'a', NOW(6) - INTERVAL 12 SECOND FROM seq_1_to_500"
            for table in ("orders", "merged")
        ),
    )
    source.arrived()
    source.copy_sql(f"SET GLOBAL read_only = {read_only}")
    timed = "cursor: at, cursor_time_zone: UTC"
    source.file(
        f"tables: [{{name: {source.name}.orders, mode: append, {timed}}}, "
        f"{{name: {source.name}.merged, mode: merge, {timed}, overlap: 0 seconds}}]"
    )

    ended = source.run()

    assert ended.status == "SUCCEEDED", ended.report
    merged = ended.table(f"{source.name}.merged")
    assert len(source.loaded("merged", "id")) == 500
    assert source.watermark(f"{source.name}.merged") is not None
    assert any("a replica does not show its primary's transactions" in note for note in merged["notes"])
    appended = ended.table(f"{source.name}.orders")
    assert any("an hour late" in note for note in appended["notes"])
    source.sql("UPDATE orders SET at = at - INTERVAL 2 HOUR")
    source.arrived()
    source.run()
    assert len(source.loaded("orders", "id")) == 500


def test_a_row_that_commits_late_at_the_primary_arrives_from_a_replica(replica_source: ReplicaSource) -> None:
    source = replica_source
    source.sql(MARIA_ORDERS)
    source.file(f"tables: [{{name: {source.name}.orders, mode: merge, cursor: at, cursor_time_zone: UTC}}]")
    with closing(source.connect()) as late, late.cursor() as cursor:
        cursor.execute("INSERT INTO orders (id, note) VALUES (1, 'late')")
        source.sql("INSERT INTO orders (id, note) VALUES (2, 'soon')")
        source.arrived()
        source.run()
        assert source.loaded("orders", "id") == [(2,)]
        late.commit()
    source.arrived()
    source.run()
    assert source.loaded("orders", "id") == [(1,), (2,)]


def test_a_stopped_replica_holds_the_watermark_and_is_named(replica_source: ReplicaSource) -> None:
    source = replica_source
    source.sql(MARIA_ORDERS, "INSERT INTO orders VALUES (1, 'a', NOW(6) - INTERVAL 3 HOUR)")
    source.arrived()
    source.copy_sql("STOP SLAVE")
    source.file(f"tables: [{{name: {source.name}.orders, mode: merge, cursor: at, cursor_time_zone: UTC}}]")

    notes = notes_of(source)

    assert source.watermark(f"{source.name}.orders") is None
    assert any("replication is configured and does not run" in note for note in notes)


@pytest.fixture
def linked(company: Company) -> PostgresSource:
    """Return a database whose views and tables read another database by postgres_fdw and dblink."""
    far, source = company.source("postgresql"), company.source("postgresql")
    assert isinstance(source, PostgresSource)
    far.sql(ORDERS)
    login = far.secret()
    address = f"host '{login['host']}', port '{login['port']}', dbname '{far.name}'"
    text = f"host={login['host']} port={login['port']} dbname={far.name} user=postgres"
    source.sql(
        "CREATE EXTENSION postgres_fdw",
        "CREATE EXTENSION dblink",
        f"CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS ({address})",
        "CREATE USER MAPPING FOR postgres SERVER far OPTIONS (user 'postgres')",
        "IMPORT FOREIGN SCHEMA public FROM SERVER far INTO public",
        "CREATE VIEW through AS SELECT * FROM orders",
        "CREATE VIEW twice AS SELECT * FROM through",
        f"CREATE VIEW called AS SELECT * FROM dblink('{text}', 'SELECT id, note, at FROM orders') "
        "AS t (id int, note text, at timestamptz)",
        "CREATE TABLE own (id int PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())",
        "CREATE MATERIALIZED VIEW kept AS SELECT * FROM own",
    )
    source.far = far  # type: ignore[attr-defined]
    return source


def test_a_row_that_commits_late_in_another_database_arrives_through_a_link(linked: PostgresSource) -> None:
    far: PostgresSource = linked.far  # type: ignore[attr-defined]
    linked.file("tables: [{name: public.orders, mode: merge, cursor: at, key: id}]")
    with far.transaction() as late:
        late.run("INSERT INTO orders VALUES (1, 'late')")
        far.sql("INSERT INTO orders VALUES (2, 'soon')")
        notes = notes_of(linked)
    assert linked.loaded("orders", "id") == [(2,)]
    assert any("foreign or materialized table" in note for note in notes)

    linked.run()

    assert linked.loaded("orders", "id") == [(1,), (2,)]


def test_tables_and_views_whose_writers_are_not_listed_are_known(linked: PostgresSource) -> None:
    engine = registry.get("postgresql")
    connection = engine.connect(Secret(**linked.secret()), statement_timeout_s=60)
    names = {TableName("public", name) for name in ("orders", "through", "twice", "called", "own", "kept")}
    try:
        foreign = engine.foreign(connection, names)
    finally:
        engine.close(connection)
    assert {name.table for name in foreign} == {"orders", "through", "twice", "called", "kept"}


def test_a_table_of_the_same_database_is_read_up_to_its_own_transactions(linked: PostgresSource) -> None:
    linked.sql("INSERT INTO own VALUES (1, now() - interval '5 seconds')")
    linked.file("tables: [{name: public.own, mode: append, cursor: at}]")
    assert not any("transactions" in note for note in notes_of(linked))
    assert linked.loaded("own", "id") == [(1,)]
