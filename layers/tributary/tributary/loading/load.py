"""Load: one loop for the whole run, which submits each table's batches and never waits for long.

The ledger on S3 says how far each table is. It is a convenience, not the truth: batches carry stable
tokens, the staging table ends with its publish, and the control row is committed with the rows; so
a ledger that is lost, or two Loads at once, change nothing in the warehouse.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tributary.errors import ImageRefused, LeaseLost, LoadFailed, PlanOutdated, WarehouseUnavailable
from tributary.loading import replay_load
from tributary.loading.external_tables import Catalog, Loaded, RawTables
from tributary.model.ledger import Ledger, TableLoad
from tributary.model.plan import Failure, Item, Plan, TablePlan, columns_digest
from tributary.model.result import TableResult
from tributary.observability import logger
from tributary.redshift import control, maintenance, text_sizes
from tributary.redshift.control import ControlRow
from tributary.redshift.data_api import StatementState, Warehouse
from tributary.redshift.publish import commit_only, fenced_at, publish
from tributary.redshift.stage import manifest, stage, staging_name
from tributary.redshift.widen import SAME_SIZE, widen
from tributary.storage import object_keys, plans, results
from tributary.storage.bucket import Bucket, body

IN_FLIGHT_AT_MOST = 8  # batches of one run under way in the warehouse
KEY_BYTES_AT_MOST = 4096  # of the control table's column
QUIET_AT_ONCE = 100  # tables recorded by one INSERT
FEW_ROWS = 100  # may go from a table whatever share of it they are
ATTEMPTS = 5  # of a batch that met a conflict
PATIENCE_S = 2.0  # a call goes on while tables move: a Wait would cost each of them a second
CALL_AT_MOST_S = 60.0  # well below the function's time-out
RAW_TABLES_AT_MOST_S = 90.0  # of the same call, where nothing is left to load
PAUSES_S = (0.03, 0.1)  # after something moved, and the most between two looks while nothing does
WAIT_AT_MOST_S = 60
READERS = 16
OTHER_FORM = (
    "another source changed the target's columns since the plan; the next run takes that into account"
)
DEPENDS = "other objects depend on it"
VIEWS = (
    ": the table takes a new form, and views that are bound to it stand in the way; make them anew WITH NO "
    "SCHEMA BINDING, or drop them before the next run and make them again after it"
)

ENDED = ("loaded", "failed")
IN_FLIGHT = ("staging", "widening", "publishing")


@dataclass(frozen=True, slots=True)
class LoadProgress:
    """Whether every table has ended, and how long to wait before the next call where not."""

    done: bool
    wait_s: int = 0


@dataclass(frozen=True, slots=True)
class Loading:
    """A run's load: where it was planned, where its chunks stand, where they go, and what shows them.

    What is read of S3 is read once a call, and only for tables that are due: so a call's cost does not
    grow with the run's tables, but for the ledger's own size.
    """

    plan: Plan
    bucket: Bucket
    warehouse: Warehouse
    copy_role: str
    raw_tables: RawTables | None = None
    items: dict[int, Item] = field(default_factory=dict)
    results: dict[int, TableResult | None] = field(default_factory=dict)

    def item(self, number: int) -> Item:
        """Return an item's tables."""
        if number not in self.items:
            self.items[number] = plans.item(self.bucket, self.plan, number)
        return self.items[number]

    def table(self, load: TableLoad) -> TablePlan:
        """Return the plan of a table, with the sizes that the values which were read ask for."""
        table = next(table for table in self.item(load.item).tables if table.number == load.number)
        result = self.result(table) if table.texts.sized_by_values else None
        return text_sizes.with_sizes(table, result.longest, copy=load.deep_copy) if result else table

    def result(self, table: TablePlan) -> TableResult | None:
        """Return what Extract did with a table, None where it did not finish it."""
        if table.number not in self.results:
            self.results[table.number] = results.find(self.bucket, self.plan, table)
        return self.results[table.number]


