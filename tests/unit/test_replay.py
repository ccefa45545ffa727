"""Which rows of the raw layer may be loaded together, and with which run a replay begins."""

from __future__ import annotations

import pytest

from tests.builders import column, orders
from tributary.errors import ConfigError, ReplayRefused
from tributary.model.result import ReplayedRun
from tributary.model.types import Kind
from tributary.planning.load_method import CommittedLoad
from tributary.planning.replay import CommittedRun, Replay, choose_tables, merged_columns, takes


@pytest.mark.parametrize(
    ("was", "now", "taken"),
    [
        ("INTEGER", "VARCHAR(20)", True),
        ("INTEGER", "VARCHAR(10)", False),
        ("VARCHAR(40)", "VARCHAR(20)", True),  # its values did fit, or the load fails
        ("DECIMAL(10,2)", "DECIMAL(12,5)", False),
        ("TIMESTAMP", "TIMESTAMPTZ", False),
        ("SUPER", "SUPER", True),
        ("VARBYTE", "binary varying", True),  # the warehouse's own word: nothing is known of it
        ("SUPER", "VARCHAR(65535)", False),
    ],
)
def test_a_column_takes_the_values_of_a_run_only_if_none_is_altered(was, now, taken):
    assert takes(now, was) == taken


def run(run_id: str, *kinds: Kind) -> ReplayedRun:
    columns = tuple(column(name, kind) for name, kind in zip("abc", kinds, strict=False))
    return ReplayedRun(run_id=run_id, table=orders(columns=columns), chunks=(), rows=0)


def test_the_columns_of_all_runs_stand_side_by_side_with_texts_at_their_longest():
    long, short = Kind("text", size_bytes=40), Kind("text", size_bytes=10)
    runs = [run("1", long, Kind("int32"), Kind("date")), run("2", short, Kind("int64"))]

    assert {name: merged.kind for name, merged in merged_columns("public.orders", runs, None).items()} == {
        "a": long,
        "b": Kind("int64"),
        "c": Kind("date"),
    }
    with pytest.raises(ReplayRefused, match='column "b" was BIGINT in run 2 and is now INTEGER, so their'):
        merged_columns("public.orders", runs, {"b": "INTEGER"})


def test_a_column_that_stayed_wide_for_a_narrower_source_stays_wide():
    runs = [run("1", Kind("int64")), run("2", Kind("int32"))]

    assert merged_columns("public.orders", runs, None)["a"].kind == Kind("int64")


def logged(run_id: str, contents: str, *, mode: str = "merge", target: str = "shop.orders") -> CommittedRun:
    return CommittedRun(run_id, mode, target, 1, contents)


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
    assert [run.run_id for run in replay()._chain("public.orders", log)] == chain


@pytest.mark.parametrize(
    "log",
    [
        [],
        [logged("1", "changes")],
        [logged("1", "whole", mode="append"), logged("2", "changes", mode="append")],
    ],
)
def test_a_table_of_which_no_beginning_is_known_is_refused(log):
    with pytest.raises(ReplayRefused, match="its first rows are unknown"):
        replay()._chain("public.orders", log)


def replay() -> Replay:
    loaded = {"public.orders": CommittedLoad("3", "merge", "shop.orders")}
    return Replay(None, "shop", frozenset(loaded), loaded, 50)  # type: ignore[arg-type]


def test_only_tables_that_were_loaded_can_be_named():
    known = ["public.orders", "audit.orders", "public.lines", "totals"]
    assert choose_tables(known, None) == sorted(known)
    assert choose_tables(known, ["lines", "totals"]) == ["public.lines", "totals"]
    with pytest.raises(ConfigError, match='"orders" matches several tables; write which'):
        choose_tables(known, ["orders"])
