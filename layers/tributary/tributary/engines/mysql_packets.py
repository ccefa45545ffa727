r"""Rows of one text each, straight off PyMySQL's buffered socket: a megabyte at a time.

The rows come as packets that state their length. A regular expression guesses where they begin: after
the `\r\n` that ends each row's text, a packet's head. The stated lengths prove it: a first packet is
known to begin where the window does, so if each length equals the distance to the next guess, the
guesses are the packets. What is not proven, and whatever is not such a row, is walked.
(https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_query_response_text_resultset.html)
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from struct import Struct, unpack
from typing import Any

from pymysql.protocol import MysqlPacket

from .blocks import Block, Collector
from .window import Window

ROW_END = b"\r\n"
PACKET_AT_MOST = 0xFFFFFF  # one of that length goes on in the next
HEAD = Struct("<HBB")  # of every packet: its length, in three bytes, and its number
# A row's end, and the next one's head: two bytes of length, a third that is 0, a number, and the length
# of the text, which is one byte below 251 and otherwise 252 and two bytes.
EDGE = re.compile(rb"\r\n(..)\0.(?:[\0-\xfa]|\xfc..)", re.DOTALL)
NULL, EOF, ERROR = 0xFB, 0xFE, 0xFF  # first bytes
LENGTHS = {0xFC: 2, 0xFD: 3, 0xFE: 8}  # first bytes of a text's length, and how many follow


class LineLost(Exception):
    """The server could not render a row as one text."""


def usable(driver: Any) -> bool:
    """Say whether the driver has the part that this reads from, which is not its public one."""
    return hasattr(getattr(driver, "_rfile", None), "read1")


def blocks(driver: Any, result: Any) -> Generator[Block]:
    """Yield the rows of an unbuffered result in blocks, their ends a plain line feed.

    Raises what the driver would, and LineLost once the answer is read to its end, where one of its rows
    is NULL: the rows after that one are not yielded. Left early, the connection stands in the middle of it.
    """
    collector = Collector()
    window, lost = Window(driver._rfile, ROW_END), False
    while result.unbuffered_active:
        window.read(_ends, at_least=_wanted(window))
        found = rows(window)
        if not lost:
            collector.take(found)
        for content in _packets(window):
            if content[0] == EOF and len(content) < 9:
                _end(result)
            elif content[0] == ERROR:
                _end(result)
                MysqlPacket(content, driver.encoding).raise_for_error()
            elif content[0] == NULL:
                lost = True
            elif not lost:
                start = 1 + LENGTHS.get(content[0], 0)
                collector.take([content[start : -len(ROW_END)]])
        yield from collector.full()
    yield from collector.rest()
    if lost:
        raise LineLost


def _end(result: Any) -> None:
    result.unbuffered_active = False
    result.connection = None


def rows(window: Window) -> list[bytes]:
    """Take rows from the window's start, without their ends, all but the last in sight; [] if not proven."""
    parts = window.split(EDGE)
    found = parts[2:-2:2]
    sizes = unpack(f"<{len(found)}H", b"".join(parts[1:-2:2]))
    # A text of `length` bytes and its end take a byte of length before them below 251, and three above.
    stated = [length + 3 if length < 249 else length + 5 for length in map(len, found)]
    if not found or parts[0] or sizes != tuple(stated):
        return []
    window.start += sum(sizes) + HEAD.size * len(sizes)
    return found


def _ends(content: bytearray, start: int, end: int) -> bool:
    """Say whether an EOF or an error may be there: bytes that no text has, and most heads neither.

    A packet's head is its length, whose third byte is 0 here, and its number, which may be either byte.
    """
    place = content.find(EOF, start, end)
    while place >= 0:
        if content[place - 4 : place - 1] == b"\x05\0\0":
            return True
        place = content.find(EOF, place + 1, end)
    place = content.find(ERROR, start, end)
    while place >= 0:
        if not content[place - 2] and content[place - 4] != ROW_END[-1]:
            return True
        place = content.find(ERROR, place + 1, end)
    return False


def _packets(window: Window) -> Iterator[bytes]:
    """Take the whole packets that are in sight, one by one: their contents."""
    while True:
        start, content = window.start, b""
        while start + HEAD.size <= window.end:
            size = _size(window, start)
            start, end = start + HEAD.size, start + HEAD.size + size
            if end > window.end:
                return
            content += bytes(window.content[start:end])
            start = end
            if size < PACKET_AT_MOST:
                break
        else:
            return
        window.start = start
        yield content


def _size(window: Window, start: int) -> int:
    low, high, _ = HEAD.unpack_from(window.content, start)
    return int(low | high << 16)


def _wanted(window: Window) -> int:
    """Return how long the packets are that the window begins with and that make one, as far as in sight."""
    start = window.start
    while start + HEAD.size <= window.end:
        size = _size(window, start)
        start += HEAD.size + size
        if size < PACKET_AT_MOST:
            break
    return start - window.start
