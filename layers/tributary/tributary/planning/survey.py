"""Survey: ask a source and the warehouse which tables a run reads, and plan each of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from tributary import secret
from tributary.config.models import Source
from tributary.config.selection import Resolution, only, resolve, selecting_entry
from tributary.engines import registry
from tributary.errors import ConfigError, PermanentError
from tributary.model import warehouse_names
from tributary.model.plan import Failure, PausedTable, TablePlan, UnchangedTable
from tributary.model.result import ReplayedRun
from tributary.model.source_catalog import SourceTable, TableName
from tributary.model.warehouse_names import Target
from tributary.planning import (
    integer_horizon,
    key_ranges,
    new_rows,
    pause_basis,
    raw_places,
    shared_targets,
)
from tributary.planning.changed_values import may_have_changed
from tributary.planning.checkpoint import Checkpoints, record_begun
from tributary.planning.gone_tables import gone_failure, gone_tables, hidden_note, without_entries_of
from tributary.planning.pause_basis import PauseBases
from tributary.planning.run_request import RunRequest
from tributary.planning.source_probe import SourceProbe
from tributary.planning.table_plan import TablePlanner
from tributary.planning.table_spec import TableSpec, specify
from tributary.planning.warehouse_state import WarehouseState
from tributary.storage import fingerprints
from tributary.storage.bucket import Bucket
from tributary.storage.committed_watermarks import CommittedWatermarks
from tributary.storage.fingerprints import Fingerprints

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Surveyed:
    """What a survey yields: the plans of tables, and what there is to report about the others."""

    tables: Sequence[TablePlan] = ()
    failures: tuple[Failure, ...] = ()
    paused: tuple[PausedTable, ...] = ()
    notes: tuple[str, ...] = ()
    unchanged: tuple[UnchangedTable, ...] = ()  # all tables, if none has new rows; nothing else is planned
    runs: Mapping[int, Sequence[ReplayedRun]] = field(default_factory=dict)  # of replays, by table number


@dataclass(slots=True)
class Failures:
    """Collects the tables that cannot be planned, so that they stop no other."""

    failures: list[Failure]

    def collect(
        self, tables: Iterable[TableName], act: Callable[[TableName], ResultT]
    ) -> dict[TableName, ResultT]:
        """Return the result of the act for each table; a PermanentError becomes the table's failure."""
        results = {}
        for table in tables:
            try:
                results[table] = act(table)
            except ConfigError:  # the execution's input is wrong, not a table
                raise
            except PermanentError as error:
                failure = Failure(table=str(table), error=type(error).__name__, message=str(error))
                self.failures.append(failure)
        return results


@dataclass(frozen=True, slots=True)
class Selection:
    """The tables that a run reads, with their settings and their places in the warehouse."""

    resolution: Resolution
    present: frozenset[TableName]  # all readable tables of the source, and the file's queries
    hidden: tuple[TableName, ...]  # tables that exist and may not be read
    targets: dict[TableName, Target]
    failures: Failures
    paused: tuple[PausedTable, ...]
    bases: PauseBases
    home: str | None  # the schema of names and patterns without one


