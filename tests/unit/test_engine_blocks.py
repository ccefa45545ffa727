from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from tributary.errors import InternalError, QueryCancelled
from tributary.reading.csv_blocks import Block, collected, pumped


def fill_with(*records: bytes, rows: int | None = None) -> Callable[[Any], int | None]:
    def fill(write: Any) -> int | None:
        for record in records:
            write(record)
        return rows

    return fill


def test_records_are_divided_into_blocks_at_their_ends() -> None:
    expected = [Block(b"aa\nbb\n", 2, b"bb\n"), Block(b"cc\n", 1, b"cc\n")]
    fill = fill_with(b"aa\n", b"bb\n", b"cc\n", rows=3)
    assert list(pumped(fill, abort=lambda: None, size_bytes=6)) == expected
    assert list(collected((one for one in [b"aa\n", b"bb\n", b"cc\n"]), size_bytes=6)) == expected
    assert list(pumped(fill_with(rows=0), abort=lambda: None)) == []


def test_a_count_that_differs_from_the_servers_is_a_bug() -> None:
    with pytest.raises(InternalError, match="sent 3 rows and 1 arrived"):
        list(pumped(fill_with(b"a\n", rows=3), abort=lambda: None))


def test_an_error_comes_after_the_blocks_before_it_and_without_an_abort() -> None:
    def fill(write: Any) -> int:
        write(b"a\n")
        raise QueryCancelled("too slow")

    aborted: list[bool] = []
    blocks = pumped(fill, abort=lambda: aborted.append(True), size_bytes=1)
    assert next(blocks) == Block(b"a\n", 1, b"a\n")
    with pytest.raises(QueryCancelled, match="too slow"):
        next(blocks)
    assert aborted == []


def test_closing_early_aborts_and_waits_for_the_thread() -> None:
    go_on = threading.Event()

    def fill(write: Any) -> int:
        while not go_on.is_set():
            write(b"a\n")
        raise ConnectionError("cut off")

    before = threading.active_count()
    blocks = pumped(fill, abort=go_on.set, size_bytes=1)
    next(blocks)
    assert threading.active_count() == before + 1
    blocks.close()
    assert threading.active_count() == before
    assert go_on.is_set()


def test_a_reader_that_waits_does_not_let_the_source_run_ahead() -> None:
    written: list[int] = []

    def fill(write: Any) -> int:
        for number in range(100):
            write(b"x\n")
            written.append(number)
        return 100

    blocks = pumped(fill, abort=lambda: None, size_bytes=1)
    next(blocks)
    threading.Event().wait(0.3)
    assert len(written) <= 4
    assert sum(block.rows for block in blocks) == 99
