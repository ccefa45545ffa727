"""The Redshift Data API: submit batches, read states and rows, translate errors.

A batch is one transaction in one session. It is submitted with a stable token, so sending it twice
runs it once. Its name contains source and run, so a take-over finds the statements that an older run
left under way. SQL errors are not exceptions of the API: they are a statement with status FAILED.
"""

from __future__ import annotations

import hashlib
import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from tributary import aws_errors
from tributary.aws_errors import unreachable
from tributary.errors import LoadFailed, WarehouseUnavailable

BUSY = aws_errors.BUSY | {
    "ActiveStatementsExceededException",
    "ActiveSessionsExceededException",
    "ActiveWaitingRequestsExceededException",
    # Faults of the service (HTTP 500), not of the SQL: "an environmental error".
    "BatchExecuteStatementException",
    "ExecuteStatementException",
    "DatabaseConnectionException",
    "QueryTimeoutException",
}
THROTTLED = ("ThrottlingException", "ActiveWaitingRequestsExceededException")
PATIENCE_S = 30.0  # with a throttled call, after the client's own retries
LONG_POLL_S = 20  # of the API's 30 at most
UNDER_WAY = ("SUBMITTED", "PICKED", "STARTED")
CONFLICT = re.compile(
    r"\b1023\b|\b1018\b|Serializable isolation violation|deadlock detected|\b40001\b|\b40P01\b"
    r"|could not open relation with OID"
)
DIVISION_BY_ZERO = re.compile(r"\bdivi(?:sion|de) by zero\b", re.IGNORECASE)
CODE = re.compile(r"ERROR:\s*+(?:\[?SQL ?state:?\s*+)?(\d{4,5}\b|[0-9A-Z]{5}\b(?=:))")
CAUSES = (  # phrases of Redshift that contain no value, so they may be repeated
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

# A COPY of Parquet fails with a Spectrum scan error, whose column is in the text alone. The name ends
# where the text goes on, and the texts contain no value up to there.
SCAN_ERRORS = (
    re.compile(r"The length of the data column (.{1,127}) is longer than the length defined in the table"),
    re.compile(r"has an incompatible Parquet schema for column '[^']{0,1500}\.([^.']{1,127})'"),
)

Row = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class StatementState:
    """The state of a statement or batch."""

    status: str
    message: str = ""  # Redshift's own text; it may contain values, so only `reason` is passed on
    failed_at: int | None = None  # 0-based place of the failed statement in its batch
    failed_query: int | None = None  # its query id in the system views
    duration_ms: int = 0
    statement_ids: tuple[str, ...] = ()  # of the statements in the batch
    without_rows: frozenset[str] = frozenset()  # those of them that returned no row

    @property
    def under_way(self) -> bool:
        """Return whether the statement has not ended yet."""
        return self.status in UNDER_WAY

    @property
    def finished(self) -> bool:
        """Return whether the whole batch was committed."""
        return self.status == "FINISHED"

    @property
    def conflict(self) -> bool:
        """Return whether a concurrent transaction caused the failure, so a retry may succeed."""
        return CONFLICT.search(self.message) is not None

    @property
    def failed_guard_at(self) -> int | None:
        """Return the 0-based place of the guard that stopped the batch, None if no guard did.

        A guard is a statement that divides by zero if its condition no longer holds (`control.fence`).
        """
        return self.failed_at if DIVISION_BY_ZERO.search(self.message) else None

    @property
    def reason(self) -> str:
        """Return the error reduced to its code and a phrase that contains no value."""
        if self.status == "ABORTED":
            return "the statement was cancelled"
        code = CODE.search(self.message)
        cause = next((cause for cause in CAUSES if cause in self.message), None)
        known = [text for text in (code and f"code {code[1]}", cause) if text]
        return ", ".join(known) or "the warehouse gave no known reason; look up the statement by its id"


@dataclass(frozen=True, slots=True)
class Warehouse:
    """A warehouse behind the Data API."""

    client: Any
    # The API's parameters: Database with WorkgroupName, or with ClusterIdentifier and DbUser.
    where: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return a text that identifies this warehouse."""
        return " ".join(f"{parameter}={self.where[parameter]}" for parameter in sorted(self.where))

    def submit(self, statements: Sequence[str], name: str, token: str = "") -> str:
        """Submit the statements as one transaction; return its id, the same one for the same token."""
        token = hashlib.sha256("\n".join([name, token, *statements]).encode()).hexdigest()
        with translated():
            response = patiently(
                self.client.batch_execute_statement,
                Sqls=list(statements),
                StatementName=name,
                ClientToken=token,
                **self.where,
            )
        identifier: str = response["Id"]
        return identifier

    def submit_alone(self, statement: str, name: str) -> str:
        """Submit a statement to run outside a transaction; return its id, the same one for the same name."""
        token = hashlib.sha256("\n".join([name, statement]).encode()).hexdigest()
        with translated():
            response = patiently(
                self.client.execute_statement,
                Sql=statement,
                StatementName=name,
                ClientToken=token,
                **self.where,
            )
        identifier: str = response["Id"]
        return identifier

    def run_alone(self, statement: str, name: str, *, wait_s: float) -> None:
        """Run one statement outside a transaction, as Redshift demands of some.

        Raises LoadFailed if it fails, WarehouseUnavailable if it takes longer than `wait_s`.
        """
        with translated():
            response = patiently(
                self.client.execute_statement, Sql=statement, StatementName=name, **self.where
            )
        state = self.wait(response["Id"], wait_s=wait_s)
        if not state.finished:
            raise LoadFailed(f"{name}: statement {response['Id']} failed: {state.reason}")

    def state(self, identifier: str, *, wait_s: int = 0) -> StatementState:
        """Return the state of the statement, at once or after at most `wait_s` if it is under way.

        A throttled call tells nothing: the statement is taken to be under way, and asked for again later.
        """
        response = self._describe(identifier, wait_s)
        if response is None:
            return StatementState("STARTED")
        statements = response.get("SubStatements", [])
        # The statements after the failed one are ABORTED, and so may be those before it.
        failed = [
            place
            for status in ("FAILED", "ABORTED")
            for place, one in enumerate(statements)
            if one["Status"] == status
        ]
        return StatementState(
            status=response["Status"],
            message=response.get("Error", ""),
            failed_at=failed[0] if failed else None,
            failed_query=statements[failed[0]].get("RedshiftQueryId") if failed else None,
            duration_ms=max(response.get("Duration", 0), 0) // 1_000_000,
            statement_ids=tuple(one["Id"] for one in statements),
            without_rows=frozenset(one["Id"] for one in statements if one.get("ResultRows") == 0),
        )

    def _describe(self, identifier: str, wait_s: int) -> dict[str, Any] | None:
        """Return DescribeStatement's response, None if the call was throttled."""
        waiting = {"WaitTimeSeconds": wait_s} if wait_s else {}
        with translated():
            try:
                response: dict[str, Any] = self.client.describe_statement(Id=identifier, **waiting)
            except ClientError as error:
                if error.response["Error"]["Code"] in THROTTLED:
                    return None
                raise
        return response

    def rows(self, identifier: str) -> list[Row]:
        """Return the rows of a finished (sub-)statement as texts."""
        rows: list[Row] = []
        token: dict[str, str] = {}
        while True:
            with translated():
                page = patiently(self.client.get_statement_result, Id=identifier, **token)
            rows.extend(tuple(map(_text, record)) for record in page["Records"])
            if not page.get("NextToken"):
                return rows
            token = {"NextToken": page["NextToken"]}

    def run(self, statements: Sequence[str], name: str, *, wait_s: float = 240) -> list[list[Row]]:
        """Run the statements as one transaction and return the rows of each, [] if it returns none.

        Raises LoadFailed if one fails, WarehouseUnavailable if a concurrent transaction is the reason or
        it takes longer than `wait_s`.
        """
        identifier = self.submit(statements, name, token=str(time.time_ns()))
        state = self.wait(identifier, wait_s=wait_s)
        if not state.finished:
            kind = WarehouseUnavailable if state.conflict else LoadFailed
            raise kind(f"{name}: statement {identifier} failed: {state.reason}")
        return [
            self.rows(one) if _returns_rows(sql) and one not in state.without_rows else []
            for sql, one in zip(statements, state.statement_ids, strict=True)
        ]

    def wait(self, identifier: str, *, wait_s: float) -> StatementState:
        """Wait for the statement to end and return its state; raises WarehouseUnavailable after `wait_s`."""
        deadline = time.monotonic() + wait_s
        pause_s = 0.05
        while (state := self.state(identifier, wait_s=_long_poll_s(deadline))).under_way:
            if time.monotonic() > deadline:
                raise WarehouseUnavailable(f"statement {identifier} is still {state.status} after {wait_s} s")
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.5, 2.0)
        return state

    def under_way(self, prefix: str) -> list[str]:
        """Return the ids of the statements under way whose names begin with the prefix."""
        identifiers: list[str] = []
        for status in UNDER_WAY:
            filters = {"StatementName": prefix, "Status": status, "RoleLevel": True}
            token: dict[str, str] = {}
            while True:
                with translated():
                    page = patiently(self.client.list_statements, **filters, **token)
                identifiers.extend(statement["Id"] for statement in page["Statements"])
                if not page.get("NextToken"):
                    break
                token = {"NextToken": page["NextToken"]}
        return identifiers

    def cancel(self, identifier: str) -> None:
        """Cancel a statement; one that has just ended is left unchanged."""
        try:
            patiently(self.client.cancel_statement, Id=identifier)
        except ClientError as error:
            if error.response["Error"]["Code"] in BUSY:
                raise WarehouseUnavailable("the Data API is busy") from None


