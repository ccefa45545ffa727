"""The dashboard and the alarms watch what the code measures, all of it and nothing else."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools import Metrics
from samtranslator.yaml_helper import yaml_parse

from tributary.model.plan import Failure, PausedTable
from tributary.model.report import RunReport, TableReport
from tributary.model.result import AlteredValues
from tributary.reporting import run_metrics
from tributary.reporting.run_metrics import MEASURES, Run
from tributary.storage import run_pace
from tributary.storage.run_pace import RunPace
from tributary.storage.source_health import SourceHealth

ROOT = Path(__file__).parents[2]
HOUSE = yaml_parse((ROOT / "template.yaml").read_text())
PART = yaml_parse((ROOT / "infra/template-monitoring.yaml").read_text())
ALARMS = {
    name: item["Properties"]
    for name, item in PART["Resources"].items()
    if item["Type"] == "AWS::CloudWatch::Alarm"
}
BODY: str = PART["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
NOW = datetime.now(UTC)


def report(
    hours_ago: float = 0, status: str = "succeeded", *, partial: bool = False, **fields: Any
) -> RunReport:
    """Return the report of a run that began so long ago."""
    at = NOW - timedelta(hours=hours_ago)
    return RunReport(
        version="1",
        source="shop",
        run_id=at.strftime("%Y%m%d_%H%M%S"),
        execution_arn="arn",
        status=status,  # type: ignore[arg-type]
        started_at=at.isoformat(),
        partial=partial,
        **{"duration_s": 60.0, **fields},
    )


def loaded(table: str, rows: int = 1, **fields: Any) -> TableReport:
    return TableReport(table=table, status="loaded", rows_read=rows, rows_loaded=rows, **fields)


def failed(table: str, error: str = "LoadFailed") -> TableReport:
    return TableReport(table=table, status="failed", failure=Failure(table=table, error=error, message="why"))


def health_after(*reports: RunReport) -> SourceHealth:
    health = SourceHealth(source="shop", pause_after=9)
    for one in reports:
        health = health.after(one)
    return health


def emitted(capsys: pytest.CaptureFixture[str], run: Run) -> dict[str, Any]:
    """Return what the run writes to the log, which CloudWatch makes metrics of."""
    metrics = Metrics(namespace="Tributary/test", service="tributary")
    run_metrics.count(run, metrics)
    metrics.flush_metrics()
    written: dict[str, Any] = json.loads(capsys.readouterr().out)
    return written


def a_run(*before: RunReport, this: RunReport) -> Run:
    was = health_after(*before)
    return Run(this, was, was.after(this))


@pytest.fixture
def eventful() -> Run:
    runs = [report(hours, tables=(loaded("a"), loaded("b"))) for hours in range(50, 2, -8)]
    altered = (AlteredValues(column="c", fault="too_long", values=7),)
    tables = (loaded("a", 3, size_bytes=9, altered=altered), failed("b", "ValueRefused"))
    paused = (PausedTable(table="c", failures=3, run_id="r", error="LoadFailed"),)
    return a_run(*runs, this=report(status="failed", cost_usd=0.25, tables=tables, paused=paused))


def test_every_metric_shown_is_emitted_and_every_emitted_one_is_shown(
    capsys: pytest.CaptureFixture[str], eventful: Run
) -> None:
    fine = a_run(
        *[report(hours, tables=(loaded("a"),)) for hours in range(9, 1, -1)],
        this=report(tables=(loaded("a"),)),
    )
    names = set()
    for run in (eventful, fine):
        [written] = emitted(capsys, run)["_aws"]["CloudWatchMetrics"]
        [dimensions] = written["Dimensions"]
        assert set(dimensions) == {"service", "source"}
        names |= {metric["Name"] for metric in written["Metrics"]}
    assert names == set(MEASURES)
    assert set(re.findall(r'MetricName=\\"(\w+)\\"', BODY)) == names


QUERY = re.compile(r"SELECT (SUM|MAX)\((\S+)\) FROM SCHEMA\((.*)\) GROUP BY (\S+) ORDER BY \1\(\) DESC")


def insights_queries() -> list[re.Match[str]]:
    texts = [
        query["Expression"]["Fn::Sub"] for alarm in ALARMS.values() for query in alarm.get("Metrics", [])
    ]
    return [match for text in texts for match in [QUERY.fullmatch(text)] if match or pytest.fail(text)]


def test_an_alarm_on_a_measure_watches_one_that_is_emitted() -> None:
    queries = insights_queries()
    assert {query[2] for query in queries} == {
        "Slowdown",
        "TablesRefused",
        "ValuesAltered",
        "WatermarkLagSeconds",
    }
    assert {query[3] for query in queries} == {'"${MetricsNamespace}", service, "source"'}
    assert len(queries) == 4


def test_no_word_of_a_metrics_insights_query_is_reserved_unless_it_is_quoted() -> None:
    _, _, listed = (ROOT / "tests/unit/metrics_insights_keywords.txt").read_text().partition("\n")
    reserved = set(listed.split())
    assert {"SELECT", "SOURCE"} <= reserved
    for query in insights_queries():
        words = [query[2], *query[3].split(", "), query[4]]
        assert [word for word in words if word.upper() in reserved] == [], query[0]
        assert all(re.fullmatch(r'\w+|"[^"]+"', word) for word in words), query[0]


def test_a_run_is_counted(capsys: pytest.CaptureFixture[str], eventful: Run) -> None:
    written = emitted(capsys, eventful)
    lag = written.pop("WatermarkLagSeconds")
    assert {name: values for name, values in written.items() if name in MEASURES} == {
        "RunsSucceeded": [0],
        "RunsFailed": [1],
        "RunsSkipped": [0],
        "RowsExtracted": [3],
        "RowsLoaded": [3],
        "BytesWritten": [9],
        "ValuesAltered": [7],
        "TablesRefused": [1],
        "TablesFailed": [1],
        "TablesPaused": [1],
        "DurationMs": [60_000],
        "EstimatedCostUsd": [0.25],
    }
    assert lag == [pytest.approx(10 * 3600, abs=600)]


def test_the_namespace_is_the_one_that_the_functions_write_to() -> None:
    variables = HOUSE["Globals"]["Function"]["Environment"]["Variables"]
    given = HOUSE["Resources"]["Monitoring"]["Properties"]["Parameters"]
    assert variables["POWERTOOLS_METRICS_NAMESPACE"] == given["MetricsNamespace"]


def test_lag_counts_from_the_last_load_or_the_first_attempt_and_forgets_what_is_no_table_now() -> None:
    health = health_after(
        report(9, tables=(loaded("a"), loaded("gone"), failed("never"))),
        report(8, tables=(loaded("a"), failed("b"), failed("never"))),
        report(7, partial=True, tables=(loaded("a"),)),
        report(6, "failed", failure=Failure(table="shop", error="SourceUnavailable", message="why")),
    )
    assert {table: round(age / 3600) for table, age in run_metrics.farthest_behind(health)} == {
        "never": 9,
        "b": 8,
        "a": 7,
    }
    assert [table for table, _ in run_metrics.farthest_behind(health)] == ["never", "b", "a"]


def test_a_paused_table_falls_behind() -> None:
    paused = (PausedTable(table="b", failures=3, run_id="r", error="LoadFailed"),)
    health = health_after(
        report(9, tables=(loaded("a"), loaded("b"))), report(1, tables=(loaded("a"),), paused=paused)
    )
    [(table, lag_s), *_] = run_metrics.farthest_behind(health)
    assert table == "b"
    assert lag_s == pytest.approx(9 * 3600, abs=600)


@pytest.mark.parametrize(
    ("seconds", "rows", "times"),
    [
        (200, 1000, 1.0),
        (1000, 1000, 5.0),  # as many rows, five times the time
        (2000, 10_000, 1.0),  # ten times the rows
        (200, 100, 1.0),  # few rows, and no longer than usual
        (6, 1000, 0.3),  # counts as a minute
    ],
)
def test_a_run_is_slow_if_it_is_as_a_whole_and_per_row(seconds: float, rows: int, times: float) -> None:
    usual = [RunPace(duration_s=200.0, rows=1000)] * run_pace.ENOUGH
    assert run_pace.slowdown(usual, RunPace(duration_s=seconds, rows=rows)) == pytest.approx(times)
    assert run_pace.slowdown(usual[1:], RunPace(duration_s=seconds, rows=rows)) is None


def test_only_whole_runs_that_loaded_rows_make_the_baseline_and_the_last_twenty_of_them() -> None:
    whole = [report(40 - hours, tables=(loaded("a", hours + 1),)) for hours in range(30)]
    others = [
        report(9, partial=True, tables=(loaded("a"),)),
        report(8, tables=(loaded("a", 0),)),
        report(7, "failed", tables=(loaded("a"), failed("b"))),
    ]
    assert [run.rows for run in health_after(*whole, *others).recent] == list(range(11, 31))


def test_every_alarm_tells_the_topic_is_shown_and_is_explained() -> None:
    explained = (ROOT / "docs/operations.md").read_text()
    conditional = {name for name, item in PART["Resources"].items() if "Condition" in item}
    for name, alarm in ALARMS.items():
        assert alarm["AlarmActions"] == [{"Ref": "TopicArn"}], name
        assert f"`{name}`" in explained, name
        assert f"${{{name}.Arn}}" in BODY or name in conditional, name


def test_every_queue_and_every_bad_end_has_an_alarm() -> None:
    given = HOUSE["Resources"]["Monitoring"]["Properties"]["Parameters"]
    watched = {
        (alarm["MetricName"], json.dumps(given[dimension["Value"]["Ref"]]))
        for alarm in ALARMS.values()
        for dimension in alarm.get("Dimensions", [])
        if alarm["Namespace"] in ("AWS/SQS", "AWS/States")
    }
    queues = [name for name, item in HOUSE["Resources"].items() if item["Type"] == "AWS::SQS::Queue"]
    machine = json.dumps({"Ref": "StateMachine"})
    assert watched == {
        ("ApproximateNumberOfMessagesVisible", json.dumps({"Fn::GetAtt": [name, "QueueName"]}))
        for name in queues
    } | {(end, machine) for end in ("ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted")}


def test_the_dashboard_is_json_without_gaps_or_overlaps_and_names_only_what_it_is_given() -> None:
    names = set(re.findall(r"\$\{([A-Za-z]+)(?:\.Arn)?\}", BODY))
    assert names <= PART["Parameters"].keys() | ALARMS.keys()
    assert PART["Parameters"].keys() == HOUSE["Resources"]["Monitoring"]["Properties"]["Parameters"].keys()
    plain = re.sub(r"\$\{!(.*?)\}", r"${\1}", re.sub(r"\$\{(?!!)([A-Za-z:.]+)\}", "x", BODY))
    covered = [
        (x, y)
        for widget in json.loads(plain)["widgets"]
        for x in range(widget["x"], widget["x"] + widget["width"])
        for y in range(widget["y"], widget["y"] + widget["height"])
    ]
    assert len(covered) == len(set(covered)) == 24 * (max(y for _, y in covered) + 1)
