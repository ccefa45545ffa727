"""Keyset pages on every engine: each row once, in the source's own order, whatever the key."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.integration.engines.source import Source
from tributary.errors import TableRefused
from tributary.reading.csv_blocks import BLOCK_BYTES
from tributary.reading.receive_buffer import ROOM_BYTES, SIGHT_BYTES

ODD_TEXTS = [
    "",
    "a",
    "B",
    "ça",
    "d'",
    'e"',
    "f\\",
    "g\nh",
    "g\r\n",
    "😀",
    "%s",
    ":x",
    "i,j",
    "\ufeffz",
    "\\N",
    "--",
]


def string(text: str, source: Source) -> str:
    escaped = text.replace("\\", "\\\\") if source.facts.escapes else text
    return source.facts.string.format(escaped.replace("'", "''"))


def test_pages_of_every_size_hold_each_row_once_if_the_cursor_ties_at_their_borders(
    source: Source,
) -> None:
    source.execute(
        f"CREATE TABLE t (id INTEGER NOT NULL, changed {source.facts.time} NOT NULL, "
        "PRIMARY KEY (changed, id))"
    )
    times = (
        ["2024-01-01 00:00:00.000001"] * 5
        + ["2024-01-01 00:00:00.000002"] * 4
        + ["2024-01-02 00:00:00.000000"] * 3
    )
    rows = ", ".join(f"({number}, '{at}')" for number, at in enumerate(times))
    source.execute(f"INSERT INTO t VALUES {rows}")
    query = source.query("t", order=("changed", "id"), cursor="changed")

    for page_rows in range(1, 14):
        assert [row["id"] for row in source.read_in_pages(query, page_rows)] == list(range(12))


def test_pages_by_a_composite_text_key_follow_the_columns_collation(source: Source) -> None:
    source.execute(
        f"CREATE TABLE t (name {source.facts.text_key} NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (name, n))"
    )
    rows = ", ".join(f"({string(text, source)}, {n})" for text in ODD_TEXTS for n in (2, 1))
    source.execute(f"INSERT INTO t VALUES {rows}")
    expected = sorted((text, n) for text in ODD_TEXTS for n in (1, 2))

    for page_rows in (1, 2, 3, 7):
        read = [
            (row["name"], row["n"])
            for row in source.read_in_pages(source.query("t", order=("name", "n")), page_rows)
        ]
        assert sorted(read) == expected
        assert read == [
            (row["name"], row["n"]) for row in source.read(source.query("t", order=("name", "n")))
        ]


def test_bounds_are_exclusive_below_and_inclusive_above(source: Source) -> None:
    source.execute(f"CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, changed {source.facts.time})")
    source.execute(
        "INSERT INTO t VALUES (1, '2024-01-01 00:00:00.000001'), (2, '2024-01-01 00:00:00.000002'), "
        "(3, '2024-01-01 00:00:00.000003'), (4, '2024-01-01 00:00:00.000004'), (5, NULL)"
    )
    bounded = source.query(
        "t",
        order=("changed", "id"),
        cursor="changed",
        after="2024-01-01 00:00:00.000001",
        up_to="2024-01-01 00:00:00.000003",
    )

    assert [row["id"] for row in source.read(bounded)] == [2, 3]
    assert [row["id"] for row in source.read_in_pages(bounded, 1)] == [2, 3]
    assert [row["id"] for row in source.read(replace(bounded, after=None))] == [1, 2, 3]
    assert [row["id"] for row in source.read(replace(bounded, up_to=None))] == [2, 3, 4]
    assert [row["id"] for row in source.read(replace(bounded, after=None, up_to=None))] == [1, 2, 3, 4]


def test_rows_without_a_cursor_are_read_apart_and_in_pages(source: Source) -> None:
    source.execute(f"CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, changed {source.facts.time})")
    source.execute("INSERT INTO t VALUES (1, NULL), (2, '2024-01-01 00:00:00'), (3, NULL), (4, NULL)")

    for order in (("id",), ("changed", "id")):
        query = source.query("t", order=order, cursor="changed", nulls=True)
        assert [row["id"] for row in source.read_in_pages(query, 1)] == [1, 3, 4]


def test_a_key_that_holds_null_is_refused(source: Source) -> None:
    source.execute("CREATE TABLE t (id INTEGER, n INTEGER)")
    source.execute("INSERT INTO t VALUES (NULL, 1)")

    with pytest.raises(TableRefused, match=r'column "id" of .*t orders its rows and holds NULL'):
        source.read(source.query("t", order=("id",), limit=5))


def test_odd_identifiers_are_read(source: Source) -> None:
    engine = source.engine
    names = [
        "sp ace",
        'quo"te',
        "back`tick",
        "do.t",
        "MiXed",
        "per%cent",
        "co:lon",
        "encode",
        "c1",
        "t",
        "apo'strophe",
    ]
    table = 'O dd."%s`'
    columns = ", ".join(f"{engine.quote(name)} INTEGER" for name in names)
    source.execute(f"CREATE TABLE {engine.quote(table)} ({columns}, PRIMARY KEY ({engine.quote(names[0])}))")
    source.execute(f"INSERT INTO {engine.quote(table)} VALUES ({', '.join(map(str, range(len(names))))})")

    with source.session() as connection:
        assert table in [
            name.table for name in engine.list_tables(connection) if name.schema == source.schema
        ]
    assert source.describe(table).primary_key == (names[0],)
    for name in names:
        assert source.read_in_pages(source.query(table, order=(name,)), 1) == [
            dict(zip(names, range(len(names)), strict=True))
        ]


def test_an_empty_answer_has_no_page(source: Source) -> None:
    source.execute("CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY)")
    with source.session() as connection:
        assert list(source.engine.read(connection, source.query("t"))) == []
        assert list(source.engine.read(connection, source.query("t", order=("id",), limit=5))) == []


def test_pages_are_of_bounded_size_and_together_the_whole_answer(source: Source) -> None:
    source.execute("CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, filler VARCHAR(2000))")
    for start in range(0, 12_000, 1_000):
        rows = ", ".join(f"({n}, '{'x' * 1_500}')" for n in range(start, start + 1_000))
        source.execute(f"INSERT INTO t VALUES {rows}")
    with source.session() as connection:
        pages = list(source.engine.read(connection, source.query("t", order=("id",))))

    assert len(pages) > 3
    assert [number for page in pages for number in page.table.column("id").to_pylist()] == list(range(12_000))
    assert [page.position for page in pages] == [
        (str(page.table.column("id")[-1].as_py()),) for page in pages
    ]
    least = min(BLOCK_BYTES, SIGHT_BYTES) - ROOM_BYTES
    most = BLOCK_BYTES + SIGHT_BYTES + ROOM_BYTES  # a sight is read past its end by what is there
    assert all(least <= page.size_bytes < most for page in pages[:-1])
