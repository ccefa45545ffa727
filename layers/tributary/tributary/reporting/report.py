"""Report: what a run did, in a message, in metrics and in an object on S3; then the lease is released.

It is reached from every path, and reports what is known: from no plan at all to every table loaded.
Nothing that it writes holds a watermark or a value of a row.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from tributary import __version__
from tributary.errors import AccessFailed
from tributary.model.plan import Failure, Plan
from tributary.model.report import RunReport, TableReport
from tributary.observability import logger
from tributary.reporting import cost, message, ops_item, run_metrics, run_record
from tributary.reporting.channels import AccessReport, ReportChannels
from tributary.reporting.execution_end import ExecutionEnd
from tributary.reporting.run_metrics import Run
from tributary.reporting.run_record import RunRecord
from tributary.reporting.table_reports import table_reports
from tributary.storage import committed_watermarks, fingerprints, lease, object_keys, source_health
from tributary.storage.bucket import Bucket, body
from tributary.storage.source_health import SourceHealth

ALL_PAUSED = "every table is paused, so nothing was read"
UNCHANGED = "no table has anything new; the warehouse was not asked"
NEXT_RUN = "the next run that loads them tries again"
HIDDEN = (
    "columns that the table got after its access was set are hidden from analysts: {columns}; name each "
    'under access.mask ({first}: clear to show it, or hash or "null"), or write access: {{new_columns: show}}'
)


def report_run(end: ExecutionEnd, bucket: Bucket, channels: ReportChannels, *, rpus: int = 0) -> RunReport:
    """Count the run, store its report once, send it at least once, and release the lease.

    `rpus`: the warehouse's capacity, for the estimate of the run's cost. May be called again for the same
    execution, whatever an earlier call got to.
    """
    record = run_record.read(bucket, end)
    report = _with_access(_report(end, record, rpus), record, channels)
    before, after = source_health.count(bucket, report)
    report = report.model_copy(update={"paused": after.paused_tables, "schedule_paused": after.paused})
    if not _is_stored(bucket, end, report):
        if _is_sent(report, record):  # before it is stored: a call that ends in between sends it again
            channels.publish(
                message.subject(report),
                message.message(report, ops_item.lines(after)),
                message.attributes(report),
            )
        _store(bucket, end, report)
    run_metrics.count(Run(report, before, after), channels.metrics)
    if after.paused and after.barren_runs:
        channels.pause_schedule(report.source)
    ops_item.follow(channels.ops_center, bucket, before, after)
    _release(bucket, end, record)
    _log(report, after)
    return report


def _report(end: ExecutionEnd, record: RunRecord, rpus: int) -> RunReport:
    plan = record.plan
    tables = table_reports(record, rpus=rpus)
    failure = _failure(record.source, end.error) if end.error else None
    all_paused = bool(plan and plan.paused and not tables)
    failed = failure is not None or all_paused or any(table.status == "failed" for table in tables)
    started_at = plan.started_at if plan else None
    duration_s = _seconds_since(started_at) if started_at else 0.0
    return RunReport(
        version=__version__,
        source=record.source,
        run_id=record.run_id,
        execution_arn=end.execution_arn,
        status="skipped" if end.skipped else "failed" if failed else "succeeded",
        started_at=started_at,
        duration_s=duration_s,
        cost_usd=cost.of_run(tables, duration_s, rpus),
        partial=plan.partial if plan else False,
        failure=failure,
        notes=_notes(plan, all_paused=all_paused) if plan else (),
        tables=tables,
        paused=plan.paused if plan else (),
    )


def _notes(plan: Plan, *, all_paused: bool) -> tuple[str, ...]:
    unchanged = [UNCHANGED] if plan.unchanged else []
    return (*plan.notes, *unchanged, *([ALL_PAUSED] if all_paused else []))


def _seconds_since(instant: str) -> float:
    return round((datetime.now(UTC) - datetime.fromisoformat(instant)).total_seconds(), 1)


def _failure(source: str, error: Mapping[str, str]) -> Failure:
    """Return what stopped the run: the message of an error of ours, else the error's name alone."""
    name = error.get("Error", "Unknown")
    try:
        text = json.loads(error.get("Cause", ""))["errorMessage"]
    except (ValueError, KeyError, TypeError):
        text = "the state machine gave no further reason; see the execution's history"
    return Failure(table=source, error=name, message=str(text))


