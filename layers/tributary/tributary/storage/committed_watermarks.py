"""The watermarks that the last publishes of a source committed: a run without changes wakes no warehouse.

`_leases/<source>.loaded.json` is a copy that answers one question: is there anything to do? If there is,
`etl_control` decides. The copy is written at the end of a run, before its lease is released, and is valid
for that lease's generation, version and warehouse. After a day the warehouse is asked again, so that
changes made there by hand are seen.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta

from pydantic import Field

from tributary import __version__
from tributary.model.documents import Lasting
from tributary.model.plan import Column, Mode, Plan, TablePlan
from tributary.model.run_id import run_age
from tributary.storage import object_keys
from tributary.storage.bucket import Bucket, body
from tributary.storage.lease import Lease

TRUSTED_FOR = timedelta(hours=24)


class CommittedTable(Lasting):
    """A table as its last publish left it."""

    run_id: str  # of that publish
    watermark: str
    shape: str  # a digest of what its plan rests on: see `shape`


class CommittedWatermarks(Lasting):
    """The tables of a source that the warehouse need not be asked about."""

    generation: int
    version: str
    warehouse: str
    tables: dict[str, CommittedTable] = Field(default_factory=dict)
    names: frozenset[str] | None = None  # all tables of the last usual run; None: unknown, ask the warehouse

    def watermark(self, table: str, shape: str) -> str | None:
        """Return the watermark of a table of that shape; None if the warehouse must be asked."""
        committed = self.tables.get(table)
        fresh = committed is not None and run_age(committed.run_id) < TRUSTED_FOR
        return committed.watermark if committed and fresh and committed.shape == shape else None


def shape(
    mode: Mode,
    columns: Sequence[Column],
    key: tuple[str, ...],
    *,
    cursor: str,
    target: str,
    sql: str | None,
    where: str | None,
) -> str:
    """Return a digest of what a table's plan rests on: if it changes, the warehouse is asked."""
    described = [column.model_dump(mode="json") for column in columns]
    parts = [mode, described, key, sql, cursor, target, where]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def find(bucket: Bucket, held: Lease, warehouse: str) -> CommittedWatermarks | None:
    """Return the copy if it is valid for the lease; None if the warehouse must be asked."""
    copy = bucket.document(object_keys.loaded(held.source), CommittedWatermarks)
    if copy is None or held.taken_over:
        return None
    same = (copy.generation, copy.version, copy.warehouse) == (held.generation, __version__, warehouse)
    return copy if same else None


def remember(bucket: Bucket, plan: Plan, tables: Iterable[TablePlan], loaded: Collection[int]) -> None:
    """Update the copy with what the run's publishes committed: `loaded` are the numbers of its tables."""
    copy = bucket.document(object_keys.loaded(plan.source), CommittedWatermarks)
    empty = CommittedWatermarks(generation=plan.generation, version=__version__, warehouse=plan.warehouse)
    same = copy and copy.model_copy(update={"tables": {}, "names": None}) == empty
    known = dict(copy.tables) if copy and same else {}
    names = copy.names if copy and same else None
    tables = list(tables)
    if not (plan.partial or plan.unchanged):
        planned = {table.name for table in tables}
        names = frozenset(
            {*planned, *(each.table for each in plan.failures), *(each.table for each in plan.paused)}
        )
    for failure in plan.failures:
        known.pop(failure.table, None)
    for table in tables:
        known.pop(table.name, None)
        if table.number in loaded and table.read.cursor and table.publish.next_watermark:
            known[table.name] = CommittedTable(
                run_id=plan.run_id,
                watermark=table.publish.next_watermark,
                shape=shape(
                    table.mode,
                    table.columns,
                    table.key,
                    cursor=table.read.cursor,
                    target=table.target.name,
                    sql=table.read.sql,
                    where=table.read.where,
                ),
            )
    kept = empty.model_copy(update={"tables": known, "names": names})
    bucket.put(object_keys.loaded(plan.source), body(kept))
