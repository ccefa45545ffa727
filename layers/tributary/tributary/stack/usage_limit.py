"""The monthly limit of a Redshift Serverless workgroup, for which CloudFormation has no resource.

The workgroup is the stack's own, and so is its monthly limit of compute: there is one at most, which is made,
changed, or taken away, each time as often as it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tributary.errors import LoadFailed, WarehouseUnavailable

COMPUTE, PERIOD = "serverless-compute", "monthly"
BUSY = ("InternalServerException", "ThrottlingException", "ConflictException")


def keep(client: Any, workgroup_arn: str, *, amount: int, action: str) -> None:
    """Have the workgroup limited to so many RPU-hours a month; `action`: what Redshift does at the limit.

    Raises WarehouseUnavailable where the service is busy, LoadFailed where it refuses.
    """
    with _translated():
        standing = _standing(client, workgroup_arn)
        if standing is None:
            client.create_usage_limit(
                resourceArn=workgroup_arn,
                usageType=COMPUTE,
                period=PERIOD,
                amount=amount,
                breachAction=action,
            )
        elif (standing["amount"], standing["breachAction"]) != (amount, action):
            client.update_usage_limit(
                usageLimitId=standing["usageLimitId"], amount=amount, breachAction=action
            )


def remove(client: Any, workgroup_arn: str) -> None:
    """Take the workgroup's monthly limit away, where it and the limit are still there."""
    with _translated():
        standing = _standing(client, workgroup_arn)
        if standing:
            client.delete_usage_limit(usageLimitId=standing["usageLimitId"])


def _standing(client: Any, workgroup_arn: str) -> dict[str, Any] | None:
    try:
        pages = client.get_paginator("list_usage_limits").paginate(
            resourceArn=workgroup_arn, usageType=COMPUTE
        )
        found: list[dict[str, Any]] = [limit for page in pages for limit in page["usageLimits"]]
    except client.exceptions.ResourceNotFoundException:
        return None
    return next((limit for limit in found if limit["period"] == PERIOD), None)


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
        raise WarehouseUnavailable(
            f"Redshift Serverless could not be reached: {type(error).__name__}; deploy again"
        ) from None