def _long_poll_s(deadline: float) -> int:
    return max(1, min(LONG_POLL_S, int(deadline - time.monotonic())))


def patiently(call: Callable[..., Any], **arguments: Any) -> Any:
    """Call the API again while it throttles: its quotas are shared by all runs of an account."""
    deadline, pause_s = time.monotonic() + PATIENCE_S, 0.2
    while True:
        try:
            return call(**arguments)
        except ClientError as error:
            if error.response["Error"]["Code"] not in THROTTLED or time.monotonic() > deadline:
                raise
        # At random, so that runs do not meet again.
        time.sleep(random.uniform(0.5, 1.0) * pause_s)  # noqa: S311
        pause_s = min(2 * pause_s, 5.0)


def column_of_scan_error(message: str) -> str | None:
    """Return the column that a Spectrum scan error names, None if it names none."""
    matches = (pattern.search(message) for pattern in SCAN_ERRORS)
    return next((match[1] for match in matches if match), None)


def _returns_rows(sql: str) -> bool:
    return sql.lstrip().upper().startswith(("SELECT", "WITH"))


def _text(field: dict[str, Any]) -> str | None:
    if field.get("isNull"):
        return None
    return str(next(iter(field.values())))


@contextmanager
def translated() -> Iterator[None]:
    """Translate the API's errors into ours: the code, never the text."""
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
            "the Redshift Data API rejected the parameters; check workgroup or cluster, and database"
        ) from None
    except BotoCoreError as error:
        raise WarehouseUnavailable(unreachable("the Redshift Data API", error)) from None
