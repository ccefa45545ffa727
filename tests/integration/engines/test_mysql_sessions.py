"""MariaDB's and MySQL's settings: none of the server's own changes what is read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pymysql
import pytest

from local.databases.mariadb import MariaDB
from tests.integration.engines.mysql_servers import shop_of
from tests.integration.engines.source import Source, create_every_type
from tributary.errors import TableRefused, TributaryError
from tributary.model.source_catalog import TableName
from tributary.planning.source_probe import SourceProbe
from tributary.secret import Secret

LARGEST = 2**64 - 1
TEXTS = {
    "sql_mode": ["ANSI,PAD_CHAR_TO_FULL_LENGTH,HIGH_NOT_PRECEDENCE,NO_UNSIGNED_SUBTRACTION", ""],
    "old_mode": ["NO_DUP_KEY_WARNINGS_WITH_IGNORE,NO_PROGRESS_INFO,ZERO_DATE_TIME_CAST", ""],
    "time_zone": ["+05:30", "-12:00"],
    "character_set_client": ["latin1"],
    "character_set_connection": ["latin1"],
    "character_set_results": ["latin1"],
    "character_set_server": ["latin1"],
    "collation_connection": ["latin1_bin", "utf8mb4_bin"],
    "collation_server": ["latin1_swedish_ci"],
    "lc_time_names": ["es_ES"],
    "lc_messages": ["es_ES"],
    "default_storage_engine": ["MyISAM"],
    "default_tmp_storage_engine": ["MyISAM"],
    "enforce_storage_engine": ["MyISAM"],
    "storage_engine": ["MyISAM"],
    "session_track_system_variables": ["*"],
    # All flags on, and all off but one of two that may not both be.
    "optimizer_switch": ["{all}=on", "{all}=off,in_to_exists=on"],
    "system_versioning_asof": ["2000-01-01 00:00:00"],
}
# Settings that no value is tried of, each with its reason.
NOT_TRIED = {
    "max_allowed_packet": "a test of its own: a session takes it from the server and cannot change it",
    "net_buffer_length": "only a buffer's size, bounded by max_allowed_packet",
    "wait_timeout": "ends a session that is idle: an error that is retried",
    "interactive_timeout": "ends a session that is idle: an error that is retried",
    "net_read_timeout": "ends a session that is slow: an error that is retried",
    "idle_transaction_timeout": "ends a session: an error that is retried",
    "idle_readonly_transaction_timeout": "ends a session: an error that is retried",
    "max_session_mem_used": "ends a statement: an error",
    "thread_stack": "only memory",
    "tmp_disk_table_size": "ends a statement: an error",
    "innodb_ft_user_stopword_table": "only an index for full texts, when it is built",
    "innodb_tmpdir": "only where ALTER TABLE writes",
    "optimizer_trace": "only a table that describes how a query was planned",
    "max_user_connections": "refuses connections: an error",
}


@pytest.fixture(scope="module")
def server() -> Iterator[MariaDB]:
    """A server of the tests' own, whose global settings change."""
    with MariaDB.start() as started:
        yield started


@pytest.fixture
def shop(server: MariaDB) -> Iterator[Source]:
    with shop_of(server) as source:
        yield source
        source.execute("DROP DATABASE shop")


def worst_values(source: Source) -> Iterator[tuple[str, str]]:
    """Yield every setting that a new session takes from the server, with each of its extreme values."""
    rows = source.execute(
        "SELECT LOWER(variable_name), variable_type, enum_value_list, numeric_min_value, numeric_max_value "
        "FROM information_schema.system_variables WHERE variable_scope = 'SESSION' AND read_only = 'NO' "
        "ORDER BY variable_name"
    )
    for name, type, labels, low, high in rows:
        if name in NOT_TRIED:
            continue
        if name in TEXTS:
            flags = [label for label in str(labels).split(",") if label != "default"]
            for value in TEXTS[name]:
                every, _, rest = value.removeprefix("{all}").partition(",")
                wanted = ",".join([*(f"{flag}{every}" for flag in flags), *filter(None, [rest])])
                yield name, f"'{wanted if value.startswith('{all}') else value}'"
        elif type == "SET":
            yield from ((name, f"'{value}'") for value in (labels, ""))
        elif type == "BOOLEAN":
            yield from ((name, value) for value in ("1", "0"))
        elif type == "ENUM":
            yield from ((name, f"'{value}'") for value in str(labels).split(","))
        else:
            assert low is not None, f"{name}: no value is known for it; add it to TEXTS or to NOT_TRIED"
            yield from ((name, value) for value in (low, str(min(int(float(high)), LARGEST))))


