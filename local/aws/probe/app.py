"""The self-test's function: it waits, fails on request, and returns its process id."""

import os
import time
from typing import Any


class ProbeError(Exception):
    """The failure that the self-test asks for."""


def handler(event: dict[str, Any], context: Any) -> int:
    """Return the process's id."""
    if event["fail"]:
        raise ProbeError("as asked")
    time.sleep(event["wait_s"])
    return os.getpid()
