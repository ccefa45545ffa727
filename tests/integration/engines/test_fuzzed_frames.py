"""Whatever a server sends, an error of ours comes out, never an InternalError, and memory stays bounded.

What a real server sent in a session is recorded, changed, and played to the engine by a socket.
"""

from __future__ import annotations

import os
import re
import resource
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.database import InMemoryExampleDatabase

from tests.integration.engines.hostile_servers import Play, server
from tests.integration.engines.source import Source
from tributary.engines.protocol import Engine
from tributary.errors import InternalError, TributaryError
from tributary.model.query import Query
from tributary.secret import Secret

SOAK_S = float(os.environ.get("TRIBUTARY_SOAK_SECONDS", "0")) / 8
EXAMPLES = 200
MEMORY_AT_MOST = 400 << 20  # bytes that a process may grow by, for all sessions together
# Heads of frames: code and length, or length and number. Some are impossible, some only large.
LENGTHS = (0, 1, 3, 4, 5, 250, 251, 0xFFFF, 0xFFFFFF, 0x1000000, 64 << 20, 0x7FFFFFFF, 0xFFFFFFFF)
CODES = b"?\0\xff\xfe\xfb\xfc\xfd1EZRSNDCTHdcGAK"
FIRST_BYTES = 5
# The guards that every row which was sent is read, and no other.
COUNTED = re.compile(r"rows were sent and \d+ parsed|rows and \d+ arrived|not the CSV|record .* is cut off")


def starts(engine: str, content: bytes) -> list[int]:
    """Return where the frames of a recorded session begin."""
    places, place = [], 0
    while place + FIRST_BYTES <= len(content):
        places.append(place)
        if engine == "postgresql":
            place += 1 + struct.unpack_from("!I", content, place + 1)[0]
        else:
            place += 4 + int.from_bytes(content[place : place + 3], "little")
    return places


Change = tuple[str, int, int, bytes]
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(
            ["byte", "length", "length", "code", "code", "cut", "delete", "double", "swap", "insert", "bytes"]
        ),
        st.integers(0, 1 << 20),
        st.integers(0, 1 << 20),
        st.binary(min_size=1, max_size=9),
    ),
    min_size=1,
    max_size=3,
)


def changed(engine: str, content: bytes, changes: list[Change]) -> bytes:
    for kind, first, second, drawn in changes:
        if not (places := starts(engine, content)):
            break
        start, other = places[first % len(places)], places[second % len(places)]
        end = next((place for place in places if place > start), len(content))
        head = content[start : start + FIRST_BYTES]
        length, code = LENGTHS[second % len(LENGTHS)], CODES[second % len(CODES) :][:1]
        anywhere = second % max(1, len(content))
        if kind == "byte":
            content = content[:anywhere] + drawn[:1] + content[anywhere + 1 :]
        elif kind == "bytes":
            content = content[:anywhere] + drawn + content[anywhere + len(drawn) :]
        elif kind == "insert":
            content = content[:start] + drawn + content[start:]
        elif kind == "length" and engine == "postgresql":
            content = content[:start] + head[:1] + struct.pack("!I", length) + content[start + 5 :]
        elif kind == "length":
            content = content[:start] + struct.pack("<I", length)[:3] + content[start + 3 :]
        elif kind == "code":
            place = start if engine == "postgresql" else start + 4
            content = content[:place] + code + content[place + 1 :]
        elif kind == "cut":
            content = content[:anywhere]
        elif kind == "delete":
            content = content[:start] + content[end:]
        elif kind == "double":
            content = content[:end] + content[start:end] * (1 + second % 3) + content[end:]
        elif kind == "swap":
            content = content[:start] + content[other : other + end - start] + content[end:]
    return content


