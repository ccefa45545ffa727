"""The control rows that a run commits with its tables."""

from __future__ import annotations

import json

from tributary.loading.run_load import RunLoad
from tributary.model.ledger import TableLoad
from tributary.model.plan import Plan, TablePlan, columns_digest
from tributary.model.result import ReplayedRun
from tributary.redshift.control import ControlRow

KEY_BYTES_AT_MOST = 4096  # of the column `key_columns`


def control_row(run: RunLoad, load: TableLoad) -> ControlRow:
    """Return the control row of a table of the run."""
    plan, table = run.plan, run.table(load)
    result = None if load.unchanged or table.replay else run.result(table)  # these have no chunks
    unread = table.schema_changes.unread_columns
    return ControlRow(
        source=plan.source,
        table=table.name,
        run_id=plan.run_id,
        generation=plan.generation,
        mode=table.mode,
        target=table.target.name,
        cursor=table.read.cursor,
        watermark=table.publish.next_watermark,
        rows=load.rows,
        chunks=len(result.chunks) if result else 0,
        size_bytes=result.size_bytes if result else 0,
        unread_columns=json.dumps(unread) if unread else None,
        key=table.replay.key if table.replay else _key(table),
        columns_digest=_columns_digest(table),
        contents=contents(table),
        request=table.request,
    )


def replayed_control_row(plan: Plan, run: ReplayedRun) -> ControlRow:
    """Return what the rows of a replayed run carry: the run that read them."""
    return ControlRow(
        source=plan.source,
        table=run.table.name,
        run_id=run.run_id,
        generation=plan.generation,
        mode=run.table.mode,
        target=run.table.target.name,
        cursor=run.table.read.cursor,
        watermark=None,
        rows=run.rows,
        chunks=len(run.chunks),
        size_bytes=0,
    )


def contents(table: TablePlan) -> str:
    """Return what the rows of a run are of the table; a replay begins at an `image`."""
    if table.is_full_load:
        return "image"
    return "whole" if table.read.whole_read else "changes"


def _columns_digest(table: TablePlan) -> str | None:
    if table.replay:
        return table.replay.columns_digest
    return columns_digest(column.target for column in table.columns)


def _key(table: TablePlan) -> str | None:
    """Return the key columns as JSON, None (unknown) if the text is too long for its column."""
    key = json.dumps(table.key, ensure_ascii=False)
    return key if table.key and len(key.encode()) <= KEY_BYTES_AT_MOST else None
