"""Split the whole read of a big table into ranges of its key, which are read side by side.

Every row belongs to exactly one range, whatever the keys are: a range begins after the key that the one
before it ends with, and the first and the last range are open. A wrong estimate makes ranges unequal,
never incomplete. An incremental read is never split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from tributary.config.models import RANGES_AT_MOST
from tributary.errors import PermanentError, QueryCancelled
from tributary.model.plan import Range, TablePlan
from tributary.model.source_catalog import Size, TableName
from tributary.planning.source_probe import SourceProbe
from tributary.planning.table_spec import TableSpec

ROWS_PER_RANGE = 2_000_000
SIZE_PER_RANGE = 512 << 20


def split(
    probe: SourceProbe,
    tables: Sequence[TablePlan],
    specs: Mapping[TableName, TableSpec],
    max_connections: int,
) -> list[TablePlan]:
    """Return the plans, those of big tables with several ranges."""
    candidates = {table.source for table in tables if _can_split(table, specs[table.source])}
    sizes = probe.engine.sizes(probe.connection, candidates) if candidates else {}
    plans = []
    for table in tables:
        count = 1
        if table.source in candidates:
            setting = specs[table.source].settings.ranges
            count = range_count(setting, sizes.get(table.source), max_connections)
        plans.append(_split(probe, table, count) if count > 1 else table)
    return plans


def _can_split(table: TablePlan, spec: TableSpec) -> bool:
    """Return whether every row is read in one range by a key that an index serves."""
    if len(table.read.ranges) != 1 or spec.settings.ranges == 1 or spec.sql is not None:
        return False
    [only] = table.read.ranges
    if only.run_id is not None:  # an earlier run has read a part of it
        return False
    indexed = any(index[: len(table.key)] == table.key for index in spec.table.indexes)
    return (
        bool(table.key)
        and indexed
        and only.order == table.key
        and only.after is None
        and only.since is None
        and not only.nulls
    )


def range_count(setting: Literal["auto"] | int | None, size: Size | None, max_connections: int) -> int:
    """Return how many ranges a whole read gets.

    Without a setting, at most twice the connections: more ranges would only wait.
    """
    if isinstance(setting, int):
        return setting
    if size is None or max_connections == 1:
        return 1
    full = max(size.rows / ROWS_PER_RANGE, size.size_bytes / SIZE_PER_RANGE)
    return max(1, min(int(full), 2 * max_connections, RANGES_AT_MOST))


def _split(probe: SourceProbe, table: TablePlan, count: int) -> TablePlan:
    key = [table.column(name).read() for name in table.key]
    try:
        keys = probe.engine.key_range_ends(probe.connection, table.source, key, count)
    except (PermanentError, QueryCancelled):  # of a view, for example: it is read in one range
        keys = []
    [whole] = table.read.ranges
    ranges = split_at(whole, keys)
    note = (
        f"the table is read in {len(ranges)} ranges"
        if keys
        else "the table is read in one range, since the source gives no keys to split it at"
    )
    return table.with_changes(ranges=ranges, notes=(*table.notes, note))


def split_at(whole: Range, keys: Sequence[tuple[str, ...]]) -> tuple[Range, ...]:
    """Return one range that ends with each key, and one for the rows after the last key."""
    begins, ends = [whole.begin, *keys], [*keys, whole.end]
    return tuple(
        whole.model_copy(update={"number": whole.number + place, "begin": begin, "end": end})
        for place, (begin, end) in enumerate(zip(begins, ends, strict=True))
    )


def per_range(table: TablePlan) -> list[TablePlan]:
    """Return the plan once for each range of a split table, or the plan itself."""
    if not any(each.begin or each.end for each in table.read.ranges):
        return [table]
    return [
        table.with_changes(ranges=(each,), range_index=place, range_count=len(table.read.ranges))
        for place, each in enumerate(table.read.ranges)
    ]
