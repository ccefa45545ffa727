"""The answer of a custom resource, which CloudFormation gets whatever happens to the function.

A resource that never answers blocks its stack for its whole ServiceTimeout. So this module imports the
standard library alone, and a handler imports this module alone before it can answer: a missing or broken
package is answered too.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from traceback import extract_tb
from typing import Any

BODY_AT_MOST = 4096  # bytes of a whole answer (crpg-ref-responses)
SPARE_S = 20.0  # of the function's time, reserved for the answer
ATTEMPTS = 3


def conduct(
    event: dict[str, Any],
    context: Any,
    physical_id: str,
    act: Callable[[dict[str, Any]], None],
    undo: Callable[[dict[str, Any]], None] | None = None,
) -> None:
    """Act on the event and answer it once, shortly before the function's time is over at the latest.

    `act` gets the resource's properties on Create and Update. It must be repeatable: an event may come
    twice, and a failed update is followed by one back to the old properties. `undo` gets them on Delete;
    without it, Delete changes nothing. The physical id never changes, so no update replaces the resource.
    """
    answer = Answer(event, physical_id)
    left_s = context.get_remaining_time_in_millis() / 1000
    late = f"not done after {left_s:.0f} s, which is the function's time; deploy again to continue"
    alarm = threading.Timer(left_s - min(SPARE_S, left_s / 4), answer.send, ("FAILED", late))
    alarm.daemon = True
    alarm.start()
    status, reason = "SUCCESS", ""
    try:
        if event["RequestType"] != "Delete":
            act(event["ResourceProperties"])
        elif undo:
            undo(event["ResourceProperties"])
    except BaseException as error:  # of any kind: CloudFormation must get an answer
        status, reason = "FAILED", reason_of(error)
    finally:
        alarm.cancel()
    answer.send(status, reason)


class Answer:
    """The one answer to an event: the first one that is sent counts."""

    def __init__(self, event: dict[str, Any], physical_id: str) -> None:
        self._url = event["ResponseURL"]
        self._fields = {
            "PhysicalResourceId": physical_id,
            "StackId": event["StackId"],
            "RequestId": event["RequestId"],
            "LogicalResourceId": event["LogicalResourceId"],
        }
        self._lock = threading.Lock()
        self._sent = False

    def send(self, status: str, reason: str) -> None:
        """Send the answer unless one was sent; raises OSError if it cannot be delivered."""
        with self._lock:
            if not self._sent:
                put(self._url, body({"Status": status, **self._fields}, reason))
                self._sent = True
                log({"level": "INFO", "message": "answered", "status": status})


def body(fields: dict[str, str], reason: str) -> bytes:
    """Return the answer, with as many of the reason's lines as CloudFormation's limit allows."""
    lines = reason.splitlines()
    shown, left = len(lines), len(reason)
    while True:
        more = f"\n({len(lines) - shown} more lines are in the function's log)" if shown < len(lines) else ""
        text = "\n".join(lines[:shown])[:left] + more
        answer = json.dumps({**fields, "Reason": text}, ensure_ascii=False).encode()
        if len(answer) <= BODY_AT_MOST:
            return answer
        if shown > 1:
            shown -= 1
        else:
            left //= 2


def put(url: str, content: bytes) -> None:
    """Put the content to the URL, with retries; raises OSError if all of them fail."""
    if not url.startswith(("https://", "http://")):  # a file: would be opened too
        raise OSError("the ResponseURL is not a web address")
    for attempt in range(1, ATTEMPTS + 1):
        request = urllib.request.Request(url, data=content, headers={"Content-Type": ""}, method="PUT")  # noqa: S310
        try:
            urllib.request.urlopen(request, timeout=4).close()  # noqa: S310
        except OSError:
            if attempt == ATTEMPTS:
                raise
            time.sleep(attempt)
        else:
            return


def reason_of(error: BaseException) -> str:
    """Return and log the reason: the message of an error of ours, else the error's type and place."""
    name = type(error).__name__
    if any(kind.__name__ == "TributaryError" for kind in type(error).__mro__):
        reason = f"{name}: {error}"
    else:  # a foreign message may hold anything
        frames = reversed(extract_tb(error.__traceback__)[-4:])
        at = ", ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)
        reason = f"{name} at {at}; this is a bug, please report it"
    log({"level": "ERROR", "message": "failed", "error": name, "reason": reason})
    return reason


def log(line: dict[str, str]) -> None:
    """Write a line to the function's log."""
    print(json.dumps(line), flush=True)
