"""Bootstrap: what the warehouse must have before the first run, made again and again without harm."""

from __future__ import annotations

from collections import defaultdict

from tributary.redshift import access, control, external_tables, roles
from tributary.redshift.data_api import Warehouse


def bootstrap(warehouse: Warehouse, *, loader: str, database: str) -> None:
    """Create the pipeline's database user, the control tables, the roles and the grants, where missing.

    An older version's tables are brought to this one's, their rows kept. Raises LoadFailed where the
    caller is no administrator of the warehouse.
    """
    name = "tributary/bootstrap"
    users, columns, there = warehouse.run(
        [control.find_user(loader), control.columns(["public"]), roles.ask()], name
    )
    found: defaultdict[str, list[str]] = defaultdict(list)
    for schema, table, column, *_ in columns:
        found[f"{schema}.{table}"].append(str(column))
    user = [] if users else [control.create_user(loader)]
    tables = [*control.upgrade(found), *control.create()]
    warehouse.run([*user, *tables, *control.grant(loader, database)], name)
    made = roles.create(str(role[0]) for role in there)
    warehouse.run([*made, *roles.grant(loader), access.create()], name)


def show_raw_layer(warehouse: Warehouse, *, schema: str, role: str, loader: str) -> None:
    """Create the schema of the raw layer's external tables, where missing, and give it to the pipeline.

    `schema` is the Glue database's name too. Repeatable. Raises LoadFailed as `bootstrap` does.
    """
    name = "tributary/raw-layer"
    warehouse.run_alone(external_tables.create_schema(schema, schema, role), name, wait_s=120)
    warehouse.run([external_tables.own_schema(schema, loader)], name)
