"""Where a random source is read from: the server that is written to, a copy of it, or a pooler before it.

A copy applies transactions in the order of their commits. So a table of one row, written after each commit,
tells up to when the copy has everything.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import Any, Protocol

import pg8000.native

from local.databases.postgres import HOST

from .company import Row, Source

MODES = {
    "merged": "mode: merge, cursor: stamp",
    "versions": "mode: history, cursor: stamp",
    "images": "mode: replace",
    "log": "mode: append, cursor: stamp",
    "events": "mode: append, cursor: id",
}
APPENDED = ("log", "events")

# A watermark stops a second before the clock, and MariaDB gives the age of a transaction in whole seconds.
MARGIN_S = {"postgresql": 1.2, "mysql": 3.2}

OVERLAP_S, COMMITS_WITHIN_S = 6, 3.5  # no transaction of a copy's primary writes for longer than the overlap
IDS_OVERLAP, IDS_WITHIN = 40, 20  # the same in values of a counter


@dataclass
class Place:
    """The server itself: a run that begins now sees what was committed until now."""

    source: Source
    alters = True  # DDL reaches the place

    def mode(self, name: str) -> str:
        """Return the lines of the source's file about a table's mode and cursor."""
        return MODES[name]

    def create(self, definitions: Sequence[str]) -> None:
        """Create the tables."""
        self.source.sql(*definitions)

    def may_commit(self, *, age_s: float, ids_behind: int) -> bool:
        """Say whether a transaction of that age may commit, whose ids are that far behind the newest."""
        return True

    def wrote(self) -> None:
        """Take note that something was committed."""

    def complete_until(self) -> float:
        """Return the time before which everything that was committed is at the place."""
        return time.monotonic()

    def appended_until(self, began: float, settled: float) -> float:
        """Return up to when a run appends what was committed, with no open transaction before `settled`."""
        return settled - MARGIN_S[self.source.engine] - 0.8

    def columns(self, name: str) -> set[str] | None:
        """Return the columns that the table has at the place, None if all DDL is there."""
        return None

    def disturb(self, number: float) -> str | None:
        """Do something to the place itself, chosen by a number below 1; return what it was."""
        return None

    def settle(self) -> None:
        """Return once the next run brings everything that was committed."""
        time.sleep(MARGIN_S[self.source.engine])

    def begin_run(self) -> None:
        """Prepare the place for a run."""

    def end_run(self) -> None:
        """Check that a run has left the place as it was."""


class CopiedSource(Protocol):
    """A source that is written to at one server and read from another."""

    def copy_sql(self, *statements: str) -> list[Row]: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def arrived(self) -> None: ...


@dataclass
class Copy(Place):
    """A copy: a run sees what has arrived, and the overlap covers the primary's transactions."""

    copied: CopiedSource
    alters: bool = True
    stopped: bool = False

    def mode(self, name: str) -> str:
        # An append is an hour late where transactions are hidden, and by a counter it is refused.
        line = MODES[name].replace("append", "merge")
        if "cursor" not in line:
            return line
        return f"{line}, overlap: {IDS_OVERLAP if name == 'events' else f'{OVERLAP_S} seconds'}"

    def create(self, definitions: Sequence[str]) -> None:
        self._create([*definitions, "CREATE TABLE beats (id int PRIMARY KEY, at double precision NOT NULL)"])
        self.source.sql(f"INSERT INTO beats VALUES (1, {time.monotonic()})")
        self.copied.arrived()

    def _create(self, definitions: Sequence[str]) -> None:
        self.source.sql(*definitions)

    def may_commit(self, *, age_s: float, ids_behind: int) -> bool:
        return age_s < COMMITS_WITHIN_S and ids_behind < IDS_WITHIN

    def wrote(self) -> None:
        self.source.sql(f"UPDATE beats SET at = {time.monotonic()}")

    def complete_until(self) -> float:
        rows = self.copied.copy_sql(f"SELECT at FROM {self._schema()}.beats")
        return float(rows[0][0]) if rows else -math.inf

    def appended_until(self, began: float, settled: float) -> float:
        return began

    def columns(self, name: str) -> set[str] | None:
        query = (
            "SELECT column_name FROM information_schema.columns "
            f"WHERE table_name = '{name}' AND table_schema = '{self._schema()}'"
        )
        return {str(column) for (column,) in self.copied.copy_sql(query)}

    def disturb(self, number: float) -> str | None:
        if self.stopped:
            self.copied.resume()
        elif number < 0.3:
            self.copied.pause()
        else:
            return None
        self.stopped = not self.stopped
        return "the copy is stopped" if self.stopped else "the copy goes on"

    def settle(self) -> None:
        if self.stopped:
            self.disturb(0)
        time.sleep(OVERLAP_S + MARGIN_S[self.source.engine])
        self.wrote()
        self.copied.arrived()

    def _schema(self) -> str:
        return "public" if self.source.engine == "postgresql" else self.source.name


@dataclass
class Subscriber(Copy):
    """A subscriber's database, to which no DDL is replicated."""

    alters: bool = False

    def _create(self, definitions: Sequence[str]) -> None:
        self.copied.subscribe(*definitions)  # type: ignore[attr-defined]


LEAKS = (
    "SELECT 1",
    "SET search_path = nowhere",
    "SET DateStyle = 'German, DMY'",
    "SET extra_float_digits = -15",
    "SET default_transaction_read_only = on",
    "SET row_security = off",
    "SET quote_all_identifiers = on",
    "SET statement_timeout = '2s'",
    "SET ROLE pg_monitor",
    "CREATE TEMP TABLE IF NOT EXISTS merged (id int)",
)
SETTINGS = """
SELECT current_user::text || pg_catalog.string_agg(s.name || '=' || s.setting, ' ' ORDER BY s.name)
FROM pg_catalog.pg_settings AS s WHERE s.name <> 'application_name'
"""
SESSIONS = 4  # of the application at once, fewer than the pooler has server connections


@dataclass
class Pooled(Place):
    """A pooler that hands out server connections for a transaction each, to an application too."""

    port: int
    left: dict[int, str] = field(default_factory=dict)  # server process -> settings that the application left
    fresh: str | None = None  # settings of a new server connection
    leak: int = 0

    def begin_run(self) -> None:
        """Let the application change settings of its sessions, as a transaction pooler lets it do."""
        self.fresh = self.fresh or next(iter(self._see().values()))
        self.leak += 1
        with ExitStack() as sessions:
            for session in self._sessions(sessions):
                session.run(LEAKS[self.leak % len(LEAKS)])
                session.run("COMMIT")
        self.left |= self._see()

    def end_run(self) -> None:
        """Check that the application's sessions have the settings that it left, and can write."""
        for process, settings in self._see().items():
            expected = self.left.get(process, self.fresh)
            assert settings == expected, f"a run has changed settings: {settings}, not {expected}"

    def _see(self) -> dict[int, str]:
        with ExitStack() as sessions:
            return {
                session.run("SELECT pg_catalog.pg_backend_pid()")[0][0]: session.run(SETTINGS)[0][0]
                for session in self._sessions(sessions)
            }

    def _sessions(self, sessions: ExitStack) -> list[Any]:
        opened = [sessions.enter_context(closing(self._connect())) for _ in range(SESSIONS)]
        for session in opened:  # each takes another server connection
            session.run("BEGIN")
        return opened

    def _connect(self) -> pg8000.native.Connection:
        return pg8000.native.Connection(
            "postgres", host=HOST, port=self.port, database=self.source.name, ssl_context=False
        )
