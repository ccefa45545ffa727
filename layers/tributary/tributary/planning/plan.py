"""Plan: take the lease, ask source and warehouse, and freeze everything that a run will do.

The head of the plan is written last, by a conditional write. Once it exists, every further call for
the same execution returns it, and an attempt that lost the race leaves nothing that is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from tributary import __version__, secret
from tributary.config import loader
from tributary.config.models import Source
from tributary.config.selection import resolve
from tributary.errors import LoadFailed, TableRefused, WarehouseUnavailable
from tributary.model.plan import Item, Plan, TablePlan
from tributary.observability import logger
from tributary.planning import backfill, key_ranges, replay
from tributary.planning.access import access
from tributary.planning.run_request import RunRequest
from tributary.planning.survey import Survey, Surveyed
from tributary.planning.table_plan import MAY_VANISH, percentage
from tributary.planning.warehouse_state import (
    WarehouseState,
    fence_off,
    first_generation,
    read_warehouse_state,
)
from tributary.redshift import control
from tributary.redshift.data_api import Warehouse
from tributary.storage import committed_watermarks, lease, object_keys, source_health
from tributary.storage.bucket import Bucket, body
from tributary.storage.lease import Lease

ITEMS_AT_MOST = 100  # tables share items beyond that: history and payloads stay small
CONCURRENCY_AT_MOST = 40  # of an inline Map (Step Functions quota)
WRITERS = 16


@dataclass(frozen=True, slots=True)
class PlanContext:
    """What Plan works with."""

    sources: Path
    bucket: Bucket
    warehouse: Warehouse
    secrets: Any
    is_running: Callable[[str], bool]  # whether an execution, by its ARN, still runs
    secret_prefix: str = loader.READABLE_SECRETS  # of the secrets that the stack's functions may read


@dataclass(frozen=True, slots=True)
class PlanOutcome:
    """A frozen plan, or None if another execution runs the source."""

    plan: Plan | None

    @property
    def concurrency(self) -> int:
        """Return how many items may be extracted at once."""
        return min(self.plan.max_connections, CONCURRENCY_AT_MOST) if self.plan else 0


def plan_run(request: RunRequest, context: PlanContext) -> PlanOutcome:
    """Freeze the run of the request's execution.

    Raises ConfigError for an unknown source or table, SecretError, SourceRefused and
    SourceUnavailable for the source, LoadFailed and WarehouseUnavailable for the warehouse.
    """
    source = loader.find(context.sources, request.source, secret_prefix=context.secret_prefix)
    backfill.check_request(request.read_request, request.tables, full_refresh=request.full_refresh)
    held = lease.acquire(
        context.bucket,
        source.name,
        request.execution_arn,
        is_running=context.is_running,
        first_generation=lambda: first_generation(context.warehouse, source.name),
    )
    if held is None:
        return PlanOutcome(None)
    logger.append_keys(run_id=held.run_id)
    frozen = context.bucket.document(object_keys.plan(source.name, held.run_id), Plan)
    if frozen:
        return PlanOutcome(frozen)
    if held.taken_over:
        fence_off(context.warehouse, source.name, held.generation, held.run_id)
    run = RunPlanner(request, source, held, context)
    return PlanOutcome(run.freeze(run.replay() if request.is_replay else run.survey()))


@dataclass(frozen=True, slots=True)
class RunPlanner:
    """Plans the run that holds the source's lease."""

    request: RunRequest
    source: Source
    held: Lease
    context: PlanContext

    def survey(self) -> Surveyed:
        """Return the plans of the tables that the run reads from the source."""
        source, context = self.source, self.context
        health = source_health.expect(context.bucket, source.name, source.pause_after)
        survey = Survey(
            source=source,
            request=self.request,
            run_id=self.held.run_id,
            bucket=context.bucket,
            read_state=lambda: self._read_state(source.schemas),
            create=self._create,
            kept=committed_watermarks.find(context.bucket, self.held, context.warehouse.name),
            paused=() if self.request.tables else health.paused_tables,  # a table named in the input is tried
        )
        return survey.tables(secret.fetch(context.secrets, source.secret, source.address))

    def replay(self) -> Surveyed:
        """Return the plans of the tables that are rebuilt from the raw layer."""
        source, context = self.source, self.context
        loaded = self._read_state(source.schemas).tables
        chosen = replay.choose_tables(loaded, self.request.tables)
        # A table may have been loaded into a schema that the file no longer names.
        schemas = {loaded[name].target.partition(".")[0] for name in chosen}
        state = self._read_state(sorted({*source.schemas, *schemas}))
        log = replay.read_log(context.warehouse, source.name, chosen, self.held.run_id)
        raw_layer = replay.Replay(
            archive=replay.Archive(context.bucket),
            source=source.name,
            chosen=frozenset(chosen),
            loaded=state.tables,
            may_vanish=percentage(self.request.may_vanish or MAY_VANISH),
        )
        rebuilt, failures = replay.plan_tables(raw_layer, log, state)
        tables = list(_with_current_access(source, [table for table, _ in rebuilt]))
        return Surveyed(tables, tuple(failures), runs={table.number: runs for table, runs in rebuilt})

    def _read_state(self, schemas: Sequence[str]) -> WarehouseState:
        return read_warehouse_state(self.context.warehouse, self.source.name, schemas, self.held.run_id)

    def _create(self, statement: str) -> None:
        """Create a table, unless the run is fenced; the state that is read next shows what came of it."""
        source, run_id = self.source.name, self.held.run_id
        fence = control.fence(source, self.held.generation)
        try:
            self.context.warehouse.run([fence, statement], f"tributary/{source}/{run_id}/target")
        except (LoadFailed, WarehouseUnavailable) as error:  # another source may have created it first
            logger.warning("target not created", extra={"reason": str(error)})

    def freeze(self, surveyed: Surveyed) -> Plan:
        """Write the items, then the head; return the head that exists, ours or a faster attempt's."""
        bucket = self.context.bucket
        # Each attempt has its own prefix, so that items of one that lost the race are never read.
        prefix = f"{object_keys.run(self.source.name, self.held.run_id)}items-{uuid4().hex[:12]}/"
        items = spread(surveyed.tables)
        _write_items(bucket, prefix, items)
        replay.write(bucket, prefix, surveyed.runs)
        head = self._head(surveyed, prefix, len(items))
        key = object_keys.plan(self.source.name, self.held.run_id)
        if bucket.create(key, body(head)):
            return head
        return bucket.document(key, Plan) or head

    def _head(self, surveyed: Surveyed, prefix: str, items: int) -> Plan:
        source, request, held = self.source, self.request, self.held
        return Plan(
            version=__version__,
            source=source.name,
            engine=source.reader,
            secret=source.secret,
            address=source.address,
            run_id=held.run_id,
            generation=held.generation,
            execution_arn=request.execution_arn,
            started_at=request.started_at,
            prefix=prefix,
            items=items,
            max_connections=source.max_connections,
            statement_timeout_s=source.statement_timeout_s,
            rows=source.rows,
            notify=source.notify,
            warehouse=self.context.warehouse.name,
            partial=request.tables is not None or request.is_replay,
            replay=request.is_replay,
            failures=surveyed.failures,
            paused=surveyed.paused,
            notes=surveyed.notes,
            unchanged=surveyed.unchanged,
        )


