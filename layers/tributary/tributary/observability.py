"""The logger and the metrics of every function, created here and nowhere else.

A log line is a fixed message with data as fields: never a row's value, a parameter, a secret or a whole
event. Source is the only dimension of metrics: figures per table are in `etl_control`, the report and the
logs, which cost nothing more.
"""

from __future__ import annotations

import errno
import functools
import json
from collections.abc import Callable
from pathlib import Path
from traceback import extract_tb
from typing import Any, TypeVar

from aws_lambda_powertools import Logger

from tributary.errors import InternalError, TributaryError
from tributary.visible_text import visible


def log_line(fields: dict[str, Any]) -> str:
    """Return a log line: JSON escapes line breaks, and hidden characters are escaped on top."""
    return visible(json.dumps(fields, default=str, separators=(",", ":"), ensure_ascii=False))


logger = Logger(service="tributary", utc=True, log_uncaught_exceptions=False, json_serializer=log_line)

ResultT = TypeVar("ResultT")
REFUSALS = ("AccessDenied", "AccessDeniedException", "AuthorizationError", "KMSAccessDenied")


def guarded(handler: Callable[..., ResultT]) -> Callable[..., ResultT]:
    """Let only Tributary's own errors out of a handler.

    A foreign exception's text may hold values of rows: it is reduced to its type and place.
    """

    @functools.wraps(handler)
    def call(event: dict[str, Any], context: Any) -> ResultT:
        logger.clear_state()  # a warm function still has the fields of its last call
        try:
            return handler(event, context)
        except TributaryError as error:
            logger.error("failed", extra={"error": type(error).__name__, "reason": str(error)})
            raise
        except Exception as error:
            bug = reduced(error)
            logger.error("failed", extra={"error": "InternalError", "reason": str(bug)})
            raise bug from None

    return call


def reduced(error: Exception) -> InternalError:
    """Return a foreign exception reduced to its type and place, or the message that the disk is full."""
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return InternalError(
            "no room is left in the function's /tmp; give it more EphemeralStorage in template.yaml"
        )
    if (code := error_code(error)) in REFUSALS:
        operation = getattr(error, "operation_name", "a call")
        return InternalError(f"AWS refused {operation}: {code}; check the function's role")
    return InternalError(f"{type(error).__name__} {place(error)}; this is a bug, please report it")


def error_code(error: Exception) -> str | None:
    """Return the code of botocore's ClientError, None for another error; botocore is not imported for it."""
    response = getattr(error, "response", None)
    return response.get("Error", {}).get("Code") if isinstance(response, dict) else None


def place(error: BaseException) -> str:
    """Return where the error was raised, innermost frame first: `at load.py:88, load.py:40, app.py:31`."""
    frames = reversed(extract_tb(error.__traceback__)[-4:])
    return "at " + ", ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)
