"""Blocks of CSV text on their way from a source to the parser, which work side by side.

One thread reads the source, another parses: PyArrow and the socket both let go of the interpreter.
The queue between them is short, so that a slow reader slows the source down instead of filling memory.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing, suppress
from dataclasses import dataclass
from queue import Full, Queue
from threading import Event, Thread

from ..errors import InternalError

BLOCK_BYTES = 8 * 1024 * 1024
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
    """The consumer has left; not an Exception, so that no driver takes it for one of its own."""


class Collector:
    """Gathers records into blocks and hands each on when it is full."""

    def __init__(self, hand_on: Callable[[Block], object], size_bytes: int) -> None:
        self._hand_on = hand_on
        self._full_bytes = size_bytes
        self._records: list[bytes] = []
        self._size_bytes = 0

    def write(self, record: bytes) -> None:
        """Take one record, its line end included."""
        self._records.append(record)
        self._size_bytes += len(record)
        if self._size_bytes >= self._full_bytes:
            self.flush()

    def flush(self) -> None:
        """Hand on what is there, if anything is."""
        if self._records:
            records, self._records, self._size_bytes = self._records, [], 0
            self._hand_on(Block(b"".join(records), len(records), records[-1]))


def collected(records: Generator[bytes], *, size_bytes: int = BLOCK_BYTES) -> Generator[Block]:
    """Yield the records in blocks, without a thread: for a source in this process."""
    full: list[Block] = []
    collector = Collector(full.append, size_bytes)
    with closing(records):
        for record in records:
            collector.write(record)
            if full:
                yield full.pop()
    collector.flush()
    yield from full


def pumped(
    fill: Callable[[Write], int | None],
    *,
    abort: Callable[[], object],
    size_bytes: int = BLOCK_BYTES,
) -> Generator[Block]:
    """Run `fill(write)` in a thread and yield what it writes, one record per call, in blocks.

    `fill` returns how many rows the server says it sent, None where it does not say; another count
    of records is an InternalError. What `fill` raises is raised here, after the blocks before it.
    Closing the generator early calls `abort`, which must make `fill` stop, and waits for the thread.
    """
    queue: Queue[Block | _End | BaseException] = Queue(WAITING_BLOCKS)
    stopped = Event()

    def put(item: Block | _End | BaseException) -> None:
        while not stopped.is_set():
            with suppress(Full):
                return queue.put(item, timeout=0.1)
        raise _Stopped

    def run() -> None:
        collector = Collector(put, size_bytes)
        with suppress(_Stopped):
            try:
                rows = fill(collector.write)
                collector.flush()
                put(_End(rows))
            except Exception as error:
                put(error)

    thread = Thread(target=run, name="source-reader", daemon=True)
    thread.start()
    finished = False
    try:
        rows = 0
        while isinstance(item := queue.get(), Block):
            rows += item.rows
            yield item
        finished = True
        if isinstance(item, BaseException):
            raise item
        if item.rows is not None and item.rows != rows:
            raise InternalError(f"the source sent {item.rows} rows and {rows} arrived")
    finally:
        if not finished:
            stopped.set()
            abort()
        thread.join()
