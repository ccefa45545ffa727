"""The monthly limit of a Redshift Serverless workgroup, for which CloudFormation has no resource.

The workgroup is the stack's own, and so is its monthly limit of compute, of which there is at most one.
Every function here is repeatable.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tributary import aws_errors
from tributary.aws_errors import unreachable
from tributary.errors import LoadFailed, WarehouseUnavailable

COMPUTE, PERIOD = "serverless-compute", "monthly"
BUSY = aws_errors.BUSY | {"ConflictException"}


def keep(client: Any, workgroup_arn: str, *, amount: int, action: str) -> None:
    """Limit the workgroup to `amount` RPU-hours a month; `action` is what Redshift does at the limit.

    Raises WarehouseUnavailable if the service is busy, LoadFailed if it refuses.
    """
    with _translated():
        existing = _existing(client, workgroup_arn)
        if existing is None:
            client.create_usage_limit(
                resourceArn=workgroup_arn,
                usageType=COMPUTE,
                period=PERIOD,
                amount=amount,
                breachAction=action,
            )
        elif (existing["amount"], existing["breachAction"]) != (amount, action):
            client.update_usage_limit(
                usageLimitId=existing["usageLimitId"], amount=amount, breachAction=action
            )


def remove(client: Any, workgroup_arn: str) -> None:
    """Delete the workgroup's monthly limit if both still exist."""
    with _translated():
        existing = _existing(client, workgroup_arn)
        if existing:
            client.delete_usage_limit(usageLimitId=existing["usageLimitId"])


def _existing(client: Any, workgroup_arn: str) -> dict[str, Any] | None:
    try:
        pages = client.get_paginator("list_usage_limits").paginate(
            resourceArn=workgroup_arn, usageType=COMPUTE
        )
        limits: list[dict[str, Any]] = [limit for page in pages for limit in page["usageLimits"]]
    except client.exceptions.ResourceNotFoundException:
        return None
    return next((limit for limit in limits if limit["period"] == PERIOD), None)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in BUSY:
            raise WarehouseUnavailable(f"Redshift Serverless answered {code}; deploy again") from None
        raise LoadFailed(
            f"Redshift Serverless refused the usage limit: {code}; check MonthlyRpuHours and the role"
        ) from None
    except BotoCoreError as error:
        raise WarehouseUnavailable(f"{unreachable('Redshift Serverless', error)}; deploy again") from None
