"""What only PostgreSQL has: its catalog, its clock, its planner and its odd values."""

from __future__ import annotations

import json
import math
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.databases.postgres import Postgres
from tests.integration.engines.source import Source
from tributary.engines.postgresql import types as postgresql_types
from tributary.errors import SourceUnavailable, TableRefused
from tributary.model.source_catalog import SourceColumn, TableName
from tributary.secret import Secret


def test_every_base_type_of_the_server_has_a_row(pg: Source) -> None:
    """True arrays, ranges and composites have rows by their category, pseudo-types no columns."""
    rows = pg.execute(
        "SELECT format_type(oid, NULL) FROM pg_type WHERE typtype = 'b' AND typrelid = 0 "
        "AND typnamespace = 'pg_catalog'::regnamespace AND NOT (typcategory = 'A' AND typarray = 0)"
    )
    named = {str(row[0]) for row in rows}
    assert len(named) > 60
    assert named - set(postgresql_types.TYPES) == set()


def test_the_catalog_lists_what_can_be_read_once(pg: Source) -> None:
    for statement in [
        "CREATE SCHEMA other",
        "CREATE TABLE other.plain (id int)",
        "CREATE VIEW seen AS SELECT 1 AS id",
        "CREATE MATERIALIZED VIEW kept AS SELECT 1 AS id",
        "CREATE TABLE parted (id int, day date) PARTITION BY RANGE (day)",
        "CREATE TABLE parted_2024 PARTITION OF parted FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')",
        "CREATE TEMP TABLE gone (id int)",
        "CREATE SEQUENCE counted",
        "CREATE INDEX ON parted (id)",
    ]:
        pg.execute(statement)
    with pg.session() as connection:
        assert pg.engine.list_tables(connection) == [
            TableName("other", "plain"),
            TableName("public", "kept"),
            TableName("public", "parted"),
            TableName("public", "seen"),
        ]
        names = {TableName("public", "parted"), TableName("public", "seen"), TableName("public", "none")}
        described = pg.engine.describe(connection, names)
    assert set(described) == names - {TableName("public", "none")}
    assert described[TableName("public", "parted")].indexes == (("id",),)
    assert described[TableName("public", "seen")].columns == (SourceColumn("id", "integer", True),)


def test_only_keys_that_hold_for_the_whole_table_are_keys(pg: Source) -> None:
    for statement in [
        "CREATE TABLE t (a int, b int NOT NULL, c text NOT NULL, d int NOT NULL, e int, f int NOT NULL)",
        "ALTER TABLE t ADD PRIMARY KEY (b, a), ADD UNIQUE (c), ADD UNIQUE (d) DEFERRABLE, ADD UNIQUE (e)",
        "CREATE UNIQUE INDEX partial ON t (f) WHERE f > 0",
        "CREATE UNIQUE INDEX expression ON t ((f + 1))",
        'CREATE UNIQUE INDEX collated ON t (c COLLATE "POSIX", f)',
        "CREATE UNIQUE INDEX covering ON t (f) INCLUDE (e)",
        "CREATE INDEX hashed ON t USING hash (f)",
        "CREATE INDEX mixed ON t (d, f DESC)",
        "CREATE INDEX patterned ON t (c text_pattern_ops)",
        "CREATE INDEX backward ON t (e DESC, f DESC)",
        "ALTER TABLE t DROP COLUMN e",
        "ALTER TABLE t ADD COLUMN g int",
    ]:
        pg.execute(statement)
    table = pg.describe("t")
    assert [column.name for column in table.columns] == ["a", "b", "c", "d", "f", "g"]
    assert table.primary_key == ("b", "a")
    assert set(table.unique_keys) == {("c",)}
    assert set(table.indexes) == {("b", "a"), ("c",), ("d",)}
    pg.execute("CREATE UNIQUE INDEX covering ON t (f) INCLUDE (a)")
    assert set(pg.describe("t").unique_keys) == {("c",), ("f",)}


