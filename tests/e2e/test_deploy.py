"""Deploys: what `sam deploy` would do, on a stack of this file's own, by `python -m local deploy`."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from local.aws.template import DeployError, read
from local.pipeline import project
from tests.patience import wait_for

from .company import Company, Row, Source
from .under_way import loads, warehouse_session
from .written_output import planted

MADRID = '{cron: "0 7 * * ? *", timezone: Europe/Madrid, window: 15 minutes}'
GROUP = "tributary"


def orders(island: Company, schedule: str | None = "rate(1 hour)", rows: int = 2) -> Source:
    """Return a new source with a table, and its file, which no deploy has seen yet."""
    source = island.source("sqlite")
    values = ", ".join(f"({number})" for number in range(1, rows + 1))
    source.sql("CREATE TABLE orders (id INTEGER PRIMARY KEY)", f"INSERT INTO orders VALUES {values}")
    describe(source, schedule)
    return source


def describe(source: Source, schedule: str | None) -> None:
    line = f"schedule: {schedule}\n" if schedule else ""
    source.file(f"{line}tables: [{{name: orders, mode: replace}}]\n")


def schedules(island: Company) -> set[str]:
    pages = island.client("scheduler").get_paginator("list_schedules").paginate(GroupName=GROUP)
    return {schedule["Name"] for page in pages for schedule in page["Schedules"]}


def schedule(island: Company, source: Source) -> dict[str, Any]:
    described: dict[str, Any] = island.client("scheduler").get_schedule(GroupName=GROUP, Name=source.name)
    return described


def command(island: Company, *words: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "local", *words, "--endpoint", island.stack.endpoint_url]
    return subprocess.run(line, cwd=project(), capture_output=True, text=True, check=False)


def test_a_source_is_added_paused_changed_resumed_and_removed(island: Company) -> None:
    source = orders(island, MADRID)
    assert source.name not in schedules(island)

    printed = command(island, "deploy")
    assert (printed.returncode, printed.stdout) == (
        0,
        "deployed\n  SourcesCheck: Update\n  Schedules: Update\n",
    ), printed.stderr
    made = schedule(island, source)
    assert {key: made[key] for key in ("ScheduleExpression", "ScheduleExpressionTimezone", "State")} == {
        "ScheduleExpression": "cron(0 7 * * ? *)",
        "ScheduleExpressionTimezone": "Europe/Madrid",
        "State": "ENABLED",
    }
    assert made["FlexibleTimeWindow"] == {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15}

    target = made["Target"]
    started = island.client("stepfunctions").start_execution(
        stateMachineArn=target["Arn"], input=target["Input"]
    )
    assert island.wait(started["executionArn"]).status == "SUCCEEDED"
    assert source.loaded("orders", "id") == [(1,), (2,)]

    paused = island.invoke("SchedulesFunction", {"pause": source.name})
    assert paused == {"source": source.name, "table": None, "paused": True, "schedule": "DISABLED"}
    describe(source, "rate(2 hours)")
    assert island.stack.deploy() == ["SourcesCheck: Update", "Schedules: Update"]
    changed = schedule(island, source)
    assert (changed["State"], changed["ScheduleExpression"]) == ("DISABLED", "rate(2 hours)")
    resumed = island.invoke("SchedulesFunction", {"resume": source.name})
    assert resumed == {**paused, "paused": False, "schedule": "ENABLED"}
    assert schedule(island, source)["State"] == "ENABLED"
    assert island.stack.deploy() == []  # nothing is another

    source.path.unlink()
    assert source.run().status == "SUCCEEDED"  # the file is gone here, and not yet in what was deployed
    assert island.stack.deploy() == ["SourcesCheck: Update", "Schedules: Update"]
    assert source.name not in schedules(island)
    assert source.run().status == "FAILED"


def test_a_faulty_file_fails_the_deploy_by_line_and_changes_nothing(island: Company) -> None:
    source = orders(island)
    island.stack.deploy()
    before, names = schedule(island, source), schedules(island)
    describe(source, "rate(2 hours)")
    new = orders(island, "hourly")

    printed = command(island, "deploy")
    assert printed.returncode == 1
    fault = f'SourcesCheck: Update failed: ConfigError: {new.name}.yaml, line 3, schedule: "hourly" is not a'
    assert f"not deployed, the stack is as before: {fault}" in printed.stderr
    assert schedules(island) == names
    after = schedule(island, source)
    assert {**after, "ResponseMetadata": None} == {**before, "ResponseMetadata": None}
    assert source.run().status == "SUCCEEDED"
    new.path.unlink()


def other_version(folder: Path) -> Path:
    """Return the template of this project's next version, whose plans are of another format."""
    root = project()
    for part in ("functions", "infra", "layers", "statemachine"):
        shutil.copytree(root / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "template.yaml", folder)
    documents = folder / "layers" / "tributary" / "tributary" / "model" / "documents.py"
    text, changed = re.subn(
        r"(?m)^(FORMAT: Final = |Format = Literal\[)\d+", r"\g<1>99", documents.read_text()
    )
    assert changed == 2
    documents.write_text(text)
    return folder / "template.yaml"