def load_run(loading: Loading, failed_items: Mapping[int, str]) -> LoadProgress:
    """Bring every table as far as the warehouse lets it go; return once nothing moves for PATIENCE_S.

    `failed_items`: the error's name of each item that gave up. Raises LeaseLost where the fence of
    a newer run stops a batch.
    """
    key = object_keys.ledger(loading.plan.source, loading.plan.run_id)
    ledger, etag = _open(loading, key, failed_items)
    began = time.monotonic()
    ends = began + CALL_AT_MOST_S
    give_up = time.monotonic() + PATIENCE_S
    pause_s = PAUSES_S[0]
    while not _over(ledger):
        late = time.monotonic() > min(give_up, ends)
        tables = _advance(loading, ledger.tables)
        moved = tables != ledger.tables
        if moved or late:
            idle_calls = 0 if moved else ledger.idle_calls + 1
            advanced = ledger.model_copy(update={"tables": tables, "idle_calls": idle_calls})
            written = loading.bucket.replace(key, body(advanced), etag)
            if written is None:
                return LoadProgress(done=False, wait_s=1)  # another Load is at work on the same run
            ledger, etag = advanced, written
        if moved:
            give_up, pause_s = time.monotonic() + PATIENCE_S, PAUSES_S[0]
        elif late:
            return LoadProgress(done=False, wait_s=min(WAIT_AT_MOST_S, round(1.3**ledger.idle_calls)))
        if time.monotonic() > ends:
            return LoadProgress(done=False, wait_s=1)
        if not _over(ledger):
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, PAUSES_S[1])
    return _show(loading, key, ledger, etag, began + RAW_TABLES_AT_MOST_S)


def _show(loading: Loading, key: str, ledger: Ledger, etag: str, ends: float) -> LoadProgress:
    """Have the raw layer's external tables show what was loaded, as far as the time goes."""
    due = {load.number: loaded for load in ledger.tables if (loaded := _shown_by(loading, load))}
    if not due or loading.raw_tables is None:
        return LoadProgress(done=True)
    catalog = Catalog(loading.plan, loading.bucket, loading.warehouse, loading.raw_tables, ends)
    told: dict[int, str | None]
    try:
        told = catalog.show(list(due.values()))
    except Exception as error:  # whatever it is, the rows are loaded, and nothing may make that a failure
        told = dict.fromkeys(due, f"{type(error).__name__}; this is a bug, please report it")
    tables = tuple(
        load.model_copy(
            update={
                "raw_table": "behind" if told[load.number] else "current",
                "raw_reason": told[load.number],
            }
        )
        if load.number in told
        else load
        for load in ledger.tables
    )
    loading.bucket.replace(key, body(ledger.model_copy(update={"tables": tables})), etag)
    return LoadProgress(done=told.keys() == due.keys(), wait_s=1)


def _shown_by(loading: Loading, load: TableLoad) -> Loaded | None:
    """Return the table where this run has chunks that its external table may not show yet."""
    if loading.raw_tables is None or load.phase != "loaded" or load.unchanged or load.raw_table:
        return None
    table = loading.table(load)
    result = None if table.replay else loading.result(table)
    return Loaded(table, _contents(table)) if result and result.chunks else None


def _over(ledger: Ledger) -> bool:
    return all(table.phase in ENDED for table in ledger.tables)


def _open(loading: Loading, key: str, failed_items: Mapping[int, str]) -> tuple[Ledger, str]:
    if loading.bucket.read(key) is None:
        with ThreadPoolExecutor(READERS) as readers:
            places: dict[int, list[tuple[int, TablePlan]]] = {}
            for item, held in enumerate(readers.map(loading.item, range(loading.plan.items))):
                for table in held.tables:
                    places.setdefault(table.number, []).append((item, table))
            begun = readers.map(lambda parts: _begin(loading, parts, failed_items), places.values())
            loading.bucket.create(key, body(Ledger(tables=tuple(begun))))
    return _read(loading, key)


def _read(loading: Loading, key: str) -> tuple[Ledger, str]:
    found = loading.bucket.read(key)
    if found is None:
        raise PlanOutdated(f"{key} is gone; start the source's run again")
    return Ledger.model_validate_json(found[0]), found[1]


def _begin(
    loading: Loading, parts: list[tuple[int, TablePlan]], failed_items: Mapping[int, str]
) -> TableLoad:
    """Return a table's first entry in the ledger: waiting, or failed where it was not read.

    `parts`: the items that read it, each with its plan of the part.
    """
    item, table = parts[0]
    load = TableLoad(number=table.number, item=item, table=table.name)
    if table.replay:
        return load
    result = loading.result(table)
    if result is None:
        error = next((failed_items[item] for item, _ in parts if item in failed_items), "Unfinished")
        message = f"{table.name} was not read to its end: its extraction ended with {error}"
        return _failed(load, Failure(table=table.name, error=error, message=message))
    if result.failure:
        return _failed(load, result.failure)
    nothing = (
        not result.rows
        and not table.publish.full_refresh
        and table.target.exists
        and not (table.schema_changes.changes or table.schema_changes.deep_copy)
    )
    return load.model_copy(update={"rows": result.rows, "unchanged": nothing})


