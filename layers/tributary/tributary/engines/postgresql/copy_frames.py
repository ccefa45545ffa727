r"""Reads COPY's rows from pg8000's socket, megabytes at a time; the driver itself calls back for every row.

A row is a message: a code, a length and a CSV record. A regular expression removes the heads between records.
No text of PostgreSQL contains a NUL and every head does, so text without a NUL is rows and nothing else.
Any other content is parsed message by message.
(https://www.postgresql.org/docs/current/protocol-message-formats.html)
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from struct import Struct
from typing import Any

import pg8000.core

from tributary.engines.network import ProtocolBroken
from tributary.engines.postgresql import transaction
from tributary.reading.csv_blocks import Block, Collector
from tributary.reading.receive_buffer import LONGEST_BYTES, ColumnTooLong, ReceiveBuffer, RowTooLong

HEAD = Struct("!cI")  # of every message: its code, and its length without the code
ROW = b"\nd\0"  # a record's end and the next row's head, with the first byte of a length below 16 MiB
DONE = b"\nc\0\0\0\x04"  # the last record's end, and CopyDone
EDGE = re.compile(rb"\nd\0...", re.DOTALL)
WINDOW_AT_MOST = 0xFFFFFF  # a row whose length has another first byte does not fit into it
READY = b"Z\0\0\0\x05"  # ReadyForQuery ends every response
TRAILER_BYTES = 4096  # more than the notices and settings that may follow a response's end
COPY_STARTS = b"H"  # CopyOutResponse, before the first row
COUNT = b"C"  # CommandComplete, of ROLLBACK too, which has no count


def usable(driver: Any) -> bool:
    """Return whether the driver has the internal parts that this module reads through."""
    return transaction.usable(driver)


def blocks(
    driver: Any, opening: Sequence[str], sql: str, *, longest_bytes: int = LONGEST_BYTES
) -> Generator[Block]:
    """Run the COPY in its transaction, which `opening` begins, and yield its rows in blocks.

    Raises what the driver would, and ColumnTooLong for a row of more than `longest_bytes`. If it is closed
    early, the connection is in the middle of a response.
    """
    context = pg8000.core.Context(sql)
    transaction.send(driver, opening, sql)
    collector = Collector()
    window, started, ended = ReceiveBuffer(driver._sock, longest_bytes=longest_bytes), False, False
    while not ended:
        try:
            window.read(_ends, at_least=_wanted(window))
        except RowTooLong:
            if _code(window) != ROW[1:2]:
                raise ProtocolBroken from None
            window.start += HEAD.size
            raise ColumnTooLong(_widest(window.pieces(_length(window)))) from None
        if (yield from _take_rows(window, collector)):
            continue
        for code, message in _messages(window):
            if code == b"d":
                collector.write(message)
                continue
            if code in transaction.DRIVER_CODES or (started and code == COUNT):
                driver.message_types[code](message, context)
            started = started or code == COPY_STARTS
            ended = ended or code == b"Z"  # notices may follow it
            # Not after notices too: with one per row, the whole window would be searched each time.
            if code == COPY_STARTS and (yield from _take_rows(window, collector)):
                break
        yield from collector.full()
    yield from collector.rest()
    if window.start < window.end:
        raise ConnectionError("the driver would read the rest of this message as one of its own")
    transaction.end(driver, context)
    collector.check(context.row_count)


def _code(window: ReceiveBuffer) -> bytes:
    """Return the code of the message that the window starts with."""
    return bytes(window.content[window.start : window.start + 1])


def _length(window: ReceiveBuffer) -> int:
    """Return the length of the content of the message whose head was just passed."""
    return int(HEAD.unpack_from(window.content, window.start - HEAD.size)[1]) - (HEAD.size - 1)


def _widest(pieces: Iterable[bytes]) -> int:
    """Return the place of the widest field of a CSV record."""
    place = widest = size_bytes = most_bytes = 0
    quoted = False
    for piece in pieces:
        for number, part in enumerate(piece.split(b'"')):
            quoted ^= number > 0  # a quote within a field is doubled, which changes nothing
            for field_number, text in enumerate([part] if quoted else part.split(b",")):
                if field_number:
                    place, size_bytes = place + 1, 0
                size_bytes += len(text)
                if size_bytes > most_bytes:
                    widest, most_bytes = place, size_bytes
    return widest


def _take_rows(window: ReceiveBuffer, collector: Collector) -> Generator[Block, None, bool]:
    """Yield the rows that can be taken in one step; return whether more must be read first."""
    block = take_rows(window)
    if block is None:
        return False
    yield from collector.rest()
    collector.taken += block.rows
    yield block
    return not _ends(window.content, window.start, window.end)


def take_rows(window: ReceiveBuffer) -> Block | None:
    """Take the rows at the window's start that another row or the end of the copy follows.

    None if they are not proven to be rows and nothing else.
    """
    content, start = window.content, window.start
    end = max(content.rfind(edge, start, window.end) for edge in (ROW, DONE)) + 1
    if end <= start or content[start] != ROW[1] or window.end - start > WINDOW_AT_MOST:
        return None
    with memoryview(content) as view:
        text, heads = EDGE.subn(b"\n", view[start + HEAD.size : end])
        last = max(content.rfind(ROW, start, end) + 1, start)
        record = bytes(view[last + HEAD.size : end])
    if b"\0" in text or HEAD.unpack_from(content, last)[1] != end - last - 1:  # a length may contain ROW
        return None
    window.start = end
    return Block(text, heads + 1, record)


def _ends(content: bytearray, start: int, end: int) -> bool:
    """Return whether the response's end is among the last bytes: notices may follow it, rows do not."""
    return content.rfind(READY, max(start, end - TRAILER_BYTES), end) >= 0


def _messages(window: ReceiveBuffer) -> Iterator[tuple[bytes, bytes]]:
    """Take the complete messages in the window, one by one: their codes and contents."""
    while window.start + HEAD.size <= window.end:
        code, size = HEAD.unpack_from(window.content, window.start)
        transaction.check(code, size)
        start, end = window.start + HEAD.size, window.start + 1 + size
        if end > window.end:
            return
        window.start = end
        yield code, bytes(window.content[start:end])


def _wanted(window: ReceiveBuffer) -> int:
    """Return the length of the message that the window starts with, 0 if it is not in the window."""
    if window.start + HEAD.size > window.end:
        return 0
    return 1 + int(HEAD.unpack_from(window.content, window.start)[1])
