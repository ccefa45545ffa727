"""The plan of one table: the settings, the source's catalog and the warehouse's state put together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tributary.config.models import MAX_ROW_MEGABYTES, Source
from tributary.errors import TableRefused
from tributary.model.own_columns import ROW_DIGEST
from tributary.model.plan import (
    DeepCopyColumn,
    PublishPlan,
    ReadPlan,
    ReadRequest,
    SchemaChanges,
    TableDesign,
    TablePlan,
    TargetTable,
    TextSizes,
    columns_digest,
)
from tributary.model.warehouse_names import Target
from tributary.planning import backfill, index_advice
from tributary.planning.access import access
from tributary.planning.changed_values import attached_rows, changed_values
from tributary.planning.load_method import REFRESH, CommittedLoad, LoadMethod, choose_load_method
from tributary.planning.read_bounds import ReadBounds, SourceClock, opens_at, read_bounds, whole_range
from tributary.planning.run_request import RunRequest
from tributary.planning.schema_evolution import (
    Evolution,
    check_width,
    deep_copy_columns,
    evolve,
    sizes_texts,
    with_evolution,
)
from tributary.planning.source_probe import SourceProbe
from tributary.planning.table_spec import KEYED, TableSpec
from tributary.planning.warehouse_state import WarehouseState
from tributary.redshift import text_sizes
from tributary.storage.fingerprints import Fingerprints

MAY_VANISH = "50%"  # of a table, if neither the execution nor the file sets it


def percentage(share: str) -> int:
    """Return the number of ``50%``."""
    return int(share.rstrip("%"))


@dataclass(frozen=True, slots=True)
class Decision:
    """How a table is continued, before its source is asked for bounds."""

    spec: TableSpec
    target: Target
    known: Mapping[str, str] | None  # the warehouse's columns with their types, None without a table
    loaded: CommittedLoad | None
    evolution: Evolution
    method: LoadMethod
    own: tuple[str, ...]  # columns that Tributary adds and the table lacks
    reread: bool  # columns have values that no row's cursor shows
    altered: str | None  # why other values may have changed that no row's cursor shows
    whole_read: bool
    deep_copy: tuple[DeepCopyColumn, ...]

    @property
    def sized_by_values(self) -> bool:
        """Return whether texts are as wide as their values need."""
        return sizes_texts(self.spec)

    @property
    def existing_texts(self) -> dict[str, str]:
        """Return the warehouse's columns if a text among them may be too narrow, else {}."""
        return text_sizes.existing_columns(self.spec.columns, self.known) if self.sized_by_values else {}


