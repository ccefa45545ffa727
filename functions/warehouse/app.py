"""Warehouse: the stack's custom resources that prepare the warehouse and limit its use.

Who gets which rights is set by the function's environment; an event only says that it is time. CloudFormation
must get an answer even if a package cannot be imported, so only `custom_resource` is imported at the top.
"""

from typing import Any

from tributary.stack import custom_resource

PHYSICAL_ID = "tributary-warehouse"
LIMIT, LIMIT_ID = "Custom::UsageLimit", "tributary-usage-limit"


def handler(event: dict[str, Any], context: Any) -> None:
    """Answer CloudFormation for one of the two resources.

    Delete of the usage limit removes it; Delete of the warehouse's setup changes nothing.
    """
    if event["ResourceType"] == LIMIT:
        custom_resource.conduct(event, context, LIMIT_ID, limit, unlimit)
    else:
        custom_resource.conduct(event, context, PHYSICAL_ID, prepare)


def prepare(properties: dict[str, Any]) -> None:
    """Create what is missing and grant it to the pipeline's database user; repeatable."""
    from tributary.environment.warehouse import WarehouseEnvironment
    from tributary.redshift.bootstrap import (
        bootstrap,
        reserve_copy_role,
        reserve_public_schema,
        show_raw_layer,
    )

    environment = WarehouseEnvironment.read()
    warehouse, loader = environment.warehouse, environment.loader
    if environment.workgroup_arn:  # in a warehouse that others use too, they may need `public`
        reserve_public_schema(warehouse)
    bootstrap(
        warehouse,
        loader=loader,
        database=environment.warehouse_database,
        sources=environment.source_names,
    )
    if environment.workgroup_arn:  # in a warehouse that others use too, their COPYs would stop
        reserve_copy_role(warehouse, copy_role=environment.copy_role_arn, loader=loader)
    if environment.raw_schema:
        role = environment.copy_role_arn
        show_raw_layer(warehouse, schema=environment.raw_schema, role=role, loader=loader)


def limit(properties: dict[str, Any]) -> None:
    """Limit the RPU-hours that the stack's own workgroup may use in a month; repeatable."""
    from tributary.environment.clients import client
    from tributary.environment.warehouse import UsageLimitEnvironment
    from tributary.stack import usage_limit

    environment = UsageLimitEnvironment.read()
    usage_limit.keep(
        client("redshift-serverless"),
        environment.workgroup_arn,
        amount=environment.monthly_rpu_hours,
        action=environment.usage_limit_action,
    )


def unlimit(properties: dict[str, Any]) -> None:
    """Remove the limit if it exists."""
    from tributary.environment.clients import client
    from tributary.environment.warehouse import UsageLimitEnvironment
    from tributary.stack import usage_limit

    usage_limit.remove(client("redshift-serverless"), UsageLimitEnvironment.read().workgroup_arn)
