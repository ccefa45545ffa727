"""How far the load of a run is."""

from __future__ import annotations

from typing import Literal

from tributary.model.documents import FORMAT, Document, Format
from tributary.model.plan import Failure

Phase = Literal["waiting", "staging", "staged", "widening", "publishing", "loaded", "failed"]


class TableLoad(Document):
    """How far the load of a table is."""

    number: int
    item: int  # the number of the item that has the table's plan
    table: str
    phase: Phase = "waiting"
    attempt: int = 1
    replayed_run: int = 0  # of a replay: which of its runs is loaded next; 0 until its image exists
    widened_columns: int = 0  # how many columns have their larger sizes
    deep_copy: bool = False  # the warehouse refused to widen a column, so the table is recreated
    statement: str | None = None  # the Data API's id of the batch that runs
    rows: int = 0
    unchanged: bool = False  # nothing to stage: only its control row is committed
    duration_ms: int = 0  # of the warehouse, for all its batches
    failure: Failure | None = None
    raw_table: Literal["current", "behind"] | None = None
    raw_reason: str | None = None  # why its external table is behind


class Ledger(Document):
    """The load of a whole run, one object, written by compare-and-set."""

    format: Format = FORMAT
    opened_at: float | None = None  # when the run's first call of Load was, in seconds since 1970
    idle_calls: int = 0  # calls of Load since a table last made progress: the wait grows with them
    tables: tuple[TableLoad, ...] = ()
