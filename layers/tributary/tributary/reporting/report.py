"""Report: what a run did, told by SNS, metrics and an object on S3; then the lease is given back.

It is reached from every path, and says what is known: from no plan at all to every table loaded.
Nothing it writes holds a watermark or a row's value.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from tributary import __version__
from tributary.errors import PlanOutdated
from tributary.model.ledger import Ledger, TableLoad
from tributary.model.plan import Failure, Plan, TableAccess, TablePlan
from tributary.model.report import RunReport, TableReport
from tributary.model.result import TableResult
from tributary.observability import logger
from tributary.redshift import text_sizes
from tributary.reporting import cost, ops_item, run_metrics
from tributary.reporting.channels import ReportChannels
from tributary.reporting.execution_end import ExecutionEnd
from tributary.storage import committed_watermarks, lease, object_keys, plans, results, source_health
from tributary.storage.bucket import Bucket, body

READERS = 16
QUIET = "no table has anything new; the warehouse was not asked"
BEHIND = "loaded; the raw layer's external table is behind, which the table's next rows make good for: "
SUBJECT_AT_MOST = 100  # characters of an SNS subject
MESSAGE_TABLES_AT_MOST = 50  # named in a message; the rest stands in the report


def report_run(ended: ExecutionEnd, bucket: Bucket, outlets: ReportChannels, *, rpus: int = 0) -> RunReport:
    """Count the run, write the report, send the message once, and give the lease back.

    The lease stays where batches may still be under way in the warehouse: the next run then takes
    it over, behind the fence. `rpus`: of the warehouse, for the estimate of what the run cost.
    """
    source = ended.source or "unknown"
    run_id = ended.run_id or _run_of(bucket, ended)
    plan, ledger, outdated = None, None, False
    planned, tables = list[TablePlan](), list[TableReport]()
    try:
        plan = _plan(bucket, ended, source, run_id) if run_id else None
        ledger = _ledger(bucket, plan) if plan else None
        planned = _planned(plan, bucket) if plan else []
        tables = _tables(plan, planned, ledger, bucket, rpus) if plan else []
    except PlanOutdated:  # a deploy came in between: what its tables got to, the next run finds out
        plan, ledger, tables, outdated = None, None, [], True
    report = _report(ended, source, run_id, plan, tables)
    report = report.model_copy(update={"cost_usd": cost.of_run(tables, report.duration_s, rpus)})
    said = outlets.give_access(_access(planned, ledger))
    if said:
        report = report.model_copy(update={"notes": (*report.notes, said)})
    before, after = source_health.count(bucket, report)
    report = report.model_copy(update={"paused": after.paused_tables, "schedule_paused": after.paused})
    first = ended.skipped or bucket.create(_key(ended, source, run_id), body(report))
    if first and _wanted(report, plan):
        told = [message(report), *ops_item.lines(after)]
        outlets.publish(subject(report), "\n".join(told), attributes(report))
    run_metrics.count(run_metrics.Run(report, before, after), outlets.metrics)
    if after.paused and after.barren_runs:
        outlets.pause_schedule(source)
    ops_item.follow(outlets.ops_center, bucket, before, after)
    settled = ledger is None or all(table.phase in ("loaded", "failed") for table in ledger.tables)
    if settled and not (outdated or ended.skipped or ended.broken_off):
        if plan and not plan.unchanged:
            _remember(bucket, plan, planned, ledger)
        lease.release(bucket, source, ended.execution_arn)
    for table, lag_s in run_metrics.farthest_behind(after):
        logger.info("table behind", extra={"table": table, "lag_s": lag_s})
    logger.info("run reported", extra={"status": report.status, "tables": len(report.tables)})
    return report


def _key(ended: ExecutionEnd, source: str, run_id: str | None) -> str:
    """Return where the report stands: an execution that never had a run has its own name for one."""
    return object_keys.report(source, run_id or ended.execution_arn.rpartition(":")[2])


def _run_of(bucket: Bucket, ended: ExecutionEnd) -> str | None:
    """Return the run that the execution holds the lease for, where Plan failed before it could say so."""
    held = lease.find(bucket, ended.source) if ended.source else None
    return held.run_id if held and held.execution_arn == ended.execution_arn else None


def _plan(bucket: Bucket, ended: ExecutionEnd, source: str, run_id: str) -> Plan | None:
    """Return the execution's own plan; raises PlanOutdated where another version wrote it."""
    plan = bucket.document(object_keys.plan(source, run_id), Plan)
    return plan if plan and plan.execution_arn == ended.execution_arn else None


