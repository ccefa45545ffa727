"""Mode `replace`, and every other swap: the staged rows are the table's whole new image."""

from __future__ import annotations

from tributary.model.plan import TablePlan
from tributary.redshift.control import ControlRow
from tributary.redshift.rows import insert, ours, where
from tributary.redshift.stage import target


def replace_rows(table: TablePlan, name: str, control_row: ControlRow) -> list[str]:
    """Return the statements that put the staged rows in the place of all that stands there.

    DELETE, not TRUNCATE: TRUNCATE would commit the transaction it stands in (r_TRUNCATE).
    """
    return [f"DELETE FROM {target(table)}{where(ours(table))}", insert(table, name, control_row)]
