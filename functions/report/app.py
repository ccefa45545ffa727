"""Report: tells how the run ended, counts it, and gives the source's lease back."""

from typing import Any

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.utilities.typing import LambdaContext

from tributary import settings
from tributary.documents import Document
from tributary.observability import guarded, logger
from tributary.report import Ended, Outlets, pauser, publisher, report_run

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
    asked = ReportEvent.model_validate(event)
    logger.append_keys(source=asked.source, run_id=asked.run_id)
    ended = Ended(
        source=asked.source,
        run_id=asked.run_id,
        execution_arn=asked.execution_arn,
        skipped=asked.status == "skipped",
        error=asked.error,
    )
    outlets = Outlets(
        publish=publisher(settings.client("sns"), settings.variable("TOPIC_ARN")),
        pause_schedule=pauser(settings.client("lambda"), settings.variable("SCHEDULES_FUNCTION")),
        ops_center=settings.client("ssm"),
        metrics=metrics,
    )
    report = report_run(ended, settings.raw_bucket(), outlets)
    return {"source": report.source, "run_id": report.run_id, "status": report.status}
