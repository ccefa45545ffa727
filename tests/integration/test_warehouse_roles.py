"""The roles of a warehouse: names that no user has, also in a warehouse that has users and older roles."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, Literal

import pyarrow as pa
import pytest

from local.databases.postgres import Postgres
from tests.integration.redshift_warehouse import ROLE, Warehouse, serve
from tributary.errors import LoadFailed
from tributary.model.plan import Access, AccessResult, TableAccess
from tributary.redshift import access, control, roles, takeover
from tributary.redshift.bootstrap import bootstrap, reserve_copy_role
from tributary.redshift.control import ControlRow
from tributary.redshift.data_api import Warehouse as Pipeline

LOADER = "IAMR:Loader"
LOADED = ControlRow(
    source="shop",
    table="public.orders",
    run_id="20260101_000000",
    generation=1,
    mode="merge",
    target="shop.orders",
    cursor=None,
    watermark=None,
    rows=3,
    chunks=1,
    size_bytes=9,
)
LISTS = replace(LOADED, target="shop.lists")


@pytest.fixture
def server() -> Iterator[Postgres]:
    """Start a server of the test's own: roles and users belong to a whole server."""
    with Postgres.start() as server:
        yield server


@pytest.fixture
def warehouse(server: Postgres) -> Iterator[Warehouse]:
    with serve(server) as warehouse:
        yield warehouse


def prepare(warehouse: Warehouse) -> None:
    where = {"Database": warehouse.api.database, "WorkgroupName": "any"}
    bootstrap(Pipeline(warehouse.client(), where), loader=LOADER, database=warehouse.api.database)


def test_the_stacks_administrator_is_a_user_whose_name_no_role_has(server: Postgres) -> None:
    with serve(server, user_of_secret=lambda arn: "tributary_admin") as warehouse:
        where = {"Database": warehouse.api.database, "WorkgroupName": "any", "SecretArn": "arn:admin"}
        bootstrap(Pipeline(warehouse.client(), where), loader=LOADER, database=warehouse.api.database)
        assert warehouse.run("SELECT usesuper FROM pg_user WHERE usename = 'tributary_admin'") == [(True,)]
        assert "already exists" in warehouse.error("CREATE ROLE tributary_admin")


def test_roles_of_an_earlier_version_get_their_new_names_and_keep_their_members(warehouse: Warehouse) -> None:
    warehouse.run(
        "CREATE SCHEMA finance",
        "CREATE TABLE finance.salaries (amount INT)",
        *(f"CREATE ROLE {role}" for role in roles.FORMER),
        "GRANT USAGE ON SCHEMA finance TO ROLE tributary_admin",
        "GRANT SELECT ON finance.salaries TO ROLE tributary_admin",
    )
    warehouse.run("SELECT 1", role="Keeper")  # the database user of an IAM role exists after its first call
    warehouse.run('GRANT ROLE tributary_admin TO "IAMR:Keeper"')

    prepare(warehouse)

    assert warehouse.run("SELECT COUNT(*) FROM finance.salaries", role="Keeper") == [(0,)]
    existing = {role for (role,) in warehouse.run(roles.existing())}
    assert existing == set(roles.ROLES)


def test_a_user_with_the_name_of_a_role_is_named(warehouse: Warehouse) -> None:
    warehouse.run("CREATE USER tributary_analyst PASSWORD DISABLE")
    with pytest.raises(LoadFailed, match='role "tributary_analyst" in the warehouse, and a user has that'):
        prepare(warehouse)


def test_a_new_loader_owns_what_a_former_one_loaded_from_its_sources_and_no_other_table(
    warehouse: Warehouse,
) -> None:
    where = {"Database": warehouse.api.database, "WorkgroupName": "any"}
    admin, database = Pipeline(warehouse.client(), where), warehouse.api.database
    bootstrap(admin, loader="IAMR:Old", database=database)
    for source in ("shop", "crm"):
        row = replace(LOADED, source=source, target=f"{source}.orders")
        warehouse.run(f"CREATE SCHEMA {source}", role="Old")
        warehouse.run(f"CREATE TABLE {source}.orders (id INT)", control.commit([row]), role="Old")
    warehouse.run("CREATE TABLE shop.lists (id INT)", control.commit([LISTS]))  # a person's table

    bootstrap(admin, loader="IAMR:New", database=database, sources=["shop"])

    warehouse.run("CREATE TABLE shop.lines (id INT)", role="New")
    warehouse.run("ALTER TABLE shop.orders ADD COLUMN size INT", role="New")
    warehouse.run("ALTER TABLE crm.orders ADD COLUMN size INT", role="Old")
    assert "permission denied" in warehouse.error("DROP TABLE crm.orders", role="New")
    assert warehouse.run(takeover.owned_tables(["IAMR:New"])) == [("shop", "lines"), ("shop", "orders")]


