"""What a run did with each of its tables."""

from __future__ import annotations

from tributary.model.ledger import TableLoad
from tributary.model.plan import Failure, TablePlan
from tributary.model.report import TableReport
from tributary.model.result import TableResult
from tributary.redshift import text_sizes
from tributary.reporting import cost
from tributary.reporting.run_record import RunRecord

BEHIND = "loaded; the raw layer's external table is behind until the table's next rows are loaded: "


def table_reports(run: RunRecord, *, rpus: int) -> tuple[TableReport, ...]:
    """Return the reports of the tables that were planned, had no changes or could not be planned."""
    if run.plan is None:
        return ()
    planned = [
        _planned(table, result, run.loads.get(table.number), rpus)
        for table, result in zip(run.tables, run.results, strict=True)
    ]
    unchanged = [
        TableReport(table=table.table, target=table.target, mode=table.mode, status="loaded")
        for table in run.plan.unchanged
    ]
    unplanned = [
        TableReport(table=failure.table, status="failed", failure=failure) for failure in run.plan.failures
    ]
    return (*planned, *unchanged, *unplanned)


def _planned(table: TablePlan, result: TableResult | None, load: TableLoad | None, rpus: int) -> TableReport:
    loaded = load is not None and load.phase == "loaded"
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
        failure=None if loaded else _failure(table, result, load),
    )


def _failure(table: TablePlan, result: TableResult | None, load: TableLoad | None) -> Failure:
    failure = load.failure if load else result.failure if result else None
    message = f"the run ended before {table.name} was loaded; the next run reads it again"
    return failure or Failure(table=table.name, error="Unfinished", message=message)
