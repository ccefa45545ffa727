from __future__ import annotations

from typing import Any

import pytest

from tributary.model.query import Query, ReadColumn
from tributary.model.source_catalog import TableName
from tributary.model.types import Kind
from tributary.reading import keyset


def query(**parts: Any) -> Query:
    columns = (ReadColumn("at", "date", Kind("date")), ReadColumn("id", "int", Kind("int32")))
    return Query(TableName("s", "t"), columns, **parts)


def conditions(**parts: Any) -> list[str]:
    return keyset.conditions(
        query(**parts), keyset.ROWS, lambda name: f"t.{name}", lambda text, type: f"{type}({text})"
    )


def test_row_values_compare_lexicographically_by_themselves() -> None:
    assert keyset.after_row(["a"], ["1"]) == "a > 1"
    assert keyset.after_row(["a", "b", "c"], ["1", "2", "3"]) == "(a, b, c) > (1, 2, 3)"


def test_alternatives_do_not_skip_ties() -> None:
    assert keyset.after_alternatives(["a"], ["1"]) == "a > 1"
    assert keyset.after_alternatives(["a", "b"], ["1", "2"]) == "(a > 1 OR (a = 1 AND b > 2))"
    assert keyset.after_alternatives(["a", "b", "c"], ["1", "2", "3"]) == (
        "(a > 1 OR (a = 1 AND b > 2) OR (a = 1 AND b = 2 AND c > 3))"
    )


@pytest.mark.parametrize("count", [1, 2, 3])
def test_both_forms_say_the_same(count: int) -> None:
    from itertools import product
    from sqlite3 import connect

    names = ["a", "b", "c"][:count]
    with connect(":memory:") as database:
        database.execute(f"CREATE TABLE t ({', '.join(names)})")
        rows = list(product(range(3), repeat=count))
        database.executemany(f"INSERT INTO t VALUES ({', '.join('?' * count)})", rows)
        for row in rows:
            literals = [str(value) for value in row]
            for form in (keyset.ROWS, keyset.ALTERNATIVES):
                after = database.execute(f"SELECT * FROM t WHERE {form.after(names, literals)}").fetchall()
                assert sorted(after) == [other for other in rows if other > row]
                up_to = database.execute(f"SELECT * FROM t WHERE {form.up_to(names, literals)}").fetchall()
                assert sorted(up_to) == [other for other in rows if other <= row]


def test_a_range_ends_with_its_last_key() -> None:
    assert conditions(order=("at", "id"), position=("z", "7"), end=("z", "9")) == [
        "(t.at, t.id) > (date(z), int(7))",
        "(t.at, t.id) <= (date(z), int(9))",
    ]


def test_bounds_are_typed_by_the_cursor_and_half_open() -> None:
    assert conditions(order=("at", "id"), cursor="at", after="x", up_to="y") == [
        "t.at > date(x)",
        "t.at <= date(y)",
    ]


def test_a_position_takes_the_place_of_the_lower_bound() -> None:
    assert conditions(order=("at", "id"), cursor="at", after="x", up_to="y", position=("z", "7")) == [
        "t.at <= date(y)",
        "(t.at, t.id) > (date(z), int(7))",
    ]


def test_a_position_by_the_key_alone_keeps_the_lower_bound() -> None:
    assert conditions(order=("id",), cursor="at", after="x", position=("7",)) == [
        "t.at > date(x)",
        "t.id > int(7)",
    ]


def test_a_cursor_without_bounds_leaves_null_out() -> None:
    assert conditions(order=("at", "id"), cursor="at") == ["t.at IS NOT NULL"]
    assert conditions(order=("at", "id"), cursor="at", position=("z", "7")) == [
        "(t.at, t.id) > (date(z), int(7))"
    ]


def test_rows_without_a_cursor_are_ordered_by_the_rest() -> None:
    nulls: dict[str, Any] = {"order": ("at", "id"), "cursor": "at", "nulls": True, "after": "x", "up_to": "y"}
    assert keyset.order(query(**nulls)) == ("id",)
    assert conditions(**nulls, position=("7",)) == ["t.at IS NULL", "t.id > int(7)"]


def test_without_a_cursor_or_position_there_is_no_condition() -> None:
    assert conditions(order=("id",)) == []


def test_the_order_is_the_same_on_every_page() -> None:
    first = keyset.tail(query(order=("at", "id"), limit=5), str)
    assert first == keyset.tail(query(order=("at", "id"), limit=5, position=("z", "7")), str)
    assert first == " ORDER BY at, id LIMIT 5"
    assert keyset.tail(query(), str) == ""


def test_a_window_begins_with_its_first_value_and_ends_before_its_last() -> None:
    window = {"order": ("at", "id"), "cursor": "at", "since": "a", "before": "d"}
    assert conditions(**window, up_to="c") == ["t.at >= date(a)", "t.at <= date(c)", "t.at < date(d)"]
    assert conditions(**window, position=("b", "7")) == ["t.at < date(d)", "(t.at, t.id) > (date(b), int(7))"]
