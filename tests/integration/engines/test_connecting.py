"""Every refusal has its class, says what to do, and holds no secret."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from local.databases import mariadb as mariadb_server
from local.databases.mariadb import MariaDB
from tests.integration.engines.source import Source
from tests.integration.engines.tls_front import tls_front
from tests.patience import PATIENCE_S
from tributary.engines import registry
from tributary.engines.protocol import Engine
from tributary.errors import SecretError, SourceRefused, SourceUnavailable, TributaryError
from tributary.secret import Secret

PASSWORD = "pläin-secret'\\"  # not latin-1's whole story, and with what SQL would escape


def refusal(source: Source, **changes: Any) -> TributaryError:
    secret = source.secret.model_copy(update=changes)
    with pytest.raises(TributaryError) as caught:
        source.engine.connect(secret, statement_timeout_s=10)
    assert PASSWORD not in str(caught.value)
    return caught.value


def make_user(source: Source, name: str) -> None:
    quoted = PASSWORD.replace("'", "''")
    if source.name == "mysql":
        quoted = quoted.replace("\\", "\\\\")
        source.execute(f"CREATE USER {name} IDENTIFIED BY '{quoted}'")
    else:
        source.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{quoted}'")


def drop_user(source: Source, name: str) -> None:
    source.execute(
        f"DROP USER {name}" if source.name == "mysql" else f"DROP OWNED BY {name}; DROP ROLE {name}"
    )


@pytest.fixture
def user(dialled_source: Source) -> Iterator[str]:
    make_user(dialled_source, "reader_of_tests")
    yield "reader_of_tests"
    drop_user(dialled_source, "reader_of_tests")


def test_a_password_of_any_characters_is_taken(dialled_source: Source, user: str) -> None:
    if dialled_source.name == "mysql":
        dialled_source.execute(f"GRANT SELECT ON {dialled_source.schema}.* TO {user}")
    secret = Secret(**{**dialled_source.secret.model_dump(), "username": user, "password": PASSWORD})
    with dialled_source.session(secret=secret) as connection:
        assert dialled_source.engine.ask(connection, "SELECT 1") == ("1",)


def test_a_wrong_password_is_refused(dialled_source: Source, user: str) -> None:
    secret = Secret(**{**dialled_source.secret.model_dump(), "username": user, "password": PASSWORD + "x"})
    with pytest.raises(SourceRefused, match="wrong user name or password") as caught:
        dialled_source.engine.connect(secret, statement_timeout_s=10)
    assert PASSWORD not in str(caught.value)


def test_an_unknown_user_is_refused(dialled_source: Source) -> None:
    secret = Secret(**{**dialled_source.secret.model_dump(), "username": "nobody_here", "password": PASSWORD})
    with pytest.raises(SourceRefused, match="wrong user name or password"):
        dialled_source.engine.connect(secret, statement_timeout_s=10)


def test_an_unknown_database_is_refused(dialled_source: Source) -> None:
    error = refusal(dialled_source, dbname="no_such_database")
    assert type(error) is SourceRefused
    assert "no such database" in str(error)


def test_a_closed_port_is_unavailable(dialled_source: Source) -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        error = refusal(dialled_source, port=port)
    assert type(error) is SourceUnavailable
    assert str(error) == f"127.0.0.1:{port} cannot be reached (ECONNREFUSED); check host and port"


def test_a_name_that_does_not_resolve_is_unavailable(dialled_source: Source) -> None:
    error = refusal(dialled_source, host="no-such-host.invalid")
    assert type(error) is SourceUnavailable
    assert "no-such-host.invalid" in str(error)


def test_a_secret_without_a_host_says_so(dialled_source: Source) -> None:
    assert type(refusal(dialled_source, host="")) is SecretError


def test_a_secret_without_a_user_name_says_so_and_takes_no_other(dialled_source: Source) -> None:
    error = refusal(dialled_source, username="")
    assert type(error) is SecretError
    assert '"username"' in str(error)


def test_an_ipv6_address_may_have_brackets(dialled_source: Source) -> None:
    error = refusal(dialled_source, host="[::1]", port=1)
    assert type(error) is SourceUnavailable
    assert "ECONNREFUSED" in str(error) or "EADDRNOTAVAIL" in str(error)


def test_a_server_that_accepts_and_sends_nothing_is_given_up(
    dialled_source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tributary.engines.network.CONNECT_LIMIT_S", 1)
    with closing(socket.socket()) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        started = time.monotonic()
        error = refusal(dialled_source, port=silent.getsockname()[1])
    assert type(error) is SourceUnavailable
    assert time.monotonic() - started < PATIENCE_S


def test_a_peer_that_speaks_another_protocol_is_reported_as_ours(dialled_source: Source) -> None:
    with closing(socket.socket()) as other:
        other.bind(("127.0.0.1", 0))
        other.listen()

        def answer() -> None:
            peer, _ = other.accept()
            with peer:
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        error = refusal(dialled_source, port=other.getsockname()[1])
        thread.join()
    assert isinstance(error, SourceUnavailable | SourceRefused)


def test_a_server_without_tls_is_refused_unless_the_secret_allows_it(dialled_source: Source) -> None:
    error = refusal(dialled_source, sslmode="verify-full")
    assert type(error) is SourceRefused
    assert "offers no TLS" in str(error)
    assert "sslmode" in str(error)


def test_a_root_certificate_that_is_none_is_a_fault_of_the_secret(dialled_source: Source) -> None:
    error = refusal(dialled_source, sslmode="verify-full", sslrootcert="not a certificate")
    assert type(error) is SecretError


@dataclass(frozen=True)
class Tls:
    """A server that speaks TLS alone, with a certificate for 127.0.0.1 of a private authority."""

    engine: Engine
    secret: Secret


def issue(directory: Path) -> tuple[Path, Path, str]:
    """Write a key and a certificate for 127.0.0.1; return their paths and the authority's PEM."""
    now = datetime.now(UTC)

    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    def build(subject: str, key: Any, signer: Any, *extensions: tuple[Any, bool]) -> x509.Certificate:
        builder = x509.CertificateBuilder(name("authority"), name(subject), key.public_key())
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(hours=1))
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(signer, hashes.SHA256())

    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = build(
        "authority", authority_key, authority_key, (x509.BasicConstraints(ca=True, path_length=None), True)
    )
    host = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    certificate = build("server", key, authority_key, (host, False))
    paths = directory / "server.key", directory / "server.crt"
    paths[0].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    paths[0].chmod(0o600)
    paths[1].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return *paths, authority.public_bytes(serialization.Encoding.PEM).decode()


