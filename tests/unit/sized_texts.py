"""A table with texts whose size in the warehouse depends on their values."""

from __future__ import annotations

from tests.builders import column, orders
from tributary.model.plan import TablePlan
from tributary.model.types import Kind

TEXT = Kind("text")
ADDED = {"source_system": "VARCHAR(50)", "load_timestamp": "TIMESTAMP", "run_id": "VARCHAR(15)"}
EXISTING = {"id": "BIGINT", "code": "VARCHAR(256)", "note": "VARCHAR(1024)", "old": "DATE", **ADDED}
SIZED_COLUMNS = (
    column("Id", Kind("int64")),
    column("Code", TEXT),
    column("bounded", Kind("text", size_bytes=40)),
    column("note", Kind("text", size_bytes=80_000)),
)


def sized_plan(**changes: object) -> TablePlan:
    """Return a table with two texts that its values size; `bounded` is not yet in the warehouse's."""
    stands = {"sized_by_values": True, "existing_columns": EXISTING, "new_columns": ("bounded",)}
    return orders(**{"columns": SIZED_COLUMNS, "key": ("Id",), **stands, **changes})


def new_table(**changes: object) -> TablePlan:
    return sized_plan(exists=False, existing_columns={}, new_columns=(), **changes)
