"""The schedules become what the source files say, each time, and what is paused stays paused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from local.aws.clients import client
from local.aws.platform import Platform
from tributary.config import loader
from tributary.errors import ConfigError, ScheduleRefused, SchedulerUnavailable
from tributary.stack.pause import PauseRequest, apply
from tributary.stack.scheduler import ScheduleChanges, Schedules, ScheduleTarget
from tributary.storage.bucket import Bucket

TARGET = ScheduleTarget(
    machine_arn="arn:aws:states:us-east-1:123456789012:stateMachine:tributary",
    role_arn="arn:aws:iam::123456789012:role/scheduler",
    dead_letters_arn="arn:aws:sqs:us-east-1:123456789012:dead",
)
REST = """engine: sqlite
secret: tributary/x
tables: [{name: main.orders}, {include: 'main.a*', exclude: [main.ab]}]
"""


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with Platform(tmp_path_factory.mktemp("logs")) as platform:
        client("s3", platform.url).create_bucket(Bucket="raw")
        yield platform


@pytest.fixture
def scheduler(platform: Platform) -> Any:
    return client("scheduler", platform.url)


@pytest.fixture
def schedules(scheduler: Any) -> Schedules:
    group = f"g{uuid4().hex[:8]}"
    scheduler.create_schedule_group(Name=group)
    return Schedules(scheduler, group, sleep=lambda _: None)


@pytest.fixture
def bucket(platform: Platform) -> Bucket:
    return Bucket(client("s3", platform.url), "raw")


def write(folder: Path, **schedules: str | None) -> None:
    """Make the folder hold these sources, None for one without a schedule."""
    for path in folder.glob("*.yaml"):
        path.unlink()
    for name, schedule in schedules.items():
        line = f"schedule: {schedule}\n" if schedule else ""
        (folder / f"{name}.yaml").write_text(f"{line}target_schema: {name.lower()}\n{REST}")


def reconcile(schedules: Schedules, folder: Path) -> ScheduleChanges:
    return schedules.reconcile(loader.load_all(folder).values(), TARGET)


def held(schedules: Schedules, name: str) -> dict[str, Any]:
    schedule: dict[str, Any] = schedules.client.get_schedule(GroupName=schedules.group, Name=name)
    return schedule


def names(schedules: Schedules) -> set[str]:
    listed = schedules.client.list_schedules(GroupName=schedules.group)["Schedules"]
    return {schedule["Name"] for schedule in listed}


def test_a_source_gets_all_that_its_file_says(schedules: Schedules, tmp_path: Path) -> None:
    schedule = '{cron: "0 7 * * ? *", timezone: Europe/Madrid, window: 15 minutes}'
    write(tmp_path, shop=schedule, crm="rate(1 hours)", byhand=None)
    assert reconcile(schedules, tmp_path).counts() == {
        "created": 2,
        "updated": 0,
        "deleted": 0,
        "unchanged": 0,
    }
    assert names(schedules) == {"shop", "crm"}
    shop, crm = held(schedules, "shop"), held(schedules, "crm")
    assert (shop["ScheduleExpression"], shop["ScheduleExpressionTimezone"]) == (
        "cron(0 7 * * ? *)",
        "Europe/Madrid",
    )
    assert shop["FlexibleTimeWindow"] == {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15}
    assert (shop["State"], json.loads(shop["Target"].pop("Input"))) == ("ENABLED", {"source": "shop"})
    assert shop["Target"] == {
        "Arn": TARGET.machine_arn,
        "RoleArn": TARGET.role_arn,
        "RetryPolicy": {"MaximumEventAgeInSeconds": 3600, "MaximumRetryAttempts": 60},
        "DeadLetterConfig": {"Arn": TARGET.dead_letters_arn},
    }
    assert (crm["ScheduleExpression"], crm["ScheduleExpressionTimezone"]) == ("rate(1 hour)", "UTC")
    assert crm["FlexibleTimeWindow"] == {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15}


def test_only_what_is_another_is_written(schedules: Schedules, tmp_path: Path) -> None:
    write(tmp_path, shop="rate(1 hour)", crm="rate(1 hour)", old="rate(1 day)", stopped="rate(1 day)")
    reconcile(schedules, tmp_path)
    before = held(schedules, "crm")
    write(tmp_path, shop="rate(2 hours)", crm="rate(1 hour)", new="rate(1 day)", stopped=None)
    changes = reconcile(schedules, tmp_path)
    assert changes == ScheduleChanges(
        created=["new"], updated=["shop"], deleted=["old", "stopped"], unchanged=["crm"]
    )
    assert held(schedules, "crm")["LastModificationDate"] == before["LastModificationDate"]
    assert held(schedules, "shop")["ScheduleExpression"] == "rate(2 hours)"
    assert reconcile(schedules, tmp_path).counts()["unchanged"] == 3


def test_a_paused_schedule_stays_paused_also_where_its_times_change(
    schedules: Schedules, tmp_path: Path
) -> None:
    write(tmp_path, shop="rate(1 hour)", crm="rate(1 hour)")
    reconcile(schedules, tmp_path)
    assert [schedules.switch(name, "DISABLED") for name in ("shop", "crm", "unknown")] == [
        "DISABLED",
        "DISABLED",
        None,
    ]
    write(tmp_path, shop="rate(2 hours)", crm="rate(1 hour)")
    reconcile(schedules, tmp_path)
    shop = held(schedules, "shop")
    assert (shop["State"], shop["ScheduleExpression"]) == ("DISABLED", "rate(2 hours)")
    assert held(schedules, "crm")["State"] == "DISABLED"
    schedules.switch("shop", "ENABLED")
    resumed = held(schedules, "shop")
    assert resumed.pop("State") == "ENABLED"
    unlike = {"State", "LastModificationDate", "ResponseMetadata"}
    assert {key: value for key, value in resumed.items() if key not in unlike} == {
        key: value for key, value in shop.items() if key not in unlike
    }


def test_an_empty_folder_has_no_schedule(schedules: Schedules, tmp_path: Path) -> None:
    write(tmp_path, shop="rate(1 hour)")
    reconcile(schedules, tmp_path)
    write(tmp_path)
    assert reconcile(schedules, tmp_path) == ScheduleChanges(deleted=["shop"])
    assert names(schedules) == set()


def test_a_faulty_file_changes_nothing(schedules: Schedules, tmp_path: Path) -> None:
    write(tmp_path, shop="rate(1 hour)")
    reconcile(schedules, tmp_path)
    write(tmp_path, aaa="rate(1 hour)", shop="rate(1 fortnight)")
    with pytest.raises(ConfigError, match=r'shop.yaml, line 1, schedule: "1 fortnight" is not a rate'):
        reconcile(schedules, tmp_path)
    assert names(schedules) == {"shop"}
    assert held(schedules, "shop")["ScheduleExpression"] == "rate(1 hour)"


def test_more_schedules_than_a_page_holds_are_all_kept(schedules: Schedules, tmp_path: Path) -> None:
    write(tmp_path, **{f"s{number}": "rate(1 day)" for number in range(60)})
    reconcile(schedules, tmp_path)
    assert len(reconcile(schedules, tmp_path).unchanged) == 60
    write(tmp_path, s1="rate(1 day)")
    assert len(reconcile(schedules, tmp_path).deleted) == 59


class Stumbling:
    """Scheduler's client, of which one operation fails as configured before it works, or after it has."""

    def __init__(self, real: Any, operation: str, *errors: tuple[str, str], after: bool = False) -> None:
        self._real, self._operation, self._errors, self._after = real, operation, list(errors), after

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._real, name)
        if name != self._operation:
            return real

        def stumble(**given: Any) -> Any:
            if not self._errors:
                return real(**given)
            code, message = self._errors.pop(0)
            if self._after:
                real(**given)
            raise ClientError({"Error": {"Code": code, "Message": message}}, name)

        return stumble


