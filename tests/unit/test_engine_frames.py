"""Rows from a stream of frames: exactly the protocol's, wherever the stream is divided."""

from __future__ import annotations

import io
import re
import time
from array import array
from collections.abc import Callable, Iterable, Iterator
from struct import pack
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pymysql.err import OperationalError

from tributary.engines.mysql import packets as mysql_packets
from tributary.engines.postgresql import copy_frames as postgresql_copy
from tributary.engines.postgresql import transaction
from tributary.errors import SourceUnavailable, ValueRefused
from tributary.model.query import Query, ReadColumn
from tributary.model.source_catalog import TableName
from tributary.model.types import Kind
from tributary.reading import csv_pages
from tributary.reading.csv_blocks import Block
from tributary.reading.receive_buffer import ColumnTooLong, ReceiveBuffer, RowTooLong


class Pieces(io.RawIOBase):
    """A stream that arrives in pieces of the given sizes, over and over."""

    def __init__(self, content: bytes, sizes: list[int]) -> None:
        self._content, self._sizes, self._number = content, sizes, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = min(self._sizes[self._number % len(self._sizes)], len(buffer), len(self._content))
        self._number += 1
        buffer[:size], self._content = self._content[:size], self._content[size:]
        return size


def arriving(content: bytes, sizes: list[int]) -> io.BufferedReader:
    return io.BufferedReader(Pieces(content, sizes))


SIZES = st.lists(st.integers(1, 40) | st.just(70_000), min_size=1, max_size=4)
BITS = [b"a", b",", b'"', b"\n", b"\r\n", b"d", b"\nd", b"\xc3\xa9", b"x" * 250]
LONG = [b"x" * 2_560, b"x" * 3_400, b"x" * 70_000]


# --- PostgreSQL ---------------------------------------------------------------------------------


def message(code: bytes, content: bytes) -> bytes:
    return code + pack("!I", len(content) + 4) + content


OPENING = ("BEGIN", "SELECT 1")


class Driver:
    """The parts of pg8000's connection that COPY is read through."""

    def __init__(self, sock: io.BufferedReader) -> None:
        self.sent = bytearray()
        self._sock = SimpleNamespace(
            read=sock.read,
            read1=sock.read1,
            readinto1=sock.readinto1,
            write=self.sent.extend,
            flush=lambda: None,
        )
        self._transaction_status = b"I"
        self.messages: list[bytes] = []
        self.message_types = {
            code: self._take(code) for code in (*transaction.DRIVER_CODES, b"C", b"D", b"T")
        }

    def _take(self, code: bytes) -> Any:
        def take(content: bytes, context: Any) -> None:
            self.messages.append(code)
            if code == b"C" and content.startswith(b"COPY"):
                context.row_count = int(content.rstrip(b"\0").split()[-1])

        return take


def copied(data: list[bytes], rows: int) -> bytes:
    """Return COPY's response with these messages and the stated number of rows."""
    accepted = [message(b"1", b""), message(b"2", b"")]
    opened = [*accepted, message(b"C", b"BEGIN\0"), *accepted, message(b"C", b"SELECT 1\0")]
    ended = [*accepted, message(b"C", b"ROLLBACK\0"), message(b"Z", b"I")]
    done = [message(b"c", b""), message(b"C", b"COPY %d\0" % rows), *ended]
    return b"".join([*opened, *accepted, message(b"H", b"\0\0\1\0\0"), *data, *done])


def records(blocks: list[Block]) -> list[bytes]:
    """Return the records of the blocks, parsed as the project parses them."""
    query = Query(TableName("s", "t"), (ReadColumn("a", "text", Kind("text")),))
    tables = (csv_pages._read(block, [pa.binary()], query) for block in blocks)
    return [text for table in tables for text in table.column(0).to_pylist()]


