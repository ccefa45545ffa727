"""The key of a table as a UNIQUE constraint: Redshift's planner trusts it and never checks it.

So a table gets the constraint only in a publish that creates it or replaces all its rows, and only in a
mode that keeps one row per key (`merge`, `replace`). The publish that ends this drops it. History and
append repeat keys, and in a shared table a key is unique only within its source. A text key gets no
constraint: Redshift ignores trailing blanks when it compares texts, and a constrained column cannot be
widened (r_ALTER_TABLE).

UNIQUE, not PRIMARY KEY: that needs NOT NULL, which cannot be removed again when the key changes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from tributary.model.plan import TablePlan
from tributary.redshift.rows import keys
from tributary.redshift.sql import comma, literal, quote
from tributary.redshift.stage import target

PREFIX = "tributary_key_"


def name(table: TablePlan) -> str | None:
    """Return the name of the table's constraint, None if it must have none.

    The name is a digest of table and key, so it shows whether an existing constraint is still right.
    """
    kinds = {table.column(column).kind.name for column in table.key}
    unique = (
        table.mode in ("merge", "replace") and table.target.owner is None and not table.target.repeated_keys
    )
    if not unique or not kinds or "text" in kinds:
        return None
    identity = json.dumps([table.target.schema_name, table.target.table_name, sorted(keys(table))])
    return PREFIX + hashlib.sha256(identity.encode()).hexdigest()[:16]


def existing(schemas: Sequence[str]) -> str:
    """Return the query for our constraints in the schemas."""
    return (
        "SELECT n.nspname, c.relname, k.conname FROM pg_constraint AS k "
        "JOIN pg_class AS c ON c.oid = k.conrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace "
        f"WHERE n.nspname IN ({comma(map(literal, schemas))}) AND k.conname LIKE '{PREFIX}%'"
    )


def drop(table: TablePlan) -> list[str]:
    """Return the statement that drops a constraint which the publish makes untrue, [] if it stays true.

    A deep copy needs none: the constraint is dropped with the old table.
    """
    if (
        table.target.key_constraint is None
        or table.target.key_constraint == name(table)
        or table.schema_changes.deep_copy
    ):
        return []
    return [f"ALTER TABLE {target(table)} DROP CONSTRAINT {quote(table.target.key_constraint)}"]


def add(table: TablePlan) -> list[str]:
    """Return the statement that adds the constraint, [] if the table has it or must not have it.

    Existing rows of a merge, and the rows of a replay, may be older than the mode, so they prove
    nothing. A deep copy gets the constraint again if the old table had it.
    """
    wanted = name(table)
    had = wanted == table.target.key_constraint
    proven = (table.publish.full_refresh or not table.target.exists) and table.replay is None
    if wanted is None or not (table.schema_changes.deep_copy if had else proven):
        return []
    columns = comma(map(quote, keys(table)))
    return [f"ALTER TABLE {target(table)} ADD CONSTRAINT {quote(wanted)} UNIQUE ({columns})"]