@contextmanager
def globally(source: Source, name: str, value: str) -> Iterator[bool]:
    """Set a global setting; yield whether the server accepts the value."""
    ((before,),) = source.execute(f"SELECT @@GLOBAL.{name}")
    try:
        source.execute(f"SET GLOBAL {name} = {value}")
    except pymysql.Error:
        yield False
        return
    try:
        yield True
    finally:
        number = isinstance(before, int | float | Decimal)
        restored = "DEFAULT" if before in (None, "DEFAULT") else before if number else f"'{before}'"
        source.execute(f"SET GLOBAL {name} = {restored}")


def test_no_setting_of_the_server_changes_what_is_read(shop: Source) -> None:
    create_every_type(shop)
    shop.execute("CREATE TABLE versions (id int PRIMARY KEY) WITH SYSTEM VERSIONING")
    shop.execute("INSERT INTO versions VALUES (1), (2)")
    shop.execute("CREATE VIEW seen AS SELECT id FROM t")
    queries = [
        shop.query("t", order=("id",)),
        shop.query("versions", order=("id",)),
        shop.query("seen", order=("id",)),
    ]
    expected = [shop.read(query) for query in queries]
    tried, wrong = 0, list[tuple[object, ...]]()
    for name, value in worst_values(shop):
        with globally(shop, name, value) as accepted:
            if not accepted:
                continue
            tried += 1
            try:
                read = [shop.read(query) for query in queries]
                with shop.session() as connection:
                    hidden = shop.engine.clock(connection).hidden
                    tables = len(shop.engine.list_tables(connection))
                if read != expected or hidden is not None or tables != 3:
                    wrong.append((name, value, read == expected, hidden, tables))
            except TributaryError as error:
                wrong.append((name, value, repr(error)))
    assert wrong == []
    assert tried > 150


# What a session alone can have: an administrator's init_connect sets it for all who are not one.
OF_A_SESSION = {
    "timestamp": "1",
    "last_insert_id": "1",
    "identity": "2",
    "rand_seed1": "1",
    "rand_seed2": "1",
    "sql_mode": "'ANSI,PAD_CHAR_TO_FULL_LENGTH'",
    "autocommit": "0",
    "sql_select_limit": "1",
    "sql_auto_is_null": "1",
    "time_zone": "'+05:30'",
    "max_statement_time": "0.001",
    "system_versioning_asof": "'2000-01-01 00:00:00'",
}


def test_what_init_connect_sets_for_a_session_changes_nothing_that_is_read(shop: Source) -> None:
    create_every_type(shop)
    shop.execute("CREATE USER reader_greeted IDENTIFIED BY 'x'")
    shop.execute("GRANT SELECT ON shop.* TO reader_greeted")
    shop.execute("GRANT PROCESS, REPLICA MONITOR ON *.* TO reader_greeted")
    reader = Secret(**{**shop.secret.model_dump(), "username": "reader_greeted", "password": "x"})
    query = shop.query("t", order=("id",))
    expected = shop.read(query)
    sets = ", ".join(f"SESSION {name} = {value}" for name, value in OF_A_SESSION.items())
    with globally(shop, "init_connect", '"SET ' + sets + '"') as accepted, closing(plainly(reader)) as plain:
        assert accepted
        with plain.cursor() as cursor:
            cursor.execute("SELECT UTC_TIMESTAMP() < '1971-01-01', @@sql_select_limit")
            assert cursor.fetchall() == ((1, 1),)  # it is set for others
        with shop.session(secret=reader) as connection:
            pages = shop.engine.read(connection, query)
            assert [row for page in pages for row in page.table.to_pylist()] == expected
            assert shop.engine.clock(connection).now.year > 2000
    shop.execute("DROP USER reader_greeted")


def plainly(secret: Secret) -> pymysql.Connection[Any]:
    """Return a connection like an application's."""
    return pymysql.connect(
        host=secret.host, port=secret.port or 0, user=secret.username, password="x", database="shop"
    )


@pytest.mark.parametrize("level", ["READ-UNCOMMITTED", "READ-COMMITTED", "REPEATABLE-READ", "SERIALIZABLE"])
def test_only_committed_rows_are_read_at_any_isolation_of_the_server(shop: Source, level: str) -> None:
    shop.execute("CREATE TABLE t (id int PRIMARY KEY, n int) ENGINE=InnoDB")
    shop.execute("INSERT INTO t VALUES (1, 1)")
    query = shop.query("t", order=("id",))
    with globally(shop, "tx_isolation", f"'{level}'"), closing(shop.server.connect("shop")) as writer:
        writer.begin()
        with writer.cursor() as cursor:
            cursor.execute("INSERT INTO t VALUES (2, 2)")
            cursor.execute("UPDATE t SET n = 9 WHERE id = 1")
        assert shop.read(query) == [{"id": 1, "n": 1}]
        with shop.session() as connection:
            assert shop.engine.ask(connection, "SELECT MAX(n) FROM shop.t") == ("1",)
            assert shop.engine.clock(connection).oldest is not None
        writer.rollback()


