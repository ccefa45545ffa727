"""Network connections to sources: a socket with keep-alive, and TLS as the secret configures it.

Messages name host, port and the kind of failure, and never repeat a foreign error's text.
"""

from __future__ import annotations

import os
import socket
import ssl
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from errno import errorcode
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Lock, Thread, Timer
from typing import Any

from tributary.errors import SecretError, SourceRefused, SourceUnavailable
from tributary.secret import Secret
from tributary.visible_text import shortened

CONNECT_TIMEOUT_S = 10  # of one wait while connecting
CONNECT_LIMIT_S = 20  # of the name, TCP, TLS, the login and the session's settings together
SILENCE_S = 30  # a source may stay silent for its statement time-out and this much longer
OPENSSL_LOCK = Lock()
OTHER_NAME = (62, 64)  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
WRITE_ITS_NAME = 'write a name that it has as "host" in the secret, or set "sslmode" there to require'
NAME_DIFFERS = f"it is for another name; {WRITE_ITS_NAME}"
NAMES_AT_MOST = 8  # that a message shows of a certificate
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
        raise SecretError(
            'the source\'s secret has no "host"; write the host name or IP address there, '
            "or as `host` in the source's file"
        )
    if not secret.username:
        raise SecretError(
            'the source\'s secret has no "username"; write the name of the user who reads there'
        )
    return f"{secret.host}:{secret.port or default_port}"


def host_of(secret: Secret) -> str:
    """Return the host without the brackets that an IPv6 address may have."""
    return secret.host.removeprefix("[").removesuffix("]")


@contextmanager
def connecting(secret: Secret, default_port: int) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Yield a new connection, and a second handle on it to abort a read from outside.

    Both are closed if the block fails. The connection is aborted if the block, with the dialling before it,
    takes longer than CONNECT_LIMIT_S: a server that sends a byte now and then would never end a wait.
    """
    deadline = time.monotonic() + CONNECT_LIMIT_S
    sock = dial(secret, default_port, deadline)
    spare = sock.dup()
    late = Event()

    def abort() -> None:
        late.set()
        abort_connection(spare)

    limit = Timer(max(0.0, deadline - time.monotonic()), abort)
    limit.daemon = True
    limit.start()
    try:
        yield sock, spare
        limit.cancel()
        if late.is_set():
            raise ConnectionError
    except BaseException as error:
        limit.cancel()
        close_connection(spare)
        sock.close()
        if late.is_set() and isinstance(error, Exception):
            where = address(secret, default_port)
            raise SourceUnavailable(
                f"{where} did not finish the login within {CONNECT_LIMIT_S} s; check what the server, or a "
                "proxy in front of it, waits for"
            ) from None
        raise


def dial(secret: Secret, default_port: int, deadline: float | None = None) -> socket.socket:
    """Open the TCP connection, with keep-alive so that a lost peer is noticed within two minutes.

    Raises SourceUnavailable if the name does not resolve, or nothing answers in time.
    """
    where = address(secret, default_port)
    deadline = time.monotonic() + CONNECT_LIMIT_S if deadline is None else deadline
    try:
        sock = _dialled(host_of(secret), secret.port or default_port, deadline)
    except TimeoutError:
        raise SourceUnavailable(
            f"no answer from {where} within {CONNECT_TIMEOUT_S} s; "
            "check host, port, security groups and the functions' subnets"
        ) from None
    except (socket.gaierror, UnicodeError):  # no name can be written like that
        raise SourceUnavailable(f"the host name of {where} cannot be resolved; check the secret") from None
    except Empty:
        raise SourceUnavailable(
            f"the host name of {where} was not resolved within {CONNECT_TIMEOUT_S} s; check the VPC's DNS"
        ) from None
    except OSError as error:
        code = errorcode.get(error.errno or 0, "OSError")
        raise SourceUnavailable(f"{where} cannot be reached ({code}); check host and port") from None
    _keep_alive(sock)
    return sock


def _dialled(host: str, port: int, deadline: float) -> socket.socket:
    """Connect to the first of the host's addresses that answers; the time limits are for all together."""
    failure: OSError = socket.gaierror()
    for family, kind, protocol, _, place in _resolved(host, port, _left_s(deadline)):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(_left_s(deadline))
            sock.connect(place)
        except OSError as error:
            sock.close()
            failure = error
        else:
            sock.settimeout(CONNECT_TIMEOUT_S)
            return sock
    raise failure


