"""Mode `append`: staged rows are added, and however often that is done they stand there once.

A run appends between the watermark before it and the one that it commits, so what later runs than
the watermark's appended is not covered by any watermark: it goes first.
"""

from __future__ import annotations

from ..documents import TablePlan
from .control import Committed
from .rows import insert, ours, where
from .sql import literal
from .stage import target


def append(table: TablePlan, name: str, committed: Committed) -> list[str]:
    """Return the statements that add the staged rows in the place of what no watermark covers."""
    if table.last_run is None:  # a whole image beside those of other runs
        uncovered = f'"run_id" = {literal(committed.run_id)}'
    else:
        uncovered = f'"run_id" > {literal(table.last_run)}'
    delete = f"DELETE FROM {target(table)}{where([uncovered, *ours(table)])}"
    return [delete, insert(table, name, committed)]