def test_a_limit_of_the_servers_bounds_no_table(shop: Source) -> None:
    shop.execute("CREATE TABLE t (id int PRIMARY KEY)")
    shop.execute("INSERT INTO t SELECT seq FROM seq_1_to_500")
    query = shop.query("t", order=("id",))
    for name, value in (("sql_select_limit", "50"), ("max_join_size", "50"), ("sql_big_selects", "0")):
        with globally(shop, name, value) as accepted:
            assert accepted
            assert len(shop.read(query)) == 500


# Texts as a user writes them for a server's own sql_mode, and the rows that they mean.
OWN_SQL = [
    ("", r"note = 'a\\b'", [1]),
    ("", r"note = 'a\\\\b'", [2]),
    ("", 'note = "x"', [3]),
    ("NO_BACKSLASH_ESCAPES", r"note = 'a\\b'", [2]),
    ("ANSI_QUOTES", "\"note\" = 'x'", [3]),
    ("PIPES_AS_CONCAT", "note = 'x' || ''", [3]),
    ("PAD_CHAR_TO_FULL_LENGTH,ANSI_QUOTES", "\"note\" = 'x'", [3]),
]


@pytest.mark.parametrize(("mode", "where", "ids"), OWN_SQL)
def test_a_users_sql_means_what_it_means_in_the_users_own_session(
    shop: Source, mode: str, where: str, ids: list[int]
) -> None:
    shop.execute("CREATE TABLE t (id int PRIMARY KEY, note varchar(20), c char(5))")
    shop.execute("SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES'")
    shop.execute(r"INSERT INTO t VALUES (1, 'a\b', 'c'), (2, 'a\\b', 'c'), (3, 'x', 'c'), (4, NULL, NULL)")
    query = shop.query("t", order=("id",))
    with globally(shop, "sql_mode", f"'{mode}'"), shop.session() as connection:
        for attempt in (
            replace(query, where=where),
            replace(query, sql=f"SELECT * FROM shop.t WHERE {where}"),
        ):
            for _ in range(2):
                (page,) = shop.engine.read(connection, attempt)
                assert [row["id"] for row in page.table.to_pylist()] == ids
                assert [row["c"] for row in page.table.to_pylist()] == ["c"] * len(ids)
                (page,) = shop.engine.read(connection, replace(query, position=("1",)))
                assert [row["id"] for row in page.table.to_pylist()] == [2, 3, 4]
        condition = f"SELECT COUNT(*) FROM shop.t AS t WHERE (\n{where}\n)"
        assert shop.engine.ask(connection, condition) == (str(len(ids)),)


def test_a_text_key_with_backslashes_pages_beside_a_users_condition(shop: Source) -> None:
    shop.execute("CREATE TABLE t (a varchar(20) COLLATE utf8mb4_bin PRIMARY KEY)")
    shop.execute("SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES'")
    names = ["\\", "\\\\", "\\'", "a\\b", "a\\\\b", "é\\", "'", "\\%"]
    for name in names:
        shop.execute("INSERT INTO t VALUES ('" + name.replace("'", "''") + "')")
    for where in (None, "a <> 'nothing'"):
        query = replace(shop.query("t", order=("a",)), where=where)
        assert sorted(row["a"] for row in shop.read_in_pages(query, 1)) == sorted(names)


def test_a_views_own_error_is_named_with_its_code(shop: Source) -> None:
    shop.execute("CREATE TABLE base (id int PRIMARY KEY)")
    shop.execute("INSERT INTO base VALUES (1)")
    shop.execute("CREATE VIEW broken AS SELECT id FROM base")
    shop.execute("CREATE VIEW two AS SELECT id, (SELECT id FROM base UNION ALL SELECT 2) AS x FROM base")
    broken, two = shop.query("broken"), shop.query("two")
    with pytest.raises(TableRefused, match=r"shop\.two fails in the source \(1242: a subquery returned more"):
        shop.read(two)
    shop.execute("DROP TABLE base")
    message = r"view shop\.broken fails in the source \(1356: it refers to .*, drop it, or leave it out"
    with pytest.raises(TableRefused, match=message):
        shop.read(broken)
    name, dropped = TableName("shop", "broken"), TableName("shop", "base")
    with shop.session() as connection:
        probe = SourceProbe(shop.engine, connection)
        assert name in shop.engine.list_tables(connection)
        assert shop.engine.describe(connection, {name}) == {}  # MySQL's catalog shows no columns of it
        assert re.match(message, str(probe.undescribed(name)))
        assert "no longer exists (1146)" in str(probe.undescribed(dropped))