def _ledger(bucket: Bucket, plan: Plan) -> Ledger | None:
    return bucket.document(object_keys.ledger(plan.source, plan.run_id), Ledger)


def _report(
    ended: ExecutionEnd, source: str, run_id: str | None, plan: Plan | None, tables: list[TableReport]
) -> RunReport:
    failure = _failure(source, ended.error) if ended.error else None
    failed = failure is not None or any(table.status == "failed" for table in tables)
    started_at = plan.started_at if plan else None
    return RunReport(
        version=__version__,
        source=source,
        run_id=run_id,
        execution_arn=ended.execution_arn,
        status="skipped" if ended.skipped else "failed" if failed else "succeeded",
        started_at=started_at,
        duration_s=_seconds_since(started_at),
        partial=plan.partial if plan else False,
        failure=failure,
        notes=(*plan.notes, *([QUIET] if plan.unchanged else [])) if plan else (),
        tables=tuple(tables),
        paused=plan.paused if plan else (),
    )


def _seconds_since(started_at: str | None) -> float:
    if started_at is None:
        return 0.0
    return round((datetime.now(UTC) - datetime.fromisoformat(started_at)).total_seconds(), 1)


def _failure(source: str, error: Mapping[str, str]) -> Failure:
    """Return what stopped the run: our own words where it was ours, else the error's name alone."""
    name = error.get("Error", "Unknown")
    try:
        message = json.loads(error.get("Cause", ""))["errorMessage"]
    except (ValueError, KeyError, TypeError):
        message = "the state machine gave no further reason; see the execution's history"
    return Failure(table=source, error=name, message=str(message))


def _remember(bucket: Bucket, plan: Plan, planned: list[TablePlan], ledger: Ledger | None) -> None:
    """Keep what the run's publishes committed, while the run still holds its source."""
    held = lease.find(bucket, plan.source)
    if held and (held.execution_arn, held.generation) == (plan.execution_arn, plan.generation):
        loads = ledger.tables if ledger else ()
        committed_watermarks.remember(
            bucket, plan, planned, {load.number for load in loads if load.phase == "loaded"}
        )


def _planned(plan: Plan, bucket: Bucket) -> list[TablePlan]:
    tables = {table.number: table for table in plans.tables(bucket, plan)}
    return [tables[number] for number in sorted(tables)]


def _tables(
    plan: Plan, planned: list[TablePlan], ledger: Ledger | None, bucket: Bucket, rpus: int
) -> list[TableReport]:
    loads = {table.number: table for table in ledger.tables} if ledger else {}
    with ThreadPoolExecutor(READERS) as readers:
        read = readers.map(lambda table: results.find(bucket, plan, table), planned)
        told = [
            _table(table, result, loads.get(table.number), rpus)
            for table, result in zip(planned, read, strict=True)
        ]
    unchanged = [
        TableReport(table=table.table, target=table.target, mode=table.mode, status="loaded")
        for table in plan.unchanged
    ]
    unplanned = [
        TableReport(table=failure.table, status="failed", failure=failure) for failure in plan.failures
    ]
    return [*told, *unchanged, *unplanned]


