"""Warehouse: the stack's custom resources that prepare the warehouse and limit its use; calls give access.

CloudFormation must get an answer even if a package cannot be imported, so only `custom_resource` is
imported at the top.
"""

from typing import Any

from tributary.stack import custom_resource

PHYSICAL_ID = "tributary-warehouse"
LIMIT, LIMIT_ID = "Custom::UsageLimit", "tributary-usage-limit"


def handler(event: dict[str, Any], context: Any) -> dict[str, Any] | None:
    """Answer CloudFormation for one of the two resources; or give access, which Report calls for.

    Delete of the usage limit removes it; Delete of the warehouse's setup changes nothing.
    """
    if "RequestType" not in event:
        return give_access(event, context)
    if event["ResourceType"] == LIMIT:
        custom_resource.conduct(event, context, LIMIT_ID, limit, unlimit)
    else:
        custom_resource.conduct(event, context, PHYSICAL_ID, prepare)
    return None


def prepare(properties: dict[str, Any]) -> None:
    """Create what is missing and grant it to the pipeline's database user; repeatable."""
    from tributary.environment import WarehouseEnvironment
    from tributary.redshift.bootstrap import bootstrap, show_raw_layer

    warehouse = WarehouseEnvironment.read().warehouse
    bootstrap(warehouse, loader=properties["Loader"], database=properties["Database"])
    if schema := properties.get("RawSchema"):
        show_raw_layer(warehouse, schema=schema, role=properties["RawRole"], loader=properties["Loader"])


def limit(properties: dict[str, Any]) -> None:
    """Limit the RPU-hours that the stack's own workgroup may use in a month; repeatable."""
    from tributary.environment import client
    from tributary.stack import usage_limit

    usage_limit.keep(
        client("redshift-serverless"),
        properties["WorkgroupArn"],
        amount=int(properties["Amount"]),
        action=properties["Action"],
    )


def unlimit(properties: dict[str, Any]) -> None:
    """Remove the limit if it exists."""
    from tributary.environment import client
    from tributary.stack import usage_limit

    usage_limit.remove(client("redshift-serverless"), properties["WorkgroupArn"])


def give_access(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Give each table of the event the access that it lacks; return how many tables changed; repeatable."""
    from tributary.environment import WarehouseEnvironment
    from tributary.model.plan import AccessEvent
    from tributary.observability import guarded, logger
    from tributary.redshift import access

    @guarded
    def act(event: dict[str, Any], context: Any) -> dict[str, Any]:
        call = AccessEvent.model_validate(event)
        changed = access.apply(WarehouseEnvironment.read().warehouse, call.access)
        logger.info("access given", extra={"tables": len(call.access), "changed": changed})
        return {"tables": len(call.access), "changed": changed}

    return act(event, context)
