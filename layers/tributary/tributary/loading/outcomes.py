"""What the end of a batch means for its table: the next phase, another attempt, or a failure."""

from __future__ import annotations

from tributary.errors import LeaseLost, LoadFailed, WarehouseUnavailable
from tributary.loading import replay_load
from tributary.loading.failures import failed, statement_failed, too_many_removed
from tributary.loading.run_load import RunLoad
from tributary.loading.submission import OWN_TABLE_AT, creates_target
from tributary.model.ledger import TableLoad
from tributary.observability import logger
from tributary.redshift import control, maintenance
from tributary.redshift.data_api import StatementState, column_of_scan_error
from tributary.redshift.publish import fenced_at
from tributary.redshift.widen import SAME_SIZE

ATTEMPTS = 5  # of a batch that met a conflict
OTHER_COLUMNS = (
    "another source changed the target's columns since the plan; the next run takes that into account"
)
ALREADY_EXISTS = "already exists"
ANOTHERS_TABLE = (
    "another user of the warehouse created the target since the plan; the next run names that user"
)
DEPENDENT_OBJECTS = "other objects depend on it"
BOUND_VIEWS = (
    ": the table must be recreated, and views are bound to it; recreate them WITH NO SCHEMA BINDING, "
    "or drop them before the next run and create them again after it"
)


def after(run: RunLoad, load: TableLoad, state: StatementState) -> TableLoad:
    """Return the table after its batch has ended in that state; raises LeaseLost if a fence stopped it."""
    load = load.model_copy(update={"duration_ms": load.duration_ms + state.duration_ms})
    step = {"staging": _after_stage, "widening": _after_widening, "publishing": _after_publish}
    return step[load.phase](run, load, state)


def _after_stage(run: RunLoad, load: TableLoad, state: StatementState) -> TableLoad:
    table = run.table(load)
    if not state.finished:
        if creates_target(table, load):
            _check_fence(run, state, 0)
            if state.failed_guard_at == OWN_TABLE_AT:
                return statement_failed(load, "stage", ANOTHERS_TABLE)
        return _retry(load, "waiting", state) or statement_failed(load, "COPY", _copy_reason(run, state))
    if table.replay:
        return _after_replayed_run(run, load, state)
    staged, *existing = _counts(run, state.statement_ids[-1])
    if staged != load.rows:
        return statement_failed(load, "COPY", f"{staged} rows arrived, but the chunks have {load.rows}")
    refused = too_many_removed(table, staged, *existing) if existing else None
    if refused:
        return failed(load, refused)
    return load.model_copy(update={"phase": "staged", "statement": None, "attempt": 1})


def _after_replayed_run(run: RunLoad, load: TableLoad, state: StatementState) -> TableLoad:
    """Return a replayed table with its next run due, or staged after the last one."""
    table = run.table(load)
    next_run = {
        "phase": "waiting",
        "statement": None,
        "attempt": 1,
        "replayed_run": load.replayed_run + 1,
    }
    if load.replayed_run == 0:
        return load.model_copy(update=next_run)
    place, expected = replay_load.staged_count(run, table, load)
    staged, *_ = _counts(run, state.statement_ids[place])
    if staged != expected:
        return statement_failed(load, "COPY", f"{staged} rows arrived, but the chunks have {expected}")
    if not table.replay or load.replayed_run < table.replay.runs:
        return load.model_copy(update=next_run)
    arrived, existing = _counts(run, state.statement_ids[-1])
    refused = too_many_removed(table, arrived, existing)
    if refused:
        return failed(load, refused)
    return load.model_copy(update={"phase": "staged", "statement": None, "attempt": 1, "rows": arrived})


def _after_widening(run: RunLoad, load: TableLoad, state: StatementState) -> TableLoad:
    """Advance to the next column to widen; if Redshift refuses this one, the publish makes a deep copy."""
    staged = {"phase": "staged", "statement": None}
    if state.finished or SAME_SIZE in state.message:
        return load.model_copy(update={**staged, "widened_columns": load.widened_columns + 1})
    retry = _retry(load, "staged", state)
    if retry:
        return retry
    logger.warning("not widened in place", extra={"table": load.table, "reason": state.reason})
    return load.model_copy(update={**staged, "deep_copy": True})


