"""The report of a run."""

from __future__ import annotations

from typing import Literal

from tributary.model.documents import FORMAT, Document, Format
from tributary.model.plan import Failure, Mode, PausedTable, RequestKind
from tributary.model.result import AlteredValues


class TableReport(Document):
    """What a run did with one table, for a person."""

    table: str
    target: str | None = None
    mode: Mode | None = None
    asked: RequestKind | None = None  # what a person requested beyond the usual
    status: Literal["loaded", "failed"]
    whole: bool = False
    rows_read: int = 0
    rows_loaded: int = 0
    size_bytes: int = 0
    chunks: int = 0
    extract_s: float = 0.0
    load_s: float = 0.0
    cost_usd: float = 0.0
    future_rows: int = 0
    altered: tuple[AlteredValues, ...] = ()
    notes: tuple[str, ...] = ()
    hidden_columns: tuple[
        str, ...
    ] = ()  # new in the warehouse, and hidden from analysts until they are named
    access_failure: str | None = (
        None  # the rows are loaded, but who sees them was not set as the file demands
    )
    failure: Failure | None = None


class RunReport(Document):
    """What a run did, as stored and as sent by SNS: without watermarks and values of rows."""

    format: Format = FORMAT
    version: str
    source: str
    run_id: str | None = None
    execution_arn: str
    status: Literal["succeeded", "failed", "skipped"]
    started_at: str | None = None
    duration_s: float = 0.0
    cost_usd: float = 0.0  # an estimate, not the sum of the tables': they share the warehouse's time
    partial: bool = False
    failure: Failure | None = None
    notes: tuple[str, ...] = ()
    tables: tuple[TableReport, ...] = ()
    paused: tuple[PausedTable, ...] = ()  # left out by the next runs
    schedule_paused: bool = False  # the schedule starts no further run
