"""Requests to a running stack from another process on this machine: deploy, delete, wait for an execution.

Waiting here saves the caller from polling Step Functions.
"""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from local.aws.template import DeployError

PREFIX = "/local-stack/"


class Deployed(Protocol):
    """What a deploy answers."""

    @property
    def outputs(self) -> dict[str, str]:
        """Return the stack's outputs."""

    @property
    def functions(self) -> dict[str, str]:
        """Return the functions' physical names by logical id."""

    @property
    def events(self) -> tuple[str, ...]:
        """Return the events that custom resources were sent."""


class Deployable(Protocol):
    """A stack that can be updated and deleted."""

    def update(
        self,
        *,
        template: Path | None = None,
        sources: Path | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> Deployed:
        """Deploy again."""

    def remove(self) -> None:
        """Delete what is deployed."""

    def uses(self) -> list[list[str]]:
        """Return the statements of policies that allowed something."""

    def calls(self) -> dict[str, Any]:
        """Return what IAM allowed: sets of policies, and questions."""

    def refusals(self, role: str, permissions: Sequence[Sequence[Any]]) -> list[str | None]:
        """Return why a role may not do what is listed, None for what it may."""


class Control:
    """A WSGI application that answers the requests, one deploy at a time."""

    def __init__(self, stack: Deployable) -> None:
        self._stack = stack
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request with the result, or with the reason why it failed."""
        status, answer = "200 OK", dict[str, Any]()
        try:
            if environ.get("REMOTE_ADDR") != "127.0.0.1":  # a request may name any path of this machine
                raise DeployError("only a process on the stack's own machine may deploy")
            request = json.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
            action = environ["PATH_INFO"].removeprefix(PREFIX)
            if action == "await":
                from local.aws.interpreter import await_end  # the client of this module does not need moto

                await_end(request["execution"], request["seconds"])
            else:
                with self._lock:
                    answer = self._act(action, request)
        except Exception as error:  # the caller must see it
            status = "409 Conflict"
            answer = {"error": str(error) if isinstance(error, DeployError) else repr(error)}
        body = json.dumps(answer).encode()
        start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    def _act(self, action: str, request: Mapping[str, Any]) -> dict[str, Any]:
        if action == "uses":
            return {"uses": self._stack.uses()}
        if action == "calls":
            return self._stack.calls()
        if action == "refusals":
            return {"refusals": self._stack.refusals(request["role"], request["permissions"])}
        if action == "delete":
            self._stack.remove()
            return {}
        folders = {name: Path(request[name]) for name in ("template", "sources") if request.get(name)}
        deployment = self._stack.update(**folders, parameters=request.get("parameters"))
        return {
            "outputs": deployment.outputs,
            "functions": deployment.functions,
            "events": deployment.events,
        }


def ask(endpoint_url: str, action: str, **request: Any) -> dict[str, Any]:
    """Send a request to the stack and wait; raises DeployError with its reason, or if there is no stack."""
    body = json.dumps({name: value for name, value in request.items() if value is not None}).encode()
    sent = urllib.request.Request(f"{endpoint_url}{PREFIX}{action}", data=body, method="POST")
    try:
        with urllib.request.urlopen(sent, timeout=600) as response:
            answer: dict[str, Any] = json.loads(response.read())
            return answer
    except urllib.error.HTTPError as error:
        raise DeployError(json.loads(error.read())["error"]) from None
    except urllib.error.URLError as error:
        raise DeployError(f"no stack answers at {endpoint_url}: {error.reason}") from None
