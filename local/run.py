"""`python -m local run`: start a run of a source and show each table's progress.

The progress is read from the run's own documents: the plan, the results, the ledger and the report
under `_runs/` in the raw bucket, and the chunks of the raw layer.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from local.pipeline import Pipeline, Run, exit_of
from tributary.model.ledger import Ledger
from tributary.model.plan import Item, Plan, TablePlan
from tributary.model.report import RunReport
from tributary.model.result import TableResult
from tributary.storage import object_keys

LOADING = {
    "waiting": "extracted, waiting for the warehouse",
    "staging": "loading: staging",
    "staged": "loading: staged",
    "widening": "loading: widening",
    "publishing": "loading: publishing",
}


@dataclass(slots=True)
class Progress:
    """Follows one execution; `say` gets a line for each step of a table."""

    pipeline: Pipeline
    source: str
    arn: str
    say: Callable[[str], None] = print
    plan: Plan | None = None
    tables: dict[int, TablePlan] = field(default_factory=dict)
    results: dict[int, TableResult] = field(default_factory=dict)
    _shown: dict[str, str] = field(default_factory=dict)
    _next_look: float = 0.0

    def look(self) -> None:
        """Look once, at most twice a second, and show what is new."""
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + 0.5
        if self.plan is None and not self._find_plan():
            return
        self._look_at_tables()

    def finish(self, run: Run) -> bool:
        """Show how it ended; return whether the run succeeded."""
        if self.plan is None:
            self._find_plan()
        report = self._report(run)
        if report is None:
            self.say(f"{self.source}: {_without_report(run)}")
            return run.status == "SUCCEEDED"
        for table in report.tables:
            failed = f"failed: {table.failure.error}: {table.failure.message}" if table.failure else None
            self._tell(table.table, failed or f"loaded {table.rows_loaded:,} rows")
        if report.failure:
            self.say(f"{self.source}: {report.failure.error}: {report.failure.message}")
        self.say(f"{self.source}: run {report.run_id} {report.status} in {report.duration_s:.1f} s")
        return run.status == "SUCCEEDED"

    def show_notes(self, run: Run) -> None:
        """Show the notes of the run's report, and where the report is."""
        report = self._report(run)
        if report is None or report.run_id is None:
            return
        notes = [("", note) for note in report.notes]
        notes += [(f"{table.table}: ", note) for table in report.tables for note in table.notes]
        for table, note in notes:
            self.say(f"  note: {table}{note}")
        key = object_keys.report(self.source, report.run_id)
        self.say(f"{self.source}: report s3://{self.pipeline.outputs['RawBucketName']}/{key}")

    def _find_plan(self) -> bool:
        planned = exit_of(self.pipeline.history(self.arn), "Plan")
        run_id = planned and planned.get("run_id")
        document = self.pipeline.document(object_keys.plan(self.source, run_id)) if run_id else None
        if document is None:
            return False
        self.plan = Plan.model_validate(document)
        for number in range(self.plan.items):
            item = Item.model_validate(self.pipeline.document(object_keys.item(self.plan.prefix, number)))
            self.tables.update({table.number: table for table in item.tables})
        for table in sorted(self.tables.values(), key=lambda table: table.number):
            self._tell(table.name, f"planned, {_what(table)}")
        return True

    def _look_at_tables(self) -> None:
        assert self.plan is not None
        ledger = self.pipeline.document(object_keys.ledger(self.source, self.plan.run_id))
        if ledger:
            for load in Ledger.model_validate(ledger).tables:
                if load.phase in LOADING:
                    self._tell(load.table, LOADING[load.phase])
                elif load.phase == "loaded":
                    self._tell(load.table, f"loaded {load.rows:,} rows")
            return
        self._read_results()
        for number, table in self.tables.items():
            self._tell_of_extraction(number, table)

    def _read_results(self) -> None:
        assert self.plan is not None
        for key in self._keys(object_keys.results(self.source, self.plan.run_id)):
            number = int(key.rpartition("/")[2].removesuffix(".json"))
            if number not in self.results:
                self.results[number] = TableResult.model_validate(self.pipeline.document(key))

    def _tell_of_extraction(self, number: int, table: TablePlan) -> None:
        assert self.plan is not None
        if result := self.results.get(number):
            self._tell(table.name, f"extracted {result.rows:,} rows, {_size(result.size_bytes)}")
            return
        prefix = object_keys.chunk_prefix(self.source, self.plan.run_id, table.raw_name, "")[:-1]
        sizes = [entry["Size"] for entry in self._objects(prefix)]
        if sizes:
            self._tell(table.name, f"extracting, {len(sizes)} chunks so far, {_size(sum(sizes))}")

    def _report(self, run: Run) -> RunReport | None:
        run_id = self.plan.run_id if self.plan else run.run_id
        document = self.pipeline.document(object_keys.report(self.source, run_id)) if run_id else None
        return RunReport.model_validate(document) if document else None

    def _keys(self, prefix: str) -> Iterator[str]:
        for entry in self._objects(prefix):
            yield entry["Key"]

    def _objects(self, prefix: str) -> Iterator[dict[str, Any]]:
        pages = self.pipeline.client("s3").get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self.pipeline.outputs["RawBucketName"], Prefix=prefix):
            yield from page.get("Contents", [])

    def _tell(self, table: str, phase: str) -> None:
        if self._shown.get(table) != phase:
            self._shown[table] = phase
            self.say(f"  {table}: {phase}")


def run(pipeline: Pipeline, source: str, *, say: Callable[[str], None] = print, **given: Any) -> bool:
    """Run the source and show its progress; return whether it succeeded."""
    arn = pipeline.start_run(source, **given)
    say(f"{source}: started {arn}")
    progress = Progress(pipeline, source, arn, say)
    ended = pipeline.wait(arn, timeout_s=7 * 86_400, meanwhile=progress.look)
    succeeded = progress.finish(ended)
    progress.show_notes(ended)
    return succeeded


def _what(table: TablePlan) -> str:
    if table.replay:
        return f"{table.mode}, rebuilt from {table.replay.runs} runs of the raw layer"
    if table.read.whole_read:
        return f"{table.mode}, all rows"
    return f"{table.mode}, rows that are new by {table.read.cursor}"


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 1e6 else f"{size_bytes / 1e3:.1f} kB"


def _without_report(run: Run) -> str:
    if run.plan.get("status") == "skipped":
        return "skipped: another execution runs this source"
    caught = next((reason for reason in map(_failure, run.history) if reason), None)
    return f"{run.status}: {caught or run.cause or run.error or 'no report was written'}"


def _failure(event: dict[str, Any]) -> str | None:
    """Return name and message of the error by which a task failed."""
    details = event.get("taskFailedEventDetails")
    if details is None:
        return None
    try:
        cause = json.loads(details["cause"])["errorMessage"]
    except (KeyError, ValueError):
        cause = details.get("cause")
    return f"{details.get('error')}: {cause}"
