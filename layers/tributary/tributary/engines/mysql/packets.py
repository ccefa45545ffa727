"""Reads rows from PyMySQL's buffered socket by the lengths in the protocol.

A row is one packet: its length, and each field's length and bytes. Python goes from packet to packet, with a
few operations per row. Arrow goes from field to field, for all rows at once. If every row's last field ends
with its packet, the fields are right.
(https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_query_response_text_resultset.html)
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING, Any

from pymysql.protocol import MysqlPacket

from tributary.errors import SourceUnavailable
from tributary.reading.receive_buffer import LONGEST_BYTES, ColumnTooLong, ReceiveBuffer, RowTooLong

if TYPE_CHECKING:
    import pyarrow

PACKET_AT_MOST = 0xFFFFFF  # a packet of that length continues in the next
HEAD = Struct("<I")  # of every packet: its length, in three bytes, and its number
HEAD_BYTES = HEAD.size
NULL, EOF, ERROR = 0xFB, 0xFE, 0xFF  # first bytes
EOF_HEAD = re.compile(rb"\x05\0\0.\xfe", re.DOTALL)
EOF_BYTES = 9  # of its packet
ERROR_BYTES = 4096  # more than an error packet has: servers truncate its message at 512 bytes
ERROR_HEAD = re.compile(rb"\0.\xff..#", re.DOTALL)  # a # precedes its SQLSTATE
LENGTHS = {0xFC: 2, 0xFD: 3, 0xFE: 8}  # first byte of a field's length: how many bytes follow
LONGEST_BYTE = 250  # the largest length in one byte


@dataclass(frozen=True, slots=True)
class Rows:
    """Complete row packets: their bytes, and the offset of each packet's head."""

    content: bytes
    heads: array[int]

    def __len__(self) -> int:
        return len(self.heads)

    def columns(self, count: int) -> list[pyarrow.Array]:
        """Return the fields as `count` columns of bytes; raises SourceUnavailable if rows have others."""
        import pyarrow as pa
        import pyarrow.compute as pc

        rows = len(self.heads)
        data = pa.Array.from_buffers(pa.uint8(), len(self.content), [None, pa.py_buffer(self.content)])
        heads = pa.Array.from_buffers(pa.int64(), rows, [None, pa.py_buffer(self.heads)])
        place = pc.add(heads, HEAD_BYTES)
        fields = []
        try:
            for _ in range(count):
                fields.append(_field(data, place))
                place = fields[-1].end
        except IndexError:
            place = heads
        ends = pa.concat_arrays([heads[1:], pa.array([len(self.content)], pa.int64())])
        if not place.equals(ends):
            raise SourceUnavailable(
                f"the source's rows do not have the {count} fields that they should have; if it happens "
                "again, check the proxy in front of the server"
            )
        every_other = pa.arange(0, 2 * rows, 2)
        fields.reverse()
        return [_bytes(data, fields.pop(), every_other) for _ in range(count)]  # each place is used once

    def last(self) -> list[bytes | None]:
        """Return the last row's fields."""
        fields: list[bytes | None] = []
        content, place = self.content, self.heads[-1] + HEAD_BYTES
        while place < len(content):
            size, place = content[place], place + 1
            if size == NULL:
                fields.append(None)
                continue
            if width := LENGTHS.get(size):
                size, place = int.from_bytes(content[place : place + width], "little"), place + width
            fields.append(content[place : place + size])
            place += size
        return fields


@dataclass(frozen=True, slots=True)
class _Field:
    """One field of every row: the offsets of its bytes; `nulls` marks the rows in which it is NULL."""

    begin: pyarrow.Array
    end: pyarrow.Array
    nulls: pyarrow.Array | None


def _field(data: pyarrow.Array, place: pyarrow.Array) -> _Field:
    """Return the field whose length is at the places; raises IndexError if one is out of range."""
    import pyarrow as pa
    import pyarrow.compute as pc

    first = data.take(place)
    size, begin, nulls = first.cast(pa.int64()), pc.add(place, 1), None
    highest = pc.max(first).as_py()
    if highest == ERROR:  # of no length
        raise IndexError
    if highest > LONGEST_BYTE:
        nulls = pc.equal(first, NULL)
        size = pc.if_else(nulls, 0, size)
        for code, width in LENGTHS.items():
            longer = pc.equal(first, code)
            if not pc.any(longer).as_py():
                continue
            stated = pa.scalar(0, pa.int64())
            for number in range(width):
                part = data.take(pc.if_else(longer, pc.add(place, 1 + number), 0)).cast(pa.int64())
                stated = pc.add(stated, pc.shift_left(part, 8 * number))
            least_most = pc.min_max(pc.if_else(longer, stated, 0)).as_py()
            if least_most["min"] < 0 or least_most["max"] > len(data):  # places must not go backwards
                raise IndexError
            size = pc.if_else(longer, stated, size)
            begin = pc.if_else(longer, pc.add(begin, width), begin)
    return _Field(begin, pc.add(begin, size), nulls)