def test_domains_are_read_as_what_they_are_made_of_and_enums_by_their_labels(pg: Source) -> None:
    pg.execute("CREATE TYPE \"Odd Mood\" AS ENUM ('b', 'a')")
    pg.execute("CREATE DOMAIN amount AS numeric(12,2) NOT NULL")
    pg.execute('CREATE TABLE t (m "Odd Mood" NOT NULL, n amount)')
    assert pg.describe("t").columns == (
        SourceColumn("m", 'enum public."Odd Mood"', False),
        SourceColumn("n", "numeric(12,2)", False),
    )
    pg.execute("INSERT INTO t VALUES ('a', 1), ('b', 2)")
    query = pg.query("t", order=("m",))
    assert [row["m"] for row in pg.read_in_pages(query, 1)] == ["b", "a"]  # in the enum's order


def test_a_column_with_a_collation_of_its_own_pages_in_that(pg: Source) -> None:
    pg.execute('CREATE TABLE t (name text COLLATE "POSIX" NOT NULL, n int NOT NULL, PRIMARY KEY (name, n))')
    names = ["a", "A", "ä", "b", "B ", "b ", "", "Ω", "😀"]
    for number, name in enumerate(names):
        pg.execute(f"INSERT INTO t VALUES ('{name}', {number})")
    for page_rows in (1, 2, 5):
        rows = pg.read_in_pages(pg.query("t", order=("name", "n")), page_rows)
        assert [row["name"] for row in rows] == sorted(names, key=str.encode)


def test_a_byte_order_mark_at_the_start_of_a_page_stays(pg: Source) -> None:
    pg.execute("CREATE TABLE t (x text, id int PRIMARY KEY)")
    pg.execute("INSERT INTO t VALUES (U&'\\FEFFx', 1), (U&'\\FEFF', 2)")
    assert [row["x"] for row in pg.read_in_pages(pg.query("t", order=("id",)), 1)] == ["\ufeffx", "\ufeff"]


def test_a_negative_zero_keeps_its_sign(pg: Source) -> None:
    pg.execute("CREATE TABLE t (x real, y float8)")
    pg.execute("INSERT INTO t VALUES ('-0', '-0')")
    (row,) = pg.read(pg.query("t"))
    assert [math.copysign(1, value) for value in row.values()] == [-1, -1]


def test_server_settings_do_not_change_a_values_text(pg: Source) -> None:
    name = pg.secret.dbname
    for setting in [
        "datestyle = 'German, DMY'",
        "timezone = 'Asia/Kolkata'",
        "extra_float_digits = -15",
        "bytea_output = 'escape'",
        "search_path = 'nowhere'",
        "client_encoding = 'LATIN1'",
        "standard_conforming_strings = off",
        "intervalstyle = 'iso_8601'",
    ]:
        pg.execute(f"ALTER DATABASE {name} SET {setting}")
    pg.execute("CREATE TABLE t (id int PRIMARY KEY, d date, z timestamptz, f float8, b bytea, x text)")
    pg.execute(
        "INSERT INTO t VALUES (1, '2024-02-01', '2024-02-01 00:00:00.1Z', 0.1::float8 + 0.2, '\\x00ff', 'é\\')"  # noqa: E501
    )
    assert pg.read(pg.query("t", order=("id",))) == [
        {
            "id": 1,
            "d": datetime(2024, 2, 1).date(),
            "z": datetime(2024, 2, 1, 0, 0, 0, 100_000, UTC),
            "f": 0.1 + 0.2,
            "b": b"\x00\xff",
            "x": "é\\",
        }
    ]


def test_a_materialized_view_never_filled_is_refused_with_what_to_do(pg: Source) -> None:
    pg.execute("CREATE MATERIALIZED VIEW empty AS SELECT 1 AS id WITH NO DATA")
    with pytest.raises(TableRefused, match="refreshed first"):
        pg.read(pg.query("empty"))


def plan(source: Source, sql: str) -> str:
    with source.session() as connection:
        answer = source.engine.ask(connection, f"EXPLAIN (FORMAT json) {sql}")
    return json.dumps(json.loads(str(answer and answer[0])))


