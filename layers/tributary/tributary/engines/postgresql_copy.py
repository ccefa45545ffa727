"""COPY's rows straight off pg8000's socket: a megabyte at a time, where the driver calls us per row.

The rows come as messages that state their length, one per row. A regular expression guesses where
they begin: at a line's end, a code and a length whose first byte is NUL, which no text of PostgreSQL
holds. The stated lengths prove it: together they make up the distance to the last one. What is not
proven, and whatever is not a row, is walked message by message.
(https://www.postgresql.org/docs/current/protocol-message-formats.html)
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from struct import Struct, unpack
from typing import Any

import pg8000.core

from .blocks import Block, Collector
from .window import Window

HEAD = Struct("!cI")  # of every message: its code, and its length without the code
EDGE = re.compile(rb"\nd(\0...)", re.DOTALL)  # a row's end and the next one's head, below 16 MiB
READY = b"Z\0\0\0\x05"  # ReadyForQuery ends every answer
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
    window, ended = Window(driver._sock, b"\n"), False
    while not ended:
        window.read(_ends, at_least=_wanted(window))
        collector.take(rows(window))
        for code, message in _messages(window):
            if code == b"d":
                collector.write(message)
                continue
            if code in PASSED_ON:
                driver.message_types[code](message, context)
            ended = code == b"Z"
            collector.take(rows(window))
        yield from collector.full()
    yield from collector.rest()
    if context.error is not None:
        raise context.error
    collector.check(context.row_count)


def rows(window: Window) -> list[bytes]:
    """Take rows from the window's start, without their line ends, all but the last in sight.

    Returns none where they are not proven to be rows and nothing else.
    """
    parts = window.split(EDGE)
    found = parts[2:-2:2]
    sizes = unpack(f"!{len(found)}I", b"".join(parts[1:-2:2]))
    size_bytes = sum(sizes) + len(sizes)
    if not found or parts[0] or window.start + size_bytes + HEAD.size + len(parts[-1]) != window.end:
        return []
    window.start += size_bytes
    return found


def _ends(content: bytearray, start: int, end: int) -> bool:
    return content.find(READY, start, end) >= 0


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
