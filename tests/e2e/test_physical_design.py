"""What is done for a table beside its rows, through the real state machine, on the stand-in."""

from __future__ import annotations

import pytest

from .company import Company, Source
from .compare import SERVERS, full_name, only_table
from .warehouse_catalog import comments_of


def informational_keys(source: Source, table: str) -> int:
    """Return how many key constraints the table has."""
    there = f"table_schema = '{source.name}' AND table_name = '{table}' AND constraint_name LIKE 'tributary%'"
    rows = source.company.warehouse(f"SELECT 1 FROM information_schema.table_constraints WHERE {there}")
    return len(rows)


def test_a_table_is_made_explained_and_analysed_and_its_key_told_while_it_holds(company: Company) -> None:
    source = company.source("postgresql")
    source.sql(
        "CREATE TABLE orders (id bigint PRIMARY KEY, note text, updated_at timestamptz NOT NULL)",
        "INSERT INTO orders SELECT n, NULL, '2026-01-01' FROM generate_series(1, 100000) AS n",
        "COMMENT ON TABLE orders IS 'what was bought'",
        "COMMENT ON COLUMN orders.note IS 'it''s called \\ by \"them\"'",
    )
    source.file("""
        tables:
          - name: public.orders
            cursor: updated_at
            distkey: id
            sortkey: [updated_at, id]
            encode: {note: zstd}
    """)
    only_table(source.run())

    first = {None: "what was bought", "note": 'it\'s called \\ by "them"'}
    company.wait_until(lambda: comments_of(source, "orders") == first)
    counted = f'SELECT reltuples FROM pg_class WHERE oid = \'"{source.name}"."orders"\'::regclass'
    company.wait_until(lambda: float(company.warehouse(counted)[0][0]) >= 90_000)
    assert informational_keys(source, "orders") == 1

    source.sql("COMMENT ON COLUMN orders.note IS NULL", "COMMENT ON COLUMN orders.id IS 'number'")
    source.sql("ALTER TABLE orders ALTER id TYPE numeric(20)")  # so the table is recreated
    source.sql("INSERT INTO orders VALUES (0, 'new', '2026-01-02')")
    company.warehouse(f'COMMENT ON COLUMN "{source.name}"."orders"."run_id" IS \'by hand\'')
    only_table(source.run())
    company.wait_until(
        lambda: comments_of(source, "orders") == {**first, "id": "number", "run_id": "by hand"}
    )
    assert informational_keys(source, "orders") == 1

    few = "where: id < 9, may_vanish: 100%, comments: false"
    source.file(f"tables: [{{name: public.orders, mode: append, cursor: updated_at, {few}}}]")
    only_table(source.run())
    assert informational_keys(source, "orders") == 0


@pytest.mark.parametrize("engine", SERVERS[1:])
def test_mariadbs_comments_are_said_in_the_warehouse(company: Company, engine: str) -> None:
    source = company.source(engine)
    source.sql(
        "CREATE TABLE orders (id bigint PRIMARY KEY COMMENT 'number', note text) COMMENT 'what was bought'",
        "INSERT INTO orders VALUES (1, 'a')",
    )
    source.file(f"tables: [{{name: {full_name(source, 'orders')}, mode: replace}}]")
    only_table(source.run())
    company.wait_until(lambda: comments_of(source, "orders") == {None: "what was bought", "id": "number"})