@contextmanager
def recorder(port: int) -> Iterator[tuple[int, bytearray]]:
    """Yield a port that leads to the other one, and what comes from there."""
    recorded = bytearray()

    def pour(source: socket.socket, target: socket.socket, record: bytearray | None) -> None:
        with suppress(OSError):
            while block := source.recv(65_536):
                if record is not None:
                    record += block
                target.sendall(block)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def play(peer: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", port)) as real:
            Thread(target=pour, args=(peer, real, None), daemon=True).start()
            pour(real, peer, recorded)

    with server(play) as secret:
        yield secret.port or 0, recorded


def playing(content: bytes) -> Play:
    """Send the whole session at once, whatever the peer sends, and end."""

    def drain(peer: socket.socket) -> None:
        with suppress(OSError):
            while peer.recv(65_536):
                pass

    def play(peer: socket.socket) -> None:
        drained = Thread(target=drain, args=(peer,), daemon=True)
        drained.start()
        peer.sendall(content)
        peer.shutdown(socket.SHUT_WR)
        drained.join()

    return play


def session(engine: Engine, secret: Secret, query: Query) -> list[Any]:
    """Log in, ask the catalog, and read the table: what Plan and Extract do."""
    connection = engine.connect(secret, statement_timeout_s=5)
    try:
        engine.list_tables(connection)
        engine.describe(connection, {query.table})
        return [page.parse()[0].to_pylist() for page in engine.read(connection, query)]
    finally:
        engine.close(connection)


def is_clear(error: TributaryError | None) -> bool:
    """Return whether the error is no InternalError, or one that keeps rows from being read as others."""
    return not isinstance(error, InternalError) or COUNTED.search(str(error)) is not None


def outcome(source: Source, secret: Secret, query: Query) -> TributaryError | None:
    """Return the error of a session with that server, None if it gives rows."""
    try:
        session(source.engine, on_port(source, secret), query)
    except TributaryError as error:
        return error
    return None


@pytest.fixture
def prepared(dialled_source: Source) -> Source:
    text, binary = ("text", "bytea") if dialled_source.name == "postgresql" else ("longtext", "longblob")
    dialled_source.execute(f"CREATE TABLE t (id integer PRIMARY KEY, a {text}, b {binary}, c numeric(9, 2))")
    for number, values in enumerate(
        ["'x', NULL, 1.50", "NULL, '\x01', NULL", f"'{'é' * 300}', '{'y' * 300}', 2", "'', '', 0"] * 5
    ):
        dialled_source.execute(f"INSERT INTO t VALUES ({number}, {values})")
    return dialled_source


def recorded(source: Source, query: Query) -> tuple[bytes, list[Any]]:
    with recorder(source.secret.port or 0) as (port, content):
        rows = session(source.engine, source.secret.model_copy(update={"port": port}), query)
    return bytes(content), rows


def test_any_change_of_a_servers_bytes_is_an_error_of_ours_or_none(prepared: Source) -> None:
    source = prepared
    query = source.query_of(source.describe("t"), order=("id",), limit=100)
    content, rows = recorded(source, query)
    with server(playing(content)) as secret:
        assert session(source.engine, on_port(source, secret), query) == rows  # the session can be replayed
    outcomes: set[str] = set()

    def check(changes: list[Change]) -> None:
        with server(playing(changed(source.name, content, changes))) as secret:
            error = outcome(source, secret, query)
        assert is_clear(error), error
        assert len(str(error)) < 1_000
        outcomes.add(type(error).__name__)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    ends = time.monotonic() + SOAK_S
    while True:
        strategy = given(CHANGES)(check)
        settings(
            max_examples=EXAMPLES if not SOAK_S else 1_000,
            deadline=None,
            database=InMemoryExampleDatabase(),
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink],
        )(strategy)()
        if time.monotonic() >= ends:
            break
    assert {"SourceRefused", "SourceUnavailable"} <= outcomes
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10) - before < MEMORY_AT_MOST


def on_port(source: Source, secret: Secret) -> Secret:
    return source.secret.model_copy(update={"port": secret.port})


@pytest.mark.parametrize("length", [1 << 30, 0xFFFFFFFF])
def test_a_length_that_is_only_stated_takes_no_memory(prepared: Source, length: int) -> None:
    source = prepared
    query = source.query_of(source.describe("t"), order=("id",), limit=100)
    content, _ = recorded(source, query)
    places = starts(source.name, content)
    limit = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])  # of address space, which is limited
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (1 << 30) - 1, limit[1]))
    try:
        for place in places[:: max(1, len(places) // 25)]:
            if source.name == "postgresql":
                longer = content[: place + 1] + struct.pack("!I", length) + content[place + 5 :]
            else:  # a field: in eight bytes, as no field of a small table is
                longer = content[: place + 4] + b"\xfe" + struct.pack("<Q", length) + content[place + 13 :]
            with server(playing(longer)) as secret:
                error = outcome(source, secret, query)
            assert error is not None
            assert is_clear(error), error
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limit)


def test_the_frames_of_a_recording_are_divided_by_their_lengths() -> None:
    assert starts("postgresql", b"Z\0\0\0\5IE\0\0\0\4") == [0, 6]
    assert starts("mysql", b"\1\0\0\0a\2\0\0\1bc") == [0, 5]
