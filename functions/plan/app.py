"""Plan: takes the source's lease, and freezes what this run reads and loads."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from tributary.environment.clients import client
from tributary.environment.plan import PlanEnvironment
from tributary.observability import guarded, logger
from tributary.planning.execution_input import ExecutionInput
from tributary.planning.executions import is_running
from tributary.planning.plan import PlanContext, plan_run


@guarded
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Return what the state machine needs of the plan: its run and the number of its items."""
    call = ExecutionInput.parse(event)
    logger.append_keys(source=call.source)
    environment = PlanEnvironment.read()
    outcome = plan_run(
        call.request,
        PlanContext(
            sources=environment.sources_dir,
            bucket=environment.bucket,
            warehouse=environment.warehouse,
            secrets=client("secretsmanager"),
            secret_prefix=environment.secret_prefix,
            is_running=lambda execution_arn: is_running(client("stepfunctions"), execution_arn),
        ),
    )
    if outcome.plan is None:
        logger.info("run skipped")
        return {"source": call.source, "run_id": None, "status": "skipped"}
    return {
        "source": outcome.plan.source,
        "run_id": outcome.plan.run_id,
        "status": "replaying" if outcome.plan.replay else "planned",
        "items": outcome.plan.items,
        "max_concurrency": min(outcome.concurrency, environment.max_extractions),
    }
