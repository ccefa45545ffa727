"""What only MySQL and MariaDB have: what their texts may not be, their clock and their planner."""

from __future__ import annotations

import json
import threading
import time
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pymysql
import pytest

from tests.integration.engines.mysql_servers import own_server
from tests.integration.engines.source import Source, create_every_type
from tributary.config.models import TableSettings
from tributary.engines.mysql import packets as mysql_packets
from tributary.engines.mysql.types import TWO_CODES
from tributary.errors import SourceUnavailable, TableRefused, ValueRefused
from tributary.model.query import Query
from tributary.model.source_catalog import SourceColumn, TableName
from tributary.planning.table_spec import specify
from tributary.secret import Secret


def test_a_byte_that_is_no_character_of_its_set_is_refused_and_never_a_question_mark(maria: Source) -> None:
    sets = {
        "ascii": ("x'3f41'", "?A", "x'41ff3f'"),
        "cp1250": ("x'3f9a'", "?š", "x'81'"),
        "sjis": ("x'82a0'", "あ", "x'8540'"),
    }
    for charset, (good, text, bad) in sets.items():
        table = f"in_{charset}"
        maria.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, x varchar(9) CHARACTER SET {charset})")
        maria.execute(f"INSERT INTO {table} VALUES (1, {good}), (2, NULL), (3, ''), (4, {bad})")
        query = maria.query(table, order=("id",))
        assert query.columns[1].type == f"varchar(9) character set {charset}"
        assert [row["x"] for row in maria.read(replace(query, limit=3))] == [text, None, ""]
        with pytest.raises(ValueRefused, match="holds a value outside its declared type"):
            maria.read(query)
        treated = replace(query.columns[1], policies={"misfit": "null"})
        rows = maria.read(replace(query, columns=(query.columns[0], treated)))
        assert [row["x"] for row in rows] == [text, None, "", None]


CODES = {1: "seq_0_to_255", 2: "seq_0_to_65535", 3: "seq_9404544_to_9437183"}  # 3: 0x8F8080 to 0x8FFFFF


def one_way(maria: Source, charset: str, longest: int) -> set[str]:
    """Return the codes of the set whose text, written back as a literal, is another code."""
    codes: set[str] = set()
    for width in range(1, min(longest, 3) + 1):
        rows = maria.execute(
            "SELECT code FROM (SELECT code, s, CONVERT(s USING utf8mb4) AS text FROM (SELECT code, CONVERT("
            f"UNHEX(code) USING {charset}) AS s FROM (SELECT LPAD(HEX(seq), {2 * width}, '0') AS code "
            f"FROM {CODES[width]}) AS codes) AS texts WHERE HEX(CAST(s AS BINARY)) = code "
            "AND CHAR_LENGTH(s) = 1) AS characters "
            f"WHERE text COLLATE utf8mb4_bin NOT IN ('?', _utf8mb4 x'EFBFBD') "
            f"AND HEX(CAST(CONVERT(text USING {charset}) AS BINARY)) <> code"
        )
        codes |= {str(code) for (code,) in rows}
    return codes


def test_every_character_set_with_two_codes_for_one_character_is_no_key(maria: Source) -> None:
    sets = maria.execute(
        "SELECT character_set_name, maxlen FROM information_schema.character_sets "
        "WHERE character_set_name NOT IN ('utf8mb3', 'utf8mb4', 'utf16', 'utf16le', 'utf32', 'binary')"
    )
    assert len(sets) > 30
    assert {name for name, longest in sets if one_way(maria, name, longest)} == set(TWO_CODES)
    for name, _ in sets:
        table = f"of_{name}"
        maria.execute(f"CREATE TABLE {table} (x varchar(9) CHARACTER SET {name} PRIMARY KEY)")
        [column] = maria.query(table).columns
        assert maria.engine.orders(column.type) == (name not in TWO_CODES), name


