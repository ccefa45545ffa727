"""The executions of the state machine: a lease is taken over when its holder's execution has ended."""

from __future__ import annotations

from typing import Any


def is_running(client: Any, execution_arn: str) -> bool:
    """Return whether the execution still runs; `client` is boto3's of Step Functions."""
    try:
        answer = client.describe_execution(executionArn=execution_arn)
    except client.exceptions.ExecutionDoesNotExist:  # an ended execution is kept for 90 days
        return False
    return bool(answer["status"] == "RUNNING")
