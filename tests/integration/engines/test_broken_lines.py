"""Rows that come in pieces, over lines that break off anywhere, are each read once, as they are."""

from __future__ import annotations

import os
import random
import time
from contextlib import closing
from dataclasses import replace
from typing import Any

from tests.integration.engines.broken_line import broken_line
from tests.integration.engines.source import Source
from tributary.errors import SourceUnavailable

SOAK_S = float(os.environ.get("TRIBUTARY_SOAK_SECONDS", "0")) / 4
BREAKS = 6
BINARY = {"postgresql": "bytea", "mysql": "longblob"}
HOLDERS = {"postgresql": ":p0, :p1, :p2, :p3, :p4", "mysql": "%s, %s, %s, %s, %s"}
TEXTS = [
    "\n",
    "\r\n",
    '"',
    ",",
    "\\",
    "\\N",
    "\\.",
    "NULL",
    "\nd",
    "\nc",
    "\ufeff",
    "é",
    "🌍",
    "\x01",
    "x" * 90,
]
BYTES = [b"\0", b"\5\0\0\7\xfe\0\0\2\0", b"\0\0\xff\1\2#", b"\xfb", b"\xfe", b"\nd\0\0\0\5\n", b"Z\0\0\0\5I"]
SIZES = [
    0,
    1,
    8,
    249,
    250,
    251,
    252,
    300,
    8_192,
    65_535,
    65_536,
    70_000,
]  # where lengths are written otherwise
Row = tuple[Any, ...]


def drawn(seed: int, count: int) -> list[Row]:
    """Return rows by their key, made of what looks like a protocol's own bytes, some of it NULL."""
    draw = random.Random(seed)
    rows: list[Row] = []
    for key in sorted(draw.sample(range(-(2**31), 2**31), count)):
        text = "".join(draw.choices(TEXTS, k=draw.choice([0, 1, 3, 40])))
        binary = b"".join(draw.choices(BYTES, k=9)) * 8_000
        values = [text, binary[: draw.choice(SIZES)], draw.randrange(-(2**63), 2**63)]
        rows.append((key % 7, key, *(None if draw.random() < 0.1 else value for value in values)))
    return sorted(rows)


def check(source: Source, seed: int, count: int) -> None:
    table, rows = f"drawn_{seed}", drawn(seed, count)
    source.execute(
        f"CREATE TABLE {table} (k INTEGER NOT NULL, id INTEGER NOT NULL, a {source.facts.text}, "
        f"b {BINARY[source.name]}, c BIGINT, PRIMARY KEY (k, id))"
    )
    source.insert(f"INSERT INTO {table} VALUES ({HOLDERS[source.name]})", [list(row) for row in rows])
    query = source.query(table, order=("k", "id"))
    with broken_line(source.secret.port or 0, seed=seed) as line:
        over = replace(source, secret=source.secret.model_copy(update={"port": line.port}))
        for size in (1, 7, count, count + 1):
            limited = rows[: 3 * size]
            read = over.read_in_pages(replace(query, end=tuple(map(str, limited[-1][:2]))), size)
            assert [tuple(row.values()) for row in read] == limited, (seed, size)
        arrived: list[Row] = []
        position = None
        size_bytes = max(1, sum(len(row[3] or b"") for row in rows))
        for attempt in range(BREAKS + 1):
            line.breaks_after = None
            with over.session() as connection:
                if attempt < BREAKS:
                    line.break_within(size_bytes)
                try:
                    with closing(over.engine.read(connection, replace(query, position=position))) as pages:
                        for page in pages:
                            arrived += [tuple(row.values()) for row in page.table.to_pylist()]
                            position = page.position
                    break
                except SourceUnavailable:
                    assert attempt < BREAKS
        assert attempt > 0
        assert arrived == rows, seed
    source.execute(f"DROP TABLE {table}")


def test_every_row_is_read_once_over_a_line_that_delivers_pieces_and_breaks_off(
    dialled_source: Source,
) -> None:
    until = time.monotonic() + SOAK_S
    check(dialled_source, seed=1, count=60)
    seed = int(time.time())
    while time.monotonic() < until:
        seed += 1
        check(dialled_source, seed, count=random.Random(seed).choice([1, 60, 600]))
