"""The login to PostgreSQL: what the driver does, but with passwords as libpq takes them."""

from __future__ import annotations

from typing import Any

import pg8000.native
from scramp import ScramException  # type: ignore[import-untyped]
from scramp.core import saslprep  # type: ignore[import-untyped]

SASL = (10).to_bytes(4, "big")  # AuthenticationSASL, in the first bytes of its message
PLAIN = b"x"


class Connection(pg8000.native.Connection):  # type: ignore[misc]
    """A connection whose password may hold what SASLprep prohibits: it is then taken raw, as by libpq.

    The server stored it raw too. The user's name is no part of PostgreSQL's SCRAM: the server takes it from
    the start-up message. (https://www.postgresql.org/docs/current/sasl-authentication.html)
    """

    user: Any
    password: Any

    def handle_AUTHENTICATION_REQUEST(self, data: Any, context: Any) -> None:  # noqa: N802 (the driver's)
        """Answer the server's request to log in."""
        if data[:4] != SASL or self.password is None:
            super().handle_AUTHENTICATION_REQUEST(data, context)
            return
        user, password = self.user, self.password
        self.user, self.password = PLAIN, PLAIN
        try:
            super().handle_AUTHENTICATION_REQUEST(data, context)
        finally:
            self.user, self.password = user, password
        self.auth.password.password = prepared(password.decode())


def prepared(password: str) -> str:
    """Return the password as SASLprep has it, or itself if SASLprep prohibits it or leaves nothing of it."""
    try:
        return str(saslprep(password)) or password
    except ScramException:
        return password
