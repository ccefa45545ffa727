"""What Schedules reads from its environment."""

from __future__ import annotations

from tributary.environment.variables import RawBucketEnvironment, SourcesEnvironment


class ScheduleSetupEnvironment(SourcesEnvironment):
    """What Schedules reads from its environment as the stack's custom resource."""

    schedule_group: str
    state_machine_arn: str  # what schedules start, with which role, and where failed starts go
    scheduler_role_arn: str
    dead_letters_arn: str


class SchedulesEnvironment(SourcesEnvironment, RawBucketEnvironment):
    """What Schedules reads from its environment when it is called to pause or to resume."""

    schedule_group: str
