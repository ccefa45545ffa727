"""Lambda's Invoke call over HTTP, for boto3, the AWS CLI and the state machine."""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

from local.aws.function import Throttled, UnknownFunction
from local.aws.lambdas import Lambda
from local.aws.sandbox import RESPONSE_LIMIT_BYTES as REQUEST_LIMIT_BYTES

PATH = re.compile(r"^/2015-03-31/functions/([^/]+)/invocations$")
ASYNC_LIMIT_BYTES = 1024 * 1024


class InvokeApi:
    """A WSGI application that answers POST /2015-03-31/functions/<name or ARN>/invocations."""

    def __init__(self, functions: Lambda) -> None:
        self._functions = functions

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request."""
        status, headers, body = self._answer(environ)
        # moto's interpreter reads the request id of every error.
        headers = {"x-amzn-RequestId": str(uuid.uuid4()), "Content-Type": "application/json", **headers}
        headers["Content-Length"] = str(len(body))
        start_response(f"{status} Lambda", list(headers.items()))
        return [body]

    def _answer(self, environ: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        name = function_name(environ["PATH_INFO"])
        payload: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)) or b"{}"
        kind = environ.get("HTTP_X_AMZ_INVOCATION_TYPE", "RequestResponse")
        if len(payload) > (ASYNC_LIMIT_BYTES if kind == "Event" else REQUEST_LIMIT_BYTES):
            return _error(413, "RequestTooLargeException", f"Request of {len(payload)} bytes is too large")
        if self._functions.get(name) is None:
            return _unknown(name)
        if kind == "DryRun":
            return 204, {}, b""
        if kind == "Event":
            threading.Thread(target=self._invoke, args=(name, payload), daemon=True).start()
            return 202, {}, b""
        return self._invoke(name, payload)

    def _invoke(self, name: str, payload: bytes) -> tuple[int, dict[str, str], bytes]:
        try:
            answer = self._functions.invoke(name, payload)
        except UnknownFunction:
            return _unknown(name)
        except Throttled:
            return _error(429, "TooManyRequestsException", "Rate Exceeded.")
        headers = {"X-Amz-Executed-Version": "$LATEST"}
        if answer.failed:
            headers["X-Amz-Function-Error"] = "Unhandled"
        return 200, headers, answer.payload


def function_name(path: str) -> str:
    """Return the bare name in an invocation's path, which may carry an ARN and a qualifier."""
    match = PATH.match(path)
    name = unquote(match[1]) if match else ""
    if name.startswith("arn:"):
        return name.split(":")[6]
    return name.split(":")[0]


def _unknown(name: str) -> tuple[int, dict[str, str], bytes]:
    return _error(404, "ResourceNotFoundException", f"Function not found: {name}")


def _error(status: int, code: str, message: str) -> tuple[int, dict[str, str], bytes]:
    return status, {"x-amzn-ErrorType": code}, json.dumps({"Type": "User", "Message": message}).encode()