def _table(table: TablePlan, result: TableResult | None, load: TableLoad | None, rpus: int) -> TableReport:
    loaded = load is not None and load.phase == "loaded"
    failure = load.failure if load else result.failure if result else None
    if not loaded and failure is None:
        message = f"the run ended before {table.name} was loaded; the next run reads it again"
        failure = Failure(table=table.name, error="Unfinished", message=message)
    chunks, extract_s = (len(result.chunks), result.duration_s) if result else (0, 0.0)
    load_s = round(load.duration_ms / 1000, 3) if load else 0.0
    table = text_sizes.with_sizes(table, result.longest) if result and not result.failure else table
    return TableReport(
        table=table.name,
        target=table.target.name,
        mode=table.mode,
        asked=table.request.what if table.request else None,
        status="loaded" if loaded else "failed",
        whole=table.read.whole_read,
        rows_read=result.rows if result else 0,
        rows_loaded=load.rows if load and loaded else 0,
        size_bytes=result.size_bytes if result else 0,
        chunks=chunks,
        extract_s=extract_s,
        load_s=load_s,
        cost_usd=cost.of_table(extract_s, chunks, load_s, rpus),
        future_rows=table.read.future_rows,
        altered=result.altered if result and loaded else (),
        notes=(*table.notes, *([BEHIND + load.raw_reason] if load and load.raw_reason else [])),
        failure=None if loaded else failure,
    )


def _wanted(report: RunReport, plan: Plan | None) -> bool:
    if report.status == "failed":
        return True
    return report.status == "succeeded" and plan is not None and plan.notify == "all"


def subject(report: RunReport) -> str:
    """Return the SNS subject: ASCII, at most 100 characters."""
    failed = sum(table.status == "failed" for table in report.tables)
    what = f"{failed} of {len(report.tables)} tables failed" if failed else f"run {report.status}"
    return f"Tributary {report.source}: {what}"[:SUBJECT_AT_MOST]


def message(report: RunReport) -> str:
    """Return the message for a person: what happened, which tables failed and why, where to look."""
    lines = [f"Run {report.run_id or '(not begun)'} of source {report.source} {report.status}."]
    if report.failure:
        lines.append(f"{report.failure.error}: {report.failure.message}")
    failed = [table for table in report.tables if table.failure]
    if failed:
        lines.append(f"\nFailed, {len(failed)} of {len(report.tables)} tables:")
        lines += [f"  {table.table}: {_why(table)}" for table in failed[:MESSAGE_TABLES_AT_MOST]]
    loaded = [table for table in report.tables if table.status == "loaded"]
    if loaded:
        rows = sum(table.rows_loaded for table in loaded)
        lines.append(f"\nLoaded, {len(loaded)} tables, {rows} rows:")
        lines += [
            f"  {table.table} -> {table.target}: {table.rows_loaded} rows"
            for table in loaded[:MESSAGE_TABLES_AT_MOST]
        ]
    notes = [f"  {table.table}: {note}" for table in report.tables for note in table.notes]
    if notes:
        lines += ["\nNotes:", *notes[:MESSAGE_TABLES_AT_MOST]]
    altered = [
        f"  {table.table}.{one.column}: {one.values} values ({one.fault})"
        for table in report.tables
        for one in table.altered
    ]
    if altered:
        lines += [
            "\nAltered by policy, since the warehouse cannot hold them:",
            *altered[:MESSAGE_TABLES_AT_MOST],
        ]
    future = [f"  {table.table}: {table.future_rows} rows" for table in report.tables if table.future_rows]
    if future:
        lines += ["\nDated beyond the source's clock (read, and read again until it gets there):", *future]
    if report.cost_usd:
        lines.append(f"\nEstimated cost: {report.cost_usd:.4f} USD")
    lines.append(f"\nExecution: {report.execution_arn}")
    return "\n".join(lines)


def _why(table: TableReport) -> str:
    return f"{table.failure.error}: {table.failure.message}" if table.failure else ""


def attributes(report: RunReport) -> dict[str, str]:
    """Return what a subscription can filter on."""
    return {"source": report.source, "status": report.status, "run_id": report.run_id or "none"}


def _access(planned: Sequence[TablePlan], ledger: Ledger | None) -> list[TableAccess]:
    """Return the access that the loaded tables are to have, where their file says any."""
    loaded = {table.number for table in ledger.tables if table.phase == "loaded"} if ledger else set()
    return [table.access for table in planned if table.access and table.number in loaded]