def _with_access(report: RunReport, record: RunRecord, channels: ReportChannels) -> RunReport:
    """Ask for the loaded tables' access; return the report with what came of it.

    A run fails if the access of a table was not set: analysts may see what the file no longer shows them.
    """
    access = channels.give_access(record.access)
    tables = tuple(_table_with_access(table, access) for table in report.tables)
    report = report.model_copy(update={"tables": tables})
    if access.obstacle:
        report = report.model_copy(update={"notes": (*report.notes, access.obstacle)})
    fault = _access_fault(access, tables=len(record.access))
    if fault is None:
        return report
    failure = report.failure or Failure(table=report.source, error=AccessFailed.__name__, message=fault)
    return report.model_copy(update={"status": "failed", "failure": failure})


def _table_with_access(table: TableReport, access: AccessReport) -> TableReport:
    hidden, failure = access.hidden.get(table.target or "", ()), access.failures.get(table.target or "")
    if table.status != "loaded" or not (hidden or failure):
        return table
    note = HIDDEN.format(columns=", ".join(hidden), first=hidden[0]) if hidden else None
    return table.model_copy(
        update={
            "notes": (*table.notes, *([note] if note else [])),
            "hidden_columns": hidden,
            "access_failure": failure,
        }
    )


def _access_fault(access: AccessReport, *, tables: int) -> str | None:
    if access.fault:
        return f"tables are loaded, but access was not set: {access.fault}; {NEXT_RUN}"
    if not access.failures:
        return None
    listed = "; ".join(f"{table}: {reason}" for table, reason in access.failures.items())
    return f"access was not set for {len(access.failures)} of {tables} loaded tables: {listed}; {NEXT_RUN}"


def _is_stored(bucket: Bucket, end: ExecutionEnd, report: RunReport) -> bool:
    return bucket.read(_key(end, report)) is not None


def _store(bucket: Bucket, end: ExecutionEnd, report: RunReport) -> None:
    """Store the report unless it exists. A skipped run stores none."""
    if not end.skipped:
        bucket.create(_key(end, report), body(report))


def _key(end: ExecutionEnd, report: RunReport) -> str:
    name = report.run_id or end.execution_arn.rpartition(":")[2]  # an execution without a run
    return object_keys.report(report.source, name)


def _is_sent(report: RunReport, record: RunRecord) -> bool:
    if report.status == "succeeded":
        return record.plan is not None and record.plan.notify == "all"
    return report.status == "failed"


def _release(bucket: Bucket, end: ExecutionEnd, record: RunRecord) -> None:
    """Release the lease, after keeping what the run committed.

    The lease is kept while batches may still be working in the warehouse, or a step elsewhere: the next
    run then takes it over, behind the fence.
    """
    if end.skipped or end.broken_off or record.outdated or not record.batches_ended:
        return
    plan = record.plan
    if plan and not plan.unchanged:
        held = lease.find(bucket, plan.source)
        if held and (held.execution_arn, held.generation) == (plan.execution_arn, plan.generation):
            committed_watermarks.remember(bucket, plan, record.tables, record.loaded)
            fingerprints.remember(bucket, plan, record.tables, record.loaded)
    lease.release(bucket, record.source, end.execution_arn)


def _log(report: RunReport, health: SourceHealth) -> None:
    for table, lag_s in run_metrics.farthest_behind(health):
        logger.info("table behind", extra={"table": table, "lag_s": lag_s})
    logger.info("run reported", extra={"status": report.status, "tables": len(report.tables)})