def stumbling(schedules: Schedules, *args: Any, **kwargs: Any) -> Schedules:
    return Schedules(Stumbling(schedules.client, *args, **kwargs), schedules.group, sleep=lambda _: None)


NOT_YET = (
    "ValidationException",
    "The execution role you provide must allow AWS EventBridge Scheduler to assume it",
)


def test_a_role_that_was_made_a_moment_ago_is_waited_for(schedules: Schedules, tmp_path: Path) -> None:
    write(tmp_path, shop="rate(1 hour)")
    assert reconcile(stumbling(schedules, "create_schedule", *[NOT_YET] * 3), tmp_path).created == ["shop"]
    write(tmp_path, shop="rate(2 hours)")
    with pytest.raises(
        ScheduleRefused, match="refused schedule shop: ValidationException: The execution role"
    ):
        reconcile(stumbling(schedules, "update_schedule", *[NOT_YET] * 20), tmp_path)


def test_a_refused_call_is_not_waited_for(schedules: Schedules, tmp_path: Path) -> None:
    write(tmp_path, shop="rate(1 hour)")
    user = "arn:aws:sts::123456789012:assumed-role/schedules/x"
    refused = ("AccessDeniedException", f"User: {user} is not authorized to perform: iam:PassRole")
    with pytest.raises(ScheduleRefused, match="AccessDeniedException"):
        reconcile(stumbling(schedules, "create_schedule", refused), tmp_path)


