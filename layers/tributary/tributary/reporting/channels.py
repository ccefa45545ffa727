"""Where a report goes: a topic, metrics, OpsCenter, and the functions that pause and give access.

The functions are called asynchronously, and a call may be lost: the next run asks again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools import Metrics
from botocore.exceptions import BotoCoreError, ClientError

from tributary.model.plan import AccessEvent, TableAccess
from tributary.observability import logger

ACCESS_BYTES = 200_000  # of one call; an asynchronous one takes 256 KB (Lambda quotas)


@dataclass(frozen=True, slots=True)
class ReportChannels:
    """What Report publishes to, and what it calls."""

    publish: Callable[[str, str, dict[str, str]], None]  # subject, message, attributes
    pause_schedule: Callable[[str], None]  # of a source, by its name
    ops_center: Any  # boto3's client of Systems Manager
    metrics: Metrics
    give_access: Callable[[Sequence[TableAccess]], str | None] = lambda tables: None  # why it failed, if so


def publisher(client: Any, topic_arn: str) -> Callable[[str, str, dict[str, str]], None]:
    """Return what sends a message to the topic."""

    def publish(subject: str, message: str, attributes: dict[str, str]) -> None:
        client.publish(
            TopicArn=topic_arn,
            Subject=subject,
            Message=message,
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
            },
        )

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


def access_giver(client: Any, function: str | None) -> Callable[[Sequence[TableAccess]], str | None]:
    """Return what asks the warehouse's administrator to give tables their access.

    `function` is None if the stack has no administrator.
    """

    def give_access(tables: Sequence[TableAccess]) -> str | None:
        if tables and not function:
            return (
                "access is set in the source's file and was not given, since the stack has no "
                "administrator's secret; deploy with AdminSecretName, or remove access from the file"
            )
        for group in _calls(tables):
            payload = AccessEvent(access=group).model_dump_json().encode()
            try:
                client.invoke(FunctionName=function, InvocationType="Event", Payload=payload)
            except (ClientError, BotoCoreError) as error:
                logger.warning("access not given", extra={"error": type(error).__name__})
                return "access was not given, since its function could not be called; the next run asks again"
        return None

    return give_access


def _calls(tables: Sequence[TableAccess]) -> Iterator[tuple[TableAccess, ...]]:
    """Yield the tables in as few groups as an asynchronous call can carry."""
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
