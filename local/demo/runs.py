"""Runs of all sources at the same time, with their progress, figures and comparison."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from local.demo import warehouse
from local.demo.screen import Cell, Screen
from local.demo.source import Source
from local.pipeline import Pipeline, Run

POLL_S = 0.1
FIGURES = ("table", "rows read", "loaded", "bytes", "seconds", "new watermark")
COMPARISON = ("table", "in source", "in warehouse", "checksum of source", "of warehouse", "")


def run_all(pipeline: Pipeline, sources: Sequence[Source], screen: Screen) -> bool:
    """Run the sources at the same time and show their figures; return whether all succeeded."""
    before = {source.name: warehouse.watermarks(pipeline, source.name) for source in sources}
    runs = _follow(pipeline, [source.name for source in sources], screen)
    reports = {name: _report(pipeline, name, run) for name, run in runs.items()}
    rows: list[list[Cell]] = []
    for name, report in reports.items():
        after = warehouse.watermarks(pipeline, name)
        rows += [_figures(table, before[name], after) for table in report.get("tables", ())]
    screen.table(FIGURES, rows)
    for name, report in reports.items():
        _show_notes(name, report, screen)
    return all(run.status == "SUCCEEDED" for run in runs.values())


def _follow(pipeline: Pipeline, names: Sequence[str], screen: Screen) -> dict[str, Run]:
    """Start a run of each source, show the tables' progress, and return the runs when all have ended."""
    from local.run import Progress  # its imports need the package's path, which the demo sets first

    def printer(name: str) -> Callable[[str], None]:
        return lambda text: screen.step(f"{name}: {text.strip()}")

    states = pipeline.client("stepfunctions")
    under_way = [Progress(pipeline, name, pipeline.start_run(name), printer(name)) for name in names]
    ended: dict[str, Run] = {}
    while under_way:
        time.sleep(POLL_S)
        for progress in list(under_way):
            progress.look()
            if states.describe_execution(executionArn=progress.arn)["status"] != "RUNNING":
                under_way.remove(progress)
                ended[progress.source] = run = pipeline.wait(progress.arn)
                screen.step(f"{progress.source}: {run.status}")
                if run.status != "SUCCEEDED":
                    progress.finish(run)
    return {name: ended[name] for name in names}


def compare_all(pipeline: Pipeline, sources: Sequence[Source], screen: Screen) -> bool:
    """Compare every table of the sources with the warehouse's; return whether all are equal."""
    tables = [(source, table) for source in sources for table in source.tables]
    with ThreadPoolExecutor(1) as beside:  # the sources count while the warehouse does
        counting = [beside.submit(source.fingerprint, table) for source, table in tables]
        ours = [
            warehouse.fingerprint(pipeline, source.name, table, source.columns(table))
            for source, table in tables
        ]
        theirs = [one.result() for one in counting]
    rows: list[list[Cell]] = []
    for (source, table), here, there in zip(tables, theirs, ours, strict=True):
        loaded: list[Cell] = [there.rows, str(there.checksum)] if there else [0, "incomplete"]
        verdict = "same" if here == there else "DIFFERENT"
        rows.append(
            [f"{source.name}.{table.name}", here.rows, loaded[0], str(here.checksum), loaded[1], verdict]
        )
    screen.table(COMPARISON, rows)
    return theirs == ours


def _report(pipeline: Pipeline, source: str, run: Run) -> dict[str, Any]:
    return pipeline.document(f"_runs/{source}/{run.run_id}/report.json") or {}


def _figures(
    table: Mapping[str, Any], before: Mapping[str, str | None], after: Mapping[str, str | None]
) -> list[Cell]:
    target = table["target"] or table["table"]
    watermark = after.get(target)
    moved = watermark != before.get(target)
    return [
        target,
        table["rows_read"],
        table["rows_loaded"],
        table["size_bytes"],
        table["extract_s"] + table["load_s"],
        (watermark if moved else watermark and "as before") or f"none (mode {table['mode']})",
    ]


def _show_notes(source: str, report: Mapping[str, Any], screen: Screen) -> None:
    """Show the run's notes, each text once."""
    tables_by_note: dict[str, list[str]] = {}
    for table in report.get("tables", ()):
        for note in table["notes"]:
            tables_by_note.setdefault(note, []).append(table["table"])
    for note, tables in tables_by_note.items():
        screen.detail(f"{source}, {', '.join(tables)}: {note}")
