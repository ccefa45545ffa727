"""What is kept of the last publishes, and when it may be believed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tributary import __version__
from tributary.config.models import TableSettings
from tributary.model.plan import Column
from tributary.model.source_catalog import SourceTable, TableName
from tributary.model.types import Kind
from tributary.planning.new_rows import committed_watermark
from tributary.planning.table_spec import TableSpec
from tributary.storage.committed_watermarks import CommittedTable, CommittedWatermarks, shape

ID = Column(name="id", type="integer", kind=Kind("int32"), nullable=False, target="id")
STAMP = Column(name="stamp", type="date", kind=Kind("date"), nullable=False, target="stamp")
MORE = Column(name="more", type="text", kind=Kind("text"), nullable=True, target="more")


def orders(**changes: Any) -> TableSpec:
    given: dict[str, Any] = {
        "table": SourceTable(TableName("public", "orders"), ()),
        "settings": TableSettings(),
        "mode": "merge",
        "columns": (ID, STAMP),
        "key": ("id",),
        "key_proven": True,
        "cursor": STAMP,
        "notes": (),
    }
    return TableSpec(**{**given, **changes})


def kept(*, hours_ago: float = 1) -> CommittedWatermarks:
    run_id = (datetime.now(UTC) - timedelta(hours=hours_ago)).strftime("%Y%m%d_%H%M%S")
    table = orders()
    rests_on = shape(
        table.mode, table.columns, table.key, cursor="stamp", target="shop.orders", sql=None, where=None
    )
    entry = CommittedTable(run_id=run_id, watermark="2026-01-01", shape=rests_on)
    return CommittedWatermarks(
        generation=1, version=__version__, warehouse="w", tables={"public.orders": entry}
    )


def test_a_table_that_is_as_it_was_is_loaded_up_to_its_watermark() -> None:
    assert committed_watermark(kept(), orders(), "shop.orders") == "2026-01-01"


def test_after_a_day_the_warehouse_is_asked_again() -> None:
    assert committed_watermark(kept(hours_ago=23.9), orders(), "shop.orders") == "2026-01-01"
    assert committed_watermark(kept(hours_ago=24.1), orders(), "shop.orders") is None


@pytest.mark.parametrize(
    "changes",
    [
        {"columns": (ID, STAMP, MORE)},
        {"columns": (ID, STAMP.model_copy(update={"type": "timestamp", "kind": Kind("timestamp")}))},
        {"key": ("id", "stamp")},
        {"sql": "SELECT 1"},
        {"settings": TableSettings(where="id > 1")},
        {"mode": "replace", "cursor": None},
        {"cursor": ID},
        {"cursor": STAMP.model_copy(update={"nullable": True})},
        {"table": SourceTable(TableName("public", "others"), ())},
    ],
)
def test_what_changed_is_for_the_warehouse_to_say(changes: dict[str, Any]) -> None:
    assert committed_watermark(kept(), orders(**changes), "shop.orders") is None


def test_another_target_is_another_table() -> None:
    assert committed_watermark(kept(), orders(), "store.orders") is None
