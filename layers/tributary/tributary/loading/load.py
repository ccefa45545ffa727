"""Load: one loop for the whole run, which submits each table's batches and never waits for long.

The ledger on S3 records how far each table is. It is a convenience, not the truth: batches carry
stable tokens, a publish drops its staging table, and the control row is committed with the rows. So
a lost ledger, or two Loads at once, change nothing in the warehouse.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tributary.errors import PlanOutdated
from tributary.loading.control_rows import contents
from tributary.loading.external_tables import ExternalTableUpdate, LoadedTable
from tributary.loading.failures import failed
from tributary.loading.outcomes import after
from tributary.loading.pacing import CallPace
from tributary.loading.run_load import RunLoad
from tributary.loading.submission import submit
from tributary.model.ledger import Ledger, TableLoad
from tributary.model.plan import Failure, TablePlan
from tributary.redshift.data_api import StatementState
from tributary.storage import object_keys
from tributary.storage.bucket import body, parse

IN_FLIGHT_AT_MOST = 8  # batches of one run that are under way in the warehouse
EXTERNAL_TABLES_AT_MOST_S = 90.0  # of the same call, after everything is loaded
LONG_POLL_S = 1  # for one batch, if the last poll showed no progress
PAUSES_S = (0.03, 0.1)  # between two polls: after progress, and at most
READERS = 16

ENDED = ("loaded", "failed")
IN_FLIGHT = ("staging", "widening", "publishing")


@dataclass(frozen=True, slots=True)
class LoadProgress:
    """Whether every table has ended and, if not, how long to wait before the next call."""

    done: bool
    wait_s: int = 0


def load_run(run: RunLoad, failed_items: Mapping[int, str]) -> LoadProgress:
    """Advance every table as far as the warehouse allows; return after a time without progress.

    `failed_items`: the error's name of each item whose extraction gave up. Raises LeaseLost if the
    fence of a newer run stops a batch.
    """
    key = object_keys.ledger(run.plan.source, run.plan.run_id)
    ledger, etag = _open(run, key, failed_items)
    began = time.monotonic()
    pace = CallPace(began, max(0.0, time.time() - (ledger.opened_at or time.time())))
    pause_s, idle_polls = PAUSES_S[0], 0
    while not _ended(ledger):
        late = pace.is_over(time.monotonic())
        tables = _advance(run, ledger.tables, wait_s=idle_polls and LONG_POLL_S)
        progress = tables != ledger.tables
        if progress or late:
            idle_calls = 0 if progress else ledger.idle_calls + 1
            advanced = ledger.model_copy(update={"tables": tables, "idle_calls": idle_calls})
            written = run.bucket.replace(key, body(advanced), etag)
            if written is None:
                return LoadProgress(done=False, wait_s=1)  # another Load works on the same run
            ledger, etag = advanced, written
        idle_polls = 0 if progress else idle_polls + 1
        if progress:
            pace.made_progress(time.monotonic())
            pause_s = PAUSES_S[0]
        if (late and not progress) or pace.is_over(time.monotonic()):
            return LoadProgress(done=False, wait_s=pace.wait_s(time.monotonic(), ledger.idle_calls))
        if not _ended(ledger):
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, PAUSES_S[1])
    return _update_external_tables(run, key, ledger, etag, began + EXTERNAL_TABLES_AT_MOST_S)


def _ended(ledger: Ledger) -> bool:
    return all(table.phase in ENDED for table in ledger.tables)


def _open(run: RunLoad, key: str, failed_items: Mapping[int, str]) -> tuple[Ledger, str]:
    """Return the run's ledger with its ETag; the first call creates it."""
    if run.bucket.read(key) is None:
        with ThreadPoolExecutor(READERS) as readers:
            tables: dict[int, list[tuple[int, TablePlan]]] = {}
            for number, item in enumerate(readers.map(run.item, range(run.plan.items))):
                for table in item.tables:
                    tables.setdefault(table.number, []).append((number, table))
            loads = readers.map(lambda places: _first_entry(run, places, failed_items), tables.values())
            run.bucket.create(key, body(Ledger(opened_at=time.time(), tables=tuple(loads))))
    content = run.bucket.read(key)
    if content is None:
        raise PlanOutdated(f"{key} is missing; start the source's run again")
    return parse(content[0], key, Ledger), content[1]


