"""Chunks: Parquet objects whose footer holds the position after their last row.

A range's chunks are one immutable sequence, and each is created once. Any attempt continues after the
highest chunk that exists, so two attempts at once still build one sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, cast

from pydantic import BaseModel, ConfigDict

from tributary.errors import InternalError, PlanOutdated
from tributary.model.documents import FORMAT
from tributary.model.own_columns import SEQUENCE
from tributary.model.plan import Column
from tributary.model.result import AlteredValues, Chunk
from tributary.model.types import arrow
from tributary.storage import object_keys
from tributary.storage.bucket import Bucket, Stored

if TYPE_CHECKING:
    import pyarrow

FOOTER_KEY = b"tributary"
TAIL_BYTES = 131_072  # more than most footers; for a longer one the whole object is read
ROWS_AT_MOST = 1 << 23  # a row's number within its chunk has 24 bits
ROW_GROUP_BYTES = 8 << 20  # of Arrow columns, before encoding
COMPRESSED = 4  # times, about
# Redshift's pages on COPY and Spectrum name snappy for Parquet, and never zstd: "COPY from columnar data
# formats", "Data files for queries in Amazon Redshift Spectrum".
Codec = Literal["snappy", "zstd"]
LEVELS: dict[Codec, int | None] = {"snappy": None, "zstd": 1}
SAMPLE_ROWS = 50_000


class Footer(BaseModel):
    """A chunk's own metadata. Totals are stored with the rows, so no attempt counts a row twice."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    table: tuple[str, ...] | None = None  # TablePlan.identity; None in format 3
    position: tuple[str, ...] | None  # of the last row, in the order of reading; None without an order
    last: bool  # the range has no rows after it
    rows: int
    total_rows: int  # of the sequence up to this chunk's end, as are the next two
    altered: tuple[AlteredValues, ...] = ()
    longest: tuple[int, ...] | None = None  # see text_lengths.Longest


@dataclass(frozen=True, slots=True)
class RangeProgress:
    """How far a range is stored: its chunks that exist, and the footer of the last one."""

    chunks: tuple[Stored, ...]
    footer: Footer

    @property
    def next_number(self) -> int:
        """Return the number of the next chunk."""
        return len(self.chunks) + 1

    def loadable(self) -> tuple[Chunk, ...]:
        """Return the chunks that hold rows: an empty last one only marks the end of the range."""
        held = self.chunks if self.footer.rows else self.chunks[:-1]
        return tuple(Chunk(key=chunk.key, size_bytes=chunk.size_bytes) for chunk in held)


NOTHING = RangeProgress((), Footer(position=None, last=False, rows=0, total_rows=0, longest=()))


def progress(bucket: Bucket, prefix: str, identity: tuple[str, ...], *, named: bool = True) -> RangeProgress:
    """Return how far the table's range under the prefix is stored.

    `named`: all footers name their table. Raises InternalError if one names another table than `identity`.
    """
    chunks = tuple(bucket.list(prefix))
    if not chunks:
        return NOTHING
    if [object_keys.chunk_number(chunk.key) for chunk in chunks] != list(range(1, len(chunks) + 1)):
        raise InternalError(f"chunks under {prefix} have a gap; start the source's run again")
    footer = read_footer(bucket, chunks[-1])
    if footer.table != identity and (named or footer.table is not None):
        raise InternalError(f"{chunks[-1].key} is not a chunk of this table; report it: no name may do this")
    return RangeProgress(chunks, footer)