@given(
    st.lists(st.lists(st.sampled_from(BITS), max_size=4).map(b"".join) | st.sampled_from(LONG), max_size=40),
    SIZES,
    st.integers(0, 60),
)
@example([b"x" * size for size in range(240, 290)], [1 << 20], 301)
@example([b"x" * 2_560, b"x" * 65_530, b"x" * 65_536, b"y", b"x" * 0x0A6400, b"z"], [1 << 20], 301)
@example([b"x" * (3 << 20), b"y", b"y"], [1 << 22], 301)
@settings(max_examples=50)
def test_postgresql_rows_are_the_messages_wherever_they_are_divided(
    rows: list[bytes], sizes: list[int], notice: int
) -> None:
    data = [message(b"d", csv_pages.line([row])) for row in rows]
    for place, code, notice_text in (
        (notice, b"N", b"SNOTICE\0Mod, a\nd\0\0"),
        (notice // 2, b"S", b"T\0U,T\0"),
    ):
        data.insert(place, message(code, notice_text))
    driver = Driver(arriving(copied(data, len(rows)), sizes))

    taken = list(postgresql_copy.blocks(driver, OPENING, "COPY"))

    assert records(taken) == rows
    assert sum(block.rows for block in taken) == len(rows)
    assert [csv_pages.fields(block.last) for block in taken[-1:]] == [[row.decode()] for row in rows[-1:]]
    assert sorted(driver.messages) == [b"C", b"C", b"N", b"S", b"Z"]


@pytest.mark.parametrize("others", [[], [b"x"] * 3])
@pytest.mark.parametrize("sizes", [[1 << 22], [1_000]])
def test_postgresql_last_row_is_found_although_its_length_looks_like_an_edge(
    others: list[bytes], sizes: list[int]
) -> None:
    rows = [*others, b"x" * (0x0A6400 - 7)]  # whose message has the length \0 \n d \0
    data = [message(b"d", csv_pages.line([row])) for row in rows]
    taken = list(postgresql_copy.blocks(Driver(arriving(copied(data, len(rows)), sizes)), OPENING, "COPY"))
    assert records(taken) == rows
    assert taken[-1].last == csv_pages.line(rows[-1:])


def processor_s(work: Callable[[Any], None], *arguments: Any) -> float:
    """Return the least processor time of three tries, which other processes take no part of."""
    taken = []
    for _ in range(3):
        began = time.process_time()
        work(*arguments)
        taken.append(time.process_time() - began)
    return min(taken)


def test_postgresql_rows_with_a_notice_each_are_searched_once() -> None:
    def read(rows: int) -> None:
        data = [message(b"N", b"SNOTICE\0Mod\0\0"), message(b"d", b"1,some text\n")] * rows
        taken = list(postgresql_copy.blocks(Driver(arriving(copied(data, rows), [1 << 22])), OPENING, "COPY"))
        assert sum(block.rows for block in taken) == rows

    assert processor_s(read, 20_000) < 10 * processor_s(read, 5_000)  # searched again and again: 16 times


class Endless(io.RawIOBase):
    """A stream that begins with the content and goes on for ever with one letter."""

    def __init__(self, content: bytes) -> None:
        self._content, self.sent_bytes = content, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        taken = min(len(view), len(self._content))
        view[:taken], self._content = self._content[:taken], self._content[taken:]
        if not taken:
            taken = len(view)
            view[:] = b"x" * taken
        self.sent_bytes += taken
        return taken


TEXT = Kind("text")
WIDE = Query(
    TableName("public", "t"),
    tuple(ReadColumn(name, "text", TEXT) for name in ("id", "short", "note")),
    longest_bytes=4 << 20,
)


def test_postgresql_a_row_that_is_too_long_is_refused_by_its_column_and_never_kept() -> None:
    record = csv_pages.line([b"1", b'a "quoted", text', b"x" * (6 << 20)])
    stream = copied([message(b"d", csv_pages.line([b"0", None, b"y"])), message(b"d", record)], 2)
    blocks = postgresql_copy.blocks(
        Driver(arriving(stream, [1 << 16])), OPENING, "COPY", longest_bytes=WIDE.longest_bytes
    )
    with pytest.raises(ValueRefused, match=r'column "note" of public.t \(text\).* longer than 4 MiB'):
        list(csv_pages.pages(WIDE, blocks))


def test_postgresql_a_stated_length_is_not_believed() -> None:
    head = b"d" + pack("!I", 1 << 30) + b'"1","x'
    buffer = ReceiveBuffer(io.BufferedReader(Endless(head)), longest_bytes=4 << 20)
    buffer.read(lambda *_: False)
    with pytest.raises(RowTooLong):
        buffer.read(lambda *_: False, at_least=1 << 30)
    assert len(buffer.content) < 8 << 20


def test_mysql_a_row_that_is_too_long_is_refused_by_its_column() -> None:
    def field(size: int) -> bytes:
        return b"\xfd" + size.to_bytes(3, "little") + b"x" * size

    content = b"\x01" + b"1" + b"\xfb" + field(6 << 20)
    packet = len(content).to_bytes(3, "little") + b"\0" + content
    driver = SimpleNamespace(_rfile=arriving(packet, [1 << 16]), encoding="utf8")
    result = SimpleNamespace(unbuffered_active=True, connection=driver)
    with pytest.raises(ColumnTooLong) as refused:
        list(mysql_packets.rows(driver, result, longest_bytes=4 << 20))
    assert refused.value.place == 2


def test_postgresql_notices_after_a_responses_end_are_read_but_not_awaited() -> None:
    answer, notice = copied([message(b"d", b"1\n")], 1), message(b"S", b"T\0U\0")
    driver = Driver(arriving(answer + notice, [1 << 20]))
    assert [block.rows for block in postgresql_copy.blocks(driver, OPENING, "COPY")] == [1]
    assert driver.messages == [b"C", b"C", b"Z", b"S"]
    driver = Driver(arriving(answer + notice[:-2], [1 << 20]))
    with pytest.raises(ConnectionError, match="as one of its own"):
        list(postgresql_copy.blocks(driver, OPENING, "COPY"))


def test_postgresql_rows_are_taken_in_one_step() -> None:
    content = b"".join(message(b"d", b'%d,"te""xt\n"\n' % number) for number in range(1_000))
    window = ReceiveBuffer(arriving(content, [1 << 20]))
    while window.end < len(content):
        window.read(lambda *_: True)
    block = postgresql_copy.take_rows(window)
    assert block is not None
    assert (block.rows, block.last) == (999, b'998,"te""xt\n"\n')


def test_postgresql_says_whether_a_driver_can_be_read_through() -> None:
    driver = Driver(arriving(b"", [1]))
    assert postgresql_copy.usable(driver)
    del driver.message_types[b"Z"]
    assert not postgresql_copy.usable(driver)
    assert not postgresql_copy.usable(object())


# --- MySQL --------------------------------------------------------------------------------------


def packets(contents: list[bytes], first: int = 3) -> bytes:
    framed = bytearray()
    for number, content in enumerate(contents, first):
        framed += len(content).to_bytes(3, "little") + bytes([number % 256]) + content
    return bytes(framed)


def packed(text: bytes | None) -> bytes:
    """Return a field as the protocol states it: its length and its bytes."""
    if text is None:
        return b"\xfb"
    size = len(text)
    if size < 251:
        return bytes([size]) + text
    if size < 65_536:
        return b"\xfc" + pack("<H", size) + text
    return (b"\xfd" + size.to_bytes(3, "little") if size < 1 << 24 else b"\xfe" + pack("<Q", size)) + text


EOF = b"\xfe\0\0\2\0"
TRICKS = [b"\0", b"\5\0\0\7\xfe\0\0\2\0", b"\0\0\xff\1\2#", b"\xfb", b"\xff" * 5]
FIELDS = st.none() | st.lists(st.sampled_from(BITS + TRICKS), max_size=4).map(b"".join)
TABLES = st.integers(1, 4).flatmap(lambda count: st.lists(st.tuples(*[FIELDS] * count), max_size=40))
Row = tuple[bytes | None, ...]


def result() -> Any:
    return SimpleNamespace(unbuffered_active=True, connection="the driver's")


def answer_of(rows: list[Row], *, end: bytes = EOF, first: int = 3) -> bytes:
    return packets([*(b"".join(map(packed, row)) for row in rows), end], first)


def read(parts: Iterable[mysql_packets.Rows], columns: int) -> Iterator[Row]:
    for part in parts:
        rows = list(zip(*(column.to_pylist() for column in part.columns(columns)), strict=True))
        assert len(rows) == len(part)
        assert tuple(part.last()) == rows[-1]
        yield from rows


@given(TABLES, SIZES, st.integers(0, 255))
@example([(b"y" * 70_000,), (b"x",), (b"y" * 70_000,), (None,)], [1_000], 254)
@example([(b"x" * size, None) for size in (0, 240, 249, 250, 251, 252, 253, 65_535, 65_536)], [9], 0)
@example([(b"x" * size, b"z") for size in (0xFFFFFF - 5, 0xFFFFFF + 9, 3)], [1 << 20], 0)
@settings(max_examples=50)
def test_mysql_rows_are_the_packets_wherever_they_are_divided(
    rows: list[Row], sizes: list[int], first: int
) -> None:
    driver, answer = SimpleNamespace(_rfile=arriving(joined(rows, first), sizes)), result()
    assert list(read(mysql_packets.rows(driver, answer), len(rows[0]) if rows else 1)) == rows
    assert (answer.unbuffered_active, answer.connection) == (False, None)


def joined(rows: list[Row], first: int) -> bytes:
    """Return the answer, a row of more than a packet holds in several."""
    contents: list[bytes] = []
    for row in rows:
        content = b"".join(map(packed, row))
        while len(content) >= 0xFFFFFF:
            contents, content = [*contents, content[:0xFFFFFF]], content[0xFFFFFF:]
        contents.append(content)
    return packets([*contents, EOF], first)


def test_mysql_takes_thousands_of_rows_in_one_step() -> None:
    rows: list[Row] = [(b"%d" % number, b"text", None) for number in range(30_000)]
    driver = SimpleNamespace(_rfile=arriving(answer_of(rows), [1 << 20]))
    taken = list(mysql_packets.rows(driver, result()))
    assert len(taken) == 1
    assert list(read(taken, 3)) == rows


def test_mysql_rows_after_one_of_several_packets_are_taken_in_one_step_too() -> None:
    rows: list[Row] = [(b"x" * (0xFFFFFF + 9),), *((b"%d" % number,) for number in range(30_000))]
    driver = SimpleNamespace(_rfile=arriving(joined(rows, 0), [1 << 25]))
    taken = list(mysql_packets.rows(driver, result()))
    assert list(read(taken, 1)) == rows
    assert len(taken) < 5


@pytest.mark.parametrize("byte", [b"\xfe", b"\xff", b"\0\xff", b"\0"])
def test_mysql_bytes_that_look_like_an_end_cost_no_step_each(byte: bytes) -> None:
    def read(value: bytes) -> None:
        driver = SimpleNamespace(_rfile=arriving(answer_of([(value,)] * 10), [1 << 20]))
        assert sum(map(len, mysql_packets.rows(driver, result()))) == 10

    plain = processor_s(read, b"x" * 1_500_000)
    assert processor_s(read, byte * (1_500_000 // len(byte))) < 20 * plain  # a step each: hundreds of times


@given(TABLES, SIZES, st.sampled_from([b"", b"Query execution was interrupted", b"x" * 512]))
def test_mysql_raises_an_error_after_the_rows_before_it(
    rows: list[Row], sizes: list[int], text: bytes
) -> None:
    error = b"\xff" + pack("<H", 1317) + b"#70100" + text
    driver = SimpleNamespace(_rfile=arriving(answer_of(rows, end=error), sizes), encoding="utf8")
    taken: list[mysql_packets.Rows] = []
    with pytest.raises(OperationalError, match=re.escape("(1317")):
        taken.extend(mysql_packets.rows(driver, result()))
    assert list(read(taken, len(rows[0]) if rows else 1)) == rows


@pytest.mark.parametrize("columns", [1, 3])
def test_mysql_rows_with_another_number_of_fields_are_refused(columns: int) -> None:
    driver = SimpleNamespace(_rfile=arriving(answer_of([(b"a", b"b")] * 3), [1 << 20]))
    (taken,) = mysql_packets.rows(driver, result())
    with pytest.raises(SourceUnavailable, match=f"not have the {columns} fields"):
        taken.columns(columns)


def test_mysql_lengths_that_lead_backwards_to_the_right_end_are_refused() -> None:
    # The first field's length is -8: the second begins within it, where a byte happens to lead to the end.
    backwards = bytes(4) + b"\xfe" + pack("<q", -8) + bytes(241)
    taken = mysql_packets.Rows(backwards, array("q", [0]))
    with pytest.raises(SourceUnavailable, match="not have the 2 fields"):
        taken.columns(2)


@pytest.mark.parametrize("first", [b"\xff", b"\xfe" + pack("<Q", 1 << 40)])
def test_mysql_lengths_that_no_field_has_are_refused(first: bytes) -> None:
    taken = mysql_packets.Rows(bytes(4) + first + bytes(255), array("q", [0]))
    with pytest.raises(SourceUnavailable, match="not have the 1 fields"):
        taken.columns(1)


def test_mysql_says_whether_a_driver_can_be_read_through() -> None:
    assert mysql_packets.usable(SimpleNamespace(_rfile=arriving(b"", [1])))
    assert not mysql_packets.usable(object())


def test_a_result_that_ends_in_the_middle_is_a_broken_connection() -> None:
    driver = SimpleNamespace(_rfile=arriving(packets([packed(b"a")]), [5]))
    with pytest.raises(ConnectionError):
        list(mysql_packets.rows(driver, result()))
