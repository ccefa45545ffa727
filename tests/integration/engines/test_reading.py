"""What may happen around a read: it is closed early, cancelled, cut off or not allowed; it never writes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.integration.engines.source import Source, session_ids
from tests.patience import wait_for
from tributary.engines.mysql import packets
from tributary.engines.postgresql import copy_frames
from tributary.errors import QueryCancelled, SourceUnavailable, TableRefused, TributaryError
from tributary.model.query import Query
from tributary.model.source_catalog import TableName
from tributary.secret import Secret


def make_big(source: Source) -> Query:
    """Create 40,000 rows of a thousand characters each, by doubling some of them."""
    source.execute(f"CREATE TABLE big (id INTEGER NOT NULL PRIMARY KEY, filler {source.facts.text})")
    rows = ", ".join(f"({number}, '{'x' * 1000}')" for number in range(1, 626))
    source.execute(f"INSERT INTO big VALUES {rows}")
    for doubling in range(6):
        source.execute(f"INSERT INTO big SELECT id + {625 << doubling}, filler FROM big")
    return source.query("big", order=("id",))


def test_closing_a_read_early_ends_its_thread_and_its_query(source: Source) -> None:
    query = make_big(source)  # more than the buffers between here and the server hold
    before = threading.active_count()
    with source.session() as connection:
        pages: Any = source.engine.read(connection, query)
        next(pages)
        pages.close()
        assert threading.active_count() <= before  # one of an earlier test may end at the same time
    source.execute("DROP TABLE big")  # which waits for every query on it


def test_a_session_outlives_a_page_that_was_read_whole(source: Source) -> None:
    query = make_big(source)
    with source.session() as connection:
        for _ in range(3):
            pages = list(source.engine.read(connection, replace(query, limit=10)))
            assert [page.table.num_rows for page in pages] == [10]
        assert source.engine.ask(connection, "SELECT 1") == ("1",)


def test_a_slow_reader_slows_the_source_down_instead_of_filling_memory(server_source: Source) -> None:
    query = make_big(server_source)
    with server_source.session() as connection:
        pages = server_source.engine.read(connection, query)
        rows = next(pages).table.num_rows
        time.sleep(0.5)
        assert rows + sum(page.table.num_rows for page in pages) == 40_000


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@pytest.mark.parametrize("name", ["pg", "maria"])
def test_the_drivers_public_interface_reads_the_same_as_their_sockets(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    source: Source = request.getfixturevalue(name)
    source.execute("CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, a TEXT, b VARCHAR(40) NOT NULL)")
    odd = ["", "a", 'q"q', "line\nend\r\n", ",", "\r\n\r\n", "x" * 300, "ç" * 30_000]
    for first in range(0, 4_000, 100):
        values = [
            f"({n}, {'NULL' if n % 7 == 0 else quoted(odd[n % 8])}, {quoted(odd[n % 7][:40])})"
            for n in range(first, first + 100)
        ]
        source.execute(f"INSERT INTO t VALUES {', '.join(values)}")
    query = source.query("t", order=("id",))
    inside: Any = {"pg": copy_frames, "maria": packets}[name]

    def read() -> list[dict[str, Any]]:
        with source.session() as connection:
            assert inside.usable(connection.driver) is direct
            pages = list(source.engine.read(connection, query))
            assert source.engine.ask(connection, "SELECT 1") == ("1",)
        assert len(pages) > 2
        return [row for page in pages for row in page.table.to_pylist()]

    direct = True
    at_once = read()
    direct = False
    monkeypatch.setattr(inside, "usable", lambda driver: False)
    assert read() == at_once
    assert [row["id"] for row in at_once] == list(range(4_000))


def slow(source: Source) -> Query:
    source.execute(source.facts.slow)
    if source.name != "sqlite":
        return source.query("slow")
    source.execute("CREATE TABLE shape (id INTEGER)")
    return replace(source.query("shape"), table=TableName("main", "slow"))


def test_a_statement_that_takes_too_long_is_cancelled_and_says_so(source: Source) -> None:
    query = slow(source)
    with source.session(timeout_s=1) as connection, pytest.raises(QueryCancelled, match="slow"):
        list(source.engine.read(connection, query))  # which would end by itself, without an error


def in_the_middle(source: Source, query: Query, act: Callable[[int], Any]) -> TributaryError:
    """Run the query, do something to its session while it runs, and return how it ended."""
    with source.session() as connection:
        timer = threading.Thread(target=lambda: act(*wait_for(lambda: session_ids(source, running=True))))
        timer.start()
        with pytest.raises(TributaryError) as caught:
            list(source.engine.read(connection, query))
        timer.join()
    return caught.value


def test_a_query_cancelled_by_the_server_is_cancelled_for_us(server_source: Source) -> None:
    query = slow(server_source)
    cancel = server_source.facts.cancel or server_source.facts.kill
    error = in_the_middle(server_source, query, lambda number: server_source.execute(cancel.format(number)))
    assert type(error) is (QueryCancelled if server_source.facts.cancel else SourceUnavailable)


def test_a_session_ended_by_the_server_is_a_source_unavailable(server_source: Source) -> None:
    query = slow(server_source)
    kill = server_source.facts.kill
    error = in_the_middle(server_source, query, lambda number: server_source.execute(kill.format(number)))
    assert type(error) is SourceUnavailable


def test_a_session_ended_between_two_pages_is_a_source_unavailable(server_source: Source) -> None:
    query = replace(make_big(server_source), limit=5)
    kill = server_source.facts.kill
    with server_source.session() as connection:
        list(server_source.engine.read(connection, query))
        # SQL Server may still show the session of the other driver, which was closed.
        wait_for(lambda: len(session_ids(server_source)) == 1)
        (number,) = session_ids(server_source)
        server_source.execute(kill.format(number))
        wait_for(lambda: not session_ids(server_source))
        with pytest.raises(SourceUnavailable):
            list(server_source.engine.read(connection, query))
        with pytest.raises(SourceUnavailable):
            server_source.engine.ask(connection, "SELECT 1")


def test_a_table_or_column_that_is_gone_is_refused_by_name(source: Source) -> None:
    query = make_big(source)
    source.execute(source.facts.drop_column)
    with pytest.raises(TableRefused, match=f"{source.schema}.big"):
        source.read(query)
    source.execute("DROP TABLE big")
    with pytest.raises(TableRefused, match=f"{source.schema}.big"):
        source.read(query)


WRITES = [
    "INSERT INTO t VALUES (2)",
    "UPDATE t SET id = 3",
    "DELETE FROM t",
    "CREATE TABLE made (id INTEGER)",
    "DROP TABLE t",
]


@pytest.mark.parametrize("write", WRITES)
def test_a_session_cannot_write(read_only_source: Source, write: str) -> None:
    source = read_only_source
    source.execute("CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY)")
    source.execute("INSERT INTO t VALUES (1)")
    qualified = write.replace(" t", f" {source.schema}.t").replace(" made", f" {source.schema}.made")
    with source.session() as connection, pytest.raises(TributaryError):
        source.engine.ask(connection, qualified)
    assert [row[0] for row in source.execute("SELECT id FROM t")] == [1]


def test_a_table_that_may_not_be_read_is_refused_by_name_and_not_listed(server_source: Source) -> None:
    source = server_source
    source.execute(f"CREATE TABLE {source.engine.quote('open')} (id INTEGER)")
    source.execute("CREATE TABLE hidden (id INTEGER)")
    query = source.query("hidden")
    names = {"user": f"limited_{source.secret.dbname}", "open": source.engine.quote("open")}
    for statement in source.facts.reader:
        source.execute(statement.format(**names))
    secret = Secret(**{**source.secret.model_dump(), "username": names["user"], "password": "p"})
    try:
        with source.session(secret=secret) as connection:
            assert source.engine.list_tables(connection) == [TableName(source.schema, "open")]
            with pytest.raises(TableRefused, match=rf"{source.schema}\.hidden may not be read.*grant SELECT"):
                list(source.engine.read(connection, query))
            assert source.engine.ask(connection, "SELECT 1") == ("1",)
    finally:
        for statement in source.facts.unreader:
            source.execute(statement.format(**names))
