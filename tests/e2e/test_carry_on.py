"""The next run continues after what a broken run has read, and misses no change in between."""

from __future__ import annotations

import json

import pytest

from .company import Company, PostgresSource
from .under_way import chunks, closed_gate, configured, gated, gated_rows

HOUR = "2026-01-01 10:00:00"


@pytest.fixture
def source(company: Company) -> PostgresSource:
    made = company.source("postgresql")
    assert isinstance(made, PostgresSource)
    return made


def run_of(key: str) -> str:
    """Return the run in a chunk's key."""
    return "_".join(key.rsplit("_", 4)[-4:-2])


def test_a_first_load_that_is_killed_in_the_middle_goes_on_after_its_last_chunk(
    company: Company, source: PostgresSource
) -> None:
    gated(source, rows=9, gate_at=5)
    source.file("tables: [{name: gated, mode: replace, page_rows: 2}]\n")
    arn = company.stack.outputs["StateMachineArn"].replace(":stateMachine:", ":execution:") + ":killed"
    planned = {"source": source.name, "execution_arn": arn, "started_at": "2026-01-01T00:00:00.000Z"}
    old = company.invoke("PlanFunction", planned)
    event = {"source": source.name, "run_id": old["run_id"], "item": 0}
    with configured(company, "ExtractFunction", timeout_s=5), closed_gate(source):
        assert company.invoke("ExtractFunction", event)["errorType"] == "Sandbox.Timedout"
    before = chunks(company, source)

    ended = source.run()

    assert ended.status == "SUCCEEDED", json.dumps(ended.report)
    assert source.loaded("gated", "id, note") == gated_rows(9)
    assert before
    assert len(chunks(company, source)) == 5
    assert {run_of(key) for key in chunks(company, source)} == {old["run_id"]}
    assert ended.table("public.gated")["rows_loaded"] == 9
    assert any(note.startswith("resumed from run ") for note in ended.table("public.gated")["notes"])

    source.sql("UPDATE gated SET note = 'changed' WHERE id = 1")
    source.run()
    assert source.loaded("gated", "note", "id")[0] == ("changed",)


@pytest.mark.parametrize("settings", ["", ", ranges: 2"])
def test_what_changed_in_rows_that_were_read_before_the_break_arrives_with_the_rest(
    company: Company, source: PostgresSource, settings: str
) -> None:
    source.sql(
        "CREATE TABLE orders (id int PRIMARY KEY, note text, day date, stamp timestamptz NOT NULL)",
        f"INSERT INTO orders SELECT id, 'old', NULL, '{HOUR}+00' FROM generate_series(1, 16) AS id",
        "UPDATE orders SET day = 'infinity' WHERE id = 15",
    )
    source.file(f"tables: [{{name: orders, mode: merge, cursor: stamp, page_rows: 2{settings}}}]")
    broken = source.run()
    assert broken.table("public.orders")["failure"]["error"] == "ValueRefused"
    before = chunks(company, source)
    source.sql(
        "UPDATE orders SET day = NULL WHERE id = 15",
        "UPDATE orders SET note = 'new', stamp = '2026-01-01 11:00:00+00' WHERE id IN (1, 16)",
        "INSERT INTO orders VALUES (0, 'late', NULL, '2026-01-01 11:00:00+00')",
    )

    ended = source.run()

    assert ended.status == "SUCCEEDED", json.dumps(ended.report)
    assert source.loaded("orders", "id, note") == source.sql("SELECT id, note FROM orders ORDER BY id")
    assert before
    assert set(before) < set(chunks(company, source))
    of_this_run = [key for key in chunks(company, source) if run_of(key) != run_of(before[0])]
    assert len(of_this_run) == 2  # the three changed rows, in pages of two
    assert source.watermark("public.orders") == "2026-01-01 11:00:00+00"

    assert source.run().table("public.orders")["rows_read"] == 0
    assert len(source.control("public.orders")) == 1


def test_rows_that_were_not_settled_at_the_break_are_read_again(
    company: Company, source: PostgresSource
) -> None:
    source.sql("CREATE TABLE orders (id int PRIMARY KEY, note text, day date, stamp timestamptz NOT NULL)")
    source.file("tables: [{name: orders, mode: merge, cursor: stamp, page_rows: 2}]")
    with source.transaction() as older:
        older.run("SELECT 1")
        source.sql(
            "INSERT INTO orders SELECT id, 'old', NULL, now() FROM generate_series(1, 8) AS id",
            "UPDATE orders SET day = 'infinity' WHERE id = 7",
        )
        broken = source.run()
    assert broken.table("public.orders")["failure"]["error"] == "ValueRefused"
    assert chunks(company, source)
    source.sql(
        "UPDATE orders SET day = NULL, stamp = now() WHERE id = 7",
        "UPDATE orders SET note = 'new', stamp = now() WHERE id = 1",
    )

    ended = source.run()

    assert ended.status == "SUCCEEDED", json.dumps(ended.report)
    assert source.loaded("orders", "id, note") == source.sql("SELECT id, note FROM orders ORDER BY id")


def test_other_columns_are_read_from_the_start(company: Company, source: PostgresSource) -> None:
    source.sql(
        "CREATE TABLE orders (id int PRIMARY KEY, day date)",
        "INSERT INTO orders SELECT id, NULL FROM generate_series(1, 9) AS id",
        "UPDATE orders SET day = 'infinity' WHERE id = 8",
    )
    source.file("tables: [{name: orders, mode: replace, page_rows: 2}]")
    assert source.run().status == "FAILED"
    before = chunks(company, source)
    assert len(before) == 3  # the pages before the one that failed
    source.sql("ALTER TABLE orders ADD COLUMN more int NOT NULL DEFAULT 7", "UPDATE orders SET day = NULL")

    assert source.run().status == "SUCCEEDED"

    assert source.loaded("orders", "id, more") == [(number, 7) for number in range(1, 10)]
    assert before
    assert len(chunks(company, source)) == len(before) + 5
