"""Plan: takes the lease, asks source and warehouse, and freezes everything a run will do.

The head of the plan is the last object written, by a conditional write: once it stands, every
further call for the same execution returns it, and an attempt that lost the race left no trace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from tributary import __version__, secret
from tributary.config import loader
from tributary.config.models import Source
from tributary.config.selection import Resolution, only, resolve
from tributary.engines import registry
from tributary.engines.protocol import Engine
from tributary.errors import ConfigError, PermanentError, TableRefused
from tributary.model import warehouse_names
from tributary.model.own_columns import ROW_DIGEST
from tributary.model.plan import (
    Failure,
    Item,
    PausedTable,
    Plan,
    PublishPlan,
    ReadPlan,
    ReadRequest,
    SchemaChanges,
    TableDesign,
    TablePlan,
    TargetTable,
    TextSizes,
    UnchangedTable,
    columns_digest,
)
from tributary.model.result import ReplayedRun
from tributary.model.source_catalog import SourceTable, TableName
from tributary.model.warehouse_names import Target
from tributary.observability import logger
from tributary.planning import backfill, index_advice, integer_horizon, key_ranges, new_rows, replay
from tributary.planning.access import access
from tributary.planning.checkpoint import Checkpoints, note_begun
from tributary.planning.load_method import choose_load_method
from tributary.planning.read_bounds import ReadBounds, SourceClock, opens_at, read_bounds, whole_range
from tributary.planning.schema_evolution import (
    Evolution,
    check_width,
    deep_copy_columns,
    evolve,
    sizes_texts,
    with_evolution,
)
from tributary.planning.source_probe import SourceProbe
from tributary.planning.table_spec import KEYED, TableSpec, specify
from tributary.planning.warehouse_state import WarehouseState, fence_off, read_warehouse_state
from tributary.redshift import text_sizes
from tributary.redshift.data_api import Warehouse
from tributary.storage import committed_watermarks, lease, object_keys, source_health
from tributary.storage.bucket import Bucket, body
from tributary.storage.committed_watermarks import CommittedWatermarks
from tributary.storage.lease import Lease

ITEMS_AT_MOST = 100  # tables share items beyond that: history and payloads stay small
CONCURRENCY_AT_MOST = 40  # of an inline Map (Step Functions quota)
MAY_VANISH = "50%"  # of a table, where nobody says otherwise
WRITERS = 16

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What an execution asks for: a source, or some of its tables, or all of their rows, or a part of them.

    `may_vanish` stands for this run in the place of what the source's file says.
    """

    source: str
    execution_arn: str
    started_at: str
    tables: tuple[str, ...] | None = None
    full_refresh: bool = False
    asked: ReadRequest | None = None
    may_vanish: str | None = None

    @property
    def replays(self) -> bool:
        """Say whether tables are to be made anew from the raw layer, and no source is asked."""
        return self.asked is not None and self.asked.what == "replay"


@dataclass(frozen=True, slots=True)
class PlanContext:
    """What Plan works with. `is_running` tells whether an execution, by its ARN, still runs."""

    sources: Path
    bucket: Bucket
    warehouse: Warehouse
    secrets: Any
    is_running: Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class PlanOutcome:
    """A frozen plan, or None where another execution runs the source."""

    plan: Plan | None

    @property
    def concurrency(self) -> int:
        """Return how many items may be extracted at once."""
        return min(self.plan.max_connections, CONCURRENCY_AT_MOST) if self.plan else 0


