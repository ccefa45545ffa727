"""Statements: submitted, run in a session of their own, and kept with their results.

A batch is one transaction in one session. A statement's failure is a state, never an exception of the
call that submitted it.
"""

from __future__ import annotations

import itertools
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pg8000.native

from local.databases.postgres import Postgres
from local.redshift import bootstrap, external, loading, loads
from local.redshift.copy_command import Copy
from local.redshift.errors import ApiError, Cancelled, SqlError
from local.redshift.grammar import translate
from local.redshift.loading import Loaded, LoadError
from local.redshift.names import LongNames
from local.redshift.session import Column, Result, Session, Sessions
from local.redshift.translation import Translated

ENDED = ("FINISHED", "FAILED", "ABORTED")
ACTIVE_AT_MOST = 500
AT_ONCE = 50
CANCELLED = "Query cancelled on user's request"
ReadsAs = Callable[[str | None], Any]  # the S3 client of a role, by its ARN


@dataclass(slots=True)
class Part:
    """One SQL text: a whole ExecuteStatement, or one of a batch."""

    sql: str
    query: int
    status: str = "SUBMITTED"
    error: str = ""
    created: float = field(default_factory=time.time)
    updated: float = field(default_factory=time.time)
    started_ns: int = 0
    ended_ns: int = 0
    result: Result = field(default_factory=Result)

    @property
    def has_result_set(self) -> bool:
        """Say whether GetStatementResult has rows or at least columns to show."""
        return self.status == "FINISHED" and bool(self.result.columns)

    @property
    def duration_ns(self) -> int:
        """Return how long the statement ran so far, or in all."""
        return (self.ended_ns or time.monotonic_ns()) - self.started_ns if self.started_ns else 0

    def to(self, status: str, error: str = "") -> None:
        """Move to another status."""
        self.status, self.error, self.updated = status, error, time.time()
        if status == "STARTED":
            self.started_ns = time.monotonic_ns()
        if status in ENDED:
            self.ended_ns = time.monotonic_ns()


@dataclass(slots=True)
class Statement:
    """What one call submitted. `owner` is the caller, `where` the request's fields for the warehouse."""

    id: str
    owner: str
    user: str
    name: str
    parts: list[Part]
    whole: Part
    where: dict[str, str]
    batch: bool
    one_transaction: bool
    parameters: list[dict[str, str]] = field(default_factory=list)
    pid: int = 0
    backend: int = 0  # the pid while it runs: later the number may be another session's
    cancelled: bool = False

    @property
    def active(self) -> bool:
        """Say whether it has not ended yet."""
        return self.whole.status not in ENDED


