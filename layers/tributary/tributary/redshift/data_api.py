"""The Redshift Data API: batches in, states and rows out, its refusals as ours.

A batch is one transaction and one session. It is submitted with a stable token, so that sending it
twice runs it once, and its name carries source and run, so that a take-over finds what an older
run left under way. SQL errors are not exceptions of the API: they arrive as a FAILED statement.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from tributary.errors import LoadFailed, WarehouseUnavailable

BUSY = (
    "ThrottlingException",
    "ActiveStatementsExceededException",
    "ActiveSessionsExceededException",
    "ActiveWaitingRequestsExceededException",
    "InternalServerException",
    "ServiceUnavailable",
)
UNDER_WAY = ("SUBMITTED", "PICKED", "STARTED")
CONFLICT = re.compile(
    r"\b1023\b|\b1018\b|Serializable isolation violation|deadlock detected|\b40001\b|\b40P01\b"
)
CODE = re.compile(r"ERROR:\s*(?:\[?SQL ?state:?)?\s*(\d{4,5}\b|[0-9A-Z]{5}\b(?=:))")
CAUSES = (  # safe to repeat: words of the warehouse in which no value stands
    "permission denied",
    "does not exist",
    "Value too long for character type",
    "value too long",
    "Found multiple matches to update the same tuple",
    "Cannot insert a NULL value",
    "out of range",
    "Spectrum Scan Error",
    "division by zero",
    "Divide by zero",
    "canceling statement",
    "is not a valid JSON",
    "invalid input syntax",
    "already exists",
    "other objects depend on it",
)

Row = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class State:
    """Where a statement is: `failed_at` is the 0-based place of the failed one in its batch.

    `failed_query` is the number under which the system views know that one. `message` is the
    warehouse's own text and may hold values: only `reason` may go further.
    """

    status: str
    message: str = ""
    failed_at: int | None = None
    failed_query: int | None = None
    duration_ms: int = 0
    parts: tuple[str, ...] = ()

    @property
    def under_way(self) -> bool:
        """Say whether the statement has not ended yet."""
        return self.status in UNDER_WAY

    @property
    def finished(self) -> bool:
        """Say whether the whole batch was committed."""
        return self.status == "FINISHED"

    @property
    def conflict(self) -> bool:
        """Say whether a concurrent transaction was in the way, so that repeating it may pass."""
        return CONFLICT.search(self.message) is not None

    @property
    def reason(self) -> str:
        """Return the error reduced to its code and a cause that holds no value."""
        if self.status == "ABORTED":
            return "the statement was cancelled"
        code = CODE.search(self.message)
        cause = next((cause for cause in CAUSES if cause in self.message), None)
        known = [part for part in (code and f"code {code[1]}", cause) if part]
        return ", ".join(known) or "the warehouse gave no known reason; look the statement up by its id"


@dataclass(frozen=True, slots=True)
class Warehouse:
    """A warehouse behind the Data API.

    `where` holds the API's words for it: Database with WorkgroupName, or with ClusterIdentifier and DbUser.
    """

    client: Any
    where: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return what tells this warehouse from others."""
        return " ".join(f"{word}={self.where[word]}" for word in sorted(self.where))

    def submit(self, statements: Sequence[str], name: str, token: str = "") -> str:
        """Send the statements as one transaction and return its id, the same one for the same token."""
        with translated():
            token = hashlib.sha256("\n".join([name, token, *statements]).encode()).hexdigest()
            answer = self.client.batch_execute_statement(
                Sqls=list(statements), StatementName=name, ClientToken=token, **self.where
            )
        identifier: str = answer["Id"]
        return identifier

    def submit_alone(self, statement: str, name: str) -> str:
        """Send a statement that is to run outside any transaction; return its id, one for each name."""
        with translated():
            token = hashlib.sha256("\n".join([name, statement]).encode()).hexdigest()
            answer = self.client.execute_statement(
                Sql=statement, StatementName=name, ClientToken=token, **self.where
            )
        identifier: str = answer["Id"]
        return identifier

    def run_alone(self, statement: str, name: str, *, wait_s: float) -> None:
        """Run one statement outside any transaction, as some of Redshift's own must be.

        Raises LoadFailed where it fails, WarehouseUnavailable where it takes longer than `wait_s`.
        """
        with translated():
            answer = self.client.execute_statement(Sql=statement, StatementName=name, **self.where)
        state = self.wait(answer["Id"], wait_s=wait_s)
        if not state.finished:
            raise LoadFailed(f"{name}: statement {answer['Id']} failed: {state.reason}")

    def state(self, identifier: str) -> State:
        """Return where the statement is."""
        with translated():
            told = self.client.describe_statement(Id=identifier)
        parts = told.get("SubStatements", [])
        failed = [place for place, part in enumerate(parts) if part["Status"] in ("FAILED", "ABORTED")]
        return State(
            status=told["Status"],
            message=told.get("Error", ""),
            failed_at=failed[0] if failed else None,
            failed_query=parts[failed[0]].get("RedshiftQueryId") if failed else None,
            duration_ms=max(told.get("Duration", 0), 0) // 1_000_000,
            parts=tuple(part["Id"] for part in parts),
        )

    def rows(self, identifier: str) -> list[Row]:
        """Return the rows of a finished (sub-)statement as texts."""
        rows: list[Row] = []
        token: dict[str, str] = {}
        while True:
            with translated():
                page = self.client.get_statement_result(Id=identifier, **token)
            rows.extend(tuple(map(_text, record)) for record in page["Records"])
            if not page.get("NextToken"):
                return rows
            token = {"NextToken": page["NextToken"]}

    def run(self, statements: Sequence[str], name: str, *, wait_s: float = 240) -> list[list[Row]]:
        """Run the statements as one transaction and return the rows of each, [] where it gives none.

        Raises LoadFailed where one fails, WarehouseUnavailable where it takes longer than `wait_s`.
        """
        identifier = self.submit(statements, name, token=str(time.time_ns()))
        state = self.wait(identifier, wait_s=wait_s)
        if not state.finished:
            raise LoadFailed(f"{name}: statement {identifier} failed: {state.reason}")
        return [self.rows(part) if _gives_rows(sql) else [] for sql, part in self._parts(statements, state)]

    def _parts(self, statements: Sequence[str], state: State) -> Iterator[tuple[str, str]]:
        return zip(statements, state.parts, strict=True)

    def wait(self, identifier: str, *, wait_s: float) -> State:
        """Return the statement's state once it has ended; raises WarehouseUnavailable after `wait_s`."""
        give_up = time.monotonic() + wait_s
        pause_s = 0.05
        while (state := self.state(identifier)).under_way:
            if time.monotonic() > give_up:
                raise WarehouseUnavailable(f"statement {identifier} is still {state.status} after {wait_s} s")
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.5, 2.0)
        return state

    def under_way(self, prefix: str) -> list[str]:
        """Return the ids of the statements that have not ended and whose names begin with the prefix."""
        found: list[str] = []
        for status in UNDER_WAY:
            with translated():
                pages = self.client.get_paginator("list_statements").paginate(
                    StatementName=prefix, Status=status, RoleLevel=True
                )
                found.extend(statement["Id"] for page in pages for statement in page["Statements"])
        return found

    def cancel(self, identifier: str) -> None:
        """Ask the warehouse to cancel a statement; one that has just ended is left as it is."""
        try:
            self.client.cancel_statement(Id=identifier)
        except ClientError as error:
            if error.response["Error"]["Code"] in BUSY:
                raise WarehouseUnavailable("the Data API is busy") from None


def _gives_rows(sql: str) -> bool:
    return sql.lstrip().upper().startswith(("SELECT", "WITH"))


def _text(field: dict[str, Any]) -> str | None:
    if field.get("isNull"):
        return None
    return str(next(iter(field.values())))


@contextmanager
def translated() -> Iterator[None]:
    """Turn the API's refusals into ours: their code, never their text."""
    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in BUSY:
            raise WarehouseUnavailable(f"the Redshift Data API answered {code}") from None
        raise LoadFailed(
            f"the Redshift Data API refused the request: {code}; "
            "check workgroup, database and the function's role"
        ) from None
    except ParamValidationError:
        raise LoadFailed(
            "the Redshift Data API takes no such request; check workgroup or cluster, and database"
        ) from None
    except BotoCoreError as error:
        raise WarehouseUnavailable(
            f"the Redshift Data API could not be reached: {type(error).__name__}"
        ) from None
