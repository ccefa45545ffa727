"""Rows out of a stream of frames: exactly those that the protocol says, wherever the stream is cut."""

from __future__ import annotations

import io
import re
from struct import pack
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pymysql.err import OperationalError

from tributary.engines import mysql_packets, postgresql_copy
from tributary.engines.window import Window


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
ROWS = st.lists(st.lists(st.sampled_from(BITS), max_size=4).map(b"".join), max_size=12)


# --- PostgreSQL ---------------------------------------------------------------------------------


def message(code: bytes, content: bytes) -> bytes:
    return code + pack("!I", len(content) + 4) + content


class Driver:
    """As much of pg8000's connection as COPY is read through."""

    def __init__(self, sock: io.BufferedReader) -> None:
        self._sock = SimpleNamespace(read1=sock.read1, readinto1=sock.readinto1, flush=lambda: None)
        self.told: list[bytes] = []
        self.message_types = {code: self._take(code) for code in postgresql_copy.PASSED_ON}

    def send_QUERY(self, sql: str) -> None:
        self.told.append(sql.encode())

    def _take(self, code: bytes) -> Any:
        def take(content: bytes, context: Any) -> None:
            self.told.append(code)
            if code == b"C":
                context.row_count = int(content.rstrip(b"\0").split()[-1])

        return take


@given(ROWS, SIZES, st.integers(0, 30))
def test_postgresql_rows_are_the_messages_wherever_they_are_cut(
    rows: list[bytes], sizes: list[int], notice: int
) -> None:
    data = [message(b"d", row + b"\n") for row in rows]
    data.insert(min(notice, len(data)), message(b"N", b"SNOTICE\0Mod\nd\0\0\0\0\0"))
    answer = [message(b"H", b"\0\0\1\0\0"), *data, message(b"c", b"")]
    answer += [message(b"C", f"COPY {len(rows)}".encode() + b"\0"), message(b"Z", b"I")]
    driver = Driver(arriving(b"".join(answer), sizes))

    found = list(postgresql_copy.blocks(driver, "COPY"))

    assert b"".join(block.text for block in found) == b"".join(row + b"\n" for row in rows)
    assert sum(block.rows for block in found) == len(rows)
    assert [block.last for block in found[-1:]] == [row + b"\n" for row in rows[-1:]]
    assert driver.told == [b"COPY", b"N", b"C", b"Z"]


def test_postgresql_rows_are_split_at_once_and_not_walked() -> None:
    rows = [b"%d,text" % number for number in range(1_000)]
    content = b"".join(message(b"d", row + b"\n") for row in rows)
    window = Window(arriving(content, [1 << 20]), b"\n")
    while window.end < len(content):
        window.read(lambda *_: True)
    assert postgresql_copy.rows(window) == rows[:-1]


def test_postgresql_says_whether_a_driver_can_be_read_through() -> None:
    driver = Driver(arriving(b"", [1]))
    assert postgresql_copy.usable(driver)
    del driver.message_types[b"Z"]
    assert not postgresql_copy.usable(driver)
    assert not postgresql_copy.usable(object())


# --- MySQL --------------------------------------------------------------------------------------


def packets(contents: list[bytes], first: int = 3) -> bytes:
    framed = b""
    for number, content in enumerate(contents, first):
        framed += len(content).to_bytes(3, "little") + bytes([number % 256]) + content
    return framed


def text_row(line: bytes) -> bytes:
    size = len(line)
    if size < 251:
        return bytes([size]) + line
    return (b"\xfc" + pack("<H", size) if size < 65_536 else b"\xfd" + size.to_bytes(3, "little")) + line


EOF = b"\xfe\0\0\2\0"
TRICKS = [b"\0", b"\r\n\0\0\0\0\0", b"\r\n\5\0\0\xfe", b"\r\n" * 3, b"\r\n\3\0\0\1\1"]
ODD_ROWS = st.lists(st.lists(st.sampled_from(BITS + TRICKS), max_size=4).map(b"".join), max_size=40)


def result() -> Any:
    return SimpleNamespace(unbuffered_active=True, connection="the driver's")


@given(ODD_ROWS, SIZES, st.integers(0, 255))
@example([b"y" * 70_000, b"x", b"y" * 70_000], [1_000], 254)
@example([b"x" * size for size in (240, 248, 249, 250, 251, 252, 253)] * 5, [9], 0)
def test_mysql_rows_are_the_packets_wherever_they_are_cut(
    rows: list[bytes], sizes: list[int], first: int
) -> None:
    content = packets([*(text_row(row + b"\r\n") for row in rows), EOF], first)
    driver, answer = SimpleNamespace(_rfile=arriving(content, sizes)), result()

    found = list(mysql_packets.blocks(driver, answer))

    assert b"".join(block.text for block in found) == b"".join(row + b"\n" for row in rows)
    assert sum(block.rows for block in found) == len(rows)
    assert (answer.unbuffered_active, answer.connection) == (False, None)


@given(ROWS, ROWS, SIZES)
def test_mysql_reads_an_answer_with_a_lost_line_to_its_end(
    before: list[bytes], after: list[bytes], sizes: list[int]
) -> None:
    lines = [text_row(row + b"\r\n") for row in before]
    content = packets([*lines, b"\xfb", *(text_row(row + b"\r\n") for row in after), EOF])
    driver, answer = SimpleNamespace(_rfile=arriving(content, sizes)), result()
    found: list[bytes] = []

    with pytest.raises(mysql_packets.LineLost):
        found.extend(block.text for block in mysql_packets.blocks(driver, answer))

    assert b"".join(found) == b"".join(row + b"\n" for row in before)
    assert not answer.unbuffered_active


@given(ROWS, SIZES)
def test_mysql_raises_an_error_after_the_rows_before_it(rows: list[bytes], sizes: list[int]) -> None:
    error = b"\xff" + pack("<H", 1317) + b"#70100Query execution was interrupted"
    content = packets([*(text_row(row + b"\r\n") for row in rows), error])
    driver = SimpleNamespace(_rfile=arriving(content, sizes), encoding="utf8")
    with pytest.raises(OperationalError, match=re.escape("(1317")):
        list(mysql_packets.blocks(driver, result()))


def test_mysql_joins_a_row_of_several_packets() -> None:
    line = b"z" * (0xFFFFFF + 10) + b"\r\n"
    content = b"\xfe" + pack("<Q", len(line)) + line
    stream = packets([content[:0xFFFFFF], content[0xFFFFFF:], EOF])
    driver = SimpleNamespace(_rfile=arriving(stream, [1 << 20]))
    (block,) = mysql_packets.blocks(driver, result())
    assert (block.rows, len(block.text)) == (1, len(line) - 1)


def test_mysql_says_whether_a_driver_can_be_read_through() -> None:
    assert mysql_packets.usable(SimpleNamespace(_rfile=arriving(b"", [1])))
    assert not mysql_packets.usable(object())


def test_an_answer_that_ends_in_the_middle_is_a_broken_connection() -> None:
    driver = SimpleNamespace(_rfile=arriving(packets([text_row(b"a\r\n")]), [5]))
    with pytest.raises(ConnectionError):
        list(mysql_packets.blocks(driver, result()))
