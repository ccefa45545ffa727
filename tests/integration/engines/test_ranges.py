"""Big tables are divided at keys of their own into about equal ranges, for a fraction of a scan's cost."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.integration.engines.conftest import HERE, OPEN
from tests.integration.engines.source import Source
from tributary.engines.postgresql import ranges as postgresql_ranges
from tributary.model.query import ReadColumn

ROWS = 12_000
WIDE = "repeat('x', 800)"
SERIES = {
    "postgresql": f"generate_series(1, {ROWS}) AS s(n)",
    "mysql": f"(SELECT seq AS n FROM seq_1_to_{ROWS}) AS s",
}
COUNT = 8
LARGEST = 1.6  # of a range, in shares

# Keys that an equal division of MIN..MAX would put into one or two ranges.
KEYS: dict[str, tuple[Sequence[str], Sequence[str], dict[str, str]]] = {
    "dense integers with one far away": (
        ["a"],
        ["bigint NOT NULL"],
        {"": "CASE WHEN n = 1 THEN 4000000000000000000 ELSE n END"},
    ),
    "few leading values": (
        ["a", "b"],
        ["int NOT NULL", "int NOT NULL"],
        {"": f"CASE WHEN n < {ROWS // 10} THEN n % 5 ELSE 7 END, n"},
    ),
    "texts with a common beginning": (
        ["a"],
        ["varchar(40) NOT NULL"],
        {"": "concat('order-', n * 7)"},
    ),
    "digests": (["a"], ["char(32) NOT NULL"], {"": "md5(concat('', n))"}),
    "days of very different length": (
        ["a", "b"],
        ["date NOT NULL", "int NOT NULL"],
        {
            "postgresql": "date '2020-01-01' + (sqrt(n)::int), n",
            "mysql": "date '2020-01-01' + INTERVAL floor(sqrt(n)) DAY, n",
        },
    ),
}


@pytest.fixture(params=[name for name in HERE if name != "sqlite"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Source]:
    """One empty database on each engine that divides tables."""
    with OPEN[request.param](request, tmp_path) as opened:
        yield opened


def filled(source: Source, case: str) -> tuple[list[ReadColumn], list[tuple[str, ...]]]:
    """Create the table `big` and return its key and the ends of its ranges, which should be COUNT."""
    names, types, values = KEYS[case]
    columns = ", ".join(f"{name} {type}" for name, type in zip(names, types, strict=True))
    source.execute(f"CREATE TABLE big ({columns}, filler text, PRIMARY KEY ({', '.join(names)}))")
    chosen = values.get(source.name) or values[""]
    source.execute(f"INSERT INTO big SELECT {chosen}, {WIDE} FROM {SERIES[source.name]}")
    source.execute("ANALYZE big" if source.name == "postgresql" else "ANALYZE TABLE big")
    query = source.query("big", order=tuple(names))
    key = [next(column for column in query.columns if column.name == name) for name in names]
    with source.session() as connection:
        return key, source.engine.key_range_ends(connection, query.table, key, COUNT)


@pytest.mark.parametrize("case", list(KEYS))
def test_every_row_is_in_one_range_and_ranges_are_about_equal(server: Source, case: str) -> None:
    key, ends = filled(server, case)
    query = server.query("big", order=tuple(column.name for column in key))
    query = replace(query, columns=tuple(key))

    shares = [
        [tuple(row.values()) for row in server.read(replace(query, position=begin, end=end))]
        for begin, end in zip([None, *ends], [*ends, None], strict=True)
    ]

    assert [row for share in shares for row in share] == [tuple(row.values()) for row in server.read(query)]
    assert sum(map(len, shares)) == ROWS
    assert len(shares) == COUNT
    assert max(map(len, shares)) < LARGEST * ROWS / COUNT, [len(share) for share in shares]


def test_postgresql_reads_a_bounded_part_of_the_blocks(pg: Source) -> None:
    filled(pg, "digests")
    with pg.session() as connection:
        blocks = (
            pg.engine.sizes(connection, [pg.query("big").table])[pg.query("big").table].size_bytes // 8192
        )
        sql = postgresql_ranges.range_ends(
            "public.big", ["t.a"], ["t.a"], postgresql_ranges.percent(blocks * 8192, 8192, 2), 2
        )
        answer = pg.engine.ask(connection, f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}")
    shown = json.loads(str(answer and answer[0]))[0]["Plan"]
    text = json.dumps(shown)
    assert "Sample Scan" in text
    assert "Seq Scan" not in text
    assert (
        shown["Shared Hit Blocks"] + shown["Shared Read Blocks"] < 2 * 2 * postgresql_ranges.BLOCKS_PER_RANGE
    )
    assert blocks > 1_000


def test_mysql_reads_a_few_keys_for_each_range(maria: Source) -> None:
    key, _ = filled(maria, "few leading values")
    read = (
        "SELECT SUM(variable_value) FROM information_schema.session_status "
        "WHERE variable_name LIKE 'HANDLER_READ%'"
    )
    with maria.session() as connection:
        table = maria.query("big").table

        def reads() -> int:
            answer = maria.engine.ask(connection, read)
            return int(float(str(answer and answer[0])))

        reads()
        idle = -reads() + reads()  # what the question itself reads
        before = reads()
        assert len(maria.engine.key_range_ends(connection, table, key, COUNT)) == COUNT - 1
        assert reads() - before - idle < 500


def test_the_catalog_has_sizes_of_tables_and_none_of_views(server: Source) -> None:
    filled(server, "digests")
    server.execute("CREATE VIEW seen AS SELECT * FROM big")
    names = [server.query(table).table for table in ("big", "seen")]
    with server.session() as connection:
        sizes = server.engine.sizes(connection, names)
        assert list(sizes) == names[:1]
        assert 0.5 * ROWS < sizes[names[0]].rows < 2 * ROWS
        assert 800 * ROWS < sizes[names[0]].size_bytes < 2400 * ROWS
        assert server.engine.sizes(connection, []) == {}


def test_partitions_are_counted_and_divided_with_their_table(pg: Source) -> None:
    pg.execute("CREATE TABLE big (a int PRIMARY KEY, filler text) PARTITION BY RANGE (a)")
    for number in range(4):
        begin, end = number * 5_000, (number + 1) * 5_000
        pg.execute(f"CREATE TABLE big_{number} PARTITION OF big FOR VALUES FROM ({begin}) TO ({end})")
    pg.execute(f"INSERT INTO big SELECT n, {WIDE} FROM generate_series(0, 19999) AS s(n)")
    pg.execute("ANALYZE big")
    query = pg.query("big", order=("a",))
    with pg.session() as connection:
        assert pg.engine.sizes(connection, [query.table])[query.table].rows == 20_000
        ends = pg.engine.key_range_ends(connection, query.table, query.columns[:1], 4)
    assert [round(int(cut) / 5_000) for (cut,) in ends] == [1, 2, 3]


def test_a_table_without_enough_keys_is_not_divided(server: Source) -> None:
    server.execute("CREATE TABLE few (a integer NOT NULL PRIMARY KEY)")
    with server.session() as connection:
        query = server.query("few")
        assert server.engine.key_range_ends(connection, query.table, query.columns, 4) == []
        server.execute("INSERT INTO few VALUES (1)")
        assert server.engine.key_range_ends(connection, query.table, query.columns, 4) == []


def plan(source: Source, sql: str) -> Any:
    with source.session() as connection:
        words = {"postgresql": "EXPLAIN (FORMAT JSON)", "mysql": "EXPLAIN FORMAT=JSON"}[source.name]
        answer = source.engine.ask(connection, f"{words} {sql}")
    return json.loads(str(answer and answer[0]))


@pytest.mark.parametrize("case", ["few leading values", "digests"])
def test_pages_of_a_range_are_index_ranges_without_a_sort(server: Source, case: str) -> None:
    key, ends = filled(server, case)
    query = server.query("big", order=tuple(column.name for column in key), limit=500)
    for position in (ends[2], ends[3]):
        sql = server.engine.select(replace(query, position=position, end=ends[4]))
        text = json.dumps(plan(server, sql))
        assert not re.search(r'"Sort"|filesort', text), text
        assert re.search(r'"Index Cond": ".*>.*<=|"access_type": "range"', text), text
