"""What only SQLite has: a file, values of any storage in any column, and keys that may be NULL."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.integration.engines.source import Source
from tributary.engines import registry
from tributary.errors import SecretError, SourceRefused, SourceUnavailable, ValueRefused
from tributary.model.source_catalog import SourceColumn, SourceTable, TableName
from tributary.secret import Secret


def test_a_file_that_is_not_there_is_refused_and_not_made(tmp_path: Path) -> None:
    path = tmp_path / "missing.db"
    with pytest.raises(SourceRefused, match="SQLITE_CANTOPEN"):
        registry.get("sqlite").connect(Secret(dbname=str(path)), statement_timeout_s=5)
    assert not path.exists()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.db"
    path.write_text("not a database, and long enough to be looked at" * 10)
    with pytest.raises(SourceRefused, match="SQLITE_NOTADB"):
        registry.get("sqlite").connect(Secret(dbname=str(path)), statement_timeout_s=5)


def test_a_file_whose_writer_died_is_unavailable_until_a_writer_has_undone_its_work(tmp_path: Path) -> None:
    alive, dead = tmp_path / "alive.db", tmp_path / "dead.db"
    with closing(sqlite3.connect(alive, isolation_level=None)) as writer:
        writer.execute("PRAGMA cache_size = 1")  # so that the transaction spills into the file
        writer.execute("CREATE TABLE t (v TEXT)")
        writer.execute("BEGIN")
        writer.execute(
            "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) "
            "SELECT hex(randomblob(100)) FROM n"
        )
        shutil.copy(alive, dead)
        shutil.copy(f"{alive}-journal", f"{dead}-journal")
    secret = Secret(dbname=str(dead))

    with pytest.raises(SourceUnavailable, match="SQLITE_READONLY"):
        registry.get("sqlite").connect(secret, statement_timeout_s=5)

    with closing(sqlite3.connect(dead)) as writer:
        assert writer.execute("SELECT count(*) FROM t").fetchall() == [(0,)]
    registry.get("sqlite").close(registry.get("sqlite").connect(secret, statement_timeout_s=5))


@pytest.mark.parametrize(
    ("encoding", "size"), [("UTF-8", 3 << 20), ("UTF-8", 1 << 20), ("UTF-16le", 3 << 20)]
)
def test_a_row_over_the_bound_is_refused_by_its_column_before_it_is_read(
    lite: Source, encoding: str, size: int
) -> None:
    lite.execute(f"PRAGMA encoding = '{encoding}'")
    lite.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, short TEXT, note TEXT)")
    lite.execute(f"INSERT INTO t VALUES (1, 'a', 'b'), (2, 'c', printf('%.{size}c', 'x')), (3, 'd', 'e')")
    query = replace(lite.query("t", order=("id",)), longest_bytes=1 << 20)
    with lite.session() as session:
        with pytest.raises(ValueRefused, match=r'column "note" of main.t .* longer than 1 MiB'):
            list(lite.engine.read(session, query))
        whole = replace(query, longest_bytes=8 << 20)
        assert sum(page.rows for page in lite.engine.read(session, whole)) == 3


def test_a_secret_without_a_path_says_so() -> None:
    with pytest.raises(SecretError, match="dbname"):
        registry.get("sqlite").connect(Secret(), statement_timeout_s=5)


def test_a_primary_key_is_nullable_unless_sqlite_keeps_it_from_it(lite: Source) -> None:
    for statement in [
        "CREATE TABLE a (id INTEGER PRIMARY KEY, n TEXT)",
        "CREATE TABLE b (x TEXT, y INT, PRIMARY KEY (y, x))",
        "CREATE TABLE c (x TEXT PRIMARY KEY) WITHOUT ROWID",
        "CREATE TABLE d (x INT PRIMARY KEY, y INT NOT NULL UNIQUE, z INT UNIQUE)",
        "CREATE UNIQUE INDEX partial ON d (z) WHERE z > 0",
        "CREATE UNIQUE INDEX expression ON d (y + 1)",
        "CREATE INDEX plain ON d (z, y)",
        "CREATE VIEW v AS SELECT id FROM a",
    ]:
        lite.execute(statement)
    with lite.session() as connection:
        listed = lite.engine.list_tables(connection)
        described = lite.engine.describe(connection, [*listed, TableName("main", "none")])

    def table(name: str, *columns: tuple[str, str, bool], **keys: tuple[tuple[str, ...], ...]) -> SourceTable:
        key = keys.get("key", ((),))[0]
        described_columns = tuple(SourceColumn(*column) for column in columns)
        return SourceTable(
            TableName("main", name), described_columns, key, keys.get("unique", ()), keys.get("indexes", ())
        )

    assert [name.table for name in listed] == ["a", "b", "c", "d", "v"]
    assert sorted(described.values(), key=lambda known: known.name) == [
        table("a", ("id", "INTEGER", False), ("n", "TEXT", True), key=(("id",),), indexes=(("id",),)),
        table("b", ("x", "TEXT", True), ("y", "INT", True), key=(("y", "x"),), indexes=(("y", "x"),)),
        table("c", ("x", "TEXT", False), key=(("x",),), indexes=(("x",),)),
        table(
            "d",
            *(("x", "INT", True), ("y", "INT", False), ("z", "INT", True)),
            key=(("x",),),
            unique=(("y",),),
            indexes=(("z", "y"), ("z",), ("y",), ("x",)),
        ),
        replace(table("v", ("id", "INTEGER", True)), nulls_enforced=False),
    ]


def test_a_key_without_case_pages_in_its_own_collation(lite: Source) -> None:
    lite.execute("CREATE TABLE t (a TEXT COLLATE NOCASE, b INT, PRIMARY KEY (a, b))")
    names = ["b", "A", "a", "B", "", "Z", "é", "É", "a "]
    for number, name in enumerate(names):
        lite.execute(f"INSERT INTO t VALUES ('{name}', {number})")
    for page_rows in (1, 2, 4):
        rows = lite.read_in_pages(lite.query("t", order=("a", "b")), page_rows)
        assert [row["b"] for row in rows] == [4, 1, 2, 8, 0, 3, 5, 7, 6]


def test_later_pages_are_searches_of_the_index_without_a_sort(lite: Source) -> None:
    lite.execute("CREATE TABLE t (a INT, b TEXT, PRIMARY KEY (a, b))")
    query = lite.query("t", order=("a", "b"), position=("1", "x"), limit=10)
    steps = [row[3] for row in lite.execute("EXPLAIN QUERY PLAN " + lite.engine.select(query))]
    assert steps == ["SEARCH t USING COVERING INDEX sqlite_autoindex_t_1 ((a,b)>(?,?))"]


def test_the_clock_hides_transactions(lite: Source) -> None:
    with lite.session() as connection:
        clock = lite.engine.clock(connection)
    assert (clock.oldest, clock.hidden) == (None, "SQLite shows no transactions")
    assert clock.now.tzinfo is not None


def test_a_read_that_was_refused_leaves_no_lock(lite: Source) -> None:
    lite.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)")
    lite.execute("INSERT INTO t VALUES (1, x'00')")
    with lite.session() as connection:
        pages = lite.engine.read(connection, lite.query("t"))
        with pytest.raises(Exception, match='column "x"'):
            next(pages).parse()
        with closing(pages):
            lite.execute("DROP TABLE t")
