"""The report of a run."""

from __future__ import annotations

from typing import Literal

from tributary.model.documents import FORMAT, Document, Format
from tributary.model.plan import Failure, Mode, PausedTable, RequestKind
from tributary.model.result import AlteredValues


class TableReport(Document):
    """What a run did with one table, for a person; `asked`: what somebody asked beside the usual."""

    table: str
    target: str | None = None
    mode: Mode | None = None
    asked: RequestKind | None = None
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
    failure: Failure | None = None


class RunReport(Document):
    """What a run did, as stored and as told by SNS: no watermark, no value of a row.

    `cost_usd` is an estimate, and not the sum of the tables': these share the warehouse's time.
    `paused`: the tables that the next runs leave out; `schedule_paused`: no next run comes by itself.
    """

    format: Format = FORMAT
    version: str
    source: str
    run_id: str | None = None
    execution_arn: str
    status: Literal["succeeded", "failed", "skipped"]
    started_at: str | None = None
    duration_s: float = 0.0
    cost_usd: float = 0.0
    partial: bool = False
    failure: Failure | None = None
    notes: tuple[str, ...] = ()
    tables: tuple[TableReport, ...] = ()
    paused: tuple[PausedTable, ...] = ()
    schedule_paused: bool = False
