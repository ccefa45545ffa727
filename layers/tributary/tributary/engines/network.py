"""Network connections to sources: a socket with keep-alive, and TLS as the secret configures it.

Messages name host, port and the kind of failure, and never repeat a foreign error's text.
"""

from __future__ import annotations

import os
import socket
import ssl
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import errorcode
from pathlib import Path
from threading import Lock

from tributary.errors import SecretError, SourceRefused, SourceUnavailable
from tributary.secret import Secret

CONNECT_TIMEOUT_S = 10
SILENCE_S = 30  # a source may stay silent for its statement time-out and this much longer
OPENSSL_LOCK = Lock()
OTHER_NAME = (62, 64)  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
NAME_DIFFERS = (
    'it is for another name; write a name that it has as "host" in the secret, or set "sslmode" there to '
    "require"
)
UNTRUSTED = (
    "no trusted authority signed it, or it is not valid now; put its authority's PEM into the secret's "
    '"sslrootcert", or set "sslmode" there: require, or disable on a network that you trust'
)
INSECURE = 'or set "sslmode" in the secret: require, or disable on a network that you trust'


def address(secret: Secret, default_port: int) -> str:
    """Return `host:port` for messages; raises SecretError if the secret has no host or no user name.

    A driver would take the operating system's user for a missing name.
    """
    if not secret.host:
        raise SecretError('the source\'s secret has no "host"; write the host name or IP address there')
    if not secret.username:
        raise SecretError(
            'the source\'s secret has no "username"; write the name of the user who reads there'
        )
    return f"{secret.host}:{secret.port or default_port}"


def host_of(secret: Secret) -> str:
    """Return the host without the brackets that an IPv6 address may have."""
    return secret.host.removeprefix("[").removesuffix("]")


def dial(secret: Secret, default_port: int) -> socket.socket:
    """Open the TCP connection, with keep-alive so that a lost peer is noticed within two minutes.

    Raises SourceUnavailable if the name does not resolve or nothing answers within 10 s.
    """
    where = address(secret, default_port)
    try:
        sock = socket.create_connection((host_of(secret), secret.port or default_port), CONNECT_TIMEOUT_S)
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
    _keep_alive(sock)
    return sock


def _keep_alive(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, option):  # Linux has all three
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def tls(secret: Secret) -> ssl.SSLContext | None:
    """Return the TLS context for the secret's `sslmode`, None for `disable`.

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
        # Certificates of private authorities often lack extensions that Python 3.13 started to require.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def tls_refused(error: ssl.SSLError | None, where: str) -> SourceRefused:
    """Return the error for a failed TLS handshake; `error` is None if the server offers no TLS."""
    if error is None:
        return SourceRefused(f"{where} offers no TLS; switch it on there, {INSECURE}")
    if isinstance(error, ssl.SSLCertVerificationError) and error.verify_code in OTHER_NAME:
        return SourceRefused(
            f"the certificate of {where} could not be verified (code {error.verify_code}): {NAME_DIFFERS}"
        )
    if isinstance(error, ssl.SSLCertVerificationError):
        return SourceRefused(
            f"the certificate of {where} could not be verified (code {error.verify_code}); "
            f"put the authority's PEM into the secret's \"sslrootcert\", {INSECURE}"
        )
    return SourceRefused(f"TLS with {where} failed ({error.reason or 'SSLError'}); check its TLS, {INSECURE}")


@contextmanager
def openssl_authorities(pem: str | None) -> Iterator[None]:
    """Let a driver that has no option for authorities trust these alone while it connects.

    OpenSSL reads its defaults from the environment, for each context that is made. They are the process's
    again afterwards, so that no other connection trusts what one source trusts. None changes nothing, and
    waits for connects that do.
    """
    with OPENSSL_LOCK:
        if pem is None:
            yield
            return
        with tempfile.TemporaryDirectory(prefix="authorities-") as folder:
            (file := Path(folder, "authorities.pem")).write_text(pem)
            (directory := Path(folder, "none")).mkdir()
            with _environment({"SSL_CERT_FILE": str(file), "SSL_CERT_DIR": str(directory)}):
                yield


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def abort_connection(sock: socket.socket) -> None:
    """Abort the connection while another thread or the driver still reads from it; never raises."""
    with suppress(OSError):  # the peer may have closed it first
        # Without a reset, a server that waits to send the rest notices only by its next window probe, minutes
        # later, and keeps its locks until then.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.shutdown(socket.SHUT_RDWR)


def close_connection(sock: socket.socket) -> None:
    """Shut the connection down and close this handle; never raises."""
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()