def _after_publish(run: RunLoad, load: TableLoad, state: StatementState) -> TableLoad:
    loaded = load.model_copy(update={"phase": "loaded", "statement": None})
    if state.finished:
        fields = {"table": load.table, "rows": load.rows, "load_ms": load.duration_ms}
        logger.info("table loaded", extra=fields)
        _maintain(run, load)
        return loaded
    fence = 0 if load.unchanged else fenced_at(run.table(load))
    _check_fence(run, state, fence)
    if state.failed_guard_at == fence + 1:
        return statement_failed(load, "publish", OTHER_COLUMNS)
    retry = _retry(load, "waiting" if load.unchanged else "staged", state)
    if retry:
        return retry
    if "value too long" in state.message.lower() and load.widened_columns and load.attempt < ATTEMPTS:
        # A delayed Load of an older run has set its own smaller size after ours: widen again.
        widen_again = {"phase": "staged", "statement": None, "attempt": load.attempt + 1}
        return load.model_copy(update={**widen_again, "widened_columns": 0})
    if _is_committed(run, load):  # the batch was sent twice, and the first one succeeded
        return loaded
    return statement_failed(load, "publish", _publish_reason(run, load, state))


def _publish_reason(run: RunLoad, load: TableLoad, state: StatementState) -> str:
    table = run.table(load)
    if table.target.owner and table.schema_changes.new_columns and ALREADY_EXISTS in state.reason:
        return OTHER_COLUMNS
    return state.reason + (BOUND_VIEWS if DEPENDENT_OBJECTS in state.reason else "")


def _maintain(run: RunLoad, load: TableLoad) -> None:
    """Submit the table's maintenance; Load does not wait for it, and its tokens make it run once."""
    try:
        for number, batch in enumerate(maintenance.batches(run.table(load), load.rows)):
            run.warehouse.submit(batch, run.statement_name(load, f"maintenance-{number}"))
    except (LoadFailed, WarehouseUnavailable) as error:
        logger.warning("maintenance postponed", extra={"table": load.table, "error": type(error).__name__})


def _check_fence(run: RunLoad, state: StatementState, place: int) -> None:
    """Raise LeaseLost if the fence, at that place of the batch, stopped it."""
    if state.failed_guard_at == place:
        raise LeaseLost(f"run {run.plan.run_id} of {run.plan.source} is fenced: a newer run is loading")


def _retry(load: TableLoad, phase: str, state: StatementState) -> TableLoad | None:
    """Return the table for another attempt if a concurrent transaction caused the failure."""
    if not state.conflict or load.attempt >= ATTEMPTS:
        return None
    return load.model_copy(update={"phase": phase, "statement": None, "attempt": load.attempt + 1})


def _is_committed(run: RunLoad, load: TableLoad) -> bool:
    query = control.count_committed(run.plan.source, load.table, run.plan.run_id)
    [[row]] = run.warehouse.run([query], run.statement_name(load, "check"))
    return row[0] != "0"


def _counts(run: RunLoad, statement: str) -> list[int]:
    """Return the one row of a statement that counts."""
    [row] = run.warehouse.rows(statement)
    return [int(value or 0) for value in row]


def _copy_reason(run: RunLoad, state: StatementState) -> str:
    """Return why a stage failed; of COPY's error only code, column, type and file are repeated."""
    if state.failed_query is None:
        return state.reason
    try:
        [rows] = run.warehouse.run([control.load_error(state.failed_query)], "tributary/load-error")
    except LoadFailed:
        return state.reason
    if not rows:
        return state.reason
    code, column, type_name, file, message = ((value or "").strip() for value in rows[0])
    column = column or column_of_scan_error(message) or "unknown"
    return f"code {code}, column {column}, type {type_name or 'unknown'}, file {file or 'unknown'}"
