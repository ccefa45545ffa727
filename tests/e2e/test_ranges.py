"""A big table is read in ranges, side by side, and arrives as one."""

from __future__ import annotations

import os
from typing import Any

import pytest

from .company import Company, Source
from .compare import SERVERS, full_name
from .under_way import chunks, newest_run

ROWS = 1_000_000 if os.environ.get("TRIBUTARY_SOAK_SECONDS") else 12_000
SERIES = {
    "postgresql": f"generate_series(1, {ROWS}) AS s(n)",
    "mysql": f"(SELECT seq AS n FROM seq_1_to_{ROWS}) AS s",
}
CUBE = {"postgresql": "n::bigint ^ 3", "mysql": "n * n * n"}
DIGEST = "count(*), sum(id), min(note), max(note), count(DISTINCT note)"


def big(company: Company, engine: str, settings: str) -> Source:
    """Return a source with a table `big` whose keys lie far apart."""
    source = company.source(engine)
    source.sql(
        "CREATE TABLE big (id bigint NOT NULL PRIMARY KEY, note varchar(40) NOT NULL, day date)",
        f"INSERT INTO big SELECT {CUBE[engine]}, md5(concat('', n)), NULL FROM {SERIES[engine]}",
        "ANALYZE big" if engine == "postgresql" else "ANALYZE TABLE big",
    )
    source.file(
        f"tables: [{{name: {full_name(source, 'big')}, mode: replace, {settings}}}]\nmax_connections: 4\n"
    )
    return source


def whole(rows: list[Any]) -> list[str]:
    return [str(value) for value in rows[0]]


@pytest.mark.parametrize("engine", SERVERS)
def test_a_table_in_eight_ranges_loads_once_with_the_rows_that_the_source_has(
    company: Company, engine: str
) -> None:
    source = big(company, engine, "ranges: 8")

    ended = company.wait(source.start(), seconds=600)

    assert ended.status == "SUCCEEDED", ended.report
    [table] = ended.report["tables"] if ended.report else []
    assert (table["rows_read"], table["rows_loaded"]) == (ROWS, ROWS)
    assert "the table is read in 8 ranges" in table["notes"]
    run = newest_run(company, source)
    assert len(company.keys(f"{run}results/")) == 8
    assert len(company.keys(f"{run}manifests/")) == 1
    assert len({key.rsplit("_", 2)[1] for key in chunks(company, source)}) == 8
    assert [row["records_processed"] for row in source.control(full_name(source, "big"))] == [ROWS]
    assert whole(source.loaded("big", DIGEST)) == whole(source.sql(f"SELECT {DIGEST} FROM big"))


def test_a_range_that_fails_is_its_tables_failure(company: Company) -> None:
    source = big(company, "postgresql", "ranges: 4")
    source.sql("UPDATE big SET day = 'infinity' WHERE id = 9000 ^ 3")

    ended = source.run()

    assert ended.status == "FAILED"
    assert ended.table("public.big")["failure"]["error"] == "ValueRefused"
    assert source.control("public.big") == []