def test_a_run_goes_on_over_a_deploy_unless_its_plan_is_of_another_format(
    island: Company, tmp_path: Path
) -> None:
    source = orders(island)
    island.stack.deploy()
    assert source.run().status == "SUCCEEDED"

    source.sql("INSERT INTO orders VALUES (3)")
    with held_at_its_publish(source) as goes_on:
        describe(source, "rate(5 hours)")
        assert island.stack.deploy() == ["SourcesCheck: Update", "Schedules: Update"]
    assert island.wait(goes_on).status == "SUCCEEDED"
    assert source.loaded("orders", "id") == [(1,), (2,), (3,)]

    source.sql("INSERT INTO orders VALUES (4)")
    with held_at_its_publish(source) as arn:
        changes = island.stack.deploy(template=other_version(tmp_path))
        assert sorted(changes) == ["Schedules: Update", "SourcesCheck: Update", "WarehouseSetup: Update"]
        met = island.wait(arn)
    assert (met.status, met.error) == ("FAILED", "Reported")
    assert met.report is not None
    assert met.report["failure"]["error"] == "PlanOutdated"
    assert "planned by another version; start it again" in met.report["failure"]["message"]
    # What it left in the warehouse is awaited behind the fence, so its lease was not given back.
    assert island.document(f"_leases/{source.name}.json")["execution_arn"] == arn
    assert source.run().status == "SUCCEEDED"
    assert source.loaded("orders", "id") == [(1,), (2,), (3,), (4,)]

    source.sql("INSERT INTO orders VALUES (5)")
    island.stack.deploy(template=project() / "template.yaml")  # and back
    assert source.run().status == "SUCCEEDED"
    assert len(source.loaded("orders", "id")) == 5


@contextmanager
def held_at_its_publish(source: Source) -> Iterator[str]:
    """Start a run, and hold its table's publish for the block, which gets the execution's ARN."""
    with warehouse_session(source.company) as session:
        session.run(f'LOCK TABLE "{source.name}"."orders" IN SHARE ROW EXCLUSIVE MODE')
        arn = source.start()
        wait_for(lambda: [load["phase"] for load in loads(source.company, source)] == ["publishing"])
        yield arn


def test_the_dashboard_and_every_alarm_are_deployed_with_the_house(island: Company) -> None:
    watch = island.client("cloudwatch")
    written = read(project() / "infra/template-monitoring.yaml")["Resources"]
    alarms = {alarm["AlarmName"]: alarm for alarm in watch.describe_alarms()["MetricAlarms"]}
    wanted = {name for name, item in written.items() if item["Type"] == "AWS::CloudWatch::Alarm"}
    assert {name.removeprefix("tributary-Monitoring-") for name in alarms} == wanted
    assert {*itertools.chain(*(alarm["AlarmActions"] for alarm in alarms.values()))} == {
        island.stack.outputs["TopicArn"]
    }
    failed = alarms["tributary-Monitoring-ExecutionsFailedAlarm"]
    assert failed["Dimensions"] == [
        {"Name": "StateMachineArn", "Value": island.stack.outputs["StateMachineArn"]}
    ]
    shown = watch.get_dashboard(DashboardName=island.stack.outputs["DashboardName"])["DashboardBody"]
    assert "Tributary/tributary" in shown
    hidden = [name for name, alarm in alarms.items() if alarm["AlarmArn"] not in shown]
    assert hidden == ["tributary-Monitoring-WarehouseStorageAlarm"]  # which not every stack has


def test_a_network_and_a_usage_limit_come_change_and_go_with_their_parameters(island: Company) -> None:
    ec2, serverless = island.client("ec2"), island.client("redshift-serverless")

    def networks() -> list[str]:
        return [vpc["CidrBlock"] for vpc in ec2.describe_vpcs()["Vpcs"] if not vpc["IsDefault"]]

    def limits() -> list[tuple[int, str, str]]:
        all_limits = serverless.list_usage_limits(usageType="serverless-compute")["usageLimits"]
        return [(limit["amount"], limit["period"], limit["breachAction"]) for limit in all_limits]

    assert (networks(), limits()) == ([], [])
    made = {
        "Network": "create",
        "NetworkCidr": "10.7.0.0/24",
        "FixedAddress": "true",
        "MonthlyRpuHours": "500",
    }
    island.stack.deploy(parameters=made)
    assert (networks(), limits()) == (["10.7.0.0/24"], [(500, "monthly", "log")])
    [address] = ec2.describe_addresses()["Addresses"]
    assert island.stack.outputs["FixedAddress"] == address["PublicIp"]

    changed = {"Network": "none", "FixedAddress": "false", "MonthlyRpuHours": "300"}
    island.stack.deploy(parameters={**changed, "UsageLimitAction": "deactivate"})
    assert (networks(), limits()) == ([], [(300, "monthly", "deactivate")])
    assert "UsageLimit: Delete" in island.stack.deploy(parameters={"MonthlyRpuHours": "0"})
    assert limits() == []


