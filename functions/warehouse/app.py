"""Warehouse: the stack's custom resources that make the control tables, and the limit of their warehouse.

It answers whatever happens, so all that could fail to be imported is imported later.
"""

from typing import Any

from tributary import custom_resource

PHYSICAL_ID = "tributary-warehouse"
LIMIT, LIMIT_ID = "Custom::UsageLimit", "tributary-usage-limit"


def handler(event: dict[str, Any], context: Any) -> None:
    """Bring the warehouse to what this version needs on Create and Update; leave it as it is on Delete.

    Its usage limit is another resource, which Delete takes away.
    """
    if event["ResourceType"] == LIMIT:
        custom_resource.conduct(event, context, LIMIT_ID, limit, unlimit)
    else:
        custom_resource.conduct(event, context, PHYSICAL_ID, prepare)


def prepare(properties: dict[str, Any]) -> None:
    """Create what is missing and grant it to the pipeline's database user; repeatable."""
    from tributary import settings
    from tributary.redshift.bootstrap import bootstrap, show_raw_layer

    warehouse = settings.warehouse(admin_secret=properties.get("AdminSecretArn") or None)
    bootstrap(warehouse, loader=properties["Loader"], database=properties["Database"])
    if schema := properties.get("RawSchema"):
        show_raw_layer(warehouse, schema=schema, role=properties["RawRole"], loader=properties["Loader"])


def limit(properties: dict[str, Any]) -> None:
    """Have the stack's own workgroup limited to so many RPU-hours a month; repeatable."""
    from tributary import settings, usage_limit

    usage_limit.keep(
        settings.client("redshift-serverless"),
        properties["WorkgroupArn"],
        amount=int(properties["Amount"]),
        action=properties["Action"],
    )


def unlimit(properties: dict[str, Any]) -> None:
    """Take the limit away, where it is still there."""
    from tributary import settings, usage_limit

    usage_limit.remove(settings.client("redshift-serverless"), properties["WorkgroupArn"])
