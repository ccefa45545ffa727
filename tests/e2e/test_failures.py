"""What breaks in the middle of a run: it is retried or reported, and nothing is lost or doubled."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from tests.patience import wait_for

from .company import Company, PostgresSource
from .under_way import (
    chunks,
    closed_gate,
    configured,
    fences,
    gated,
    gated_rows,
    lease,
    loads,
    readers,
    stop,
    warehouse_session,
    watched,
)

GATED = "tables: [{name: gated, mode: replace, page_rows: 2}]\n"


@pytest.fixture
def source(company: Company) -> PostgresSource:
    made = company.source("postgresql")
    assert isinstance(made, PostgresSource)
    return made


def failures_of(company: Company, arn: str) -> list[str]:
    """Return the errors that the execution's tasks met."""
    pages = company.client("stepfunctions").get_paginator("get_execution_history").paginate(executionArn=arn)
    events = [event for page in pages for event in page["events"]]
    kinds = ("taskFailedEventDetails", "taskTimedOutEventDetails", "lambdaFunctionFailedEventDetails")
    return [event[kind].get("error", "") for event in events for kind in kinds if kind in event]


# --- Extract ------------------------------------------------------------------------------------


def test_an_extract_that_is_killed_at_its_deadline_goes_on_after_its_chunks(
    company: Company, source: PostgresSource
) -> None:
    gated(source, rows=9, gate_at=5)
    source.file(GATED)

    with configured(company, "ExtractFunction", timeout_s=5), closed_gate(source) as open_gate:
        arn = source.start()
        wait_for(lambda: readers(source))
        before = wait_for(lambda: chunks(company, source))  # they are stored beside the reading
        wait_for(lambda: "Sandbox.Timedout" in failures_of(company, arn))
        open_gate()
        ended = company.wait(arn)

    assert ended.status == "SUCCEEDED", json.dumps(ended.report)
    assert source.loaded("gated", "id, note") == gated_rows(9)
    after = chunks(company, source)
    assert before
    assert after[: len(before)] == before
    assert len(after) == 5


def test_an_extract_whose_time_is_nearly_up_hands_over_to_the_next_call(
    company: Company, source: PostgresSource
) -> None:
    gated(source, rows=24, gate_at=25, pause_s=0.4)
    source.file(GATED)

    with configured(company, "ExtractFunction", timeout_s=10):  # a quarter of it is left for the last page
        ended = source.run()

    assert ended.status == "SUCCEEDED", json.dumps(ended.report)
    assert failures_of(company, ended.arn) == []
    assert source.loaded("gated", "id, note") == gated_rows(24)
    assert len(chunks(company, source)) >= 12


def test_a_source_whose_sessions_break_is_asked_again(company: Company, source: PostgresSource) -> None:
    gated(source, rows=9, gate_at=5)
    source.file(GATED)

    with closed_gate(source) as open_gate:
        arn = source.start()
        for pid in wait_for(lambda: readers(source)):
            source.sql(f"SELECT pg_terminate_backend({pid})")
        wait_for(lambda: "SourceUnavailable" in failures_of(company, arn))
        open_gate()
        ended = company.wait(arn)

    assert ended.status == "SUCCEEDED", json.dumps(ended.report)
    assert source.loaded("gated", "id, note") == gated_rows(9)
    assert ended.table("public.gated")["rows_loaded"] == 9


# --- one table's failure is one table's failure ---------------------------------------------------


