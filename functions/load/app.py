"""Load: submits each table's batches to the warehouse, and returns when to be called again."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from tributary.environment.load import LoadEnvironment
from tributary.loading.load import load_run
from tributary.loading.run_load import RunLoad
from tributary.model.documents import Document, RunEvent
from tributary.observability import guarded, logger
from tributary.storage.lease import held_plan


class FailedItem(Document):
    """An item whose extraction failed, with the error's name."""

    item: int
    error: str


class LoadEvent(RunEvent):
    """A run whose items have all ended."""

    failed_items: tuple[FailedItem, ...] = ()


@guarded
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Advance the run's tables as far as the warehouse allows by now."""
    call = LoadEvent.model_validate(event)
    logger.append_keys(source=call.source, run_id=call.run_id)
    environment = LoadEnvironment.read()
    run = RunLoad(
        plan=held_plan(environment.bucket, call.source, call.run_id),
        bucket=environment.bucket,
        warehouse=environment.warehouse,
        copy_role=environment.copy_role_arn,
        external_schema=environment.external_schema,
    )
    progress = load_run(run, {failed.item: failed.error for failed in call.failed_items})
    return {"done": progress.done, "wait_s": progress.wait_s}
