"""TLS in front of a PostgreSQL server whose build has none, as a pooler provides it."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread


@contextmanager
def tls_front(port: int, key: Path, certificate: Path) -> Iterator[int]:
    """Yield a port where every connection must be encrypted and then goes on to the other port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as door:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    peer, _ = door.accept()
                    Thread(target=_carry, args=(peer, port, context), daemon=True).start()

        Thread(target=serve, daemon=True).start()
        yield door.getsockname()[1]
        with suppress(OSError):
            door.shutdown(socket.SHUT_RDWR)


def _carry(peer: socket.socket, port: int, context: ssl.SSLContext) -> None:
    with suppress(OSError), peer:
        if len(peer.recv(8)) != 8:  # the SSLRequest
            return
        peer.sendall(b"S")
        with (
            context.wrap_socket(peer, server_side=True) as inner,
            socket.create_connection(("127.0.0.1", port)) as server,
        ):
            Thread(target=_pour, args=(server, inner), daemon=True).start()
            _pour(inner, server)


def _pour(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while block := source.recv(65_536):
            target.sendall(block)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