def test_later_pages_are_index_ranges_without_a_sort(pg: Source) -> None:
    pg.execute("CREATE TABLE t (a int, b text, at timestamptz NOT NULL, PRIMARY KEY (a, b))")
    pg.execute(
        "INSERT INTO t SELECT g % 100, g::text, '2024-01-01'::timestamptz + g * interval '1 s' "
        "FROM generate_series(1, 20000) AS g"
    )
    pg.execute("CREATE INDEX ON t (at, a, b)")
    pg.execute("VACUUM ANALYZE t")
    by_key = pg.query("t", order=("a", "b"), position=("42", "1042"), limit=500)
    moment = "2024-01-01 03:00:00+00"
    by_cursor = pg.query(
        "t",
        order=("at", "a", "b"),
        cursor="at",
        after=moment,
        up_to="2024-01-01 05:00:00+00",
        limit=500,
        position=("2024-01-01 03:30:00+00", "0", "12600"),
    )
    for query in (by_key, by_cursor):
        shown = plan(pg, pg.engine.select(query))
        assert '"Sort"' not in shown
        assert "Index Cond" in shown
        assert f"ROW({', '.join(query.order)}) > ROW(" in shown.split('"Index Cond": ')[1]
        assert "Filter" not in shown


def test_the_clock_sees_the_oldest_transaction_whether_it_writes_or_not(pg: Source) -> None:
    with closing(pg.server.connect(pg.secret.dbname)) as idle, pg.session() as connection:
        assert pg.engine.clock(connection).oldest is None
        before = datetime.now(UTC)
        idle.run("BEGIN")
        idle.run("SELECT 1")
        clock = pg.engine.clock(connection)
        assert clock.hidden is None
        assert clock.oldest is not None
        assert before - timedelta(seconds=1) < clock.oldest <= clock.now
        idle.run("COMMIT")
        assert pg.engine.clock(connection).oldest is None


def test_the_clock_leaves_other_databases_out(pg: Source) -> None:
    with closing(pg.server.connect("postgres")) as other, pg.session() as connection:
        other.run("BEGIN")
        other.run("SELECT 1")
        assert pg.engine.clock(connection).oldest is None


def test_the_clock_reports_what_hides_transactions(pg: Source) -> None:
    role = f"blind_{pg.secret.dbname}"
    pg.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'p'")
    secret = Secret(**{**pg.secret.model_dump(), "username": role, "password": "p"})

    def hidden() -> str | None:
        with pg.session(secret=secret) as connection:
            return pg.engine.clock(connection).hidden

    try:
        assert "pg_read_all_stats" in str(hidden())
        pg.execute(f"GRANT pg_monitor TO {role}")
        assert hidden() is None
        pg.execute("CREATE TABLE t (id int)")
        with closing(pg.server.connect(pg.secret.dbname)) as writer:
            writer.run("BEGIN")
            writer.run("INSERT INTO t VALUES (1)")
            writer.run("PREPARE TRANSACTION 'held'")
        assert "prepared transaction" in str(hidden())
        pg.execute("ROLLBACK PREPARED 'held'")
        assert hidden() is None
    finally:
        pg.execute(f"DROP OWNED BY {role}")
        pg.execute(f"DROP ROLE {role}")


def test_a_server_that_stops_in_the_middle_is_unavailable() -> None:
    with Postgres.start() as server:
        with closing(server.connect()) as admin:
            admin.run(
                "CREATE TABLE t AS SELECT g AS id, repeat('x', 1000) AS x FROM generate_series(1, 60000) AS g"
            )
        secret = Secret(
            host=server.host, port=server.port, username="postgres", dbname="postgres", sslmode="disable"
        )
        source = Source(
            "postgresql",
            __import__("tributary.engines.postgresql.engine", fromlist=["read"]),
            secret,
            "public",
            print,
        )
        with source.session() as connection:
            pages: Any = source.engine.read(connection, source.query("t"))
            next(pages)
            server.stop()
            with pytest.raises(SourceUnavailable):
                list(pages)
            with pytest.raises(SourceUnavailable):
                source.engine.list_tables(connection)


def test_too_many_connections_are_a_source_unavailable(pg: Source) -> None:
    role = f"narrow_{pg.secret.dbname}"
    pg.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'p' CONNECTION LIMIT 1")
    secret = Secret(**{**pg.secret.model_dump(), "username": role, "password": "p"})
    try:
        with pg.session(secret=secret), pytest.raises(SourceUnavailable, match="53300"):
            pg.engine.connect(secret, statement_timeout_s=5)
    finally:
        pg.execute(f"DROP ROLE {role}")
