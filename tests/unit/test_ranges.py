"""How many ranges a table is read in, how they meet, and where MySQL's intervals are halved."""

from __future__ import annotations

from typing import Any

import pytest

from tributary.engines.mysql import engine as mysql
from tributary.engines.mysql import ranges as mysql_ranges
from tributary.engines.postgresql import ranges as postgresql_ranges
from tributary.model.plan import Range
from tributary.model.source_catalog import Size
from tributary.planning import key_ranges

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
    setting: Any, size: Size | None, connections: int, count: int
) -> None:
    assert key_ranges.range_count(setting, size, connections) == count


def test_ranges_meet_at_their_keys_and_are_open_at_both_ends() -> None:
    whole = Range(number=0, order=("a", "b"), up_to="x")
    assert key_ranges.split_at(whole, [("1", "2"), ("5", "6")]) == (
        Range(number=0, order=("a", "b"), up_to="x", end=("1", "2")),
        Range(number=1, order=("a", "b"), up_to="x", begin=("1", "2"), end=("5", "6")),
        Range(number=2, order=("a", "b"), up_to="x", begin=("5", "6")),
    )
    assert key_ranges.split_at(whole, []) == (whole,)


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


def test_postgresql_ends_a_range_if_the_sample_fills_another_one() -> None:
    sql = postgresql_ranges.range_ends('"public"."t"', ["t.a", "t.b"], ["t.a::text", "t.b::text"], 12.5, 8)
    assert sql == (
        "SELECT k0, k1 FROM (SELECT t.a::text AS k0, t.b::text AS k1, "
        "pg_catalog.row_number() OVER (ORDER BY t.a, t.b) AS place, "
        "pg_catalog.count(*) OVER () AS sampled "
        'FROM "public"."t" AS t TABLESAMPLE SYSTEM (12.500000)) AS sample '
        "WHERE place < sampled AND place * 8 / sampled > (place - 1) * 8 / sampled ORDER BY place"
    )
    assert postgresql_ranges.percent(8192 * 10_000, 8192, 8) == 8.0
    assert postgresql_ranges.percent(8192, 8192, 8) == 100.0
    assert postgresql_ranges.percent(0, 8192, 8) == 100.0


def test_mysql_asks_for_a_key_near_the_middle_and_how_many_lie_on_both_sides() -> None:
    statements = []
    answers = iter(
        [
            ("1", "1"),  # the first key, and the last
            ("9", "8"),
            ('{"rows": 100}',),
            ("4", "7"),  # the last key below the middle
            ('{"rows": 50}',),
            ('{"rows_examined_per_scan": 60}',),
        ]
    )

    def ask(sql: str) -> tuple[str | None, ...] | None:
        statements.append(sql)
        return next(answers, None)

    table = mysql_ranges.KeyedTable("`t`", ("t.a", "t.b"), ("t.a", "t.b"), ("int", "int"), mysql.literal)
    mysql_ranges.range_ends(ask, table, 2)

    inside = "(t.a > 1 OR (t.a = 1 AND t.b > 1)) AND (t.a < 9 OR (t.a = 9 AND t.b <= 8))"
    assert statements[:6] == [
        "SELECT t.a, t.b FROM `t` AS t ORDER BY t.a, t.b LIMIT 1",
        "SELECT t.a, t.b FROM `t` AS t ORDER BY t.a DESC, t.b DESC LIMIT 1",
        f"EXPLAIN FORMAT=JSON SELECT 1 FROM `t` AS t WHERE {inside}",
        f"SELECT t.a, t.b FROM `t` AS t WHERE {inside} AND t.a < 5 ORDER BY t.a DESC, t.b DESC LIMIT 1",
        (
            "EXPLAIN FORMAT=JSON SELECT 1 FROM `t` AS t "
            "WHERE (t.a > 1 OR (t.a = 1 AND t.b > 1)) AND (t.a < 4 OR (t.a = 4 AND t.b <= 7))"
        ),
        (
            "EXPLAIN FORMAT=JSON SELECT 1 FROM `t` AS t "
            "WHERE (t.a > 4 OR (t.a = 4 AND t.b > 7)) AND (t.a < 9 OR (t.a = 9 AND t.b <= 8))"
        ),
    ]
    assert table.between(("7", "1"), ("7", "5")) == "t.a = 7 AND t.b > 1 AND t.b <= 5"
