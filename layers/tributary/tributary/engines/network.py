"""The way to a source over the network: a kept-alive socket, and TLS as the secret asks for it.

Messages name host and port and the kind of failure; a foreign error's text never gets through.
"""

from __future__ import annotations

import socket
import ssl
import struct
from contextlib import suppress
from errno import errorcode

from tributary.errors import SecretError, SourceRefused, SourceUnavailable
from tributary.secret import Secret

CONNECT_TIMEOUT_S = 10
SILENCE_S = 30  # how much longer than its statement time-out a source may stay silent
INSECURE = 'or set "sslmode" in the secret: verify-ca, require, or disable on a network that you trust'


def address(secret: Secret, default_port: int) -> str:
    """Return `host:port` for messages; raises SecretError where the secret has no host."""
    if not secret.host:
        raise SecretError('the source\'s secret has no "host"; write the host name or IP address there')
    return f"{secret.host}:{secret.port or default_port}"


def dial(secret: Secret, default_port: int) -> socket.socket:
    """Open the TCP connection, kept alive so that a vanished peer is noticed within two minutes.

    Raises SourceUnavailable where the name does not resolve or nothing answers within 10 s.
    """
    where = address(secret, default_port)
    try:
        line = socket.create_connection((secret.host, secret.port or default_port), CONNECT_TIMEOUT_S)
    except TimeoutError:
        raise SourceUnavailable(
            f"no answer from {where} within {CONNECT_TIMEOUT_S} s; "
            "check host, port, security groups and the functions' subnets"
        ) from None
    except socket.gaierror:
        raise SourceUnavailable(f"the host name of {where} cannot be resolved; check the secret") from None
    except OSError as error:
        code = errorcode.get(error.errno or 0, "OSError")
        raise SourceUnavailable(f"{where} cannot be reached ({code}); check host and port") from None
    _keep_alive(line)
    return line


def _keep_alive(line: socket.socket) -> None:
    line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, option):  # Linux has all three
            line.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def tls(secret: Secret) -> ssl.SSLContext | None:
    """Return the TLS context that the secret's `sslmode` asks for, None for `disable`.

    As in libpq, `require` with an `sslrootcert` verifies the authority.
    """
    if secret.sslmode == "disable":
        return None
    try:
        context = ssl.create_default_context(cadata=secret.sslrootcert)
    except (ssl.SSLError, ValueError):
        raise SecretError('the secret\'s "sslrootcert" is not a PEM certificate') from None
    context.check_hostname = secret.sslmode == "verify-full"
    if secret.sslmode == "require" and not secret.sslrootcert:
        context.verify_mode = ssl.CERT_NONE
    if secret.sslrootcert:
        # Private authorities often lack the extensions that Python 3.13 began to insist on.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def tls_refused(error: ssl.SSLError | None, where: str) -> SourceRefused:
    """Return the error for a failed TLS handshake; None means that the server offers no TLS."""
    if error is None:
        return SourceRefused(f"{where} offers no TLS; switch it on there, {INSECURE}")
    if isinstance(error, ssl.SSLCertVerificationError):
        return SourceRefused(
            f"the certificate of {where} could not be verified (code {error.verify_code}); "
            f"put the authority's PEM into the secret's \"sslrootcert\", {INSECURE}"
        )
    return SourceRefused(f"TLS with {where} failed ({error.reason or 'SSLError'}); check its TLS, {INSECURE}")


def cut(line: socket.socket) -> None:
    """Break the connection off from outside, whoever is reading it; never raises.

    Closed then, it is reset: a server that waits to send the rest would otherwise learn of it only
    by its next window probe, minutes later, and hold its locks until then.
    """
    with suppress(OSError):  # the peer may have been faster
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        line.shutdown(socket.SHUT_RDWR)


def hang_up(line: socket.socket) -> None:
    """End the connection and let go of this handle on it; never raises."""
    with suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)
    line.close()
