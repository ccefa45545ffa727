"""Why a COPY failed, as the report has it: code, column, type and file, and no value."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from local.databases.postgres import Postgres
from tests.builders import RUN, column, put_item, put_result, run_plan, table_plan
from tributary.loading.load import load_run
from tributary.loading.run_load import RunLoad
from tributary.model.ledger import Ledger
from tributary.model.own_columns import SEQUENCE
from tributary.model.plan import Range, TablePlan
from tributary.model.result import Chunk
from tributary.model.types import Kind
from tributary.redshift import control
from tributary.redshift.data_api import Warehouse as Pipeline
from tributary.storage import object_keys
from tributary.storage.bucket import Bucket

from .redshift_warehouse import BUCKET, ROLE, Warehouse, serve

KEY = f"shop/2026/11/23/orders/orders_{RUN}_0_000001.parquet"
PLANTED = "a text that no report may tell"


@pytest.fixture
def warehouse(postgres: Postgres) -> Iterator[Warehouse]:
    with serve(postgres) as warehouse:
        yield warehouse


def test_the_real_reason_of_a_failed_copy_is_told_without_its_value(warehouse: Warehouse) -> None:
    warehouse.run("CREATE SCHEMA shop", "CREATE SCHEMA etl_staging", *control.create())
    bucket = Bucket(warehouse.s3(), BUCKET)
    run = RunLoad(
        run_plan(),
        bucket,
        Pipeline(warehouse.client(), {"Database": warehouse.api.database, "WorkgroupName": "any"}),
        ROLE,
    )
    rows = io.BytesIO()
    pq.write_table(pa.table({"note": [PLANTED], SEQUENCE: pa.array([1], pa.int64())}), rows)
    bucket.put(KEY, rows.getvalue())
    chunk = Chunk(key=KEY, size_bytes=len(rows.getvalue()))
    put_item(bucket, run.plan, notes())
    put_result(bucket, run.plan, chunks=(chunk,), rows=1)

    while not load_run(run, {}).done:
        time.sleep(0.05)

    ledger = bucket.document(object_keys.ledger("shop", RUN), Ledger)
    assert ledger
    failure = ledger.tables[0].failure
    assert failure
    assert failure.message == (
        f"COPY of public.orders failed: code 15007, column note, type unknown, file s3://{BUCKET}/{KEY}"
    )


def notes() -> TablePlan:
    """Return a table whose column is shorter than the value that is on its way."""
    kind = Kind("text", size_bytes=len(PLANTED) - 1)
    note = column("note", kind, type="text", nullable=True)
    return table_plan(columns=(note,), key=(), ranges=(Range(number=0, order=()),))