@dataclass(frozen=True, slots=True)
class Survey:
    """Plans one run of a source, without the `paused` tables."""

    source: Source
    request: RunRequest
    run_id: str
    bucket: Bucket
    read_state: Callable[[], WarehouseState]  # asks the warehouse, which may have to wake up for it
    create: Callable[[str], None]  # runs a CREATE TABLE of a shared target; another source may be faster
    kept: CommittedWatermarks | None = None  # what the last publishes committed may spare asking
    paused: tuple[PausedTable, ...] = ()

    def tables(self, credentials: secret.Secret) -> Surveyed:
        """Return the plans of the tables, numbered, and what there is to report about the others."""
        engine = registry.get(self.source.reader)
        connection = engine.connect(
            credentials,
            statement_timeout_s=self.source.statement_timeout_s,
            visible_rows=self.source.rows == "visible",
        )
        try:
            home = credentials.dbname or None if self.source.engine == "mysql" else None
            return self._tables(SourceProbe(engine, connection), home)
        finally:
            engine.close(connection)

    def _tables(self, probe: SourceProbe, home: str | None) -> Surveyed:
        selection = self._select(probe, home)
        specs = self._specify(probe, selection)
        stored = fingerprints.find(self.bucket, self.source.name)
        unchanged = self._unchanged(probe, selection, specs, stored)
        if unchanged:
            names = {table.table for table in unchanged}
            return Surveyed(notes=self._notes(selection, names), unchanged=unchanged)
        state = self._state(selection, specs)
        self._fail_gone(selection, state.tables)
        tables = self._plan(probe, selection, specs, state, stored)
        failures = tuple(selection.failures.failures)
        return Surveyed(tables, failures, selection.paused, self._notes(selection, state.tables))

    def _state(self, selection: Selection, specs: Mapping[TableName, TableSpec]) -> WarehouseState:
        """Return the warehouse's state, after creating the shared targets that do not exist."""
        state = self.read_state()
        statements = shared_targets.missing(specs, selection.targets, state)
        for statement in statements:
            self.create(statement)
        return self.read_state() if statements else state

    def _select(self, probe: SourceProbe, home: str | None) -> Selection:
        """Return what the source's file, the execution's input and the pauses leave to read."""
        tables = probe.engine.list_tables(probe.connection)
        patterns = any(entry.include for entry in self.source.tables)
        hidden = probe.engine.hidden_tables(probe.connection) if patterns else []
        resolution = resolve(self.source, tables, home=home)
        present = frozenset({*tables, *resolution.queries})
        targets = warehouse_names.table_names(  # of all tables, since names may collide
            self.source.target_schema, list(resolution.selected), resolution.targets
        )
        if self.request.tables is not None:
            resolution = only(resolution, self.request.tables)
        bases = pause_basis.find(self.bucket, self.source.name)
        lifted = self._lifted(probe, resolution, bases)
        still_paused = [table for table in self.paused if table.table not in lifted]
        resolution, paused = _without_paused(self.source, resolution, still_paused)
        targets = targets.of(resolution.selected)
        failures = Failures([*resolution.failures, *targets.failures])
        return Selection(resolution, present, tuple(hidden), targets.names, failures, paused, bases, home)

    def _lifted(self, probe: SourceProbe, resolution: Resolution, bases: PauseBases) -> set[str]:
        """Return the paused tables whose settings, columns or rights have changed since their last try."""
        # A person's pause stays: it did not come from as many failures.
        paused = {table.table for table in self.paused if table.failures >= self.source.pause_after}
        names = [name for name in resolution.selected if str(name) in paused]
        described = probe.engine.describe(probe.connection, set(names) - set(resolution.queries))
        tried = {str(name): _basis(resolution, described, name) for name in names}
        return {name for name, now in tried.items() if bases.tables.get(name, now) != now}

    def _remember_bases(self, selection: Selection, described: Mapping[TableName, SourceTable]) -> None:
        resolution = selection.resolution
        tried = {str(name): _basis(resolution, described, name) for name in resolution.selected}
        pause_basis.remember(self.bucket, self.source.name, selection.bases, tried)

    def _specify(self, probe: SourceProbe, selection: Selection) -> dict[TableName, TableSpec]:
        queries = selection.resolution.queries
        described = probe.engine.describe(probe.connection, set(selection.targets) - set(queries))
        self._remember_bases(selection, described)
        return selection.failures.collect(
            selection.targets, lambda name: _specify(probe, selection.resolution, described, name)
        )

    def _unchanged(
        self,
        probe: SourceProbe,
        selection: Selection,
        specs: Mapping[TableName, TableSpec],
        stored: Fingerprints,
    ) -> tuple[UnchangedTable, ...]:
        """Return all tables if none has new rows and nothing else is due, () if the warehouse is asked."""
        if not self.kept or selection.failures.failures or selection.paused or not self.request.is_usual:
            return ()
        if self.kept.names is None or gone_tables(
            self.source, self.kept.names, selection.present, home=selection.home
        ):
            return ()
        if any(may_have_changed(stored.tables.get(spec.name), spec) for spec in specs.values()):
            return ()
        return new_rows.all_unchanged(self.kept, probe, specs, selection.targets)

    def _fail_gone(self, selection: Selection, loaded: Collection[str]) -> None:
        """Add a failure for each table that was loaded before and is missing now."""
        if self.request.tables is not None:
            return
        gone = gone_tables(self.source, loaded, selection.present, home=selection.home)
        paused = {table.table for table in selection.paused}
        missing = {name: pause_basis.basis(None, None, None) for name in gone if name not in paused}
        pause_basis.remember(
            self.bucket, self.source.name, pause_basis.find(self.bucket, self.source.name), missing
        )
        selection.failures.failures = [
            *without_entries_of(selection.failures.failures, gone),
            *(gone_failure(self.source, name, selection.hidden) for name in gone if name not in paused),
        ]

    def _notes(self, selection: Selection, loaded: Collection[str]) -> tuple[str, ...]:
        hidden = hidden_note(self.source, selection.hidden, loaded)
        return (*selection.resolution.notes, *hidden, *grade_note(self.source))

    def _plan(
        self,
        probe: SourceProbe,
        selection: Selection,
        specs: Mapping[TableName, TableSpec],
        state: WarehouseState,
        stored: Fingerprints,
    ) -> list[TablePlan]:
        """Return the plans of the tables, numbered, those of big ones with several ranges."""
        watermarks = state.watermarks(specs, selection.targets)
        now = integer_horizon.read_source_clock(probe, self.bucket, self.source.name, specs, watermarks)
        planner = TablePlanner(self.source, self.request, self.run_id, probe, now, state, stored)
        checkpoints = Checkpoints.of(self.bucket, self.source.name, state.tables)

        def plan(name: TableName) -> TablePlan:
            table = planner.plan(specs[name], selection.targets[name])
            return table if table.request else checkpoints.resume(table, specs[name], probe, now)

        plans = list(selection.failures.collect(specs, plan).values())
        refused = raw_places.shared_places(self.source.name, plans)
        selection.failures.failures += refused
        plans = [table for table in plans if table.name not in {failure.table for failure in refused}]
        ranged = key_ranges.split(probe, plans, specs, self.source.max_connections)
        tables = [table.model_copy(update={"number": number}) for number, table in enumerate(ranged)]
        record_begun(self.bucket, self.source.name, checkpoints, tables, self.run_id)
        return tables


