"""The Lambda Runtime API of one sandbox: AWS's own runtime client gets events here and posts answers.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html; one server per sandbox, because the
client only knows a host and a port, which must identify the sandbox.
"""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import Any, Literal, NamedTuple

PREFIX = "/2018-06-01/runtime"


class Event(NamedTuple):
    """One call, as the runtime receives it."""

    request_id: str
    function_arn: str
    deadline_ms: int
    payload: bytes


class Message(NamedTuple):
    """A request of the runtime: `ready` each time that it asks for an event."""

    kind: Literal["ready", "response", "error", "init_error", "exit"]
    payload: bytes = b""


class RuntimeApi:
    """A server on a free port; `messages` holds the runtime's requests in order."""

    def __init__(self) -> None:
        self.messages: Queue[Message] = Queue()
        self._events: Queue[Event | None] = Queue()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self.messages, self._events))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def address(self) -> str:
        """Return `host:port`, for AWS_LAMBDA_RUNTIME_API."""
        host, port = self._server.server_address[:2]
        return f"{host!s}:{port}"

    def give(self, event: Event) -> None:
        """Give the event to the runtime when it asks next."""
        self._events.put(event)

    def close(self) -> None:
        """Stop the server; a runtime that still waits for work loses its connection."""
        self._events.put(None)
        self._server.shutdown()
        self._server.server_close()


def _handler(messages: Queue[Message], events: Queue[Event | None]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # with the buffer below: 6 ms instead of 88 ms for a call
        wbufsize = -1

        def do_GET(self) -> None:  # only .../invocation/next is requested
            messages.put(Message("ready"))
            event = events.get()
            if event is None:
                self.close_connection = True
                return
            headers = {
                "Lambda-Runtime-Aws-Request-Id": event.request_id,
                "Lambda-Runtime-Invoked-Function-Arn": event.function_arn,
                "Lambda-Runtime-Deadline-Ms": str(event.deadline_ms),
                "Content-Type": "application/json",
            }
            self._reply(200, headers, event.payload)

        def do_POST(self) -> None:
            body = self._body()
            kinds: dict[str, Any] = {"response": "response", "error": "error"}
            kind = kinds[self.path.rpartition("/")[2]]
            messages.put(Message("init_error" if self.path == f"{PREFIX}/init/error" else kind, body))
            self._reply(202, {}, b'{"status":"OK"}')

        def _body(self) -> bytes:
            if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def _reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing: a call's log comes from its handler."""

    return Handler
