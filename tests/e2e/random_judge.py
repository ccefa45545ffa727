"""What must hold of the warehouse after each run, computed from the driver's own log of commits.

A usual run brings what was committed before it began. A window brings what lies in it, and harms
nothing else. A replay brings nothing: it asks no source, so all that it promises is the state that the
runs before it have made, to the last value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pg8000.native

from .committed import BASE, Committed
from .company import Company
from .compare import full_name, in_source, in_warehouse
from .failure_points import Attempt
from .random_places import APPENDED
from .random_source import RandomSource

State = dict[str, tuple[str, list[tuple[Any, ...]]]]  # each table's columns, and its rows


@dataclass
class Asked:
    """What an execution asks for; `tables` None: all of them. `part`: of a window that leaves rows out."""

    full_refresh: bool = False
    replay: bool = False
    tables: tuple[str, ...] | None = None
    since: str | None = None
    before: str | None = None
    part: bool = False

    @property
    def usual(self) -> bool:
        """Say whether every row that is new is read."""
        return not (self.replay or self.before)

    def __str__(self) -> str:
        fields = {name: value for name, value in vars(self).items() if value}
        return f"run {fields}" if fields else "run"


@dataclass
class Run:
    """One execution: what was committed before it `began` is what it must bring.

    What was committed before it was `settled` may no longer be held back by an open transaction.
    `columns` are each table's of that moment; `altered`: those of which something was, while it ran.
    """

    arn: str
    request: Asked
    began: float
    settled: float
    columns: dict[str, set[str]]
    altered: set[str] = field(default_factory=set)


@dataclass
class Brought:
    """The last run that brought a table all that was committed before `since`."""

    run: Run
    since: float


@dataclass
class Judge:
    """Holds the warehouse against the log of commits. `zombies` are attempts of old runs that are frozen.

    `gone` are the tables of which a part of the raw layer was taken away since they were read whole.
    """

    company: Company
    made: RandomSource
    zombies: list[Attempt] = field(default_factory=list)
    brought: dict[str, Brought] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    first: float | None = None  # when the first run began

    def begin(self, arn: str, request: Asked) -> Run:
        """Return a run that begins now."""
        began = self.made.place.complete_until()
        self.first = self.first or began
        settled = min([began, *(one.began for one in self.made.open), *(one.began for one in self.zombies)])
        columns = {
            name: set(table.columns) if (there := self.made.place.columns(name)) is None else there
            for name, table in self.made.tables.items()
        }
        altered = {name for name, at in self.made.altered_at.items() if at > began}  # it is still to arrive
        return Run(arn, request, began, settled, columns, altered)

    def check(self, run: Run, report: dict[str, Any] | None, before: State | None = None) -> None:
        """Check what a run that was reported has done; `before` is what stood there, of a replay."""
        assert report is not None, "the run has no report"
        if run.request.since and report.get("failure"):
            self.check_refused(run, report["failure"])
            return
        assert report.get("failure") is None, report["failure"]
        table_reports = {table["table"]: table for table in report["tables"]}
        failed = {name for name in self.made.tables if table_reports.get(self._name(name), {}).get("failure")}
        for name in failed:
            self.made.tell(f"  {name} fails: {table_reports[self._name(name)]['failure']['error']}")
        if run.request.replay:
            self.check_replay(run, failed, table_reports, before)
            return
        assert failed <= run.altered, table_reports
        for name in run.request.tables or self.made.tables:
            if name in failed:
                continue
            since = self._since(run, name)
            if run.request.usual or not (run.request.part or name in APPENDED):
                self.brought[name] = Brought(run, since)
            self.made.tables[name].missed &= run.columns[name]
            if name == "images" or (run.request.full_refresh and name != "versions"):
                self.gone.discard(name)  # a history's older versions are in the raw layer alone
        self.check_all()

    def check_all(self) -> None:
        """Check that the warehouse has what the runs have loaded so far."""
        for name, brought in self.brought.items():
            self.check_table(brought, name, self.made.tables[name])

    def check_refused(self, run: Run, failure: dict[str, str]) -> None:
        """Check that a backfill was refused rightly: of a table that must be read whole first."""
        assert failure["error"] == "ConfigError", failure
        assert "must be read whole" in failure["message"], failure
        self.made.tell(f"  refused: {failure['message']}")
        assert any(map(self._is_to_be_read_whole, run.request.tables or ())), failure
        self.check_all()

    def _is_to_be_read_whole(self, name: str) -> bool:
        brought = self.brought.get(name)
        if brought is None or self.made.altered_at.get(name, 0) > brought.run.began:
            return True
        query = f"SELECT watermark FROM public.etl_control WHERE table_name = '{self._name(name)}' "
        with self.warehouse() as session:
            rows = session.run(f"{query} AND source_name = '{self.made.source.name}' ORDER BY run_id")
        return bool(rows) and rows[-1][0] is None

    def check_replay(self, run: Run, failed: set[str], reported: Any, before: State | None) -> None:
        """Check that a replay has changed nothing, and was refused only where the raw layer is not whole."""
        assert failed <= self.gone, reported
        assert {reported[self._name(name)]["failure"]["error"] for name in failed} <= {"ReplayRefused"}, (
            reported
        )
        for name in run.request.tables or self.brought:
            assert self._name(name) in reported, f"{name} was loaded, and is not replayed: {reported}"
        after = self.state() if before is not None else {}
        for name, (columns, rows) in (before or {}).items():
            assert name in after, f"a replay has lost {name}"
            assert after[name][0] == columns, f"{name} has other columns by a replay"
            lost = [row for row in rows if row not in after[name][1]]
            made = [row for row in after[name][1] if row not in rows]
            assert after[name][1] == rows, f"{name} is another by a replay: {columns}: {lost} became {made}"
        self.check_all()

    def _since(self, run: Run, name: str) -> float:
        """Return before when a row must have been committed to be brought by the run."""
        if name in APPENDED:
            settled = min([run.settled, *(zombie.began for zombie in self.zombies)])
            return self.made.place.appended_until(run.began, settled)
        if name == "images" and name not in self.brought:
            return self.first or run.began  # a first image may be carried on from the first run
        return run.began

    def check_table(self, brought: Brought, name: str, table: Committed) -> None:
        """Check one table, by what its mode promises."""
        known = [column for column in table.columns if column in brought.run.columns[name]]
        columns = BASE if name in APPENDED else tuple(known)
        versions = name == "versions"
        shown = ", ".join(["id", *columns])
        rows = self.ask(f"SELECT {shown} FROM {{}}{' WHERE is_current' if versions else ''}", name)
        loaded = {row[0]: row[1:] for row in rows}
        assert len(loaded) == len(rows), f"{name} has rows twice: {rows}"
        if name != "events":  # a counter's horizon is known a run later
            for key, row in table.unchanged_since(brought.since):
                wanted = tuple(row.values[column] for column in columns)
                assert loaded.get(key) == wanted, f"{name}, row {key}: {loaded.get(key)}, not {wanted}"
        base = self.ask(f"SELECT id, {', '.join(BASE)} FROM {{}}", name)
        assert set(base) <= table.ever, f"{name} has what was never committed: {set(base) - table.ever}"
        if brought.run.request.full_refresh or name == "images":
            left = set(loaded) & table.gone_before(brought.since)
            assert not left, f"{name} has rows that were deleted: {left}"
        if versions:
            self.check_versions()

    def check_versions(self) -> None:
        """Assert that a row's versions follow each other and differ."""
        order = "ORDER BY id, valid_from, valid_to NULLS LAST"
        rows = self.ask(
            f"SELECT id, valid_from, valid_to, is_current, row_digest FROM {{}} {order}", "versions"
        )
        assert all(current == (until is None) for _, _, until, current, _ in rows), rows
        for (key, _, until, _, digest), (other, start, _, _, another) in pairwise(rows):
            if key == other:
                assert until, f"row {key} has a version that holds on before another: {rows}"
                assert until <= start, f"versions of row {key} overlap: {rows}"
                assert until < start or digest != another, f"two versions of row {key} are alike: {rows}"

    def exact(self, name: str, columns: Iterable[str]) -> None:
        """Assert that the warehouse has the source's rows and no other, to the last value."""
        source, shown = self.made.source, ", ".join(["id", *columns])
        there = in_source(source, name, shown, "stamp")
        model = self.made.tables[name]
        assert {row[0] for row in there} == set(model.rows), f"the driver's own books of {name} are wrong"
        ours = in_warehouse(source, name, shown, "stamp") if name != "versions" else self._current(shown)
        assert ours == there, f"{name} differs after quiet runs"

    def _current(self, shown: str) -> list[Any]:
        """Return the versions that hold now, as `in_warehouse` shows rows."""
        stamp = "to_char(stamp, 'YYYY-MM-DD HH24:MI:SS.US')"
        return sorted(self.ask(f"SELECT {shown}, {stamp} FROM {{}} WHERE is_current", "versions"), key=repr)

    def state(self) -> State:
        """Return all rows of the source's tables, except when they were loaded."""
        name = self.made.source.name
        rows_of_tables: State = {}
        with self.warehouse() as session:
            listed = session.run(
                "SELECT table_name, string_agg(quote_ident(column_name), ', ' ORDER BY column_name) "
                "FROM information_schema.columns "
                f"WHERE table_schema = '{name}' AND column_name <> 'load_timestamp' GROUP BY table_name"
            )
            for table, columns in listed:
                rows = session.run(f'SELECT {columns} FROM "{name}"."{table}"')
                rows_of_tables[table] = (columns, sorted(map(tuple, rows), key=repr))
        return rows_of_tables

    def ask(self, sql: str, table: str) -> list[tuple[Any, ...]]:
        """Return rows of a table, `{}` in the statement, from the warehouse's own server."""
        with self.warehouse() as session:
            return [tuple(row) for row in session.run(sql.format(f'"{self.made.source.name}"."{table}"'))]

    @contextmanager
    def warehouse(self) -> Iterator[pg8000.native.Connection]:
        """Open a session of the warehouse's own server."""
        session = self.company.warehouse_server()
        try:
            yield session
        finally:
            session.close()

    def _name(self, table: str) -> str:
        return full_name(self.made.source, table)
