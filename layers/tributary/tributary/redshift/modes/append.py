"""Mode `append`: staged rows are added, and however often that is done they stand there once.

A run appends between the watermark before it and the one that it commits, so what later runs than
the watermark's appended is not covered by any watermark: it goes first.

Rows that a person has read again stand there already, with the same key and cursor: those stay as they
were appended, under the run that appended them, and only the missing ones are added.
"""

from __future__ import annotations

from tributary.model.plan import TablePlan
from tributary.model.warehouse_names import STAGING_SCHEMA
from tributary.redshift.control import ControlRow
from tributary.redshift.rows import insert, ours, same_key, where
from tributary.redshift.sql import literal, quote
from tributary.redshift.stage import target


def append(table: TablePlan, name: str, control_row: ControlRow) -> list[str]:
    """Return the statements that add the staged rows in the place of what no watermark covers."""
    if table.publish.last_run is None:  # a whole image beside those of other runs
        uncovered = f'"run_id" = {literal(control_row.run_id)}'
    else:
        uncovered = f'"run_id" > {literal(table.publish.last_run)}'
    delete = f"DELETE FROM {target(table)}{where([uncovered, *ours(table)])}"
    again = table.request is not None and table.request.what in ("from", "window")
    known = [_drop_known(table, name)] if again else []
    return [delete, *known, insert(table, name, control_row)]


def _drop_known(table: TablePlan, name: str) -> str:
    """Return the statement that drops the staged rows which were appended before."""
    cursor = quote(table.column(table.read.cursor or "").target)
    same = [
        *same_key(table, quote(name)),
        f"{quote(table.target.table_name)}.{cursor} = {quote(name)}.{cursor}",
    ]
    return f"DELETE FROM {quote(STAGING_SCHEMA, name)} USING {target(table)} WHERE {' AND '.join(same)}"
