"""Checkpoint: what a broken run has read of a table and not loaded is not read again.

Chunks are reused only with the bounds and columns of the plan that wrote them. What has changed in the
source since then is read in addition, from that plan's next watermark on. The rows of both are one load,
in which the later ones win.

`_leases/<source>.begun.json` names the runs that began to read each table. The newest one that still
fits, and has chunks, is resumed. If the document lacks such a run, rows are read again and none is lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from pydantic import Field

from tributary import __version__
from tributary.errors import PlanOutdated
from tributary.model.documents import Lasting
from tributary.model.ledger import Ledger
from tributary.model.plan import Plan, TablePlan
from tributary.model.run_id import run_age
from tributary.planning.changed_values import changed_values
from tributary.planning.load_method import CommittedLoad
from tributary.planning.read_bounds import SourceClock, read_bounds
from tributary.planning.source_probe import SourceProbe
from tributary.planning.table_spec import TableSpec
from tributary.storage import object_keys, plans, results
from tributary.storage.bucket import Bucket, body

RESUMED_FOR = timedelta(days=7)  # chunks are kept for longer: see the template's RawRetentionDays
RUNS_KEPT = 3  # of one table


class BegunRuns(Lasting):
    """The runs that began to read each table, by its name, since its last load; oldest first."""

    tables: dict[str, tuple[str, ...]] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """Finds what earlier runs of a source left, and reads each of their plans once."""

    bucket: Bucket
    source: str
    loaded: Mapping[str, CommittedLoad]  # by table name
    begun: BegunRuns
    plans: dict[str, dict[str, TablePlan]] = field(default_factory=dict)

    @classmethod
    def of(cls, bucket: Bucket, source: str, loaded: Mapping[str, CommittedLoad]) -> Checkpoints:
        """Return the checkpoints of a source."""
        begun = bucket.document(object_keys.begun(source), BegunRuns) or BegunRuns()
        return cls(bucket, source, loaded, begun)

    def runs_since_load(self, table: str) -> tuple[str, ...]:
        """Return the runs that may have left chunks of a table: those after its last load."""
        load = self.loaded.get(table)
        begun = self.begun.tables.get(table, ())
        return tuple(run for run in begun if (load is None or run > load.run_id) and is_recent(run))

    def resume(self, fresh: TablePlan, spec: TableSpec, probe: SourceProbe, now: SourceClock) -> TablePlan:
        """Return the plan with what an earlier run has read, or the plan itself if there is nothing."""
        for run in reversed(self.runs_since_load(fresh.name)):
            old = self._plan(run).get(fresh.name)
            if old and fits(old, fresh, loaded=fresh.name in self.loaded) and self._has_chunks(old):
                return joined(old, fresh, spec, probe, now)
        return fresh

    def _plan(self, run: str) -> dict[str, TablePlan]:
        """Return the tables of a run, {} if its plan was never frozen, or by another version."""
        if run not in self.plans:
            try:
                head = self.bucket.document(object_keys.plan(self.source, run), Plan)
                same = head is not None and head.version == __version__
                self.plans[run] = self._tables(head) if head and same else {}
            except PlanOutdated:
                self.plans[run] = {}
        return self.plans[run]

    def _tables(self, head: Plan) -> dict[str, TablePlan]:
        tables = with_all_ranges(plans.tables(self.bucket, head), head.run_id)
        ledger = self.bucket.document(object_keys.ledger(head.source, head.run_id), Ledger)
        refused = {load.number for load in ledger.tables if load.phase == "failed"} if ledger else set()
        folders = Counter(each.folder for table in tables.values() for each in table.read.ranges[:1])
        return {
            name: table
            for name, table in tables.items()
            if (table.number not in refused or not self._is_read(head, table)) and _is_alone(table, folders)
        }

    def _is_read(self, head: Plan, table: TablePlan) -> bool:
        """Return whether the table was read to its end; if its load failed then, its rows are the cause."""
        result = results.find(self.bucket, head, table)
        return result is not None and result.failure is None

    def _has_chunks(self, old: TablePlan) -> bool:
        """Return whether there are chunks to take over, and none between them is missing."""
        chunks = 0
        for each in old.read.ranges:
            prefix = object_keys.chunk_prefix(
                self.source, each.run_id or "", old.raw_name, str(each.number), folder=each.folder
            )
            numbers = [object_keys.chunk_number(chunk.key) for chunk in self.bucket.list(prefix)]
            if numbers != list(range(1, len(numbers) + 1)):
                return False
            chunks += len(numbers)
        return chunks > 0


def _is_alone(table: TablePlan, folders: Mapping[str | None, int]) -> bool:
    """Return whether no other table of the run has its folder: format 3 did not rule that out."""
    return all(each.folder is None or folders[each.folder] == 1 for each in table.read.ranges)


def with_all_ranges(plans_of_ranges: Iterable[TablePlan], run: str) -> dict[str, TablePlan]:
    """Return the tables of a run, each with all its ranges, and every range with the run of its chunks."""
    tables: dict[str, TablePlan] = {}
    for table in sorted(plans_of_ranges, key=lambda table: table.read.range_index):
        known = tables.get(table.name)
        own = tuple(each.model_copy(update={"run_id": each.run_id or run}) for each in table.read.ranges)
        tables[table.name] = table.with_changes(ranges=(*known.read.ranges, *own) if known else own)
    return tables


def fits(old: TablePlan, fresh: TablePlan, *, loaded: bool) -> bool:
    """Return whether the rows that the old plan read are a part of what the fresh one would read."""
    if old.request and old.request.what != "full_refresh":  # it read other rows than a usual run does
        return False
    if _basis(old) != _basis(fresh):
        return False
    was, now = old.read.fingerprint, fresh.read.fingerprint
    if was and now and changed_values(was, now):
        return False
    if fresh.read.cursor is None and loaded:
        return False  # the last full refresh is still right, so there is no hurry: read the newest rows
    if fresh.read.cursor is not None and old.publish.next_watermark is None:
        return False  # it is unknown from which value on the rows already read may have changed
    ordered = all(each.order for each in old.read.ranges)
    return bool(old.read.ranges) and ordered and all(is_recent(each.run_id or "") for each in old.read.ranges)


def _basis(table: TablePlan) -> tuple[object, ...]:
    """Return what two plans must have in common, so that the rows of one fit into the other's load."""
    return (
        table.target.name,
        table.target.owner,
        table.mode,
        table.columns,
        table.key,
        table.read.sql,
        table.read.where,
        table.read.cursor,
        table.read.watermark,
        table.read.whole_read,
        table.publish.full_refresh,
    )