def grade_note(source: Source) -> tuple[str, ...]:
    """Return the note about an engine that was not tested as the native ones are."""
    grade = registry.get(source.reader).GRADE
    if grade == "exact":
        return ()
    return (f"engine {source.engine} is graded {grade}: see docs/databases.md",)


def _without_paused(
    source: Source, resolution: Resolution, paused: Iterable[PausedTable]
) -> tuple[Resolution, tuple[PausedTable, ...]]:
    """Return the resolution without the paused tables, and those of them that the file still selects.

    A paused table may be missing in the source: it is still reported as paused.
    """
    by_name = {table.table: table for table in paused}
    configured = {str(name) for name in resolution.selected}
    configured |= {failure.table for failure in resolution.failures}
    kept = replace(
        resolution,
        selected={name: of for name, of in resolution.selected.items() if str(name) not in by_name},
        failures=tuple(failure for failure in resolution.failures if failure.table not in by_name),
    )
    written = {str(entry.name or entry.include) for entry in source.tables}
    return kept, tuple(
        table
        for name, table in by_name.items()
        if name in configured
        or (name not in written and selecting_entry(source, TableName.parse(name)) is not None)
    )


def _basis(resolution: Resolution, described: Mapping[TableName, SourceTable], name: TableName) -> str:
    return pause_basis.basis(resolution.selected[name], resolution.queries.get(name), described.get(name))


def _specify(
    probe: SourceProbe,
    resolution: Resolution,
    described: Mapping[TableName, SourceTable],
    name: TableName,
) -> TableSpec:
    sql = resolution.queries.get(name)
    table = described.get(name) if sql is None else probe.describe_query(name, sql)
    if table is None:
        raise probe.undescribed(name)
    spec = specify(probe.engine, table, resolution.selected[name], sql)
    probe.check_user_sql(spec)
    probe.check_no_nulls(spec)
    return spec
