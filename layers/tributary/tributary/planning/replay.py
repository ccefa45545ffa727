"""Replay: a table is rebuilt from the raw layer, and its source is not read.

Only committed runs are replayed, all of them and in their order. A run is committed if it has a control
row. The chain of runs begins with the last one after which the table had no other rows. If any document
or chunk of the chain is missing, or if its columns do not fit each other, the table is refused.

The raw layer outlives versions, so documents of other versions are read for the fields that are needed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tributary.config.selection import matching
from tributary.errors import ConfigError, ReplayRefused, TableRefused
from tributary.model.own_columns import added
from tributary.model.plan import Column, Failure, Plan, ReadRequest, ReplayPlan, TablePlan
from tributary.model.result import ReplayedRun
from tributary.model.source_catalog import TableName
from tributary.model.types import warehouse as warehouse_type
from tributary.planning.load_method import CommittedLoad
from tributary.planning.type_widening import holds, is_own, is_text, stays
from tributary.planning.warehouse_state import WarehouseState
from tributary.redshift import control, text_sizes
from tributary.redshift.data_api import Row, Warehouse
from tributary.redshift.publish import NEW_COLUMNS_AT_MOST
from tributary.storage import object_keys, plans, results
from tributary.storage.bucket import Bucket, DocumentT, Stored, body

READERS = 16
INSTEAD = 'start a run with "full_refresh": true, which reads the table from its source'
EXPIRED = f"if it is older than RawRetentionDays, {INSTEAD}"


@dataclass(frozen=True, slots=True)
class CommittedRun:
    """A run that changed a table, from its control row."""

    run_id: str
    mode: str
    target: str
    rows: int
    contents: str | None  # None: an older version wrote the row


@dataclass(frozen=True, slots=True)
class Archive:
    """The raw bucket's documents, read whichever version of Tributary wrote them."""

    bucket: Bucket

    def document(self, key: str, kind: type[DocumentT]) -> DocumentT | None:
        """Return the document, None if it is missing or lacks what is needed."""
        return self.bucket.document_of_any_version(key, kind)

    def list(self, folder: str) -> list[Stored]:
        """Return the objects in the folder."""
        return list(self.bucket.list(folder))


