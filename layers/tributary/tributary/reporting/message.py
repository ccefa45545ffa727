"""The message about a run for a person: what happened, which tables failed and why, where to look."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from tributary.model.report import RunReport, TableReport
from tributary.visible_text import visible

SUBJECT_AT_MOST = 100  # characters of an SNS subject (API_Publish)
TABLES_AT_MOST = 50  # named in one section; the report on S3 names all
NOTE_TABLES_AT_MOST = 5  # named with one note that many tables have


def subject(report: RunReport) -> str:
    """Return the subject: ASCII in one line, as SNS demands."""
    failed = sum(table.status == "failed" for table in report.tables)
    what = f"{failed} of {len(report.tables)} tables failed" if failed else f"run {report.status}"
    source = visible(report.source).encode("ascii", "backslashreplace").decode()
    return f"Tributary {source}: {what}"[:SUBJECT_AT_MOST]


def attributes(report: RunReport) -> dict[str, str]:
    """Return what a subscription can filter on."""
    return {"source": report.source, "status": report.status, "run_id": report.run_id or "none"}


def message(report: RunReport, paused: Sequence[str] = ()) -> str:
    """Return the message; `paused` are the lines about what is paused of the source."""
    return "\n".join([*_lines(report), *paused])


def _lines(report: RunReport) -> Iterator[str]:
    yield f"Run {report.run_id or '(not begun)'} of source {visible(report.source)} {report.status}."
    if report.failure:
        # A wrong source file has a line for each problem; indented, none can pass for one of ours.
        lines = [visible(line) for line in report.failure.message.splitlines()]
        yield f"{report.failure.error}: " + "\n  ".join(lines)
    failed = [table for table in report.tables if table.failure]
    yield from _section(f"Failed, {len(failed)} of {len(report.tables)} tables:", map(_why, failed))
    loaded = [table for table in report.tables if table.status == "loaded"]
    rows = sum(table.rows_loaded for table in loaded)
    yield from _section(f"Loaded, {len(loaded)} tables, {rows} rows:", map(_loaded, loaded))
    yield from _section("Notes:", notes(report))
    yield from _section("Altered by policy, since the warehouse cannot hold them:", _altered(report))
    future = [f"{table.table}: {table.future_rows} rows" for table in report.tables if table.future_rows]
    yield from _section("Dated later than the source's clock (read, and read again until then):", future)
    if report.cost_usd:
        yield f"\nEstimated cost: {report.cost_usd:.4f} USD"
    yield f"\nExecution: {report.execution_arn}"


def _section(title: str, entries: Iterator[str] | Sequence[str]) -> Iterator[str]:
    """Yield the title and the first entries; nothing if there is none."""
    lines = list(entries)
    if lines:
        yield f"\n{title}"
        yield from (f"  {visible(line)}" for line in lines[:TABLES_AT_MOST])
        if len(lines) > TABLES_AT_MOST:
            yield f"  and {len(lines) - TABLES_AT_MOST} more, which the report on S3 names"


def _why(table: TableReport) -> str:
    return f"{table.table}: {table.failure.error}: {table.failure.message}" if table.failure else table.table


def _loaded(table: TableReport) -> str:
    return f"{table.table} -> {table.target}: {table.rows_loaded} rows"


def notes(report: RunReport) -> Iterator[str]:
    """Yield the run's notes and its tables'; a note that several tables have once, with their number."""
    yield from report.notes
    tables: dict[str, list[str]] = defaultdict(list)
    for table in report.tables:
        for note in table.notes:
            tables[note].append(table.table)
    for note, names in tables.items():
        if len(names) == 1:
            yield f"{names[0]}: {note}"
        else:
            more = ", ..." if len(names) > NOTE_TABLES_AT_MOST else ""
            yield f"{len(names)} tables: {note} ({', '.join(names[:NOTE_TABLES_AT_MOST])}{more})"


def _altered(report: RunReport) -> Iterator[str]:
    for table in report.tables:
        for column in table.altered:
            yield f"{table.table}.{column.column}: {column.values} values ({column.fault})"
