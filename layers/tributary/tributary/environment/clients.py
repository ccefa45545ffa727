"""The AWS clients of a process, each made once."""

from __future__ import annotations

from functools import cache
from typing import Any

# An address that never answers must become an error of ours before the function's own time is over: with
# botocore's defaults that takes 5 minutes.
CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 60
ATTEMPTS = 4


@cache
def client(service: str, read_timeout_s: int = READ_TIMEOUT_S) -> Any:
    """Return the process's client of an AWS service, made once."""
    from botocore.config import Config  # importing takes most of a client's time, and not all calls need one

    return _session().client(
        service,
        config=Config(
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=read_timeout_s,
            retries={"mode": "standard", "max_attempts": ATTEMPTS},
        ),
    )


@cache
def _session() -> Any:
    """Return the one session, whose clients share what they have read of AWS's services."""
    from boto3.session import Session

    return Session()
