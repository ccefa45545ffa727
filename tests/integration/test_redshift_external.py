"""External tables of the warehouse stand-in: read by a manifest, each as Redshift Spectrum documents it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from local.databases.postgres import Postgres

from .redshift_warehouse import ROLE, Warehouse, serve

SCHEMA = f"CREATE EXTERNAL SCHEMA IF NOT EXISTS lake FROM DATA CATALOG DATABASE 'lake' IAM_ROLE '{ROLE}'"
TABLE = (
    "CREATE EXTERNAL TABLE lake.orders (id BIGINT, note VARCHAR(65535), at TIMESTAMP, later INTEGER) "
    "PARTITIONED BY (run_id VARCHAR(15), kind VARCHAR(16)) STORED AS PARQUET LOCATION 's3://raw/orders/'"
)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ROWS = pa.table(
    {
        "at": pa.array([NOON, None], pa.timestamp("us", tz="UTC")),
        "note": ["ä", ""],
        "unknown": pa.array([b"1", b"2"]),
        "id": [1, 2],
    }
)
READ = "SELECT id, note, at, later, run_id, kind FROM lake.orders ORDER BY run_id, id"


@pytest.fixture(scope="module")
def warehouse(postgres: Postgres) -> Iterator[Warehouse]:
    with serve(postgres) as warehouse:
        warehouse.run(SCHEMA)
        warehouse.run(SCHEMA)
        warehouse.run("SELECT 1", role="Loader")  # its first call makes the user
        warehouse.run('ALTER SCHEMA lake OWNER TO "IAMR:Loader"')
        yield warehouse


def manifest(warehouse: Warehouse, rows: pa.Table, key: str) -> str:
    return warehouse.manifest((key, warehouse.put(key, rows)))


def added(url: str, run: str, words: str = "ADD IF NOT EXISTS") -> str:
    return f"ALTER TABLE lake.orders {words} PARTITION (run_id = '{run}', kind = 'changes') LOCATION '{url}'"


def test_a_partition_shows_the_rows_of_its_manifest_by_the_names_of_columns(warehouse: Warehouse) -> None:
    url = manifest(warehouse, ROWS, "external/1.parquet")
    warehouse.run(TABLE, role="Loader")
    assert warehouse.run(READ, role="Loader") == []

    for _ in range(2):  # the second time it is there
        warehouse.run(added(url, "1"), role="Loader")
    assert warehouse.run(READ) == [
        (1, "ä", "2026-01-01 12:00:00", None, "1", "changes"),
        (2, "", None, None, "1", "changes"),
    ]
    row = ("lake", "orders", '["1","changes"]', url)
    query = 'SELECT schemaname, tablename, "values", location FROM svv_external_partitions'
    assert warehouse.run(query) == [row]
    assert warehouse.error(added(url, "1", "ADD"), role="Loader")

    warehouse.run("ALTER TABLE lake.orders ADD COLUMN size INTEGER", role="Loader")
    warehouse.run("ALTER TABLE lake.orders DROP PARTITION (run_id = '1', kind = 'changes')", role="Loader")
    assert (warehouse.run(READ), warehouse.run(query)) == ([], [])
    warehouse.run("DROP TABLE lake.orders", role="Loader")
    assert warehouse.run("SELECT tablename FROM svv_external_tables") == []


@pytest.mark.parametrize(
    "statements",
    [
        pytest.param([TABLE, "SELECT 1"], id="CREATE EXTERNAL TABLE in a batch"),
        pytest.param([added("s3://raw/x.json", "1"), "SELECT 1"], id="ADD PARTITION in a batch"),
        pytest.param(["ALTER TABLE lake.there ADD COLUMN x INT", "SELECT 1"], id="ADD COLUMN in a batch"),
        pytest.param(["DROP TABLE lake.there", "SELECT 1"], id="DROP TABLE in a batch"),
        pytest.param(["INSERT INTO lake.there VALUES (1, '1')"], id="rows written"),
        pytest.param([TABLE.replace("INTEGER", "TIMESTAMPTZ")], id="a type without zone"),
        pytest.param([TABLE.replace("INTEGER", "SUPER")], id="a type of Redshift's own"),
        pytest.param([TABLE.replace("INTEGER", "VARBYTE")], id="VARBYTE in a partitioned table"),
        pytest.param([TABLE.replace("INTEGER", "INTEGER NOT NULL")], id="a constraint"),
        pytest.param([TABLE.replace("lake.", "public.")], id="a schema that is not external"),
    ],
)
def test_what_spectrum_refuses_is_refused(warehouse: Warehouse, statements: list[str]) -> None:
    there = TABLE.partition("(")[0].replace("orders", "there")
    if not warehouse.run("SELECT 1 FROM svv_external_tables WHERE tablename = 'there'"):
        rest = "(id BIGINT) PARTITIONED BY (run_id VARCHAR(15)) STORED AS PARQUET LOCATION 's3://raw/there/'"
        warehouse.run(there + rest, role="Loader")
    assert warehouse.error(*statements, role="Loader")


def test_a_file_of_another_type_and_a_missing_one_are_refused(warehouse: Warehouse) -> None:
    warehouse.run(TABLE, role="Loader")
    narrow = manifest(warehouse, pa.table({"id": pa.array([1], pa.int32())}), "external/2.parquet")
    gone = warehouse.manifest(("external/none.parquet", 1))

    assert "incompatible Parquet schema" in warehouse.error(added(narrow, "2"), role="Loader")
    assert "File not found" in warehouse.error(added(gone, "3"), role="Loader")
    assert warehouse.run("SELECT * FROM svv_external_partitions") == []


def test_only_whoever_may_use_the_schema_reads_it_and_only_its_owner_changes_it(warehouse: Warehouse) -> None:
    named = TABLE.replace("orders", "mine")
    assert "permission denied" in warehouse.error(named, role="Analyst")
    warehouse.run(named, role="Loader")
    assert "permission denied" in warehouse.error("SELECT * FROM lake.mine", role="Analyst")
    warehouse.run('GRANT USAGE ON SCHEMA lake TO "IAMR:Analyst"')
    assert warehouse.run("SELECT * FROM lake.mine", role="Analyst") == []
