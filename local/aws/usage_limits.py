"""Redshift Serverless's usage limits, which moto lacks: create, list, change and delete.

A workgroup takes one limit of each usage type and period; a second is a conflict.
"""

from __future__ import annotations

import uuid
from typing import Any

from local.aws.json_api import JsonApi, Refused

ACTIONS = ("log", "emit-metric", "deactivate")
PERIODS = ("daily", "weekly", "monthly")

Limit = dict[str, Any]


class UsageLimits(JsonApi):
    """Redshift Serverless's operations on usage limits."""

    def __init__(self) -> None:
        self._limits: dict[str, Limit] = {}
        operations = {
            "CreateUsageLimit": self._create,
            "ListUsageLimits": self._list,
            "UpdateUsageLimit": self._update,
            "DeleteUsageLimit": self._delete,
        }
        super().__init__("redshift-serverless", "RedshiftServerless.", operations)

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        limit = {"period": "monthly", "breachAction": "log", **request}
        if limit["period"] not in PERIODS:
            raise Refused("ValidationException", "no such period")
        _check(limit)
        same = ("resourceArn", "usageType", "period")
        if any(all(other[name] == limit[name] for name in same) for other in self._limits.values()):
            raise Refused("ConflictException", "there is such a limit already")
        limit["usageLimitId"] = str(uuid.uuid4())
        self._limits[limit["usageLimitId"]] = limit
        return {"usageLimit": limit}

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        wanted = {name: request[name] for name in ("resourceArn", "usageType") if name in request}
        limits = [limit for limit in self._limits.values() if wanted.items() <= limit.items()]
        return {"usageLimits": limits}

    def _update(self, request: dict[str, Any]) -> dict[str, Any]:
        limit = {**self._found(request), **request}
        _check(limit)
        self._limits[limit["usageLimitId"]] = limit
        return {"usageLimit": limit}

    def _delete(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"usageLimit": self._limits.pop(self._found(request)["usageLimitId"])}

    def _found(self, request: dict[str, Any]) -> Limit:
        limit = self._limits.get(request["usageLimitId"])
        if limit is None:
            raise Refused("ResourceNotFoundException", "no such usage limit")
        return limit


def _check(limit: Limit) -> None:
    if limit["amount"] < 1 or limit["breachAction"] not in ACTIONS:
        raise Refused("ValidationException", "the amount must be positive and the action must exist")
