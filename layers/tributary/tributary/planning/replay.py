"""Replay: a table made anew from the raw layer, without a word to its source.

The rule: only what was committed is replayed, all of it and in its order. A run counts if it has a
control row; the chain of runs begins with the last one whose rows were all that the table had. Where
any document or chunk of that chain is gone, or its columns do not fit each other, nothing is done.

Documents of other versions are read as far as they say what is needed: the raw layer outlives versions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tributary.config.selection import matching
from tributary.errors import ConfigError, ReplayRefused
from tributary.model import format_3
from tributary.model.own_columns import added
from tributary.model.plan import Column, Failure, Plan, ReadRequest, ReplayPlan, TablePlan
from tributary.model.result import ReplayedRun
from tributary.model.source_catalog import TableName
from tributary.model.types import warehouse as warehouse_type
from tributary.planning.load_method import CommittedLoad
from tributary.planning.warehouse_state import WarehouseState
from tributary.redshift import control, text_sizes
from tributary.redshift.data_api import Row, Warehouse
from tributary.redshift.publish import NEW_COLUMNS_AT_MOST
from tributary.storage import object_keys, plans, results
from tributary.storage.bucket import Bucket, DocumentT, body

READERS = 16
INSTEAD = 'start a run with "full_refresh": true, which reads the table from its source'
EXPIRED = f"if it is older than RawRetentionDays, {INSTEAD}"
WIDER = {"SMALLINT": ("INTEGER", "BIGINT"), "INTEGER": ("BIGINT",), "REAL": ("DOUBLE PRECISION",)}
DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")


@dataclass(frozen=True, slots=True)
class Logged:
    """A run that changed a table, as its control row says; `contents` None: an older version wrote it."""

    run_id: str
    mode: str
    target: str
    rows: int
    contents: str | None


@dataclass(frozen=True, slots=True)
class Archive(Bucket):
    """The raw bucket as a replay reads it: documents of whatever version, for what is in them."""

    def document(self, key: str, kind: type[DocumentT]) -> DocumentT | None:
        """Return the document, None where it is gone or does not say what is needed."""
        found = self.read(key)
        if found is None:
            return None
        try:
            content = format_3.upgraded(json.loads(found[0]), kind)
            content.pop("format", None)
            return kind.model_validate(content, extra="ignore")
        except (ValueError, KeyError, TypeError, AttributeError):
            return None


@dataclass(frozen=True, slots=True)
class Replay:
    """One look at the raw layer: what the warehouse says was committed, and what is left of it.

    Of each run's plan only the `chosen` tables are kept: a source may have hundreds of both.
    """

    archive: Archive
    source: str
    chosen: frozenset[str]
    loaded: Mapping[str, CommittedLoad]
    may_vanish: int
    heads: dict[str, tuple[Plan, dict[str, TablePlan]] | None] = field(default_factory=dict)

    def table(
        self, name: str, log: Sequence[Logged], landed: WarehouseState
    ) -> tuple[TablePlan, list[ReplayedRun]]:
        """Return the plan that makes a table anew and the runs it is made of; raises ReplayRefused."""
        chain = self._chain(name, log)
        with ThreadPoolExecutor(READERS) as readers:
            runs = list(readers.map(lambda logged: self._run(name, logged), chain))
        self._check_chunks(name, runs)
        last, loaded = runs[-1].table, self.loaded[name]
        known = landed.columns.get((last.target.schema_name, last.target.table_name))
        columns = together(name, runs, known)
        all_targets = (*columns, *added(last.mode))
        new = tuple(target for target in all_targets if known is not None and target not in known)
        if len(new) > NEW_COLUMNS_AT_MOST:
            raise ReplayRefused(
                f"{name}: the warehouse's table lacks {len(new)} of its columns; drop it, and replay again"
            )
        texts = [
            target
            for target, column in columns.items()
            if column.kind.sized_by_values and last.texts.sized_by_values and (known is None or target in new)
        ]
        rebuilt = ReplayPlan(
            runs=len(runs),
            key=None if loaded.key is None else json.dumps(loaded.key, ensure_ascii=False),
            columns_digest=loaded.columns,
        )
        changes = {
            "columns": tuple(columns.values()),
            "cursor": loaded.cursor,
            "ranges": (),
            "range_index": 0,
            "range_count": 1,
            "watermark": loaded.value,
            "next_watermark": loaded.value,
            "whole_read": True,
            "full_refresh": True,
            "request": ReadRequest(what="replay"),
            "replay": rebuilt,
            "may_vanish": self.may_vanish,
            "exists": known is not None,
            "future_rows": 0,
            "new_columns": new,
            "sized_by_values": False,  # their sizes are known already
            "sizes": text_sizes.of_runs(
                ((run.table, run.longest) for run in runs), texts, shared=last.target.owner is not None
            ),
            "existing_columns": {},
            "deep_copy": (),  # what the last run changed of the table stands there now
            "copied_form": None,
            "changes": (),
            "comments": (),  # the next usual run says what is missing
            "comments_of_copy": (),
            "key_constraint": landed.unique.get((last.target.schema_name, last.target.table_name)),
            "access": None,
            "unread_columns": tuple(sorted(loaded.unread)),
            "notes": (f"made anew of {len(runs)} runs of the raw layer, from {runs[0].run_id} on",),
        }
        return last.with_changes(**changes), runs

    def _chain(self, name: str, log: Sequence[Logged]) -> list[Logged]:
        """Return the runs from the last one on whose rows were all that the table had, oldest first.

        A table that other sources write to, too, has no such run, but a first one that read all rows. What
        an append added before its first known run is not in that run.
        """
        chain: list[Logged] = []
        for logged in reversed(log):
            if logged.target != self.loaded[name].target:  # the table began anew after this run
                break
            chain.insert(0, logged)
            if self._contents(name, logged) == "image":
                return chain
        begins = chain and chain[0].mode != "append" and self._contents(name, chain[0]) == "whole"
        if not begins:
            raise ReplayRefused(
                f"{name}: no run that etl_control knows read it whole, so nothing says with which rows it "
                f"began; {INSTEAD}"
            )
        return chain

    def _contents(self, name: str, logged: Logged) -> str:
        if logged.contents is not None:
            return logged.contents
        table = self._run(name, logged).table
        return "image" if table.is_full_load else "whole" if table.read.whole_read else "changes"

    def _run(self, name: str, logged: Logged) -> ReplayedRun:
        """Return what is kept of a run; raises ReplayRefused where it is not all there."""
        head = self._head(logged.run_id)
        table = head[1].get(name) if head else None
        found = results.find(self.archive, head[0], table) if head and table else None
        if table is None or found is None or found.failure or found.rows != logged.rows:
            raise ReplayRefused(
                f"{name}: what run {logged.run_id} read is no longer told by "
                f"{object_keys.run(self.source, logged.run_id)}, and its rows are a part of the table; "
                f"{EXPIRED}"
            )
        return ReplayedRun(
            run_id=logged.run_id, table=table, chunks=found.chunks, rows=found.rows, longest=found.longest
        )

    def _head(self, run_id: str) -> tuple[Plan, dict[str, TablePlan]] | None:
        """Return a run's plan and its tables by name, None where a part of it is gone; read once."""
        if run_id not in self.heads:
            head = self.archive.document(object_keys.plan(self.source, run_id), Plan)
            planned = plans.tables(self.archive, head) if head else []
            tables = {table.name: table for table in planned if table.name in self.chosen}
            self.heads[run_id] = (head, tables) if head else None
        return self.heads[run_id]

    def _check_chunks(self, name: str, runs: Sequence[ReplayedRun]) -> None:
        """Raise ReplayRefused unless every chunk stands there, of the size that it had."""
        folders = {chunk.key.rpartition("/")[0] + "/" for run in runs for chunk in run.chunks}
        with ThreadPoolExecutor(READERS) as readers:
            listed = readers.map(lambda folder: list(self.archive.list(folder)), sorted(folders))
            there = {(stored.key, stored.size_bytes) for found in listed for stored in found}
        for run in runs:
            gone = sum((chunk.key, chunk.size_bytes) not in there for chunk in run.chunks)
            if gone:
                raise ReplayRefused(
                    f"{name}: {gone} of {len(run.chunks)} chunks of run {run.run_id} are gone from the raw "
                    f"layer, and their rows are a part of the table; {EXPIRED}"
                )


