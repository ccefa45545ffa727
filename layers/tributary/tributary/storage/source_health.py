"""Failure counts and pauses per source.

`_leases/<source>.health.json` is only written by compare-and-set, and each run counts once. A table that
fails `pause_after` times in a row is left out of the next runs. If the runs of a source load nothing at all
that many times in a row, its schedule is disabled. Only a `resume`, or a table's success in a run that named
it, ends a pause.
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

# The run was broken off: its tables are not to blame.
BLAMELESS = frozenset({"Unfinished", "LeaseLost", "PlanOutdated", "ReplayRefused"})
# A person's own mistake or act says nothing about the source.
BY_HAND = frozenset({"ConfigError", "Aborted"})


class TableHealth(Lasting):
    """A table that failed in its last run."""

    failures: int  # in a row
    run_id: str  # of the last one
    error: str  # its class name
    paused: bool = False


class SourceHealth(Lasting):
    """The failures and pauses of a source and its tables."""

    source: str
    run_id: str | None = None  # the newest run counted
    pause_after: int = PAUSE_AFTER
    barren_runs: int = 0  # runs in a row that loaded nothing at all
    paused: bool = False  # the schedule is disabled
    tables: dict[str, TableHealth] = Field(default_factory=dict)
    ops_item: str | None = None  # the id of the open OpsItem
    loaded_at: dict[str, str] = Field(default_factory=dict)  # start of the run that loaded, or first tried it
    recent: tuple[RunPace, ...] = ()

    @property
    def behind_since(self) -> str | None:
        """Return when the table that is farthest behind was loaded; None if no table is known."""
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
        """Return whether anything is paused."""
        return self.paused or any(table.paused for table in self.tables.values())

    def after(self, report: RunReport) -> SourceHealth:
        """Return the health with the run counted, unless it was counted before or never began."""
        if report.run_id is None or report.status == "skipped" or report.run_id <= (self.run_id or ""):
            return self
        tables = dict(self.tables)
        for table in usual(report):
            if table.status == "loaded":
                tables.pop(table.table, None)
            elif table.failure and table.failure.error not in BLAMELESS:
                tables[table.table] = self._failed(table.table, report.run_id, table.failure.error)
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
        """Return when each table was loaded, without those that the source's file no longer has."""
        if report.started_at is None or not report.tables:
            return self.loaded_at
        named = {table.table for table in report.tables} | {table.table for table in report.paused}
        left = {name: at for name, at in self.loaded_at.items() if report.partial or name in named}
        for table in usual(report):
            if table.status == "loaded":
                left[table.table] = report.started_at
            else:
                left.setdefault(table.table, report.started_at)
        return left

    def _recent_after(self, report: RunReport) -> tuple[RunPace, ...]:
        this = run_pace.of(report)
        return (*self.recent, this)[-run_pace.KEPT :] if this else self.recent

    def _barren_after(self, report: RunReport) -> int:
        if any(table.status == "loaded" for table in report.tables):
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
    """Return the tables that the run counts for; a window or a replay says nothing of the source."""
    return [table for table in report.tables if table.asked not in MOVES_NOTHING]


def find(bucket: Bucket, source: str) -> SourceHealth:
    """Return the source's health; an empty one if nothing was ever counted."""
    return _read(bucket, source)[0]


def change(
    bucket: Bucket, source: str, act: Callable[[SourceHealth], SourceHealth]
) -> tuple[SourceHealth, SourceHealth]:
    """Replace the source's health by what the act returns for it; return it before and after."""
    key = object_keys.source_health(source)
    for _ in range(ATTEMPTS):
        before, etag = _read(bucket, source)
        after = act(before)
        if after == before:
            return before, after
        if bucket.replace(key, body(after), etag) if etag else bucket.create(key, body(after)):
            return before, after
    raise StorageUnavailable(f"the health of {source} changed {ATTEMPTS} times while it was being written")


def _read(bucket: Bucket, source: str) -> tuple[SourceHealth, str | None]:
    """Return the source's health, and its ETag if it is stored under its present key."""
    if stored := bucket.read(object_keys.source_health(source)):
        return SourceHealth.model_validate_json(stored[0]), stored[1]
    older = bucket.read(object_keys.source_health_of_format_3(source))
    health = SourceHealth.model_validate_json(older[0]) if older else SourceHealth(source=source)
    return health, None


def expect(bucket: Bucket, source: str, pause_after: int) -> SourceHealth:
    """Return the source's health, with the `pause_after` of its file stored for the runs' ends."""
    health = find(bucket, source)
    if health.pause_after == pause_after:
        return health
    return change(bucket, source, lambda before: before.model_copy(update={"pause_after": pause_after}))[1]


def count(bucket: Bucket, report: RunReport) -> tuple[SourceHealth, SourceHealth]:
    """Count the run, once however often it is reported; return the health before and after."""
    if report.run_id is None:  # it never began, and its source may not exist
        empty = SourceHealth(source=report.source)
        return empty, empty
    return change(bucket, report.source, lambda health: health.after(report))


def keep_ops_item(bucket: Bucket, source: str, ops_item: str | None) -> None:
    """Store the id of the OpsItem that is open for the source."""
    change(bucket, source, lambda health: health.model_copy(update={"ops_item": ops_item}))


def pause(bucket: Bucket, source: str, table: str | None) -> tuple[SourceHealth, SourceHealth]:
    """Pause the source's schedule, or one of its tables; return the health before and after."""

    def paused(health: SourceHealth) -> SourceHealth:
        if table is None:
            return health.model_copy(update={"paused": True})
        new = TableHealth(failures=0, run_id=health.run_id or "none", error="PausedByHand")
        held = health.tables.get(table, new).model_copy(update={"paused": True})
        return health.model_copy(update={"tables": {**health.tables, table: held}})

    return change(bucket, source, paused)


def resume(bucket: Bucket, source: str, table: str | None) -> tuple[SourceHealth, SourceHealth]:
    """Forget every failure of the source, or those of a table; return the health before and after."""

    def resumed(health: SourceHealth) -> SourceHealth:
        if table is None:
            return health.model_copy(update={"tables": {}, "barren_runs": 0, "paused": False})
        left = {name: kept for name, kept in health.tables.items() if name != table}
        return health.model_copy(update={"tables": left})

    return change(bucket, source, resumed)
