"""Bootstrap: create what the warehouse must have before the first run; every statement is repeatable."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence

from tributary.errors import LoadFailed
from tributary.redshift import access, control, external_tables, roles
from tributary.redshift.data_api import Row, Warehouse
from tributary.redshift.takeover import take_over

REVOKE_PUBLIC = "REVOKE CREATE ON SCHEMA public FROM PUBLIC"


def bootstrap(warehouse: Warehouse, *, loader: str, database: str, sources: Sequence[str] = ()) -> None:
    """Create the pipeline's database user, the control tables, the roles and the grants if missing.

    Upgrades an older version's tables and keeps their rows. Tables that a deleted stack has loaded from
    the sources (by name) become this stack's. Raises LoadFailed if the caller is not an
    administrator of the warehouse, a user has the name of one of our roles, or a table of our name belongs
    to a user who is no administrator: `CREATE TABLE IF NOT EXISTS` would take it for ours.
    """
    name = "tributary/bootstrap"
    user_rows, columns, role_rows, foreign = warehouse.run(
        [
            control.find_users([loader, *roles.ROLES]),
            control.columns(["public"]),
            roles.existing(),
            control.tables_of_users(),
        ],
        name,
    )
    _refuse_tables_of_users(foreign)
    users = {str(user) for (user,) in user_rows}
    existing_roles = {str(role) for (role,) in role_rows}
    _refuse_user_of_a_roles_name(users | {loader})
    existing: defaultdict[str, list[str]] = defaultdict(list)
    for schema, table, column, *_ in columns:
        existing[f"{schema}.{table}"].append(str(column))
    renamed = roles.rename(existing_roles)  # first: an old role may have the name of the user to create
    user = [] if loader in users else [control.create_user(loader)]
    tables = [*control.upgrade(existing), *control.create()]
    warehouse.run([*renamed, *user, *tables, *control.grant(loader, database)], name)
    warehouse.run(
        [*roles.create(existing_roles), *roles.grant(loader), *access.upgrade(existing), access.create()],
        name,
    )
    take_over(warehouse, loader=loader, sources=sources)


def reserve_copy_role(warehouse: Warehouse, *, copy_role: str, loader: str) -> None:
    """Let no database user but the loader COPY by the stack's IAM role; for a warehouse of the stack's own.

    In a warehouse that others use too, this would stop their COPYs. Repeatable.
    """
    for statement in roles.reserve_copy_role(copy_role, loader):
        warehouse.run_alone(statement, "tributary/copy-role", wait_s=120)


def reserve_public_schema(warehouse: Warehouse) -> None:
    """Let only administrators create tables in `public`; for a warehouse of the stack's own. Repeatable.

    By default every user may (r_Schemas_and_tables), and so take the name of a control table to come.
    """
    warehouse.run([REVOKE_PUBLIC], "tributary/public")


def _refuse_tables_of_users(rows: Sequence[Row]) -> None:
    for schema, table, owner in rows:
        kind, name = ("table", f"{schema}.{table}") if table else ("schema", str(schema))
        raise LoadFailed(
            f'{kind} {name} belongs to user "{owner}", who is no administrator, and Tributary needs that '
            "name for its own; rename or drop it, or make an administrator its owner "
            f"(ALTER {kind.upper()} ... OWNER TO ...), and deploy again"
        )


def _refuse_user_of_a_roles_name(users: Collection[str]) -> None:
    for role in roles.ROLES:
        if role in users:
            raise LoadFailed(
                f'Tributary needs a role "{role}" in the warehouse, and a user has that name, which Redshift '
                "does not allow; rename the user (ALTER USER ... RENAME TO ...) and deploy again"
            )


def show_raw_layer(warehouse: Warehouse, *, schema: str, role: str, loader: str) -> None:
    """Create the schema of the raw layer's external tables if missing, and make the pipeline its owner.

    `schema` is also the Glue database's name. Repeatable. Raises LoadFailed as `bootstrap` does.
    """
    name = "tributary/raw-layer"
    warehouse.run_alone(external_tables.create_schema(schema, schema, role), name, wait_s=120)
    warehouse.run([external_tables.own_schema(schema, loader)], name)
