"""What S3 holds about a run whose execution has ended: its plan, its tables' results and its ledger."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from tributary.errors import PlanOutdated
from tributary.model.ledger import Ledger, TableLoad
from tributary.model.plan import Plan, TableAccess, TablePlan
from tributary.model.result import TableResult
from tributary.reporting.execution_end import ExecutionEnd
from tributary.storage import lease, object_keys, plans, results
from tributary.storage.bucket import Bucket

READERS = 16


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What is known of a run; of one that was never planned, little."""

    source: str
    run_id: str | None
    plan: Plan | None = None
    tables: tuple[TablePlan, ...] = ()
    results: tuple[TableResult | None, ...] = ()  # of the tables, in their order
    ledger: Ledger | None = None
    outdated: bool = False  # planned by another version: its documents were not read

    @property
    def loads(self) -> dict[int, TableLoad]:
        """Return how far each table's load is, by the table's number."""
        return {load.number: load for load in self.ledger.tables} if self.ledger else {}

    @property
    def loaded(self) -> set[int]:
        """Return the numbers of the tables that were loaded."""
        return {number for number, load in self.loads.items() if load.phase == "loaded"}

    @property
    def batches_ended(self) -> bool:
        """Say whether no batch of the run can still be working in the warehouse."""
        return all(load.phase in ("loaded", "failed") for load in self.loads.values())

    @property
    def access(self) -> list[TableAccess]:
        """Return the access of the loaded tables whose file sets any."""
        return [table.access for table in self.tables if table.access and table.number in self.loaded]


def read(bucket: Bucket, end: ExecutionEnd) -> RunRecord:
    """Return what is known of the execution's run."""
    source = end.source or "unknown"
    run_id = end.run_id or _run_of(bucket, end)
    record = RunRecord(source, run_id)
    if run_id is None:
        return record
    try:
        plan = bucket.document(object_keys.plan(source, run_id), Plan)
        if plan is None or plan.execution_arn != end.execution_arn:
            return record
        tables = _tables(bucket, plan)
        return replace(
            record,
            plan=plan,
            tables=tables,
            results=_results(bucket, plan, tables),
            ledger=bucket.document(object_keys.ledger(source, run_id), Ledger),
        )
    except PlanOutdated:  # a deploy happened during the run; the next run finds out what was loaded
        return replace(record, outdated=True)


def _run_of(bucket: Bucket, end: ExecutionEnd) -> str | None:
    """Return the run that the execution holds the lease for, if Plan failed before it could return one."""
    held = lease.find(bucket, end.source) if end.source else None
    return held.run_id if held and held.execution_arn == end.execution_arn else None


def _tables(bucket: Bucket, plan: Plan) -> tuple[TablePlan, ...]:
    """Return the run's tables in the order of their numbers; a large one is in several items."""
    tables = {table.number: table for table in plans.tables(bucket, plan)}
    return tuple(tables[number] for number in sorted(tables))


def _results(bucket: Bucket, plan: Plan, tables: Sequence[TablePlan]) -> tuple[TableResult | None, ...]:
    with ThreadPoolExecutor(READERS) as readers:
        return tuple(readers.map(lambda table: results.find(bucket, plan, table), tables))
