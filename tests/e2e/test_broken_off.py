"""An execution that ends without coming to Report is reported all the same, once, by its event."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.patience import wait_for
from tributary.errors import LeaseLost
from tributary.loading.load import load_run

from .company import Company
from .failure_points import FailurePoint
from .steps import Steps
from .under_way import loads, stop, warehouse_session

EXAMPLE = Path(__file__).parents[2] / "events" / "stopped.json"


def event(company: Company, arn: str, **changed: Any) -> dict[str, Any]:
    """Return what EventBridge says of the execution: its detail is what DescribeExecution answers."""
    made: dict[str, Any] = json.loads(EXAMPLE.read_text())
    described = company.client("stepfunctions").describe_execution(executionArn=arn)
    event_detail = {
        key: described.get(key) for key in ("executionArn", "stateMachineArn", "name", "status", "input")
    }
    return {**made, "detail": {**made["detail"], **event_detail, **changed}}


def test_a_stopped_run_is_reported_once_and_the_next_takes_its_place(company: Company) -> None:
    source = company.source("sqlite")
    source.sql("CREATE TABLE orders (id INTEGER PRIMARY KEY)", "INSERT INTO orders VALUES (1)")
    source.file("tables: [{name: orders, mode: replace}]")
    assert source.run().status == "SUCCEEDED"
    source.sql("INSERT INTO orders VALUES (2)")
    with warehouse_session(company) as session:
        session.run(f'LOCK TABLE "{source.name}"."orders" IN SHARE ROW EXCLUSIVE MODE')
        arn = source.start()
        wait_for(lambda: [load["phase"] for load in loads(company, source)] == ["publishing"])
        stop(company, arn)
        failed_event = event(company, arn, cause="PLANTED by a person")
        first = company.invoke("ReportFunction", failed_event)
        assert (first["source"], first["status"]) == (source.name, "failed")
        assert company.invoke("ReportFunction", failed_event) == first
    report = company.report(arn)
    assert report is not None
    assert (report["run_id"], report["failure"]["error"]) == (first["run_id"], "Aborted")
    assert [(table["status"], table["failure"]["error"]) for table in report["tables"]] == [
        ("failed", "Unfinished")
    ]
    [message] = company.mailbox.about(arn)
    assert "Aborted: the execution was stopped; start the source again" in message["Message"]
    # A step of it may still be at work: its lease is taken over, behind the fence, and never free.
    lease = f"_leases/{source.name}.json"
    assert company.document(lease)["execution_arn"] == arn
    assert source.run().status == "SUCCEEDED"
    assert source.loaded("orders", "id") == [(1,), (2,)]
    assert company.document(lease)["generation"] == 2


def test_an_end_before_there_was_a_run_is_reported_once(company: Company) -> None:
    source = company.source("sqlite")
    source.file("tables: [{name: nothing}]")
    machine = company.stack.outputs["StateMachineArn"].replace(":stateMachine:", ":execution:")
    arn = f"{machine}:never-{source.name}"
    made = json.loads(EXAMPLE.read_text())
    detail = {"executionArn": arn, "status": "TIMED_OUT", "input": json.dumps({"source": source.name})}
    for _ in range(2):
        answer = company.invoke("ReportFunction", {**made, "detail": {**made["detail"], **detail}})
        assert answer == {"source": source.name, "run_id": None, "status": "failed"}
    [message] = company.mailbox.about(arn)
    assert "TimedOut: the execution was running for longer" in message["Message"]


def test_an_old_run_makes_no_table_in_the_way_of_the_newer_ones_columns(company: Company) -> None:
    source = company.source("sqlite")
    source.sql("CREATE TABLE orders (id INTEGER PRIMARY KEY)", "INSERT INTO orders VALUES (1)")
    source.file("tables: [{name: orders, mode: replace}]")
    steps = Steps(company, source)
    old = steps.plan(steps.execution(), FailurePoint()).plan
    assert old is not None
    steps.extract(old.run_id, 0, FailurePoint())
    zombie = steps.loading(old.run_id, FailurePoint())
    source.sql("ALTER TABLE orders ADD COLUMN colour TEXT DEFAULT 'red'")
    newer = steps.execution()
    plan = steps.plan(newer, FailurePoint()).plan
    assert plan is not None

    with pytest.raises(LeaseLost):
        load_run(zombie, {})

    steps.extract(plan.run_id, 0, FailurePoint())
    while not steps.load(plan.run_id, FailurePoint()).done:
        pass
    steps.report(newer, plan.run_id)
    assert source.loaded("orders", "id, colour") == [(1, "red")]
