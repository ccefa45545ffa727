"""How a source's tables have fared: failures in a row, and what is paused because of them.

`_leases/<source>.standing.json` is only written by compare-and-set, and each run counts once. A
table that fails `pause_after` times in a row is left out of the next runs; a source whose runs
loaded nothing at all that many times in a row has its schedule disabled. Only a `resume`, or a
table's success in a run that asked for it by name, brings them back.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from pydantic import Field

from tributary.errors import StorageUnavailable
from tributary.model.documents import Lasting
from tributary.model.plan import MOVES_NOTHING, PausedTable
from tributary.model.report import RunReport, TableReport
from tributary.storage import object_keys, run_pace
from tributary.storage.bucket import Bucket, body
from tributary.storage.run_pace import RunPace

ATTEMPTS = 5  # a lost race is read again
PAUSE_AFTER = 3  # until a plan says what the source's file has

# Whoever broke these runs off, the tables are not to blame.
BLAMELESS = frozenset({"Unfinished", "LeaseLost", "PlanOutdated", "ReplayRefused"})
# What a person did by hand says nothing of the source.
BY_HAND = frozenset({"ConfigError", "Aborted"})


class TableHealth(Lasting):
    """A table that failed in its last run: how often in a row, in which run last, by which error."""

    failures: int
    run_id: str
    error: str
    paused: bool = False


class SourceHealth(Lasting):
    """How a source stands. `run_id` is the newest run counted; `ops_item` the open OpsItem's id.

    `barren_runs`: runs in a row that loaded nothing at all; `paused`: its schedule is disabled.
    `loaded_at`: when the run began that loaded a table last, or the first one that tried;
    `recent`: what the last runs took.
    """

    source: str
    run_id: str | None = None
    pause_after: int = PAUSE_AFTER
    barren_runs: int = 0
    paused: bool = False
    tables: dict[str, TableHealth] = Field(default_factory=dict)
    ops_item: str | None = None
    loaded_at: dict[str, str] = Field(default_factory=dict)
    recent: tuple[RunPace, ...] = ()

    @property
    def behind_since(self) -> str | None:
        """Return when the table was loaded that is farthest behind; None where none is known."""
        return min(self.loaded_at.values(), key=datetime.fromisoformat, default=None)

    @property
    def paused_tables(self) -> tuple[PausedTable, ...]:
        """Return the tables that runs leave out, in name order."""
        return tuple(
            PausedTable(table=name, failures=table.failures, run_id=table.run_id, error=table.error)
            for name, table in sorted(self.tables.items())
            if table.paused
        )

    @property
    def troubled(self) -> bool:
        """Say whether anything is paused."""
        return self.paused or any(table.paused for table in self.tables.values())

    def after(self, report: RunReport) -> SourceHealth:
        """Return the standing with one more run counted; the same where it has been, or never began."""
        if report.run_id is None or report.status == "skipped" or report.run_id <= (self.run_id or ""):
            return self
        tables = dict(self.tables)
        for told in usual(report):
            if told.status == "loaded":
                tables.pop(told.table, None)
            elif told.failure and told.failure.error not in BLAMELESS:
                tables[told.table] = self._failed(told.table, report.run_id, told.failure.error)
        barren_runs = self._barren_after(report)
        return self.model_copy(
            update={
                "run_id": report.run_id,
                "tables": tables,
                "barren_runs": barren_runs,
                "paused": self.paused or barren_runs >= self.pause_after,
                "loaded_at": self._loaded_after(report),
                "recent": self._recent_after(report),
            }
        )

    def _loaded_after(self, report: RunReport) -> dict[str, str]:
        """Return when each table was loaded; tables that the source's file has no more are forgotten."""
        if report.started_at is None or not report.tables:
            return self.loaded_at
        named = {told.table for told in report.tables} | {held.table for held in report.paused}
        left = {name: at for name, at in self.loaded_at.items() if report.partial or name in named}
        for told in usual(report):
            if told.status == "loaded":
                left[told.table] = report.started_at
            else:
                left.setdefault(told.table, report.started_at)
        return left

    def _recent_after(self, report: RunReport) -> tuple[RunPace, ...]:
        this = run_pace.of(report)
        return (*self.recent, this)[-run_pace.KEPT :] if this else self.recent

    def _barren_after(self, report: RunReport) -> int:
        if any(told.status == "loaded" for told in report.tables):
            return 0
        if report.status == "succeeded" and not report.paused:
            return 0
        by_hand = report.partial or (report.failure is not None and report.failure.error in BY_HAND)
        return self.barren_runs + (0 if by_hand else 1)

    def _failed(self, table: str, run_id: str, error: str) -> TableHealth:
        before = self.tables.get(table)
        failures = before.failures + 1 if before else 1
        paused = failures >= self.pause_after or bool(before and before.paused)
        return TableHealth(failures=failures, run_id=run_id, error=error, paused=paused)


