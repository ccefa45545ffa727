"""The driver's connection, with passwords as libpq takes them and limits on what a server may send."""

from __future__ import annotations

from ssl import SSLSocket
from typing import Any

import pg8000.native
from scramp import ScramException  # type: ignore[import-untyped]
from scramp.core import saslprep  # type: ignore[import-untyped]

from tributary.engines.network import LoginRefused, ProtocolBroken
from tributary.visible_text import shortened

# https://www.postgresql.org/docs/current/protocol-message-formats.html, "AuthenticationXXX"
CLEAR_TEXT, SASL, SASL_CONTINUE, SASL_FINAL = 3, 10, 11, 12
TAKEN = (0, CLEAR_TEXT, 5, SASL, SASL_CONTINUE, SASL_FINAL)  # 0: the login is complete; 5: MD5
OTHERS = {2: "Kerberos V5", 6: "SCM credentials", 7: "GSSAPI", 8: "GSSAPI", 9: "SSPI"}
USE_SCRAM = "let the user log in with a password (scram-sha-256 in the server's pg_hba.conf)"
PLAIN = b"x"
MESSAGE_AT_MOST = 64 << 20  # bytes of one message that is read whole: a row of a small query
CHUNK_BYTES = 1 << 20  # of a long message: what was read takes memory, not what is stated


class Messages:
    """The connection's file: a message has at most MESSAGE_AT_MOST bytes, and takes memory as it arrives."""

    def __init__(self, file: Any) -> None:
        self._read = file.read
        self.read1, self.readinto1 = file.read1, file.readinto1  # rows: their reader has its own limits
        self.write, self.flush, self.close = file.write, file.flush, file.close

    def read(self, size: int) -> bytes:
        """Return that many bytes, fewer at the end; raises ProtocolBroken for an impossible length."""
        if size <= CHUNK_BYTES:
            if size < 0:
                raise ProtocolBroken
            content: bytes = self._read(size)
            return content
        if size > MESSAGE_AT_MOST:
            raise ProtocolBroken
        pieces: list[bytes] = []
        while size and (piece := self._read(min(CHUNK_BYTES, size))):
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)


class Handlers(dict[bytes, Any]):
    """The driver's handlers of messages by their codes."""

    def __missing__(self, code: bytes) -> Any:
        raise ProtocolBroken


class Connection(pg8000.native.Connection):  # type: ignore[misc]
    """A connection whose password may hold what SASLprep prohibits: it is then taken raw, as by libpq.

    The server stored it raw too. The user's name is no part of PostgreSQL's SCRAM: the server takes it from
    the start-up message. (https://www.postgresql.org/docs/current/sasl-authentication.html)
    """

    user: Any
    password: Any

    def __setattr__(self, name: str, value: Any) -> None:
        """Take the driver's file and handlers, which it makes and uses in its constructor, with limits."""
        if name == "_sock" and value is not None:
            value = Messages(value)
        elif name == "message_types":
            value = Handlers(value)
        super().__setattr__(name, value)

    def handle_AUTHENTICATION_REQUEST(self, data: Any, context: Any) -> None:  # noqa: N802 (the driver's)
        """Answer the server's request to log in."""
        method = int.from_bytes(data[:4], "big")
        if method == CLEAR_TEXT and not isinstance(self._usock, SSLSocket):
            raise LoginRefused(
                "wants the password in clear text, which anyone on a network without TLS can read; set "
                '"sslmode" in the secret to verify-full, or scram-sha-256 in the server\'s pg_hba.conf'
            )
        if method not in TAKEN or len(data) < 4:
            name = OTHERS.get(method, f"method {method}")
            raise LoginRefused(f"wants a login by {name}, which is not supported; {USE_SCRAM}")
        if method != SASL or self.password is None:
            super().handle_AUTHENTICATION_REQUEST(data, context)
            return
        mechanisms = [name.decode(errors="replace") for name in data[4:].split(b"\0") if name]
        if not any(name.startswith("SCRAM-") for name in mechanisms):
            raise LoginRefused(
                f"wants a login by {shortened(', '.join(mechanisms))}, which is not supported; {USE_SCRAM}"
            )
        user, password = self.user, self.password
        self.user, self.password = PLAIN, PLAIN
        try:
            super().handle_AUTHENTICATION_REQUEST(data, context)
        finally:
            self.user, self.password = user, password
        self.auth.password.password = prepared(password.decode())

    def handle_NOTICE_RESPONSE(self, data: Any, context: Any) -> None:  # noqa: N802 (the driver's)
        """Drop the notice: the driver would keep a hundred, of any length."""

    def handle_NOTIFICATION_RESPONSE(self, data: Any, context: Any) -> None:  # noqa: N802 (the driver's)
        """Drop what an application's pooled session listens to: the driver would keep it, and fail at é."""


def prepared(password: str) -> str:
    """Return the password as SASLprep has it, or itself if SASLprep prohibits it or leaves nothing of it."""
    try:
        return str(saslprep(password)) or password
    except ScramException:
        return password
