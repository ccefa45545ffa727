"""Report: tells how the run ended, counts it, and gives the source's lease back."""

import os
from typing import Any

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.utilities.typing import LambdaContext

from tributary import environment
from tributary.model.documents import Document
from tributary.observability import guarded, logger
from tributary.reporting import execution_event
from tributary.reporting.report import (
    ExecutionEnd,
    ReportChannels,
    access_giver,
    pauser,
    publisher,
    report_run,
)

metrics = Metrics()


class ReportEvent(Document):
    """How the execution came here; `error` is what Step Functions caught."""

    source: str | None
    run_id: str | None
    status: str
    execution_arn: str
    error: dict[str, str] | None


@metrics.log_metrics
@guarded
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Report the run and return its status: succeeded, failed or skipped."""
    ended = broken_off(event) if "detail" in event else arrived(event)
    logger.append_keys(source=ended.source, run_id=ended.run_id)
    outlets = ReportChannels(
        publish=publisher(environment.client("sns"), environment.variable("TOPIC_ARN")),
        pause_schedule=pauser(environment.client("lambda"), environment.variable("SCHEDULES_FUNCTION")),
        ops_center=environment.client("ssm"),
        metrics=metrics,
        give_access=access_giver(environment.client("lambda"), os.environ.get("ACCESS_FUNCTION", "")),
    )
    rpus = int(environment.variable("WAREHOUSE_RPUS"))
    report = report_run(ended, environment.raw_bucket(), outlets, rpus=rpus)
    return {"source": report.source, "run_id": report.run_id, "status": report.status}


def arrived(event: dict[str, Any]) -> ExecutionEnd:
    """Return how an execution ended that came to Report by itself."""
    asked = ReportEvent.model_validate(event)
    return ExecutionEnd(
        source=asked.source,
        run_id=asked.run_id,
        execution_arn=asked.execution_arn,
        skipped=asked.status == "skipped",
        error=asked.error,
    )


def broken_off(event: dict[str, Any]) -> ExecutionEnd:
    """Return how an execution ended of which EventBridge tells."""
    told = execution_event.parse(event)
    return ExecutionEnd(
        source=told.source,
        run_id=None,
        execution_arn=told.execution_arn,
        skipped=False,
        error=told.failure,
        broken_off=True,
    )