def test_a_creation_whose_answer_was_lost_is_taken_as_made(schedules: Schedules, tmp_path: Path) -> None:
    write(tmp_path, shop="rate(1 hour)")
    lost = stumbling(schedules, "create_schedule", ("InternalServerException", ""), after=True)
    assert reconcile(lost, tmp_path).unchanged == ["shop"]


def test_what_stopped_in_the_middle_goes_on_from_there(schedules: Schedules, tmp_path: Path) -> None:
    write(tmp_path, old="rate(1 day)", shop="rate(1 day)")
    reconcile(schedules, tmp_path)
    write(tmp_path, new="rate(1 day)", shop="rate(2 days)")
    with pytest.raises(SchedulerUnavailable, match="answered ThrottlingException for schedule shop"):
        reconcile(stumbling(schedules, "update_schedule", ("ThrottlingException", "")), tmp_path)
    assert names(schedules) == {"new", "old", "shop"}  # nothing is deleted before all else is written
    assert reconcile(schedules, tmp_path) == ScheduleChanges(
        updated=["shop"], deleted=["old"], unchanged=["new"]
    )


def test_a_group_that_is_gone_is_told(scheduler: Any, tmp_path: Path) -> None:
    write(tmp_path, shop="rate(1 hour)")
    with pytest.raises((ScheduleRefused, SchedulerUnavailable)):
        reconcile(Schedules(scheduler, "nowhere"), tmp_path)


def ask(event: dict[str, Any], folder: Path, bucket: Bucket, schedules: Schedules) -> dict[str, Any]:
    ops_center = client("ssm", schedules.client.meta.endpoint_url)
    return apply(PauseRequest.parse(event), folder, bucket, schedules, ops_center).model_dump()


def test_a_source_is_paused_and_resumed(schedules: Schedules, bucket: Bucket, tmp_path: Path) -> None:
    write(tmp_path, shop="rate(1 hour)", byhand=None)
    reconcile(schedules, tmp_path)
    for _ in range(2):
        paused = ask({"pause": "shop"}, tmp_path, bucket, schedules)
        assert paused == {"source": "shop", "table": None, "paused": True, "schedule": "DISABLED"}
        assert held(schedules, "shop")["State"] == "DISABLED"
    assert ask({"resume": "shop"}, tmp_path, bucket, schedules) == {
        **paused,
        "paused": False,
        "schedule": "ENABLED",
    }
    assert held(schedules, "shop")["State"] == "ENABLED"
    assert ask({"pause": {"source": "byhand"}}, tmp_path, bucket, schedules)["schedule"] is None


def test_a_table_is_paused_without_its_neighbours(
    schedules: Schedules, bucket: Bucket, tmp_path: Path
) -> None:
    write(tmp_path, shop="rate(1 hour)")
    reconcile(schedules, tmp_path)
    which = {"source": "shop", "table": "main.orders"}
    paused = ask({"pause": which}, tmp_path, bucket, schedules)
    assert paused == {**which, "paused": True, "schedule": "ENABLED"}
    assert ask({"resume": which}, tmp_path, bucket, schedules) == {**paused, "paused": False}
    ask({"resume": {**which, "table": "main.abc"}}, tmp_path, bucket, schedules)
    ask(
        {"resume": {**which, "table": "main.a*"}}, tmp_path, bucket, schedules
    )  # as a failed entry is reported


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"pause": "shpo"}, 'source "shpo" is not known; did you mean "shop"? the sources are crm, shop'),
        (
            {"resume": {"source": "shop", "table": "main.ordres"}},
            (
                '"main.ordres" is not a table of shop; name it as reports do, with its schema. '
                "shop.yaml selects main.orders, main.a*"
            ),
        ),
        ({"pause": {"source": "shop", "table": "main.ab"}}, '"main.ab" is not a table of shop'),
        ({"pause": {"source": "shop", "table": "orders"}}, '"orders" is not a table of shop'),
        ({"pause": {"source": "shop", "table": "main.a*"}}, '"main.a*" is not a table of shop'),
        ({}, 'a call either pauses or resumes; write {"pause": "shop"}'),
        ({"pause": "shop", "resume": "shop"}, "a call either pauses or resumes"),
        ({"stop": "shop"}, 'the event of the schedules function is not valid; write {"pause": "shop"}'),
        ({"pause": 1}, "the event of the schedules function is not valid"),
    ],
)
def test_what_is_not_known_changes_nothing(
    schedules: Schedules, bucket: Bucket, tmp_path: Path, event: dict[str, Any], message: str
) -> None:
    write(tmp_path, shop="rate(1 hour)", crm="rate(1 hour)")
    reconcile(schedules, tmp_path)
    with pytest.raises(ConfigError) as refused:
        ask(event, tmp_path, bucket, schedules)
    assert message in str(refused.value)
    assert held(schedules, "shop")["State"] == "ENABLED"