def _first_entry(
    run: RunLoad, places: list[tuple[int, TablePlan]], failed_items: Mapping[int, str]
) -> TableLoad:
    """Return a table's first entry in the ledger: waiting, or failed if it was not read to its end.

    `places`: the items that read the table, each with its plan.
    """
    item, table = places[0]
    load = TableLoad(number=table.number, item=item, table=table.name)
    if table.replay:
        return load
    result = run.result(table)
    if result is None:
        error = next((failed_items[item] for item, _ in places if item in failed_items), "Unfinished")
        message = f"{table.name} was not read to its end: its extraction ended with {error}"
        return failed(load, Failure(table=table.name, error=error, message=message))
    if result.failure:
        return failed(load, result.failure)
    changes = table.schema_changes.changes or table.schema_changes.deep_copy
    unchanged = not result.rows and not table.publish.full_refresh and table.target.exists and not changes
    return load.model_copy(update={"rows": result.rows, "unchanged": unchanged})


def _advance(run: RunLoad, tables: Sequence[TableLoad], *, wait_s: int) -> tuple[TableLoad, ...]:
    """Poll the batches that are under way, then submit the next ones.

    The first batch is waited for up to `wait_s`: each poll is a call of a quota that all runs share.
    """
    states: dict[str, StatementState] = {}  # unchanged tables share a statement: it is described once
    first = next((load.statement for load in tables if load.phase in IN_FLIGHT and load.statement), None)
    if first and wait_s:
        states[first] = run.warehouse.state(first, wait_s=wait_s)
    polled = [_poll(run, table, states) for table in tables]
    statements = {table.statement for table in polled if table.phase in IN_FLIGHT}
    return submit(run, polled, IN_FLIGHT_AT_MOST - len(statements))


def _poll(run: RunLoad, load: TableLoad, states: dict[str, StatementState]) -> TableLoad:
    if load.phase not in IN_FLIGHT or load.statement is None:
        return load
    if load.statement not in states:
        states[load.statement] = run.warehouse.state(load.statement)
    state = states[load.statement]
    return load if state.under_way else after(run, load, state)


def _update_external_tables(run: RunLoad, key: str, ledger: Ledger, etag: str, ends: float) -> LoadProgress:
    """Add the run's chunks to the external tables of the raw layer, as far as the time allows."""
    due = {load.number: table for load in ledger.tables if (table := _not_shown(run, load))}
    if not due or run.external_schema is None:
        return LoadProgress(done=True)
    update = ExternalTableUpdate(run.plan, run.bucket, run.warehouse, run.external_schema, ends)
    reasons: dict[int, str | None]
    try:
        reasons = update.show(list(due.values()))
    except Exception as error:  # the rows are loaded: whatever fails here must not fail the run
        reasons = dict.fromkeys(due, f"{type(error).__name__}; this is a bug, please report it")
    tables = tuple(_with_reason(load, reasons) for load in ledger.tables)
    run.bucket.replace(key, body(ledger.model_copy(update={"tables": tables})), etag)
    return LoadProgress(done=reasons.keys() == due.keys(), wait_s=1)


def _with_reason(load: TableLoad, reasons: Mapping[int, str | None]) -> TableLoad:
    if load.number not in reasons:
        return load
    reason = reasons[load.number]
    return load.model_copy(update={"raw_table": "behind" if reason else "current", "raw_reason": reason})


def _not_shown(run: RunLoad, load: TableLoad) -> LoadedTable | None:
    """Return the table if its external table may not show this run's chunks yet."""
    if run.external_schema is None or load.phase != "loaded" or load.unchanged or load.raw_table:
        return None
    table = run.table(load)
    result = None if table.replay else run.result(table)
    return LoadedTable(table, contents(table)) if result and result.chunks else None
