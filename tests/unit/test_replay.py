"""What may be loaded together of the raw layer, and with which run a table made anew begins."""

from __future__ import annotations

import pytest

from tests.builders import column, orders
from tributary.errors import ConfigError, ReplayRefused
from tributary.model.result import ReplayedRun
from tributary.model.types import Kind
from tributary.planning.load_method import CommittedLoad
from tributary.planning.replay import Logged, Replay, goes_into, together, wanted


@pytest.mark.parametrize(
    ("was", "now", "goes"),
    [
        ("INTEGER", "INTEGER", True),
        ("SMALLINT", "BIGINT", True),
        ("BIGINT", "INTEGER", False),
        ("INTEGER", "VARCHAR(20)", False),
        ("VARCHAR(20)", "VARCHAR", True),
        ("DECIMAL(10,2)", "DECIMAL(12,4)", True),
        ("DECIMAL(10,2)", "DECIMAL(12,5)", False),
        ("DECIMAL(10,2)", "BIGINT", False),
        ("REAL", "DOUBLE PRECISION", True),
        ("TIMESTAMP", "TIMESTAMPTZ", False),
        ("SUPER", "super", True),
        ("VARBYTE", "binary varying", True),
        ("SUPER", "VARCHAR", False),
    ],
)
def test_a_column_takes_what_it_held_before_only_where_nothing_is_altered(was, now, goes):
    assert goes_into(was, now) == goes


def run(run_id: str, *kinds: Kind) -> ReplayedRun:
    columns = tuple(column(name, kind) for name, kind in zip("abc", kinds, strict=False))
    return ReplayedRun(run_id=run_id, table=orders(columns=columns), chunks=(), rows=0)


def test_the_columns_of_all_runs_stand_side_by_side_with_texts_at_their_longest():
    long, short = Kind("text", size_bytes=40), Kind("text", size_bytes=10)
    runs = [run("1", long, Kind("int32"), Kind("date")), run("2", short, Kind("int64"))]

    assert {name: found.kind for name, found in together("public.orders", runs, None).items()} == {
        "a": long,
        "b": Kind("int64"),
        "c": Kind("date"),
    }
    with pytest.raises(ReplayRefused, match='column "b" was BIGINT in run 2 and is INTEGER now, so their'):
        together("public.orders", runs, {"b": "INTEGER"})


def logged(run_id: str, contents: str, *, mode: str = "merge", target: str = "shop.orders") -> Logged:
    return Logged(run_id, mode, target, 1, contents)


@pytest.mark.parametrize(
    ("log", "chain"),
    [
        ([logged("1", "image"), logged("2", "changes")], ["1", "2"]),
        ([logged("1", "image"), logged("2", "image"), logged("3", "whole")], ["2", "3"]),
        ([logged("1", "whole"), logged("2", "whole")], ["1", "2"]),
        ([logged("1", "image", target="shop.old"), logged("2", "whole")], ["2"]),
    ],
)
def test_a_table_is_made_of_the_runs_since_its_last_image(log, chain):
    assert [found.run_id for found in replay()._chain("public.orders", log)] == chain


@pytest.mark.parametrize(
    "log",
    [
        [],
        [logged("1", "changes")],
        [logged("1", "whole", mode="append"), logged("2", "changes", mode="append")],
    ],
)
def test_a_table_of_which_no_beginning_is_known_is_refused(log):
    with pytest.raises(ReplayRefused, match="nothing says with which rows it began"):
        replay()._chain("public.orders", log)


def replay() -> Replay:
    loaded = {"public.orders": CommittedLoad("3", "merge", "shop.orders")}
    return Replay(None, "shop", frozenset(loaded), loaded, 50)  # type: ignore[arg-type]


def test_only_tables_that_were_loaded_can_be_named():
    known = ["public.orders", "audit.orders", "public.lines", "totals"]
    assert wanted(known, None) == sorted(known)
    assert wanted(known, ["lines", "totals"]) == ["public.lines", "totals"]
    with pytest.raises(ConfigError, match='"orders" is of several tables; write which'):
        wanted(known, ["orders"])
