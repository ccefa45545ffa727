"""The key of a table as information for Redshift's planner, which checks nothing and trusts it.

So it is said only of a table that the publish makes or replaces whole, in a mode that keeps it true, and
taken back in the very publish that ends that: `merge` and `replace` leave one row of each key; versions
and appended rows repeat it; of a shared table each source speaks for its own rows alone. A text is no
key for the planner: Redshift compares texts without their trailing blanks, and the column could not grow
any more (r_ALTER_TABLE).

UNIQUE, not PRIMARY KEY: that needs NOT NULL, which cannot be taken away again when the key changes.
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
    """Return the name of the constraint that the table may have, None where it may have none.

    It tells tables and keys apart, so that it says by itself whether a constraint is still the right one.
    """
    kinds = {table.column(column).kind.name for column in table.key}
    holds = (
        table.mode in ("merge", "replace") and table.target.owner is None and not table.target.repeated_keys
    )
    if not holds or not kinds or "text" in kinds:
        return None
    told = json.dumps([table.target.schema_name, table.target.table_name, sorted(keys(table))])
    return PREFIX + hashlib.sha256(told.encode()).hexdigest()[:16]


def existing(schemas: Sequence[str]) -> str:
    """Return the query for our constraints in the schemas."""
    return (
        "SELECT table_schema, table_name, constraint_name FROM information_schema.table_constraints "
        f"WHERE table_schema IN ({comma(map(literal, schemas))}) AND constraint_name LIKE '{PREFIX}%'"
    )


def drop(table: TablePlan) -> list[str]:
    """Return the statement that takes back what the publish makes untrue, [] where nothing is.

    A constraint of a table that another one takes the place of goes with it.
    """
    if (
        table.target.key_constraint is None
        or table.target.key_constraint == name(table)
        or table.schema_changes.deep_copy
    ):
        return []
    return [f"ALTER TABLE {target(table)} DROP CONSTRAINT {quote(table.target.key_constraint)}"]


def add(table: TablePlan) -> list[str]:
    """Return the statement that tells the planner the key, [] where it knows it or must not.

    What stands in a table that is merged into may be older than the mode, and so may what a replay brings
    back; a table that takes another one's place is told what that one was.
    """
    right = name(table)
    known = right == table.target.key_constraint
    sure = (table.publish.full_refresh or not table.target.exists) and table.replay is None
    if right is None or not (table.schema_changes.deep_copy if known else sure):
        return []
    columns = comma(map(quote, keys(table)))
    return [f"ALTER TABLE {target(table)} ADD CONSTRAINT {quote(right)} UNIQUE ({columns})"]
