"""The Data API: asynchronous statements, one transaction per batch, typed results, its exceptions."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from local.databases.postgres import Postgres
from tests.integration.redshift_warehouse import Warehouse, serve
from tests.patience import wait_for


@pytest.fixture(scope="module")
def warehouse(postgres: Postgres) -> Iterator[Warehouse]:
    with serve(postgres, page_rows=10) as served:
        yield served


def where(warehouse: Warehouse) -> dict[str, str]:
    return {"Database": warehouse.api.database, "WorkgroupName": "any"}


SLOW = "SELECT COUNT(*) FROM pg_class a, pg_class b, pg_class c, pg_class d"


def status(warehouse: Warehouse, identifier: str) -> str:
    status: str = warehouse.client().describe_statement(Id=identifier)["Status"]
    return status


def until(warehouse: Warehouse, identifier: str, wanted: str) -> None:
    wait_for(lambda: status(warehouse, identifier) == wanted)


def test_a_statement_is_answered_before_it_has_run(warehouse: Warehouse) -> None:
    client = warehouse.client()
    sent = client.execute_statement(Sql=SLOW, **where(warehouse))
    assert status(warehouse, sent["Id"]) in ("SUBMITTED", "PICKED", "STARTED")
    client.cancel_statement(Id=sent["Id"])
    until(warehouse, sent["Id"], "ABORTED")


def test_a_cancelled_batch_leaves_nothing(warehouse: Warehouse) -> None:
    client = warehouse.client()
    sqls = ["CREATE TABLE public.cancelled (a INT)", SLOW, "SELECT 1"]
    sent = client.batch_execute_statement(Sqls=sqls, **where(warehouse))
    until(warehouse, sent["Id"], "STARTED")
    assert client.cancel_statement(Id=sent["Id"])["Status"] is True
    until(warehouse, sent["Id"], "ABORTED")
    parts = client.describe_statement(Id=sent["Id"])["SubStatements"]
    assert [part["Status"] for part in parts[1:]] == ["ABORTED", "ABORTED"]
    assert "does not exist" in warehouse.error("SELECT * FROM public.cancelled")


def test_a_batch_is_one_transaction(warehouse: Warehouse) -> None:
    error = warehouse.error(
        "CREATE TABLE public.gone (a INT)", "INSERT INTO public.gone VALUES (1)", "SELECT 1/0"
    )
    assert error.startswith("Query #3 failed with ERROR: division by zero")
    assert "does not exist" in warehouse.error("SELECT * FROM public.gone")


def test_the_parts_of_a_failed_batch_tell_where_it_failed(warehouse: Warehouse) -> None:
    statement = warehouse.submit("SELECT 1", "SELECT 1/0", "SELECT 3")
    assert [part["Status"] for part in statement["SubStatements"]] == ["FINISHED", "FAILED", "ABORTED"]
    assert [part["Id"] for part in statement["SubStatements"]] == [
        f"{statement['Id']}:{n}" for n in (1, 2, 3)
    ]
    assert statement["SubStatements"][1]["Error"] == "ERROR: division by zero"


def test_automatic_commit_keeps_what_came_before_a_failure(warehouse: Warehouse) -> None:
    warehouse.error("CREATE TABLE public.kept (a INT)", "SELECT 1/0", ExecutionMode="AUTO_COMMIT")
    assert warehouse.run("SELECT COUNT(*) FROM public.kept") == [(0,)]


def test_a_batch_is_one_session_and_the_next_is_another(warehouse: Warehouse) -> None:
    assert warehouse.run("CREATE TEMP TABLE t (a INT)", "INSERT INTO t VALUES (1)", "SELECT * FROM t") == [
        (1,)
    ]
    assert 'relation "t" does not exist' in warehouse.error("SELECT * FROM t")


def test_a_session_that_another_caller_had_before_is_this_callers_own(warehouse: Warehouse) -> None:
    sql = "SELECT CURRENT_USER, CURRENT_SETTING('search_path')"
    rows = [warehouse.run(sql, role=role) for role in ("one", "admin", "two")]
    path = '"$user", public'
    assert rows == [[("IAMR:one", path)], [("admin", path)], [("IAMR:two", path)]]


def test_a_session_that_ended_while_it_was_free_is_replaced(warehouse: Warehouse, postgres: Postgres) -> None:
    warehouse.run("SELECT 1")
    admin = postgres.connect()
    ended = admin.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name AND state = 'idle'",
        name=warehouse.api.database,
    )
    admin.close()
    assert ended
    assert warehouse.run("SELECT 2") == [(2,)]


def test_the_same_token_runs_once(warehouse: Warehouse) -> None:
    warehouse.run("CREATE TABLE public.once (a INT)")
    client, token = warehouse.client(), str(uuid4())
    sends = [
        client.execute_statement(
            Sql="INSERT INTO public.once VALUES (1)", ClientToken=token, **where(warehouse)
        )
        for _ in range(3)
    ]
    assert len({sent["Id"] for sent in sends}) == 1
    until(warehouse, sends[0]["Id"], "FINISHED")
    assert warehouse.run("SELECT COUNT(*) FROM public.once") == [(1,)]


def test_the_same_token_of_another_role_is_another_statement(warehouse: Warehouse) -> None:
    token = str(uuid4())
    ids = {
        warehouse.client(role).execute_statement(Sql="SELECT 1", ClientToken=token, **where(warehouse))["Id"]
        for role in ("one", "two")
    }
    assert len(ids) == 2


def test_parameters_are_untyped_values(warehouse: Warehouse) -> None:
    given = [{"name": name, "value": value} for name, value in (("n", "7"), ("a", "it's"), ("c", "x\\y :a"))]
    assert warehouse.run("SELECT 1 + :n, :a || ':a', :c", Parameters=given) == [(8, "it's:a", "x\\y :a")]
    assert warehouse.run("SELECT :n::INT", "SELECT :a", "SELECT :c", Parameters=given) == [("x\\y :a",)]


def test_cells_are_typed(warehouse: Warehouse) -> None:
    sql = (
        "SELECT NULL, TRUE, 1::SMALLINT, 2::BIGINT, 0.1::FLOAT8, 'NaN'::FLOAT8, 1.50::DECIMAL(10,2), 'a ', "
        "DATE '2026-01-02', TIMESTAMP '2026-01-02 03:04:05.678901', TIMESTAMPTZ '2026-01-02 03:04:05+02', "
        """JSON_PARSE('{"b": [1, "x y"], "a": 1.10}')"""
    )
    client = warehouse.client()
    statement = warehouse.submit(sql)
    result = client.get_statement_result(Id=statement["Id"])
    assert result["Records"] == [
        [
            {"isNull": True},
            {"booleanValue": True},
            {"longValue": 1},
            {"longValue": 2},
            {"doubleValue": 0.1},
            {"doubleValue": "NaN"},
            {"stringValue": "1.50"},
            {"stringValue": "a "},
            {"stringValue": "2026-01-02"},
            {"stringValue": "2026-01-02 03:04:05.678901"},
            {"stringValue": "2026-01-02 01:04:05+00"},
            {"stringValue": '{"a":1.10,"b":[1,"x y"]}'},
        ]
    ]
    types = [column["typeName"] for column in result["ColumnMetadata"]]
    assert types[2:7] == ["int2", "int8", "float8", "float8", "numeric"]
    assert result["TotalNumRows"] == 1


def test_results_come_in_pages(warehouse: Warehouse) -> None:
    warehouse.run("CREATE TABLE public.many (a INT)")
    warehouse.run("INSERT INTO public.many SELECT ROW_NUMBER() OVER () FROM pg_type LIMIT 25")
    statement = warehouse.submit("SELECT a FROM public.many ORDER BY a")
    assert statement["ResultRows"] == 25
    first = warehouse.client().get_statement_result(Id=statement["Id"])
    assert (len(first["Records"]), first["TotalNumRows"]) == (10, 25)
    assert warehouse.rows(statement["Id"]) == [(n,) for n in range(1, 26)]


def test_rows_affected_are_told(warehouse: Warehouse) -> None:
    statement = warehouse.submit(
        "CREATE TEMP TABLE r (a INT)",
        "INSERT INTO r VALUES (1), (2), (3)",
        "UPDATE r SET a = 9 WHERE a > 1",
        "DELETE FROM r WHERE a = 1",
        "SELECT * FROM r",
    )
    assert [part["ResultRows"] for part in statement["SubStatements"]] == [-1, 3, 2, 1, 2]
    assert [part["HasResultSet"] for part in statement["SubStatements"]] == [False, False, False, False, True]


def test_statements_are_listed_by_prefix_and_status_newest_first(warehouse: Warehouse) -> None:
    client = warehouse.client("lister")
    for name, sql in (
        ("run/1", "SELECT 1"),
        ("run/2", "SELECT 1/0"),
        ("other", "SELECT 1"),
        ("run/3", "SELECT 2"),
    ):
        sent = client.execute_statement(Sql=sql, StatementName=name, **where(warehouse))
        client.describe_statement(Id=sent["Id"], WaitTimeSeconds=30)

    def names(**wanted: Any) -> list[str]:
        pages = client.get_paginator("list_statements").paginate(PaginationConfig={"PageSize": 2}, **wanted)
        return [statement["StatementName"] for page in pages for statement in page["Statements"]]

    assert names(StatementName="run/") == ["run/3", "run/1"]
    assert names(StatementName="run/", Status="ALL") == ["run/3", "run/2", "run/1"]
    assert names(Status="FAILED") == ["run/2"]


def test_a_long_poll_answers_as_soon_as_the_statement_ends(warehouse: Warehouse) -> None:
    started = time.monotonic()
    sent = warehouse.client().execute_statement(Sql="SELECT 1", WaitTimeSeconds=30, **where(warehouse))
    assert (sent["Status"], sent["HasResultSet"]) == ("FINISHED", True)
    assert time.monotonic() - started < 30  # which the statement itself does not take


def test_a_role_is_its_own_database_user(warehouse: Warehouse) -> None:
    statement = warehouse.submit("SELECT current_user", role="Loader-1")
    assert statement["DbUser"] == "IAMR:Loader-1"
    assert warehouse.rows(statement["Id"], "Loader-1") == [("IAMR:Loader-1",)]


def test_a_secret_speaks_for_its_database_user(postgres: Postgres) -> None:
    with serve(postgres, user_of_secret=lambda arn: "IAMR:second" if arn == "arn:2" else None) as warehouse:
        assert warehouse.run("SELECT current_user", SecretArn="arn:1") == [("admin",)]
        assert warehouse.submit("SELECT 1", SecretArn="arn:2")["DbUser"] == "IAMR:second"


@pytest.mark.parametrize(
    "kind",
    [
        *("ThrottlingException", "ActiveStatementsExceededException", "InternalServerException"),
        *("ExecuteStatementException", "ValidationException"),
    ],
)
def test_exceptions_carry_their_type(postgres: Postgres, kind: str) -> None:
    with serve(
        postgres, throttle=lambda operation: kind if operation == "ExecuteStatement" else None
    ) as warehouse:
        client = warehouse.client()
        with pytest.raises(ClientError) as raised:
            client.execute_statement(Sql="SELECT 1", **where(warehouse))
        assert raised.value.response["Error"]["Code"] == kind
        assert client.list_statements()["Statements"] == []


def test_disjoint_writers_of_one_table_wait_and_both_commit(warehouse: Warehouse) -> None:
    warehouse.run("CREATE TABLE public.shared (id INT, n INT)")
    warehouse.run("INSERT INTO public.shared VALUES (1, 0), (2, 0)")
    results: list[dict[str, Any]] = []

    def update(number: int) -> None:
        results.append(warehouse.submit(f"UPDATE public.shared SET n = 1 WHERE id = {number}", "SELECT 1"))

    threads = [threading.Thread(target=update, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result["Status"] for result in results] == ["FINISHED", "FINISHED"]


GATE = 4712  # an advisory lock of the warehouse's own database
WAIT = f"SELECT COUNT(*) FROM pg_advisory_xact_lock_shared({GATE})"


@contextmanager
def closed_gate(
    postgres: Postgres, warehouse: Warehouse, *, waiting: int, sqls: list[str]
) -> Iterator[list[Any]]:
    """Send a batch with WAIT in it that often; the block begins when all wait, and they continue after it."""
    session = postgres.connect(warehouse.api.database)
    session.run(f"SELECT pg_advisory_lock({GATE})")
    try:
        client = warehouse.client()
        sent = [client.batch_execute_statement(Sqls=sqls, **where(warehouse)) for _ in range(waiting)]
        blocked = "SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        wait_for(lambda: session.run(blocked) == [[waiting]])
        yield sent
    finally:
        session.close()


def test_a_writer_of_rows_that_changed_since_its_snapshot_gets_1023(
    warehouse: Warehouse, postgres: Postgres
) -> None:
    warehouse.run("CREATE TABLE public.raced (id INT, n INT)")
    warehouse.run("INSERT INTO public.raced VALUES (1, 0)")
    client = warehouse.client()
    sqls = ["SELECT * FROM public.raced", WAIT, "UPDATE public.raced SET n = n + 1"]
    with closed_gate(postgres, warehouse, waiting=1, sqls=sqls) as [slow]:
        warehouse.run("UPDATE public.raced SET n = n + 10")
    statement = client.describe_statement(Id=slow["Id"], WaitTimeSeconds=30)
    assert statement["Status"] == "FAILED"
    assert "1023" in statement["Error"]
    assert "Serializable isolation violation on table" in statement["Error"]
    assert warehouse.run("SELECT n FROM public.raced") == [(10,)]


def test_adding_then_changing_in_two_transactions_deadlocks(warehouse: Warehouse, postgres: Postgres) -> None:
    warehouse.run("CREATE TABLE public.mixed (id INT)")
    client = warehouse.client()
    sqls = [
        "INSERT INTO public.mixed VALUES (1)",
        WAIT,
        "DELETE FROM public.mixed",
    ]
    with closed_gate(postgres, warehouse, waiting=2, sqls=sqls) as sent:
        pass
    statements = [client.describe_statement(Id=one["Id"], WaitTimeSeconds=30) for one in sent]
    assert sorted(one["Status"] for one in statements) == ["FAILED", "FINISHED"]
    assert any("deadlock detected" in one.get("Error", "") for one in statements)


def test_concurrent_creators_of_one_thing_all_pass(warehouse: Warehouse) -> None:
    client = warehouse.client()
    sqls = ["CREATE SCHEMA IF NOT EXISTS raced", "CREATE TABLE IF NOT EXISTS raced.t (a INT)"]
    sent = [client.batch_execute_statement(Sqls=sqls, **where(warehouse)) for _ in range(8)]
    statements = [client.describe_statement(Id=one["Id"], WaitTimeSeconds=30) for one in sent]
    assert [one.get("Error") for one in statements] == [None] * 8


def test_inserts_into_one_table_do_not_wait_for_each_other(warehouse: Warehouse, postgres: Postgres) -> None:
    warehouse.run("CREATE TABLE public.appended (a INT)")
    sqls = ["INSERT INTO public.appended VALUES (1)", WAIT]
    with closed_gate(postgres, warehouse, waiting=1, sqls=sqls) as [slow]:
        warehouse.run("INSERT INTO public.appended VALUES (2)")
        assert status(warehouse, slow["Id"]) == "STARTED"
    until(warehouse, slow["Id"], "FINISHED")


def test_the_warehouse_survives_a_restart_of_the_stand_in(postgres: Postgres) -> None:
    name = "n" * 100
    with serve(postgres) as first:
        first.run(f"CREATE TABLE public.{name} (a INT)")
        database = first.api.database
    with serve(postgres, database=database) as second:
        assert second.run("SELECT table_name FROM svv_tables WHERE table_schema = 'public'") == [(name,)]
        assert f'relation "{name}" already exists' in second.error(f"CREATE TABLE public.{name} (a INT)")
