"""Each permission of a role is needed: without it, what needs it fails, and says so.

One run of everything records the calls that the stack allows, and each call that needs a permission is
decided again without it. Real runs without a permission show the failure: a few here, all in `make soak`.
"""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest

from local.aws.template import STACK_NAME, DeployError
from local.iam.evaluator import Evaluator

from .company import Company, Ended, Source
from .recorded_calls import needs, without_action
from .role_permissions import (
    ACCESS,
    ASK_FOR_A_PAUSE,
    DEPLOYS,
    FUNCTIONS,
    LIMIT,
    LOWER,
    NONE,
    PAUSE,
    RAW,
    RUN,
    SHOWN,
    TAKEN_AWAY,
    Permission,
)

SOAK = bool(os.environ.get("TRIBUTARY_SOAK_SECONDS"))


def shown(permissions: Iterable[Permission]) -> list[Permission]:
    """Return those that a real run of this test lacks: a few, all of them in a soak."""
    return [permission for permission in permissions if SOAK or permission in SHOWN]


@contextmanager
def without(company: Company, role: str, sid: str, action: str) -> Iterator[None]:
    """Take an action out of a statement of the role, for the block."""
    iam, name = company.client("iam"), f"{STACK_NAME}-{role}"
    for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
        document = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
        whole = document if isinstance(document, dict) else ast.literal_eval(document)
        if any(statement["Sid"] == sid for statement in whole["Statement"]):
            break
    assert without_action(whole, sid, action) != whole
    iam.put_role_policy(
        RoleName=name, PolicyName=policy, PolicyDocument=json.dumps(without_action(whole, sid, action))
    )
    yield
    iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=json.dumps(whole))


def one_table(company: Company, head: str = "") -> Source:
    source = company.source("sqlite")
    source.sql("CREATE TABLE orders (id INTEGER PRIMARY KEY)", "INSERT INTO orders VALUES (1)")
    source.file(f"notify: all\n{head}tables: [{{name: orders, mode: replace}}]\n")
    return source


def failures(company: Company, run: Ended) -> list[tuple[str, str]]:
    """Return the errors of a run's steps and tables, with their messages."""
    events = [event.get("taskFailedEventDetails") for event in company.stack.history(run.arn)]
    steps = [(event["error"], event["cause"]) for event in events if event]
    tables = [table.get("failure") for table in (run.report or {"tables": []})["tables"]]
    return steps + [(failure["error"], failure["message"]) for failure in tables if failure]


def encrypt_secret(source: Source) -> None:
    """Encrypt the source's secret with a key of the account's own."""
    key = source.company.client("kms").create_key()["KeyMetadata"]["KeyId"]
    source.company.client("secretsmanager").update_secret(SecretId=source.secret_name, KmsKeyId=key)


@pytest.mark.parametrize("permission", shown(RUN), ids="-".join)
def test_a_run_fails_without_a_permission(island: Company, permission: Permission) -> None:
    source = one_table(island)
    if permission[1] == "DecryptSourceSecrets":
        encrypt_secret(source)
    with without(island, *permission):
        run = source.run()
    assert run.status == "FAILED"
    error, message = failures(island, run)[0]
    assert error == RUN[permission]
    assert "this is a bug" not in message


@pytest.mark.parametrize("function", FUNCTIONS if SOAK else ["ExtractFunction"])
def test_a_function_that_may_not_write_its_log_leaves_none(island: Company, function: str) -> None:
    log = island.stack.logs / f"{island.function(function)}.log"

    def lines_of_a_call() -> int:
        island.stack.configure(function, FRESH=uuid4().hex)  # for a new sandbox
        before = log.stat().st_size if log.exists() else 0
        island.invoke(function, {})
        return (log.stat().st_size if log.exists() else 0) - before

    for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
        with without(island, FUNCTIONS[function], "WriteLogs", action):
            assert lines_of_a_call() == 0
    assert lines_of_a_call() > 0


@pytest.mark.parametrize("permission", shown(PAUSE), ids="-".join)
def test_a_source_is_not_paused_without_a_permission(island: Company, permission: Permission) -> None:
    source = one_table(island)
    scheduled(island, source.name)
    if permission[1] != "ListRaw":  # which is for a source that has no health yet
        assert source.run().status == "SUCCEEDED"
    with without(island, *permission):
        assert "errorType" in pause(island, source)
    assert pause(island, source) == {
        "source": source.name,
        "table": None,
        "paused": True,
        "schedule": "DISABLED",
    }


def pause(company: Company, source: Source) -> dict[str, Any]:
    return company.invoke("SchedulesFunction", {"pause": source.name})


def scheduled(company: Company, name: str) -> None:
    """Give the source a schedule, as a deploy does."""
    company.client("scheduler").create_schedule(
        GroupName=STACK_NAME,
        Name=name,
        ScheduleExpression="rate(1 hour)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={
            "Arn": company.stack.outputs["StateMachineArn"],
            "RoleArn": f"arn:aws:iam::123456789012:role/{STACK_NAME}-SchedulerRole",
            "Input": json.dumps({"source": name}),
        },
    )


def analysts_see_ids(source: Source) -> dict[str, Any]:
    """Return the event by which Report asks that analysts may read the ids of the source's table."""
    access = {"columns": ["id"]}
    return {"access": [{"schema_name": source.name, "table_name": "orders", "access": access}]}


