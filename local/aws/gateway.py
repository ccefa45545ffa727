"""One port for all of AWS: each request goes to the stand-in for the service in its signature's scope.

Nothing is authenticated: any credentials and any region work; there is one account and one region. The
`guard` may refuse requests that a role may not make. Signed requests keep to the limits of AWS's services.
Requests that match no route go to moto, as do unsigned requests and S3's virtual hosts. Requests are
counted by caller and service.
"""

from __future__ import annotations

import functools
import io
import json
import re
import socket
import threading
import traceback
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from http import HTTPStatus
from typing import Any, NamedTuple

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

from local.aws import interpreter, request_limits
from local.aws.function import REGION

App = Callable[[dict[str, Any], Any], Iterable[bytes]]
Match = Callable[[str, dict[str, Any]], bool]
# Answers a request of an access key for a service if the caller may not make it, else returns None.
Guard = Callable[[str, str, dict[str, Any], Any], Iterable[bytes] | None]

# Credential=<access key>/<date>/<region>/<service>/aws4_request
SCOPE = re.compile(r"(Credential=(?P<key>[^/]+)/\d+/)[^/]*/(?P<service>[^/]+)(?=/aws4_request)")

BODILESS = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


class SignedRequest(NamedTuple):
    """A kind of signed request: the access key, the service, the method and the target.

    `whole` if the target is a bucket or the service, not one object.
    """

    key: str
    service: str
    method: str
    whole: bool


class Gateway:
    """A threaded HTTP server; `moto` is the application behind all routes."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        dispatcher = DomainDispatcherApplication(create_backend_app)
        # moto lists its own folder for each request to find the service.
        vars(dispatcher)["get_backend_for_host"] = functools.cache(dispatcher.get_backend_for_host)
        self.moto: App = dispatcher
        self._routes: list[tuple[Match, App]] = []
        self.guard: Guard = lambda key, service, environ, start_response: None
        self._counting = threading.Lock()
        self.requests: Counter[SignedRequest] = Counter()
        self.connections: set[socket.socket] = set()
        self._server: BaseWSGIServer = make_server(
            host, port, self, threaded=True, request_handler=QuietRequestHandler
        )
        interpreter.prepare(self.port)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """Return the port."""
        return self._server.port

    @property
    def url(self) -> str:
        """Return the address for clients on this machine."""
        return f"http://127.0.0.1:{self.port}"

    def route(self, match: Match, app: App) -> None:
        """Send requests that `match(service, environ)` accepts to the application; the first match wins."""
        self._routes.append((match, app))

    def stop(self) -> None:
        """Stop listening and close open connections."""
        self._server.shutdown()
        self._server.server_close()
        for connection in tuple(self.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request."""
        key, service = self._one_region(environ)
        refused = self.guard(key, service, environ, start_response)
        if refused is not None:
            return refused
        if refusal := request_limits.refusal(service, environ) if service else None:
            status, kind, body = refusal
            headers = [("Content-Type", kind), ("Content-Length", str(len(body)))]
            start_response(status, [*headers, ("x-amzn-RequestId", "local")])
            return [body]
        if environ.get("HTTP_X_AMZ_TARGET") == "AWSStepFunctions.StartExecution":
            name_execution(environ)
        app = next((app for match, app in self._routes if match(service, environ)), self.moto)
        return app(environ, start_response)

    def _one_region(self, environ: dict[str, Any]) -> tuple[str, str]:
        """Return access key and service of the request, "" if unsigned; set its region to ours."""
        header: str = environ.get("HTTP_AUTHORIZATION", "")
        match = SCOPE.search(header)
        if match is None:
            return "", ""
        environ["HTTP_AUTHORIZATION"] = SCOPE.sub(rf"\g<1>{REGION}/\g<service>", header, count=1)
        whole = "/" not in environ["PATH_INFO"].strip("/")
        with self._counting:
            self.requests[
                SignedRequest(match["key"], match["service"], environ["REQUEST_METHOD"], whole)
            ] += 1
        return match["key"], match["service"]


def name_execution(environ: dict[str, Any]) -> None:
    """Name an execution that was started without a name, as Step Functions does; moto names it `None`."""
    request = json.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
    body = json.dumps({**request, "name": request.get("name") or str(uuid.uuid4())}).encode()
    environ["wsgi.input"] = io.BytesIO(body)
    environ["CONTENT_LENGTH"] = str(len(body))


class QuietRequestHandler(MotoRequestHandler):
    """A request handler that keeps its connection open and logs no line per request.

    werkzeug closes the connection after each request; the new thread and socket take half of a short call.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # send an answer's head and body together

    def setup(self) -> None:
        """Let the gateway close the connection when it stops."""
        super().setup()
        gateway: Any = self.server.app
        gateway.connections.add(self.connection)

    def finish(self) -> None:
        """Forget the connection."""
        gateway: Any = self.server.app
        gateway.connections.discard(self.connection)
        super().finish()

    def handle_expect_100(self) -> bool:
        """Tell the client to send the body."""
        self.send_response_only(HTTPStatus.CONTINUE)
        self.end_headers()
        self.wfile.flush()
        return True

    def run_wsgi(self) -> None:
        """Answer one request. Its body is read to the end, because the next request starts there."""
        environ = self.make_environ()
        chunked = environ.get("wsgi.input_terminated")
        size = -1 if chunked else int(self.headers.get("Content-Length") or 0)
        environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(size))
        try:
            status, headers, body = _answer(self.server.app, environ)
        except Exception:
            self.server.log("error", f"{self.command} {self.path}:\n{traceback.format_exc()}")
            status, headers, body = "500 Internal Server Error", [], b""
        code, _, reason = status.partition(" ")
        self.send_response(int(code), reason)
        for name, value in headers:
            self.send_header(name, value)
        if not any(name.lower() == "content-length" for name, _ in headers):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and int(code) not in BODILESS:
            self.wfile.write(body)

    def log(self, type: str, message: str, *args: Any) -> None:
        """Log nothing."""


def _answer(app: App, environ: dict[str, Any]) -> tuple[str, list[tuple[str, str]], bytes]:
    """Return the whole answer: status, headers and body."""
    response: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], *_: Any) -> None:
        response[:] = status, headers

    parts = app(environ, start_response)
    try:
        body = b"".join(parts)
    finally:
        if hasattr(parts, "close"):
            parts.close()
    status, headers = response
    return status, headers, body
