"""Where a report goes: a topic, metrics, OpsCenter, and the functions that pause and give access.

The function that pauses is called asynchronously, and a call may be lost: the next run asks again. The one
that gives access is waited for, since its answer is part of the report.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from aws_lambda_powertools import Metrics
from botocore.exceptions import BotoCoreError, ClientError

from tributary import aws_errors
from tributary.aws_errors import unreachable
from tributary.errors import ServiceUnavailable
from tributary.model.plan import AccessEvent, AccessResult, TableAccess
from tributary.observability import logger

# Codes of SNS, also of the topic's key (API_Publish).
BUSY = aws_errors.BUSY | {"InternalError", "Throttled", "KMSThrottling"}
ACCESS_BYTES = 200_000  # of one call, so that it has a chance to end in its time
ATTEMPTS = 3  # of a call that fails because the warehouse is busy
ATTEMPT_PAUSE_S = 2
ACCESS_S = 400  # after which no further call is made; each may take 240 s
RETRIED = ("WarehouseUnavailable", "ServiceUnavailable")


@dataclass(frozen=True, slots=True)
class AccessReport:
    """What became of the access that a run asked for; tables by their names in the warehouse."""

    obstacle: str | None = None  # why access was not asked for, or was not given to all tables yet
    fault: str | None = None  # why a call failed
    hidden: dict[str, tuple[str, ...]] = field(default_factory=dict)  # new columns that analysts do not see
    failures: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReportChannels:
    """What Report publishes to, and what it calls."""

    publish: Callable[[str, str, dict[str, str]], None]  # subject, message, attributes
    pause_schedule: Callable[[str], None]  # of a source, by its name
    ops_center: Any  # boto3's client of Systems Manager
    metrics: Metrics
    give_access: Callable[[Sequence[TableAccess]], AccessReport] = lambda tables: AccessReport()


def publisher(client: Any, topic_arn: str) -> Callable[[str, str, dict[str, str]], None]:
    """Return what sends a message to the topic; it raises ServiceUnavailable if SNS is busy or away."""

    def publish(subject: str, message: str, attributes: dict[str, str]) -> None:
        try:
            client.publish(
                TopicArn=topic_arn,
                Subject=subject,
                Message=message,
                MessageAttributes={
                    name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
                },
            )
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code not in BUSY:
                raise
            raise ServiceUnavailable(f"SNS answered {code} for the report's message") from None
        except BotoCoreError as error:
            raise ServiceUnavailable(unreachable("SNS", error)) from None

    return publish


def pauser(client: Any, function: str) -> Callable[[str], None]:
    """Return what asks the one function that writes schedules to disable a source's."""

    def pause_schedule(source: str) -> None:
        payload = json.dumps({"pause": source}).encode()
        try:
            client.invoke(FunctionName=function, InvocationType="Event", Payload=payload)
        except (ClientError, BotoCoreError) as error:
            logger.warning("schedule not paused", extra={"error": type(error).__name__})

    return pause_schedule


def access_giver(
    client: Any, function: str | None, clock: Callable[[], float] = time.monotonic
) -> Callable[[Sequence[TableAccess]], AccessReport]:
    """Return what asks the warehouse's administrator to give tables their access.

    `function` is None if the stack has no administrator. `client` waits as long as the function may work.
    """

    def give_access(tables: Sequence[TableAccess]) -> AccessReport:
        if tables and not function:
            return AccessReport(
                "access is set in the source's file and was not given, since the stack has no "
                "administrator's secret; deploy with AdminSecretName, or remove access from the file"
            )
        report, left, deadline = AccessReport(), 0, clock() + ACCESS_S
        for group in _calls(tables):
            if clock() > deadline:
                left += len(group)
                continue
            try:
                result = _ask(client, function or "", group)
            except _CallFailed as error:
                logger.warning("access not given", extra={"reason": str(error)})
                return replace(report, fault=str(error))
            left += result.left
            report.hidden.update(result.hidden)
            report.failures.update(result.failures)
        if left:
            return replace(
                report,
                obstacle=f"access of {left} tables was not set yet, for lack of time; the next run goes on",
            )
        return report

    return give_access


class _CallFailed(Exception):
    """The function that gives access could not be called, or failed."""


def _ask(client: Any, function: str, tables: tuple[TableAccess, ...]) -> AccessResult:
    """Return the function's result; raises _CallFailed, after some attempts if the warehouse is busy."""
    payload = AccessEvent(access=tables).model_dump_json().encode()
    for attempt in range(1, ATTEMPTS + 1):
        try:
            response = client.invoke(FunctionName=function, InvocationType="RequestResponse", Payload=payload)
        except (ClientError, BotoCoreError) as error:
            raise _CallFailed(f"its function could not be called ({type(error).__name__})") from error
        result = response["Payload"].read()
        if "FunctionError" not in response:
            return AccessResult.model_validate_json(result)
        name, message = _error(result)
        if name not in RETRIED:
            break
        if attempt < ATTEMPTS:
            time.sleep(ATTEMPT_PAUSE_S)
    raise _CallFailed(f"its function failed: {name}: {message}")


def _error(payload: bytes) -> tuple[str, str]:
    """Return the name and message of a function's error, which are our own or Lambda's."""
    try:
        error = json.loads(payload)
        return str(error["errorType"]), str(error["errorMessage"])
    except (ValueError, KeyError, TypeError):
        return "Unknown", "see the function's log"


def _calls(tables: Sequence[TableAccess]) -> Iterator[tuple[TableAccess, ...]]:
    """Yield the tables in as few groups as one call should carry."""
    group: list[TableAccess] = []
    left_bytes = ACCESS_BYTES
    for table in tables:
        size_bytes = len(table.model_dump_json().encode())
        if group and size_bytes > left_bytes:
            yield tuple(group)
            group, left_bytes = [], ACCESS_BYTES
        group.append(table)
        left_bytes -= size_bytes
    if group:
        yield tuple(group)
