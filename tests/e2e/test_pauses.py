"""What fails again and again is paused, reported once in OpsCenter, and comes back by one call."""

from __future__ import annotations

from typing import Any

from .company import Company, Ended, Source

TWICE_THE_SAME_KEY = (
    "CREATE TABLE good (id int NOT NULL PRIMARY KEY)",
    "INSERT INTO good VALUES (1)",
    "CREATE TABLE bad (k int NOT NULL, at timestamp NOT NULL)",
    "INSERT INTO bad VALUES (1, '2026-01-01 10:00:00'), (1, '2026-01-01 10:00:01')",
)
FILE = """
tables:
  - {name: good, mode: replace}
  - {name: bad, mode: merge, key: k, cursor: at, cursor_time_zone: UTC}
"""


def failing_table(company: Company) -> Source:
    source = company.source("sqlite")
    source.sql(*TWICE_THE_SAME_KEY)
    source.file(FILE)
    return source


def scheduled(company: Company, name: str) -> None:
    """Give the source a schedule, as a deploy does."""
    company.client("scheduler").create_schedule(
        GroupName="tributary",
        Name=name,
        ScheduleExpression="rate(1 hour)",
        ScheduleExpressionTimezone="Europe/Madrid",
        FlexibleTimeWindow={"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 5},
        Target={
            "Arn": company.stack.outputs["StateMachineArn"],
            "RoleArn": "arn:aws:iam::123456789012:role/tributary-SchedulerRole",
            "Input": f'{{"source": "{name}"}}',
        },
    )


def schedule(company: Company, name: str) -> dict[str, Any]:
    described: dict[str, Any] = company.client("scheduler").get_schedule(GroupName="tributary", Name=name)
    return described


def ops_items(company: Company, source: Source) -> list[tuple[str, str]]:
    """Return status and description of every OpsItem about the source, oldest first."""
    ssm = company.client("ssm")
    pages = ssm.get_paginator("describe_ops_items").paginate(
        OpsItemFilters=[{"Key": "Title", "Values": [source.name], "Operator": "Contains"}]
    )
    ids = [item["OpsItemId"] for page in pages for item in page["OpsItemSummaries"]]
    items = [ssm.get_ops_item(OpsItemId=item)["OpsItem"] for item in ids]
    return [
        (item["Status"], item["Description"]) for item in sorted(items, key=lambda item: item["CreatedTime"])
    ]


def paused(run: Ended) -> list[str]:
    assert run.report is not None
    return [table["table"] for table in run.report["paused"]]


def told(company: Company, run: Ended) -> str:
    [message] = company.mailbox.about(run.arn)
    text: str = message["Message"]
    return text


def test_a_failing_table_is_paused_while_its_neighbours_load_and_comes_back_by_resume(
    company: Company,
) -> None:
    source = failing_table(company)

    first, second, third = (source.run() for _ in range(3))
    assert [run.status for run in (first, second, third)] == ["FAILED"] * 3
    assert [run.table("main.good")["status"] for run in (first, second, third)] == ["loaded"] * 3
    assert [paused(run) for run in (first, second, third)] == [[], [], ["main.bad"]]
    resume = f'{{"resume": {{"source": "{source.name}", "table": "main.bad"}}}}'
    assert f"sam remote invoke SchedulesFunction --event '{resume}'" in told(company, third)
    [(status, description)] = ops_items(company, source)
    assert status == "Open"
    assert "main.bad: 3 failures in a row, the last by KeyNotUnique" in description

    fourth = source.run()
    assert (fourth.status, paused(fourth)) == ("SUCCEEDED", ["main.bad"])
    assert fourth.report is not None
    assert [table["table"] for table in fourth.report["tables"]] == ["main.good"]
    assert len(ops_items(company, source)) == 1

    source.sql("DELETE FROM bad WHERE at = '2026-01-01 10:00:00'")
    answer = company.invoke("SchedulesFunction", {"resume": {"source": source.name, "table": "main.bad"}})
    assert answer == {"source": source.name, "table": "main.bad", "paused": False, "schedule": None}
    assert [status for status, _ in ops_items(company, source)] == ["Resolved"]
    assert source.run().status == "SUCCEEDED"
    assert source.loaded("bad", "k") == [(1,)]


def test_a_paused_table_is_tried_when_an_execution_names_it_and_its_success_ends_the_pause(
    company: Company,
) -> None:
    source = failing_table(company)
    company.invoke("SchedulesFunction", {"pause": {"source": source.name, "table": "main.bad"}})
    assert paused(source.run()) == ["main.bad"]

    assert source.run(tables=["main.bad"]).table("main.bad")["failure"]["error"] == "KeyNotUnique"
    source.sql("DELETE FROM bad WHERE at = '2026-01-01 10:00:00'")
    assert source.run(tables=["main.bad"]).status == "SUCCEEDED"

    last = source.run()
    assert (last.status, paused(last)) == ("SUCCEEDED", [])
    assert [status for status, _ in ops_items(company, source)] == ["Resolved"]


def test_a_source_whose_runs_load_nothing_has_its_schedule_disabled_until_resumed(company: Company) -> None:
    source = failing_table(company)
    source.file("pause_after: 2\n" + FILE)
    scheduled(company, source.name)
    before = schedule(company, source.name)
    secret = source.secret()
    source.put_secret({"dbname": "/nowhere/at/all.db"})

    assert source.run().status == "FAILED"
    assert schedule(company, source.name)["State"] == "ENABLED"
    second = source.run()
    company.wait_until(lambda: schedule(company, source.name)["State"] == "DISABLED")
    assert f"The schedule of {source.name} is disabled: 2 runs in a row loaded nothing" in told(
        company, second
    )
    assert [status for status, _ in ops_items(company, source)] == ["Open"]

    source.put_secret(secret)
    assert source.run().table("main.good")["status"] == "loaded"  # by hand, which enables nothing
    assert schedule(company, source.name)["State"] == "DISABLED"

    answer = company.invoke("SchedulesFunction", {"resume": source.name})
    assert answer == {"source": source.name, "table": None, "paused": False, "schedule": "ENABLED"}
    after = schedule(company, source.name)
    assert {key: after[key] for key in before if key not in ("LastModificationDate", "ResponseMetadata")} == {
        key: before[key] for key in before if key not in ("LastModificationDate", "ResponseMetadata")
    }
    assert [status for status, _ in ops_items(company, source)] == ["Resolved"]


def test_a_corrected_file_lifts_the_pause_and_a_run_without_tables_is_no_success(company: Company) -> None:
    source = company.source("sqlite")
    source.sql("CREATE TABLE things (id INTEGER PRIMARY KEY)", "INSERT INTO things VALUES (1)")
    for wrong in ("nope", "none", "never"):
        source.file(f"tables: [{{name: main.things, mode: replace, key: {wrong}}}]")
        assert source.run().status == "FAILED"
    idle = source.run()
    assert (idle.status, paused(idle)) == ("FAILED", ["main.things"])
    assert idle.report is not None
    assert "every table is paused, so nothing was read" in idle.report["notes"]

    source.file("tables: [{name: main.things, mode: replace, key: id}]")
    corrected = source.run()

    assert (corrected.status, paused(corrected)) == ("SUCCEEDED", [])
    assert source.loaded("things", "id") == [(1,)]
    assert source.run().status == "SUCCEEDED"
