"""Operations of an AWS service that moto does not have, answered over its JSON protocol."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Operation = Callable[[dict[str, Any]], dict[str, Any]]


class Refused(Exception):
    """An exception of the API by its name; `fields` are returned beside its message."""

    def __init__(self, name: str, message: str, **fields: Any) -> None:
        super().__init__(message)
        self.name = name
        self.fields = fields


class JsonApi:
    """A WSGI application for some operations of one service, one request at a time.

    `prefix` precedes the operation's name in a request's header.
    """

    def __init__(self, service: str, prefix: str, operations: Mapping[str, Operation]) -> None:
        self._service, self._prefix, self._operations = service, prefix, operations
        self._lock = threading.Lock()

    def claims(self, service: str, environ: dict[str, Any]) -> bool:
        """Say whether this application handles the request; moto handles the service's others."""
        return service == self._service and self._operation(environ) in self._operations

    def _operation(self, environ: dict[str, Any]) -> str:
        target: str = environ.get("HTTP_X_AMZ_TARGET", "")
        return target.removeprefix(self._prefix)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request."""
        operation = self._operations[self._operation(environ)]
        request = json.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)) or b"{}")
        try:
            with self._lock:
                status, answer = "200 OK", operation(request)
        except Refused as refused:
            status = "400 Bad Request"
            answer = {"__type": refused.name, "message": str(refused), **refused.fields}
        body = json.dumps(answer).encode()
        headers = [("Content-Type", "application/x-amz-json-1.1"), ("Content-Length", str(len(body)))]
        start_response(status, [*headers, ("x-amzn-RequestId", str(uuid.uuid4()))])
        return [body]