def _left_s(deadline: float) -> float:
    """Return how long one wait may take; raises TimeoutError if nothing is left."""
    left_s = min(CONNECT_TIMEOUT_S, deadline - time.monotonic())
    if left_s <= 0:
        raise TimeoutError
    return left_s


def _resolved(host: str, port: int, timeout_s: float) -> list[Any]:
    """Return the host's addresses; raises Empty if the resolver, which has no time-out, takes longer."""
    answers = SimpleQueue[list[Any] | OSError | UnicodeError]()

    def resolve() -> None:
        try:
            answers.put(list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
        except (OSError, UnicodeError) as error:
            answers.put(error)

    Thread(target=resolve, daemon=True).start()
    answer = answers.get(timeout=timeout_s)
    if isinstance(answer, Exception):
        raise answer
    return answer


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


def tls_refused(
    error: ssl.SSLError | None, where: str, names: Callable[[], tuple[str, ...]] = tuple
) -> SourceRefused:
    """Return the error for a failed TLS handshake; `error` is None if the server offers no TLS.

    `names` is asked for the certificate's names, if they are not the host's.
    """
    if error is None:
        return SourceRefused(f"{where} offers no TLS; switch it on there, {INSECURE}")
    if isinstance(error, ssl.SSLCertVerificationError) and error.verify_code in OTHER_NAME:
        shown = ", ".join(names()) or "another name"
        return SourceRefused(
            f"the certificate of {where} could not be verified (code {error.verify_code}): "
            f"it is for {shown}; {WRITE_ITS_NAME}"
        )
    if isinstance(error, ssl.SSLCertVerificationError):
        return SourceRefused(
            f"the certificate of {where} could not be verified (code {error.verify_code}): {UNTRUSTED}"
        )
    return SourceRefused(f"TLS with {where} failed ({error.reason or 'SSLError'}); check its TLS, {INSECURE}")


class LoginRefused(Exception):
    """We do not go on with the login: the argument says what the server wants and what to do."""


class ProtocolBroken(Exception):
    """The server sent what is not part of its protocol."""


def not_the_protocol(where: str, name: str) -> SourceRefused:
    """Return the error for a peer that does not speak the protocol of the engine."""
    return SourceRefused(
        f"what {where} sends is not {name}'s protocol; check host and port in the secret, and the proxy in "
        "front of the server if there is one"
    )


class CertificateNames(Exception):
    """A handshake ended as intended: the certificate's names are the arguments."""


class _NamesOnly(ssl.SSLContext):
    """Ends each handshake before anything is sent through it, with the names of the server's certificate."""

    def wrap_socket(self, *arguments: Any, **options: Any) -> ssl.SSLSocket:
        with super().wrap_socket(*arguments, **options) as wrapped:
            raise CertificateNames(*certificate_names(wrapped.getpeercert() or {}))


def names_only(secret: Secret) -> ssl.SSLContext:
    """Return a context whose handshake verifies the authority alone and raises CertificateNames."""
    context = _NamesOnly(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    if secret.sslrootcert:
        context.load_verify_locations(cadata=secret.sslrootcert)
    else:
        context.load_default_certs()
    return context


def certificate_names(certificate: Any) -> tuple[str, ...]:
    """Return the names that a certificate is for, as Python's `getpeercert` gives it; some of many."""
    names = [value for kind, value in certificate.get("subjectAltName", ()) if kind in ("DNS", "IP Address")]
    subject = [part for parts in certificate.get("subject", ()) for part in parts]
    names = names or [value for kind, value in subject if kind == "commonName"]
    shown = tuple(f'"{shortened(name)}"' for name in names[:NAMES_AT_MOST])
    return (*shown, f"{len(names) - NAMES_AT_MOST} more") if len(names) > NAMES_AT_MOST else shown


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