def plan_run(request: RunRequest, around: PlanContext) -> PlanOutcome:
    """Freeze the run of the request's execution.

    Raises ConfigError for an unknown source or table, SecretError, SourceRefused and
    SourceUnavailable for the source, LoadFailed and WarehouseUnavailable for the warehouse.
    """
    source = loader.find(around.sources, request.source)
    backfill.check_request(request.asked, request.tables, full_refresh=request.full_refresh)
    held = lease.acquire(around.bucket, source.name, request.execution_arn, is_running=around.is_running)
    if held is None:
        return PlanOutcome(None)
    logger.append_keys(run_id=held.run_id)
    frozen = around.bucket.document(object_keys.plan(source.name, held.run_id), Plan)
    if frozen:
        return PlanOutcome(frozen)
    if held.taken_over:
        fence_off(around.warehouse, source.name, held.generation, held.run_id)
    if request.replays:
        return PlanOutcome(_freeze(request, source, held, around, _replayed(request, source, held, around)))
    stands = source_health.expect(around.bucket, source.name, source.pause_after)
    paused = () if request.tables else stands.paused_tables  # a table that is asked for by name is tried
    survey = Survey(
        source,
        request,
        held.run_id,
        around.bucket,
        lambda: read_warehouse_state(around.warehouse, source.name, source.schemas, held.run_id),
        committed_watermarks.find(around.bucket, held, around.warehouse.name),
        paused,
    )
    surveyed = survey.tables(secret.fetch(around.secrets, source.secret))
    return PlanOutcome(_freeze(request, source, held, around, surveyed))


