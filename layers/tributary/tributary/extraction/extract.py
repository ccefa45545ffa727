"""Extract: the tables of one item, from keyset pages to immutable chunks, until done or out of time.

The rule: whatever happens, calling it again with the same item is right. A table with a result is
left alone; a range goes on after its highest chunk; a chunk that another attempt created first is
taken over with its end. What fails for good becomes that table's result and stops no other table.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Generator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from tributary.engines import registry
from tributary.engines.protocol import Engine
from tributary.errors import (
    PermanentError,
    QueryCancelled,
    StorageUnavailable,
    TableRefused,
    TransientError,
)
from tributary.extraction.chunk_writer import ChunkExists, ChunkWriter, RangeStart, counts, listed
from tributary.extraction.chunks import NOTHING, Codec, Footer, RangeProgress, progress
from tributary.model import text_lengths
from tributary.model.plan import Failure, Plan, Range, TablePlan
from tributary.model.query import Page
from tributary.model.result import Chunk, TableResult
from tributary.observability import logger, reduced
from tributary.reading.values import Counts
from tributary.secret import Secret
from tributary.storage import object_keys, plans, results
from tributary.storage.bucket import Bucket, body

FIRST_PAGE_ROWS = 1_000
PAGE_ROWS_AT_MOST = 500_000
PAGE_GROWTH = 16  # how much wider than the last page a page may be
PAGE_SIZE_BYTES = 32 << 20  # of a page, about: short for the source, long enough to be fast
PAGE_SIZE_BYTES_AT_MOST = 4 * PAGE_SIZE_BYTES  # if rows are wider than those before them
PAGE_S = 20
SMALLER_PAGES_AT_MOST = 5


class OutOfTime(Exception):
    """The deadline is near: what was read is on S3, and the next call reads the rest."""


@dataclass(slots=True)
class Session:
    """The connection to the source, opened when first needed, and again after it broke."""

    engine: Engine
    secret: Secret
    statement_timeout_s: int
    visible_rows: bool = False  # read only the rows that the user may see under row-level security
    connection: Any = None

    def get(self) -> Any:
        """Return the open connection."""
        if self.connection is None:
            self.connection = self.engine.connect(
                self.secret, statement_timeout_s=self.statement_timeout_s, visible_rows=self.visible_rows
            )
        return self.connection

    def drop(self) -> None:
        """Close the connection: the next use opens another."""
        if self.connection is not None:
            self.engine.close(self.connection)
            self.connection = None


@dataclass(frozen=True, slots=True)
class Extraction:
    """What the tables of an item share: where to read, where to write, and until when."""

    plan: Plan
    bucket: Bucket
    session: Session
    chunk_size_bytes: int
    stop_at: float  # a time.monotonic() instant
    codec: Codec = "snappy"  # of chunks

    def in_time(self) -> None:
        """Raise OutOfTime if no further page should be read."""
        if time.monotonic() >= self.stop_at:
            raise OutOfTime


def extract_item(extraction: Extraction, number: int) -> bool:
    """Extract the item's tables one after the other; return whether all of them are done.

    Raises a TransientError only after every other table had its turn.
    """
    plan, bucket = extraction.plan, extraction.bucket
    item = plans.item(bucket, plan, number)
    postponed: TransientError | None = None
    try:
        for table in item.tables:
            try:
                extract_table(extraction, table)
            except TransientError as error:
                postponed = postponed or error
                extraction.session.drop()
    except OutOfTime:
        return False
    finally:
        extraction.session.drop()
    if postponed:
        raise postponed
    return True


def extract_table(extraction: Extraction, table: TablePlan) -> None:
    """Extract a table that has no result yet and write its result."""
    plan, bucket = extraction.plan, extraction.bucket
    key = results.key(plan, table, table.read.range_index)
    if bucket.read(key) is not None:
        return
    started = time.monotonic()
    logger.append_keys(table=table.name)
    try:
        result = _read_table(extraction, table)
    except (OutOfTime, TransientError):
        raise
    except Exception as error:  # of any kind: the tables after it must be read
        extraction.session.drop()  # a page that was left early may have broken the connection
        known = error if isinstance(error, PermanentError) else reduced(error)
        failure = Failure(table=table.name, error=type(known).__name__, message=str(known))
        result = TableResult(number=table.number, table=table.name, failure=failure)
        logger.error("table failed", extra={"error": failure.error, "reason": failure.message})
    result = result.model_copy(update={"duration_s": round(time.monotonic() - started, 3)})
    bucket.create(key, body(result))
    figures = {"rows": result.rows, "size_bytes": result.size_bytes, "extract_s": result.duration_s}
    logger.info("table extracted", extra=figures)


def _read_table(extraction: Extraction, table: TablePlan) -> TableResult:
    chunks: list[Chunk] = []
    rows = 0
    altered: Counts = Counter()
    longest: text_lengths.Longest = ()
    for part in table.read.ranges:
        read = read_range(extraction, table, part) if part.order else read_at_once(extraction, table, part)
        chunks.extend(read.loadable())
        rows += read.footer.total_rows
        altered += counts(read.footer.altered)
        longest = text_lengths.longer(longest, read.footer.longest)
    return TableResult(
        number=table.number,
        table=table.name,
        chunks=tuple(chunks),
        rows=rows,
        size_bytes=sum(chunk.size_bytes for chunk in chunks),
        altered=listed(altered),
        longest=longest,
    )


def read_range(extraction: Extraction, table: TablePlan, part: Range) -> RangeProgress:
    """Read an ordered range to its end, starting after the chunks that exist."""
    plan = extraction.plan
    run_id = part.run_id or plan.run_id
    prefix = object_keys.chunk_prefix(
        plan.source, run_id, table.raw_name, str(part.number), folder=part.folder
    )
    page_rows = PageRows(table.read.page_rows)
    while True:
        done = progress(extraction.bucket, prefix, table.identity, named=part.folder is None)
        if done.footer.last:
            return done
        reader = RangeReader(extraction, table, part, prefix, page_rows, done.next_number, done.footer)
        with suppress(ChunkExists):  # then continue after the chunks that exist by now
            reader.run()


def read_at_once(extraction: Extraction, table: TablePlan, part: Range) -> RangeProgress:
    """Read a table without an order in one statement, under a prefix of this attempt's own."""
    plan = extraction.plan
    name = f"{part.number}-{uuid4().hex[:12]}"
    prefix = object_keys.chunk_prefix(plan.source, plan.run_id, table.raw_name, name)
    reader = RangeReader(extraction, table, part, prefix, PageRows(None), 1, NOTHING.footer)
    try:
        reader.run()
    except ChunkExists:
        # No other attempt writes here: the chunk is ours, and S3's answer to an earlier try was lost.
        raise StorageUnavailable(f"S3 did not answer when a chunk of {table.name} was stored") from None
    except OutOfTime:
        raise TableRefused(
            f"{table.name} has no key to read it by and takes longer than one call of Extract may; "
            "give it a primary key, or set key to columns that are unique and not null"
        ) from None
    return progress(extraction.bucket, prefix, table.identity)


