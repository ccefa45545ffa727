"""Custom resources: the local stack calls their functions with CloudFormation's own events.

moto leaves a stack with a custom resource half created. A function answers as on AWS: by a PUT to a URL.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from local.aws.function import ACCOUNT, REGION
from local.aws.lambdas import Lambda
from local.aws.template import DeployError, Tree

PREFIX = "/local-custom-resource/"
Request = Literal["Create", "Update", "Delete"]


@dataclass(slots=True)
class CustomResource:
    """A custom resource of the stack; `data` is its function's last answer."""

    name: str
    kind: str
    properties: dict[str, Tree]
    physical_id: str = ""
    data: dict[str, str] = field(default_factory=dict)


class CustomResources:
    """Calls the functions; it is also the WSGI application at the ResponseURL."""

    def __init__(self, functions: Lambda, url: str) -> None:
        self._functions = functions
        self._url = url
        self._lock = threading.Lock()
        self._answers: dict[str, dict[str, Any]] = {}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Receive a function's answer."""
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        with self._lock:
            self._answers[environ["PATH_INFO"].removeprefix(PREFIX)] = json.loads(body)
        start_response("200 OK", [("Content-Length", "0")])
        return [b""]

    def request(
        self, kind: Request, resource: CustomResource, *, old: Mapping[str, Tree] | None = None
    ) -> None:
        """Call the resource's function and store its answer; raises DeployError if it fails."""
        event = self._event(kind, resource, old)
        function = str(resource.properties["ServiceToken"]).rpartition(":")[2]
        outcome = self._functions.invoke(function, json.dumps(event).encode())
        with self._lock:
            answer = self._answers.pop(event["RequestId"], None)
        if answer is None:
            message = outcome.payload.decode(errors="replace") if outcome.failed else "it returned"
            raise DeployError(f"{resource.name}: {function} never answered the {kind} event: {message}")
        if answer.get("Status") != "SUCCESS":
            raise DeployError(f"{resource.name}: {kind} failed: {answer.get('Reason', 'no reason given')}")
        resource.physical_id = answer.get("PhysicalResourceId", "")
        resource.data = {key: str(value) for key, value in (answer.get("Data") or {}).items()}

    def _event(
        self, kind: Request, resource: CustomResource, old: Mapping[str, Tree] | None
    ) -> dict[str, Any]:
        request_id = str(uuid.uuid4())
        event: dict[str, Any] = {
            "RequestType": kind,
            "RequestId": request_id,
            "ResponseURL": f"{self._url}{PREFIX}{request_id}",
            "StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/tributary/local",
            "LogicalResourceId": resource.name,
            "ResourceType": resource.kind,
            "ResourceProperties": as_texts(resource.properties),
        }
        if kind != "Create":
            event["PhysicalResourceId"] = resource.physical_id
        if kind == "Update":
            event["OldResourceProperties"] = as_texts(old if old is not None else resource.properties)
        return event


def as_texts(tree: Tree) -> Tree:
    """Return the tree with every scalar as text, as CloudFormation passes properties."""
    if isinstance(tree, Mapping):
        return {key: as_texts(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [as_texts(item) for item in tree]
    return str(tree).lower() if isinstance(tree, bool) else str(tree)
