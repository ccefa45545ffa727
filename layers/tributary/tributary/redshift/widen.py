"""Widen: a VARCHAR that stands gets a larger size, and the table stays with all that hangs on it."""

from __future__ import annotations

from tributary.model.plan import TablePlan
from tributary.redshift.sql import quote
from tributary.redshift.stage import target

SAME_SIZE = "target column size should be different"  # the warehouse's word for a size that is there already


def widen(table: TablePlan) -> list[str]:
    """Return the statements that give texts their new sizes, each to be run alone.

    Redshift takes none in a transaction, and some encodings stand in the way (r_ALTER_TABLE).
    """
    return [
        f"ALTER TABLE {target(table)} ALTER COLUMN {quote(name)} TYPE VARCHAR({size_bytes})"
        for name, size_bytes in table.texts.widened.items()
    ]