def usual(report: RunReport) -> list[TableReport]:
    """Return the tables of which the run says how they fare; not what a person had read or built again."""
    return [told for told in report.tables if told.asked not in MOVES_NOTHING]


def find(bucket: Bucket, source: str) -> SourceHealth:
    """Return how the source stands; one without a mark where nothing ever failed."""
    return bucket.document(object_keys.source_health(source), SourceHealth) or SourceHealth(source=source)


def change(
    bucket: Bucket, source: str, act: Callable[[SourceHealth], SourceHealth]
) -> tuple[SourceHealth, SourceHealth]:
    """Replace the standing by what the act makes of it; return it before and after."""
    key = object_keys.source_health(source)
    for _ in range(ATTEMPTS):
        found = bucket.read(key)
        before = SourceHealth.model_validate_json(found[0]) if found else SourceHealth(source=source)
        after = act(before)
        if after == before:
            return before, after
        if bucket.replace(key, body(after), found[1]) if found else bucket.create(key, body(after)):
            return before, after
    raise StorageUnavailable(f"the standing of {source} changed {ATTEMPTS} times while it was being written")


def expect(bucket: Bucket, source: str, pause_after: int) -> SourceHealth:
    """Return how the source stands, and keep what its file says of pausing for the runs' ends."""
    found = find(bucket, source)
    if found.pause_after == pause_after:
        return found
    return change(bucket, source, lambda old: old.model_copy(update={"pause_after": pause_after}))[1]


def count(bucket: Bucket, report: RunReport) -> tuple[SourceHealth, SourceHealth]:
    """Count the run, once however often it is reported; return the standing before and after."""
    if report.run_id is None:  # it never began, and its source may not exist
        unmarked = SourceHealth(source=report.source)
        return unmarked, unmarked
    return change(bucket, report.source, lambda standing: standing.after(report))


def keep_ops_item(bucket: Bucket, source: str, ops_item: str | None) -> None:
    """Note which OpsItem tells of the source."""
    change(bucket, source, lambda standing: standing.model_copy(update={"ops_item": ops_item}))


def pause(bucket: Bucket, source: str, table: str | None) -> tuple[SourceHealth, SourceHealth]:
    """Pause the source's schedule, or one of its tables; return the standing before and after."""

    def hold(standing: SourceHealth) -> SourceHealth:
        if table is None:
            return standing.model_copy(update={"paused": True})
        unmarked = TableHealth(failures=0, run_id=standing.run_id or "none", error="PausedByHand")
        held = standing.tables.get(table, unmarked).model_copy(update={"paused": True})
        return standing.model_copy(update={"tables": {**standing.tables, table: held}})

    return change(bucket, source, hold)


def resume(bucket: Bucket, source: str, table: str | None) -> tuple[SourceHealth, SourceHealth]:
    """Forget every failure of the source, or those of a table; return the standing before and after."""

    def forget(standing: SourceHealth) -> SourceHealth:
        if table is None:
            return standing.model_copy(update={"tables": {}, "barren_runs": 0, "paused": False})
        left = {name: found for name, found in standing.tables.items() if name != table}
        return standing.model_copy(update={"tables": left})

    return change(bucket, source, forget)
