"""What only SQL Server has: rowversion, lists of transactions, versions of rows, settings, its catalog."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from tests.integration.engines.external import secret_of
from tests.integration.engines.source import Source
from tributary.engines.sqlserver import settings
from tributary.errors import TableRefused
from tributary.model.source_catalog import SourceColumn, TableName
from tributary.planning.changed_values import changed_values


def test_a_rowversion_is_settled_only_below_what_is_not_committed(sql_server: Source) -> None:
    source, engine = sql_server, sql_server.engine
    source.execute("CREATE TABLE t (id INT NOT NULL PRIMARY KEY, v rowversion NOT NULL)")
    assert source.describe("t").columns[1] == SourceColumn("v", "rowversion", False)
    source.execute("INSERT INTO t (id) VALUES (1)")
    with source.session() as connection:
        before = engine.counter_horizon(connection, "rowversion")
        source.execute("BEGIN TRANSACTION; INSERT INTO t (id) VALUES (2)")
        during = engine.counter_horizon(connection, "rowversion")
        source.execute("COMMIT")
        after = engine.counter_horizon(connection, "rowversion")
    assert before == during
    assert int(after or 0) > int(during or 0)
    rows = source.read_in_pages(source.query("t", order=("v", "id"), cursor="v", after=before), 1)
    assert [row["id"] for row in rows] == [2]


def test_an_open_transaction_is_seen_with_its_start(sql_server: Source) -> None:
    source = sql_server
    source.execute("CREATE TABLE t (id INT NOT NULL PRIMARY KEY)")
    with source.session() as connection:
        idle = source.engine.clock(connection)
        source.execute("BEGIN TRANSACTION")
        source.execute("INSERT INTO t VALUES (1)")
        held = source.engine.clock(connection)
        source.execute("ROLLBACK")
    assert (idle.hidden, held.hidden) == (None, None)
    assert held.oldest is not None
    assert idle.now - timedelta(seconds=1) < held.oldest <= held.now


def test_transactions_are_hidden_from_a_user_without_the_right_to_see_them(sql_server: Source) -> None:
    source, user = sql_server, f"limited_{sql_server.secret.dbname}"
    source.execute(f"CREATE LOGIN {user} WITH PASSWORD = 'p', CHECK_POLICY = OFF")
    source.execute(f"CREATE USER {user} FOR LOGIN {user}")
    secret = secret_of(f"sqlserver://{user}:p@h").model_dump(include={"username", "password"})
    try:
        with source.session(secret=source.secret.model_copy(update=secret)) as connection:
            assert "VIEW SERVER STATE" in (source.engine.clock(connection).hidden or "")
    finally:
        source.execute(f"DROP USER {user}")
        source.execute(f"DROP LOGIN {user}")


def test_a_reader_of_versions_waits_for_no_writer(sql_server: Source) -> None:
    source = sql_server
    source.execute(f"ALTER DATABASE {source.secret.dbname} SET ALLOW_SNAPSHOT_ISOLATION ON")
    source.execute("CREATE TABLE t (id INT NOT NULL PRIMARY KEY, n INT)")
    source.execute("INSERT INTO t VALUES (1, 1)")
    source.execute("BEGIN TRANSACTION; UPDATE t SET n = 2")
    rows: list[dict[str, object]] = []
    reader = threading.Thread(target=lambda: rows.extend(source.read(source.query("t", order=("id",)))))
    reader.start()
    reader.join(timeout=10)
    source.execute("ROLLBACK")
    reader.join()
    assert rows == [{"id": 1, "n": 1}]


def test_a_varchar_key_is_sought_in_its_index(sql_server: Source) -> None:
    source = sql_server
    source.execute("CREATE TABLE t (code varchar(20) NOT NULL PRIMARY KEY, n INT)")
    query = source.query("t", order=("code",), position=("it's é",), limit=10)
    source.execute("SET SHOWPLAN_TEXT ON")
    try:
        lines = " ".join(str(row[0]) for row in source.execute(source.engine.select(query)))
    finally:
        source.execute("SET SHOWPLAN_TEXT OFF")
    assert "Seek" in lines
    assert "CONVERT_IMPLICIT" not in lines


# The worst that a login's language, the server's `user options` or a database's defaults could set. Each
# statement comes before the pins of a session.
WORST = (
    *("LANGUAGE Français", "DATEFORMAT dmy", "DATEFIRST 1", "ROWCOUNT 2", "TEXTSIZE 3", "LOCK_TIMEOUT 0"),
    *("CURSOR_CLOSE_ON_COMMIT ON", "XACT_ABORT ON", "ARITHIGNORE ON", "ARITHABORT OFF", "ANSI_NULLS OFF"),
    *("ANSI_PADDING OFF", "ANSI_WARNINGS OFF", "QUOTED_IDENTIFIER OFF", "CONCAT_NULL_YIELDS_NULL OFF"),
    *("NUMERIC_ROUNDABORT ON", "DEADLOCK_PRIORITY HIGH", "TRANSACTION ISOLATION LEVEL READ UNCOMMITTED"),
)


@pytest.mark.parametrize("worst", WORST)
def test_no_setting_of_a_session_changes_what_is_read(
    sql_server: Source, monkeypatch: pytest.MonkeyPatch, worst: str
) -> None:
    source = sql_server
    source.execute(
        "CREATE TABLE t (id INT NOT NULL PRIMARY KEY, at datetime NOT NULL, d decimal(10,3), n nvarchar(max))"
    )
    for number in range(1, 6):
        source.execute(
            f"INSERT INTO t VALUES ({number}, '2024-02-0{number}T01:02:03', 1.125, N'long enough')"
        )
    query = source.query("t", order=("at", "id"), cursor="at", after="2024-02-01 12:00:00.000")
    expected = source.read(query)
    pins = settings.pins
    monkeypatch.setattr(settings, "pins", lambda timeout_s: (f"SET {worst}", *pins(timeout_s)))
    assert [row["id"] for row in expected] == [2, 3, 4, 5]
    assert source.read(query) == expected
    assert source.read_in_pages(query, 2) == expected


def test_a_column_that_may_not_be_read_is_known_before_it_is_read(sql_server: Source) -> None:
    source, user = sql_server, f"limited_{sql_server.secret.dbname}"
    source.execute("CREATE TABLE t (id INT NOT NULL PRIMARY KEY, [odd name] INT, secret INT)")
    source.execute("CREATE TABLE hidden (id INT NOT NULL PRIMARY KEY)")
    source.execute(f"CREATE LOGIN {user} WITH PASSWORD = 'p', CHECK_POLICY = OFF")
    source.execute(f"CREATE USER {user} FOR LOGIN {user}")
    source.execute(f"GRANT SELECT ON t (id, [odd name]) TO {user}")
    secret = secret_of(f"sqlserver://{user}:p@h").model_dump(include={"username", "password"})
    try:
        with source.session(secret=source.secret.model_copy(update=secret)) as connection:
            name = TableName("dbo", "t")
            assert source.engine.list_tables(connection) == [name]
            columns = source.engine.describe(connection, {name})[name].columns
            readable = {column.name: column.readable for column in columns}
    finally:
        source.execute(f"REVOKE SELECT ON t (id, [odd name]) TO {user}")
        source.execute(f"DROP USER {user}")
        source.execute(f"DROP LOGIN {user}")
    assert readable in ({"id": True, "odd name": True}, {"id": True, "odd name": True, "secret": False})


def test_only_an_index_over_every_row_proves_a_key(sql_server: Source) -> None:
    source = sql_server
    source.execute("CREATE TABLE t (a INT NOT NULL, b INT NOT NULL, c INT NULL)")
    source.execute("CREATE UNIQUE INDEX whole ON t (a)")
    source.execute("CREATE UNIQUE INDEX filtered ON t (b) WHERE b > 0")
    source.execute("CREATE UNIQUE INDEX of_nulls ON t (c)")
    described = source.describe("t")
    assert (described.primary_key, described.unique_keys) == ((), (("a",),))


def test_a_disabled_index_proves_no_key(sql_server: Source) -> None:
    source = sql_server
    source.execute("CREATE TABLE t (a INT NOT NULL PRIMARY KEY, b INT NOT NULL)")
    source.execute("CREATE UNIQUE INDEX disabled ON t (b)")
    source.execute("ALTER INDEX disabled ON t DISABLE")
    described = source.describe("t")
    assert (described.primary_key, described.unique_keys, described.indexes) == (("a",), (), (("a",),))


def test_what_may_leave_a_cursor_where_it_was_is_known(sql_server: Source) -> None:
    source = sql_server
    source.execute("CREATE TABLE parents (id INT NOT NULL PRIMARY KEY)")
    source.execute(
        "CREATE TABLE t (id INT IDENTITY(-1, -1) NOT NULL PRIMARY KEY, at datetime2 NOT NULL, "
        "parent INT NULL CONSTRAINT of_parent REFERENCES parents (id) ON DELETE SET NULL)"
    )
    known = {(hazard.column, hazard.reason) for hazard in source.describe("t").cursor_hazards}
    assert known == {
        ("id", "its values go down"),
        (
            "at",
            "foreign key of_parent changes rows by itself, and no trigger that the user sees moves a cursor",
        ),
    }
    source.execute("CREATE TRIGGER touches ON t AFTER UPDATE AS RETURN")
    known = {(hazard.column, hazard.reason) for hazard in source.describe("t").cursor_hazards}
    assert known == {("id", "its values go down")}
    source.execute("DISABLE TRIGGER touches ON t")
    assert ("at", "trigger touches is disabled") in {
        (hazard.column, hazard.reason) for hazard in source.describe("t").cursor_hazards
    }


def test_a_column_that_was_added_again_or_computed_otherwise_has_another_fingerprint(
    sql_server: Source,
) -> None:
    source = sql_server
    source.execute("CREATE TABLE t (id INT NOT NULL PRIMARY KEY, a INT, b AS (id + 1))")
    first = source.describe("t").fingerprint
    source.execute("INSERT INTO t (id, a) VALUES (1, 1)")
    assert source.describe("t").fingerprint == first
    source.execute("ALTER TABLE t DROP COLUMN a")
    source.execute("ALTER TABLE t ADD a INT")
    second = source.describe("t").fingerprint
    assert changed_values(first, second) == (
        "column a was dropped and added again, or its expression has changed"
    )
    source.execute("DROP TABLE t")
    source.execute("CREATE TABLE t (id INT NOT NULL PRIMARY KEY, a INT, b AS (id + 2))")
    third = source.describe("t").fingerprint
    assert changed_values(second, third) == "the table was dropped and created again, or restored"
    assert third.formulas["b"] != first.formulas["b"]


@pytest.mark.parametrize(
    ("view", "code"),
    [
        ("SELECT id, 1 / (id - 1) AS n FROM t", "8134"),
        ("SELECT id, CAST(N'x' + CAST(id AS nvarchar(9)) AS int) AS n FROM t", "245"),
        ("SELECT id, CAST(id + 300 AS tinyint) AS n FROM t", "220"),
        ("SELECT id, (SELECT o.id FROM t AS o) AS n FROM t", "512"),
    ],
)
def test_a_views_own_error_is_named_and_the_users_to_correct(
    sql_server: Source, view: str, code: str
) -> None:
    source = sql_server
    source.execute("CREATE TABLE t (id INT NOT NULL PRIMARY KEY)")
    source.execute("INSERT INTO t VALUES (1), (2)")
    source.execute(f"CREATE VIEW v AS {view}")
    with pytest.raises(TableRefused, match=rf"view dbo\.v fails in the source .*{code}"):
        source.read(source.query("v"))


def test_a_view_over_a_table_that_is_gone_is_named_as_a_view(sql_server: Source) -> None:
    source = sql_server
    source.execute("CREATE TABLE t (id INT NOT NULL PRIMARY KEY)")
    source.execute("CREATE VIEW v AS SELECT id FROM t")
    query = source.query("v")
    source.execute("DROP TABLE t")
    with pytest.raises(TableRefused, match=r"view dbo\.v fails in the source"):
        source.read(query)


def test_a_key_of_any_characters_is_read_in_pages_each_row_once(sql_server: Source) -> None:
    source = sql_server
    source.execute(
        "CREATE TABLE t (code nvarchar(20) COLLATE Latin1_General_BIN2 NOT NULL PRIMARY KEY, n INT)"
    )
    codes = ["a", "B", "ä", "ø", "日本", "😀", "a😀", "😀b", "𠮷", "it's", "Ж"]
    for place, code in enumerate(codes):
        source.execute(f"INSERT INTO t VALUES (N'{code.replace(chr(39), chr(39) * 2)}', {place})")
    for page_rows in (1, 2, 3):
        rows = source.read_in_pages(source.query("t", order=("code",)), page_rows)
        assert sorted(row["code"] for row in rows) == sorted(codes)