def _advance(loading: Loading, tables: Iterable[TableLoad]) -> tuple[TableLoad, ...]:
    """Ask after what is under way, then submit as much as may be."""
    states: dict[str, StatementState] = {}  # of one statement that has many unchanged tables, asked once
    asked = [_ask(loading, table, states) for table in tables]
    statements = {table.statement for table in asked if table.phase in IN_FLIGHT}
    return _submit(loading, asked, IN_FLIGHT_AT_MOST - len(statements))


def _ask(loading: Loading, load: TableLoad, states: dict[str, StatementState]) -> TableLoad:
    if load.phase not in IN_FLIGHT or load.statement is None:
        return load
    if load.statement not in states:
        states[load.statement] = loading.warehouse.state(load.statement)
    state = states[load.statement]
    if state.under_way:
        return load
    load = load.model_copy(update={"duration_ms": load.duration_ms + state.duration_ms})
    after = {"staging": _after_stage, "widening": _after_widening, "publishing": _after_publish}
    return after[load.phase](loading, load, state)


def _after_stage(loading: Loading, load: TableLoad, state: StatementState) -> TableLoad:
    if not state.finished:
        if not (loading.table(load).target.exists or load.replayed_run):
            _check_fence(loading, state, 0)
        return _again(load, "waiting", state) or _broken(load, "COPY", _copy_reason(loading, state))
    if loading.table(load).replay:
        return _after_run(loading, load, state)
    staged, *there = _counts(loading, state.statement_ids[-1])
    if staged != load.rows:
        return _broken(load, "COPY", f"{staged} rows arrived where the chunks hold {load.rows}")
    refusal = _refusal(loading.table(load), staged, *there)
    if refusal:
        return _failed(load, refusal)
    return load.model_copy(update={"phase": "staged", "statement": None, "attempt": 1})


def _after_widening(loading: Loading, load: TableLoad, state: StatementState) -> TableLoad:
    """Return the table one column further; where one cannot be widened, the publish makes another table."""
    further = {"phase": "staged", "statement": None}
    if state.finished or SAME_SIZE in state.message:
        return load.model_copy(update={**further, "widened_columns": load.widened_columns + 1})
    again = _again(load, "staged", state)
    if again:
        return again
    logger.warning("not widened in place", extra={"table": load.table, "reason": state.reason})
    return load.model_copy(update={**further, "deep_copy": True})


def _after_run(loading: Loading, load: TableLoad, state: StatementState) -> TableLoad:
    """Return a table that is made anew, one run further, or staged where that was the last."""
    plan, table = loading.plan, loading.table(load)
    further = {"phase": "waiting", "statement": None, "attempt": 1, "replayed_run": load.replayed_run + 1}
    if load.replayed_run == 0:
        return load.model_copy(update=further)
    place, expected = replay_load.arrived_at(loading.bucket, plan, table, load)
    arrived, *_ = _counts(loading, state.statement_ids[place])
    if arrived != expected:
        return _broken(load, "COPY", f"{arrived} rows arrived where the chunks hold {expected}")
    if not table.replay or load.replayed_run < table.replay.runs:
        return load.model_copy(update=further)
    counts = _counts(loading, state.statement_ids[-1])
    refused = replay_load.refusal(table, counts)
    if refused:
        return _failed(load, Failure(table=table.name, error=ImageRefused.__name__, message=refused))
    return load.model_copy(
        update={**further, "phase": "staged", "replayed_run": load.replayed_run, "rows": counts[0]}
    )


def _counts(loading: Loading, statement: str) -> list[int]:
    """Return the one row of a statement that counts."""
    [row] = loading.warehouse.rows(statement)
    return [_number(value) for value in row]


def _number(text: str | None) -> int:
    return int(text or 0)


def _refusal(table: TablePlan, arrived: int, there: int = 0) -> Failure | None:
    """Return why a whole image may not take the place of what stands there, None where it may.

    A source that answers with less than it has is caught here, not in the warehouse. Where few rows
    would go, only an empty image is suspicious.
    """
    gone = there - arrived
    if gone * 100 <= there * table.publish.may_vanish or (gone <= FEW_ROWS and arrived):
        return None
    message = (
        f"{table.name} has {arrived} rows now, and {there} stand in the warehouse: more would go than "
        f"may_vanish allows ({table.publish.may_vanish}%); look into the source, and if that is right, start "
        'one run with "may_vanish": "100%"'
    )
    return Failure(table=table.name, error=ImageRefused.__name__, message=message)