@pytest.fixture(scope="module", params=["postgresql", *(["mysql"] if mariadb_server.available() else [])])
def tls(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tls]:
    key, certificate, authority = issue(tmp_path_factory.mktemp(f"tls_{request.param}"))
    with ExitStack() as stack:
        if request.param == "postgresql":
            server = request.getfixturevalue("postgres")
            port = stack.enter_context(tls_front(server.port, key, certificate))
            secret = Secret(host="127.0.0.1", port=port, username="postgres", dbname="postgres")
        else:
            settings = {"ssl-cert": str(certificate), "ssl-key": str(key), "require-secure-transport": "1"}
            maria = stack.enter_context(MariaDB.start(settings=settings))
            secret = Secret(host="127.0.0.1", port=maria.port, username="root")
        yield Tls(registry.get(request.param), secret.model_copy(update={"sslrootcert": authority}))


def connects(tls: Tls, **changes: Any) -> bool:
    """Say that a query is answered; both servers answer over TLS alone."""
    connection = tls.engine.connect(tls.secret.model_copy(update=changes), statement_timeout_s=10)
    try:
        return tls.engine.ask(connection, "SELECT 1") == ("1",)
    finally:
        tls.engine.close(connection)


@pytest.mark.parametrize("sslmode", ["verify-full", "verify-ca", "require"])
def test_tls_is_verified_with_the_secrets_own_authority(tls: Tls, sslmode: str) -> None:
    assert connects(tls, sslmode=sslmode)


def test_an_unknown_authority_is_refused_by_default_and_taken_by_require(tls: Tls) -> None:
    with pytest.raises(SourceRefused, match=r"could not be verified.*sslrootcert.*sslmode"):
        connects(tls, sslrootcert=None)
    assert connects(tls, sslrootcert=None, sslmode="require")


def test_a_mariadb_that_requires_tls_says_so(tls: Tls) -> None:
    if "mysql" in tls.engine.__name__:  # type: ignore[attr-defined]
        with pytest.raises(SourceRefused, match="or TLS is required"):
            connects(tls, sslmode="disable")


def test_a_certificate_for_another_host_is_refused_by_verify_full_alone(tls: Tls) -> None:
    with pytest.raises(SourceRefused, match=r"could not be verified.*it is for .127\.0\.0\.1.; write a name"):
        connects(tls, host="localhost")
    assert connects(tls, host="localhost", sslmode="verify-ca")
