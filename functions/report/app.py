"""Report: publishes how the run ended, counts it, and releases the source's lease."""

from typing import Any

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.utilities.typing import LambdaContext

from tributary.environment.clients import client
from tributary.environment.report import ReportEnvironment
from tributary.observability import guarded, logger
from tributary.reporting import execution_end
from tributary.reporting.channels import ReportChannels, access_giver, pauser, publisher
from tributary.reporting.report import report_run

ACCESS_READ_TIMEOUT_S = 250  # longer than the function's own Timeout, which then answers for it

metrics = Metrics()


@metrics.log_metrics
@guarded
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Report the run and return its status: succeeded, failed or skipped."""
    end = execution_end.parse(event)
    logger.append_keys(source=end.source, run_id=end.run_id)
    environment = ReportEnvironment.read()
    channels = ReportChannels(
        publish=publisher(client("sns"), environment.topic_arn),
        pause_schedule=pauser(client("lambda"), environment.schedules_function),
        ops_center=client("ssm"),
        metrics=metrics,
        give_access=access_giver(client("lambda", ACCESS_READ_TIMEOUT_S), environment.access_function),
    )
    report = report_run(end, environment.bucket, channels, rpus=environment.warehouse_rpus)
    return {"source": report.source, "run_id": report.run_id, "status": report.status}