@dataclass(frozen=True, slots=True)
class TablePlanner:
    """Plans the tables of one run."""

    source: Source
    request: RunRequest
    run_id: str
    probe: SourceProbe
    now: SourceClock
    state: WarehouseState
    fingerprints: Fingerprints  # of the tables when they were last loaded

    def plan(self, spec: TableSpec, target: Target) -> TablePlan:
        """Return the table's plan; raises a PermanentError if the table cannot be loaded."""
        decision = self._decide(spec, target)
        spec, request = decision.spec, self._read_request(decision)
        bounds = self._bounds(decision, request)
        self._check_unique(decision, bounds)
        plan = TablePlan(
            number=0,
            source=spec.table.name,
            target=self._target(decision),
            mode=spec.mode,
            columns=spec.columns,
            key=spec.key,
            read=self._read(decision, bounds),
            publish=self._publish(decision, bounds),
            design=self._design(decision),
            texts=TextSizes(
                sized_by_values=decision.sized_by_values, existing_columns=decision.existing_texts
            ),
            schema_changes=self._schema_changes(decision),
            request=request,
            notes=tuple(self._notes(decision, bounds)),
        )
        check_width(plan, decision.known)
        return plan.model_copy(update={"access": access(plan, spec.settings.access)})

    def _decide(self, spec: TableSpec, target: Target) -> Decision:
        """Compare the spec with the warehouse's table, and choose how the run continues it."""
        self.state.check_owner(target.schema, target.table)
        refresh = self.request.full_refresh
        known, loaded = self.state.known(target), self.state.loaded(spec, target)
        spec, evolution = evolve(spec, target, known, loaded)
        method = choose_load_method(loaded, spec, refresh_requested=refresh)
        method = with_evolution(method, spec, target, evolution, refresh_requested=refresh)
        own = self.state.missing_own_columns(spec, target)
        self._check_shared_mode(spec, target, own)
        reread = spec.mode in KEYED and self._must_reread(spec, target, evolution, loaded)
        altered = self._altered(spec, loaded, method)
        return Decision(
            spec=spec,
            target=target,
            known=known,
            loaded=loaded,
            evolution=evolution,
            method=method,
            own=own,
            reread=reread,
            altered=altered,
            whole_read=refresh or reread or altered is not None or method.whole_read,
            deep_copy=deep_copy_columns(spec, known, evolution, own),
        )

    def _check_shared_mode(self, spec: TableSpec, target: Target, own: tuple[str, ...]) -> None:
        """Raise TableRefused if the rows of other sources in the target have another form."""
        history = ROW_DIGEST in (self.state.known(target) or {})
        if target.shared and (own or (history and spec.mode != "history")):
            raise TableRefused(
                f"{spec.name} is in mode {spec.mode}, but its target {target} is "
                f"{'a history' if history else 'no history'}; use one mode in all sources that write there"
            )

    def _must_reread(
        self, spec: TableSpec, target: Target, evolution: Evolution, loaded: CommittedLoad | None
    ) -> bool:
        """Return whether columns have values that no row's cursor shows."""
        if spec.settings.on_new_column == "null":
            return False
        read = columns_digest(column.target for column in spec.columns)
        if target.shared and loaded and loaded.columns not in (None, read):
            return True  # another source may have added the column before this one had it
        if evolution.returned:  # even if it is NULL in all rows now: it was not before
            return True
        return any(self.probe.has_values(spec, column.name) for column in evolution.new)

    def _altered(self, spec: TableSpec, loaded: CommittedLoad | None, method: LoadMethod) -> str | None:
        """Return why values may have changed without their cursor since the last load.

        Raises TableRefused for an append, which cannot read rows a second time.
        """
        stored = self.fingerprints.tables.get(spec.name)
        if loaded is None or spec.cursor is None or stored is None:
            return None
        reason = changed_values(stored, spec.table.fingerprint) or attached_rows(
            self.probe, spec, stored, method.watermark
        )
        if reason and spec.mode == "append" and not self.request.full_refresh:
            raise TableRefused(f"{spec.name}: {reason}, and an append reads no row a second time; {REFRESH}")
        return reason

    def _read_request(self, decision: Decision) -> ReadRequest | None:
        """Return what a person asked for, in the source's own texts; raises ConfigError if it is wrong."""
        if self.request.full_refresh:
            return ReadRequest(what="full_refresh")
        if self.request.read_request is None:
            return None
        request = backfill.normalize(self.probe, decision.spec, self.request.read_request)
        backfill.check_method(
            decision.spec,
            decision.method,
            loaded=decision.loaded is not None,
            reread=decision.reread or decision.altered is not None,
        )
        return request

    def _bounds(self, decision: Decision, request: ReadRequest | None) -> ReadBounds:
        spec, watermark = decision.spec, decision.method.watermark
        if request is not None and request.what != "full_refresh":
            return backfill.backfill_bounds(self.probe, spec, self.now, watermark or "", request)
        if spec.cursor is None:
            return ReadBounds(ranges=whole_range(spec))
        return read_bounds(self.probe, spec, self.now, watermark, whole_read=decision.whole_read)

    def _check_unique(self, decision: Decision, bounds: ReadBounds) -> None:
        """Raise KeyNotUnique if rows to be read share their key; a table without new rows is not asked."""
        spec, every_row = decision.spec, decision.whole_read or self.request.read_request is not None
        if every_row:
            self.probe.check_unique(spec, None)
        elif spec.table.name not in self.now.unchanged:
            self.probe.check_unique(spec, bounds.watermark)

    def _target(self, decision: Decision) -> TargetTable:
        target = decision.target
        return TargetTable(
            schema_name=target.schema,
            table_name=target.table,
            exists=decision.known is not None,
            owner=self.source.name if target.shared else None,
            repeated_keys=decision.method.repeated_keys,
            key_constraint=self.state.unique.get((target.schema, target.table)),
        )

    def _read(self, decision: Decision, bounds: ReadBounds) -> ReadPlan:
        spec = decision.spec
        return ReadPlan(
            sql=spec.sql,
            where=spec.settings.where,
            cursor=spec.cursor.name if spec.cursor else None,
            watermark=bounds.watermark,
            whole_read=spec.cursor is None or decision.whole_read or bounds.watermark is None,
            page_rows=spec.settings.page_rows,
            longest_row_bytes=(spec.settings.max_row_megabytes or MAX_ROW_MEGABYTES) << 20,
            ranges=bounds.ranges,
            future_rows=bounds.future_rows,
            fingerprint=spec.table.fingerprint if spec.cursor else None,
        )

    def _publish(self, decision: Decision, bounds: ReadBounds) -> PublishPlan:
        spec, loaded = decision.spec, decision.loaded
        may_vanish = self.request.may_vanish or spec.settings.may_vanish or MAY_VANISH
        return PublishPlan(
            full_refresh=decision.method.full_refresh,
            convert_to_history=decision.method.convert_to_history or bool(decision.own),
            may_vanish=percentage(may_vanish),
            next_watermark=bounds.next_watermark,
            last_run=loaded.run_id if loaded and spec.cursor else None,
            opens_at=opens_at(self.run_id, spec) if spec.mode == "history" else None,
        )

    def _design(self, decision: Decision) -> TableDesign:
        spec, target = decision.spec, decision.target
        texts = {} if target.shared else spec.comments  # no source comments a table of several
        comments = self.state.comments.missing(target, texts, new_table=bool(decision.deep_copy))
        of_copy = (
            self.state.comments.missing(target, texts, new_table=True) if decision.existing_texts else ()
        )
        return TableDesign(
            distkey=spec.distkey,
            sortkey=spec.sortkey,
            encode=spec.encode,
            comments=comments,
            comments_of_copy=tuple(comment for comment in of_copy if comment not in comments),
        )

    def _schema_changes(self, decision: Decision) -> SchemaChanges:
        target = decision.target
        form = self.state.forms.get((target.schema, target.table)) if target.shared else None
        return SchemaChanges(
            new_columns=(*(column.target for column in decision.evolution.new), *decision.own),
            unread_columns=self.state.dropped_columns(decision.spec, target),
            changes=decision.evolution.changes(decision.known or {}),
            deep_copy=decision.deep_copy,
            copied_form=form,
        )

    def _notes(self, decision: Decision, bounds: ReadBounds) -> Iterable[str]:
        yield from decision.spec.notes
        yield from index_advice.advice(self.probe.engine, decision.spec)
        if decision.method.note:
            yield decision.method.note
        if decision.altered:
            yield f"{decision.altered}: the whole table is read again"
        yield from bounds.notes
        yield from decision.evolution.notes()
        yield from self._column_notes(decision)

    def _column_notes(self, decision: Decision) -> Iterable[str]:
        spec, evolution, refresh = decision.spec, decision.evolution, decision.method.full_refresh
        new = ", ".join(column.name for column in (*evolution.new, *evolution.returned))
        dropped = ", ".join(self.state.dropped_columns(spec, decision.target))
        if new:
            appended = spec.mode == "append" and not refresh
            old_rows = "; they are NULL in rows appended before" if appended else ""
            reread = "; the whole table is read again for them"
            yield f"new columns: {new}{reread if decision.reread else old_rows}"
        if dropped and not decision.target.shared:
            kept = "their values stay in the warehouse"
            if spec.mode == "history":
                kept = "they are NULL in versions that open from now on"
            elif refresh:
                kept = "they are NULL in all rows, since the whole table is replaced"
            yield f"columns no longer read: {dropped}; {kept}"