def _after_publish(loading: Loading, load: TableLoad, state: StatementState) -> TableLoad:
    if state.finished:
        told = {"table": load.table, "rows": load.rows, "load_ms": load.duration_ms}
        logger.info("table loaded", extra=told)
        _care(loading, load)
        return load.model_copy(update={"phase": "loaded", "statement": None})
    place = 0 if load.unchanged else fenced_at(loading.table(load))
    _check_fence(loading, state, place)
    if state.failed_guard_at == place + 1:
        return _broken(load, "publish", OTHER_FORM)
    again = _again(load, "waiting" if load.unchanged else "staged", state)
    if again:
        return again
    if "value too long" in state.message.lower() and load.widened_columns and load.attempt < ATTEMPTS:
        # A Load of an older run, let go late, has sent its own smaller size after ours.
        narrowed = {"phase": "staged", "statement": None, "attempt": load.attempt + 1, "widened": 0}
        return load.model_copy(update=narrowed)
    if _committed(loading, load):  # the batch was sent twice, and the first one had passed
        return load.model_copy(update={"phase": "loaded", "statement": None})
    return _broken(load, "publish", state.reason + (VIEWS if DEPENDS in state.reason else ""))


def _care(loading: Loading, load: TableLoad) -> None:
    """Send what else there is to do for a table; nobody waits for it, and tokens keep it to once."""
    try:
        for number, batch in enumerate(maintenance.batches(loading.table(load), load.rows)):
            loading.warehouse.submit(batch, _name(loading.plan, load, f"care-{number}"))
    except (LoadFailed, WarehouseUnavailable) as error:
        logger.warning("care put off", extra={"table": load.table, "error": type(error).__name__})


def _check_fence(loading: Loading, state: StatementState, place: int) -> None:
    """Raise LeaseLost where the statement at that place of the batch, its fence, was what failed."""
    if state.failed_guard_at == place:
        raise LeaseLost(f"run {loading.plan.run_id} of {loading.plan.source} is fenced: a newer run loads")


def _again(load: TableLoad, phase: str, state: StatementState) -> TableLoad | None:
    """Return the table one attempt further where a concurrent transaction was in the way."""
    if not state.conflict or load.attempt >= ATTEMPTS:
        return None
    return load.model_copy(update={"phase": phase, "statement": None, "attempt": load.attempt + 1})


def _committed(loading: Loading, load: TableLoad) -> bool:
    plan = loading.plan
    query = control.count_committed(plan.source, load.table, plan.run_id)
    [[row]] = loading.warehouse.run([query], _name(plan, load, "check"))
    return row[0] != "0"


def _copy_reason(loading: Loading, state: StatementState) -> str:
    """Return why a stage failed; of COPY's word only code, column, type and file are repeated."""
    if state.failed_query is None:
        return state.reason
    try:
        [rows] = loading.warehouse.run([control.load_error(state.failed_query)], "tributary/load-error")
    except LoadFailed:
        return state.reason
    if not rows:
        return state.reason
    code, column, type_name, file = ((value or "?").strip() for value in rows[0])
    return f"code {code}, column {column}, type {type_name}, file {file}"


def _broken(load: TableLoad, what: str, why: str) -> TableLoad:
    message = f"{what} of {load.table} failed: {why}"
    return _failed(load, Failure(table=load.table, error="LoadFailed", message=message))


def _failed(load: TableLoad, failure: Failure) -> TableLoad:
    logger.error("table failed", extra={"table": load.table, "error": failure.error})
    return load.model_copy(update={"phase": "failed", "statement": None, "failure": failure})


def _submit(loading: Loading, tables: list[TableLoad], free: int) -> tuple[TableLoad, ...]:
    """Submit what is due, staged tables first, so that few staging tables stand at a time."""
    sent = {load.number: load for load in tables}
    due = _unchanged_batches(tables) + [[load] for load in tables if load.phase == "staged"]
    due += [[load] for load in tables if load.phase == "waiting" and not load.unchanged]
    for batch in due[: max(free, 0)]:
        submit: Callable[[Loading, list[TableLoad]], list[TableLoad]]
        submit = _submit_unchanged if batch[0].unchanged else _submit_table
        sent.update({load.number: load for load in submit(loading, batch)})
    return tuple(sent.values())


