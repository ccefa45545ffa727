"""A login that is refused, by the server or by us, says why, and only what may pass by itself is retried."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from local.databases.postgres import Postgres
from tests.integration.engines.hostile_servers import (
    Play,
    authentication,
    greeting,
    message,
    packet,
    saying,
    server,
    switch,
)
from tests.integration.engines.source import Source
from tributary.engines import network, registry
from tributary.errors import SourceRefused, SourceUnavailable, TributaryError
from tributary.secret import Secret

PASSWORD = "a-password"


def refusal(engine: str, secret: Secret, kind: type[TributaryError] = SourceRefused) -> str:
    with pytest.raises(kind) as caught:
        registry.get(engine).connect(secret, statement_timeout_s=10)
    assert type(caught.value) is kind
    assert (secret.password.get_secret_value() or PASSWORD) not in str(caught.value)
    return str(caught.value)


def as_user(source: Source, name: str) -> Secret:
    return Secret(**{**source.secret.model_dump(), "username": name, "password": PASSWORD})


# --- what real servers refuse -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("NOLOGIN", "the role does not exist, or has no LOGIN"),
        ("LOGIN VALID UNTIL '2001-01-01'", "or the password has expired (VALID UNTIL)"),
        ("LOGIN CONNECTION LIMIT 0", None),
    ],
)
def test_a_role_of_postgresql_that_may_not_log_in_is_described(
    pg: Source, options: str, reason: str | None
) -> None:
    pg.execute(f"CREATE ROLE reader_refused PASSWORD '{PASSWORD}' {options}")
    try:
        if reason is None:  # connections end, so a retry may succeed
            assert "takes no connection now (53300)" in refusal(
                "postgresql", as_user(pg, "reader_refused"), SourceUnavailable
            )
        else:
            assert reason in refusal("postgresql", as_user(pg, "reader_refused"))
    finally:
        pg.execute("DROP ROLE reader_refused")


def test_a_database_of_postgresql_that_takes_no_connections_is_described(pg: Source) -> None:
    with pg.server.connect() as admin:
        admin.run(f"ALTER DATABASE {pg.secret.dbname} ALLOW_CONNECTIONS false")
    assert "(55000: the database takes no connections)" in refusal("postgresql", pg.secret)


def test_an_address_that_pg_hba_lacks_is_described_with_what_tls_would_change() -> None:
    with Postgres.start() as started:
        (started.directory / "data/pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 trust\n")
        secret = Secret(host="127.0.0.1", port=started.port, username="postgres", dbname="postgres")
        with started.connect() as admin:
            admin.run("SELECT pg_reload_conf()")
        text = ""
        while "28000" not in text:  # until the server has read the file
            with suppress(pytest.fail.Exception):
                text = refusal("postgresql", secret.model_copy(update={"sslmode": "disable"}))
    assert "pg_hba.conf does not let this user in from here without TLS; set sslmode in the secret" in text


# --- what we refuse -----------------------------------------------------------------------------


@contextmanager
def heard(play: Play) -> Iterator[tuple[Secret, bytearray]]:
    """Yield the server's secret, and all that it gets."""
    bytes_heard = bytearray()

    class Ear:
        def __init__(self, peer: socket.socket) -> None:
            self.sendall = peer.sendall
            self._peer = peer

        def recv(self, size: int) -> bytes:
            content = self._peer.recv(size)
            bytes_heard.extend(content)
            return content

    with server(lambda peer: play(Ear(peer))) as secret:  # type: ignore[arg-type]
        yield secret, bytes_heard


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (authentication(3), "in clear text, which anyone on a network without TLS can read"),
        (authentication(7), "wants a login by GSSAPI, which is not supported"),
        (authentication(99), "wants a login by method 99, which is not supported"),
        (authentication(10, b"OAUTHBEARER\0\0"), "by OAUTHBEARER, which is not supported"),
        (authentication(10, b"\xe2\x80\xae\n" + b"X" * 9_000 + b"\0\0"), r"by \u202e\nXXX"),
        (message(b"R", b"\0"), "not supported"),
    ],
)
def test_postgresql_gets_no_password_by_a_method_that_shows_it(request_: bytes, reason: str) -> None:
    with heard(saying(request_)) as (secret, bytes_heard):
        text = refusal("postgresql", secret)
    assert reason in text
    assert len(text) < 500
    assert b"not-in-clear" not in bytes_heard


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ((switch(b"mysql_clear_password"),), "in clear text, which anyone on a network without TLS can read"),
        ((switch(b"dialog", b"\4Password: "),), "in clear text"),
        ((switch(b"mysql_old_password"),), "in clear text"),
        ((switch(b"client_ed25519", b"s" * 32),), "by ed25519, which is not supported"),
        ((switch(b"auth_gssapi_client"),), "by a plugin that is not supported"),
        ((switch(b"\n" + b"x" * 9_000),), "by a plugin that is not supported"),
        ((switch(b"caching_sha2_password"), packet(4, b"\1\4")), "over TLS only (caching_sha2_password"),
        ((switch(b"sha256_password"),), "over TLS only"),
        ((packet(2, b"\1\4"),), "over TLS only"),
    ],
)
def test_mysql_gets_no_password_by_a_plugin_that_shows_it(parts: tuple[bytes, ...], reason: str) -> None:
    plugin = b"caching_sha2_password" if parts[0].startswith(packet(2, b"\1\4")) else b"mysql_native_password"
    with heard(saying(b"G" + greeting(plugin), *parts)) as (secret, bytes_heard):
        text = refusal("mysql", secret)
    assert reason in text
    assert len(text) < 500
    assert b"not-in-clear" not in bytes_heard


