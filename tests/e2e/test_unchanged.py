"""A run without changes: the warehouse sleeps on, and the source answers a few questions for all tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .company import Company, Ended, PostgresSource, Source
from .under_way import configured, lease, watched

HOUR = "2026-01-01 10:00:00"
STATEMENTS_AT_MOST = 20  # of an unchanged run in its source, signing in and looking at the catalog included


def merged(company: Company, *tables: str, settings: str = "") -> PostgresSource:
    """Return a source whose tables have a row each and have been loaded."""
    source = company.source("postgresql")
    assert isinstance(source, PostgresSource)
    source.sql(*[sql for table in tables for sql in made(table)])
    source.file("tables: [{include: 'public.*', mode: merge, cursor: stamp}]\n" + settings)
    assert source.run().status == "SUCCEEDED"
    return source


def made(table: str) -> list[str]:
    return [
        f"CREATE TABLE {table} (id int PRIMARY KEY, note text, stamp timestamptz NOT NULL)",
        f"INSERT INTO {table} VALUES (1, 'first', '{HOUR}+00')",
    ]


Watched = Callable[..., tuple[Ended, list[str]]]


@contextmanager
def watching(company: Company) -> Iterator[Watched]:
    """Give the block what runs a source and returns how that ended, which must be well.

    And the calls of the Data API that the run made.
    """
    with (
        watched(company.stack.endpoint_url) as (url, calls),
        configured(company, "PlanFunction", AWS_ENDPOINT_URL_REDSHIFT_DATA=url),
        configured(company, "LoadFunction", AWS_ENDPOINT_URL_REDSHIFT_DATA=url),
    ):

        def run(source: Source, **fields: Any) -> tuple[Ended, list[str]]:
            before = len(calls)
            ended = source.run(**fields)
            assert ended.status == "SUCCEEDED", json.dumps(ended.report)
            return ended, calls[before:]

        yield run


def statements(source: Source) -> int:
    """Return how many statements the source's database has run, each in a transaction of its own."""
    [(count,)] = source.sql(
        "SELECT pg_stat_force_next_flush()",
        "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()",
    )
    return int(count)


def test_an_unchanged_run_of_many_tables_wakes_no_warehouse_and_asks_the_source_little(
    company: Company,
) -> None:
    tables = [f"table_{number:03d}" for number in range(70)]  # more than any bound on statements
    source = merged(company, *tables)
    before = statements(source)

    with watching(company) as run:
        unchanged, calls = run(source)

    assert calls == []
    assert statements(source) - before < STATEMENTS_AT_MOST
    assert unchanged.report is not None
    table_reports = [
        (table["table"], table["status"], table["rows_read"]) for table in unchanged.report["tables"]
    ]
    assert table_reports == [(f"public.{table}", "loaded", 0) for table in tables]
    assert unchanged.report["notes"] == ["no table has anything new; the warehouse was not asked"]
    assert lease(company, source).get("execution_arn") is None

    source.sql(f"UPDATE table_042 SET note = 'second', stamp = '{HOUR}.000001+00'")
    before = statements(source)

    assert source.run().status == "SUCCEEDED"
    assert source.loaded("table_042", "note") == [("second",)]
    assert statements(source) - before < 3 * STATEMENTS_AT_MOST  # Extract signs in too
    assert [row["records_processed"] for row in source.control("public.table_042")] == [1, 1]
    assert [row["records_processed"] for row in source.control("public.table_041")] == [1, 0]


def test_the_warehouse_is_asked_if_the_copy_cannot_know(company: Company) -> None:
    source = merged(company, "orders")

    with watching(company) as run:
        assert run(source, tables=["public.orders"])[1] != []
        source.sql("ALTER TABLE orders ADD COLUMN more text")
        assert run(source)[1] != []
        assert run(source)[1] == []
        source.sql(*made("customers"))
        source.file("tables: [{name: orders, mode: merge, cursor: stamp}, {name: customers, mode: replace}]")
        assert run(source)[1] != []
        assert run(source)[1] != []  # with nothing changed: only reading a table whole can tell


def test_a_run_that_broke_off_leaves_no_unchanged_run_behind_it(company: Company) -> None:
    source = merged(company, "orders")
    arn = company.stack.outputs["StateMachineArn"].replace(":stateMachine:", ":execution:") + ":broken-off"
    company.invoke(
        "PlanFunction",
        {"source": source.name, "execution_arn": arn, "started_at": "2026-01-01T00:00:00.000Z"},
    )

    with watching(company) as run:
        assert run(source)[1] != []
        assert run(source)[1] == []
