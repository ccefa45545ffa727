"""The raw layer's external tables: after each load they show the chunks of the run, beside those before.

Nothing rests on them. What goes wrong here is told in the report and fails no load, and the table's next
run with rows makes good for it: each compares the runs that `etl_control` says have chunks with the
partitions that are there. `_leases/<source>.raw_tables.json` says what columns each external table was given,
since Redshift words types in its own way, and from which run on it can show the raw layer. It is written
before the statements: a table that is not known to be whole is made anew.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pydantic import Field

from tributary.errors import StorageUnavailable, TributaryError
from tributary.model.documents import Lasting
from tributary.model.plan import Plan, TablePlan
from tributary.model.run_id import run_id_at
from tributary.observability import logger
from tributary.redshift import control, external_tables
from tributary.redshift.data_api import Row, Warehouse
from tributary.redshift.external_tables import Partition
from tributary.storage import object_keys
from tributary.storage.bucket import Bucket, body

AT_ONCE = 4  # tables whose statements are under way
ASKED_AT_ONCE = 100  # tables of one query
DROPPED_AT_MOST = 20  # partitions of a table in one run: each is a statement
# A manifest may name chunks that an earlier run read up to 7 days before; one more for S3's own pace.
SOONER_THAN_RAW = timedelta(days=8)
NEVER = "00000000_000000"
NOT_BEGUN = ""  # in the place of a reason


class Shown(Lasting):
    """An external table: its columns with their types, and the first run that they fit.

    `whole` is false while it is being changed, and where that was never seen to end.
    """

    columns: dict[str, str]
    since: str
    whole: bool = False


class ShownTables(Lasting):
    """The external tables of a source by name."""

    tables: dict[str, Shown] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RawTables:
    """Where external tables stand: their schema, and what the raw layer keeps (0 days: all)."""

    schema: str
    keep_days: int = 0

    def oldest_kept(self) -> str:
        """Return the id of the oldest run all of whose chunks are still there."""
        if not self.keep_days:
            return NEVER
        begins = datetime.now(UTC) - timedelta(days=self.keep_days) + SOONER_THAN_RAW
        return run_id_at(begins)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A table whose chunks were loaded, and what its rows are of it."""

    table: TablePlan
    contents: str


@dataclass(frozen=True, slots=True)
class Found:
    """What the warehouse has: external tables, their numbers of partitions, the tables' runs with chunks."""

    standing: frozenset[str]
    partitions: dict[str, int]
    runs: dict[str, int]