def _unchanged_batches(tables: list[TableLoad]) -> list[list[TableLoad]]:
    waiting = [load for load in tables if load.unchanged and load.phase == "waiting"]
    return [waiting[at : at + QUIET_AT_ONCE] for at in range(0, len(waiting), QUIET_AT_ONCE)]


def _submit_unchanged(loading: Loading, batch: list[TableLoad]) -> list[TableLoad]:
    statements = commit_only([_control_row(loading, load) for load in batch])
    identifier = loading.warehouse.submit(statements, _name(loading.plan, batch[0], "unchanged"))
    return [load.model_copy(update={"phase": "publishing", "statement": identifier}) for load in batch]


def _submit_table(loading: Loading, batch: list[TableLoad]) -> list[TableLoad]:
    [load] = batch
    if load.phase == "staged":
        due = widen(loading.table(load))[load.widened_columns :]
        if due:
            name = _name(loading.plan, load, f"widen-{load.widened_columns}")
            identifier = loading.warehouse.submit_alone(due[0], name)
            return [load.model_copy(update={"phase": "widening", "statement": identifier})]
    staging = load.phase == "waiting"
    statements = _stage(loading, load) if staging else _publish(loading, load)
    step = f"stage-{load.replayed_run}" if load.replayed_run else "stage"
    name = _name(loading.plan, load, step if staging else "publish")
    identifier = loading.warehouse.submit(statements, name)
    phase = "staging" if staging else "publishing"
    return [load.model_copy(update={"phase": phase, "statement": identifier})]


def _stage(loading: Loading, load: TableLoad) -> list[str]:
    plan, table = loading.plan, loading.table(load)
    batch = _stage_batch(loading, load, table)
    if table.target.exists or load.replayed_run:
        return batch
    # It makes the table that people read: an old run must not make it in the way of a newer one's form.
    return [control.fence(plan.source, plan.generation), *batch]


def _stage_batch(loading: Loading, load: TableLoad, table: TablePlan) -> list[str]:
    plan = loading.plan
    if table.replay:
        return replay_load.batch(loading.bucket, plan, table, load, loading.copy_role)
    result = loading.result(table)
    name = staging_name(plan.source, plan.run_id, load.number)
    if result is None or not result.chunks:
        return stage(table, name, None, loading.copy_role)
    key = object_keys.manifest(plan.source, plan.run_id, table.raw_name)
    loading.bucket.put(key, manifest(loading.bucket.name, result.chunks))
    return stage(table, name, f"s3://{loading.bucket.name}/{key}", loading.copy_role)


def _publish(loading: Loading, load: TableLoad) -> list[str]:
    plan, table = loading.plan, loading.table(load)
    name = staging_name(plan.source, plan.run_id, load.number)
    if table.replay:
        name = replay_load.image(plan, table)
    return publish(table, name, _control_row(loading, load))


def _control_row(loading: Loading, load: TableLoad) -> ControlRow:
    plan, table = loading.plan, loading.table(load)
    result = None if load.unchanged or table.replay else loading.result(table)  # these have no chunk
    return ControlRow(
        source=plan.source,
        table=table.name,
        run_id=plan.run_id,
        generation=plan.generation,
        mode=table.mode,
        target=table.target.name,
        cursor=table.read.cursor,
        watermark=table.publish.next_watermark,
        rows=load.rows,
        chunks=len(result.chunks) if result else 0,
        size_bytes=result.size_bytes if result else 0,
        unread_columns=json.dumps(table.schema_changes.unread_columns)
        if table.schema_changes.unread_columns
        else None,
        key=table.replay.key if table.replay else _key(table),
        columns_digest=_columns(table),
        contents=_contents(table),
        asked=table.request,
    )


def _columns(table: TablePlan) -> str | None:
    if table.replay:
        return table.replay.columns_digest
    return columns_digest(column.target for column in table.columns)


def _key(table: TablePlan) -> str | None:
    """Return the key's columns as JSON; None, which is not known, where they are too many to write down."""
    key = json.dumps(table.key, ensure_ascii=False)
    return key if table.key and len(key.encode()) <= KEY_BYTES_AT_MOST else None


def _contents(table: TablePlan) -> str:
    """Return what the rows of a run are of the table: what a replay begins with, or may not leave out."""
    if table.is_full_load:
        return "image"
    return "whole" if table.read.whole_read else "changes"


def _name(plan: Plan, load: TableLoad, step: str) -> str:
    """Return the batch's name: a take-over finds what is under way by its beginning."""
    return f"tributary/{plan.source}/{plan.run_id}/{load.number}/{step}/{load.attempt}"