def test_a_code_that_the_server_cannot_convert_is_refused(maria: Source) -> None:
    for charset, code in {"big5": "a15a", "tis620": "db"}.items():
        maria.execute(f"CREATE TABLE u_{charset} (id int PRIMARY KEY, x varchar(9) CHARACTER SET {charset})")
        maria.execute(f"INSERT INTO u_{charset} VALUES (1, x'{code}')")
        with pytest.raises(ValueRefused, match="holds a value outside its declared type"):
            maria.read(maria.query(f"u_{charset}", order=("id",)))


def test_keys_of_two_codes_are_refused_or_read_in_one_go(maria: Source) -> None:
    maria.execute("CREATE TABLE t (x varchar(9) CHARACTER SET sjis PRIMARY KEY)")
    maria.execute("INSERT INTO t VALUES (x'5c'), (x'815f')")
    table = maria.describe("t")
    with pytest.raises(
        TableRefused, match="cannot be compared exactly; convert the column to utf8mb4, set key"
    ):
        specify(maria.engine, table, TableSettings(mode="merge"))
    spec = specify(maria.engine, table, TableSettings())
    assert (spec.mode, spec.key) == ("replace", ())
    assert len(maria.read(maria.query("t"))) == 2


def test_half_a_character_of_ucs2_is_refused_or_removed(maria: Source) -> None:
    maria.execute("CREATE TABLE t (id int PRIMARY KEY, x varchar(9) CHARACTER SET ucs2)")
    maria.execute("INSERT INTO t VALUES (1, x'0061D800006265E5'), (2, '日')")
    query = maria.query("t", order=("id",))
    with pytest.raises(ValueRefused, match="not valid UTF-8"):
        maria.read(query)
    treated = replace(query.columns[1], policies={"invalid_text": "truncate"})
    rows = maria.read(replace(query, columns=(query.columns[0], treated)))
    assert [row["x"] for row in rows] == ["ab日", "日"]


