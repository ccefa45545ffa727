"""Tables that are read whole each time: the warehouse holds the source's image and nothing else."""

from __future__ import annotations

import pytest

from .company import Company, Source
from .compare import ENGINES, SERVERS, full_name, in_source, in_warehouse, only_table


@pytest.fixture(params=ENGINES)
def source(company: Company, request: pytest.FixtureRequest) -> Source:
    return company.source(str(request.param))


def test_deleted_rows_vanish_and_changed_ones_change(source: Source) -> None:
    source.sql(
        "CREATE TABLE countries (code varchar(2) NOT NULL PRIMARY KEY, name varchar(20))",
        "INSERT INTO countries VALUES ('es', 'Spain'), ('fr', 'France'), ('it', NULL), ('xx', 'gone')",
    )
    source.file(f"tables: [{{name: {full_name(source, 'countries')}, mode: replace, page_rows: 2}}]")
    only_table(source.run())
    source.sql(
        "DELETE FROM countries WHERE code = 'xx'",
        "UPDATE countries SET name = 'Italy' WHERE code = 'it'",
        "INSERT INTO countries VALUES ('pt', 'Portugal')",
    )

    assert only_table(source.run())["rows_read"] == 4

    assert in_warehouse(source, "countries", "code, name") == in_source(source, "countries", "code, name")


def test_an_empty_table_empties_the_warehouses_where_that_is_allowed(source: Source) -> None:
    source.sql("CREATE TABLE t (id int NOT NULL PRIMARY KEY)", "INSERT INTO t VALUES (1), (2)")
    source.file(f"tables: [{{name: {full_name(source, 't')}, mode: replace}}]")
    only_table(source.run())
    source.sql("DELETE FROM t")

    refused = source.run().table(full_name(source, "t"))["failure"]
    assert refused["error"] == "ImageRefused"
    assert refused["message"] == (
        f"{full_name(source, 't')} has 0 rows now, and the warehouse has 2: the load would remove too many "
        "(may_vanish allows 50%); check the source, and if that is right, start one run with "
        '"may_vanish": "100%"'
    )
    assert source.loaded("t", "id") == [(1,), (2,)]

    only_table(source.run(may_vanish="100%"))

    assert source.loaded("t", "id") == []
    source.sql("INSERT INTO t VALUES (3)")
    only_table(source.run())
    assert source.loaded("t", "id") == [(3,)]


def test_an_image_that_lacks_more_than_is_allowed_is_refused_in_every_mode(company: Company) -> None:
    source = company.source("postgresql")
    source.sql(
        "CREATE TABLE t (id int PRIMARY KEY, at timestamptz NOT NULL DEFAULT now() - interval '1 hour')",
        "INSERT INTO t SELECT id FROM generate_series(1, 500) AS id",
    )
    for mode in ("replace", "merge", "append", "history"):
        source.sql(f"DROP TABLE IF EXISTS {mode}", f"CREATE TABLE {mode} (LIKE t INCLUDING ALL)")
        source.sql(f"INSERT INTO {mode} SELECT * FROM t")
    modes = ", ".join(
        f"{{name: {m}, mode: {m}, cursor: at}}" for m in ("replace", "merge", "append", "history")
    )
    source.file(f"tables: [{modes}]\ndefaults: {{may_vanish: 20%}}")
    assert source.run().status == "SUCCEEDED"

    def left(rows: int, **fields: object) -> set[tuple[object, object]]:
        """Return how each table's full refresh ends when the source has that many rows left."""
        for mode in ("replace", "merge", "append", "history"):
            source.sql(f"DELETE FROM {mode} WHERE id > {rows}")
        ended = source.run(full_refresh=True, **fields)
        assert ended.report is not None
        return {(table["status"], table.get("failure", {}).get("error")) for table in ended.report["tables"]}

    assert left(400) == {("loaded", None)}
    assert left(299) == {("failed", "ImageRefused")}
    assert source.loaded("history", "COUNT(*)") == [(500,)]
    assert left(299, may_vanish="26%") == {("loaded", None)}
    assert left(200) == {("loaded", None)}  # few rows, though a third
    counts = [source.loaded(mode, "COUNT(*)")[0][0] for mode in ("replace", "merge", "append")]
    assert counts == [200, 200, 200]
    assert source.loaded("history", "COUNT(*)", order="1") == [(500,)]
    assert source.company.warehouse(
        f'SELECT COUNT(*) FROM "{source.name}".history WHERE is_current = TRUE'
    ) == [(200,)]


@pytest.mark.parametrize("settings", ["mode: replace", "mode: merge, cursor: id, overlap: 10"])
def test_a_table_that_was_never_filled_arrives_empty(source: Source, settings: str) -> None:
    source.sql("CREATE TABLE t (id int NOT NULL PRIMARY KEY, note varchar(20))")
    source.file(f"tables: [{{name: {full_name(source, 't')}, {settings}}}]")
    only_table(source.run())
    assert source.loaded("t", "id, note") == []
    source.sql("INSERT INTO t VALUES (1, 'a')")
    only_table(source.run())
    assert source.loaded("t", "id, note") == [(1, "a")]


def test_a_table_without_a_key_keeps_its_duplicates(source: Source) -> None:
    source.sql(
        "CREATE TABLE events (what varchar(20), amount int)",
        "INSERT INTO events VALUES ('a', 1), ('a', 1), ('a', 1), ('b', NULL), (NULL, NULL), (NULL, NULL)",
    )
    source.file(f"tables: [{{name: {full_name(source, 'events')}, mode: replace, page_rows: 2}}]")
    for _ in range(2):
        assert only_table(source.run())["rows_read"] == 6
        assert in_warehouse(source, "events", "what, amount") == in_source(source, "events", "what, amount")
        source.sql("DELETE FROM events WHERE what = 'b'", "INSERT INTO events VALUES ('a', 1)")


@pytest.mark.parametrize("engine", SERVERS)
def test_a_table_with_an_inexact_key_is_replaced_all_the_same(company: Company, engine: str) -> None:
    source = company.source(engine)
    source.sql(
        "CREATE TABLE readings (at_degree double precision NOT NULL PRIMARY KEY, note varchar(20))",
        "INSERT INTO readings VALUES (0.1, 'a'), (0.2, 'b'), (0.30000000000000004, 'c')",
    )
    source.file(f"tables: [{{name: {full_name(source, 'readings')}, mode: replace, page_rows: 1}}]")

    only_table(source.run())

    assert in_warehouse(source, "readings", "at_degree, note") == in_source(
        source, "readings", "at_degree, note"
    )
