"""How many ranges a table is read in, how they meet, and where MySQL's intervals are halved."""

from __future__ import annotations

import pytest

from tributary import ranges
from tributary.catalog import Size
from tributary.documents import Range
from tributary.engines import mysql_ranges

MILLION = 1_000_000
GIB = 1 << 30


@pytest.mark.parametrize(
    ("setting", "size", "connections", "count"),
    [
        (None, None, 4, 1),
        (None, Size(3 * MILLION, 100 << 20), 4, 1),
        ("auto", Size(7 * MILLION, 0), 4, 3),
        ("auto", Size(0, 2 * GIB), 4, 4),  # never analyzed: its size alone is known
        (None, Size(1000 * MILLION, 0), 4, 8),
        (None, Size(1000 * MILLION, 0), 1, 1),
        (None, Size(1000 * MILLION, 0), 100, 64),
        (8, Size(10, 0), 4, 8),
        (8, None, 4, 8),
    ],
)
def test_a_table_is_cut_by_its_size_for_the_connections_that_there_are(
    setting: int | None, size: Size | None, connections: int, count: int
) -> None:
    assert ranges.wanted(setting, size, connections) == count  # type: ignore[arg-type]


def test_ranges_meet_at_their_keys_and_are_open_at_both_ends() -> None:
    whole = Range(number=0, order=("a", "b"), up_to="x")
    assert ranges.cut(whole, [("1", "2"), ("5", "6")]) == (
        Range(number=0, order=("a", "b"), up_to="x", end=("1", "2")),
        Range(number=1, order=("a", "b"), up_to="x", begin=("1", "2"), end=("5", "6")),
        Range(number=2, order=("a", "b"), up_to="x", begin=("5", "6")),
    )
    assert ranges.cut(whole, []) == (whole,)


@pytest.mark.parametrize(
    ("low", "high", "type", "middle"),
    [
        ("1", "9", "int(11)", "5"),
        ("1", "2", "int(11)", "2"),
        ("7", "7", "int(11)", None),
        ("-9223372036854775808", "9223372036854775807", "bigint(20)", "0"),
        ("1.50", "2.00", "decimal(9,2)", "1.75"),
        ("00", "FF", "binary(1)", "80"),
        ("", "0A", "varbinary(9)", "05"),
        ("2024-01-01", "2024-01-03", "date", "2024-01-02"),
        ("2024-01-01 00:00:00.0", "2024-01-01 00:00:01.0", "datetime(1)", "2024-01-01 00:00:00.500000"),
        ("2024-01-01 00:00:00Z", "2024-01-01 00:00:04Z", "timestamp", "2024-01-01 00:00:02Z"),
        ("0000-00-00", "2024-01-01", "date", None),
        ("aa", "ac", "varchar(9)", "ab"),
        ("order-0", "order-8", "varchar(9)", "order-4"),
        ("A", "Z", "varchar(9)", "MHHHHI"),
        ("", "~", "varchar(9)", "h"),
        ("😀", "😁", "varchar(9)", None),
    ],
)
def test_intervals_are_halved_in_the_middle_of_their_values(
    low: str, high: str, type: str, middle: str | None
) -> None:
    assert mysql_ranges._middle(low, high, type) == middle
