"""What a bootstrap leaves: the control tables of this version, and a loader with few rights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from local.databases.postgres import Postgres
from tributary.errors import LoadFailed
from tributary.redshift import control
from tributary.redshift.bootstrap import bootstrap, reserve_public_schema
from tributary.redshift.control import ControlRow
from tributary.redshift.data_api import Warehouse as Pipeline
from tributary.redshift.sql import CONTROL, FRESHNESS, STATUS, WATERMARKS

from .redshift_warehouse import Warehouse, serve

LOADER = "IAMR:Loader"  # a caller of the role Loader
COMMITTED = ControlRow(
    source="shop",
    table="public.orders",
    run_id="20260101_000000",
    generation=1,
    mode="merge",
    target="shop.orders",
    cursor="id",
    watermark="7",
    rows=3,
    chunks=1,
    size_bytes=9,
)
NEWEST = ("public.orders", "20260101_000000", "merge", "shop.orders", "id", "7", None, None, None)


@pytest.fixture
def warehouse(postgres: Postgres) -> Iterator[Warehouse]:
    with serve(postgres) as warehouse:
        yield warehouse


def caller(warehouse: Warehouse, role: str = "admin") -> Pipeline:
    return Pipeline(warehouse.client(role), {"Database": warehouse.api.database, "WorkgroupName": "any"})


def prepare(warehouse: Warehouse, role: str = "admin") -> None:
    bootstrap(caller(warehouse, role), loader=LOADER, database=warehouse.api.database)


def test_the_loader_may_do_its_work_and_nothing_else(warehouse: Warehouse) -> None:
    prepare(warehouse)
    warehouse.run("CREATE SCHEMA finance", "CREATE TABLE finance.salaries (amount INT)")

    warehouse.run(
        "CREATE SCHEMA shop",
        "CREATE TABLE shop.orders (id INT)",
        "CREATE TABLE etl_staging.orders (id INT)",
        "INSERT INTO shop.orders VALUES (1)",
        control.commit([COMMITTED]),
        control.raise_fence("shop", 2, "20260101_000001"),
        role="Loader",
    )
    assert warehouse.run(control.watermarks("shop"), role="Loader") == [NEWEST]

    refused = [
        "SELECT * FROM finance.salaries",
        "CREATE TABLE finance.mine (id INT)",
        "DELETE FROM public.etl_control",
        "UPDATE public.etl_control SET watermark = NULL",
        "DELETE FROM public.etl_fence",
        "DROP TABLE public.etl_control",
        f"DROP VIEW {WATERMARKS}",
        "CREATE USER another PASSWORD DISABLE",
    ]
    allowed = [sql for sql in refused if warehouse.submit(sql, role="Loader")["Status"] != "FAILED"]
    assert allowed == []


@pytest.mark.parametrize(
    ("taken", "named"),
    [
        ("CREATE TABLE public.etl_control (id INT)", "table public.etl_control belongs to user"),
        ("CREATE TABLE public.etl_access (id INT)", "table public.etl_access belongs to user"),
        ("CREATE VIEW public.etl_status AS SELECT 1 AS one", "table public.etl_status belongs to user"),
        ("CREATE SCHEMA etl_staging", "schema etl_staging belongs to user"),
    ],
)
def test_a_name_of_ours_that_a_user_has_taken_is_refused(
    warehouse: Warehouse, taken: str, named: str
) -> None:
    warehouse.run("SELECT 1", role="Mallory")
    warehouse.run(
        'GRANT CREATE, USAGE ON SCHEMA public TO "IAMR:Mallory"',
        f'GRANT CREATE ON DATABASE "{warehouse.api.database}" TO "IAMR:Mallory"',
    )
    warehouse.run(taken, role="Mallory")
    with pytest.raises(LoadFailed, match=f'{named} "IAMR:Mallory", who is no administrator'):
        prepare(warehouse)


def test_in_its_own_warehouse_no_user_may_create_tables_in_public(warehouse: Warehouse) -> None:
    warehouse.run("GRANT CREATE ON SCHEMA public TO PUBLIC")
    warehouse.run("CREATE TABLE public.mine (id INT)", role="Mallory")
    reserve_public_schema(caller(warehouse))
    reserve_public_schema(caller(warehouse))
    assert "permission denied" in warehouse.error("CREATE TABLE public.etl_control (id INT)", role="Mallory")


def test_a_second_bootstrap_changes_nothing(warehouse: Warehouse) -> None:
    prepare(warehouse)
    warehouse.run(control.commit([COMMITTED]), role="Loader")
    before = warehouse.run("SELECT * FROM public.etl_control")

    prepare(warehouse)

    assert warehouse.run("SELECT * FROM public.etl_control") == before


def test_an_older_versions_tables_become_this_ones_with_their_rows_and_grants(warehouse: Warehouse) -> None:
    prepare(warehouse)
    warehouse.run(control.commit([COMMITTED]), role="Loader")
    warehouse.run(  # as a version without this column had them
        *(f"DROP VIEW {view}" for view in (WATERMARKS, STATUS, FRESHNESS)),
        f"ALTER TABLE {CONTROL} DROP COLUMN unread_columns",
        f"CREATE VIEW {WATERMARKS} AS SELECT source_name, watermark FROM {CONTROL}",
        f"CREATE VIEW {STATUS} AS SELECT source_name FROM {CONTROL}",
    )

    prepare(warehouse)

    assert warehouse.run(control.watermarks("shop"), role="Loader") == [NEWEST]
    warehouse.run(control.commit([COMMITTED]), role="Loader")
    assert warehouse.run(f"SELECT runs FROM {STATUS}") == [(2,)]
    assert warehouse.run(f"SELECT verdict FROM {FRESHNESS}") == [("fresh",)]


def test_the_views_say_where_each_table_stands_and_which_is_late(warehouse: Warehouse) -> None:
    prepare(warehouse)
    hours = {"hourly": (32, 31, 30), "daily": (72, 48, 30), "once": (80,), "new": (1,)}
    for table, ages in hours.items():
        for number, age in enumerate(ages):
            row = replace(
                COMMITTED, table=table, target=f"shop.{table}", run_id=f"2026010{number}_000000", rows=age
            )
            warehouse.run(
                control.commit([row]).replace("GETDATE()", f"DATEADD(hour, -{age}, GETDATE())"), role="Loader"
            )

    hours_of = "lag_seconds / 3600, usual_gap_seconds / 3600"
    assert warehouse.run(f"SELECT table_name, {hours_of}, verdict FROM {FRESHNESS} ORDER BY 1") == [
        ("daily", 30, 21, "fresh"),
        ("hourly", 30, 1, "late"),
        ("new", 1, None, "fresh"),
        ("once", 80, None, "late"),
    ]
    counts = "records_processed, runs, records_in_all"
    assert warehouse.run(f"SELECT table_name, target_table, run_id, {counts} FROM {STATUS} ORDER BY 1") == [
        ("daily", "shop.daily", "20260102_000000", 30, 3, "150"),
        ("hourly", "shop.hourly", "20260102_000000", 30, 3, "93"),
        ("new", "shop.new", "20260100_000000", 1, 1, "1"),
        ("once", "shop.once", "20260100_000000", 80, 1, "80"),
    ]


def test_who_is_no_administrator_bootstraps_nothing(warehouse: Warehouse) -> None:
    with pytest.raises(LoadFailed):
        prepare(warehouse, role="Stranger")

    assert warehouse.run("SELECT table_name FROM svv_tables WHERE table_schema = 'public'") == []


def test_columns_that_a_later_version_adds_may_be_null() -> None:
    for table, columns in control.TABLES.items():
        required = {table: [name for name, type in columns.items() if type.endswith("NOT NULL")]}
        assert not any("NOT NULL" in sql for sql in control.upgrade(required)), table
