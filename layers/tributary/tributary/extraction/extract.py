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
from tributary.extraction.chunk_writer import ChunkExists, ChunkWriter, Place, counts, listed
from tributary.extraction.chunks import NOTHING, Footer, RangeProgress, progress
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
PAGE_SIZE_BYTES = 32 << 20  # what a page should come to: short for the source, long enough to be fast
PAGE_SIZE_BYTES_AT_MOST = 4 * PAGE_SIZE_BYTES  # where rows are wider than those before them
PAGE_S = 20
SMALLER_PAGES_AT_MOST = 5


class OutOfTime(Exception):
    """The deadline is near: what is read so far is on S3, and the rest is for the next call."""


@dataclass(slots=True)
class Session:
    """The connection to the source, opened when first needed and again after it broke."""

    engine: Engine
    secret: Secret
    statement_timeout_s: int
    connection: Any = None

    def get(self) -> Any:
        """Return the open connection."""
        if self.connection is None:
            self.connection = self.engine.connect(self.secret, statement_timeout_s=self.statement_timeout_s)
        return self.connection

    def drop(self) -> None:
        """Close the connection: the next use opens another."""
        if self.connection is not None:
            self.engine.close(self.connection)
            self.connection = None


@dataclass(frozen=True, slots=True)
class Extraction:
    """What the tables of an item share: where to read, where to write and until when.

    `stop_at` is a `time.monotonic()` instant.
    """

    plan: Plan
    bucket: Bucket
    session: Session
    chunk_size_bytes: int
    stop_at: float

    def in_time(self) -> None:
        """Raise OutOfTime where no further page should be begun."""
        if time.monotonic() >= self.stop_at:
            raise OutOfTime


def extract_item(extraction: Extraction, number: int) -> bool:
    """Extract the item's tables one after the other; say whether all of them are done.

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
    except Exception as error:  # of any kind: it must not be the failure of the tables that come after
        extraction.session.drop()  # a page that was left early may have cost the connection
        known = error if isinstance(error, PermanentError) else reduced(error)
        failure = Failure(table=table.name, error=type(known).__name__, message=str(known))
        result = TableResult(number=table.number, table=table.name, failure=failure)
        logger.error("table failed", extra={"error": failure.error, "reason": failure.message})
    result = result.model_copy(update={"duration_s": round(time.monotonic() - started, 3)})
    bucket.create(key, body(result))
    told = {"rows": result.rows, "size_bytes": result.size_bytes, "extract_s": result.duration_s}
    logger.info("table extracted", extra=told)


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
    """Read an ordered range to its end, going on after the chunks that exist."""
    plan = extraction.plan
    run_id = part.run_id or plan.run_id
    prefix = object_keys.chunk_prefix(plan.source, run_id, table.raw_name, str(part.number))
    page_rows = PageRows(table.read.page_rows)
    while True:
        done = progress(extraction.bucket, prefix)
        if done.footer.last:
            return done
        reader = RangeReader(extraction, table, part, prefix, page_rows, done.next_number, done.footer)
        with suppress(ChunkExists):  # then go on after the chunks that are there by now
            reader.run()


def read_at_once(extraction: Extraction, table: TablePlan, part: Range) -> RangeProgress:
    """Read a table without an order in one statement, under a prefix that no other attempt shares."""
    plan = extraction.plan
    name = f"{part.number}-{uuid4().hex[:12]}"
    prefix = object_keys.chunk_prefix(plan.source, plan.run_id, table.raw_name, name)
    reader = RangeReader(extraction, table, part, prefix, PageRows(None), 1, NOTHING.footer)
    try:
        reader.run()
    except ChunkExists:
        # Nobody else writes here: the chunk is ours, and S3's answer to a try before this one was lost.
        raise StorageUnavailable(f"S3 did not answer when a chunk of {table.name} was stored") from None
    except OutOfTime:
        raise TableRefused(
            f"{table.name} has no key to read it by and takes longer than one call of Extract may; "
            "give it a primary key, or set key to columns that are unique and not null"
        ) from None
    return progress(extraction.bucket, prefix)


@dataclass(slots=True)
class PageRows:
    """How many rows the next page asks for.

    As many as come to PAGE_SIZE_BYTES and to PAGE_S at the pace and width of the last ones, and fewer
    where the call's time is nearly up; a quarter of that after a cancelled query.
    """

    fixed: int | None
    rows: int = FIRST_PAGE_ROWS
    smaller: int = 0

    def __post_init__(self) -> None:
        self.rows = self.fixed or self.rows

    def learn(self, rows: int, size_bytes: int, took_s: float, left_s: float) -> None:
        """Take width and pace of the rows just read into account, and the time that is left."""
        self.smaller = 0
        if not self.fixed and rows:
            fitting = rows * PAGE_SIZE_BYTES / max(size_bytes, 1)
            in_time = rows * max(min(PAGE_S, left_s / 2), 0) / max(took_s, 0.001)
            self.rows = max(1, min(int(fitting), int(in_time), self.rows * PAGE_GROWTH, PAGE_ROWS_AT_MOST))

    def shrink(self) -> bool:
        """Ask for less after a cancelled query; say whether another try makes sense."""
        self.smaller += 1
        self.rows = max(1, self.rows // 4)
        return self.smaller <= SMALLER_PAGES_AT_MOST


@dataclass(slots=True)
class RangeReader:
    """One attempt at a range: pages in, chunks out, from a position on."""

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
        """Read until the range is done; raises OutOfTime or Overtaken with the chunks so far stored."""
        place = Place(self.extraction.bucket, self.prefix, self.part.number, self.number, self.start)
        size_bytes = self.extraction.chunk_size_bytes
        line = ChunkWriter(place, self.table.columns, self.part.order, chunk_size_bytes=size_bytes)
        try:
            try:
                while not self._read_page(line):
                    self.extraction.in_time()
            except OutOfTime:
                if self.part.order:
                    line.finish(last=False)
                raise
            line.finish(last=True)
        except BaseException:
            self.extraction.session.drop()  # it may stand in the middle of an answer: see Engine.read
            raise
        finally:
            line.stop()

    def _read_page(self, line: ChunkWriter) -> bool:
        """Read one page, smaller after a cancelled query; say whether it was the range's last.

        A page of far more bytes than it should come to is left: the next ones ask for fewer rows.
        """
        limit = self.page_rows.rows if self.part.order else None
        rows = size_bytes = 0
        began, stored, left = time.monotonic(), line.stored, False
        try:
            with closing(self._pages(limit)) as pages:
                for page in pages:
                    line.add(page)
                    self.position = page.position
                    rows += page.rows
                    size_bytes += page.size_bytes
                    if line.stored > stored:
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
        self.page_rows.learn(rows, size_bytes, now - began, self.extraction.stop_at - now)
        return limit is None or (rows < limit and not left)

    def _pages(self, limit: int | None) -> Generator[Page]:
        session = self.extraction.session
        query = self.table.query(self.part, self.position, limit)
        pages: Generator[Page] = session.engine.read(session.get(), query)
        return pages


def begin(plan: Plan, bucket: Bucket, secret: Secret, *, chunk_size_bytes: int, stop_at: float) -> Extraction:
    """Return an extraction for the plan; nothing is connected to yet."""
    session = Session(registry.get(plan.engine), secret, plan.statement_timeout_s)
    return Extraction(plan, bucket, session, chunk_size_bytes, stop_at)
