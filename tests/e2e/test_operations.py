"""What docs/operations.md tells an operator to do, done."""

from __future__ import annotations

from .company import Company, Source

FIRST, SECOND = "2026-01-01 10:00:00", "2026-01-01 10:00:01"


def ran_twice(company: Company) -> Source:
    """Return a source whose table was read twice, and then lost a row and gained one behind its watermark."""
    source = company.source("sqlite")
    source.sql(
        "CREATE TABLE orders (id int NOT NULL PRIMARY KEY, at timestamp NOT NULL)",
        f"INSERT INTO orders VALUES (1, '{FIRST}')",
    )
    source.file("tables: [{name: orders, mode: merge, cursor: at, cursor_time_zone: UTC}]")
    source.run()
    source.sql(f"INSERT INTO orders VALUES (2, '{SECOND}')")
    source.run()
    source.sql("DELETE FROM orders WHERE id = 1", "INSERT INTO orders VALUES (3, '2020-01-01 00:00:00')")
    return source


def test_a_watermark_that_is_taken_away_reads_all_rows_and_deletes_none(company: Company) -> None:
    source = ran_twice(company)
    company.warehouse(
        f"DELETE FROM public.etl_control WHERE source_name = '{source.name}' AND table_name = 'main.orders'"
    )

    assert source.run(tables=["main.orders"]).status == "SUCCEEDED"
    assert source.loaded("orders", "id") == [(1,), (2,), (3,)]


def test_a_full_refresh_puts_the_new_image_in_place_of_the_old(company: Company) -> None:
    source = ran_twice(company)

    assert source.run(tables=["main.orders"], full_refresh=True).status == "SUCCEEDED"
    assert source.loaded("orders", "id") == [(2,), (3,)]
