"""Widen a VARCHAR in place: the table keeps its grants, policies and dependent views."""

from __future__ import annotations

from tributary.model.plan import TablePlan
from tributary.redshift.sql import quote
from tributary.redshift.stage import target

SAME_SIZE = "target column size should be different"  # Redshift's message if the column already has this size


def widen(table: TablePlan) -> list[str]:
    """Return the statements that widen text columns; each must run outside a transaction.

    Redshift allows none in a transaction, and refuses some column encodings (r_ALTER_TABLE).
    """
    return [
        f"ALTER TABLE {target(table)} ALTER COLUMN {quote(name)} TYPE VARCHAR({size_bytes})"
        for name, size_bytes in table.texts.widened.items()
    ]