def _bytes(data: pyarrow.Array, field: _Field, every_other: pyarrow.Array) -> pyarrow.Array:
    """Return the field's bytes as a column.

    The alternating begins and ends of the fields are the offsets of an array in which every other element is
    a field, and the elements between are the bytes between fields.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = len(field.begin)
    offsets = pc.add(field.begin, pc.shift_left(field.end, 32)).buffers()[
        1
    ]  # two of 32 bits in one of 64 bits
    pieces = pa.Array.from_buffers(pa.binary(), 2 * rows - 1, [None, offsets, data.buffers()[1]])
    fields = pieces.take(every_other)
    if field.nulls is None:
        return fields
    _, offsets, content = fields.buffers()
    return pa.Array.from_buffers(pa.binary(), rows, [pc.invert(field.nulls).buffers()[1], offsets, content])


def usable(driver: Any) -> bool:
    """Return whether the driver has the internal part that this module reads from."""
    return hasattr(getattr(driver, "_rfile", None), "read1")


def rows(driver: Any, result: Any, *, longest_bytes: int = LONGEST_BYTES) -> Generator[Rows]:
    """Yield the rows of an unbuffered result, some at a time.

    Raises what the driver would, and ColumnTooLong for a row of more than `longest_bytes`. If it is closed
    early, the connection is in the middle of a result.
    """
    window = ReceiveBuffer(driver._rfile, longest_bytes=longest_bytes)
    while result.unbuffered_active:
        try:
            window.read(_ends, at_least=_wanted(window))
        except RowTooLong:
            raise ColumnTooLong(_widest(window, longest_bytes)) from None
        for taken in _take(window):
            heads, content = taken.heads, taken.content
            last = heads[-1] + HEAD_BYTES if heads else 0
            code = content[last] if last < len(content) else None
            ended = code == ERROR or (code == EOF and len(content) - last < 9)
            if ended:
                result.unbuffered_active, result.connection = False, None
                content, heads = content[: heads[-1]], heads[:-1]
            if heads:
                yield Rows(content, heads)
            if code == ERROR:
                MysqlPacket(taken.content[last:], driver.encoding).raise_for_error()


def _widest(window: ReceiveBuffer, longest_bytes: int) -> int:
    """Return the place of the field that makes the window's first row too long.

    Lengths precede fields, so the fields before it are in the window; the heads of packets within the row
    come after 16 MiB.
    """
    content, at, place, widest, most_bytes = window.content, window.start + HEAD_BYTES, 0, 0, -1
    while at < window.end:
        first = content[at]
        width = LENGTHS.get(first, 0)
        size = 0 if first == NULL else first
        if width:
            size = int.from_bytes(content[at + 1 : at + 1 + width], "little")
        if size > most_bytes:
            widest, most_bytes = place, size
        at, place = at + 1 + width + size, place + 1
    return widest


def _ends(content: bytearray, start: int, end: int) -> bool:
    """Return whether the result's end may be there: nothing follows it, so it is among the last bytes.

    Rows rarely contain those bytes in that order. In an error, a # follows three bytes later and may not have
    arrived. No text contains an error's first byte; a binary may consist of it, so the cost must not be per
    byte.
    """
    if EOF_HEAD.match(content, max(0, end - EOF_BYTES), end):
        return True
    start = max(start, end - ERROR_BYTES)
    if content.find(ERROR, start, end) < 0:
        return False
    if ERROR_HEAD.search(content, max(0, start - 2), end):
        return True
    last = range(max(start, end - 3), end)
    return any(content[place] == ERROR and not content[place - 2] for place in last)


def _take(window: ReceiveBuffer) -> Iterator[Rows]:
    """Take the complete packets in the window."""
    while rows := _complete(window) or _joined(window):
        yield rows


def _complete(window: ReceiveBuffer) -> Rows:
    """Take as many complete packets as fit into PACKET_AT_MOST: none of them continues in the next."""
    content, start, end = window.content, window.start, min(window.end, window.start + PACKET_AT_MOST)
    last = end - HEAD_BYTES
    heads: list[int] = []
    add, size = heads.append, HEAD.unpack_from
    place = start
    while place <= last:
        add(place - start)
        place += HEAD_BYTES + (size(content, place)[0] & PACKET_AT_MOST)
    if place > end:
        place = start + heads.pop()
    window.start = place
    return Rows(bytes(memoryview(content)[start:place]), array("q", heads))


def _joined(window: ReceiveBuffer) -> Rows | None:
    """Join the window's first packets that make up one row, None if they are not complete."""
    size, start = _wanted(window), window.start
    end = start + size
    if not size or end > window.end:
        return None
    content = bytes(HEAD_BYTES)
    while start < end:
        stop = start + HEAD_BYTES + _size(window, start)
        content += bytes(memoryview(window.content)[start + HEAD_BYTES : stop])
        start = stop
    window.start = end
    return Rows(content, array("q", [0]))


def _size(window: ReceiveBuffer, start: int) -> int:
    return int(HEAD.unpack_from(window.content, start)[0]) & PACKET_AT_MOST


def _wanted(window: ReceiveBuffer) -> int:
    """Return the length of the window's first packets that make up one row, as far as it is known."""
    start = window.start
    while start + HEAD_BYTES <= window.end:
        size = _size(window, start)
        start += HEAD_BYTES + size
        if size < PACKET_AT_MOST:
            return start - window.start
    if start == window.start:
        return 0
    return (
        start + HEAD_BYTES - window.start
    )  # a packet of that length continues in one whose head has not arrived
