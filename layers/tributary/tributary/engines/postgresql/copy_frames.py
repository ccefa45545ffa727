r"""COPY's rows straight off pg8000's socket: megabytes at a time, where the driver calls us per row.

A row comes as a message: a code, a length and a CSV record. A regular expression takes the heads out
between a record's end and the next one. No text of PostgreSQL holds a NUL, and every head does: what
is left without one is rows and nothing else. Whatever is not such a stretch is walked message by message.
(https://www.postgresql.org/docs/current/protocol-message-formats.html)
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from struct import Struct
from typing import Any

import pg8000.core

from tributary.reading.csv_blocks import Block, Collector
from tributary.reading.receive_buffer import Window

HEAD = Struct("!cI")  # of every message: its code, and its length without the code
ROW = b"\nd\0"  # a record's end and the next row's head, with the first byte of a length below 16 MiB
DONE = b"\nc\0\0\0\x04"  # the last record's end, and CopyDone
EDGE = re.compile(rb"\nd\0...", re.DOTALL)
SIGHT_AT_MOST = 0xFFFFFF  # no row whose length has another first byte stands whole in it
READY = b"Z\0\0\0\x05"  # ReadyForQuery ends every answer
NEWS_BYTES = 4096  # notices and settings that may have come with an answer's end, and more
OPENED = b"H"  # CopyOutResponse, before the first row
PASSED_ON = (b"E", b"C", b"N", b"S", b"A", b"Z")  # errors, counts and news are the driver's to understand


def usable(driver: Any) -> bool:
    """Say whether the driver has the parts that this reads through, which are not its public ones."""
    handlers = getattr(driver, "message_types", {})
    return (
        all(code in handlers for code in PASSED_ON)
        and callable(getattr(driver, "send_QUERY", None))
        and hasattr(getattr(driver, "_sock", None), "read1")
        and hasattr(pg8000.core, "Context")
    )


def blocks(driver: Any, sql: str) -> Generator[Block]:
    """Run the COPY and yield its rows in blocks.

    Raises what the driver would. Left early, the connection stands in the middle of an answer.
    """
    context = pg8000.core.Context(sql)
    driver.send_QUERY(sql)
    driver._sock.flush()
    collector = Collector()
    window, ended = Window(driver._sock), False
    while not ended:
        window.read(_ends, at_least=_wanted(window))
        if (yield from _at_once(window, collector)):
            continue
        for code, message in _messages(window):
            if code == b"d":
                collector.write(message)
                continue
            if code in PASSED_ON:
                driver.message_types[code](message, context)
            ended = ended or code == b"Z"  # news may come after it
            # Not after news too: with a notice for every row, all rows in sight would be looked at each time.
            if code == OPENED and (yield from _at_once(window, collector)):
                break
        yield from collector.full()
    yield from collector.rest()
    if window.start < window.end:
        raise ConnectionError("the driver would take the rest of this message for one of its own")
    if context.error is not None:
        raise context.error
    collector.check(context.row_count)


def _at_once(window: Window, collector: Collector) -> Generator[Block, None, bool]:
    """Yield what can be taken at once; say whether there is nothing else to do until more is read."""
    block = at_once(window)
    if block is None:
        return False
    yield from collector.rest()
    collector.taken += block.rows
    yield block
    return not _ends(window.content, window.start, window.end)


def at_once(window: Window) -> Block | None:
    """Take the rows from the window's start that are known to be followed by another, or by the end of all.

    None where they are not proven to be rows and nothing else.
    """
    content, start = window.content, window.start
    end = max(content.rfind(edge, start, window.end) for edge in (ROW, DONE)) + 1
    if end <= start or content[start] != ROW[1] or window.end - start > SIGHT_AT_MOST:
        return None
    with memoryview(content) as view:
        text, heads = EDGE.subn(b"\n", view[start + HEAD.size : end])
        last = max(content.rfind(ROW, start, end) + 1, start)
        record = bytes(view[last + HEAD.size : end])
    if b"\0" in text or HEAD.unpack_from(content, last)[1] != end - last - 1:  # a length may look like ROW
        return None
    window.start = end
    return Block(text, heads + 1, record)


def _ends(content: bytearray, start: int, end: int) -> bool:
    """Say whether the answer's end is among the last bytes: news may come after it, and rows do not."""
    return content.rfind(READY, max(start, end - NEWS_BYTES), end) >= 0


def _messages(window: Window) -> Iterator[tuple[bytes, bytes]]:
    """Take the whole messages that are in sight, one by one: their codes and contents."""
    while window.start + HEAD.size <= window.end:
        code, size = HEAD.unpack_from(window.content, window.start)
        start, end = window.start + HEAD.size, window.start + 1 + size
        if end > window.end:
            return
        window.start = end
        yield code, bytes(window.content[start:end])


def _wanted(window: Window) -> int:
    """Return how long the message is that the window begins with, 0 where that is not in sight."""
    if window.start + HEAD.size > window.end:
        return 0
    return 1 + int(HEAD.unpack_from(window.content, window.start)[1])