def together(name: str, runs: Sequence[ReplayedRun], known: Mapping[str, str] | None) -> dict[str, Column]:
    """Return the columns of all runs by their targets, each as the last run had it, texts at their longest.

    `known`: the types that stand in the warehouse. Raises ReplayRefused where a run's values do not go
    into the column as it is now.
    """
    columns: dict[str, Column] = {}
    for run in runs:
        for column in run.table.columns:
            before = columns.get(column.target)
            longer = before is not None and _is_longer(before, column)
            columns[column.target] = before if before and longer else column
    for run in runs:
        for column in run.table.columns:
            was = warehouse_type(column.kind)
            now = (known or {}).get(column.target) or warehouse_type(columns[column.target].kind)
            if not goes_into(was, now):
                raise ReplayRefused(
                    f'{name}: column "{column.target}" was {was} in run {run.run_id} and is {now} now, so '
                    f"their rows cannot be loaded together; {INSTEAD}"
                )
    return columns


def _is_longer(one: Column, other: Column) -> bool:
    """Say whether both are texts and the one may be longer."""
    texts = one.kind.name == other.kind.name == "text"
    return texts and (one.kind.limit_bytes or 0) > (other.kind.limit_bytes or 0)


def goes_into(was: str, now: str) -> bool:
    """Say whether every value of one type of the warehouse is one of another, told in the same way.

    Of VARCHAR and VARBYTE the lengths are left out: the warehouse's own word for them has none.
    """
    old, new = DECIMAL.fullmatch(was), DECIMAL.fullmatch(now)
    if old and new:
        whole = int(new[1]) - int(new[2]) >= int(old[1]) - int(old[2])
        return whole and int(new[2]) >= int(old[2])
    word, wanted = was.partition("(")[0], now.partition("(")[0].upper()
    if word in ("VARBYTE", "SUPER"):  # SVV_COLUMNS has words of its own for these
        return wanted not in WIDER and wanted not in ("VARCHAR", "DATE", "TIMESTAMP", "TIMESTAMPTZ")
    return word == wanted or wanted in WIDER.get(word, ())


