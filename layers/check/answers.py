"""A function's answer to its example event, without any of its variables.

The answer shows that its own code ran: it names a variable that the template declares and that is not
set. By then the function has been imported, has parsed its event and has created an AWS client.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from queue import Empty, Queue
from typing import Any

from layers.check import emulator
from layers.check.artifact import Function
from layers.check.room import ROOT, Room

MISSING = re.compile(r"environment variable ([A-Z_]+) is not set")


def ask(rie: Path, room: Room, log: Path) -> tuple[list[str], float]:
    """Call the room's function; return what is wrong with its answer, and the seconds of the first one."""
    path = ROOT / "events" / room.function.event
    if not path.is_file():
        return [f"{room.function.name} has no example; write events/{room.function.event}"], 0
    event = json.loads(path.read_text())
    with emulator.running(rie, room, log) as address, listening() as (url, messages):
        if room.function.custom:
            event["ResponseURL"] = url
        answer, took_s = emulator.call(address, event)
        if room.function.custom and not is_error(answer):
            answer = _received(messages)
    fault = (
        of_custom(answer, room.function, event) if room.function.custom else of_state(answer, room.function)
    )
    return [f"{room.function.name} {fault}; its output is in {log}"] if fault else [], took_s


def of_state(answer: Any, function: Function) -> str | None:
    """Say what is wrong with the answer of a function that the state machine calls; None if it is right."""
    kind = answer.get("errorType") if isinstance(answer, dict) else None
    if kind == "ConfigError" and _names_a_variable(answer.get("errorMessage", ""), function):
        return None
    return f"did not ask for a variable but answered {answer}"


def of_custom(answer: Any, function: Function, event: dict[str, Any]) -> str | None:
    """Say what is wrong with the answer to CloudFormation; None if it is right."""
    if not isinstance(answer, dict) or is_error(answer):
        return f"did not answer CloudFormation: {answer}"
    if [answer.get(key) for key in ("StackId", "RequestId", "LogicalResourceId")] != [
        event[key] for key in ("StackId", "RequestId", "LogicalResourceId")
    ]:
        return f"answered another request: {answer}"
    reason = str(answer.get("Reason", ""))
    if answer.get("Status") == "FAILED" and "ConfigError" in reason and _names_a_variable(reason, function):
        return None
    return f"did not ask for a variable but answered CloudFormation with {answer}"


def is_error(answer: Any) -> bool:
    """Say whether the answer is an error's."""
    return isinstance(answer, dict) and "errorType" in answer


@contextmanager
def listening() -> Iterator[tuple[str, Queue[Any]]]:
    """Listen for a custom resource's answer; yield the address and the queue of answers."""
    messages: Queue[Any] = Queue()

    class Listener(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            messages.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/answer", messages
    finally:
        server.shutdown()
        server.server_close()


def _received(messages: Queue[Any]) -> Any:
    try:
        return messages.get(timeout=5)
    except Empty:
        return None


def _names_a_variable(text: str, function: Function) -> bool:
    match = MISSING.search(text)
    return match is not None and match[1] in function.variables
