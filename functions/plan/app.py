"""Plan: takes the source's lease and freezes what this run reads and loads."""

import os
from pathlib import Path
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, ValidationError

from tributary import environment
from tributary.config.models import Share
from tributary.errors import ConfigError
from tributary.model.plan import ReadRequest
from tributary.observability import guarded, logger
from tributary.planning.plan import PlanContext, RunRequest, plan_run


class Event(BaseModel):
    """The execution's input with the execution's own name and time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    tables: tuple[str, ...] | None = None
    full_refresh: bool = Field(default=False, strict=True)
    since: StrictStr | StrictInt | None = Field(default=None, alias="from")
    before: StrictStr | StrictInt | None = Field(default=None, alias="to")
    replay: bool = Field(default=False, strict=True)
    may_vanish: Share | None = None
    execution_arn: str
    started_at: str

    @classmethod
    def parse(cls, event: dict[str, Any]) -> "Event":
        """Return the event; raises ConfigError that names the field."""
        try:
            return cls.model_validate(event)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            field = ".".join(map(str, first["loc"])) or "the input"
            raise ConfigError(
                f'execution input, {field}: {first["msg"]}; write {{"source": "shop"}}, optionally with '
                '"tables": ["public.orders"], "full_refresh": true, "from": "2026-01-01 00:00:00", "to": '
                '"2026-02-01 00:00:00", "replay": true and "may_vanish": "100%"'
            ) from None

    @property
    def request(self) -> RunRequest:
        """Return what is asked for."""
        return RunRequest(
            source=self.source,
            execution_arn=self.execution_arn,
            started_at=self.started_at,
            tables=self.tables,
            full_refresh=self.full_refresh,
            asked=self._asked,
            may_vanish=self.may_vanish,
        )

    @property
    def _asked(self) -> ReadRequest | None:
        bounds = [None if bound is None else str(bound) for bound in (self.since, self.before)]
        if self.replay:
            return ReadRequest(what="replay", since=bounds[0], before=bounds[1])
        if bounds == [None, None]:
            return None
        return ReadRequest(what="from" if bounds[1] is None else "window", since=bounds[0], before=bounds[1])


@guarded
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Return what the state machine needs of the plan: where it is and how many items it has."""
    asked = Event.parse(event)
    logger.append_keys(source=asked.source)
    around = PlanContext(
        sources=Path(os.environ.get("SOURCES_DIR") or "/opt"),
        bucket=environment.raw_bucket(),
        warehouse=environment.warehouse(),
        secrets=environment.client("secretsmanager"),
        is_running=_is_running,
    )
    outcome = plan_run(asked.request, around)
    if outcome.plan is None:
        logger.info("run skipped")
        return {"source": asked.source, "run_id": None, "status": "skipped"}
    return {
        "source": outcome.plan.source,
        "run_id": outcome.plan.run_id,
        "status": "replaying" if outcome.plan.replay else "planned",
        "items": outcome.plan.items,
        "max_concurrency": outcome.concurrency,
    }


def _is_running(execution_arn: str) -> bool:
    states = environment.client("stepfunctions")
    try:
        answer = states.describe_execution(executionArn=execution_arn)
    except states.exceptions.ExecutionDoesNotExist:  # its history is kept for 90 days
        return False
    return bool(answer["status"] == "RUNNING")