def test_a_table_whose_access_fails_is_named_and_the_others_get_theirs(warehouse: Warehouse) -> None:
    where = {"Database": warehouse.api.database, "WorkgroupName": "any"}
    admin = Pipeline(warehouse.client(), where)
    bootstrap(admin, loader=LOADER, database=warehouse.api.database)
    warehouse.run(
        "CREATE SCHEMA shop",
        "CREATE TABLE shop.a (id INT)",
        "CREATE TABLE shop.b (id INT)",
        "CREATE TABLE shop.c (id INT)",
        control.commit([replace(LOADED, target=f"shop.{name}") for name in ("a", "b", "c")]),
        role="Loader",
    )
    wanted = [
        TableAccess(schema_name="shop", table_name=name, access=Access(rows=rows))
        for name, rows in (("a", None), ("b", ("gone", (1,))), ("c", None))
    ]

    result = access.apply(admin, wanted, owner=LOADER)

    assert (result.changed, result.failures) == (2, {"shop.b": "a column does not exist"})
    noted = warehouse.run("SELECT table_name FROM public.etl_access ORDER BY 1")
    assert noted == [("a",), ("c",)]


def test_access_that_broke_off_between_its_transactions_is_applied_by_the_next_call(
    server: Postgres, warehouse: Warehouse
) -> None:
    where = {"Database": warehouse.api.database, "WorkgroupName": "any"}
    admin = Pipeline(warehouse.client(), where)
    bootstrap(admin, loader=LOADER, database=warehouse.api.database)
    names = [f"c{number}" for number in range(60)]
    warehouse.run(
        "CREATE SCHEMA shop",
        f"CREATE TABLE shop.wide ({', '.join(f'{name} INT' for name in names)})",
        control.commit([replace(LOADED, target="shop.wide")]),
        role="Loader",
    )
    masks: dict[str, Literal["hash", "null"]] = dict.fromkeys(names, "null")

    def apply(given: Access | None, transactions: int) -> AccessResult:
        run, left = admin.run, iter(range(transactions + 1))  # and the queries before them

        def broken_off(*arguments: Any) -> Any:
            if next(left, None) is None:
                raise LoadFailed("broken off")
            return run(*arguments)

        table = TableAccess(schema_name="shop", table_name="wide", access=given)
        return access.apply(SimpleNamespace(run=broken_off), [table], owner=LOADER)  # type: ignore[arg-type]

    masked = Access(mask=masks, rows=("c0", (1,)))
    for given, count in ((masked, 61), (Access(mask=masks), 60), (masked, 61), (None, 0)):
        assert apply(given, 1).failures
        assert apply(given, 9).failures == {}
        assert apply(given, 0).changed == 0
        with closing(server.connect(warehouse.api.database)) as catalog:
            assert catalog.run("SELECT COUNT(*) FROM stand_in.attached_policy") == [[count]]


def test_in_its_own_warehouse_only_the_loader_may_copy_by_the_stacks_role(warehouse: Warehouse) -> None:
    where = {"Database": warehouse.api.database, "WorkgroupName": "any"}
    admin = Pipeline(warehouse.client(), where)
    bootstrap(admin, loader=LOADER, database=warehouse.api.database)
    warehouse.run(
        "CREATE SCHEMA shop",
        "CREATE TABLE shop.orders (id BIGINT)",
        "GRANT USAGE ON SCHEMA shop TO PUBLIC",
        "GRANT ALL ON shop.orders TO PUBLIC",
    )
    copy = warehouse.copy("shop.orders", pa.table({"id": pa.array([1], pa.int64())}))
    warehouse.run(copy, role="Analyst")

    reserve_copy_role(admin, copy_role=ROLE, loader=LOADER)

    assert "no ASSUMEROLE permission" in warehouse.error(copy, role="Analyst")
    warehouse.run(copy, role="Loader")
    assert "permission denied" in warehouse.error("GRANT ASSUMEROLE ON ALL TO PUBLIC FOR ALL", role="Analyst")
