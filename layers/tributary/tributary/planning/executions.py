"""The executions of the state machine: a lease is taken over when its holder's execution has ended."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tributary.aws_errors import BUSY, unreachable
from tributary.errors import InternalError, ServiceUnavailable


def is_running(client: Any, execution_arn: str) -> bool:
    """Return whether the execution still runs; `client` is boto3's of Step Functions."""
    try:
        answer = client.describe_execution(executionArn=execution_arn)
    except client.exceptions.ExecutionDoesNotExist:  # an ended execution is kept for 90 days
        return False
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in BUSY:
            raise ServiceUnavailable(f"Step Functions answered {code}") from None
        raise InternalError(f"Step Functions refused: {code}; check the function's role") from None
    except BotoCoreError as error:
        raise ServiceUnavailable(unreachable("Step Functions", error)) from None
    return bool(answer["status"] == "RUNNING")
