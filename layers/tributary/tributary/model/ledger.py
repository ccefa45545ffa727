"""How far the load of a run is."""

from __future__ import annotations

from typing import Literal

from tributary.model.documents import FORMAT, Document, Format
from tributary.model.plan import Failure

Phase = Literal["waiting", "staging", "staged", "widening", "publishing", "loaded", "failed"]


class TableLoad(Document):
    """How far the load of a table is; `statement` is the Data API's id of the batch under way.

    `item` is where the table's plan stands; `duration_ms` sums the warehouse's time; `run`, of a table
    that is made anew, is the place of the run whose rows are due, 0 before there is an image; `widened`
    counts the columns that have got their larger sizes, `remake` says that the warehouse refused one.
    """

    number: int
    item: int
    table: str
    phase: Phase = "waiting"
    attempt: int = 1
    run: int = 0
    widened: int = 0
    remake: bool = False
    statement: str | None = None
    rows: int = 0
    quiet: bool = False
    duration_ms: int = 0
    failure: Failure | None = None
    raw_table: Literal["current", "behind"] | None = None
    raw_reason: str | None = None


class Ledger(Document):
    """The load of a whole run, one object, written by compare-and-set.

    `idle_calls` counts the calls of Load since a table last moved: the wait grows with them.
    """

    format: Format = FORMAT
    idle_calls: int = 0
    tables: tuple[TableLoad, ...] = ()