@dataclass(slots=True)
class PageRows:
    """The number of rows of the next page, from the width and pace of the last ones.

    A page should reach neither PAGE_SIZE_BYTES nor PAGE_S, nor the end of the call's time. After a
    cancelled query the number is a quarter.
    """

    fixed: int | None  # by page_rows of the source's file
    rows: int = FIRST_PAGE_ROWS
    smaller: int = 0  # times in a row, after cancelled queries

    def __post_init__(self) -> None:
        self.rows = self.fixed or self.rows

    def learn(self, rows: int, size_bytes: int, took_s: float, left_s: float) -> None:
        """Adjust to the width and pace of the rows just read, and to the time that is left."""
        self.smaller = 0
        if not self.fixed and rows:
            fitting = rows * PAGE_SIZE_BYTES / max(size_bytes, 1)
            in_time = rows * max(min(PAGE_S, left_s / 2), 0) / max(took_s, 0.001)
            self.rows = max(1, min(int(fitting), int(in_time), self.rows * PAGE_GROWTH, PAGE_ROWS_AT_MOST))

    def shrink(self) -> bool:
        """Ask for fewer rows after a cancelled query; return whether another try makes sense."""
        self.smaller += 1
        self.rows = max(1, self.rows // 4)
        return self.smaller <= SMALLER_PAGES_AT_MOST


@dataclass(slots=True)
class RangeReader:
    """One attempt at a range: it reads pages from a position on, and writes chunks."""

    extraction: Extraction
    table: TablePlan
    part: Range
    prefix: str
    page_rows: PageRows
    number: int
    start: Footer
    position: tuple[str, ...] | None = field(init=False)

    def __post_init__(self) -> None:
        self.position = self.start.position

    def run(self) -> None:
        """Read until the range is done; raises OutOfTime or ChunkExists after storing the chunks so far."""
        start = RangeStart(
            self.extraction.bucket,
            self.prefix,
            self.table.identity,
            self.part.number,
            self.number,
            self.start,
        )
        writer = ChunkWriter(
            start,
            self.table.columns,
            self.part.order,
            chunk_size_bytes=self.extraction.chunk_size_bytes,
            codec=self.extraction.codec,
        )
        try:
            try:
                while not self._read_page(writer):
                    self.extraction.in_time()
            except OutOfTime:
                if self.part.order:
                    writer.finish(last=False)
                raise
            writer.finish(last=True)
        except BaseException as error:
            self.extraction.session.drop()  # it may be in the middle of an answer: see Engine.read
            if self.part.order and isinstance(error, Exception) and not isinstance(error, OutOfTime):
                writer.keep()
            raise
        finally:
            writer.stop()

    def _read_page(self, writer: ChunkWriter) -> bool:
        """Read one page; return whether it was the range's last.

        A page that is far too large is left early, and the next ones ask for fewer rows.
        """
        limit = self.page_rows.rows if self.part.order else None
        rows = size_bytes = 0
        started, stored, left = time.monotonic(), writer.stored, False
        try:
            with closing(self._pages(limit)) as pages:
                for page in pages:
                    writer.add(page)
                    self.position = page.position
                    rows += page.rows
                    size_bytes += page.size_bytes
                    if writer.stored > stored:
                        self.extraction.in_time()
                    if limit and rows < limit and size_bytes > PAGE_SIZE_BYTES_AT_MOST:
                        left = True
                        break
        except QueryCancelled:
            self.extraction.session.drop()
            if not self.part.order or not self.page_rows.shrink():
                raise
            return False
        if left:
            self.extraction.session.drop()  # see Engine.read
        now = time.monotonic()
        self.page_rows.learn(rows, size_bytes, now - started, self.extraction.stop_at - now)
        return limit is None or (rows < limit and not left)

    def _pages(self, limit: int | None) -> Generator[Page]:
        session = self.extraction.session
        query = self.table.query(self.part, self.position, limit)
        pages: Generator[Page] = session.engine.read(session.get(), query)
        return pages


def begin(
    plan: Plan,
    bucket: Bucket,
    secret: Secret,
    *,
    chunk_size_bytes: int,
    stop_at: float,
    codec: Codec = "snappy",
) -> Extraction:
    """Return an extraction for the plan; it does not connect yet."""
    session = Session(
        registry.get(plan.engine), secret, plan.statement_timeout_s, visible_rows=plan.rows == "visible"
    )
    return Extraction(plan, bucket, session, chunk_size_bytes, stop_at, codec)