def _with_current_access(source: Source, tables: Sequence[TablePlan]) -> Iterable[TablePlan]:
    """Yield the plans with the access that the source's file sets now, not when the runs were planned.

    If it does not fit the replayed columns, access is not changed.
    """
    selected = resolve(source, [table.source for table in tables]).selected
    for table in tables:
        settings = selected.get(table.source)
        try:
            given = access(table, settings.access if settings else None)
        except TableRefused as error:
            note = f"access stays as it is until the next usual run: {error}"
            yield table.model_copy(update={"notes": (*table.notes, note)})
        else:
            yield table.model_copy(update={"access": given})


def _write_items(bucket: Bucket, prefix: str, items: Sequence[Item]) -> None:
    with ThreadPoolExecutor(WRITERS) as writers:
        keys = [object_keys.item(prefix, number) for number in range(len(items))]
        list(writers.map(lambda key, item: bucket.put(key, body(item)), keys, items))


def spread(tables: Sequence[TablePlan]) -> list[Item]:
    """Spread tables, and the ranges of big ones, over items: one each, or in turn if there are many.

    Ranges go first, since they take longest.
    """
    plans = sorted(
        (plan for table in tables for plan in key_ranges.per_range(table)),
        key=lambda plan: -plan.read.range_count,
    )
    count = min(len(plans), ITEMS_AT_MOST)
    return [Item(tables=tuple(plans[first::count])) for first in range(count)]