# --- what no server sends -----------------------------------------------------------------------


def dripping(content: bytes) -> Play:
    """Send the bytes again and again, one at a time, for as long as the peer is there."""
    stopped = threading.Event()

    def play(peer: socket.socket) -> None:
        while not stopped.wait(0.05):
            for byte in content:
                peer.sendall(bytes([byte]))
                stopped.wait(0.05)

    return play


@pytest.mark.parametrize(
    ("engine", "content"),
    [
        ("postgresql", message(b"N", b"SNOTICE\0\0")),
        ("postgresql", message(b"S", b"a\0b\0")),
        ("mysql", greeting(b"mysql_native_password")),
    ],
)
@pytest.mark.parametrize("sslmode", ["disable", "require"])
def test_a_server_that_sends_a_byte_now_and_then_is_given_up(
    engine: str, content: bytes, sslmode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "CONNECT_LIMIT_S", 1)
    prefix = b"S" + bytes([22, 3, 3, 0x40, 0]) if engine == "postgresql" and sslmode == "require" else b""

    def play(peer: socket.socket) -> None:
        peer.sendall(prefix)
        dripping(content if not prefix else bytes(64))(peer)

    with server(play) as secret:
        text = refusal(engine, secret.model_copy(update={"sslmode": sslmode}), SourceUnavailable)
    assert "did not finish the login within 1 s" in text


def test_a_resolver_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()
    monkeypatch.setattr(network, "CONNECT_LIMIT_S", 1)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **options: never.wait(60) and [])
    secret = Secret(host="slow.invalid", username="reader", dbname="shop")
    assert "was not resolved within" in refusal("postgresql", secret, SourceUnavailable)
    never.set()


NOT_POSTGRESQL = "sends is not PostgreSQL's protocol"
NOT_MYSQL = "sends is not MySQL's protocol"


@pytest.mark.parametrize(
    "content",
    [
        message(b"?", b""),
        message(b"\0", b"x"),
        b"N" + struct.pack("!I", 0),
        b"R" + struct.pack("!I", 3),
        b"E" + struct.pack("!I", 0xFFFFFFFF),
        b"S" + struct.pack("!I", 1 << 30),
        message(b"S", b"client_encoding\0no-such\0") + message(b"S", b"x\0y\0"),
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
)
def test_what_is_not_postgresqls_protocol_is_refused_before_memory_is_taken(content: bytes) -> None:
    with server(saying(content)) as secret:
        assert NOT_POSTGRESQL in refusal("postgresql", secret)


@pytest.mark.parametrize(
    "content",
    [
        packet(0, b""),
        packet(0, b"\x0a"),
        packet(0, b"\x0aversion\0"),
        packet(7, b"\x0a8.0\0"),
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        greeting(b"mysql_native_password") + packet(2, b""),
        greeting(b"mysql_native_password") + packet(2, b"\x33nothing"),
        greeting(b"mysql_native_password") + packet(2, b"\xff"),
    ],
)
def test_what_is_not_mysqls_protocol_is_refused(content: bytes) -> None:
    with server(saying(b"G" + content)) as secret:
        assert NOT_MYSQL in refusal("mysql", secret)


@pytest.mark.parametrize(
    "code", ["", "22", "28P01" * 100_000, "28\u202e01", "28P0\n", "2800é", "28p01", "\uff12\uff18000"]
)
def test_a_sqlstate_that_is_none_is_not_repeated(code: str) -> None:
    error = message(b"E", b"SFATAL\0C" + code.encode() + b"\0Mno\0\0")
    with server(saying(error)) as secret:
        text = refusal("postgresql", secret)
    assert "refused the connection (?????)" in text


def test_an_error_number_of_mysql_that_is_none_is_not_an_internal_error() -> None:
    error = packet(2, b"\xff\xff\xff#" + b"\n" * 5 + b"text" * 1_000)
    with (
        server(saying(b"G" + greeting(b"mysql_native_password"), error)) as secret,
        pytest.raises((SourceRefused, SourceUnavailable)) as caught,
    ):
        registry.get("mysql").connect(secret, statement_timeout_s=10)
    assert len(str(caught.value)) < 300
