"""A way to a server that delivers its answers in pieces of any size, and may break off after any byte."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread


class Line:
    """What has come over the line so far, and after how many bytes it breaks off, None for never."""

    def __init__(self, seed: int) -> None:
        self.port = 0
        self.delivered = 0
        self.breaks_after: int | None = None
        self._random = random.Random(seed)

    def break_within(self, size_bytes: int) -> None:
        """Break off at some place of the next bytes."""
        self.breaks_after = self.delivered + self._random.randint(1, size_bytes)

    def pieces(self, content: bytes) -> Iterator[bytes]:
        """Yield the content in pieces, up to where the line breaks off."""
        left = None if self.breaks_after is None else max(0, self.breaks_after - self.delivered)
        content, whole = content[:left], len(content)
        start = 0
        while start < len(content):
            size = self._random.randint(1, self._random.choice([12, 3_000, 200_000]))
            self.delivered += len(content[start : start + size])
            yield content[start : start + size]
            start += size
        if len(content) < whole:
            raise ConnectionError


@contextmanager
def broken_line(port: int, *, seed: int) -> Iterator[Line]:
    """Yield a line whose port leads to the other port."""
    line = Line(seed)
    with socket.create_server(("127.0.0.1", 0)) as door:
        line.port = door.getsockname()[1]

        def serve() -> None:
            with suppress(OSError):
                while True:
                    peer, _ = door.accept()
                    server = socket.create_connection(("127.0.0.1", port))
                    Thread(target=_pour, args=(peer, server, None), daemon=True).start()
                    Thread(target=_pour, args=(server, peer, line), daemon=True).start()

        Thread(target=serve, daemon=True).start()
        yield line
        with suppress(OSError):
            door.shutdown(socket.SHUT_RDWR)


def _pour(source: socket.socket, target: socket.socket, line: Line | None) -> None:
    with suppress(OSError):
        target.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while block := source.recv(1 << 20):
            for piece in line.pieces(block) if line else [block]:
                target.sendall(piece)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
