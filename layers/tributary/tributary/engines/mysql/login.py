"""The driver's connection: the password leaves only over TLS or unreadable, and an answer has a limit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pymysql
from pymysql.cursors import Cursor

from tributary.engines.network import LoginRefused, ProtocolBroken

ANSWER_AT_MOST = 256 << 20  # bytes of an answer that the driver keeps whole
USE_TLS = 'set "sslmode" in the secret to verify-full, or let the user log in by mysql_native_password'


if TYPE_CHECKING:
    Driver = pymysql.Connection[Cursor]
else:
    Driver = pymysql.Connection  # a generic class in its types alone


class Connection(Driver):
    """A connection that asks for no public key: on a network without TLS, anyone may send theirs."""

    room_bytes = ANSWER_AT_MOST

    @property
    def server_public_key(self) -> None:
        """Return no key in the constructor; the driver asks only if it must encrypt a password itself."""
        raise LoginRefused(
            f"takes this user's password over TLS only (caching_sha2_password or sha256_password); {USE_TLS}"
        )

    @server_public_key.setter
    def server_public_key(self, key: object) -> None:
        """Take no key."""

    def _execute_command(self, command: Any, sql: Any) -> None:
        self.room_bytes = ANSWER_AT_MOST
        super()._execute_command(command, sql)  # type: ignore[misc]

    def _read_bytes(self, num_bytes: int) -> bytes:
        self.room_bytes -= num_bytes
        if self.room_bytes < 0:
            raise ProtocolBroken
        content: bytes = super()._read_bytes(num_bytes)  # type: ignore[misc]
        return content


class _Refused:
    """What the driver makes when the server wants a login by a plugin."""

    reason = ""

    def __init__(self, connection: object) -> None:
        pass

    def authenticate(self, packet: object) -> None:
        """Refuse, before anything is sent."""
        raise LoginRefused(self.reason)


class _ClearText(_Refused):
    reason = f"wants the password in clear text, which anyone on a network without TLS can read; {USE_TLS}"


class _Ed25519(_Refused):
    reason = (
        "lets this user log in by ed25519, which is not supported; ALTER USER ... IDENTIFIED VIA "
        "mysql_native_password USING PASSWORD('...')"
    )


# Plugins by the server's names. MariaDB's "dialog" is PAM; mysql_old_password can be reversed.
UNENCRYPTED = dict.fromkeys(("mysql_clear_password", "dialog", "mysql_old_password"), _ClearText)
ALWAYS: Mapping[str, type[_Refused]] = {"client_ed25519": _Ed25519}


def refused_plugins(*, encrypted: bool) -> dict[str, Callable[[pymysql.Connection[Any]], Any]]:
    """Return the plugins by which we do not log in, each with what refuses it."""
    return {**ALWAYS, **({} if encrypted else UNENCRYPTED)}
