"""Warehouse: the stack's custom resource that makes the control tables and grants them.

Report also calls it, for tables whose file says who sees what of them. As the custom resource it answers
whatever happens, so all that could fail to be imported is imported later.
"""

from typing import Any

from tributary import custom_resource

PHYSICAL_ID = "tributary-warehouse"


def handler(event: dict[str, Any], context: Any) -> dict[str, Any] | None:
    """Bring the warehouse to what this version needs; leave it as it is on Delete. Or give access."""
    if "RequestType" in event:
        custom_resource.conduct(event, context, PHYSICAL_ID, prepare)
        return None
    return give_access(event, context)


def prepare(properties: dict[str, Any]) -> None:
    """Create what is missing and grant it to the pipeline's database user; repeatable."""
    from tributary import settings
    from tributary.redshift.bootstrap import bootstrap

    warehouse = settings.warehouse(admin_secret=properties.get("AdminSecretArn") or None)
    bootstrap(warehouse, loader=properties["Loader"], database=properties["Database"])


def give_access(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Give each table of the event its access, where it has another, and say how many had; repeatable."""
    from tributary import settings
    from tributary.documents import AccessEvent
    from tributary.observability import guarded, logger
    from tributary.redshift import access

    @guarded
    def act(event: dict[str, Any], context: Any) -> dict[str, Any]:
        asked = AccessEvent.model_validate(event)
        warehouse = settings.warehouse(admin_secret=settings.variable("ADMIN_SECRET"))
        changed = access.apply(warehouse, asked.access)
        logger.info("access given", extra={"tables": len(asked.access), "changed": changed})
        return {"tables": len(asked.access), "changed": changed}

    return act(event, context)