@pytest.mark.parametrize("permission", shown(ACCESS), ids="-".join)
def test_access_is_not_given_without_a_permission(island: Company, permission: Permission) -> None:
    source = one_table(island)
    assert source.run().status == "SUCCEEDED"
    event = analysts_see_ids(source)
    with without(island, *permission):
        assert "errorType" in island.invoke("AccessFunction", event)
    assert island.invoke("AccessFunction", event)["changed"] == 1


def test_the_schedule_of_a_failing_source_stays_enabled_without_the_right_to_ask_for_a_pause(
    island: Company,
) -> None:
    source = one_table(island, "pause_after: 1\n")
    scheduled(island, source.name)
    source.put_secret({"dbname": "/nowhere/at/all.db"})

    def state() -> str:
        return str(island.client("scheduler").get_schedule(GroupName=STACK_NAME, Name=source.name)["State"])

    with without(island, *ASK_FOR_A_PAUSE):
        assert source.run().status == "FAILED"
    assert state() == "ENABLED"
    assert source.run().status == "FAILED"
    island.wait_until(lambda: state() == "DISABLED")


@pytest.mark.parametrize("role", ["ReportRole", "SchedulesRole"] if SOAK else ["SchedulesRole"])
def test_an_ops_item_is_not_opened_without_the_right(island: Company, role: str) -> None:
    source = one_table(island, "pause_after: 1\n")
    pause = pausing(source, role)
    with without(island, role, "OpenOpsItems", "ssm:CreateOpsItem"):
        pause()
    assert ops_items(island, source) == []


@pytest.mark.parametrize("role", ["ReportRole", "SchedulesRole"] if SOAK else ["SchedulesRole"])
def test_an_ops_item_stays_open_without_the_right_to_change_it(island: Company, role: str) -> None:
    source = one_table(island, "pause_after: 1\n")
    pausing(source, role)()
    assert ops_items(island, source) == ["Open"]
    with without(island, role, "ChangeOpsItems", "ssm:UpdateOpsItem"):
        resume(source, role)
    assert ops_items(island, source) == ["Open"]


def pausing(source: Source, role: str) -> Callable[[], object]:
    """Return what pauses the source's table: Report after a failure, or Schedules for a person."""
    if role == "SchedulesRole":
        event = {"pause": {"source": source.name, "table": "main.orders"}}
        return lambda: source.company.invoke("SchedulesFunction", event)
    source.sql("ALTER TABLE orders RENAME TO others", "CREATE TABLE orders (id DATE PRIMARY KEY)")
    source.sql("INSERT INTO orders VALUES ('no date')", "CREATE TABLE good (id INTEGER PRIMARY KEY)")
    source.file("pause_after: 1\ntables: [{name: orders, mode: replace}, {name: good, mode: replace}]\n")
    return source.run


def resume(source: Source, role: str) -> None:
    if role == "SchedulesRole":
        event = {"resume": {"source": source.name, "table": "main.orders"}}
        source.company.invoke("SchedulesFunction", event)
        return
    source.sql("DELETE FROM orders")
    assert source.run(tables=["main.orders"]).status == "SUCCEEDED"


def ops_items(company: Company, source: Source) -> list[str]:
    """Return the states of the OpsItems about the source."""
    pages = (
        company.client("ssm")
        .get_paginator("describe_ops_items")
        .paginate(OpsItemFilters=[{"Key": "Title", "Values": [source.name], "Operator": "Contains"}])
    )
    return [item["Status"] for page in pages for item in page["OpsItemSummaries"]]


# From here on with deploys, after which the stack knows no file that is written later.


def test_each_permission_is_needed_by_a_call_that_was_made(island: Company) -> None:
    do_everything(island)
    calls, evaluator = island.stack.permitted_calls(), Evaluator()
    not_needed = [permission for permission in TAKEN_AWAY if not needs(evaluator, calls, permission)]
    evaluator.close()
    assert sorted(not_needed) == []


def do_everything(company: Company) -> None:
    """Have every function do all that it does for a source, from its first deploy to its last."""
    first, second = one_table(company, "schedule: rate(1 hour)\n"), one_table(company)
    encrypt_secret(first)
    pauses = {role: pausing(second, role) for role in ("ReportRole", "SchedulesRole")}
    company.stack.deploy(parameters=LIMIT)
    assert pause(company, first) == pause(company, first)  # before it has any health, and after that
    company.invoke("SchedulesFunction", {"resume": first.name})
    assert failures(company, first.run()) == []
    answer = company.invoke("AccessFunction", analysts_see_ids(first))
    assert (answer["changed"], answer["failures"]) == (1, {})
    for role, pause_table in pauses.items():
        pause_table()
        resume(second, role)
    second.put_secret({"dbname": "/nowhere/at/all.db"})
    assert second.run().status == "FAILED"  # so Report asks for a pause
    first.path.unlink()
    company.stack.deploy(parameters=LOWER)
    company.stack.deploy(parameters=NONE)


@pytest.mark.parametrize("permission", shown(DEPLOYS), ids="-".join)
def test_a_deploy_fails_without_a_permission(island: Company, permission: Permission) -> None:
    before, after = DEPLOYS[permission]
    source = one_table(island, "schedule: rate(1 hour)\n")
    island.stack.deploy(parameters=before)
    if permission[2] == "scheduler:DeleteSchedule":
        source.path.unlink()
    else:
        one_table(island, "schedule: rate(1 hour)\n")
    with without(island, *permission), pytest.raises(DeployError, match="AccessDenied"):
        island.stack.deploy(parameters=after)
    if after == RAW:  # without the permission, the deploy could not be rolled back either
        island.client("glue").delete_database(Name="etl_raw_dev")
    island.stack.deploy(parameters=before if after == RAW else after)
