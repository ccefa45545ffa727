"""A session with PostgreSQL: each statement in a read-only transaction with settings of its own."""

from __future__ import annotations

import ssl
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from socket import socket

import pg8000.native
from pg8000.converters import PG_TYPES

from tributary.engines import statement_errors
from tributary.engines.network import (
    SILENCE_S,
    CertificateNames,
    address,
    close_connection,
    connecting,
    host_of,
    names_only,
    tls,
    tls_refused,
)
from tributary.engines.postgresql import catalog, settings, transaction
from tributary.engines.postgresql.errors import DRIVER_ERRORS, NOT_UNDERSTOOD, reduced, refusals, sqlstate
from tributary.engines.postgresql.login import Connection
from tributary.errors import SecretError, SourceUnavailable, TributaryError
from tributary.model.source_catalog import TableName
from tributary.secret import Secret

PORT = 5432
SSL_REQUEST = struct.pack("!ii", 8, 80877103)  # protocol-flow.html, "SSL Session Encryption"


@dataclass(frozen=True, slots=True)
class Session:
    """A connection."""

    driver: pg8000.native.Connection
    spare: socket  # a second handle on its socket, to abort a read from outside
    where: str
    statement_timeout_s: int
    watch: bool  # whether the server can end a query whose reader is gone
    visible_rows: bool  # whether row-level security may leave rows out

    def opening(self, path: str = settings.NO_PATH) -> tuple[str, ...]:
        """Return the statements that begin a transaction with that search_path."""
        return settings.opening(
            self.statement_timeout_s, path=path, watch=self.watch, visible_rows=self.visible_rows
        )


def connect(secret: Secret, *, statement_timeout_s: int, visible_rows: bool = False) -> Session:
    """Open a read-only, pinned session; see the Protocol."""
    if not secret.dbname:
        raise SecretError('the source\'s secret has no "dbname"; write the name of the database there')
    where = address(secret, PORT)
    context = tls(secret)
    with connecting(secret, PORT) as (sock, spare):
        used = sock if context is None else _encrypted(sock, context, secret, where)
        with refusals(where, encrypted=context is not None):
            driver = Connection(
                secret.username,
                database=secret.dbname,
                password=secret.password.get_secret_value(),
                sock=used,
                ssl_context=False,
                application_name="tributary",
                startup_params={"client_encoding": "UTF8"},  # a setting of the role's could be another
            )
            for oid in PG_TYPES:
                driver.register_in_adapter(oid, str)  # values stay the source's own text
            watch = _watches(driver, statement_timeout_s)
        used.settimeout(statement_timeout_s + SILENCE_S)
    return Session(driver, spare, where, statement_timeout_s, watch, visible_rows)


def _encrypted(sock: socket, context: ssl.SSLContext, secret: Secret, where: str) -> socket:
    """Start TLS as pg8000 would, but keep the socket, whose time-out changes after the connect."""
    try:
        return _start_tls(sock, context, secret, where)
    except ssl.SSLError as error:
        raise tls_refused(error, where, partial(_certificate_names, secret, where)) from None
    except OSError:
        raise SourceUnavailable(
            f"{where} closed the connection, or stopped answering, in the TLS handshake"
        ) from None


def _start_tls(sock: socket, context: ssl.SSLContext, secret: Secret, where: str) -> socket:
    sock.sendall(SSL_REQUEST)
    if sock.recv(1) != b"S":
        raise tls_refused(None, where)
    return context.wrap_socket(sock, server_hostname=host_of(secret))


def _certificate_names(secret: Secret, where: str) -> tuple[str, ...]:
    """Ask for the server's certificate by another connection; no names if that fails."""
    try:
        with connecting(secret, PORT) as (sock, _):
            _start_tls(sock, names_only(secret), secret, where)
    except CertificateNames as names:
        return tuple(map(str, names.args))
    except (OSError, TributaryError):
        pass
    return ()


def _watches(driver: pg8000.native.Connection, statement_timeout_s: int) -> bool:
    """Return whether the server accepts `WATCH`; raises what the driver does if it accepts no settings."""
    for watch in (True, False):
        opening = settings.opening(statement_timeout_s, path=settings.NO_PATH, watch=watch)
        try:
            transaction.run(driver, opening, "SELECT 1")
        except pg8000.native.DatabaseError as error:
            if not watch or sqlstate(error) != "22023":  # invalid_parameter_value: not on this platform
                raise
        else:
            break
    return watch


def close(session: Session) -> None:
    """Close the session; never raises."""
    with suppress(*DRIVER_ERRORS):
        session.driver.close()
    close_connection(session.spare)


@contextmanager
def queries(session: Session, table: TableName | None = None, column: str | None = None) -> Iterator[None]:
    """Turn errors of a statement into ours."""
    try:
        yield
    except pg8000.native.DatabaseError as error:
        raise reduced(error, session.where, table, column, partial(_is_view, session)) from None
    except NOT_UNDERSTOOD:
        raise statement_errors.not_understood(session.where) from None
    except DRIVER_ERRORS:
        raise SourceUnavailable(f"the connection to {session.where} broke") from None


def _is_view(session: Session, table: TableName) -> bool:
    """Return whether the table is a view; False if the server can no longer tell."""
    try:
        rows, _ = transaction.run(session.driver, session.opening(), catalog.named(catalog.VIEWS, [table]))
    except DRIVER_ERRORS:
        return False
    return bool(rows)


def fetch(session: Session, sql: str, *, path: str = settings.NO_PATH) -> list[tuple[str | None, ...]]:
    """Return a small query's rows as texts."""
    with queries(session):
        rows, _ = transaction.run(session.driver, session.opening(path), sql)
        return [tuple(row) for row in rows]
