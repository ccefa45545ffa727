"""Runs beside sessions that write all the time: once these are done, one more run makes both sides equal."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from .company import Company, Source
from .compare import ENGINES, NOW, STAMP, full_name, in_source, in_warehouse, only_table

ROUNDS = 2
RUNS = 2  # beside the writers, in each round
SOAK_S = float(os.environ.get("TRIBUTARY_SOAK_SECONDS", "0"))  # how long to go on after that
WRITERS = {"postgresql": 3, "mysql": 3, "sqlite": 1}


def write(source: Source, seed: int, stop: threading.Event) -> None:
    """Insert and update until stopped, in transactions that stay open for a moment."""
    chance = random.Random(seed)
    session = source.connect()
    execute = session.run if source.engine == "postgresql" else session.cursor().execute
    if source.engine == "mysql":  # READ COMMITTED: no gap locks, and so no deadlocks among writers
        execute("SET time_zone = '+00:00', tx_isolation = 'READ-COMMITTED'")
    number = 0
    while not stop.is_set():
        execute("BEGIN")
        for _ in range(chance.randint(1, 4)):
            now = NOW[source.engine]
            if chance.random() < 0.4:
                number += 1
                execute(f"INSERT INTO orders VALUES ('{seed}-{number}', {number}, {now})")
            else:
                changed = f"{seed}-{chance.randint(1, max(number, 1))}"
                execute(f"UPDATE orders SET amount = amount + 1, stamp = {now} WHERE id = '{changed}'")
            time.sleep(chance.choice([0, 0, 0.005, 0.3 if source.engine != "sqlite" else 0]))
        execute(chance.choice(["COMMIT", "COMMIT", "COMMIT", "ROLLBACK"]))
        time.sleep(0.002)
    with suppress(Exception):
        session.close()


@contextmanager
def writers(source: Source, seed: int) -> Iterator[None]:
    """Let some sessions write for as long as the block lasts."""
    stop = threading.Event()
    threads = [
        threading.Thread(target=write, args=(source, seed + place, stop))
        for place in range(WRITERS[source.engine])
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("engine", ENGINES)
def test_rows_that_change_during_the_runs_are_all_there_in_the_end(company: Company, engine: str) -> None:
    source = company.source(engine)
    source.sql(
        "CREATE TABLE orders (id varchar(20) NOT NULL PRIMARY KEY, amount int, "
        f"stamp {STAMP[engine]} NOT NULL)",
        "CREATE INDEX by_stamp ON orders (stamp, id)",
    )
    source.file(
        f"tables: [{{name: {full_name(source)}, mode: merge, cursor: stamp, cursor_time_zone: UTC, "
        "page_rows: 40}]"
    )
    until = time.monotonic() + SOAK_S
    done = 0
    while done < ROUNDS or time.monotonic() < until:
        with writers(source, seed=10 * done):
            for _ in range(RUNS):
                only_table(source.run())
        only_table(source.run())
        done += 1
        assert in_warehouse(source, "orders", "id, amount", "stamp") == in_source(
            source, "orders", "id, amount", "stamp"
        )
