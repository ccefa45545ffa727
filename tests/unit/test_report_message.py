"""A report's message is sent again if sending it failed, and not once it was sent."""

from __future__ import annotations

import boto3
import pytest
from aws_lambda_powertools import Metrics
from moto import mock_aws

from tributary.errors import ServiceUnavailable
from tributary.reporting.channels import ReportChannels
from tributary.reporting.execution_end import ExecutionEnd
from tributary.reporting.report import report_run
from tributary.storage.bucket import Bucket

ARN = "arn:aws:states:eu-west-1:123456789012:execution:tributary:x"
FAILED = ExecutionEnd("shop", None, ARN, skipped=False, error={"Error": "SecretError", "Cause": "{}"})


class Topic:
    """A topic that is busy at first."""

    def __init__(self) -> None:
        self.busy, self.subjects = 1, list[str]()

    def publish(self, subject: str, message: str, attributes: dict[str, str]) -> None:
        if self.busy:
            self.busy -= 1
            raise ServiceUnavailable("SNS answered Throttled for the report's message")
        self.subjects.append(subject)


def test_a_message_that_could_not_be_sent_is_sent_by_the_next_call_and_then_never_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    topic = Topic()
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="raw")
        metrics = Metrics(namespace="Tributary/test", service="tributary")
        channels = ReportChannels(
            topic.publish, lambda source: None, boto3.client("ssm", region_name="us-east-1"), metrics
        )
        with pytest.raises(ServiceUnavailable):
            report_run(FAILED, Bucket(s3, "raw"), channels)
        for _ in range(2):
            report_run(FAILED, Bucket(s3, "raw"), channels)
    assert len(topic.subjects) == 1
