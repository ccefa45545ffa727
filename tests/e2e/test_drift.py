"""Columns that come and go: their values arrive, or stay, and the report says what happened."""

from __future__ import annotations

import pytest

from .company import Company, Source
from .compare import ENGINES, STAMP, full_name, in_source, in_warehouse, only_table

HOUR = "2026-01-01 10:00:00"


@pytest.fixture(params=ENGINES)
def source(company: Company, request: pytest.FixtureRequest) -> Source:
    """Return a source with two rows that have arrived."""
    source = company.source(str(request.param))
    source.sql(
        "CREATE TABLE orders (id int NOT NULL PRIMARY KEY, note varchar(20), "
        f"stamp {STAMP[source.engine]} NOT NULL)",
        f"INSERT INTO orders VALUES (1, 'one', '{HOUR}'), (2, 'two', '{HOUR}')",
    )
    read(source)
    only_table(source.run())
    return source


def read(source: Source, settings: str = "") -> None:
    """Write the source's file, with further settings of its table."""
    known = f"name: {full_name(source)}, mode: merge, cursor: stamp, cursor_time_zone: UTC"
    source.file(f"tables: [{{{known}{settings}}}]")


def test_a_new_column_with_a_default_is_read_in_every_row(source: Source) -> None:
    source.sql("ALTER TABLE orders ADD COLUMN colour varchar(9) NOT NULL DEFAULT 'red'")
    source.sql("INSERT INTO orders VALUES (3, 'three', '2026-01-01 10:00:01', 'blue')")

    second = only_table(source.run())

    assert (second["whole"], second["rows_read"]) == (True, 3)
    assert "new columns: colour; the whole table is read again for them" in second["notes"]
    assert in_warehouse(source, "orders", "id, note, colour") == in_source(
        source, "orders", "id, note, colour"
    )
    assert only_table(source.run())["rows_read"] == 0


def test_a_new_column_without_a_value_costs_no_whole_read(source: Source) -> None:
    source.sql("ALTER TABLE orders ADD COLUMN colour varchar(9)")

    second = only_table(source.run())

    assert (second["whole"], second["rows_read"]) == (False, 0)
    source.sql("UPDATE orders SET colour = 'red', stamp = '2026-01-01 10:00:01' WHERE id = 1")
    third = only_table(source.run())
    assert third["rows_read"] == 1
    assert in_warehouse(source, "orders", "id, note, colour") == in_source(
        source, "orders", "id, note, colour"
    )


def test_a_new_column_may_be_left_null_in_the_rows_that_are_there(source: Source) -> None:
    read(source, ', on_new_column: "null"')
    source.sql("ALTER TABLE orders ADD COLUMN colour varchar(9) NOT NULL DEFAULT 'red'")
    source.sql("INSERT INTO orders VALUES (3, 'three', '2026-01-01 10:00:01', 'blue')")

    second = only_table(source.run())

    assert (second["whole"], second["rows_read"]) == (False, 1)
    assert in_warehouse(source, "orders", "id, colour") == [(1, None), (2, None), (3, "blue")]


def test_a_dropped_column_keeps_its_values_and_is_named(source: Source) -> None:
    source.sql("ALTER TABLE orders DROP COLUMN note")
    source.sql("INSERT INTO orders VALUES (3, '2026-01-01 10:00:01')")
    source.sql("UPDATE orders SET stamp = '2026-01-01 10:00:01' WHERE id = 2")

    second = only_table(source.run())

    assert "columns no longer read: note; their values stay in the warehouse" in second["notes"]
    assert second["rows_read"] == 2
    assert in_warehouse(source, "orders", "id, note", "stamp") == [
        (1, "one", f"{HOUR}.000000"),
        (2, "two", "2026-01-01 10:00:01.000000"),
        (3, None, "2026-01-01 10:00:01.000000"),
    ]


def test_a_run_that_fails_does_not_lose_the_whole_read_for_a_new_column(source: Source) -> None:
    wide = {"postgresql": "text", "mysql": "longtext", "sqlite": "text"}[source.engine]
    source.sql(f"ALTER TABLE orders ADD COLUMN body {wide}")
    source.sql("UPDATE orders SET body = 'ok'")
    source.sql(f"INSERT INTO orders VALUES (3, 'x', '{HOUR}', '{'long' * 20_000}')")
    failed = source.run()
    assert failed.table(full_name(source))["failure"]["error"] == "ValueRefused"
    source.sql("DELETE FROM orders WHERE id = 3")

    again = only_table(source.run())

    assert (again["whole"], again["rows_read"]) == (True, 2)
    assert in_warehouse(source, "orders", "id, note, body") == in_source(source, "orders", "id, note, body")


def test_a_column_that_comes_back_brings_the_values_of_every_row(source: Source) -> None:
    read(source, ", columns: {exclude: [note]}")
    source.sql(
        "UPDATE orders SET note = 'unseen', stamp = '2026-01-01 10:00:01' WHERE id = 1",
        "INSERT INTO orders VALUES (3, 'unseen', '2026-01-01 10:00:01')",
    )
    only_table(source.run())
    read(source)

    only_table(source.run())

    assert in_warehouse(source, "orders", "id, note") == in_source(source, "orders", "id, note")


def test_a_column_that_was_dropped_and_made_again_brings_its_new_values(source: Source) -> None:
    source.sql("ALTER TABLE orders DROP COLUMN note")
    only_table(source.run())
    source.sql("ALTER TABLE orders ADD COLUMN note varchar(20)")

    table = only_table(source.run())

    assert (table["whole"], table["rows_read"]) == (True, 2)
    assert in_warehouse(source, "orders", "id, note") == [(1, None), (2, None)]
    assert only_table(source.run())["rows_read"] == 0
