"""Maintenance after a publish: comments and statistics. Load does not wait for it, and no run fails by it.

Failures are retried by the next run: Plan compares comments with those in the warehouse, and
Redshift also analyzes tables by itself.
"""

from __future__ import annotations

from tributary.model.plan import TablePlan
from tributary.redshift.comments import set_comment
from tributary.redshift.sql import STATEMENT_BYTES_AT_MOST
from tributary.redshift.stage import target

LARGE_ROWS = 100_000  # after a smaller load, Redshift analyzes by itself when it is idle
STATEMENTS_AT_MOST = 40  # in a batch (data-api limits)


def batches(table: TablePlan, rows: int) -> list[list[str]]:
    """Return the batches to send after a publish of `rows` rows, [] if there is nothing to do.

    ANALYZE is a batch of its own, because it takes longest. Redshift skips it if less than a tenth of
    the table changed (r_ANALYZE).
    """
    design = table.design
    statements = [
        set_comment(table.target.schema_name, table.target.table_name, *each) for each in design.comments
    ]
    commenting = _batches(statements)
    if rows < LARGE_ROWS:
        return commenting
    return [*commenting, [f"ANALYZE {target(table)} PREDICATE COLUMNS"]]


def _batches(statements: list[str]) -> list[list[str]]:
    batches: list[list[str]] = []
    room = 0
    for statement in statements:
        size = len(statement.encode())
        if size > room or len(batches[-1]) == STATEMENTS_AT_MOST:
            batches.append([])
            room = STATEMENT_BYTES_AT_MOST
        batches[-1].append(statement)
        room -= size
    return batches
