"""What Extract did: chunks on S3, and the result of each table."""

from __future__ import annotations

from tributary.model.documents import FORMAT, Document, Format
from tributary.model.plan import Failure, TablePlan
from tributary.model.value_policies import Fault


class AlteredValues(Document):
    """How many values of a column had a fault and were altered by its policy."""

    column: str
    fault: Fault
    values: int


class Chunk(Document):
    """One Parquet object of a range's sequence that holds rows to load."""

    key: str
    size_bytes: int


class ReplayedRun(Document):
    """What an earlier run read of a table and loaded: its own plan and chunks, to be loaded again."""

    format: Format = FORMAT
    run_id: str
    table: TablePlan
    chunks: tuple[Chunk, ...]
    rows: int
    longest: tuple[int, ...] | None = None


class TableResult(Document):
    """What Extract did with a table or one of its ranges: its chunks in order, or the failure."""

    format: Format = FORMAT
    number: int
    table: str
    chunks: tuple[Chunk, ...] = ()
    rows: int = 0
    size_bytes: int = 0
    duration_s: float = 0.0
    altered: tuple[AlteredValues, ...] = ()
    longest: tuple[int, ...] | None = None  # see `text_lengths.Longest`
    failure: Failure | None = None
