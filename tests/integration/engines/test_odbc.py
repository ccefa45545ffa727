"""The way by ODBC, which is SQL Server's too: long values, one session at a time, and its errors."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from tests.integration.engines.source import Source, session_ids
from tributary.engines import odbc
from tributary.errors import SourceRefused, SourceUnavailable, TributaryError, ValueRefused

PASSWORD = "p};UID={root};'\\ä"  # that would end its field, and set another


def refusal(source: Source, **changes: Any) -> TributaryError:
    secret = type(source.secret)(**{**source.secret.model_dump(), **changes})
    with pytest.raises(TributaryError) as caught:
        source.engine.connect(secret, statement_timeout_s=10)
    return caught.value


@pytest.mark.parametrize("ordered", [True, False])
def test_long_values_among_short_ones_arrive_complete(odbc_source: Source, ordered: bool) -> None:
    """Each is longer than the buffer for it, but for the last ones, whose buffers grew with the first."""
    source = odbc_source
    source.execute(f"CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, x {source.facts.text})")
    lengths = dict.fromkeys(range(1, 2001), 5) | {700: 4_099, 1_500: 9_000, 1_501: 65_535}
    for start in range(1, 2_001, 500):
        values = ", ".join(f"({n}, '{str(n % 10) * lengths[n]}')" for n in range(start, start + 500))
        source.execute(f"INSERT INTO t VALUES {values}")
    query = source.query("t", order=("id",) if ordered else ())

    with source.session() as connection:
        read = [row for page in source.engine.read(connection, query) for row in page.table.to_pylist()]
        assert connection.caps == ({query.table: 1} if ordered else {})

    assert sorted((row["id"], len(row["x"]), row["x"][:1]) for row in read) == [
        (number, length, str(number % 10)) for number, length in sorted(lengths.items())
    ]


def test_pages_start_after_the_last_one_when_buffers_grow(odbc_source: Source) -> None:
    source = odbc_source
    source.execute(f"CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, x {source.facts.text})")
    lengths = [10, 20_000, 10, 60_000, 30, 9_000, 1]
    for number, length in enumerate(lengths):
        source.execute(f"INSERT INTO t VALUES ({number}, '{'x' * length}')")
    for page_rows in (1, 2, 3):
        rows = source.read_in_pages(source.query("t", order=("id",)), page_rows)
        assert [len(row["x"]) for row in rows] == lengths


LONG = {
    "postgresql": ("bytea", "decode(repeat('ab', 400000), 'hex')"),
    "mysql": ("longblob", "repeat(x'ab', 400000)"),
}


def test_a_value_longer_than_every_buffer_is_read_row_by_row(
    odbc_source: Source,
) -> None:
    source, (type, long) = odbc_source, LONG[odbc_source.name]
    source.execute(f"CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, x {type})")
    source.execute(f"INSERT INTO t VALUES (1, NULL), (2, {long}), (3, {long}), (4, NULL)")
    query = source.query("t", order=("id",))
    with source.session() as connection:
        read = [row for page in source.engine.read(connection, query) for row in page.table.to_pylist()]
        assert connection.caps == {query.table: len(odbc.CAPS_BYTES)}
    assert [row["x"] for row in read] == [None, b"\xab" * 400_000, b"\xab" * 400_000, None]


def test_a_row_over_the_bound_is_refused_by_its_column(odbc_source: Source) -> None:
    source, (type, long) = odbc_source, LONG[odbc_source.name]
    source.execute(f"CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, x {type})")
    source.execute(f"INSERT INTO t VALUES (1, NULL), (2, {long})")
    query = replace(source.query("t", order=("id",)), longest_bytes=799_999)
    with pytest.raises(ValueRefused, match='column "x" of'):
        source.read(query)


def eventually(holds: Callable[[], bool]) -> bool:
    """Return whether the condition becomes true within ten seconds."""
    until = time.monotonic() + 10
    while not holds() and time.monotonic() < until:
        time.sleep(0.05)
    return holds()


def test_a_session_has_one_connection_for_all_queries(odbc_source: Source) -> None:
    source = odbc_source
    source.execute("CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY)")
    source.execute("INSERT INTO t VALUES (1)")
    query = source.query("t", order=("id",))
    with source.session() as connection:
        for _ in range(2):
            assert source.engine.ask(connection, "SELECT 1") == ("1",)
            assert [page.position for page in source.engine.read(connection, query)] == [("1",)]
            assert eventually(lambda: len(session_ids(source)) == 1)  # a closed session may still be listed


def test_a_password_of_any_characters_is_taken_and_a_wrong_one_refused(odbc_source: Source) -> None:
    source, user = odbc_source, "reader_by_odbc"
    quoted = PASSWORD.replace("'", "''").replace("\\", "\\\\" if source.facts.escapes else "\\")
    source.execute(source.facts.reader[0].format(user=user).replace("'p'", f"'{quoted}'"))
    try:
        if source.name == "mysql":
            source.execute(f"GRANT SELECT ON {source.schema}.* TO {user}")
        secret = type(source.secret)(**{**source.secret.model_dump(), "username": user, "password": PASSWORD})
        with source.session(secret=secret) as connection:
            assert source.engine.ask(connection, "SELECT 1") == ("1",)
        error = refusal(source, username=user, password=PASSWORD + "x")
        assert type(error) in (SourceRefused, SourceUnavailable)
        assert PASSWORD not in str(error)
        assert PASSWORD not in repr(connection)
    finally:
        for statement in source.facts.unreader:
            source.execute(statement.format(user=user))


def test_a_closed_port_is_unavailable(odbc_source: Source) -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        error = refusal(odbc_source, port=port)
    assert type(error) is SourceUnavailable
    assert f"127.0.0.1:{port}" in str(error)


def test_a_missing_driver_is_reported_as_left_out_of_the_build(odbc_source: Source) -> None:
    with pytest.raises(TributaryError, match=r"ODBC parts of the drivers layer.*make driver-sqlserver"):
        odbc.open_session(
            odbc.Dialect(lambda column: odbc.Binding("1", "int32"), lambda query, columns: "SELECT 1", {}),
            "Driver=/nowhere/libmsodbcsql.so;Server=127.0.0.1;",
            where="127.0.0.1:1433",
            pins=(),
            statement_timeout_s=5,
        )