def test_the_raw_layer_is_shown_run_by_run_and_what_stands_in_the_way_fails_no_load(island: Company) -> None:
    source = orders(island, schedule=None, rows=1)
    island.stack.deploy()
    assert source.run().status == "SUCCEEDED"  # before anybody asked for it
    assert "WarehouseSetup: Update" in island.stack.deploy(parameters={"RawTables": "true"})
    table = f"etl_raw_dev.{source.name}__orders"

    def loads(*statements: str) -> tuple[str, list[str]]:
        """Load what the statements made; return the run, and the notes of its report about the raw layer."""
        source.sql(*statements)
        ended = source.run()
        assert ended.status == "SUCCEEDED"
        notes = [note for note in ended.table("main.orders")["notes"] if "raw layer" in note]
        return ended.output["run_id"], notes

    def shown(columns: str = "id") -> list[Row]:
        return island.warehouse(
            f"SELECT run_id, _tributary_kind, {columns} FROM {table} ORDER BY run_id, _tributary_seq"
        )

    first, notes = loads("INSERT INTO orders VALUES (2)")
    assert (notes, shown()) == ([], [(first, "image", 1), (first, "image", 2)])

    island.warehouse("ALTER SCHEMA etl_raw_dev OWNER TO admin")
    second, notes = loads("DELETE FROM orders WHERE id = 1", "ALTER TABLE orders ADD COLUMN note TEXT")
    [note] = notes
    assert note.startswith("loaded; the raw layer's external table is behind")
    assert note.endswith("failed: permission denied")
    assert len(shown()) == 2

    island.warehouse('ALTER SCHEMA etl_raw_dev OWNER TO "IAMR:tributary-WarehouseRole"')
    third, notes = loads("INSERT INTO orders VALUES (3, 'c')")
    rows: list[Row] = [(first, "image", 1, None), (first, "image", 2, None), (second, "image", 2, None)]
    rows += [(third, "image", 2, None), (third, "image", 3, "c")]
    assert (notes, shown("id, note")) == ([], rows)

    island.warehouse(f"DROP TABLE {table}")  # by a person
    fourth, notes = loads("DELETE FROM orders WHERE id = 2")
    assert (notes, shown("id, note")) == ([], [*rows, (fourth, "image", 3, "c")])

    fifth, notes = loads(
        "DROP TABLE orders",
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, note REAL)",
        "INSERT INTO orders VALUES (4, 0.5)",
    )
    # What was a text before cannot be read as a number.
    assert (notes, shown("id, note")) == ([], [(fifth, "image", 4, 0.5)])
    assert "WarehouseSetup: Update" in island.stack.deploy(parameters={"RawTables": "false"})


def test_the_events_in_the_folder_are_taken_and_what_is_deleted_keeps_its_data(island: Company) -> None:
    """The events are about the example's own file: its schedule, and its table."""
    root, source = project(), orders(island)
    shutil.copy(root / "sources" / "shop.yaml.example", island.sources / "shop.yaml")
    island.stack.deploy()
    scheduler = island.client("scheduler")
    scheduler.delete_schedule(GroupName=GROUP, Name="shop")
    event = json.loads((root / "events" / "schedules.json").read_text())
    event["ResponseURL"] = f"{island.stack.endpoint_url}/local-custom-resource/by-hand"
    assert island.invoke("SchedulesFunction", event) is None
    made = scheduler.get_schedule(GroupName=GROUP, Name="shop")
    assert (made["ScheduleExpression"], made["Target"]["Arn"]) == (
        "rate(1 hour)",
        island.stack.outputs["StateMachineArn"],
    )
    resumed = island.invoke("SchedulesFunction", json.loads((root / "events" / "resume.json").read_text()))
    assert resumed == {"source": "shop", "table": "public.orders", "paused": False, "schedule": "ENABLED"}

    assert source.run().status == "SUCCEEDED"
    bucket, chunks = island.stack.outputs["RawBucketName"], island.keys(f"{source.name}/")
    assert planted(island.output.new()) == []  # while there still are histories to search
    printed = command(island, "delete")
    assert printed.returncode == 0, printed.stderr
    assert [group["Name"] for group in scheduler.list_schedule_groups()["ScheduleGroups"]] == ["default"]
    assert island.client("lambda").list_functions()["Functions"] == []
    assert island.client("stepfunctions").list_state_machines()["stateMachines"] == []
    listed = island.client("s3").list_objects_v2(Bucket=bucket, Prefix=f"{source.name}/")["Contents"]
    assert [entry["Key"] for entry in listed] == chunks
    assert source.loaded("orders", "id") == [(1,), (2,)]
    with pytest.raises(DeployError, match="nothing is deployed"):
        island.stack.delete()
