from __future__ import annotations

import threading
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.patience import wait_for
from tributary.environment.extract import ExtractEnvironment
from tributary.errors import ConfigError
from tributary.extraction import chunks
from tributary.extraction.chunk_writer import Step
from tributary.extraction.extract import PAGE_ROWS_AT_MOST, PAGE_S, PAGE_SIZE_BYTES, PageRows
from tributary.model.plan import Column
from tributary.model.types import Kind
from tributary.observability import reduced


def test_a_step_does_one_thing_after_the_other_and_is_waited_for() -> None:
    done: list[int] = []
    step: Step[int] = Step("step", done.append, waiting=1)
    for number in range(20):
        step.put(number)
    step.close()
    assert done == list(range(20))


def test_after_a_failure_nothing_more_is_done_and_whoever_hands_on_learns_of_it() -> None:
    done: list[int] = []

    def work(number: int) -> None:
        if number == 2:
            raise ValueError("the third")
        done.append(number)

    def hand_on() -> None:
        for number in range(20):
            step.put(number)

    step: Step[int] = Step("step", work, waiting=0)
    with pytest.raises(ValueError, match="the third"):
        hand_on()
    with pytest.raises(ValueError, match="the third"):
        step.close()
    assert done == [0, 1]


def test_a_step_takes_no_more_than_there_is_room_for() -> None:
    go_on, taken = threading.Event(), []
    step: Step[int] = Step("step", lambda _: go_on.wait(), waiting=1)

    def hand_on() -> None:
        for number in range(5):
            step.put(number)
            taken.append(number)

    thread = threading.Thread(target=hand_on)
    thread.start()
    wait_for(lambda: len(taken) == 2)
    thread.join(0.2)  # it would take a third in this time
    assert taken == [0, 1]
    go_on.set()
    thread.join()
    step.close()


def test_stopping_forgets_what_waits_and_leaves_no_thread() -> None:
    before, go_on, done = threading.active_count(), threading.Event(), []
    step: Step[int] = Step("step", lambda number: done.append(number) or go_on.wait(), waiting=3)  # type: ignore[func-returns-value]
    for number in range(4):
        step.put(number)
    while not done:  # until the first is under way
        time.sleep(0.001)
    stopping = threading.Thread(target=step.stop)
    stopping.start()
    while step._failure is None:
        time.sleep(0.001)
    go_on.set()
    stopping.join()
    step.stop()
    assert done == [0]
    assert threading.active_count() == before


def learnt(rows: int, size_bytes: int, took_s: float, left_s: float) -> int:
    page_rows = PageRows(None, rows=rows)
    page_rows.learn(rows, size_bytes, took_s, left_s)
    return page_rows.rows


def test_a_page_comes_to_its_size_whatever_the_rows_width() -> None:
    assert learnt(1_000, 20_000, 0.01, 900) == 16_000  # no more than sixteen times the last
    assert learnt(100_000, 13_000_000, 0.2, 900) == 100_000 * PAGE_SIZE_BYTES // 13_000_000
    assert learnt(400_000, 8_000_000, 0.2, 900) == PAGE_ROWS_AT_MOST
    assert learnt(1_000, 5_000_000_000, 60, 900) == 6


def test_a_page_takes_no_longer_than_it_may_and_half_of_what_is_left() -> None:
    assert learnt(10_000, 1_000_000, 40, 900) == 10_000 * PAGE_S // 40
    assert learnt(10_000, 1_000_000, 40, 8) == 1_000
    assert learnt(10_000, 1_000_000, 40, -5) == 1


def test_a_page_of_fixed_rows_learns_nothing() -> None:
    page_rows = PageRows(7)
    page_rows.learn(7, 1 << 30, 100, 1)
    assert page_rows.rows == 7


def test_a_full_disk_is_told_with_what_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    """/dev/full takes no byte, as a disk without room."""
    column = Column(name="n", type="bigint", kind=Kind("int64"), nullable=False, target="n")
    with Path("/dev/full").open("w+b", buffering=0) as full:
        monkeypatch.setattr(chunks, "TemporaryFile", lambda prefix: full)
        chunk = chunks.ChunkBuilder([column], 1, 1)
        chunk.add(pa.table({"n": [1]}))
        with pytest.raises(OSError, match="No space left") as caught:
            chunk.finish(chunks.NOTHING.footer)
    assert "EphemeralStorage" in str(reduced(caught.value))
    assert "bug" in str(reduced(OSError(5, "another")))


@pytest.mark.parametrize("codec", ["snappy", "zstd"])
def test_a_chunk_is_compressed_by_the_codec_of_the_stack(codec: chunks.Codec) -> None:
    column = Column(name="n", type="bigint", kind=Kind("int64"), nullable=False, target="n")
    chunk = chunks.ChunkBuilder([column], 1, 1, codec=codec)
    chunk.add(pa.table({"n": [1, 2]}))
    with chunk.finish(chunks.NOTHING.footer) as file:
        group = pq.ParquetFile(file).metadata.row_group(0)
        assert {group.column(number).compression for number in range(2)} == {codec.upper()}


def test_chunks_are_snappy_unless_the_stack_asks_for_zstd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAW_BUCKET", "raw")
    monkeypatch.setenv("CHUNK_SIZE_BYTES", "1")
    monkeypatch.delenv("CHUNK_CODEC", raising=False)
    assert ExtractEnvironment.read().chunk_codec == "snappy"
    monkeypatch.setenv("CHUNK_CODEC", "zstd")
    assert ExtractEnvironment.read().chunk_codec == "zstd"
    monkeypatch.setenv("CHUNK_CODEC", "lz4")
    with pytest.raises(ConfigError, match="CHUNK_CODEC is wrong"):
        ExtractEnvironment.read()
