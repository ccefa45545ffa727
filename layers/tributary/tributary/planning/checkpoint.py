"""Carry on: what an earlier run read of a table and did not load is not read again.

The rule: a range's chunks mean what its plan said, so they are taken over with their bounds and
never re-interpreted. What the source has changed since those were frozen is read besides, from the
watermark that was settled then: the rows of both are one load, and the later ones win.

`_leases/<source>.begun.json` says which runs began to read each table; the newest that still fits,
and has chunks, is carried on. A run that names no such run, or an older one, only costs reading.
"""

from __future__ import annotations

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
from tributary.planning.load_method import CommittedLoad
from tributary.planning.read_bounds import SourceClock, read_bounds
from tributary.planning.source_probe import SourceProbe
from tributary.planning.table_spec import TableSpec
from tributary.storage import object_keys, plans, results
from tributary.storage.bucket import Bucket, body

CARRIED_FOR = timedelta(days=7)  # chunks are kept for longer: see the template's RawRetentionDays
RUNS_KEPT = 3  # of one table


class BegunRuns(Lasting):
    """The runs that began to read each table, by its name, since it was loaded last; oldest first."""

    tables: dict[str, tuple[str, ...]] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """Finds what earlier runs of a source left, each of their plans read once."""

    bucket: Bucket
    source: str
    loaded: Mapping[str, CommittedLoad]
    begun: BegunRuns
    plans: dict[str, dict[str, TablePlan]] = field(default_factory=dict)

    @classmethod
    def of(cls, bucket: Bucket, source: str, loaded: Mapping[str, CommittedLoad]) -> Checkpoints:
        """Return the carrier of a source; `loaded` is what the warehouse says of its tables."""
        return cls(
            bucket, source, loaded, bucket.document(object_keys.begun(source), BegunRuns) or BegunRuns()
        )

    def left(self, table: str) -> tuple[str, ...]:
        """Return the runs that may have left something of a table: those after its last load."""
        done = self.loaded.get(table)
        known = self.begun.tables.get(table, ())
        return tuple(run for run in known if (done is None or run > done.run_id) and is_recent(run))

    def carry_on(
        self, fresh: TablePlan, choice: TableSpec, reader: SourceProbe, now: SourceClock
    ) -> TablePlan:
        """Return the plan with what an earlier run has begun, itself where there is nothing to take over."""
        for run in reversed(self.left(fresh.name)):
            old = self._plan(run).get(fresh.name)
            if old and fits(old, fresh, loaded=fresh.name in self.loaded) and self._has_chunks(old):
                return joined(old, fresh, choice, reader, now)
        return fresh

    def _plan(self, run: str) -> dict[str, TablePlan]:
        """Return the tables of a run, {} where its plan was never frozen, or not by this version."""
        if run not in self.plans:
            try:
                head = self.bucket.document(object_keys.plan(self.source, run), Plan)
                same = head is not None and head.version == __version__
                self.plans[run] = self._tables(head) if head and same else {}
            except PlanOutdated:
                self.plans[run] = {}
        return self.plans[run]

    def _tables(self, head: Plan) -> dict[str, TablePlan]:
        tables = whole_again(plans.tables(self.bucket, head), head.run_id)
        ledger = self.bucket.document(object_keys.ledger(head.source, head.run_id), Ledger)
        refused = {load.number for load in ledger.tables if load.phase == "failed"} if ledger else set()
        return {
            name: table
            for name, table in tables.items()
            if table.number not in refused or not self._is_read(head, table)
        }

    def _is_read(self, head: Plan, table: TablePlan) -> bool:
        """Say whether the table was read to its end: where it failed all the same, its rows are why."""
        result = results.find(self.bucket, head, table)
        return result is not None and result.failure is None

    def _has_chunks(self, old: TablePlan) -> bool:
        """Say whether there is something to take over, and nothing of it is missing."""
        found = False
        for part in old.read.ranges:
            prefix = object_keys.chunk_prefix(self.source, part.run_id or "", old.raw_name, str(part.number))
            numbers = [object_keys.chunk_number(chunk.key) for chunk in self.bucket.list(prefix)]
            if numbers != list(range(1, len(numbers) + 1)):
                return False
            found = found or bool(numbers)
        return found


def whole_again(parts: Iterable[TablePlan], run: str) -> dict[str, TablePlan]:
    """Return the tables of a run, the parts of each joined, every range with the run of its chunks."""
    found: dict[str, TablePlan] = {}
    for table in sorted(parts, key=lambda table: table.read.range_index):
        known = found.get(table.name)
        own = tuple(part.model_copy(update={"run_id": part.run_id or run}) for part in table.read.ranges)
        ranges = (*known.read.ranges, *own) if known else own
        found[table.name] = table.with_changes(ranges=ranges)
    return found


def fits(old: TablePlan, fresh: TablePlan, *, loaded: bool) -> bool:
    """Say whether what was read by the old plan is a part of what the fresh one would read.

    A whole image takes the place of the last one, which stays good until then: so it is read anew,
    unless there is none. So are rows with a cursor of which none was settled when they were read: where
    to look for what changed in them, nothing says.
    """
    if old.request and old.request.what != "full_refresh":  # it read other rows than a usual run does
        return False
    if _basis(old) != _basis(fresh):
        return False
    if loaded if fresh.read.cursor is None else old.publish.next_watermark is None:
        return False
    ordered = all(part.order for part in old.read.ranges)
    return bool(old.read.ranges) and ordered and all(is_recent(part.run_id or "") for part in old.read.ranges)


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
    old: TablePlan, fresh: TablePlan, choice: TableSpec, reader: SourceProbe, now: SourceClock
) -> TablePlan:
    """Return the fresh plan with the old one's ranges, and those of what has changed since."""
    run = min(part.run_id or "" for part in old.read.ranges)
    note = f"carried on from run {run}, which had begun to read the table"
    if choice.cursor is None:
        late = f"{note}; what changed meanwhile in what it had read comes with the next run"
        return fresh.with_changes(
            ranges=old.read.ranges,
            next_watermark=old.publish.next_watermark,
            notes=(*fresh.notes, late),
        )
    since = read_bounds(reader, choice, now, old.publish.next_watermark, whole_read=False)
    first = 1 + max(part.number for part in old.read.ranges)
    news = [part.model_copy(update={"number": first + place}) for place, part in enumerate(since.ranges)]
    return fresh.with_changes(
        ranges=(*old.read.ranges, *news),
        next_watermark=since.next_watermark,
        notes=(*fresh.notes, note),
    )


def note_begun(
    bucket: Bucket, source: str, carrier: Checkpoints, tables: Iterable[TablePlan], run: str
) -> None:
    """Keep which run begins to read which tables, before any of its steps can."""
    known = {name: carrier.left(name) for name in carrier.begun.tables}
    for table in tables:
        if any(part.order for part in table.read.ranges):
            known[table.name] = (*known.get(table.name, ()), run)[-RUNS_KEPT:]
    kept = BegunRuns(tables={name: runs for name, runs in known.items() if runs})
    if kept != carrier.begun:
        bucket.put(object_keys.begun(source), body(kept))


def is_recent(run_id: str) -> bool:
    """Say whether a run is not too long ago to be carried on."""
    return run_age(run_id) < CARRIED_FOR
