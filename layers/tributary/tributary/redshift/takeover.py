"""Hand over tables to the pipeline's user: a stack that is deployed again has another database user.

Only an owner may alter or drop a table. The user of the deleted stack still owns the tables, so the
administrator makes the new user their owner. It takes over what `etl_control` records for the stack's
own sources, and only from users that have the loader's role: tables of another stack that loads into
the same warehouse, and tables of people, keep their owners.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

from tributary.model.warehouse_names import STAGING_SCHEMA
from tributary.redshift.data_api import Row, Warehouse
from tributary.redshift.roles import LOADER
from tributary.redshift.sql import CONTROL, comma, literal, quote

STATEMENTS_AT_MOST = 40  # in a batch
SOURCES_AT_ONCE = 500  # in one query
STAGING_TABLE = re.compile(r"(.{1,127})__\d{8}_\d{6}_\d{1,9}(?:_\d{1,9})?")  # source__run_number


def take_over(warehouse: Warehouse, *, loader: str, sources: Sequence[str]) -> int:
    """Make the loader the owner of the sources' tables and schemas; return how many changed; repeatable."""
    name = "tributary/take-over"
    [members] = warehouse.run([loaders()], name)
    former = sorted({str(user) for (user,) in members} - {loader})
    if not former or not sources:
        return 0
    some = [sources[at : at + SOURCES_AT_ONCE] for at in range(0, len(sources), SOURCES_AT_ONCE)]
    tables, schemas, *targets = warehouse.run(
        [owned_tables(former), owned_schemas(former), *map(loaded_tables, some)], name
    )
    known = {str(target) for rows in targets for (target,) in rows}
    statements = change_owner(tables, schemas, known=known, sources=sources, loader=loader)
    for at in range(0, len(statements), STATEMENTS_AT_MOST):
        warehouse.run(statements[at : at + STATEMENTS_AT_MOST], name)
    return len(statements)


def loaders() -> str:
    """Return the query for the users that have the loader's role (SVV_USER_GRANTS)."""
    return f"SELECT user_name FROM svv_user_grants WHERE role_name = {literal(LOADER)}"


def owned_tables(users: Iterable[str]) -> str:
    """Return the query for the tables of these owners.

    Without etl_control: a query of catalog tables runs on the leader node, which has no other tables.
    """
    return (
        "SELECT n.nspname, c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
        "JOIN pg_user AS u ON u.usesysid = c.relowner "
        f"WHERE c.relkind = 'r' AND u.usename IN ({comma(map(literal, users))}) ORDER BY 1, 2"
    )


def owned_schemas(users: Iterable[str]) -> str:
    """Return the query for the schemas of these owners."""
    return (
        "SELECT n.nspname FROM pg_namespace AS n JOIN pg_user AS u ON u.usesysid = n.nspowner "
        f"WHERE u.usename IN ({comma(map(literal, users))}) ORDER BY 1"
    )


def loaded_tables(sources: Iterable[str]) -> str:
    """Return the query for the tables that the sources have loaded."""
    return (
        f"SELECT DISTINCT target_table FROM {CONTROL} WHERE source_name IN ({comma(map(literal, sources))})"
    )


def change_owner(
    tables: Iterable[Row],
    schemas: Iterable[Row],
    *,
    known: Collection[str],
    sources: Iterable[str],
    loader: str,
) -> list[str]:
    """Return the statements for the known tables, the sources' staging tables, and their schemas."""
    own = {source.lower() for source in sources}
    handed = [
        (str(schema), str(table))
        for schema, table in tables
        if f"{schema}.{table}" in known or (schema == STAGING_SCHEMA and _source_of(str(table)) in own)
    ]
    used = {schema for schema, _ in handed} - {STAGING_SCHEMA}
    user = quote(loader)
    return [
        *(f"ALTER SCHEMA {quote(str(schema))} OWNER TO {user}" for (schema,) in schemas if schema in used),
        *(f"ALTER TABLE {quote(*table)} OWNER TO {user}" for table in handed),
    ]


def _source_of(staging_table: str) -> str | None:
    match = STAGING_TABLE.fullmatch(staging_table)
    return match[1] if match else None
