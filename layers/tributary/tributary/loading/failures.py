"""How a table's load fails: the ledger entry, the log line, and the check of removed rows."""

from __future__ import annotations

from tributary.errors import ImageRefused, LoadFailed
from tributary.model.ledger import TableLoad
from tributary.model.plan import Failure, TablePlan
from tributary.observability import logger

FEW_ROWS = 100  # may be removed whatever percentage of the table they are, if rows remain


def failed(load: TableLoad, failure: Failure) -> TableLoad:
    """Return the ledger entry of a table that has failed."""
    logger.error("table failed", extra={"table": load.table, "error": failure.error})
    return load.model_copy(update={"phase": "failed", "statement": None, "failure": failure})


def statement_failed(load: TableLoad, step: str, reason: str) -> TableLoad:
    """Return the ledger entry of a table whose statement failed; `step`: COPY or publish."""
    message = f"{step} of {load.table} failed: {reason}"
    return failed(load, Failure(table=load.table, error=LoadFailed.__name__, message=message))


def too_many_removed(table: TablePlan, arrived: int, existing: int) -> Failure | None:
    """Return the failure if replacing `existing` rows by `arrived` ones removes too many, else None.

    A source that returns fewer rows than it has is detected here. If only a few rows would be removed,
    only an empty result is suspicious.
    """
    removed = existing - arrived
    if removed * 100 <= existing * table.publish.may_vanish or (removed <= FEW_ROWS and arrived):
        return None
    allowed = f"may_vanish allows {table.publish.may_vanish}%"
    if table.replay:
        message = (
            f"the raw layer has {arrived} rows of {table.name}, and the warehouse has {existing}: the replay "
            f'would remove too many ({allowed}); if that is right, start the replay with "may_vanish": "100%"'
        )
    else:
        message = (
            f"{table.name} has {arrived} rows now, and the warehouse has {existing}: the load would remove "
            f"too many ({allowed}); check the source, and if that is right, start one run with "
            '"may_vanish": "100%"'
        )
    return Failure(table=table.name, error=ImageRefused.__name__, message=message)
