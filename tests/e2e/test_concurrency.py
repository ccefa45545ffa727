"""Every step may run twice, also at once, and an old run cannot harm a new one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from tests.patience import wait_for

from .company import Company, PostgresSource
from .under_way import (
    batches,
    chunks,
    closed_gate,
    data_api,
    fences,
    gated,
    gated_rows,
    lease,
    readers,
)

ORDERS = "tables: [{name: orders, mode: replace, page_rows: 2}]\n"


@pytest.fixture
def source(company: Company) -> PostgresSource:
    made = company.source("postgresql")
    assert isinstance(made, PostgresSource)
    made.sql(
        "CREATE TABLE orders (id int PRIMARY KEY, note text)",
        "INSERT INTO orders SELECT id, 'note ' || id FROM generate_series(1, 9) AS id",
    )
    made.file(ORDERS)
    return made


def execution(company: Company) -> str:
    """Return the ARN of an execution that no one started."""
    machine: str = company.stack.outputs["StateMachineArn"]
    return machine.replace(":stateMachine:", ":execution:") + f":{uuid4()}"


def planned(source: PostgresSource, arn: str) -> dict[str, Any]:
    """Return the input of Plan."""
    return {"source": source.name, "execution_arn": arn, "started_at": "2026-01-01T00:00:00.000Z"}


def at_once(company: Company, function: str, event: dict[str, Any], times: int = 2) -> list[dict[str, Any]]:
    """Call a function several times at the same moment and return the answers."""
    with ThreadPoolExecutor(times) as callers:
        return list(callers.map(lambda _: company.invoke(function, event), range(times)))


def test_every_step_may_run_twice_after_each_other_and_at_once(
    company: Company, source: PostgresSource
) -> None:
    arn = execution(company)
    plan = planned(source, arn)

    answers = [*at_once(company, "PlanFunction", plan), company.invoke("PlanFunction", plan)]

    assert [answer["items"] for answer in answers] == [1, 1, 1]
    assert len({answer["run_id"] for answer in answers}) == 1
    run = {"source": source.name, "run_id": answers[0]["run_id"]}

    extract = {**run, "item": 0}
    assert at_once(company, "ExtractFunction", extract) == [{"item": 0, "done": True}] * 2
    assert company.invoke("ExtractFunction", extract) == {"item": 0, "done": True}
    assert len(chunks(company, source)) == 5

    load = {**run, "failed_items": []}
    wait_for(lambda: all(answer["done"] for answer in at_once(company, "LoadFunction", load)))
    assert company.invoke("LoadFunction", load) == {"done": True, "wait_s": 0}
    assert source.loaded("orders", "id, note") == gated_rows(9)
    assert len(source.control("public.orders")) == 1

    report = {**run, "status": "planned", "execution_arn": arn, "error": None}
    report_answers = [*at_once(company, "ReportFunction", report), company.invoke("ReportFunction", report)]
    assert report_answers == [{**run, "status": "succeeded"}] * 3
    reports = [key for key in company.keys(f"_runs/{source.name}/") if key.endswith("report.json")]
    assert len(reports) == 1
    assert lease(company, source).get("execution_arn") is None


def test_two_plans_of_two_executions_give_the_source_to_one(company: Company, source: PostgresSource) -> None:
    arns = [source.start(), source.start()]

    ended = [company.wait(arn) for arn in arns]

    assert [end.status for end in ended] == ["SUCCEEDED", "SUCCEEDED"]
    assert source.loaded("orders", "id, note") == gated_rows(9)
    assert fences(company, source) == []


def test_three_attempts_of_one_extract_at_once_build_one_sequence(
    company: Company, source: PostgresSource
) -> None:
    gated(source, rows=9, gate_at=5)
    source.file("tables: [{name: gated, mode: replace, page_rows: 2}]\n")

    with closed_gate(source) as open_gate, ThreadPoolExecutor(1) as callers:
        arn = source.start()
        wait_for(lambda: readers(source))
        run_id = lease(company, source)["run_id"]
        event = {"source": source.name, "run_id": run_id, "item": 0}
        others = callers.submit(at_once, company, "ExtractFunction", event)
        wait_for(lambda: len(readers(source)) == 3)
        open_gate()
        answers = others.result()
        ended = company.wait(arn)

    assert answers == [{"item": 0, "done": True}] * 2
    assert ended.status == "SUCCEEDED", ended.report
    assert len(chunks(company, source)) == 5
    assert source.loaded("gated", "id, note") == gated_rows(9)


def test_a_run_that_finds_its_source_being_run_is_skipped(company: Company, source: PostgresSource) -> None:
    gated(source, rows=9, gate_at=5)
    source.file("tables: [{name: gated, mode: replace, page_rows: 2}]\n")

    with closed_gate(source) as open_gate:
        first = source.start()
        wait_for(lambda: readers(source))
        second = source.run()
        open_gate()
        ended = company.wait(first)

    assert (second.status, second.output["status"]) == ("SUCCEEDED", "skipped")
    assert ended.status == "SUCCEEDED", ended.report
    assert source.loaded("gated", "id, note") == gated_rows(9)
    assert len(source.control("public.gated")) == 1
    assert lease(company, source).get("execution_arn") is None


def test_a_run_whose_execution_ended_while_it_extracts_is_taken_over(
    company: Company, source: PostgresSource
) -> None:
    gated(source, rows=9, gate_at=5)
    source.file("tables: [{name: gated, mode: replace, page_rows: 2}]\n")
    old = company.invoke("PlanFunction", planned(source, execution(company)))
    extract = {"source": source.name, "run_id": old["run_id"], "item": 0}

    with closed_gate(source) as open_gate, ThreadPoolExecutor(1) as callers:
        late = callers.submit(company.invoke, "ExtractFunction", extract)
        wait_for(lambda: readers(source))
        source.sql("DELETE FROM gated WHERE id = 9")
        arn = source.start()
        wait_for(lambda: len(readers(source)) == 2)
        open_gate()
        assert late.result()["done"]
        ended = company.wait(arn)

    assert ended.status == "SUCCEEDED", ended.report
    assert source.loaded("gated", "id, note") == gated_rows(8)
    assert fences(company, source) == [2]
    assert [row["generation"] for row in source.control("public.gated")] == [2]


def test_steps_of_a_run_that_was_taken_over_are_stopped_by_the_lease(
    company: Company, source: PostgresSource
) -> None:
    assert (
        source.run().status == "SUCCEEDED"
    )  # the table has rows of a full read, so the next run reads all again
    old = company.invoke("PlanFunction", planned(source, execution(company)))
    run = {"source": source.name, "run_id": old["run_id"]}
    company.invoke("ExtractFunction", {**run, "item": 0})
    source.sql("DELETE FROM orders WHERE id > 4")

    assert source.run().status == "SUCCEEDED"

    for function, event in (
        ("ExtractFunction", {**run, "item": 0}),
        ("LoadFunction", {**run, "failed_items": []}),
    ):
        assert company.invoke(function, event)["errorType"] == "LeaseLost"
    assert source.loaded("orders", "id, note") == gated_rows(4)
    assert fences(company, source) == [2]


def test_a_publish_that_passed_the_lease_before_the_take_over_is_stopped_by_the_fence(
    company: Company, source: PostgresSource
) -> None:
    assert (
        source.run().status == "SUCCEEDED"
    )  # the table has rows of a full read, so the next run reads all again
    old = company.invoke("PlanFunction", planned(source, execution(company)))
    company.invoke("ExtractFunction", {"source": source.name, "run_id": old["run_id"], "item": 0})
    source.sql("DELETE FROM orders WHERE id > 4")
    assert source.run().status == "SUCCEEDED"

    warehouse = data_api(company)
    stage_batch, publish_batch = batches(company, source, old["run_id"])
    staged = warehouse.wait(warehouse.submit(stage_batch, "late-stage"), wait_s=30)
    published = warehouse.wait(warehouse.submit(publish_batch, "late-publish"), wait_s=30)

    assert staged.finished
    assert (published.status, published.failed_at) == ("FAILED", 0)
    assert source.loaded("orders", "id, note") == gated_rows(4)
    assert [row["generation"] for row in source.control("public.orders")] == [1, 2]
