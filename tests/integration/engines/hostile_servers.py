"""Small servers that speak the start of a protocol, and then what no real server would send."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from threading import Thread

from pydantic import SecretStr

from tributary.secret import Secret

Play = Callable[[socket.socket], None]


@contextmanager
def server(play: Play) -> Iterator[Secret]:
    """Yield the secret of a server that plays that part with each peer, and then closes the connection."""
    with closing(socket.create_server(("127.0.0.1", 0))) as door:

        def perform(peer: socket.socket) -> None:
            with peer, suppress(OSError):
                play(peer)

        def serve() -> None:
            with suppress(OSError):
                while True:
                    peer, _ = door.accept()
                    Thread(target=perform, args=(peer,), daemon=True).start()

        Thread(target=serve, daemon=True).start()
        yield Secret(
            host="127.0.0.1",
            port=door.getsockname()[1],
            username="reader",
            password=SecretStr("not-in-clear"),
            dbname="shop",
            sslmode="disable",
        )
        with suppress(OSError):
            door.shutdown(socket.SHUT_RDWR)


def message(code: bytes, content: bytes) -> bytes:
    """Return a message of PostgreSQL's."""
    return code + struct.pack("!I", len(content) + 4) + content


def authentication(method: int, more: bytes = b"") -> bytes:
    return message(b"R", struct.pack("!I", method) + more)


def packet(number: int, content: bytes) -> bytes:
    """Return a packet of MySQL's."""
    return struct.pack("<I", len(content))[:3] + bytes([number]) + content


def greeting(plugin: bytes) -> bytes:
    """Return a MySQL server's first packet: protocol 10, with authentication by plugins."""
    capabilities = 0x0008_AA0F | 0x8000 | 0x0020_0000
    return packet(
        0,
        b"\x0a8.4.0\0"
        + struct.pack("<I", 7)
        + b"saltsalt\0"
        + struct.pack("<HBHHB", capabilities & 0xFFFF, 45, 2, capabilities >> 16, 21)
        + bytes(10)
        + b"moresaltmore\0"
        + plugin
        + b"\0",
    )


def switch(plugin: bytes, data: bytes = b"saltsaltsaltsaltsalt\0") -> bytes:
    return packet(2, b"\xfe" + plugin + b"\0" + data)


def saying(*parts: bytes) -> Play:
    """Send each part after the peer has sent something; the first at once if it is a greeting."""

    def play(peer: socket.socket) -> None:
        for part in parts:
            if not part.startswith(b"G"):
                peer.recv(65_536)
            peer.sendall(part.removeprefix(b"G"))
        while peer.recv(65_536):
            pass

    return play
