"""Mode `append`: staged rows are added once, however often the publish runs.

A run appends the rows between the previous watermark and the one it commits. Rows of runs later than
the watermark's run are covered by no watermark, so they are deleted first.

Rows that a person requested again may already exist, with the same key and cursor. They keep the run that
appended them, and only missing rows are added.
"""

from __future__ import annotations

from tributary.model.own_columns import RUN_ID
from tributary.model.plan import TablePlan
from tributary.model.warehouse_names import STAGING_SCHEMA
from tributary.redshift.control import ControlRow
from tributary.redshift.rows import insert, ours, same_key, where
from tributary.redshift.sql import literal, quote
from tributary.redshift.stage import target


def append(table: TablePlan, name: str, control_row: ControlRow) -> list[str]:
    """Return the statements that delete rows which no watermark covers and add the staged rows."""
    if table.publish.last_run is None:  # a whole read, beside those of other runs
        uncovered = f"{quote(RUN_ID)} = {literal(control_row.run_id)}"
    else:
        uncovered = f"{quote(RUN_ID)} > {literal(table.publish.last_run)}"
    delete = f"DELETE FROM {target(table)}{where([uncovered, *ours(table)])}"
    requested = table.request is not None and table.request.what in ("from", "window")
    drop_existing = [_drop_existing(table, name)] if requested else []
    return [delete, *drop_existing, insert(table, name, control_row)]


def _drop_existing(table: TablePlan, name: str) -> str:
    """Return the statement that drops staged rows which were appended before."""
    cursor = quote(table.column(table.read.cursor or "").target)
    same = [
        *same_key(table, quote(name)),
        f"{quote(table.target.table_name)}.{cursor} = {quote(name)}.{cursor}",
    ]
    return f"DELETE FROM {quote(STAGING_SCHEMA, name)} USING {target(table)} WHERE {' AND '.join(same)}"
