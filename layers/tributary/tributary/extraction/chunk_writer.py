"""Turns pages into chunks on S3, in three threads: one parses pages, one encodes chunks, one stores them.

So the thread that reads the source never waits for them, unless they are slower. Chunks are stored in
order, one at a time. A failure in one thread is raised at the next call, and nothing after it is stored.
Memory and disk are bounded: each thread has one item and a short queue, and one chunk grows while the one
before it is stored.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from queue import Queue
from threading import BoundedSemaphore, Thread
from typing import TYPE_CHECKING, BinaryIO, Generic, TypeVar

from tributary.extraction import memory
from tributary.extraction.chunks import ChunkBuilder, Codec, Footer
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
    """Another attempt created this chunk first: continue after its last row."""


class _Stopped(Exception):
    """The caller has left; items that wait are dropped."""


class Step(Generic[ItemT]):
    """A thread that works on one item after the other, until the first failure."""

    def __init__(self, name: str, work: Callable[[ItemT], object], *, waiting: int = 0) -> None:
        self._work = work
        self._room = BoundedSemaphore(waiting + 1)  # the item that is worked on counts too
        self._queue: Queue[ItemT | None] = Queue()
        self._failure: BaseException | None = None
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: ItemT) -> None:
        """Queue the next item, as soon as there is room; raises what failed before it."""
        self._room.acquire()
        if self._failure is not None:
            self._room.release()
            raise self._failure
        self._queue.put(item)

    def close(self) -> None:
        """Wait until all items are done; raises what failed."""
        self._queue.put(None)
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    @property
    def failed(self) -> bool:
        """Say whether it has failed or was stopped."""
        return self._failure is not None

    def drain(self) -> None:
        """Wait until everything handed on before a failure is done; never raises."""
        self._queue.put(None)
        self._thread.join()

    def stop(self) -> None:
        """Wait for the current item and drop the others; never raises."""
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
class RangeStart:
    """Where an attempt at a range starts to write."""

    bucket: Bucket
    prefix: str  # of the range's chunks
    identity: tuple[str, ...]  # of the table
    range_number: int
    number: int  # of the next chunk
    footer: Footer  # of the chunk before it


@dataclass(frozen=True, slots=True)
class Parsed:
    """A parsed page; its text is gone, which takes more memory."""

    position: tuple[str, ...] | None
    table: pyarrow.Table
    altered: Mapping[tuple[str, Fault], int]


class ChunkWriter:
    """Turns the pages of one attempt at a range into chunks on S3."""

    def __init__(
        self,
        start: RangeStart,
        columns: tuple[Column, ...],
        order: Iterable[str],
        *,
        chunk_size_bytes: int,
        codec: Codec = "snappy",
    ) -> None:
        memory.keep_small()
        self.stored = 0  # chunks so far
        self._start = start
        self._columns, self._order = columns, tuple(order)
        self._chunk_size_bytes, self._codec = chunk_size_bytes, codec
        self._number = start.number
        self._position = start.footer.position
        self._total_rows = start.footer.total_rows
        self._altered = counts(start.footer.altered)
        self._measured = text_lengths.places(columns)
        self._longest = start.footer.longest
        self._chunk = self._new_chunk()
        self._storing = Step("chunk-storer", self._put)
        self._encoding = Step("chunk-encoder", self._add, waiting=PAGES_PARSED)
        self._parsing = Step("page-parser", self._parse, waiting=1)

    def add(self, page: Page) -> None:
        """Take the next page; raises what failed on an earlier one, such as ChunkExists."""
        self._parsing.put(page)

    def finish(self, *, last: bool) -> None:
        """Store the last rows; `last`: the range has no more, so a chunk is stored even if empty."""
        self._parsing.close()
        self._encoding.close()
        if last or self._chunk.rows:
            self._store(last=last)
        self._storing.close()

    def keep(self) -> None:
        """Store the pages before the one that failed, so that the next attempt continues after them.

        How far the threads have come then does not matter. An error here changes nothing: the caller
        raises the one that ended the attempt.
        """
        self._parsing.drain()
        self._encoding.drain()
        with suppress(Exception):
            if self._chunk.rows and not self._encoding.failed:
                self._store(last=False)
        self._storing.drain()

    def stop(self) -> None:
        """Drop what is not stored; called after `finish` or instead of it; never raises."""
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
            table=self._start.identity,
            position=self._position,
            last=last,
            rows=self._chunk.rows,
            total_rows=self._total_rows,
            altered=listed(self._altered),
            longest=self._longest,
        )

    def _new_chunk(self) -> ChunkBuilder:
        range_number, codec = self._start.range_number, self._codec
        return ChunkBuilder(self._columns, range_number, self._number, ordered_by=self._order, codec=codec)

    def _put(self, finished: tuple[int, int, BinaryIO]) -> None:
        number, rows, content = finished
        with content:
            size_bytes = os.fstat(content.fileno()).st_size
            if not self._start.bucket.create_raw(object_keys.chunk(self._start.prefix, number), content):
                raise ChunkExists
        self.stored += 1
        logger.info("chunk stored", extra={"number": number, "rows": rows, "size_bytes": size_bytes})


def counts(altered: Iterable[AlteredValues]) -> Counts:
    """Return a footer's counts of altered values as a counter."""
    return Counter({(one.column, one.fault): one.values for one in altered})


def listed(counted: Counts) -> tuple[AlteredValues, ...]:
    """Return the counts of altered values as a document holds them."""
    return tuple(
        AlteredValues(column=column, fault=fault, values=values)
        for (column, fault), values in sorted(counted.items())
    )