@dataclass(frozen=True, slots=True)
class Catalog:
    """The external tables of a run's source; `ends`: when the rest is left to another call."""

    plan: Plan
    bucket: Bucket
    warehouse: Warehouse
    raw: RawTables
    ends: float

    def show(self, loaded: Sequence[Loaded]) -> dict[int, str | None]:
        """Have the external tables show the run; return by number why a table does not, None where it does.

        What there was no time for is left out; the first is always tried.
        """
        told: dict[int, str | None] = {}
        for first in range(0, len(loaded), ASKED_AT_ONCE):
            if told and time.monotonic() > self.ends:
                break
            told |= self._show(loaded[first : first + ASKED_AT_ONCE])
        for number, reason in told.items():
            if reason:
                logger.warning("raw table behind", extra={"number": number, "reason": reason})
        return told

    def _show(self, loaded: Sequence[Loaded]) -> dict[int, str | None]:
        try:
            before, etag = self._known()
            wanted = {self._name(one): self._wanted(before, one) for one in loaded}
            changed = {name: shown for name, shown in wanted.items() if before.tables.get(name) != shown}
            noted = ShownTables(tables={**before.tables, **changed})
            etag = self._write(noted, etag) if changed else etag
            found = self._ask({one.table.name: (self._name(one), wanted[self._name(one)]) for one in loaded})
        except TributaryError as error:
            return {one.table.number: str(error) for one in loaded}

        def bring(place: int) -> str | None:
            one = loaded[place]
            if place and time.monotonic() > self.ends:
                return NOT_BEGUN
            return self._bring(one, before.tables.get(self._name(one)), wanted[self._name(one)], found)

        with ThreadPoolExecutor(AT_ONCE) as threads:
            ended = list(zip(loaded, threads.map(bring, range(len(loaded))), strict=True))
        made = {self._name(one) for one, reason in ended if reason is None}
        self._note(noted, made, etag)
        return {one.table.number: reason for one, reason in ended if reason != NOT_BEGUN}

    def _note(self, noted: ShownTables, made: Collection[str], etag: str) -> None:
        """Note which tables are whole; one of which that cannot be noted is made anew by its next run."""
        whole = {name: noted.tables[name].model_copy(update={"whole": True}) for name in made}
        if any(noted.tables[name] != shown for name, shown in whole.items()):
            try:
                self._write(ShownTables(tables={**noted.tables, **whole}), etag)
            except TributaryError as error:
                logger.warning("raw tables not noted", extra={"error": type(error).__name__})

    def _known(self) -> tuple[ShownTables, str]:
        key = object_keys.raw_tables(self.plan.source)
        if self.bucket.read(key) is None:
            self.bucket.create(key, body(ShownTables()))
        found = self.bucket.read(key)
        if found is None:
            raise StorageUnavailable(f"{key} is gone")
        return ShownTables.model_validate_json(found[0]), found[1]

    def _write(self, tables: ShownTables, etag: str) -> str:
        key = object_keys.raw_tables(self.plan.source)
        written = self.bucket.replace(key, body(tables), etag)
        if written is None:
            raise StorageUnavailable(f"{key} was changed meanwhile")
        return written

    def _name(self, one: Loaded) -> str:
        return external_tables.table_name(self.plan.source, one.table.raw_name)

    def _wanted(self, before: ShownTables, one: Loaded) -> Shown:
        """Return what the external table is to be: as it was, with more columns, or of this run on alone."""
        columns, was = external_tables.columns(one.table), before.tables.get(self._name(one))
        if was is None or any(was.columns.get(name, type) != type for name, type in columns.items()):
            return Shown(columns=columns, since=self.plan.run_id)
        grown = columns.keys() - was.columns.keys()
        return was.model_copy(
            update={"columns": {**was.columns, **columns}, "whole": was.whole and not grown}
        )

    def _ask(self, tables: Mapping[str, tuple[str, Shown]]) -> Found:
        names = [name for name, _ in tables.values()]
        since = {table: self._since(shown) for table, (_, shown) in tables.items()}
        standing, partitions, runs = self._rows(
            "ask",
            external_tables.existing(self.raw.schema, names),
            external_tables.partition_counts(self.raw.schema, names),
            control.count_runs_with_chunks(self.plan.source, since),
        )
        return Found(frozenset(str(row[0]) for row in standing), _counts(partitions), _counts(runs))

    def _rows(self, step: str, *queries: str) -> list[list[Row]]:
        return self.warehouse.run(queries, self._statement(step), wait_s=self._left_s())

    def _left_s(self) -> float:
        return max(self.ends - time.monotonic(), 1.0)

    def _since(self, shown: Shown) -> str:
        return max(shown.since, self.raw.oldest_kept())

    def _statement(self, step: str) -> str:
        return f"tributary/{self.plan.source}/{self.plan.run_id}/raw-tables/{step}"

    def _bring(self, one: Loaded, before: Shown | None, wanted: Shown, found: Found) -> str | None:
        """Bring one external table up to date; return what went wrong, None for nothing."""
        try:
            for statement in self._statements(one, before, wanted, found):
                self.warehouse.run_alone(
                    statement, self._statement(str(one.table.number)), wait_s=self._left_s()
                )
        except TributaryError as error:
            return str(error)
        return None

    def _statements(self, one: Loaded, before: Shown | None, wanted: Shown, found: Found) -> Iterator[str]:
        name, schema = self._name(one), self.raw.schema
        there = name in found.standing
        if before is None or not there or not before.whole or before.since != wanted.since:
            if there:
                yield external_tables.drop_table(schema, name)
            folder = f"s3://{self.bucket.name}/{self.plan.source}/"
            yield external_tables.create_table(schema, name, wanted.columns, folder)
            yield from external_tables.add_partitions(schema, name, list(self._runs(one, wanted)))
            return
        for column, type in wanted.columns.items():
            if column not in before.columns:
                yield external_tables.add_column(schema, name, column, type)
        if found.partitions.get(name, 0) + 1 == found.runs.get(one.table.name, 0):
            this = self._partition(one, self.plan.run_id, one.contents)
            yield from external_tables.add_partitions(schema, name, [this])
        else:
            yield from self._difference(one, wanted)

    def _difference(self, one: Loaded, wanted: Shown) -> Iterator[str]:
        """Yield what brings the partitions to the runs: those that failed before, those that expired."""
        name, schema = self._name(one), self.raw.schema
        [rows] = self._rows("partitions", external_tables.partitions(schema, name))
        shown = dict(external_tables.partition_values(str(row[0])) for row in rows)
        runs = {partition.run_id: partition for partition in self._runs(one, wanted)}
        missing = [partition for run_id, partition in runs.items() if run_id not in shown]
        yield from external_tables.add_partitions(schema, name, missing)
        for run_id in sorted(shown.keys() - runs.keys())[:DROPPED_AT_MOST]:
            yield external_tables.drop_partition(schema, name, run_id, shown[run_id])

    def _runs(self, one: Loaded, wanted: Shown) -> Iterator[Partition]:
        query = control.runs_with_chunks(self.plan.source, one.table.name, self._since(wanted))
        [rows] = self._rows("runs", query)
        for run_id, contents in rows:
            yield self._partition(one, str(run_id), contents or "unknown")

    def _partition(self, one: Loaded, run_id: str, contents: str) -> Partition:
        key = object_keys.manifest(self.plan.source, run_id, one.table.raw_name)
        return Partition(run_id, contents, f"s3://{self.bucket.name}/{key}")


def _counts(rows: Iterable[Row]) -> dict[str, int]:
    return {str(name): int(count or 0) for name, count in rows}
