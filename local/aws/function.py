"""A Lambda function as the local stack knows it, and the answer of a call.

Error names are those of AWS Lambda, because Step Functions matches them by name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ACCOUNT = "123456789012"
REGION = "us-east-1"
NO_ROLE = "none"  # of the self-test, which no policy concerns


@dataclass(frozen=True, slots=True)
class Function:
    """A deployed function.

    `task_root` holds the handler's module. `code` is equal if code and layers are, "" if unknown.
    `reserved` is ReservedConcurrentExecutions: with None, calls wait for a free sandbox; with a number,
    further calls are refused.
    """

    name: str
    task_root: Path
    environment: Mapping[str, str]
    handler: str = "app.handler"
    timeout_s: float = 3
    memory_mb: int = 128
    role: str = NO_ROLE
    reserved: int | None = None
    code: str = ""
    log_group: str = ""

    @property
    def arn(self) -> str:
        """Return the function's ARN."""
        return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{self.name}"


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of one call: the payload, and whether it is the handler's result or an error object.

    `reusable` is False if the process has ended or must end.
    """

    payload: bytes
    failed: bool = False
    reusable: bool = True


def failure(error_type: str, message: str) -> Answer:
    """Return the answer of a call that its sandbox did not survive."""
    body = json.dumps({"errorType": error_type, "errorMessage": message})
    return Answer(body.encode(), failed=True, reusable=False)


class Throttled(Exception):
    """The function's reserved concurrency is used up."""


class UnknownFunction(Exception):
    """No function of that name is deployed."""
