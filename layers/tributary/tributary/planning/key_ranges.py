"""Ranges: the whole read of a big table, cut at keys of its own into parts that are read side by side.

The rule: every row belongs to exactly one range, whatever the keys are, since a range begins after
the key that the one before it ends with, and the first and the last are open. An estimate that is
wrong makes ranges unequal, never incomplete. An incremental window is never cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from tributary.config.models import RANGES_AT_MOST
from tributary.engines.protocol import Engine
from tributary.errors import PermanentError, QueryCancelled
from tributary.model.plan import Range, TablePlan
from tributary.model.source_catalog import Size, TableName
from tributary.planning.table_spec import TableSpec

ROWS_PER_RANGE = 2_000_000
SIZE_PER_RANGE = 512 << 20


def split(
    engine: Engine,
    connection: Any,
    tables: Sequence[TablePlan],
    chosen: Mapping[TableName, TableSpec],
    max_connections: int,
) -> list[TablePlan]:
    """Return the plans, those of big tables with several ranges."""
    whole = {table.source for table in tables if _is_whole(table, chosen[table.source])}
    sizes = engine.sizes(connection, whole) if whole else {}
    done = []
    for table in tables:
        choice = chosen[table.source]
        count = 1
        if table.source in whole:
            count = wanted(choice.settings.ranges, sizes.get(table.source), max_connections)
        done.append(_cut(engine, connection, table, count) if count > 1 else table)
    return done


def _is_whole(table: TablePlan, choice: TableSpec) -> bool:
    """Say whether every row is read in one range by a key that an index serves."""
    if len(table.read.ranges) != 1 or choice.settings.ranges == 1 or choice.sql is not None:
        return False
    [part] = table.read.ranges
    if part.run_id is not None:  # frozen, and in part read, by an earlier run
        return False
    indexed = any(index[: len(table.key)] == table.key for index in choice.table.indexes)
    return (
        bool(table.key)
        and indexed
        and part.order == table.key
        and part.after is None
        and part.since is None
        and not part.nulls
    )


def wanted(setting: Literal["auto"] | int | None, size: Size | None, max_connections: int) -> int:
    """Return how many ranges a whole read should have.

    By itself twice the connections at most: with more, each only waits its turn.
    """
    if isinstance(setting, int):
        return setting
    if size is None or max_connections == 1:
        return 1
    full = max(size.rows / ROWS_PER_RANGE, size.size_bytes / SIZE_PER_RANGE)
    return max(1, min(int(full), 2 * max_connections, RANGES_AT_MOST))


def _cut(engine: Engine, connection: Any, table: TablePlan, count: int) -> TablePlan:
    key = [table.column(name).read() for name in table.key]
    try:
        keys = engine.key_range_ends(connection, table.source, key, count)
    except (PermanentError, QueryCancelled):  # such as a view: it is read as it always was
        keys = []
    [whole] = table.read.ranges
    ranges = cut(whole, keys)
    note = f"the table is read in {len(ranges)} ranges" if keys else "the source gives no keys to cut it at"
    return table.with_changes(ranges=ranges, notes=(*table.notes, note))


def cut(whole: Range, keys: Sequence[tuple[str, ...]]) -> tuple[Range, ...]:
    """Return the range in parts that end with the keys, and one more for what follows the last."""
    begins, ends = [whole.begin, *keys], [*keys, whole.end]
    return tuple(
        whole.model_copy(update={"number": whole.number + place, "begin": begin, "end": end})
        for place, (begin, end) in enumerate(zip(begins, ends, strict=True))
    )


def parts(table: TablePlan) -> list[TablePlan]:
    """Return the plan once for each part that is read on its own, or itself where it is read as one."""
    if not any(part.begin or part.end for part in table.read.ranges):
        return [table]
    return [
        table.with_changes(ranges=(part,), range_index=place, range_count=len(table.read.ranges))
        for place, part in enumerate(table.read.ranges)
    ]
