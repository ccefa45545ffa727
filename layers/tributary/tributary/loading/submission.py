"""Submit the next batch of each table, as far as the warehouse may have more under way."""

from __future__ import annotations

from collections.abc import Callable

from tributary.loading import replay_load
from tributary.loading.control_rows import control_row
from tributary.loading.run_load import RunLoad
from tributary.model.ledger import TableLoad
from tributary.model.plan import TablePlan
from tributary.redshift import control
from tributary.redshift.publish import commit_only, publish
from tributary.redshift.stage import manifest, stage
from tributary.redshift.widen import widen
from tributary.storage import object_keys

OWN_TABLE_AT = 2  # 0-based place of its guard in a stage batch that creates the target
UNCHANGED_AT_ONCE = 100  # tables that one INSERT records


def submit(run: RunLoad, tables: list[TableLoad], free: int) -> tuple[TableLoad, ...]:
    """Submit at most `free` batches and return all tables.

    Staged tables come before tables that wait, so that few staging tables exist at a time.
    """
    loads = {load.number: load for load in tables}
    due = _unchanged_batches(tables) + [[load] for load in tables if load.phase == "staged"]
    due += [[load] for load in tables if load.phase == "waiting" and not load.unchanged]
    for batch in due[: max(free, 0)]:
        send: Callable[[RunLoad, list[TableLoad]], list[TableLoad]]
        send = _submit_unchanged if batch[0].unchanged else _submit_table
        loads.update({load.number: load for load in send(run, batch)})
    return tuple(loads.values())


def _unchanged_batches(tables: list[TableLoad]) -> list[list[TableLoad]]:
    waiting = [load for load in tables if load.unchanged and load.phase == "waiting"]
    return [waiting[at : at + UNCHANGED_AT_ONCE] for at in range(0, len(waiting), UNCHANGED_AT_ONCE)]


def _submit_unchanged(run: RunLoad, batch: list[TableLoad]) -> list[TableLoad]:
    """Submit the control rows that one statement can hold; the tables of the others stay due."""
    rows = [control_row(run, load) for load in batch]
    rows = rows[: control.fitting(rows)]
    identifier = run.warehouse.submit(commit_only(rows), run.statement_name(batch[0], "unchanged"))
    sent = {"phase": "publishing", "statement": identifier}
    return [load.model_copy(update=sent) for load in batch[: len(rows)]]


def _submit_table(run: RunLoad, batch: list[TableLoad]) -> list[TableLoad]:
    [load] = batch
    if load.phase == "waiting":
        step = f"stage-{load.replayed_run}" if load.replayed_run else "stage"
        identifier = run.warehouse.submit(_stage(run, load), run.statement_name(load, step))
        return [load.model_copy(update={"phase": "staging", "statement": identifier})]
    due = widen(run.table(load))[load.widened_columns :]
    if due:
        name = run.statement_name(load, f"widen-{load.widened_columns}")
        identifier = run.warehouse.submit_alone(due[0], name)
        return [load.model_copy(update={"phase": "widening", "statement": identifier})]
    identifier = run.warehouse.submit(_publish(run, load), run.statement_name(load, "publish"))
    return [load.model_copy(update={"phase": "publishing", "statement": identifier})]


def creates_target(table: TablePlan, load: TableLoad) -> bool:
    """Return whether the stage creates the table that people read, and so begins with the fence."""
    return not (table.target.exists or load.replayed_run)


def _stage(run: RunLoad, load: TableLoad) -> list[str]:
    table = run.table(load)
    batch = replay_load.batch(run, table, load) if table.replay else _stage_chunks(run, table, load)
    if not creates_target(table, load):
        return batch
    # A fenced run must not create the table: a newer run may be about to create it with other columns.
    fence = control.fence(run.plan.source, run.plan.generation)
    create, *rest = batch
    return [fence, create, control.own_table(table.target.schema_name, table.target.table_name), *rest]


def _stage_chunks(run: RunLoad, table: TablePlan, load: TableLoad) -> list[str]:
    result, name = run.result(table), run.staging_name(load)
    if result is None or not result.chunks:
        return stage(table, name, None, run.copy_role)
    folder = object_keys.table_folder(table.raw_name)
    key = object_keys.manifest(run.plan.source, run.plan.run_id, folder)
    run.bucket.put(key, manifest(run.bucket.name, result.chunks))
    return stage(table, name, f"s3://{run.bucket.name}/{key}", run.copy_role)


def _publish(run: RunLoad, load: TableLoad) -> list[str]:
    table = run.table(load)
    staged = replay_load.complete_image(run, table, load) if table.replay else run.staging_name(load)
    return publish(table, staged, control_row(run, load))
