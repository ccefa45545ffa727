"""Mode `replace`, and every other full refresh: the staged rows replace all rows of the source."""

from __future__ import annotations

from tributary.model.plan import TablePlan
from tributary.redshift.control import ControlRow
from tributary.redshift.rows import insert, ours, where
from tributary.redshift.stage import target


def replace_rows(table: TablePlan, name: str, control_row: ControlRow) -> list[str]:
    """Return the statements that replace all rows of the source by the staged rows.

    DELETE, not TRUNCATE: TRUNCATE commits its transaction (r_TRUNCATE).
    """
    return [f"DELETE FROM {target(table)}{where(ours(table))}", insert(table, name, control_row)]
