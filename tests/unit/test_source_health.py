"""What runs in a row make of a source: which tables are paused, and when its schedule is."""

from __future__ import annotations

import json
import shlex
from typing import Any

from tributary.model.plan import Failure, PausedTable
from tributary.model.report import RunReport, TableReport
from tributary.reporting import ops_item
from tributary.storage.source_health import SourceHealth, TableHealth


def report(number: int, *, partial: bool = False, failure: str | None = None, **tables: str) -> RunReport:
    """Return the report of a run: its tables by how they ended, `loaded` or an error's name."""
    reports = tuple(
        TableReport(
            table=name,
            status="loaded" if ended == "loaded" else "failed",
            failure=None if ended == "loaded" else Failure(table=name, error=ended, message="why"),
        )
        for name, ended in tables.items()
    )
    failed = failure or any(table.status == "failed" for table in reports)
    return RunReport(
        version="1",
        source="shop",
        run_id=f"20260101_0000{number:02}",
        execution_arn="arn",
        status="failed" if failed else "succeeded",
        partial=partial,
        failure=Failure(table="shop", error=failure, message="why") if failure else None,
        tables=reports,
    )


def after(*reports: RunReport, pause_after: int = 3) -> SourceHealth:
    health = SourceHealth(source="shop", pause_after=pause_after)
    for each in reports:
        health = health.after(each)
    return health


def test_a_table_is_paused_when_it_failed_that_often_in_a_row():
    failing = [report(number, a="LoadFailed", b="loaded") for number in (1, 2, 3)]
    assert after(*failing[:2]).paused_tables == ()
    assert after(*failing).paused_tables == (
        PausedTable(table="a", failures=3, run_id="20260101_000003", error="LoadFailed"),
    )
    assert not after(*failing).paused


def test_what_a_person_had_read_or_built_again_says_nothing_of_how_a_table_fares():
    failing = [report(number, a="LoadFailed") for number in (1, 2)]
    by_hand = report(3, partial=True, a="LoadFailed")
    for kind in ("window", "replay"):
        tables = tuple(table.model_copy(update={"asked": kind}) for table in by_hand.tables)
        health = after(*failing, by_hand.model_copy(update={"tables": tables}))
        assert (health.paused_tables, health.tables["a"].failures) == ((), 2)


def test_a_success_between_failures_begins_the_count_anew():
    bad: dict[str, Any] = {"a": "LoadFailed", "b": "loaded"}
    good: dict[str, Any] = {"a": "loaded", "b": "loaded"}
    runs = [bad, bad, good, bad, bad]
    health = after(*(report(number, **tables) for number, tables in enumerate(runs)))
    assert health.tables["a"].failures == 2
    assert not health.troubled


def test_a_paused_table_stays_so_while_runs_leave_it_out_and_ends_with_its_own_success():
    failing = [report(number, a="LoadFailed", b="loaded") for number in (1, 2, 3)]
    paused = after(*failing, report(4, b="loaded"))
    assert [table.table for table in paused.paused_tables] == ["a"]
    assert not paused.after(report(5, partial=True, a="loaded")).troubled


def test_a_run_counts_once_however_often_and_late_it_is_reported():
    first, second = report(1, a="LoadFailed", b="loaded"), report(2, a="LoadFailed", b="loaded")
    assert after(first, first, second, second, first) == after(first, second)


def test_a_table_that_a_run_did_not_come_to_is_not_to_blame():
    runs = [report(number, failure="WarehouseUnavailable", a="Unfinished") for number in (1, 2, 3)]
    health = after(*runs)
    assert health.tables == {}
    assert (health.barren_runs, health.paused) == (3, True)


def test_a_source_is_paused_only_when_that_many_runs_in_a_row_loaded_nothing():
    unreachable = [report(number, failure="SourceUnavailable") for number in (1, 2, 3, 4)]
    assert not after(*unreachable[:2]).paused
    assert not after(*unreachable[:2], report(3, a="loaded", b="LoadFailed"), unreachable[3]).paused
    assert after(*unreachable[:3]).paused
    assert after(unreachable[0], pause_after=1).paused


def test_runs_whose_every_table_is_paused_load_nothing():
    run = report(1).model_copy(
        update={"paused": (PausedTable(table="a", failures=3, run_id="0", error="LoadFailed"),)}
    )
    assert after(run).barren_runs == 1
    assert after(report(1)).barren_runs == 0


def test_what_a_person_tries_by_hand_disables_no_schedule():
    typo = [report(number, failure="ConfigError") for number in range(1, 6)]
    one_table = [report(number, partial=True, a="LoadFailed") for number in range(6, 11)]
    stopped = [report(number, failure="Aborted", a="Unfinished") for number in range(11, 16)]
    health = after(*typo, *one_table, *stopped)
    assert (health.barren_runs, health.paused) == (0, False)
    assert health.tables["a"].paused


def test_what_is_paused_is_said_with_the_command_that_brings_it_back():
    health = SourceHealth(
        source="shop",
        barren_runs=3,
        paused=True,
        tables={"it's": TableHealth(failures=4, run_id="20260101_000004", error="KeyNotUnique", paused=True)},
    )
    lines = ops_item.lines(health)
    assert lines[0].startswith("The schedule of shop is disabled: 3 runs in a row loaded nothing at all.")
    assert lines[2] == "  it's: 4 failures in a row, the last by KeyNotUnique in run 20260101_000004"
    commands = [line for text in lines for line in text.splitlines() if "sam remote invoke" in line]
    assert [json.loads(shlex.split(command)[-1]) for command in commands] == [
        {"resume": "shop"},
        {"resume": {"source": "shop", "table": "it's"}},
    ]
    assert ops_item.lines(SourceHealth(source="shop")) == []


def test_a_description_fits_into_an_ops_item_however_much_is_paused():
    tables = {
        f"{'x' * 500}{number}": TableHealth(failures=3, run_id="r", error="LoadFailed", paused=True)
        for number in range(50)
    }
    assert (
        len(ops_item.description(SourceHealth(source="shop", tables=tables))) == ops_item.DESCRIPTION_AT_MOST
    )
