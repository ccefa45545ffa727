"""How long a source's runs take, and whether one was slower than those before it.

A run is slow if it took longer than usual both in all and per row: a run with ten times the rows may take
ten times as long, and a run without rows predicts nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from tributary.model.documents import Lasting
from tributary.model.report import RunReport

KEPT = 20  # runs that make the baseline
ENOUGH = 5  # with fewer there is no baseline
FLOOR_S = 60.0  # a shorter run counts as one of a minute: starts and waits, not work, make it vary


class RunPace(Lasting):
    """What one run took."""

    duration_s: float
    rows: int


def of(report: RunReport) -> RunPace | None:
    """Return the run's pace; None if it failed, was partial, or had nothing to load."""
    rows = sum(table.rows_loaded for table in report.tables)
    if report.status != "succeeded" or report.partial or rows == 0:
        return None
    return RunPace(duration_s=report.duration_s, rows=rows)


def slowdown(recent: Sequence[RunPace], run: RunPace) -> float | None:
    """Return how many times longer than usual the run took; None if too few runs came before."""
    if len(recent) < ENOUGH:
        return None
    whole = _seconds(run) / median(map(_seconds, recent))
    per_row = _per_row(run) / median(map(_per_row, recent))
    return min(whole, per_row)


def _seconds(run: RunPace) -> float:
    return max(run.duration_s, FLOOR_S)


def _per_row(run: RunPace) -> float:
    return _seconds(run) / run.rows
