"""Deploy and delete, asked of a stack that is up by another process of this machine.

Also an execution's end, which Step Functions would have to be asked for again and again.
"""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .aws.template import DeployError

if TYPE_CHECKING:
    from .stack import Stack

PREFIX = "/local-stack/"


class Control:
    """A WSGI application that does what it is asked: one deploy at a time."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request: what stands now, or why it does not."""
        status, told = "200 OK", dict[str, Any]()
        try:
            if environ.get("REMOTE_ADDR") != "127.0.0.1":  # paths of this machine are no one else's affair
                raise DeployError("only a process of the stack's own machine may deploy")
            asked = json.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
            what = environ["PATH_INFO"].removeprefix(PREFIX)
            if what == "await":
                from .aws.interpreter import await_end  # who asks needs nothing of moto

                await_end(asked["execution"], asked["seconds"])
            else:
                with self._lock:
                    told = self._act(what, asked)
        except Exception as error:  # it is the asker's to see
            status = "409 Conflict"
            told = {"error": str(error) if isinstance(error, DeployError) else repr(error)}
        body = json.dumps(told).encode()
        start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    def _act(self, what: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        if what == "delete":
            self._stack.remove()
            return {}
        folders = {name: Path(asked[name]) for name in ("template", "sources") if asked.get(name)}
        deployment = self._stack.update(**folders, parameters=asked.get("parameters"))
        return {
            "outputs": deployment.outputs,
            "functions": deployment.functions,
            "asked": deployment.asked,
        }


def ask(endpoint_url: str, what: str, **asked: Any) -> dict[str, Any]:
    """Ask the stack there, and wait; raises DeployError with its reason, or where there is no stack."""
    body = json.dumps({name: value for name, value in asked.items() if value is not None}).encode()
    request = urllib.request.Request(f"{endpoint_url}{PREFIX}{what}", data=body, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=600) as answer:
            told: dict[str, Any] = json.loads(answer.read())
            return told
    except urllib.error.HTTPError as error:
        raise DeployError(json.loads(error.read())["error"]) from None
    except urllib.error.URLError as error:
        raise DeployError(f"no stack answers at {endpoint_url}: {error.reason}") from None
