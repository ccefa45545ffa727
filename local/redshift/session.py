"""Sessions of the warehouse: PostgreSQL connections as a database user, in Redshift's settings."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from pg8000.exceptions import DatabaseError, InterfaceError

from local.databases.postgres import Postgres
from local.redshift import bootstrap
from local.redshift.errors import SqlError, translated
from local.redshift.names import quote

SETTINGS = {
    "default_transaction_isolation": "'repeatable read'",  # Redshift's SNAPSHOT, its default
    "standard_conforming_strings": "off",
    "escape_string_warning": "off",
    "backslash_quote": "on",
    "enable_nestloop": "off",  # Redshift joins by hash; without statistics a nested loop takes minutes
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "work_mem": "'128MB'",
    "deadlock_timeout": "'200ms'",
    "search_path": '"$user", public',
    "client_min_messages": "warning",
    "statement_timeout": "'24h'",  # the Data API's own bound
}
Value = str | None


@dataclass(frozen=True, slots=True)
class Column:
    """A result column: its label and its PostgreSQL type."""

    name: str
    type_oid: int
    type_modifier: int


@dataclass(frozen=True, slots=True)
class Result:
    """A statement's result: no `columns` if it is no query; `count` is -1 if no rows are counted."""

    columns: tuple[Column, ...] = ()
    rows: tuple[tuple[Value, ...], ...] = ()
    count: int = -1


class Session:
    """A connection that returns PostgreSQL's texts and raises errors with Redshift's messages."""

    def __init__(self, postgres: Postgres, database: str, user: str) -> None:
        self._connection = postgres.connect(database)
        self._connection.pg_types = defaultdict(lambda: str)
        self.user = user
        self.pid = 0
        try:
            self.begin(user)
            self.pid = int(self._connection.run("SELECT pg_backend_pid()")[0][0])
        except BaseException:
            self.close()
            raise

    def begin(self, user: str) -> None:
        """Begin as the user, with Redshift's settings; raises SqlError if the user does not exist."""
        self.user = user
        if user.startswith("IAMR:"):  # the database user of an IAM role is created at its first call
            bootstrap.ensure_user(self._connection, user)
        self._connection.run("; ".join(f"SET {name} = {value}" for name, value in SETTINGS.items()))
        self.run(f"SET SESSION AUTHORIZATION {quote(user)}")

    def forget(self) -> None:
        """Reset to the state of a new connection: no temporary tables, settings, user or locks."""
        self._connection.run("DISCARD ALL")

    def run(self, sql: str) -> Result:
        """Run one statement; raises SqlError."""
        try:
            rows = self._connection.run(sql)
        except DatabaseError as error:
            raise translated(error) from error
        columns = tuple(
            Column(column["name"], column["type_oid"], column["type_modifier"])
            for column in self._connection.columns or ()
        )
        return Result(columns, tuple(map(tuple, rows or ())), self._connection.row_count)

    def copy(self, sql: str, parts: Iterable[bytes]) -> int:
        """Run a COPY FROM STDIN of the parts and return the number of rows; raises SqlError."""
        try:
            self._connection.run(sql, stream=parts)
        except DatabaseError as error:
            raise translated(error) from error
        return int(self._connection.row_count)

    def close(self) -> None:
        """End the session, and with it a transaction that is still open."""
        self._connection.close()


class Sessions:
    """The sessions of one database. A session that ended without error is reused: a new one takes 5 ms."""

    def __init__(self, postgres: Postgres, database: str) -> None:
        self._postgres = postgres
        self._database = database
        self._free: list[Session] = []
        self._lock = threading.Lock()

    def take(self, user: str) -> Session:
        """Return a fresh session of the user; raises SqlError if the user does not exist."""
        with self._lock:
            session = self._free.pop() if self._free else None
        if session:
            try:
                session.begin(user)
                return session
            except SqlError:
                session.close()
                raise
            except (DatabaseError, InterfaceError, OSError):  # its process has ended since
                with suppress(InterfaceError, OSError):
                    session.close()
        return Session(self._postgres, self._database, user)

    def give_back(self, session: Session) -> None:
        """Take a session back whose transaction has ended."""
        session.forget()
        with self._lock:
            self._free.append(session)

    def close(self) -> None:
        """Close the free sessions."""
        with self._lock:
            free, self._free = self._free, []
        for session in free:
            session.close()