def test_tables_that_fail_stop_no_other_and_the_message_names_them_and_why(
    company: Company, source: PostgresSource
) -> None:
    inbox = subscribed(company, source.name)
    gated(source, rows=3, gate_at=2)
    source.sql(
        "CREATE TABLE dropped (id int PRIMARY KEY)",
        "CREATE TABLE endless (id int PRIMARY KEY, day date)",
        "CREATE TABLE good (id int PRIMARY KEY)",
        "INSERT INTO endless VALUES (1, 'infinity')",
        "INSERT INTO good VALUES (1), (2)",
    )
    source.file(
        "max_connections: 1\n"
        "tables:\n"
        "  - {name: gated, mode: replace}\n"
        "  - {name: dropped, mode: replace}\n"
        "  - {name: endless, mode: replace}\n"
        "  - {name: good, mode: replace}\n"
    )

    with closed_gate(source) as open_gate:
        arn = source.start()
        wait_for(lambda: readers(source))
        source.sql("DROP TABLE dropped")
        open_gate()
        ended = company.wait(arn)

    assert (ended.status, ended.error) == ("FAILED", "Reported")
    assert ended.report is not None
    statuses = {table["table"]: table["status"] for table in ended.report["tables"]}
    assert statuses == {
        "public.gated": "loaded",
        "public.dropped": "failed",
        "public.endless": "failed",
        "public.good": "loaded",
    }
    assert source.loaded("good", "id") == [(1,), (2,)]
    assert source.loaded("gated", "id, note") == gated_rows(3)
    [message] = inbox()
    assert message["attributes"] == {
        "source": source.name,
        "status": "failed",
        "run_id": ended.report["run_id"],
    }
    assert message["subject"] == f"Tributary {source.name}: 2 of 4 tables failed"
    text = message["text"]
    assert f"Run {ended.report['run_id']} of source {source.name} failed." in text
    assert "public.endless: ValueRefused: " in text
    assert '"day"' in text
    assert "public.dropped: TableRefused: " in text
    assert arn in text
    assert lease(company, source).get("execution_arn") is None


def test_a_good_run_is_told_only_where_the_file_asks_for_it(company: Company, source: PostgresSource) -> None:
    inbox = subscribed(company, source.name)
    source.sql("CREATE TABLE good (id int PRIMARY KEY)", "INSERT INTO good VALUES (1)")
    source.file("tables: [{name: good, mode: replace}]\n")
    assert source.run().status == "SUCCEEDED"
    assert inbox() == []

    source.file("notify: all\ntables: [{name: good, mode: replace}]\n")
    ended = source.run()

    assert ended.report is not None
    [message] = inbox()
    assert message["subject"] == f"Tributary {source.name}: run succeeded"
    assert message["attributes"]["status"] == "succeeded"
    assert "public.good" in message["text"]


def test_a_run_that_cannot_be_planned_is_reported_and_the_next_one_works(
    company: Company, source: PostgresSource
) -> None:
    inbox = subscribed(company, source.name)
    source.sql("CREATE TABLE good (id int PRIMARY KEY)", "INSERT INTO good VALUES (1)")
    source.file("tables: [{name: good, mode: replace}]\n")
    source.put_secret("not JSON")

    ended = source.run()

    assert (ended.status, ended.error) == ("FAILED", "Reported")
    [message] = inbox()
    assert "SecretError: " in message["text"]
    assert message["attributes"]["status"] == "failed"
    assert lease(company, source).get("execution_arn") is None

    source.put_secret(source.secret())
    assert source.run().status == "SUCCEEDED"
    assert source.loaded("good", "id") == [(1,)]
    assert fences(company, source) == []


# --- aborted runs ---------------------------------------------------------------------------------


