"""What Extract did with a table, whether it read it as one or in ranges."""

from __future__ import annotations

from collections import Counter
from functools import reduce

from tributary.model import text_lengths
from tributary.model.plan import Plan, TablePlan
from tributary.model.result import AlteredValues, TableResult
from tributary.model.value_policies import Fault
from tributary.storage import object_keys
from tributary.storage.bucket import Documents


def key(plan: Plan, table: TablePlan, range_index: int) -> str:
    """Return the key of the result of one of the table's ranges."""
    return object_keys.result(
        plan.source, plan.run_id, table.number, range_index if table.read.range_count > 1 else None
    )


def find(bucket: Documents, plan: Plan, table: TablePlan) -> TableResult | None:
    """Return the table's result, with the chunks of its ranges in their order; None if one is not done.

    The failure of a range is the table's, even if other ranges are not done.
    """
    if table.read.range_count == 1:
        return bucket.document(key(plan, table, 0), TableResult)
    stored = [
        bucket.document(key(plan, table, index), TableResult) for index in range(table.read.range_count)
    ]
    done = [result for result in stored if result is not None]
    failed = next((result for result in done if result.failure), None)
    if failed or len(done) < len(stored):
        return failed
    return done[0].model_copy(
        update={
            "chunks": tuple(chunk for result in done for chunk in result.chunks),
            "rows": sum(result.rows for result in done),
            "size_bytes": sum(result.size_bytes for result in done),
            "altered": _altered(done),
            "longest": reduce(text_lengths.longer, (result.longest for result in done)),
            "duration_s": round(sum(result.duration_s for result in done), 3),
        }
    )


def _altered(done: list[TableResult]) -> tuple[AlteredValues, ...]:
    counts: Counter[tuple[str, Fault]] = Counter()
    for result in done:
        counts.update({(one.column, one.fault): one.values for one in result.altered})
    return tuple(
        AlteredValues(column=name, fault=fault, values=n) for (name, fault), n in sorted(counts.items())
    )
