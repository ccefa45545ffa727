"""Blocks of CSV text, between a source and the parser.

A block is small enough that a few fit into memory, and large enough that no cost is paid per row. A driver
that calls us (`pumped`) runs in a thread with a short queue, so a slow reader slows the source down instead
of filling memory.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing, suppress
from dataclasses import dataclass
from queue import Full, Queue
from threading import Event, Thread

from tributary.errors import InternalError

BLOCK_BYTES = 2 * 1024 * 1024
WAITING_BLOCKS = 2

Write = Callable[[bytes], object]


@dataclass(frozen=True, slots=True)
class Block:
    """Whole CSV records, each with its line end: their text, their number and the last of them."""

    text: bytes
    rows: int
    last: bytes


@dataclass(frozen=True, slots=True)
class _End:
    rows: int | None


class _Stopped(BaseException):
    """The consumer has left; not an Exception, so that no driver handles it as one of its own."""


class Collector:
    """Gathers records into blocks."""

    def __init__(self, size_bytes: int = BLOCK_BYTES) -> None:
        self._full_bytes = size_bytes
        self._texts: list[bytes] = []
        self._size_bytes = 0
        self.taken = 0  # records in all

    def write(self, record: bytes) -> None:
        """Take one record, its line end included."""
        self._texts.append(record)
        self._size_bytes += len(record)
        self.taken += 1

    def check(self, sent: int) -> None:
        """Raise InternalError if the server reports that it sent another number of records."""
        if sent != self.taken:
            raise InternalError(f"the source sent {sent} rows and {self.taken} arrived")

    def full(self) -> Generator[Block]:
        """Yield the block that is full, if one is."""
        if self._size_bytes >= self._full_bytes:
            yield from self.rest()

    def rest(self) -> Generator[Block]:
        """Yield the records that are left as a block, if there are any."""
        if self._texts:
            block = Block(b"".join(self._texts), len(self._texts), self._texts[-1])
            self._texts, self._size_bytes = [], 0
            yield block


def collected(records: Generator[bytes], *, size_bytes: int = BLOCK_BYTES) -> Generator[Block]:
    """Yield the records, each with its line end, in blocks."""
    collector = Collector(size_bytes)
    with closing(records):
        for record in records:
            collector.write(record)
            yield from collector.full()
    yield from collector.rest()


def pumped(
    fill: Callable[[Write], int | None],
    *,
    abort: Callable[[], object],
    size_bytes: int = BLOCK_BYTES,
) -> Generator[Block]:
    """Run `fill(write)` in a thread and yield what it writes, one record per call, in blocks.

    `fill` returns how many rows the server says it sent, None if it does not; another count
    of records is an InternalError. What `fill` raises is raised here, after the blocks before it.
    Closing the generator early calls `abort`, which must make `fill` stop, and waits for the thread.
    """
    queue: Queue[Block | _End | BaseException] = Queue(WAITING_BLOCKS)
    stopped = Event()
    collector = Collector(size_bytes)

    def put(item: Block | _End | BaseException) -> None:
        while not stopped.is_set():
            with suppress(Full):
                return queue.put(item, timeout=0.1)
        raise _Stopped

    def write(record: bytes) -> None:
        collector.write(record)
        for block in collector.full():
            put(block)

    def run() -> None:
        with suppress(_Stopped):
            try:
                rows = fill(write)
                for block in collector.rest():
                    put(block)
                put(_End(rows))
            except Exception as error:
                put(error)

    thread = Thread(target=run, name="source-reader", daemon=True)
    thread.start()
    finished = False
    try:
        while isinstance(item := queue.get(), Block):
            yield item
        finished = True
        if isinstance(item, BaseException):
            raise item
        if item.rows is not None:
            collector.check(item.rows)
    finally:
        if not finished:
            stopped.set()
            abort()
        thread.join()
