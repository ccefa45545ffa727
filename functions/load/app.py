"""Load: submits each table's batches to the warehouse and says when to be called again."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from tributary import environment
from tributary.loading.load import Loading, load_run
from tributary.model.documents import Document, RunEvent
from tributary.observability import guarded, logger
from tributary.storage.lease import held_plan


class FailedItem(Document):
    """An item whose extraction gave up, by the error's name."""

    item: int
    error: str


class LoadEvent(RunEvent):
    """A run whose items have been extracted, or have failed."""

    failed_items: tuple[FailedItem, ...] = ()


@guarded
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Bring the run's tables as far as the warehouse lets them go by now."""
    asked = LoadEvent.model_validate(event)
    logger.append_keys(source=asked.source, run_id=asked.run_id)
    bucket = environment.raw_bucket()
    loading = Loading(
        plan=held_plan(bucket, asked.source, asked.run_id),
        bucket=bucket,
        warehouse=environment.warehouse(),
        copy_role=environment.variable("COPY_ROLE_ARN"),
        raw_tables=environment.raw_tables(),
    )
    progress = load_run(loading, {failed.item: failed.error for failed in asked.failed_items})
    return {"done": progress.done, "wait_s": progress.wait_s}
