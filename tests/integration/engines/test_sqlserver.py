"""What only SQL Server has: rowversion, its lists of transactions, and versions of rows."""

from __future__ import annotations

import threading
from datetime import timedelta

from tests.integration.engines.external import secret_of
from tests.integration.engines.source import Source
from tributary.model.source_catalog import SourceColumn


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