def test_a_run_aborted_while_it_publishes_is_taken_over_by_the_next(
    company: Company, source: PostgresSource
) -> None:
    source.sql("CREATE TABLE orders (id int PRIMARY KEY, note text)", "INSERT INTO orders VALUES (1, 'one')")
    source.file("tables: [{name: orders, mode: replace}]\n")
    assert source.run().status == "SUCCEEDED"
    source.sql("INSERT INTO orders VALUES (2, 'from the aborted run')")

    with warehouse_session(company) as session:
        session.run(f'LOCK TABLE "{source.name}"."orders" IN SHARE ROW EXCLUSIVE MODE')
        first = source.start()
        wait_for(lambda: [load["phase"] for load in loads(company, source)] == ["publishing"])
        [publish] = wait_for(lambda: blocked(company))
        stop(company, first)
        source.sql("DELETE FROM orders WHERE id = 2", "INSERT INTO orders VALUES (3, 'three')")
        second = source.start()
        wait_for(lambda: publish not in blocked(company))  # cancelled, and only after the fence was raised
        assert fences(company, source) == [2]
        session.run("ROLLBACK")
        ended = company.wait(second)

    assert ended.status == "SUCCEEDED", json.dumps(ended.report)
    assert source.loaded("orders", "id, note") == [(1, "one"), (3, "three")]
    assert [row["generation"] for row in source.control("public.orders")] == [1, 2]


# --- a busy warehouse -----------------------------------------------------------------------------


def test_a_publish_that_meets_a_conflict_is_sent_again_and_loads_once(
    company: Company, source: PostgresSource
) -> None:
    source.sql("CREATE TABLE orders (id int PRIMARY KEY, note text)", "INSERT INTO orders VALUES (1, 'one')")
    source.file("tables: [{name: orders, mode: replace}]\n")
    assert source.run().status == "SUCCEEDED"
    source.sql("INSERT INTO orders VALUES (2, 'two')")

    with warehouse_session(company) as session:
        session.run(f"UPDATE \"{source.name}\".\"orders\" SET note = 'a tool''s own'")
        arn = source.start()
        wait_for(lambda: [load["phase"] for load in loads(company, source)] == ["publishing"])
        wait_for(lambda: blocked(company))
        session.run("COMMIT")
        ended = company.wait(arn)

    assert ended.status == "SUCCEEDED", json.dumps(ended.report)
    assert [load["attempt"] for load in loads(company, source)] == [2]
    assert source.loaded("orders", "id, note") == [(1, "one"), (2, "two")]
    assert [row["records_processed"] for row in source.control("public.orders")] == [1, 2]


def test_a_warehouse_that_throttles_fails_no_call_of_load_and_loads_once(
    company: Company, source: PostgresSource
) -> None:
    source.sql("CREATE TABLE orders (id int PRIMARY KEY)", "INSERT INTO orders VALUES (1), (2)")
    source.file("tables: [{name: orders, mode: replace}]\n")

    with (
        watched(company.stack.endpoint_url, refusals=6) as (url, calls),
        configured(company, "LoadFunction", AWS_ENDPOINT_URL_REDSHIFT_DATA=url),
    ):
        ended = source.run()

    assert ended.status == "SUCCEEDED", json.dumps(ended.report)
    assert len(calls) > 6
    assert "WarehouseUnavailable" not in failures_of(company, ended.arn)  # a throttled call is made again
    assert source.loaded("orders", "id") == [(1,), (2,)]
    assert len(source.control("public.orders")) == 1


def blocked(company: Company) -> list[int]:
    """Return the sessions of the warehouse that wait for another."""
    with warehouse_session(company) as session:
        rows = session.run("SELECT pid FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0")
    return [pid for (pid,) in rows]


def subscribed(company: Company, source: str) -> Any:
    """Subscribe a queue to the stack's topic and return what reads the source's messages from it."""
    sqs, sns = company.client("sqs"), company.client("sns")
    url = sqs.create_queue(QueueName=f"inbox-{uuid4().hex[:8]}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(
        TopicArn=company.stack.outputs["TopicArn"],
        Protocol="sqs",
        Endpoint=arn,
        Attributes={"FilterPolicy": json.dumps({"source": [source]})},
    )

    def inbox() -> list[dict[str, Any]]:
        received = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        bodies = [json.loads(message["Body"]) for message in received]
        return [
            {
                "subject": body["Subject"],
                "text": body["Message"],
                "attributes": {
                    name: attribute["Value"] for name, attribute in body["MessageAttributes"].items()
                },
            }
            for body in bodies
        ]

    return inbox
