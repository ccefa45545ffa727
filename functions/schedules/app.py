"""Schedules: the stack's custom resource that keeps a schedule per source; calls pause and resume.

Nothing else writes schedules. What they start is set by the function's environment, not by
an event. CloudFormation must get an answer even if a package cannot be imported, so only `custom_resource`
is imported at the top.
"""

from typing import Any

from tributary.stack import custom_resource

PHYSICAL_ID = "tributary-schedules"
CHECK, CHECK_ID = "Custom::SourcesCheck", "tributary-sources-check"


def handler(event: dict[str, Any], context: Any) -> dict[str, Any] | None:
    """Answer CloudFormation; or answer a call such as `{"resume": "shop"}` with the state after it."""
    if event.get("ResourceType") == CHECK:
        custom_resource.conduct(event, context, CHECK_ID, check)
        return None
    if "RequestType" in event:
        custom_resource.conduct(event, context, PHYSICAL_ID, reconcile)
        return None
    return pause(event, context)


def check(properties: dict[str, Any]) -> None:
    """Refuse a deploy with a wrong source file, before Plan gets the files."""
    from tributary.config import loader
    from tributary.environment.schedules import ScheduleSetupEnvironment

    environment = ScheduleSetupEnvironment.read()
    loader.load_all(environment.sources_dir, secret_prefix=environment.secret_prefix)


def reconcile(properties: dict[str, Any]) -> None:
    """Create, update and delete schedules until they match the source files; repeatable."""
    from tributary.config import loader
    from tributary.environment.clients import client
    from tributary.environment.schedules import ScheduleSetupEnvironment
    from tributary.observability import logger
    from tributary.stack.scheduler import Schedules, ScheduleTarget

    environment = ScheduleSetupEnvironment.read()
    # A wrong file must stop all of it.
    sources = loader.load_all(environment.sources_dir, secret_prefix=environment.secret_prefix)
    schedules = Schedules(client("scheduler"), environment.schedule_group)
    target = ScheduleTarget(
        machine_arn=environment.state_machine_arn,
        role_arn=environment.scheduler_role_arn,
        dead_letters_arn=environment.dead_letters_arn,
    )
    changes = schedules.reconcile(sources.values(), target)
    logger.info("schedules reconciled", extra={"schedules": changes.counts()})


def pause(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Pause or resume a source or one of its tables."""
    from tributary.environment.clients import client
    from tributary.environment.schedules import SchedulesEnvironment
    from tributary.observability import guarded
    from tributary.stack.pause import PauseRequest, apply
    from tributary.stack.scheduler import Schedules

    @guarded
    def act(event: dict[str, Any], context: Any) -> dict[str, Any]:
        request = PauseRequest.parse(event)
        environment = SchedulesEnvironment.read()
        schedules = Schedules(client("scheduler"), environment.schedule_group)
        state = apply(request, environment.sources_dir, environment.bucket, schedules, client("ssm"))
        return state.model_dump()

    return act(event, context)
