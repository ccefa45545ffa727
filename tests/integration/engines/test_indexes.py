"""A missing index is found in the catalog, and the statement that is advised makes pages index ranges."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.integration.engines.conftest import HERE, OPEN
from tests.integration.engines.source import Source
from tributary.config.models import TableSettings
from tributary.model.query import Query
from tributary.planning import index_advice
from tributary.planning.table_spec import TableSpec, specify

TIMES = {"postgresql": "timestamp(0)", "mysql": "datetime", "sqlite": "DATETIME"}
SORTS = r'"Sort"|Incremental Sort|filesort|TEMP B-TREE'
RANGES = r'"Index Cond"|"access_type": "range"|SEARCH t USING (COVERING )?INDEX'


@pytest.fixture(params=HERE)
def native(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Source]:
    """One empty database on each engine with a driver of its own."""
    with OPEN[request.param](request, tmp_path) as opened:
        yield opened


def made(source: Source, key: str) -> None:
    """Create a table `t` with rows, without an index on its cursor."""
    source.execute(
        f"CREATE TABLE t (a INTEGER NOT NULL, b INTEGER NOT NULL, at {TIMES[source.name]} NOT NULL{key})"
    )
    for start in range(0, 4_000, 500):
        rows = (
            f"({n % 40}, {n}, '2024-01-01 {n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}')"
            for n in range(start, start + 500)
        )
        source.execute(f"INSERT INTO t VALUES {', '.join(rows)}")


def chosen(source: Source) -> TableSpec:
    settings = TableSettings(cursor="at", key=("a", "b"), cursor_time_zone="UTC")
    return specify(source.engine, source.describe("t"), settings)


def plan(source: Source, query: Query) -> str:
    """Return the planner's description of a query, as one text."""
    source.execute(
        {"postgresql": "VACUUM ANALYZE t", "mysql": "ANALYZE TABLE t", "sqlite": "ANALYZE"}[source.name]
    )
    words = {
        "postgresql": "EXPLAIN (FORMAT JSON) ",
        "mysql": "EXPLAIN FORMAT=JSON ",
        "sqlite": "EXPLAIN QUERY PLAN ",
    }
    text = json.dumps(source.execute(words[source.name] + source.engine.select(query)), default=str)
    return text.replace('\\"', '"')


def pages(source: Source) -> list[Query]:
    """Return a later page of a whole read, of an incremental one, and of one range of a big table."""
    by_key = source.query("t", order=("a", "b"), position=("7", "2007"), limit=100)
    moment = ("2024-01-01 00:20:00", "0", "1200")
    return [
        by_key,
        replace(by_key, end=("9", "2009")),
        source.query(
            "t", order=("at", "a", "b"), cursor="at", after="2024-01-01 00:10:00", position=moment, limit=100
        ),
    ]


def test_the_index_that_is_advised_takes_scans_and_sorts_out_of_every_later_page(native: Source) -> None:
    made(native, "")
    native.execute("CREATE INDEX other ON t (b)")
    choice = chosen(native)
    notes = index_advice.advice(native.engine, choice)
    assert len(notes) == 2
    for note in notes:
        native.execute(note.split(": ", 1)[1].removesuffix(" would help"))

    assert index_advice.advice(native.engine, chosen(native)) == ()
    for query in pages(native):
        text = plan(native, query)
        assert not re.search(SORTS, text), text
        assert re.search(RANGES, text), text


def test_an_index_on_the_cursor_is_enough_if_the_primary_key_orders_its_ties(native: Source) -> None:
    made(native, ", PRIMARY KEY (a, b)")
    native.execute("CREATE INDEX moved ON t (at)")
    notes = index_advice.advice(native.engine, chosen(native))
    [*_, incremental] = pages(native)
    sorts = re.search(SORTS, plan(native, incremental)) is not None

    assert bool(notes) == (native.name == "postgresql")
    if native.name != "sqlite":  # whose rowid this key is not
        assert sorts == bool(notes)


def test_no_index_is_advised_for_a_view(pg: Source) -> None:
    made(pg, ", PRIMARY KEY (a, b)")
    pg.execute("CREATE VIEW seen AS SELECT * FROM t")
    choice = specify(pg.engine, pg.describe("seen"), TableSettings(mode="replace"))
    assert index_advice.advice(pg.engine, choice) == ()