def read_footer(bucket: Bucket, chunk: Stored) -> Footer:
    """Return the footer of a chunk that exists."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for size_bytes in (min(TAIL_BYTES, chunk.size_bytes), chunk.size_bytes):
        try:
            metadata = pq.read_metadata(pa.BufferReader(bucket.read_tail(chunk.key, size_bytes)))
        except (pa.ArrowException, OSError, ValueError):
            continue  # the footer is longer than the tail that was read, or no chunk's
        with suppress(KeyError, ValueError):  # whose text could hold a position
            return Footer.model_validate_json((metadata.metadata or {})[FOOTER_KEY])
        break
    raise PlanOutdated(f"{chunk.key} is not a chunk of this version; start the run again")


def schema(columns: Sequence[Column]) -> pyarrow.Schema:
    """Return the Arrow schema of a table's chunks: its columns under their warehouse names, then SEQUENCE."""
    import pyarrow as pa

    fields = [pa.field(column.target, arrow(column.kind)) for column in columns]
    return pa.schema([*fields, pa.field(SEQUENCE, pa.int64())])


class ChunkBuilder:
    """One chunk under construction, in a temporary file that is compressed as it grows.

    So memory holds a few pages and never a chunk, however large chunks are. `ordered_by` names the columns
    by which rows are ordered, the most significant first.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        range_number: int,
        number: int,
        *,
        ordered_by: Sequence[str] = (),
        codec: Codec = "snappy",
    ) -> None:
        self.schema = schema(columns)
        self.rows = 0
        self._first = (range_number << 48) | (number << 24)
        targets = {column.name: column.target for column in columns}
        self._ordered_by = [targets[name] for name in ordered_by if name in targets]
        self._codec: Codec = codec
        self._file = TemporaryFile(prefix="chunk-")  # noqa: SIM115 - finish hands it on, drop closes it
        self._writer: Any = None
        self._waiting: list[pyarrow.Table] = []  # few large row groups take less time and space than many
        self._waiting_bytes = 0

    @property
    def size_bytes(self) -> int:
        """Return the size of what is written, and an estimate for the rows that wait."""
        return self._file.tell() + self._waiting_bytes // COMPRESSED

    def add(self, rows: pyarrow.Table) -> None:
        """Append rows, in reading order."""
        import pyarrow as pa

        start = self._first + self.rows
        sequence = pa.arange(start, start + rows.num_rows)
        self._waiting.append(pa.Table.from_arrays([*rows.columns, sequence], schema=self.schema))
        self._waiting_bytes += rows.nbytes
        self.rows += rows.num_rows
        if self._waiting_bytes >= ROW_GROUP_BYTES:
            self._write_group()

    def _write_group(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        group = pa.concat_tables(self._waiting) if self._waiting else self.schema.empty_table()
        self._waiting, self._waiting_bytes = [], 0
        if self._writer is None:
            self._writer = pq.ParquetWriter(
                self._file,
                self.schema,
                compression=self._codec,
                compression_level=LEVELS[self._codec],
                # Without repeated values a dictionary is most of the work and makes the column larger. In
                # the first column of the order equal values are neighbours, which both codecs compress alone.
                use_dictionary=[name for name in repetitive(group) if name not in self._ordered_by[:1]],
                # Minima and maxima let a reader skip row groups only if the rows are ordered.
                write_statistics=self._ordered_by,
            )
        self._writer.write_table(group)

    def finish(self, footer: Footer) -> BinaryIO:
        """Return the object's content with the footer; the caller closes it."""
        if self._waiting or self._writer is None:
            self._write_group()
        self._writer.add_key_value_metadata({FOOTER_KEY.decode(): footer.model_dump_json()})
        self._writer.close()
        self._file.seek(0)
        return cast(BinaryIO, self._file)

    def drop(self) -> None:
        """Drop the chunk instead of finishing it."""
        self._file.close()


def repetitive(rows: pyarrow.Table) -> list[str]:
    """Return the columns whose values occur twice on average or more often, in a sample of the first rows."""
    import pyarrow.compute as pc

    sample = rows.slice(0, SAMPLE_ROWS).drop_columns([SEQUENCE])
    return [
        name
        for name, column in zip(sample.column_names, sample.columns, strict=True)
        if 2 * pc.count_distinct(column, mode="all").as_py() <= sample.num_rows
    ]
