"""What is done for a table once its rows are published: nobody waits for it, and a run does not fail by it.

What did not come to pass is asked for again: comments are compared with what the warehouse has, and
Redshift analyses tables by itself too.
"""

from __future__ import annotations

from tributary.model.plan import TablePlan
from tributary.redshift.comments import comment
from tributary.redshift.sql import STATEMENT_BYTES_AT_MOST
from tributary.redshift.stage import target

LARGE_ROWS = 100_000  # a load of fewer is left to Redshift, which analyses in quiet hours
STATEMENTS_AT_ONCE = 40  # of a batch


def batches(table: TablePlan, rows: int) -> list[list[str]]:
    """Return the batches to send after a publish of so many rows, [] where there is nothing to do.

    ANALYZE is a batch of its own, since it takes longest; Redshift skips it where less than a tenth of
    the table changed (r_ANALYZE).
    """
    said = [
        comment(table.target.schema_name, table.target.table_name, *each) for each in table.design.comments
    ]
    found = _batches(said)
    return [*found, [f"ANALYZE {target(table)} PREDICATE COLUMNS"]] if rows >= LARGE_ROWS else found


def _batches(statements: list[str]) -> list[list[str]]:
    batches: list[list[str]] = []
    room = 0
    for statement in statements:
        size = len(statement.encode())
        if size > room or len(batches[-1]) == STATEMENTS_AT_ONCE:
            batches.append([])
            room = STATEMENT_BYTES_AT_MOST
        batches[-1].append(statement)
        room -= size
    return batches
