"""The assembly line of a range: one thread parses pages, one encodes chunks of them, one stores those.

Whoever reads the source hands pages on and reads on. Chunks are stored in order, one at a time; what
fails in one step is raised where the next thing is handed to it, and nothing after it is stored.
Memory and disk are bounded: parser and encoder have one thing each and a few that wait, and one chunk grows
while one is stored.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from queue import Queue
from threading import BoundedSemaphore, Thread
from typing import TYPE_CHECKING, BinaryIO, Generic, TypeVar

from tributary.extraction import memory
from tributary.extraction.chunks import ChunkBuilder, Footer
from tributary.model import text_lengths
from tributary.model.plan import Column
from tributary.model.query import Page
from tributary.model.result import AlteredValues
from tributary.model.value_policies import Fault
from tributary.observability import logger
from tributary.reading.values import Counts
from tributary.storage import object_keys
from tributary.storage.bucket import Bucket

if TYPE_CHECKING:
    import pyarrow

CHUNK_ROWS_AT_MOST = 4_000_000
PAGES_PARSED = 3  # that wait for the encoder: it takes a row group of about four pages at once

ItemT = TypeVar("ItemT")


class ChunkExists(Exception):
    """Another attempt created this chunk first: its end is where to go on."""


class _Stopped(Exception):
    """Whoever handed things on has left."""


class Step(Generic[ItemT]):
    """A thread that does its work on one thing after the other, until the first failure."""

    def __init__(self, name: str, work: Callable[[ItemT], object], *, waiting: int = 0) -> None:
        self._work = work
        self._room = BoundedSemaphore(waiting + 1)  # the one that is being worked on counts too
        self._queue: Queue[ItemT | None] = Queue()
        self._failure: BaseException | None = None
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: ItemT) -> None:
        """Hand the next thing on, once there is room for it; raises what failed before it."""
        self._room.acquire()
        if self._failure is not None:
            self._room.release()
            raise self._failure
        self._queue.put(item)

    def close(self) -> None:
        """Wait until everything is done; raises what failed."""
        self._queue.put(None)
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Wait for what is under way and do nothing more; never raises."""
        self._failure = self._failure or _Stopped()
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            try:
                if self._failure is None:
                    self._work(item)
            except BaseException as failure:
                self._failure = failure
            finally:
                del item  # or a page would stay in memory until the next one comes
                self._room.release()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a range's chunks go: under the prefix, from this number and this end of rows on."""

    bucket: Bucket
    prefix: str
    range_number: int
    number: int
    start: Footer


@dataclass(frozen=True, slots=True)
class Parsed:
    """A page without the text that it was made of."""

    position: tuple[str, ...] | None
    table: pyarrow.Table
    altered: Mapping[tuple[str, Fault], int]


class ChunkWriter:
    """Turns the pages of one attempt at a range into chunks on S3."""

    def __init__(
        self, place: Place, columns: tuple[Column, ...], order: Iterable[str], *, chunk_size_bytes: int
    ) -> None:
        memory.keep_small()
        self.stored = 0  # chunks, so far
        self._place = place
        self._columns, self._order = columns, tuple(order)
        self._chunk_size_bytes = chunk_size_bytes
        self._number = place.number
        self._position = place.start.position
        self._total_rows = place.start.total_rows
        self._altered = counts(place.start.altered)
        self._measured = text_lengths.places(columns)
        self._longest = place.start.longest
        self._chunk = self._new_chunk()
        self._storing = Step("chunk-storer", self._put)
        self._encoding = Step("chunk-encoder", self._add, waiting=PAGES_PARSED)
        self._parsing = Step("page-parser", self._parse, waiting=1)

    def add(self, page: Page) -> None:
        """Take the next page; raises what failed on an earlier one, ChunkExists among it."""
        self._parsing.put(page)

    def finish(self, *, last: bool) -> None:
        """Store what is left; `last` says that the range has no more rows, even if it had none."""
        self._parsing.close()
        self._encoding.close()
        if last or self._chunk.rows:
            self._store(last=last)
        self._storing.close()

    def stop(self) -> None:
        """Leave what is not stored, after `finish` or instead of it; never raises."""
        self._parsing.stop()
        self._encoding.stop()
        self._storing.stop()
        self._chunk.drop()

    def _parse(self, page: Page) -> None:
        self._encoding.put(Parsed(page.position, *page.parse()))

    def _add(self, parsed: Parsed) -> None:
        full = self._chunk.size_bytes >= self._chunk_size_bytes or self._chunk.rows >= CHUNK_ROWS_AT_MOST
        if self._chunk.rows and full:
            self._store(last=False)
        self._chunk.add(parsed.table)
        memory.give_back()
        self._total_rows += parsed.table.num_rows
        self._altered.update(parsed.altered)
        self._longest = text_lengths.longer(
            self._longest, text_lengths.measured(parsed.table, self._measured)
        )
        self._position = parsed.position

    def _store(self, *, last: bool) -> None:
        content = self._chunk.finish(self._footer(last=last))
        number, rows = self._number, self._chunk.rows
        self._number += 1
        self._chunk = self._new_chunk()
        try:
            self._storing.put((number, rows, content))
        except BaseException:
            content.close()
            raise

    def _footer(self, *, last: bool) -> Footer:
        return Footer(
            position=self._position,
            last=last,
            rows=self._chunk.rows,
            total_rows=self._total_rows,
            altered=listed(self._altered),
            longest=self._longest,
        )

    def _new_chunk(self) -> ChunkBuilder:
        return ChunkBuilder(self._columns, self._place.range_number, self._number, ordered_by=self._order)

    def _put(self, finished: tuple[int, int, BinaryIO]) -> None:
        number, rows, content = finished
        with content:
            size_bytes = os.fstat(content.fileno()).st_size
            if not self._place.bucket.create_raw(object_keys.chunk(self._place.prefix, number), content):
                raise ChunkExists
        self.stored += 1
        logger.info("chunk stored", extra={"number": number, "rows": rows, "size_bytes": size_bytes})


def counts(altered: Iterable[AlteredValues]) -> Counts:
    """Return a footer's counts of altered values as they are added to."""
    return Counter({(one.column, one.fault): one.values for one in altered})


def listed(counted: Counts) -> tuple[AlteredValues, ...]:
    """Return the counts of altered values as documents hold them."""
    return tuple(
        AlteredValues(column=column, fault=fault, values=values)
        for (column, fault), values in sorted(counted.items())
    )
