"""One table on its way from a real source into the stand-in warehouse, by the real code of every step."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from tests.builders import RUN, control_row, put_item, run_plan, table_plan
from tests.integration.engines.source import Source
from tests.integration.redshift_warehouse import BUCKET, ROLE, Row, Warehouse, client, objects
from tributary.config.models import TableSettings
from tributary.extraction import extract
from tributary.model.plan import Plan, Range, TablePlan
from tributary.model.result import TableResult
from tributary.model.source_catalog import TableName
from tributary.planning.table_spec import specify
from tributary.redshift.publish import publish
from tributary.redshift.stage import manifest, stage, staging_name
from tributary.storage import object_keys
from tributary.storage.bucket import Bucket


@dataclass(frozen=True)
class Moved:
    """What Extract says of the table, and where its rows are."""

    result: TableResult
    warehouse: Warehouse
    target: str

    def rows(self, columns: str = "*", order: str = "id") -> list[Row]:
        """Return the table's rows as the Data API gives them."""
        return self.warehouse.run(f"SELECT {columns} FROM {self.target} ORDER BY {order}")


def move(source: Source, warehouse: Warehouse, table: str, **settings: Any) -> Moved:
    """Choose, extract, stage and publish the table; a table that fails has a result and no rows."""
    name = f"m{uuid4().hex[:8]}"
    choice = specify(source.engine, source.describe(table), TableSettings(mode="replace", **settings))
    planned = table_plan(
        source=TableName(source.schema, table),
        schema_name=name,
        table_name="moved",
        columns=choice.columns,
        key=choice.key,
        ranges=(Range(number=0, order=choice.key),),
        page_rows=choice.settings.page_rows,
    )
    plan = run_plan(name, RUN, engine=source.name, statement_timeout_s=120)
    bucket = Bucket(client("s3", objects()), BUCKET)
    put_item(bucket, plan, planned)
    begun = extract.begin(plan, bucket, source.secret, chunk_size_bytes=1, stop_at=time.monotonic() + 120)
    begun.session.engine = source.engine  # which may go another way to the same server
    assert extract.extract_item(begun, 0)
    result = bucket.document(object_keys.result(name, RUN, 0), TableResult)
    assert result is not None
    if result.failure is None:
        _load(planned, plan, result, warehouse, bucket)
    return Moved(result, warehouse, f'"{name}"."moved"')


def _load(table: TablePlan, plan: Plan, result: TableResult, warehouse: Warehouse, bucket: Bucket) -> None:
    key = object_keys.manifest(plan.source, RUN, object_keys.table_folder(table.raw_name))
    bucket.put(key, manifest(BUCKET, result.chunks))
    staged = staging_name(plan.source, RUN, 0)
    committed = control_row(
        source=plan.source,
        table=table.name,
        mode="replace",
        cursor=None,
        watermark=None,
        rows=result.rows,
        chunks=len(result.chunks),
        size_bytes=result.size_bytes,
    )
    warehouse.run(f'CREATE SCHEMA "{plan.source}"')
    address = f"s3://{BUCKET}/{key}" if result.chunks else None
    [(arrived, *_)] = warehouse.run(*stage(table, staged, address, ROLE))
    assert arrived == result.rows
    warehouse.run(*publish(table, staged, committed))