def test_every_type_reads_the_same_through_the_drivers_public_interface(
    maria: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_every_type(maria)
    query = maria.query("t", order=("id",))
    at_once = maria.read(query)
    monkeypatch.setattr(mysql_packets, "usable", lambda driver: False)
    assert maria.read(query) == at_once


def test_a_row_longer_than_the_server_renders_texts_is_read_whole(maria: Source) -> None:
    """A session takes max_allowed_packet from the global value as it begins, and renders no larger text."""
    maria.execute("CREATE TABLE t (id int PRIMARY KEY, a mediumtext, b varchar(100), c mediumblob)")
    texts = {n: '"é' * 100 if n not in (7, 8) else '"' * 20_000 for n in range(20)}
    for number, text in texts.items():
        maria.execute(f"INSERT INTO t VALUES ({number}, '{text}', NULL, repeat(char(0), {500 * number}))")
    expected = [{"id": n, "a": text, "b": None, "c": b"\0" * 500 * n} for n, text in texts.items()]
    query = maria.query("t", order=("id",))
    (before,) = maria.execute("SELECT @@global.max_allowed_packet")[0]
    maria.execute("SET GLOBAL max_allowed_packet = 16384")
    try:
        assert maria.read(query) == expected
        assert maria.read(replace(query, order=())) == expected
        assert maria.read(replace(query, limit=11)) == expected[:11]
        assert maria.read(replace(query, position=("6",), limit=3)) == expected[7:10]
        for page_rows in (1, 3, 7, 8, 19):
            assert maria.read_in_pages(query, page_rows) == expected
        with maria.session() as connection:
            pages = list(maria.engine.read(connection, query))
            assert pages[-1].position == ("19",)
            assert maria.engine.ask(connection, "SELECT 1") == ("1",)
    finally:
        maria.execute(f"SET GLOBAL max_allowed_packet = {before}")


@pytest.mark.parametrize(
    "collation",
    ["utf8mb4_unicode_ci", "utf8mb4_general_ci", "utf8mb4_bin", "utf8mb4_nopad_bin", "utf8mb4_spanish_ci"],
)
def test_a_text_key_pages_in_its_own_collation(maria: Source, collation: str) -> None:
    maria.execute(f"CREATE TABLE t (a varchar(20) COLLATE {collation}, b int, PRIMARY KEY (a, b))")
    names = ["", " ", "a", "A", "a ", "á", "b", "ch", "ñ", "n", "ll", "ß", "ss", "😀", "'", "\\", "\t", "z"]
    for number, name in enumerate(names):
        escaped = name.replace("\\", "\\\\").replace("'", "''")
        maria.execute(f"INSERT INTO t VALUES ('{escaped}', {number})")
    query = maria.query("t", order=("a", "b"))
    for page_rows in (1, 2, 5):
        rows = maria.read_in_pages(query, page_rows)
        assert [names[row["b"]] for row in rows] == [row["a"] for row in rows]
        assert sorted(row["b"] for row in rows) == list(range(len(names)))


def test_a_latin1_key_pages_with_its_index(maria: Source) -> None:
    maria.execute("CREATE TABLE t (a varchar(20) CHARACTER SET latin1 PRIMARY KEY, n int)")
    maria.execute("INSERT INTO t SELECT concat('ü', char(seq % 26 + 97), seq), seq FROM seq_1_to_3000")
    query = maria.query("t", order=("a",))
    rows = maria.read_in_pages(query, 700)
    assert sorted(row["n"] for row in rows) == list(range(1, 3_001))
    shown = plan(maria, replace(query, position=(rows[1_000]["a"],), limit=500))
    assert shown["access_type"] == "range"


def plan(source: Source, query: Query) -> dict[str, Any]:
    """Return what the planner does with the query's one table."""
    with source.session() as connection:
        answer = source.engine.ask(connection, "EXPLAIN FORMAT=JSON " + source.engine.select(query))
    block = json.loads(str(answer and answer[0]))["query_block"]
    assert "filesort" not in json.dumps(block)
    nested = block.get("nested_loop", [block])[0]
    return dict(nested["table"])


def test_later_pages_are_index_ranges_without_a_sort(maria: Source) -> None:
    maria.execute(
        "CREATE TABLE t (a int, b varchar(20), at datetime(6) NOT NULL, "
        "PRIMARY KEY (a, b), KEY moved (at, a, b))"
    )
    maria.execute(
        "INSERT INTO t SELECT seq % 100, seq, timestamp('2024-01-01') + INTERVAL seq SECOND "
        "FROM seq_1_to_20000"
    )
    maria.execute("ANALYZE TABLE t")
    by_key = maria.query("t", order=("a", "b"), position=("42", "1042"), limit=500)
    bounds = {"after": "2024-01-01 03:00:00.000000", "up_to": "2024-01-01 05:00:00.000000"}
    first = maria.query("t", order=("at", "a", "b"), cursor="at", **bounds, limit=500)
    later = replace(first, position=("2024-01-01 03:30:00.000000", "0", "12600"))
    for query, index, parts in (
        (by_key, "PRIMARY", ["a", "b"]),
        (first, "moved", ["at"]),
        (later, "moved", ["at", "a", "b"]),
    ):
        shown = plan(maria, query)
        assert (shown["access_type"], shown["key"]) == ("range", index)
        assert shown["used_key_parts"] == parts


def test_a_key_whose_order_is_not_its_comparison_is_refused(maria: Source) -> None:
    maria.execute("CREATE TABLE t (e enum('z','a') PRIMARY KEY, s set('x') NOT NULL, f double NOT NULL)")
    for name in ("e", "s", "f"):
        assert not maria.engine.orders(maria.query("t").columns["esf".index(name)].type)
        with pytest.raises(TableRefused, match=f'column "{name}" of .*t has type'):
            maria.read(maria.query("t", order=(name,)))


def test_the_catalog_lists_what_can_be_read(maria: Source) -> None:
    for statement in [
        "CREATE TABLE plain (id int PRIMARY KEY, a int NOT NULL, b int, c varchar(20) NOT NULL)",
        "ALTER TABLE plain ADD UNIQUE (a), ADD UNIQUE (b), ADD UNIQUE (c(5)), ADD KEY (c, a)",
        "ALTER TABLE plain ADD FULLTEXT (c)",
        "CREATE VIEW seen AS SELECT id FROM plain",
        "CREATE SEQUENCE counted",
        "CREATE TABLE versions (id int PRIMARY KEY) WITH SYSTEM VERSIONING",
        "CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 3",
    ]:
        maria.execute(statement)
    with maria.session() as connection:
        listed = [name.table for name in maria.engine.list_tables(connection) if name.schema == maria.schema]
        names = {TableName(maria.schema, "plain"), TableName(maria.schema, "PLAIN_not")}
        described = maria.engine.describe(connection, names)
    assert listed == ["parted", "plain", "seen", "versions"]
    (table,) = described.values()
    assert table.columns[3] == SourceColumn("c", "varchar(20)", False)
    assert table.primary_key == ("id",)
    assert table.unique_keys == (("a",),)
    assert set(table.indexes) == {("id",), ("a",), ("b",), ("c", "a")}


def test_server_settings_do_not_change_a_values_text() -> None:
    with own_server(
        sql_mode="ANSI,PAD_CHAR_TO_FULL_LENGTH,HIGH_NOT_PRECEDENCE",
        default_time_zone="+05:30",
        character_set_server="latin1",
        init_connect="SET NAMES latin1, sql_select_limit = 1, sql_auto_is_null = 1",
    ) as source:
        source.execute("SET time_zone = '+00:00'")
        source.execute("CREATE USER plain IDENTIFIED BY 'p'")  # init_connect is for users like this one
        source.execute("GRANT SELECT ON shop.* TO plain")
        source.execute(
            "CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY, c char(5), z timestamp NULL) CHARSET utf8mb4"
        )
        source.execute("INSERT INTO t (c, z) VALUES ('é', '2024-01-01 00:00:00'), ('\\\\', NULL)")
        secret = Secret(**{**source.secret.model_dump(), "username": "plain", "password": "p"})
        with source.session(secret=secret) as connection:
            (page,) = source.engine.read(connection, source.query("t", order=("c",)))
        assert sorted(page.table.to_pylist(), key=lambda row: int(row["id"])) == [
            {"id": 1, "c": "é", "z": datetime(2024, 1, 1, tzinfo=UTC)},
            {"id": 2, "c": "\\", "z": None},
        ]


@pytest.mark.parametrize("zone", ["UTC0", "IST-5:30", "EST5"])
def test_the_clock_sees_the_oldest_transaction_in_any_zone_of_the_server(
    zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    with (
        own_server() as source,
        closing(source.server.connect("shop")) as writer,
        source.session() as connection,
    ):
        source.execute("CREATE TABLE t (id int PRIMARY KEY) ENGINE=InnoDB")
        clock = source.engine.clock(connection)
        assert abs(clock.now - datetime.now(UTC)) < timedelta(seconds=5)
        assert (clock.oldest, clock.hidden) == (None, None)
        before = datetime.now(UTC)
        writer.begin()
        with writer.cursor() as cursor:
            cursor.execute("SELECT * FROM t")  # a transaction that has not written yet
        clock = source.engine.clock(connection)
        assert clock.hidden is None
        assert clock.oldest is not None
        # One hour of grace: around a change to winter time a local time happens twice.
        assert before - timedelta(seconds=2) < clock.oldest <= clock.now
        writer.commit()
        assert source.engine.clock(connection).oldest is None


def end_sleep(maria: Source) -> None:
    """End the statement that sleeps, from a session of its own: the administrator's is in use."""
    with closing(maria.server.connect()) as other, other.cursor() as cursor:
        cursor.execute("SELECT id FROM information_schema.processlist WHERE info LIKE 'SELECT sleep%'")
        [[number]] = cursor.fetchall()
        cursor.execute(f"KILL QUERY {number}")


def test_the_clock_sees_a_statement_that_has_no_transaction_yet(maria: Source) -> None:
    def sleep() -> None:
        with suppress(pymysql.err.OperationalError):  # its statement is ended below
            maria.execute("SELECT sleep(30)")

    thread = threading.Thread(target=sleep)
    with maria.session() as connection:
        before = datetime.now(UTC)
        thread.start()
        oldest: datetime | None = None
        while oldest is None and thread.is_alive():
            oldest = maria.engine.clock(connection).oldest
        seen = datetime.now(UTC)
        end_sleep(maria)
        thread.join()
    assert oldest is not None
    assert before - timedelta(seconds=2) <= oldest <= seen


def test_the_clock_is_not_deceived_by_a_stale_list_of_transactions(maria: Source) -> None:
    """InnoDB refreshes the list only after 100 ms without a reader."""
    maria.execute("CREATE TABLE t (id int PRIMARY KEY) ENGINE=InnoDB")
    done = threading.Event()

    def monitor() -> None:
        with closing(maria.server.connect()) as other, other.cursor() as cursor:
            while not done.is_set():
                cursor.execute("SELECT COUNT(*) FROM information_schema.innodb_trx")
                time.sleep(0.01)

    thread = threading.Thread(target=monitor)
    thread.start()
    try:
        time.sleep(0.2)
        with closing(maria.server.connect(maria.schema)) as writer, maria.session() as connection:
            writer.begin()
            with writer.cursor() as cursor:
                cursor.execute("INSERT INTO t VALUES (1)")
            clock = maria.engine.clock(connection)
            assert clock.oldest is not None or "out of date" in str(clock.hidden)
    finally:
        done.set()
        thread.join()


def test_the_clock_reports_what_hides_transactions() -> None:
    with own_server() as source:
        source.execute("CREATE USER blind IDENTIFIED BY 'p'")
        source.execute("GRANT SELECT ON shop.* TO blind")
        secret = Secret(**{**source.secret.model_dump(), "username": "blind", "password": "p"})

        def hidden(secret: Secret) -> str:
            with source.session(secret=secret) as connection:
                return str(source.engine.clock(connection).hidden)

        assert "PROCESS" in hidden(secret)
        source.execute("GRANT PROCESS ON *.* TO blind")
        assert hidden(secret) == "None"
        source.execute("CREATE TABLE t (id int PRIMARY KEY) ENGINE=InnoDB")
        with closing(source.server.connect("shop")) as writer, writer.cursor() as cursor:
            for statement in ("XA START 'x'", "INSERT INTO t VALUES (1)", "XA END 'x'", "XA PREPARE 'x'"):
                cursor.execute(statement)
        assert "prepared" in hidden(secret)
        source.execute("XA ROLLBACK 'x'")
        source.execute("SET GLOBAL read_only = 1")
        assert "replica" in hidden(secret)


def test_a_server_that_stops_in_the_middle_is_unavailable() -> None:
    with own_server() as source:
        source.execute("CREATE TABLE t (id int PRIMARY KEY, x varchar(1000))")
        source.execute("INSERT INTO t SELECT seq, repeat('x', 1000) FROM seq_1_to_60000")
        with source.session() as connection:
            pages = source.engine.read(connection, source.query("t"))
            next(pages)
            source.server.stop()
            with pytest.raises(SourceUnavailable):
                list(pages)
            with pytest.raises(SourceUnavailable):
                source.engine.list_tables(connection)


def test_too_many_connections_are_a_source_unavailable(maria: Source) -> None:
    maria.execute("CREATE USER narrow IDENTIFIED BY 'p' WITH MAX_USER_CONNECTIONS 1")
    maria.execute(f"GRANT SELECT ON {maria.schema}.* TO narrow")
    secret = Secret(**{**maria.secret.model_dump(), "username": "narrow", "password": "p"})
    try:
        with maria.session(secret=secret), pytest.raises(SourceUnavailable, match="1226"):
            maria.engine.connect(secret, statement_timeout_s=5)
    finally:
        maria.execute("DROP USER narrow")


def test_numbers_that_several_servers_hand_out_are_no_cursor_by_themselves() -> None:
    with own_server(auto_increment_increment="3") as source, source.session() as connection:
        source.execute("CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY, v int)")
        name = TableName("shop", "t")
        (hazard,) = source.engine.describe(connection, [name])[name].cursor_hazards
        reason = "several servers hand out its values (auto_increment_increment is 3)"
        assert (hazard.column, hazard.reason) == ("id", reason)
