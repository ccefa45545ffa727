"""All that runs write outside the raw bucket's data and the warehouse: messages, logs, payloads, reports.

A value that must never be written begins with PLANTED, or is in PLANTED_OTHERWISE if its type takes no
such text. At the end of a session, all of its output is searched for them.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.aws.function import REGION

PLANTED = "PLANTED"
QUESTIONS = ("DescribeExecution", "GetExecutionHistory")
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
        attributes = queue.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        stack.client("sns").subscribe(
            TopicArn=stack.outputs["TopicArn"], Protocol="sqs", Endpoint=attributes["Attributes"]["QueueArn"]
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
        return [message for message in self.collect() if f"Execution: {execution_arn}" in message["Message"]]


@dataclass
class WrittenOutput:
    """What a stack has written, in pieces: each is returned once, since it does not change later."""

    stack: Any
    mailbox: Mailbox
    _logs: dict[Path, int] = field(default_factory=dict)  # how many bytes of it were given
    _known: set[str] = field(default_factory=set)  # executions that had ended, and reports
    _messages: int = 0

    def new(self) -> Iterator[tuple[str, str]]:
        """Yield place and text of all that was written since the last call."""
        yield from self._new_in_logs()
        yield from self._new_payloads()
        yield from self._new_reports()
        messages = self.mailbox.collect()
        for message in messages[self._messages :]:
            yield "a message", json.dumps(message)
        self._messages = len(messages)

    def _new_in_logs(self) -> Iterator[tuple[str, str]]:
        """Yield the rest of every log, the functions' and the stack's own; a line is given whole."""
        for path in sorted(self.stack.directory.rglob("*.log")):
            if "warehouse" not in path.relative_to(self.stack.directory).parts:
                with path.open("rb") as log:
                    log.seek(self._logs.get(path, 0))
                    rest = log.read()
                self._logs[path] = self._logs.get(path, 0) + rest.rfind(b"\n") + 1
                yield path.name, rest.decode(errors="replace")

    def _new_payloads(self) -> Iterator[tuple[str, str]]:
        """Yield executions' ARNs and histories: inputs, outputs, errors and causes of their states."""
        states = self.stack.client("stepfunctions")
        pages = states.get_paginator("list_executions")
        machine = self.stack.outputs["StateMachineArn"]
        for page in pages.paginate(stateMachineArn=machine):
            for execution in page["executions"]:
                arn = execution["executionArn"]
                if arn not in self._known:
                    answers = [self._states(question, arn) for question in QUESTIONS]
                    if execution["status"] != "RUNNING":  # as it was before its history was read
                        self._known.add(arn)
                    yield arn, "\n".join(answers)

    def _states(self, question: str, arn: str) -> str:
        """Return Step Functions' answer as it is: boto3 takes 20 ms for the times in it."""
        signed = f"AWS4-HMAC-SHA256 Credential=test/20260101/{REGION}/states/aws4_request, Signature="
        headers = {
            "X-Amz-Target": f"AWSStepFunctions.{question}",
            "Content-Type": "application/x-amz-json-1.0",
            "Authorization": signed,
        }
        body = json.dumps({"executionArn": arn}).encode()
        request = urllib.request.Request(self.stack.endpoint_url, body, headers)
        with urllib.request.urlopen(request) as answer:
            text: str = answer.read().decode()
            return text

    def _new_reports(self) -> Iterator[tuple[str, str]]:
        """Yield the reports in the raw bucket, which are written once."""
        s3, bucket = self.stack.client("s3"), self.stack.outputs["RawBucketName"]
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="_runs/"):
            for entry in page.get("Contents", []):
                key = entry["Key"]
                if key.endswith("/report.json") and key not in self._known:
                    self._known.add(key)
                    yield key, s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()


def planted(pieces: Iterable[tuple[str, str]]) -> list[str]:
    """Return the places that hold a planted value, with the text around it."""
    return [
        f"{where}: ...{text[max(at - 100, 0) : at + 100]}..."
        for where, text in pieces
        for value in (PLANTED, *PLANTED_OTHERWISE)
        if (at := text.find(value)) >= 0
    ]
