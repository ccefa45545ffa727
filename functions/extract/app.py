"""Extract: reads the tables of one item into chunks on S3, and returns whether it is done."""

import time
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from tributary import secret
from tributary.environment.clients import client
from tributary.environment.extract import ExtractEnvironment
from tributary.extraction.extract import begin, extract_item
from tributary.model.documents import RunEvent
from tributary.observability import guarded, logger
from tributary.storage.lease import held_plan


class ExtractEvent(RunEvent):
    """One item of a frozen run."""

    item: int


@guarded
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Extract until done, or until the function's time is nearly over."""
    call = ExtractEvent.model_validate(event)
    logger.append_keys(source=call.source, run_id=call.run_id)
    left_s = context.get_remaining_time_in_millis() / 1000
    environment = ExtractEnvironment.read()
    plan = held_plan(environment.bucket, call.source, call.run_id)
    extraction = begin(
        plan,
        environment.bucket,
        secret.fetch(client("secretsmanager"), plan.secret, plan.address),
        chunk_size_bytes=environment.chunk_size_bytes,
        codec=environment.chunk_codec,
        stop_at=time.monotonic() + left_s - min(60, left_s / 4),
    )
    return {"item": call.item, "done": extract_item(extraction, call.item)}
