"""One EventBridge schedule per source, which matches the source's file, and can be disabled and enabled.

Scheduler's own group is the only record of them. A schedule without a file is deleted, one that matches
its file is not written, and a disabled one stays disabled whatever else changes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from botocore.exceptions import BotoCoreError, ClientError

from tributary import aws_errors
from tributary.aws_errors import unreachable
from tributary.config.models import Source
from tributary.errors import ScheduleRefused, SchedulerUnavailable

State = Literal["ENABLED", "DISABLED"]
Fields = dict[str, Any]  # of a schedule, as Scheduler's API has them

BUSY = aws_errors.BUSY | {"ConflictException"}
MISSING = "ResourceNotFoundException"
# What UpdateSchedule takes; it replaces, so what is left out would be lost (API_UpdateSchedule).
UPDATABLE = (
    "ScheduleExpression",
    "ScheduleExpressionTimezone",
    "StartDate",
    "EndDate",
    "Description",
    "State",
    "KmsKeyArn",
    "Target",
    "FlexibleTimeWindow",
    "ActionAfterCompletion",
)
# A start that fails for an hour is given up: it goes to the dead-letter queue, and the next one is near.
RETRIES = {"MaximumEventAgeInSeconds": 3600, "MaximumRetryAttempts": 60}
ROLE_WAIT_S = 60  # until Scheduler can assume a role that was just created
ROLE_NOT_READY = "to assume"  # in Scheduler's message; a refused call names an `assumed-role` too
ROLE_PAUSE_S = 5


@dataclass(frozen=True, slots=True)
class ScheduleTarget:
    """What a schedule starts, with which role, and the queue of failed starts."""

    machine_arn: str
    role_arn: str
    dead_letters_arn: str


@dataclass(slots=True)
class ScheduleChanges:
    """The sources whose schedules were created, updated, deleted or left as they were."""

    created: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        """Return how many there are of each."""
        return {name: len(getattr(self, name)) for name in self.__dataclass_fields__}


def fields(source: Source, target: ScheduleTarget) -> Fields:
    """Return the fields of the schedule of a source that has one, except name and state."""
    schedule = source.schedule
    assert schedule is not None
    window = schedule.window_minutes
    return {
        "Description": f"Runs source {source.name} of Tributary; from {source.name}.yaml, at each deploy",
        "ScheduleExpression": schedule.expression,
        "ScheduleExpressionTimezone": schedule.timezone,
        "FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": window}
        if window
        else {"Mode": "OFF"},
        "Target": {
            "Arn": target.machine_arn,
            "RoleArn": target.role_arn,
            "Input": json.dumps({"source": source.name}),
            "RetryPolicy": dict(RETRIES),
            "DeadLetterConfig": {"Arn": target.dead_letters_arn},
        },
    }


@dataclass(frozen=True, slots=True)
class Schedules:
    """The schedules of one group; each has its source's name. `client` is boto3's of Scheduler."""

    client: Any
    group: str
    sleep: Callable[[float], None] = time.sleep

    def reconcile(self, sources: Iterable[Source], target: ScheduleTarget) -> ScheduleChanges:
        """Make the group hold the sources' schedules and no other; repeatable, also after a failure.

        Deletes come last. Raises ScheduleRefused, SchedulerUnavailable.
        """
        changes = ScheduleChanges()
        existing = self._names()
        wanted = {source.name: fields(source, target) for source in sources if source.schedule}
        for name, schedule in wanted.items():
            if name not in existing and self._create(name, schedule):
                changes.created.append(name)
            elif self._bring_to(name, schedule):
                changes.updated.append(name)
            else:
                changes.unchanged.append(name)
        for name in sorted(existing - wanted.keys()):
            self._delete(name)
            changes.deleted.append(name)
        return changes

    def state(self, name: str) -> State | None:
        """Return the state of the source's schedule, None if it has none."""
        held = self._find(name)
        return held["State"] if held else None

    def switch(self, name: str, state: State) -> State | None:
        """Enable or disable the source's schedule; return its state now, None if it has none."""
        held = self._find(name)
        if held is None:
            return None
        if held["State"] != state:
            self._write("update_schedule", name, {**_updatable(held), "State": state})
        return state

    def _names(self) -> set[str]:
        try:
            with translated(f"the schedules of group {self.group}"):
                pages = self.client.get_paginator("list_schedules").paginate(GroupName=self.group)
                return {schedule["Name"] for page in pages for schedule in page["Schedules"]}
        except _Missing:
            raise self._gone() from None

    def _find(self, name: str) -> Fields | None:
        try:
            with translated(f"schedule {name}"):
                held: Fields = self.client.get_schedule(GroupName=self.group, Name=name)
                return held
        except _Missing:
            return None

    def _create(self, name: str, schedule: Fields) -> bool:
        """Create the schedule; return False if it exists, by an attempt whose answer was lost."""
        try:
            self._write("create_schedule", name, {**schedule, "State": "ENABLED"})
        except SchedulerUnavailable:
            if self._find(name) is None:
                raise
            return False
        return True

    def _bring_to(self, name: str, schedule: Fields) -> bool:
        """Update the schedule if it differs, keeping its state; return whether it differed."""
        held = self._find(name)
        if held is None:
            return self._create(name, schedule)
        if holds(held, schedule):
            return False
        self._write("update_schedule", name, {**schedule, "State": held["State"]})
        return True

    def _delete(self, name: str) -> None:
        try:
            with translated(f"schedule {name}"):
                self.client.delete_schedule(GroupName=self.group, Name=name)
        except _Missing:
            return

    def _write(self, operation: str, name: str, schedule: Fields) -> None:
        """Create or update the schedule, waiting until Scheduler can assume a role that was just created."""
        waited_s = 0.0
        while True:
            try:
                with translated(f"schedule {name}"):
                    getattr(self.client, operation)(GroupName=self.group, Name=name, **schedule)
            except ScheduleRefused as refused:
                if ROLE_NOT_READY not in str(refused) or waited_s >= ROLE_WAIT_S:
                    raise
                self.sleep(ROLE_PAUSE_S)
                waited_s += ROLE_PAUSE_S
            except _Missing:
                raise self._gone() from None
            else:
                return

    def _gone(self) -> ScheduleRefused:
        return ScheduleRefused(f"the schedule group {self.group}, or what is in it, is gone; deploy again")


def holds(held: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Say whether the schedule has all wanted fields; Scheduler may add defaults of its own."""
    return all(
        holds(held.get(key) or {}, value) if isinstance(value, dict) else held.get(key) == value
        for key, value in wanted.items()
    )


def _updatable(held: Mapping[str, Any]) -> Fields:
    return {key: held[key] for key in UPDATABLE if held.get(key) is not None}


class _Missing(Exception):
    """There is no such schedule."""


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn Scheduler's errors into ours. Their texts are about schedules, so they hold no row's value."""
    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == MISSING:
            raise _Missing from None
        if code in BUSY:
            raise SchedulerUnavailable(f"EventBridge Scheduler answered {code} for {what}") from None
        message = error.response["Error"].get("Message", "")
        raise ScheduleRefused(f"EventBridge Scheduler refused {what}: {code}: {message}") from None
    except BotoCoreError as error:
        raise SchedulerUnavailable(f"{what}: {unreachable('EventBridge Scheduler', error)}") from None
