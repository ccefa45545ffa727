"""The raw layer's external tables: after each load they get the run's chunks as a partition.

Best effort: a failure is reported, fails no load, and is repaired by the table's next run with rows,
which compares the runs with chunks in `etl_control` with the partitions. `_leases/<source>.raw_tables.json`
records the columns that each external table was created with, because Redshift words types in its own
way, and the first run that these columns fit. It is written before the statements: a table that is not
recorded as whole is recreated.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pydantic import Field

from tributary.errors import StorageUnavailable, TributaryError
from tributary.model import format_3
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
QUERIED_AT_ONCE = 100  # tables of one query
DROPPED_AT_MOST = 20  # partitions of a table in one run, because each is a statement
# A manifest may name chunks that a run read up to 7 days earlier; S3 may expire them a day late.
SOONER_THAN_RAW = timedelta(days=8)
NEVER = "00000000_000000"
NOT_BEGUN = ""  # instead of a reason


class ExternalTable(Lasting):
    """An external table as it was created."""

    columns: dict[str, str]  # types by name
    since: str  # the first run whose chunks have these columns
    whole: bool = False  # false while it is changed, and if that was never seen to end


class ExternalTables(Lasting):
    """The external tables of a source by name."""

    tables: dict[str, ExternalTable] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExternalSchema:
    """The schema of the external tables, and how long the raw layer keeps its files."""

    schema: str
    keep_days: int = 0  # 0: for ever

    def oldest_kept(self) -> str:
        """Return the id of the oldest run whose chunks all still exist."""
        if not self.keep_days:
            return NEVER
        begins = datetime.now(UTC) - timedelta(days=self.keep_days) + SOONER_THAN_RAW
        return run_id_at(begins)


@dataclass(frozen=True, slots=True)
class LoadedTable:
    """A table whose chunks were loaded."""

    table: TablePlan
    contents: str  # of its control row: image, whole or changes


@dataclass(frozen=True, slots=True)
class WarehouseTables:
    """What the warehouse knows of the external tables and of the runs that they should show."""

    existing: frozenset[str]  # external tables
    partitions: dict[str, int]  # how many, by external table
    runs: dict[str, int]  # how many have chunks, by source table


@dataclass(frozen=True, slots=True)
class ExternalTableUpdate:
    """The update of the external tables of a run's source."""

    plan: Plan
    bucket: Bucket
    warehouse: Warehouse
    external: ExternalSchema
    ends: float  # monotonic time at which the rest is left to another call

    def show(self, loaded: Sequence[LoadedTable]) -> dict[int, str | None]:
        """Add the run to the external tables; return by number why a table failed, None if it succeeded.

        Tables are left out if the time is over; the first is always tried.
        """
        reasons: dict[int, str | None] = {}
        for first in range(0, len(loaded), QUERIED_AT_ONCE):
            if reasons and time.monotonic() > self.ends:
                break
            reasons |= self._show(loaded[first : first + QUERIED_AT_ONCE])
        for number, reason in reasons.items():
            if reason:
                logger.warning("raw table behind", extra={"number": number, "reason": reason})
        return reasons

    def _show(self, loaded: Sequence[LoadedTable]) -> dict[int, str | None]:
        try:
            before, etag = self._recorded()
            wanted = {self._name(one): self._wanted(before, one) for one in loaded}
            changed = {name: shown for name, shown in wanted.items() if before.tables.get(name) != shown}
            renamed = self._renamed(loaded)
            kept = {name: table for name, table in before.tables.items() if name not in renamed}
            record = ExternalTables(tables={**kept, **changed})
            etag = self._write(record, etag) if changed else etag
            state = self._query(
                {one.table.name: (self._name(one), wanted[self._name(one)]) for one in loaded}, renamed
            )
        except TributaryError as error:
            return {one.table.number: str(error) for one in loaded}

        def update(place: int) -> str | None:
            one = loaded[place]
            if place and time.monotonic() > self.ends:
                return NOT_BEGUN
            return self._update(one, before.tables.get(self._name(one)), wanted[self._name(one)], state)

        with ThreadPoolExecutor(AT_ONCE) as threads:
            ended = list(zip(loaded, threads.map(update, range(len(loaded))), strict=True))
        updated = {self._name(one) for one, reason in ended if reason is None}
        self._record_whole(record, updated, etag)
        return {one.table.number: reason for one, reason in ended if reason != NOT_BEGUN}

    def _record_whole(self, record: ExternalTables, updated: Collection[str], etag: str) -> None:
        """Record which tables are whole; if that fails, their next run recreates them."""
        whole = {name: record.tables[name].model_copy(update={"whole": True}) for name in updated}
        if any(record.tables[name] != table for name, table in whole.items()):
            try:
                self._write(ExternalTables(tables={**record.tables, **whole}), etag)
            except TributaryError as error:
                logger.warning("external tables not recorded", extra={"error": type(error).__name__})

    def _recorded(self) -> tuple[ExternalTables, str]:
        key = object_keys.raw_tables(self.plan.source)
        if self.bucket.read(key) is None:
            self.bucket.create(key, body(ExternalTables()))
        content = self.bucket.read(key)
        if content is None:
            raise StorageUnavailable(f"{key} is missing")
        return ExternalTables.model_validate_json(content[0]), content[1]

    def _write(self, tables: ExternalTables, etag: str) -> str:
        key = object_keys.raw_tables(self.plan.source)
        written = self.bucket.replace(key, body(tables), etag)
        if written is None:
            raise StorageUnavailable(f"{key} was changed by another run")
        return written

    def _name(self, one: LoadedTable) -> str:
        return external_tables.table_name(self.plan.source, one.table.raw_name)

    def _old_name(self, one: LoadedTable) -> str | None:
        """Return the name that an earlier version gave the table, None if it was the same."""
        old = external_tables.table_name_of_format_3(self.plan.source, one.table.raw_name)
        return None if old == self._name(one) else old

    def _renamed(self, loaded: Sequence[LoadedTable]) -> set[str]:
        """Return the old names of tables, unless one is another table's name by now."""
        return {old for one in loaded if (old := self._old_name(one))} - {self._name(one) for one in loaded}

    def _wanted(self, before: ExternalTables, one: LoadedTable) -> ExternalTable:
        """Return the table as it should be: unchanged, with more columns, or recreated from this run on."""
        columns = external_tables.columns(one.table)
        was = before.tables.get(self._name(one)) or before.tables.get(self._old_name(one) or "")
        if was is None or any(was.columns.get(name, type) != type for name, type in columns.items()):
            return ExternalTable(columns=columns, since=self.plan.run_id)
        grown = columns.keys() - was.columns.keys()
        return was.model_copy(
            update={"columns": {**was.columns, **columns}, "whole": was.whole and not grown}
        )

    def _query(
        self, tables: Mapping[str, tuple[str, ExternalTable]], old_names: Collection[str]
    ) -> WarehouseTables:
        names = [name for name, _ in tables.values()]
        known = [*names, *old_names]
        since = {table: self._since(shown) for table, (_, shown) in tables.items()}
        existing, partitions, runs = self._rows(
            "query",
            external_tables.existing(self.external.schema, known),
            external_tables.partition_counts(self.external.schema, names),
            control.count_runs_with_chunks(self.plan.source, since),
        )
        return WarehouseTables(frozenset(str(row[0]) for row in existing), _counts(partitions), _counts(runs))

    def _rows(self, step: str, *queries: str) -> list[list[Row]]:
        return self.warehouse.run(queries, self._statement(step), wait_s=self._left_s())

    def _left_s(self) -> float:
        return max(self.ends - time.monotonic(), 1.0)

    def _since(self, shown: ExternalTable) -> str:
        return max(shown.since, self.external.oldest_kept())

    def _statement(self, step: str) -> str:
        return f"tributary/{self.plan.source}/{self.plan.run_id}/raw-tables/{step}"

    def _update(
        self, one: LoadedTable, before: ExternalTable | None, wanted: ExternalTable, state: WarehouseTables
    ) -> str | None:
        """Update one external table; return the reason if it fails, else None."""
        try:
            for statement in self._statements(one, before, wanted, state):
                self.warehouse.run_alone(
                    statement, self._statement(str(one.table.number)), wait_s=self._left_s()
                )
        except TributaryError as error:
            return str(error)
        return None

    def _statements(
        self, one: LoadedTable, before: ExternalTable | None, wanted: ExternalTable, state: WarehouseTables
    ) -> Iterator[str]:
        name, schema = self._name(one), self.external.schema
        exists = name in state.existing
        if before is None or not exists or not before.whole or before.since != wanted.since:
            if exists:
                yield external_tables.drop_table(schema, name)
            if (old := self._old_name(one)) in state.existing:
                yield external_tables.drop_table(schema, str(old))
            folder = f"s3://{self.bucket.name}/{self.plan.source}/"
            yield external_tables.create_table(schema, name, wanted.columns, folder)
            yield from external_tables.add_partitions(schema, name, list(self._runs(one, wanted)))
            return
        for column, type in wanted.columns.items():
            if column not in before.columns:
                yield external_tables.add_column(schema, name, column, type)
        if state.partitions.get(name, 0) + 1 == state.runs.get(one.table.name, 0):
            this = self._partition(one, self.plan.run_id, one.contents)
            yield from external_tables.add_partitions(schema, name, [this])
        else:
            yield from self._difference(one, wanted)

    def _difference(self, one: LoadedTable, wanted: ExternalTable) -> Iterator[str]:
        """Yield the statements that add missing partitions and drop those of expired runs."""
        name, schema = self._name(one), self.external.schema
        [rows] = self._rows("partitions", external_tables.partitions(schema, name))
        shown = dict(external_tables.partition_values(str(row[0])) for row in rows)
        runs = {partition.run_id: partition for partition in self._runs(one, wanted)}
        missing = [partition for run_id, partition in runs.items() if run_id not in shown]
        yield from external_tables.add_partitions(schema, name, missing)
        for run_id in sorted(shown.keys() - runs.keys())[:DROPPED_AT_MOST]:
            yield external_tables.drop_partition(schema, name, run_id, shown[run_id])

    def _runs(self, one: LoadedTable, wanted: ExternalTable) -> Iterator[Partition]:
        query = control.runs_with_chunks(self.plan.source, one.table.name, self._since(wanted))
        [rows] = self._rows("runs", query)
        for run_id, contents in rows:
            yield self._partition(one, str(run_id), contents or "unknown")

    def _partition(self, one: LoadedTable, run_id: str, contents: str) -> Partition:
        key = self._manifest(one, run_id)
        return Partition(run_id, contents, f"s3://{self.bucket.name}/{key}")

    def _manifest(self, one: LoadedTable, run_id: str) -> str:
        """Return the key of the run's manifest, which the run's version of Tributary named."""
        now = object_keys.table_folder(one.table.raw_name)
        then = format_3.table_folder(one.table.raw_name)
        key = object_keys.manifest(self.plan.source, run_id, now)
        if now == then or any(stored.key == key for stored in self.bucket.list(key)):
            return key
        return object_keys.manifest(self.plan.source, run_id, then)


def _counts(rows: Iterable[Row]) -> dict[str, int]:
    return {str(name): int(count or 0) for name, count in rows}
