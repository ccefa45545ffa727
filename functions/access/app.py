"""Access: gives analysts the access that the sources' files set, as an administrator of the warehouse.

Report alone calls it. A call can only change tables that the pipeline has loaded and owns.
"""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from tributary.environment.access import AccessEnvironment
from tributary.model.plan import AccessEvent
from tributary.observability import guarded, logger
from tributary.redshift import access

SPARE_MS = 60_000  # for the last table that is begun


@guarded
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Give each table the access that it lacks, and return what was done and what failed; repeatable."""
    call = AccessEvent.model_validate(event)
    environment = AccessEnvironment.read()
    result = access.apply(
        environment.warehouse,
        call.access,
        owner=environment.loader,
        in_time=lambda: context.get_remaining_time_in_millis() > SPARE_MS,
    )
    logger.info("access given", extra=result.model_dump(include={"tables", "changed", "left"}))
    return result.model_dump(mode="json")