@dataclass(frozen=True, slots=True)
class Replay:
    """What the warehouse's control rows and the raw layer say about the `chosen` tables of a source."""

    archive: Archive
    source: str
    chosen: frozenset[str]  # only these tables of each run are kept: a source may have hundreds
    loaded: Mapping[str, CommittedLoad]
    may_vanish: int
    heads: dict[str, tuple[Plan, dict[str, TablePlan]] | None] = field(default_factory=dict)

    def table(
        self, name: str, log: Sequence[CommittedRun], state: WarehouseState
    ) -> tuple[TablePlan, list[ReplayedRun]]:
        """Return the plan that rebuilds a table and the runs it is rebuilt from; raises ReplayRefused."""
        chain = self._chain(name, log)
        with ThreadPoolExecutor(READERS) as readers:
            runs = list(readers.map(lambda committed: self._run(name, committed), chain))
        self._check_chunks(name, runs)
        last, target = runs[-1].table, runs[-1].table.target
        state.check_owner(target.schema_name, target.table_name)
        known = state.columns.get((target.schema_name, target.table_name))
        columns = merged_columns(name, runs, known)
        rebuilt = _without_changes(last).with_changes(
            columns=tuple(columns.values()),
            exists=known is not None,
            key_constraint=state.unique.get((target.schema_name, target.table_name)),
            new_columns=_new_columns(name, (*columns, *added(last.mode)), known),
            sizes=_text_sizes(runs, columns, known),
            may_vanish=self.may_vanish,
            notes=(f"rebuilt from {len(runs)} runs of the raw layer, the first is {runs[0].run_id}",),
        )
        return _as_committed(rebuilt, self.loaded[name], runs=len(runs)), runs

    def _chain(self, name: str, log: Sequence[CommittedRun]) -> list[CommittedRun]:
        """Return the runs since the last one after which the table had no other rows, oldest first.

        A table that other sources write to has no such run, but a first one that read all rows. That
        does not suffice for an append: it may have added rows before its first known run.
        """
        chain: list[CommittedRun] = []
        for committed in reversed(log):
            if committed.target != self.loaded[name].target:  # the table was loaded from the start afterwards
                break
            chain.insert(0, committed)
            if self._contents(name, committed) == "image":
                return chain
        if not chain or chain[0].mode == "append" or self._contents(name, chain[0]) != "whole":
            raise ReplayRefused(
                f"{name}: no run in etl_control read the whole table, so its first rows are unknown; "
                f"{INSTEAD}"
            )
        return chain

    def _contents(self, name: str, committed: CommittedRun) -> str:
        if committed.contents is not None:
            return committed.contents
        table = self._run(name, committed).table
        return "image" if table.is_full_load else "whole" if table.read.whole_read else "changes"

    def _run(self, name: str, committed: CommittedRun) -> ReplayedRun:
        """Return a run's plan and result of the table; raises ReplayRefused if a part is missing."""
        head = self._head(committed.run_id)
        table = head[1].get(name) if head else None
        result = results.find(self.archive, head[0], table) if head and table else None
        if table is None or result is None or result.failure or result.rows != committed.rows:
            raise ReplayRefused(
                f"{name}: {object_keys.run(self.source, committed.run_id)} no longer shows what run "
                f"{committed.run_id} read, and the table contains its rows; {EXPIRED}"
            )
        return ReplayedRun(
            run_id=committed.run_id,
            table=table,
            chunks=result.chunks,
            rows=result.rows,
            longest=result.longest,
        )

    def _head(self, run_id: str) -> tuple[Plan, dict[str, TablePlan]] | None:
        """Return a run's plan and its tables by name, None if a part of it is missing; read once."""
        if run_id not in self.heads:
            head = self.archive.document(object_keys.plan(self.source, run_id), Plan)
            planned = plans.tables(self.archive, head) if head else []
            tables = {table.name: table for table in planned if table.name in self.chosen}
            self.heads[run_id] = (head, tables) if head else None
        return self.heads[run_id]

    def _check_chunks(self, name: str, runs: Sequence[ReplayedRun]) -> None:
        """Raise ReplayRefused unless every chunk exists with its original size."""
        folders = {chunk.key.rpartition("/")[0] + "/" for run in runs for chunk in run.chunks}
        with ThreadPoolExecutor(READERS) as readers:
            listings = readers.map(self.archive.list, sorted(folders))
            existing = {(stored.key, stored.size_bytes) for listing in listings for stored in listing}
        for run in runs:
            missing = sum((chunk.key, chunk.size_bytes) not in existing for chunk in run.chunks)
            if missing:
                raise ReplayRefused(
                    f"{name}: {missing} of {len(run.chunks)} chunks of run {run.run_id} are missing in the "
                    f"raw layer, and the table contains their rows; {EXPIRED}"
                )


def _without_changes(last: TablePlan) -> TablePlan:
    """Return the last run's plan without what it read and what it changed: both are done already."""
    return last.with_changes(
        request=ReadRequest(what="replay"),
        ranges=(),
        range_index=0,
        range_count=1,
        whole_read=True,
        full_refresh=True,
        future_rows=0,
        sized_by_values=False,  # the sizes are known already
        existing_columns={},
        deep_copy=(),
        copied_form=None,
        changes=(),
        comments=(),  # the next usual run adds missing ones
        comments_of_copy=(),
        access=None,
    )


def _as_committed(table: TablePlan, loaded: CommittedLoad, *, runs: int) -> TablePlan:
    """Return the plan with what the newest control row records, which a replay writes again unchanged."""
    key = None if loaded.key is None else json.dumps(loaded.key, ensure_ascii=False)
    return table.with_changes(
        cursor=loaded.cursor,
        watermark=loaded.value,
        next_watermark=loaded.value,
        unread_columns=tuple(sorted(loaded.unread)),
        replay=ReplayPlan(runs=runs, key=key, columns_digest=loaded.columns),
    )


def _new_columns(name: str, targets: Iterable[str], known: Mapping[str, str] | None) -> tuple[str, ...]:
    """Return the columns that an existing table lacks; raises ReplayRefused for too many."""
    new = tuple(target for target in targets if known is not None and target not in known)
    if len(new) > NEW_COLUMNS_AT_MOST:
        raise ReplayRefused(
            f"{name}: the warehouse's table lacks {len(new)} of its columns; drop it, and replay again"
        )
    return new


def _text_sizes(
    runs: Sequence[ReplayedRun], columns: Mapping[str, Column], known: Mapping[str, str] | None
) -> dict[str, int]:
    """Return the sizes of texts sized by their values, for columns that the replay creates."""
    last = runs[-1].table
    texts = [
        target
        for target, column in columns.items()
        if column.kind.sized_by_values and last.texts.sized_by_values and target not in (known or {})
    ]
    lengths = ((run.table, run.longest) for run in runs)
    return text_sizes.of_runs(lengths, texts, shared=last.target.owner is not None)


