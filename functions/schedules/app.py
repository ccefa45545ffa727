"""Schedules: the stack's custom resource that keeps a schedule per source, and what pauses and resumes.

Nothing else writes schedules. As the custom resource it answers whatever happens, so all that could
fail to be imported is imported later.
"""

import os
from pathlib import Path
from typing import Any

from tributary.stack import custom_resource

PHYSICAL_ID = "tributary-schedules"


def handler(event: dict[str, Any], context: Any) -> dict[str, Any] | None:
    """Answer CloudFormation, or a call such as `{"resume": "shop"}` with what is so now."""
    if "RequestType" in event:
        custom_resource.conduct(event, context, PHYSICAL_ID, reconcile)
        return None
    return switch(event, context)


def reconcile(properties: dict[str, Any]) -> None:
    """Make the schedules what the source files say; repeatable."""
    from tributary import environment
    from tributary.config import loader
    from tributary.observability import logger
    from tributary.stack.scheduler import Schedules, ScheduleTarget

    sources = loader.load_all(_sources())  # all of them are read before anything is written
    schedules = Schedules(environment.client("scheduler"), environment.variable("SCHEDULE_GROUP"))
    target = ScheduleTarget(
        machine_arn=properties["StateMachineArn"],
        role_arn=properties["RoleArn"],
        dead_letters_arn=properties["DeadLettersArn"],
    )
    changes = schedules.reconcile(sources.values(), target)
    logger.info("schedules reconciled", extra={"schedules": changes.counts()})


def switch(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Pause or resume a source or one of its tables."""
    from tributary import environment
    from tributary.observability import guarded
    from tributary.stack.pause import PauseRequest, apply
    from tributary.stack.scheduler import Schedules

    @guarded
    def act(event: dict[str, Any], context: Any) -> dict[str, Any]:
        asked = PauseRequest.parse(event)
        schedules = Schedules(environment.client("scheduler"), environment.variable("SCHEDULE_GROUP"))
        ops_center = environment.client("ssm")
        return apply(asked, _sources(), environment.raw_bucket(), schedules, ops_center).model_dump()

    return act(event, context)


def _sources() -> Path:
    return Path(os.environ.get("SOURCES_DIR") or "/opt")
