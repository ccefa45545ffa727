"""Plans, tables and documents for tests: every field that a test does not name has a usual value."""

from __future__ import annotations

from typing import Any

from tributary import __version__
from tributary.model.plan import Column, Item, Plan, Range, TablePlan
from tributary.model.result import TableResult
from tributary.model.source_catalog import TableName
from tributary.model.types import Kind
from tributary.redshift.control import ControlRow
from tributary.storage import object_keys
from tributary.storage.bucket import Bucket, body

RUN = "20261123_233901"
COPY_ROLE = "arn:aws:iam::1:role/copy"


def column(
    name: str, kind: Kind, target: str | None = None, *, type: str = "?", nullable: bool = False
) -> Column:
    """Return a column to move; its name in the warehouse is the folded one unless stated."""
    return Column(name=name, type=type, kind=kind, nullable=nullable, target=target or name.lower())


def table_plan(**fields: Any) -> TablePlan:
    """Return the plan of a new table `shop.orders` that is read whole in one range, by its key `id`."""
    usual: dict[str, Any] = {
        "number": 0,
        "source": TableName("public", "orders"),
        "schema_name": "shop",
        "table_name": "orders",
        "mode": "replace",
        "columns": (column("id", Kind("int32"), type="integer"),),
        "key": ("id",),
        "ranges": (Range(number=0, order=("id",)),),
        "whole_read": True,
        "full_refresh": True,
        "exists": False,
    }
    return TablePlan.from_fields(**{**usual, **fields})


def changed(plan: TablePlan, **fields: Any) -> TablePlan:
    """Return the table's plan with other values of some fields."""
    return plan.with_changes(**fields)


def orders(**fields: Any) -> TablePlan:
    """Return the plan of a merge into an existing table with columns of several types and a key of two."""
    usual: dict[str, Any] = {
        "number": 3,
        "mode": "merge",
        "columns": (
            column("Id", Kind("int64")),
            column("code", Kind("text", size_bytes=40)),
            column("doc", Kind("json")),
            column("size", Kind("int16")),
        ),
        "key": ("Id", "code"),
        "cursor": "Id",
        "ranges": (Range(number=0, order=("Id", "code")),),
        "full_refresh": False,
        "exists": True,
    }
    return changed(table_plan(**usual), **fields)


def run_plan(source: str = "shop", run_id: str = RUN, **fields: Any) -> Plan:
    """Return the head of a run's plan with one item, whose documents are at the usual keys."""
    usual: dict[str, Any] = {
        "version": __version__,
        "engine": "postgresql",
        "secret": f"tributary/{source}",
        "generation": 1,
        "execution_arn": "arn",
        "started_at": "2026-11-23T23:39:01Z",
        "prefix": f"{object_keys.run(source, run_id)}items/",
        "items": 1,
        "max_connections": 1,
        "statement_timeout_s": 60,
        "notify": "all",
    }
    return Plan(source=source, run_id=run_id, **{**usual, **fields})


def put_item(bucket: Bucket, plan: Plan, *tables: TablePlan, number: int = 0) -> None:
    """Store an item of the run: the tables that one Extract reads."""
    bucket.put(object_keys.item(plan.prefix, number), body(Item(tables=tables)))


def put_result(bucket: Bucket, plan: Plan, **fields: Any) -> None:
    """Store what Extract did with a table of the run."""
    result = TableResult(**{"number": 0, "table": "public.orders", **fields})
    bucket.put(object_keys.result(plan.source, plan.run_id, result.number), body(result))


def control_row(**fields: Any) -> ControlRow:
    """Return the control row that a load of `orders()` commits."""
    usual: dict[str, Any] = {
        "source": "shop",
        "table": "public.orders",
        "run_id": RUN,
        "generation": 2,
        "mode": "merge",
        "target": "shop.orders",
        "cursor": "Id",
        "watermark": "41",
        "rows": 7,
        "chunks": 1,
        "size_bytes": 1234,
        "key": '["Id", "code"]',
        "columns_digest": "d1",
        "contents": "changes",
    }
    return ControlRow(**{**usual, **fields})
