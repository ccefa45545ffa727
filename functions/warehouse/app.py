"""Warehouse: the stack's custom resources that make the control tables, and the limit of their warehouse.

Report also calls it, for tables whose file says who sees what of them. As the custom resource it answers
whatever happens, so all that could fail to be imported is imported later.
"""

from typing import Any

from tributary.stack import custom_resource

PHYSICAL_ID = "tributary-warehouse"
LIMIT, LIMIT_ID = "Custom::UsageLimit", "tributary-usage-limit"


def handler(event: dict[str, Any], context: Any) -> dict[str, Any] | None:
    """Bring the warehouse to what this version needs; leave it as it is on Delete. Or give access.

    Its usage limit is another resource, which Delete takes away.
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
    from tributary import environment
    from tributary.redshift.bootstrap import bootstrap, show_raw_layer

    warehouse = environment.warehouse(admin_secret=properties.get("AdminSecretArn") or None)
    bootstrap(warehouse, loader=properties["Loader"], database=properties["Database"])
    if schema := properties.get("RawSchema"):
        show_raw_layer(warehouse, schema=schema, role=properties["RawRole"], loader=properties["Loader"])


def limit(properties: dict[str, Any]) -> None:
    """Have the stack's own workgroup limited to so many RPU-hours a month; repeatable."""
    from tributary import environment
    from tributary.stack import usage_limit

    usage_limit.keep(
        environment.client("redshift-serverless"),
        properties["WorkgroupArn"],
        amount=int(properties["Amount"]),
        action=properties["Action"],
    )


def unlimit(properties: dict[str, Any]) -> None:
    """Take the limit away, where it is still there."""
    from tributary import environment
    from tributary.stack import usage_limit

    usage_limit.remove(environment.client("redshift-serverless"), properties["WorkgroupArn"])


def give_access(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Give each table of the event its access, where it has another, and say how many had; repeatable."""
    from tributary import environment
    from tributary.model.plan import AccessEvent
    from tributary.observability import guarded, logger
    from tributary.redshift import access

    @guarded
    def act(event: dict[str, Any], context: Any) -> dict[str, Any]:
        asked = AccessEvent.model_validate(event)
        warehouse = environment.warehouse(admin_secret=environment.variable("ADMIN_SECRET"))
        changed = access.apply(warehouse, asked.access)
        logger.info("access given", extra={"tables": len(asked.access), "changed": changed})
        return {"tables": len(asked.access), "changed": changed}

    return act(event, context)
