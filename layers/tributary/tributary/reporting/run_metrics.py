"""The metrics of a run: each with its name, its unit and the function that takes it from the report.

Source is their only dimension. A metric without a value is left out: no lag of a source that never
loaded, no slowdown of a run that cannot be compared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit

from tributary.model.report import RunReport
from tributary.storage import run_pace
from tributary.storage.source_health import SourceHealth

# Errors whose cause is in the data, rather than in reading or loading it.
DATA_ERRORS = frozenset({"ImageRefused", "KeyNotUnique", "ValueRefused"})
LOGGED_AT_MOST = 10  # tables that a run logs as farthest behind


@dataclass(frozen=True, slots=True)
class Run:
    """A run that has ended, with its source's health before and after it was counted."""

    report: RunReport
    before: SourceHealth
    after: SourceHealth


def _rows_extracted(run: Run) -> float:
    return sum(table.rows_read for table in run.report.tables)


def _rows_loaded(run: Run) -> float:
    return sum(table.rows_loaded for table in run.report.tables)


def _values_altered(run: Run) -> float:
    return sum(one.values for table in run.report.tables for one in table.altered)


def _bytes_written(run: Run) -> float:
    return sum(table.size_bytes for table in run.report.tables)


def _tables_failed(run: Run) -> float:
    return sum(table.status == "failed" for table in run.report.tables)


def _tables_refused(run: Run) -> float:
    return sum(
        table.failure is not None and table.failure.error in DATA_ERRORS for table in run.report.tables
    )


def _tables_paused(run: Run) -> float:
    return len(run.report.paused)


def _runs_succeeded(run: Run) -> float:
    return int(run.report.status == "succeeded")


def _runs_failed(run: Run) -> float:
    return int(run.report.status == "failed")


def _runs_skipped(run: Run) -> float:
    return int(run.report.status == "skipped")


def _duration_ms(run: Run) -> float:
    return run.report.duration_s * 1000


def _estimated_cost_usd(run: Run) -> float:
    return run.report.cost_usd


def _watermark_lag_seconds(run: Run) -> float | None:
    """Return the age of the rows of the table that is farthest behind."""
    oldest = run.after.behind_since
    return None if oldest is None else _age_s(oldest)


def _slowdown(run: Run) -> float | None:
    this = run_pace.of(run.report)
    return run_pace.slowdown(run.before.recent, this) if this else None


MEASURES: dict[str, tuple[MetricUnit, Callable[[Run], float | None]]] = {
    "RunsSucceeded": (MetricUnit.Count, _runs_succeeded),
    "RunsFailed": (MetricUnit.Count, _runs_failed),
    "RunsSkipped": (MetricUnit.Count, _runs_skipped),
    "WatermarkLagSeconds": (MetricUnit.Seconds, _watermark_lag_seconds),
    "RowsExtracted": (MetricUnit.Count, _rows_extracted),
    "RowsLoaded": (MetricUnit.Count, _rows_loaded),
    "BytesWritten": (MetricUnit.Bytes, _bytes_written),
    "ValuesAltered": (MetricUnit.Count, _values_altered),
    "TablesRefused": (MetricUnit.Count, _tables_refused),
    "TablesFailed": (MetricUnit.Count, _tables_failed),
    "TablesPaused": (MetricUnit.Count, _tables_paused),
    "DurationMs": (MetricUnit.Milliseconds, _duration_ms),
    "EstimatedCostUsd": (MetricUnit.NoUnit, _estimated_cost_usd),
    "Slowdown": (MetricUnit.NoUnit, _slowdown),
}


def farthest_behind(health: SourceHealth) -> list[tuple[str, float]]:
    """Return the tables that are farthest behind, at most ten, with the age of their rows in seconds."""
    by_time = sorted(health.loaded_at.items(), key=lambda loaded: datetime.fromisoformat(loaded[1]))
    return [(table, _age_s(at)) for table, at in by_time[:LOGGED_AT_MOST]]


def _age_s(instant: str) -> float:
    return max(0.0, round((datetime.now(UTC) - datetime.fromisoformat(instant)).total_seconds(), 1))


def count(run: Run, metrics: Metrics) -> None:
    """Add every metric that has a value to those that the function writes."""
    metrics.add_dimension(name="source", value=run.report.source)
    for name, (unit, take) in MEASURES.items():
        value = take(run)
        if value is not None:
            metrics.add_metric(name=name, unit=unit, value=value)
