"""Access: gives analysts the access that the sources' files set, as an administrator of the warehouse.

Report alone calls it. A call can only change tables that the pipeline has loaded and owns.
"""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from tributary.environment.access import AccessEnvironment
from tributary.model.plan import AccessEvent
from tributary.observability import guarded, logger
from tributary.redshift import access


@guarded
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Give each table the access that it lacks, and return how many tables changed; repeatable."""
    call = AccessEvent.model_validate(event)
    environment = AccessEnvironment.read()
    changed = access.apply(environment.warehouse, call.access, owner=environment.loader)
    logger.info("access given", extra={"tables": len(call.access), "changed": changed})
    return {"tables": len(call.access), "changed": changed}
