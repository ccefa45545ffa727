"""All that runs tell outside of the raw bucket's data and the warehouse: messages, logs, payloads, reports.

A value that must never be told begins with PLANTED, or stands in PLANTED_OTHERWISE where its type takes
no such text. What a session told is searched for them at its end.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PLANTED = "PLANTED"
PLANTED_OTHERWISE = ("7152233749", "04.321987", "06:05:04")  # as a number, a fraction, a time of day


@dataclass
class Mailbox:
    """A queue that is subscribed to the stack's topic, and what it has received."""

    queue: Any
    url: str
    messages: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def open(cls, stack: Any) -> Mailbox:
        """Subscribe a new queue to the topic: messages sent from now on arrive in it."""
        queue = stack.client("sqs")
        url = queue.create_queue(QueueName="mailbox")["QueueUrl"]
        found = queue.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        stack.client("sns").subscribe(
            TopicArn=stack.outputs["TopicArn"], Protocol="sqs", Endpoint=found["Attributes"]["QueueArn"]
        )
        return cls(queue, url)

    def collect(self) -> list[dict[str, Any]]:
        """Return every message so far."""
        while True:
            received = self.queue.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10)
            if not received.get("Messages"):
                return self.messages
            for message in received["Messages"]:
                self.messages.append(json.loads(message["Body"]))
                self.queue.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])

    def about(self, execution_arn: str) -> list[dict[str, Any]]:
        """Return the messages about one execution."""
        return [told for told in self.collect() if f"Execution: {execution_arn}" in told["Message"]]


def logs(directory: Path) -> Iterator[tuple[str, str]]:
    """Yield name and text of every log under the directory: the functions' and the stack's own."""
    for path in sorted(directory.rglob("*.log")):
        if "warehouse" not in path.parts:
            yield path.name, path.read_text(errors="replace")


def payloads(stack: Any) -> Iterator[tuple[str, str]]:
    """Yield every execution's ARN and history: inputs, outputs, errors and causes of its states."""
    states = stack.client("stepfunctions")
    pages = states.get_paginator("list_executions")
    for page in pages.paginate(stateMachineArn=stack.outputs["StateMachineArn"]):
        for execution in page["executions"]:
            arn = execution["executionArn"]
            told = [states.describe_execution(executionArn=arn), *stack.history(arn)]
            yield arn, json.dumps(told, default=str)


def reports(stack: Any) -> Iterator[tuple[str, str]]:
    """Yield every report in the raw bucket."""
    s3, bucket = stack.client("s3"), stack.outputs["RawBucketName"]
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="_runs/"):
        for entry in page.get("Contents", []):
            if entry["Key"].endswith("/report.json"):
                content = s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
                yield entry["Key"], content.decode()


def everything(stack: Any, directory: Path, mailbox: Mailbox) -> Iterator[tuple[str, str]]:
    """Yield where and what of all that was told so far."""
    yield from logs(directory)
    yield from payloads(stack)
    yield from reports(stack)
    for message in mailbox.collect():
        yield "a message", json.dumps(message)


def planted(told: Iterator[tuple[str, str]]) -> list[str]:
    """Return the places that hold a planted value, with what stands around it."""
    return [
        f"{where}: ...{text[max(at - 100, 0) : at + 100]}..."
        for where, text in told
        for value in (PLANTED, *PLANTED_OTHERWISE)
        if (at := text.find(value)) >= 0
    ]