def merged_columns(
    name: str, runs: Sequence[ReplayedRun], known: Mapping[str, str] | None
) -> dict[str, Column]:
    """Return the columns of all runs by their targets, as the last run had them, in their widest types.

    `known`: the types in the warehouse. Raises ReplayRefused if the values of a run do not fit into the
    column as it is now.
    """
    columns: dict[str, Column] = {}
    for run in runs:
        for column in run.table.columns:
            before = columns.get(column.target)
            columns[column.target] = before if before and _is_wider(before, column) else column
    for run in runs:
        for column in run.table.columns:
            was = warehouse_type(column.kind)
            now = (known or {}).get(column.target) or warehouse_type(columns[column.target].kind)
            if not takes(now, was):
                raise ReplayRefused(
                    f'{name}: column "{column.target}" was {was} in run {run.run_id} and is now {now}, so '
                    f"their rows cannot be loaded together; {INSTEAD}"
                )
    return columns


def _is_wider(before: Column, column: Column) -> bool:
    """Return whether schema evolution would have kept the type of the column before."""
    wide, narrow = warehouse_type(before.kind), warehouse_type(column.kind)
    return stays(wide, narrow) and not holds(narrow, wide)


def takes(existing: str, was: str) -> bool:
    """Return whether a warehouse column takes a run's values unchanged, as it did when the run loaded them.

    A run's text type says how long its values may be, not how long they are. They did fit, and one that
    does not fit any more would fail the load.
    """
    both_texts = is_text(existing) and is_text(was)
    return both_texts or not is_own(existing) or holds(existing, was)


def choose_tables(loaded: Iterable[str], tables: Sequence[str] | None) -> list[str]:
    """Return the tables to rebuild among those in etl_control; raises ConfigError for others."""
    known = [TableName.parse(name) for name in loaded]
    if tables is None:
        return sorted(map(str, known))
    chosen: dict[str, None] = {}
    for name in tables:
        matches = matching(name, known, pattern=False)
        if len(matches) != 1:
            fault = (
                "matches several tables; write which one"
                if matches
                else "has no row in etl_control: it was never loaded"
            )
            raise ConfigError(f'the input\'s tables: "{name}" {fault}')
        chosen[str(matches[0])] = None
    return list(chosen)


def read_log(
    warehouse: Warehouse, source: str, tables: Sequence[str], run_id: str
) -> dict[str, list[CommittedRun]]:
    """Return the committed runs of each table, oldest first."""
    if not tables:
        return {}
    [rows] = warehouse.run([control.changing_runs(source, tables)], f"tributary/{source}/{run_id}/replay")
    return parse_log(rows)


def parse_log(rows: Iterable[Row]) -> dict[str, list[CommittedRun]]:
    """Return the runs in the rows by table, in their order."""
    runs: dict[str, list[CommittedRun]] = {}
    for table, run_id, mode, target, count, contents in rows:
        committed = CommittedRun(str(run_id), str(mode), str(target), int(count or 0), contents)
        runs.setdefault(str(table), []).append(committed)
    return runs


def plan_tables(
    replay: Replay, log: Mapping[str, list[CommittedRun]], state: WarehouseState
) -> tuple[list[tuple[TablePlan, list[ReplayedRun]]], list[Failure]]:
    """Return the tables that can be rebuilt, numbered, each with its runs, and the failures of the others."""
    tables: list[tuple[TablePlan, list[ReplayedRun]]] = []
    failures = []
    for name in sorted(replay.chosen):
        try:
            table, runs = replay.table(name, log.get(name, []), state)
        except (ReplayRefused, TableRefused) as error:
            failures.append(Failure(table=name, error=type(error).__name__, message=str(error)))
        else:
            tables.append((table.model_copy(update={"number": len(tables)}), runs))
    return tables, failures


def write(bucket: Bucket, prefix: str, tables: Mapping[int, Sequence[ReplayedRun]]) -> None:
    """Write the runs of each table, by its number, where Load reads them."""
    with ThreadPoolExecutor(READERS) as writers:
        for number, runs in tables.items():
            keys = [object_keys.replayed(prefix, number, place) for place in range(1, len(runs) + 1)]
            list(writers.map(lambda key, run: bucket.put(key, body(run)), keys, runs))
