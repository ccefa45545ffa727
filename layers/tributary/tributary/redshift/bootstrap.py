"""Bootstrap: create what the warehouse must have before the first run; every statement is repeatable."""

from __future__ import annotations

from collections import defaultdict

from tributary.redshift import access, control, external_tables, roles
from tributary.redshift.data_api import Warehouse


def bootstrap(warehouse: Warehouse, *, loader: str, database: str) -> None:
    """Create the pipeline's database user, the control tables, the roles and the grants if missing.

    Upgrades an older version's tables and keeps their rows. Raises LoadFailed if the caller is not an
    administrator of the warehouse.
    """
    name = "tributary/bootstrap"
    users, columns, existing_roles = warehouse.run(
        [control.find_user(loader), control.columns(["public"]), roles.existing()], name
    )
    existing: defaultdict[str, list[str]] = defaultdict(list)
    for schema, table, column, *_ in columns:
        existing[f"{schema}.{table}"].append(str(column))
    user = [] if users else [control.create_user(loader)]
    tables = [*control.upgrade(existing), *control.create()]
    warehouse.run([*user, *tables, *control.grant(loader, database)], name)
    missing_roles = roles.create(str(role[0]) for role in existing_roles)
    warehouse.run([*missing_roles, *roles.grant(loader), access.create()], name)


def show_raw_layer(warehouse: Warehouse, *, schema: str, role: str, loader: str) -> None:
    """Create the schema of the raw layer's external tables if missing, and make the pipeline its owner.

    `schema` is also the Glue database's name. Repeatable. Raises LoadFailed as `bootstrap` does.
    """
    name = "tributary/raw-layer"
    warehouse.run_alone(external_tables.create_schema(schema, schema, role), name, wait_s=120)
    warehouse.run([external_tables.own_schema(schema, loader)], name)