def joined(
    old: TablePlan, fresh: TablePlan, spec: TableSpec, probe: SourceProbe, now: SourceClock
) -> TablePlan:
    """Return the fresh plan with the old one's ranges, and the ranges of what has changed since."""
    run = min(each.run_id or "" for each in old.read.ranges)
    note = f"resumed from run {run}, which had begun to read the table"
    if spec.cursor is None:
        late = f"{note}; rows that have changed since it read them are read by the next run"
        return fresh.with_changes(
            ranges=old.read.ranges,
            next_watermark=old.publish.next_watermark,
            notes=(*fresh.notes, late),
        )
    since = read_bounds(probe, spec, now, old.publish.next_watermark, whole_read=False)
    first = 1 + max(each.number for each in old.read.ranges)
    new = [each.model_copy(update={"number": first + place}) for place, each in enumerate(since.ranges)]
    return fresh.with_changes(
        ranges=(*old.read.ranges, *new),
        next_watermark=since.next_watermark,
        notes=(*fresh.notes, note),
    )


def record_begun(
    bucket: Bucket, source: str, checkpoints: Checkpoints, tables: Iterable[TablePlan], run: str
) -> None:
    """Store which run begins to read which tables, before any of its steps can."""
    begun = {name: checkpoints.runs_since_load(name) for name in checkpoints.begun.tables}
    for table in tables:
        if any(each.order for each in table.read.ranges):
            begun[table.name] = (*begun.get(table.name, ()), run)[-RUNS_KEPT:]
    kept = BegunRuns(tables={name: runs for name, runs in begun.items() if runs})
    if kept != checkpoints.begun:
        bucket.put(object_keys.begun(source), body(kept))


def is_recent(run_id: str) -> bool:
    """Return whether a run is recent enough to be resumed."""
    return run_age(run_id) < RESUMED_FOR
