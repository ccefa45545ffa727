"""Values that change without their cursor: what the catalog shows is read again, a mere rewrite is not."""

from __future__ import annotations

import pytest

from .company import Company, Source
from .compare import SERVERS, failures, only_table

LATER = "'2026-01-02 10:00:00+00'"


def stamped(company: Company, columns: str, *rows: str, after: str = "") -> Source:
    """Return a PostgreSQL source with a table `t` that was loaded once."""
    source = company.source("postgresql")
    source.sql(
        *([after] if after else []),
        f"CREATE TABLE t (id int, {columns}, at timestamptz NOT NULL DEFAULT '2026-01-01 10:00:00+00')",
        "ALTER TABLE t ADD PRIMARY KEY (id)",
        *(f"INSERT INTO t VALUES {row}" for row in rows),
    )
    source.file("tables: [{name: public.t, mode: merge, cursor: at}]")
    assert source.run().status == "SUCCEEDED"
    return source


def test_a_renamed_label_of_an_enum_reaches_every_row(company: Company) -> None:
    source = stamped(
        company, "s state", "(1, 'new')", "(2, 'paid')", after="CREATE TYPE state AS ENUM ('new', 'paid')"
    )
    source.sql("ALTER TYPE state ADD VALUE 'lost'")
    assert only_table(source.run())["rows_read"] <= 1  # a new label changes no row
    source.sql("ALTER TYPE state RENAME VALUE 'paid' TO 'settled'")

    table = only_table(source.run())

    assert "labels of column s were renamed or removed: the whole table is read again" in table["notes"]
    assert source.loaded("t", "id, s") == [(1, "new"), (2, "settled")]
    assert "labels" not in " ".join(only_table(source.run())["notes"])


def test_a_column_that_was_recomputed_in_place_is_read_again_and_a_vacuum_is_not(company: Company) -> None:
    source = stamped(company, "cents int", "(1, 1)", "(2, 2)")
    source.sql("VACUUM FULL t")
    assert only_table(source.run())["rows_read"] <= 1
    source.sql("ALTER TABLE t ALTER cents TYPE int USING cents * 100")

    table = only_table(source.run())

    assert any(note.startswith("column cents was altered") for note in table["notes"])
    assert source.loaded("t", "id, cents") == [(1, 100), (2, 200)]


def test_rows_of_an_attached_partition_arrive_and_an_empty_partition_costs_nothing(company: Company) -> None:
    source = company.source("postgresql")
    source.sql(
        "CREATE TABLE t (id int, at timestamptz NOT NULL, PRIMARY KEY (id)) PARTITION BY RANGE (id)",
        "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10)",
        "INSERT INTO t VALUES (1, '2026-01-01 10:00:00+00'), (2, '2026-01-02 10:00:00+00')",
    )
    source.file("tables: [{name: public.t, mode: merge, cursor: at}]")
    assert source.run().status == "SUCCEEDED"
    source.sql("CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (10) TO (20)")
    assert only_table(source.run())["rows_read"] <= 1
    source.sql(
        "CREATE TABLE t3 (id int NOT NULL, at timestamptz NOT NULL, PRIMARY KEY (id))",
        "INSERT INTO t3 VALUES (21, '2025-01-01 10:00:00+00')",
        "ALTER TABLE t ATTACH PARTITION t3 FOR VALUES FROM (20) TO (30)",
    )

    table = only_table(source.run())

    assert "partition public.t3 was attached with rows up to the watermark" in " ".join(table["notes"])
    assert source.loaded("t", "id") == [(1,), (2,), (21,)]


def test_an_append_refuses_what_it_cannot_read_again(company: Company) -> None:
    source = stamped(company, "cents int", "(1, 1)")
    source.file("tables: [{name: public.t, mode: append, cursor: at}]")
    source.run(full_refresh=True)
    source.sql("ALTER TABLE t ALTER cents TYPE int USING cents * 100")

    [failure] = failures(source.run())

    assert "an append reads no row a second time" in failure["message"]
    assert source.run(full_refresh=True).status == "SUCCEEDED"
    assert source.loaded("t", "cents") == [(100,)]
    assert source.run().status == "SUCCEEDED"


@pytest.mark.parametrize("engine", [engine for engine in SERVERS if engine == "mysql"])
def test_a_label_that_was_replaced_in_a_columns_type_reaches_every_row(company: Company, engine: str) -> None:
    source = company.source(engine)
    source.sql(
        "CREATE TABLE t (id int PRIMARY KEY, s enum('new', 'paid') NOT NULL, at datetime NOT NULL)",
        "INSERT INTO t VALUES (1, 'paid', '2026-01-01 10:00:00')",
    )
    source.file(f"tables: [{{name: {source.name}.t, mode: merge, cursor: at, cursor_time_zone: UTC}}]")
    assert source.run().status == "SUCCEEDED"
    source.sql(
        "ALTER TABLE t MODIFY s enum('new', 'paid', 'settled') NOT NULL",
        "UPDATE t SET s = 'settled'",
        "ALTER TABLE t MODIFY s enum('new', 'settled') NOT NULL",
    )

    table = only_table(source.run())

    assert "labels of column s were renamed or removed" in " ".join(table["notes"])
    assert source.loaded("t", "s") == [("settled",)]