class Statements:
    """Every statement since the start, and the threads that run them."""

    def __init__(self, postgres: Postgres, database: str) -> None:
        self._postgres = postgres
        self._database = database
        self._sessions = Sessions(postgres, database)
        self._admins: list[pg8000.native.Connection] = []  # those that are free
        self.names: LongNames = bootstrap.create(postgres, database)
        self._known: dict[str, Statement] = {}
        self._tokens: dict[tuple[str, str], str] = {}
        self._queries = itertools.count(int(time.time()) % 1_000_000 + 1)
        self._changed = threading.Condition()
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="warehouse")

    def submit(self, build: Callable[[str], Statement], owner: str, token: str, s3: ReadsAs) -> Statement:
        """Start a statement and return it, or the one that the same caller's token started before."""
        with self._changed:
            known = self._tokens.get((owner, token)) if token else None
            if known:
                return self._known[known]
            if sum(statement.active for statement in self._known.values()) >= ACTIVE_AT_MOST:
                raise ApiError(
                    "ActiveStatementsExceededException", "Active statements exceeded the allowed quota (500)."
                )
            statement = build(str(uuid.uuid4()))
            self._known[statement.id] = statement
            if token:
                self._tokens[owner, token] = statement.id
        self._pool.submit(self._run, statement, s3)
        return statement

    def ensure_admin(self, name: str) -> None:
        """Create the administrator of a secret, as the workgroup's AdminUsername, unless it exists."""
        with self._admin() as admin:
            bootstrap.ensure_user(admin, name, "SUPERUSER")

    def new_part(self, sql: str) -> Part:
        """Return a part with a query number of its own."""
        return Part(sql, next(self._queries))

    def get(self, identifier: str, owner: str) -> Statement | None:
        """Return the caller's statement; others' do not exist for it."""
        statement = self._known.get(identifier)
        return statement if statement and statement.owner == owner else None

    def of(self, owner: str) -> list[Statement]:
        """Return the caller's statements, the newest first."""
        return [s for s in reversed(list(self._known.values())) if s.owner == owner]

    def wait(self, statement: Statement, seconds: float) -> None:
        """Return when the statement has ended or the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: not statement.active, seconds)

    def cancel(self, statement: Statement) -> bool:
        """Cancel a statement; False if it has already ended."""
        with self._changed:
            if not statement.active:
                return False
            statement.cancelled = True
            if statement.backend:  # under the lock: once it is free the session may be another statement's
                with self._admin() as admin:
                    admin.run("SELECT pg_cancel_backend(:pid)", pid=statement.backend)
        return True

    def close(self) -> None:
        """Cancel what runs and wait for its end."""
        for statement in list(self._known.values()):
            self.cancel(statement)
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._sessions.close()
        while self._admins:
            self._admins.pop().close()

    def _run(self, statement: Statement, s3: ReadsAs) -> None:
        try:
            self._execute(statement, s3)
        except SqlError as error:
            self._fail(statement, error)
        except Exception as error:  # a fault of the stand-in must not leave the caller polling forever
            self._fail(
                statement, SqlError(f"internal error of the stand-in: {type(error).__name__}: {error}")
            )
        with self._changed:
            self._changed.notify_all()

    def _execute(self, statement: Statement, s3: ReadsAs) -> None:
        statement.whole.to("PICKED")
        if statement.where["Database"] != self._database:
            raise SqlError(f'database "{statement.where["Database"]}" does not exist')
        with self._session(statement) as session:
            statement.whole.to("STARTED")
            in_block = statement.batch and statement.one_transaction
            for group in [statement.parts] if in_block else [[part] for part in statement.parts]:
                self._transaction(statement, group, session, s3, in_block=in_block)
        with self._changed:
            statement.whole.result = statement.parts[-1].result
            statement.whole.to("FINISHED")

    @contextmanager
    def _session(self, statement: Statement) -> Iterator[Session]:
        """Provide a session; one in which the statement failed or was cancelled is not reused."""
        session = self._sessions.take(statement.user)
        ended_well = False
        statement.backend = statement.pid = session.pid
        try:
            yield session
            ended_well = True
        finally:
            with self._changed:
                statement.backend = 0
                ended_well = ended_well and not statement.cancelled
            if ended_well:
                self._sessions.give_back(session)
            else:
                session.close()

    def _transaction(
        self,
        statement: Statement,
        parts: Sequence[Part],
        session: Session,
        s3: ReadsAs,
        *,
        in_block: bool,
    ) -> None:
        session.run("BEGIN")
        for part in parts:
            _stop_if_cancelled(statement)
            part.to("STARTED")
            translated = translate(part.sql, self.names, in_block=in_block)
            self._remember_names()
            if translated.copy:
                session.run("SELECT stand_in.check_assume_role()")
                self._copy(translated.copy, part, session, s3(translated.copy.role))
            elif translated.change:
                external.change(translated.change, session, s3, part.query)
            else:
                part.result = self._one(translated, session)
            part.to("FINISHED")
        _stop_if_cancelled(statement)
        session.run("COMMIT")

    def _copy(self, copy: Copy, part: Part, session: Session, s3: Any) -> None:
        """Run a COPY; its result stays empty, since what ResultRows counts for one is not documented."""
        try:
            ended: Loaded | LoadError = loading.load(copy, session, s3, part.query)
        except LoadError as error:
            ended = error
        with self._admin() as admin:
            loads.remember(admin, copy, ended, user=session.user, query=part.query, session=session.pid)
        if isinstance(ended, LoadError):
            raise ended

    def _one(self, translated: Translated, session: Session) -> Result:
        for step in translated.before:
            session.run(step)
        result = session.run(translated.sql) if translated.sql else Result()
        for step in translated.after:
            session.run(step)
        return Result(tuple(map(self._labelled, result.columns)), result.rows, result.count)

    def _labelled(self, column: Column) -> Column:
        return Column(self.names.restored(column.name), column.type_oid, column.type_modifier)

    def _fail(self, statement: Statement, error: SqlError) -> None:
        """Record the failure: the part it happened in FAILED, those never reached ABORTED."""
        cancelled = isinstance(error, Cancelled) or statement.cancelled
        text = CANCELLED if cancelled else f"ERROR: {self.names.restored(str(error))}"
        where = ""
        for number, part in enumerate(statement.parts, start=1):
            if part.status == "STARTED":
                part.to("ABORTED" if cancelled else "FAILED", text)
                where = f"Query #{number} failed with " if statement.batch and not cancelled else ""
            elif part.status not in ENDED:
                part.to("ABORTED", "Connection or a prior query failed.")
        with self._changed:
            statement.whole.to("ABORTED" if cancelled else "FAILED", where + text)

    def _remember_names(self) -> None:
        new = self.names.take_new()
        if new:
            with self._admin() as admin:
                for short, full in new.items():
                    admin.run(
                        "INSERT INTO stand_in.long_name VALUES (:short, :full) ON CONFLICT DO NOTHING",
                        short=short,
                        full=full,
                    )

    @contextmanager
    def _admin(self) -> Iterator[pg8000.native.Connection]:
        """Provide a session outside the statement's transaction, for what must outlive its rollback."""
        try:
            connection = self._admins.pop()
        except IndexError:
            connection = self._postgres.connect(self._database)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        self._admins.append(connection)


def _stop_if_cancelled(statement: Statement) -> None:
    if statement.cancelled:
        raise Cancelled(CANCELLED)
