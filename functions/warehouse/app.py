"""Warehouse: the stack's custom resource that makes the control tables and grants them.

It answers whatever happens, so all that could fail to be imported is imported later.
"""

from typing import Any

from tributary import custom_resource

PHYSICAL_ID = "tributary-warehouse"


def handler(event: dict[str, Any], context: Any) -> None:
    """Bring the warehouse to what this version needs on Create and Update; leave it as it is on Delete."""
    custom_resource.conduct(event, context, PHYSICAL_ID, prepare)


def prepare(properties: dict[str, Any]) -> None:
    """Create what is missing and grant it to the pipeline's database user; repeatable."""
    from tributary import settings
    from tributary.redshift.bootstrap import bootstrap, show_raw_layer

    warehouse = settings.warehouse(admin_secret=properties.get("AdminSecretArn") or None)
    bootstrap(warehouse, loader=properties["Loader"], database=properties["Database"])
    if schema := properties.get("RawSchema"):
        show_raw_layer(warehouse, schema=schema, role=properties["RawRole"], loader=properties["Loader"])