def wanted(loaded: Iterable[str], tables: Sequence[str] | None) -> list[str]:
    """Return the tables to make anew among those that etl_control knows; raises ConfigError for others."""
    known = [TableName(*name.split(".", 1)) if "." in name else TableName("", name) for name in loaded]
    if tables is None:
        return sorted(map(str, known))
    chosen: dict[str, None] = {}
    for name in tables:
        found = matching(name, known, pattern=False)
        if len(found) != 1:
            what = (
                "is of several tables; write which"
                if found
                else "has no row in etl_control: it was never loaded"
            )
            raise ConfigError(f'the input\'s tables: "{name}" {what}')
        chosen[str(found[0])] = None
    return list(chosen)


def logs(rows: Iterable[Row]) -> dict[str, list[Logged]]:
    """Return the runs of each table, oldest first."""
    found: dict[str, list[Logged]] = {}
    for table, run_id, mode, target, count, contents in rows:
        logged = Logged(str(run_id), str(mode), str(target), int(count or 0), contents)
        found.setdefault(str(table), []).append(logged)
    return found


def ask(warehouse: Warehouse, source: str, tables: Sequence[str], run_id: str) -> dict[str, list[Logged]]:
    """Return what etl_control says was committed of the tables."""
    if not tables:
        return {}
    [rows] = warehouse.run([control.changing_runs(source, tables)], f"tributary/{source}/{run_id}/replay")
    return logs(rows)


def plan(
    replay: Replay, log: Mapping[str, list[Logged]], landed: WarehouseState
) -> tuple[list[tuple[TablePlan, list[ReplayedRun]]], list[Failure]]:
    """Return the tables that can be made anew, numbered, each with its runs, and why others cannot."""
    tables: list[tuple[TablePlan, list[ReplayedRun]]] = []
    failures = []
    for name in sorted(replay.chosen):
        try:
            table, runs = replay.table(name, log.get(name, []), landed)
        except ReplayRefused as error:
            failures.append(Failure(table=name, error=type(error).__name__, message=str(error)))
        else:
            tables.append((table.model_copy(update={"number": len(tables)}), runs))
    return tables, failures


def write(bucket: Bucket, prefix: str, tables: Mapping[int, Sequence[ReplayedRun]]) -> None:
    """Write the runs that the tables, by their numbers, are made of, where Load looks for them."""
    with ThreadPoolExecutor(READERS) as writers:
        for number, runs in tables.items():
            keys = [object_keys.replayed(prefix, number, place) for place in range(1, len(runs) + 1)]
            list(writers.map(lambda key, run: bucket.put(key, body(run)), keys, runs))
