"""Extract: reads the tables of one item into chunks on S3, and says whether it is done."""

import time
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from tributary import environment, secret
from tributary.extraction.extract import begin, extract_item
from tributary.model.documents import RunEvent
from tributary.observability import guarded, logger
from tributary.storage.lease import held_plan


class ExtractEvent(RunEvent):
    """One item of a frozen run."""

    item: int


@guarded
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Extract until done, or until the function's time is nearly up."""
    asked = ExtractEvent.model_validate(event)
    logger.append_keys(source=asked.source, run_id=asked.run_id)
    left_s = context.get_remaining_time_in_millis() / 1000
    bucket = environment.raw_bucket()
    plan = held_plan(bucket, asked.source, asked.run_id)
    extraction = begin(
        plan,
        bucket,
        secret.fetch(environment.client("secretsmanager"), plan.secret),
        chunk_size_bytes=int(environment.variable("CHUNK_SIZE_BYTES")),
        stop_at=time.monotonic() + left_s - min(60, left_s / 4),
    )
    return {"item": asked.item, "done": extract_item(extraction, asked.item)}
