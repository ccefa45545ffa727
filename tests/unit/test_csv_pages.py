from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tributary.errors import InternalError, TableRefused, ValueRefused
from tributary.model.query import Query, ReadColumn
from tributary.model.source_catalog import TableName
from tributary.model.types import Kind, KindName
from tributary.reading import csv_pages
from tributary.reading.csv_blocks import Block, collected

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


def query(*kinds: KindName | Kind, order: tuple[str, ...] = ()) -> Query:
    full = [kind if isinstance(kind, Kind) else Kind(kind) for kind in kinds]
    columns = tuple(ReadColumn(f"c{n}", f"type of {kind.name}", kind) for n, kind in enumerate(full))
    return Query(TableName("shop", "orders"), columns, order)


def block(text: str | bytes, rows: int = 1) -> Block:
    data = text if isinstance(text, bytes) else text.encode()
    return Block(data, rows, data)


def values(text: str | bytes, *kinds: KindName | Kind, rows: int = 1) -> list[list[Any]]:
    table, _ = csv_pages.parse(block(text, rows), query(*kinds))
    return [column.to_pylist() for column in table.columns]


@given(st.lists(st.tuples(st.none() | TEXTS, st.none() | TEXTS), min_size=1, max_size=5))
def test_any_texts_and_nulls_come_back_from_their_csv(rows: list[tuple[str | None, str | None]]) -> None:
    lines = [csv_pages.line(None if v is None else v.encode() for v in row) for row in rows]
    page_query = query("text", "text")
    (page,) = csv_pages.pages(page_query, collected(line for line in lines))
    assert [tuple(row.values()) for row in page.table.to_pylist()] == rows
    assert [csv_pages.fields(line) for line in lines] == [list(row) for row in rows]


@given(st.lists(st.none() | TEXTS, min_size=1, max_size=5))
def test_a_table_of_one_column_keeps_its_nulls(texts: list[str | None]) -> None:
    lines = b"".join(csv_pages.line([None if text is None else text.encode()]) for text in texts)
    assert values(lines, "text", rows=len(texts)) == [texts]


@given(st.lists(st.none() | st.binary(max_size=30), min_size=1, max_size=6))
def test_binaries_come_back_from_their_hex(data: list[bytes | None]) -> None:
    lines = b"".join(csv_pages.line([None if one is None else one.hex().encode()]) for one in data)
    assert values(lines, "binary", rows=len(data)) == [data]


def test_every_kind_is_parsed_to_its_own_type() -> None:
    kinds: list[KindName | Kind] = ["boolean", "int16", "int64", Kind("decimal", 5, 2), "float32", "date"]
    text = "t,-32768,9223372036854775807,1.5,0.1,2024-02-29,2024-01-01 00:00:00.1,2024-01-01 00:00:00+00\n"
    firsts = [column[0] for column in values(text, *kinds, "timestamp", "timestamptz")]
    assert [str(value) for value in firsts[3:5]] == ["1.50", "0.10000000149011612"]
    assert firsts[:3] == [True, -32768, 2**63 - 1]
    assert firsts[5:] == [
        date(2024, 2, 29),
        datetime(2024, 1, 1, microsecond=100_000),
        datetime(2024, 1, 1, tzinfo=UTC),
    ]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("2147483648\n", "int32"),
        ("infinity\n", "date"),
        ("0000-00-00\n", "date"),
        ("0000-12-31\n", "date"),
        ("0000-12-31 23:59:59.999999\n", "timestamp"),
        ("2024-01-01 00:00:00.1234567\n", "timestamp"),
        ("NaN\n", Kind("decimal", 5, 2)),
        ("1.005\n", Kind("decimal", 5, 2)),
        ("1000\n", Kind("decimal", 5, 2)),
        ("zz\n", "binary"),
        (b"\xff\n", "text"),
        ('"a\0"\n', "text"),
        (f"{'é' * 32_768}\n", "text"),
        ("secret\n", Kind("text", size_bytes=5)),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_column_without_it(
    text: str | bytes, kind: KindName | Kind
) -> None:
    plain = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(ValueRefused) as caught:
        values(b"1," + plain, "int32", kind)
    message = str(caught.value)
    assert message.startswith('column "c1" of shop.orders')
    assert plain.strip().strip(b'"').decode(errors="replace") not in message
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_another_number_of_fields_or_rows_is_a_bug_and_shows_no_value() -> None:
    for text, rows in (("secret,1\n", 1), ("1\n2\n", 1), ("1\n", 2)):
        with pytest.raises(InternalError) as caught:
            values(text, "int32", rows=rows)
        assert "secret" not in str(caught.value)


def test_a_byte_order_mark_belongs_to_the_value() -> None:
    assert values("\ufeffx\n", "text") == [["\ufeffx"]]


def test_a_position_is_the_servers_own_text_of_the_last_row() -> None:
    page_query = query("timestamptz", Kind("decimal", 5, 2), "text", order=("c2", "c0", "c1"))
    text = '2024-01-01 00:00:00.10+00,01.50,"a,""\n"\n'
    (page,) = csv_pages.pages(page_query, collected(line for line in [text.encode()]))
    assert page.position == ('a,"\n', "2024-01-01 00:00:00.10+00", "01.50")
    assert page.size_bytes == len(text)


def test_a_null_cannot_stand_in_a_position() -> None:
    with pytest.raises(TableRefused, match=r'column "c0" of shop\.orders orders its rows'):
        list(csv_pages.pages(query("int32", "int32", order=("c0",)), collected(one for one in [b",1\n"])))


def test_the_empty_text_can_stand_in_a_position() -> None:
    (page,) = csv_pages.pages(query("text", order=("c0",)), collected(one for one in [b'""\n']))
    assert page.position == ("",)


@pytest.mark.parametrize("record", [b'a,"b', b'"a"b,c\n'])
def test_a_record_that_is_cut_off_is_a_bug(record: bytes) -> None:
    with pytest.raises(InternalError, match="cut off"):
        csv_pages.fields(record)