@dataclass(frozen=True, slots=True)
class Surveyed:
    """What a survey found: the plans of the tables, the failures of others, those left out, and notes.

    `quiet` are all tables where none has anything new; nothing else was asked then. `runs`: what tables
    that are made anew are made of, by their numbers.
    """

    tables: Sequence[TablePlan] = ()
    failures: tuple[Failure, ...] = ()
    paused: tuple[PausedTable, ...] = ()
    notes: tuple[str, ...] = ()
    quiet: tuple[UnchangedTable, ...] = ()
    runs: Mapping[int, Sequence[ReplayedRun]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Survey:
    """One look at a source: which tables, what of them, from where to where; `paused` ones are left out.

    `look` asks the warehouse what it has, and `landed` is its answer; `kept`, what the last publishes
    committed, may spare asking.
    """

    source: Source
    request: RunRequest
    run_id: str
    bucket: Bucket
    look: Callable[[], WarehouseState]
    kept: CommittedWatermarks | None = None
    paused: tuple[PausedTable, ...] = ()
    landed: WarehouseState = field(default_factory=WarehouseState)

    def tables(self, credentials: secret.Secret) -> Surveyed:
        """Return the plans of the tables, numbered, and what there is to say of the others."""
        engine = registry.get(self.source.engine)
        connection = engine.connect(credentials, statement_timeout_s=self.source.statement_timeout_s)
        try:
            return self._tables(engine, connection)
        finally:
            engine.close(connection)

    def _tables(self, engine: Engine, connection: Any) -> Surveyed:
        resolution = resolve(self.source, engine.list_tables(connection))
        targets = warehouse_names.table_names(  # of all: names may meet
            self.source.target_schema, list(resolution.selected), resolution.targets
        )
        if self.request.tables is not None:
            resolution = only(resolution, self.request.tables)
        resolution, paused = self._without_paused(resolution)
        targets = targets.of(resolution.selected)
        described = engine.describe(connection, set(targets.names) - set(resolution.queries))
        failures = Failures([*resolution.failures, *targets.failures])
        reader = SourceProbe(engine, connection)
        choices = failures.collect(
            targets.names, lambda name: self._choose(reader, described, name, resolution)
        )
        chosen = dict(choices)
        if self.kept and not (failures.found or paused or self._is_special):
            still = new_rows.all_unchanged(self.kept, reader, chosen, targets.names)
            if still:
                return Surveyed(notes=resolution.notes, quiet=still)
        survey = replace(self, landed=self.look())
        now = integer_horizon.read_source_clock(
            reader, self.bucket, self.source.name, chosen, survey.landed.watermarks(chosen, targets.names)
        )
        carrier = Checkpoints.of(self.bucket, self.source.name, survey.landed.tables)
        plans = failures.collect(
            chosen, lambda name: survey._plan(reader, now, chosen[name], targets.names[name], carrier)
        )
        cut = key_ranges.split(
            engine, connection, [plan for _, plan in plans], chosen, self.source.max_connections
        )
        numbered = [plan.model_copy(update={"number": number}) for number, plan in enumerate(cut)]
        note_begun(self.bucket, self.source.name, carrier, numbered, self.run_id)
        return Surveyed(numbered, tuple(failures.found), paused, resolution.notes)

    @property
    def _is_special(self) -> bool:
        """Say whether a person asks for certain tables, or for all rows: the warehouse is asked then."""
        return self.request.tables is not None or self.request.full_refresh

    def _without_paused(self, resolution: Resolution) -> tuple[Resolution, tuple[PausedTable, ...]]:
        """Return the resolution without the paused tables, and those of them that it had selected."""
        paused = {table.table: table for table in self.paused}
        seen = {str(name) for name in resolution.selected} | {
            failure.table for failure in resolution.failures
        }
        kept = replace(
            resolution,
            selected={name: found for name, found in resolution.selected.items() if str(name) not in paused},
            failures=tuple(failure for failure in resolution.failures if failure.table not in paused),
        )
        return kept, tuple(table for name, table in paused.items() if name in seen)

    def _choose(
        self,
        reader: SourceProbe,
        described: dict[TableName, SourceTable],
        name: TableName,
        resolution: Resolution,
    ) -> TableSpec:
        sql = resolution.queries.get(name)
        table = described.get(name) if sql is None else reader.describe_query(name, sql)
        if table is None:
            raise TableRefused(f"table {name} disappeared from the source while it was being planned")
        choice = specify(reader.engine, table, resolution.selected[name], sql)
        reader.check_user_sql(choice)
        return choice

    def _plan(
        self, reader: SourceProbe, now: SourceClock, choice: TableSpec, target: Target, carrier: Checkpoints
    ) -> TablePlan:
        """Return the table's plan, which goes on from an earlier run's unless every row is asked for."""
        fresh = self._fresh(reader, now, choice, target)
        return fresh if fresh.request else carrier.carry_on(fresh, choice, reader, now)

    def _fresh(self, reader: SourceProbe, now: SourceClock, choice: TableSpec, target: Target) -> TablePlan:
        known = self.landed.known(target)
        loaded = self.landed.loaded(choice, target)
        choice, found = evolve(choice, target, known, loaded)
        full_refresh = self.request.full_refresh
        way = choose_load_method(loaded, choice, refresh_requested=full_refresh)
        way = with_evolution(way, choice, target, found, full_refresh=full_refresh)
        own = self.landed.missing_own_columns(choice, target)
        self._check_shared(choice, target, own)
        reread = choice.mode in KEYED and self._reread(reader, choice, target, found)
        all_rows = full_refresh or reread or way.whole_read
        asked = ReadRequest(what="full_refresh") if full_refresh else None
        if self.request.asked:
            asked = backfill.normalize(reader, choice, self.request.asked)
            backfill.check_method(choice, way, loaded=loaded is not None, reread=reread)
            bounds = backfill.backfill_bounds(reader, choice, now, way.watermark or "", asked)
        else:
            bounds = self._bounds(reader, now, choice, way.watermark, all_rows=all_rows)
        if self.request.asked:
            reader.check_unique(choice, None)
        elif all_rows or choice.table.name not in now.unchanged:
            reader.check_unique(choice, None if all_rows else bounds.watermark)
        anew = deep_copy_columns(choice, known, found, own)
        sized_texts = sizes_texts(choice)
        stands = text_sizes.existing_columns(choice.columns, known) if sized_texts else {}
        said = {} if target.shared else choice.comments
        comments = self.landed.comments.missing(target, said, anew=bool(anew))
        if_widened = self.landed.comments.missing(target, said, anew=True) if stands else ()
        plan = TablePlan(
            number=0,
            source=choice.table.name,
            target=TargetTable(
                schema_name=target.schema,
                table_name=target.table,
                exists=known is not None,
                owner=self.source.name if target.shared else None,
                repeated_keys=way.repeated_keys,
                key_constraint=self.landed.unique.get((target.schema, target.table)),
            ),
            mode=choice.mode,
            columns=choice.columns,
            key=choice.key,
            read=ReadPlan(
                sql=choice.sql,
                where=choice.settings.where,
                cursor=choice.cursor.name if choice.cursor else None,
                watermark=bounds.watermark,
                whole_read=choice.cursor is None or all_rows or bounds.watermark is None,
                page_rows=choice.settings.page_rows,
                ranges=bounds.ranges,
                future_rows=bounds.future_rows,
            ),
            publish=PublishPlan(
                full_refresh=way.full_refresh,
                convert_to_history=way.convert_to_history or bool(own),
                may_vanish=_percentage(self.request.may_vanish or choice.settings.may_vanish or MAY_VANISH),
                next_watermark=bounds.next_watermark,
                last_run=loaded.run_id if loaded and choice.cursor else None,
                opens_at=opens_at(self.run_id, choice) if choice.mode == "history" else None,
            ),
            design=TableDesign(
                distkey=choice.distkey,
                sortkey=choice.sortkey,
                encode=choice.encode,
                comments=comments,
                comments_of_copy=tuple(one for one in if_widened if one not in comments),
            ),
            texts=TextSizes(sized_by_values=sized_texts, existing_columns=stands),
            schema_changes=SchemaChanges(
                new_columns=(*(column.target for column in found.new), *own),
                unread_columns=self.landed.dropped_columns(choice, target),
                changes=found.changes(known or {}),
                deep_copy=anew,
                copied_form=self.landed.forms.get((target.schema, target.table)) if target.shared else None,
            ),
            request=asked,
            notes=(
                *choice.notes,
                *index_advice.advice(reader.engine, choice),
                *([way.note] if way.note else []),
                *bounds.notes,
                *found.notes(),
                *self._drift_notes(choice, target, found, reread=reread, swap=way.full_refresh),
            ),
        )
        check_width(plan, known)
        return plan.model_copy(update={"access": access(plan, choice.settings.access)})

    def _check_shared(self, choice: TableSpec, target: Target, own: Sequence[str]) -> None:
        """Raise TableRefused where other sources' rows stand there in another form."""
        history = ROW_DIGEST in (self.landed.known(target) or {})
        if target.shared and (own or (history and choice.mode != "history")):
            raise TableRefused(
                f"{choice.name} is in mode {choice.mode}, and its target {target} is "
                f"{'a history' if history else 'none'}; use one mode in all sources that write there"
            )

    def _bounds(
        self,
        reader: SourceProbe,
        now: SourceClock,
        choice: TableSpec,
        watermark: str | None,
        *,
        all_rows: bool,
    ) -> ReadBounds:
        if choice.cursor is None:
            return ReadBounds(ranges=whole_range(choice))
        return read_bounds(reader, choice, now, watermark, whole_read=all_rows)

    def _reread(self, reader: SourceProbe, choice: TableSpec, target: Target, found: Evolution) -> bool:
        """Say whether columns have values that no row's cursor tells of."""
        if choice.settings.on_new_column == "null":
            return False
        loaded = self.landed.loaded(choice, target)
        read = columns_digest(column.target for column in choice.columns)
        if target.shared and loaded and loaded.columns not in (None, read):
            return True  # another source may have brought the column there before this one had it
        if found.returned:  # also where it is all NULL now: it was not before
            return True
        return any(reader.has_values(choice, column.name) for column in found.new)

    def _drift_notes(
        self, choice: TableSpec, target: Target, found: Evolution, *, reread: bool, swap: bool
    ) -> Iterable[str]:
        new = ", ".join(column.name for column in (*found.new, *found.returned))
        dropped = ", ".join(self.landed.dropped_columns(choice, target))
        if new:
            appended = choice.mode == "append" and not swap
            old = "; rows appended before have NULL in them" if appended else ""
            yield f"new columns: {new}" + ("; the table is read whole again for them" if reread else old)
        if dropped and not target.shared:
            kept = "they are NULL in the whole new image" if swap else "their values stay in the warehouse"
            if choice.mode == "history":
                kept = "they are NULL in versions that open from now on"
            yield f"columns no longer read: {dropped}; {kept}"


def _replayed(request: RunRequest, source: Source, held: Lease, around: PlanContext) -> Surveyed:
    """Return the plans of the tables that are made anew from the raw layer."""
    newest = read_warehouse_state(around.warehouse, source.name, source.schemas, held.run_id)
    chosen = replay.wanted(newest.tables, request.tables)
    schemas = {newest.tables[name].target.partition(".")[0] for name in chosen}
    landed = read_warehouse_state(
        around.warehouse, source.name, sorted({*source.schemas, *schemas}), held.run_id
    )
    log = replay.ask(around.warehouse, source.name, chosen, held.run_id)
    archive = replay.Archive(around.bucket.client, around.bucket.name)
    may_vanish = _percentage(request.may_vanish or MAY_VANISH)
    raw_layer = replay.Replay(archive, source.name, frozenset(chosen), landed.tables, may_vanish)
    tables, failures = replay.plan(raw_layer, log, landed)
    runs = {table.number: of_table for table, of_table in tables}
    shown = list(_with_access(source, [table for table, _ in tables]))
    return Surveyed(shown, tuple(failures), runs=runs)


def _with_access(source: Source, tables: Sequence[TablePlan]) -> Iterable[TablePlan]:
    """Yield the plans with the access that the source's file says now, whatever it said of their runs.

    Where it does not fit the columns that come back, access stays as it is; of a table that is missing
    there is none then.
    """
    said = resolve(source, [table.source for table in tables]).selected
    for table in tables:
        settings = said.get(table.source)
        try:
            given = access(table, settings.access if settings else None)
        except TableRefused as error:
            note = f"access stays as it is until the next usual run: {error}"
            yield table.model_copy(update={"notes": (*table.notes, note)})
        else:
            yield table.model_copy(update={"access": given})


def _percentage(share: str) -> int:
    return int(share.rstrip("%"))


@dataclass(slots=True)
class Failures:
    """Gathers the tables that cannot be planned, so that they stop no other."""

    found: list[Failure]

    def collect(
        self, tables: Iterable[TableName], act: Callable[[TableName], ResultT]
    ) -> list[tuple[TableName, ResultT]]:
        """Return what the act gives for each table; a PermanentError becomes the table's failure."""
        done = []
        for table in tables:
            try:
                done.append((table, act(table)))
            except ConfigError:
                raise
            except PermanentError as error:
                self.found.append(Failure(table=str(table), error=type(error).__name__, message=str(error)))
        return done


def _freeze(
    request: RunRequest,
    source: Source,
    held: Lease,
    around: PlanContext,
    surveyed: Surveyed,
) -> Plan:
    """Write the items, then the head; return the head that stands, ours or that of a faster attempt."""
    bucket = around.bucket
    prefix = f"{object_keys.run(source.name, held.run_id)}items-{uuid4().hex[:12]}/"
    items = _items(surveyed.tables)
    plan = Plan(
        version=__version__,
        source=source.name,
        engine=source.engine,
        secret=source.secret,
        run_id=held.run_id,
        generation=held.generation,
        execution_arn=request.execution_arn,
        started_at=request.started_at,
        prefix=prefix,
        items=len(items),
        max_connections=source.max_connections,
        statement_timeout_s=source.statement_timeout_s,
        notify=source.notify,
        warehouse=around.warehouse.name,
        partial=request.tables is not None or request.replays,
        replay=request.replays,
        failures=surveyed.failures,
        paused=surveyed.paused,
        notes=surveyed.notes,
        unchanged=surveyed.quiet,
    )
    with ThreadPoolExecutor(WRITERS) as writers:
        written = writers.map(
            lambda entry: bucket.put(object_keys.item(prefix, entry[0]), body(entry[1])), enumerate(items)
        )
        list(written)
    replay.write(bucket, prefix, surveyed.runs)
    key = object_keys.plan(source.name, held.run_id)
    if bucket.create(key, body(plan)):
        return plan
    return bucket.document(key, Plan) or plan


def _items(tables: Sequence[TablePlan]) -> list[Item]:
    """Spread tables, and parts of big ones, over items: one each, or, where there are many, in turn.

    The parts go first, since they take longest.
    """
    parts = sorted(
        (part for table in tables for part in key_ranges.parts(table)),
        key=lambda part: -part.read.range_count,
    )
    count = min(len(parts), ITEMS_AT_MOST)
    return [Item(tables=tuple(parts[first::count])) for first in range(count)]
