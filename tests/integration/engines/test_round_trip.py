"""Values that hypothesis draws, written by the driver's parameters, arrive in the warehouse as they were.

Every type is a column of one table and every drawn row a row of it, so that thousands of values cost
one run; what differs is named by its type and its value.
"""

from __future__ import annotations

import math
import os
import time
from functools import partial
from typing import Any

import pytest
from hypothesis import strategies as st

from local.databases import mariadb
from tests.integration.engines.drawn_values import TYPES, Drawn, check, rows_of, texts, write
from tests.integration.engines.moving import move
from tests.integration.engines.source import Source
from tests.integration.redshift_warehouse import Warehouse
from tributary.model.value_policies import Fault, Policy

SOAK_S = float(os.environ.get("TRIBUTARY_SOAK_SECONDS", "0")) / 4


NATIVE = ["postgresql", *(["mysql"] if mariadb.available() else []), "sqlite"]
pytestmark = pytest.mark.parametrize("source", NATIVE, indirect=True)
LIMITS = {  # MariaDB takes no statement near max_allowed_packet
    "postgresql": ("bytea", "text", 16_777_216),
    "mysql": ("longblob", "longtext", 5_000_000),
    "sqlite": ("BLOB", "TEXT", 16_777_216),
}


def test_values_of_the_widest_columns_arrive_whole_and_longer_ones_are_cut(
    source: Source, warehouse: Warehouse
) -> None:
    binary, text, most = LIMITS[source.name]
    source.execute(f"CREATE TABLE wide (id INTEGER NOT NULL PRIMARY KEY, v {binary}, w {text})")
    holders = {"postgresql": ":p0, :p1, :p2", "mysql": "%s, %s, %s", "sqlite": "?, ?, ?"}[source.name]
    full = "é" * 32_767 + "x"
    rows = [[1, b"x" * most, full], [2, b"", "日" * (most // 3)], [3, b"\x00" * 64_001, full + "y"]]
    for row in rows:
        source.insert(f"INSERT INTO wide VALUES ({holders})", [row])

    moved = move(source, warehouse, "wide", column_policies={"w": {"too_long": "truncate"}})

    assert moved.result.failure is None
    assert [(one.column, one.values) for one in moved.result.altered] == [("w", 2)]
    assert moved.rows("OCTET_LENGTH(v), OCTET_LENGTH(w)") == [(most, 65_535), (0, 65_535), (64_001, 65_535)]


# Values that the warehouse cannot hold, among others that it can: what a policy makes of each.
TREATED: dict[str, dict[str, tuple[dict[Fault, Policy], str, dict[Any, Any]]]] = {
    "postgresql": {
        "date": (
            {"date_out_of_range": "clamp"},
            "date_out_of_range",
            {
                "infinity": "9999-12-31",
                "-infinity": "0001-01-01",
                "0044-03-15 BC": "0001-01-01",
                "12345-06-07": "9999-12-31",
            },
        ),
        "timestamptz": (
            {"date_out_of_range": "null"},
            "date_out_of_range",
            {
                "infinity": None,
                "0001-12-31 23:59:59.999999+00 BC": None,
                "9999-12-31 23:59:59.999999-01": None,
            },
        ),
        "numeric(10,2)": ({"not_a_number": "null"}, "not_a_number", {"NaN": None}),
        "numeric": (
            {"number_out_of_range": "clamp"},
            "number_out_of_range",
            {"Infinity": "9" * 28 + "." + "9" * 10, "-1e28": "-" + "9" * 28 + "." + "9" * 10},
        ),
        "numeric(60,20)": (
            {"number_out_of_range": "null"},
            "number_out_of_range",
            {"1e18": None, "9" * 40: None},
        ),
        "text": (
            {"too_long": "truncate"},
            "too_long",
            {"é" * 32_768: "é" * 32_767, "x" + "日" * 21_845: "x" + "日" * 21_844},
        ),
        "json": (
            {"super_limits": "null"},
            "super_limits",
            {'{"a":1,"a":2}': None, "[" * 1001 + "]" * 1001: None},
        ),
    },
    "mysql": {
        "date": ({"impossible_date": "null"}, "impossible_date", {"0000-00-00": None, "2024-00-01": None}),
        "datetime(6)": (
            {"date_out_of_range": "clamp", "impossible_date": "null"},
            "impossible_date",
            {"0000-00-00 00:00:00": None, "2024-02-00 01:02:03.5": None},
        ),
        "timestamp(6)": ({"impossible_date": "null"}, "impossible_date", {"0000-00-00 00:00:00": None}),
        "decimal(65,30)": (
            {"number_out_of_range": "clamp"},
            "number_out_of_range",
            {"1" + "0" * 8: "9" * 8 + "." + "9" * 30, "-" + "9" * 35: "-" + "9" * 8 + "." + "9" * 30},
        ),
        "varchar(9)": ({"nul_character": "truncate"}, "nul_character", {"\0a\0b": "ab"}),
        "mediumtext": ({"too_long": "truncate"}, "too_long", {"é" * 32_768: "é" * 32_767}),
    },
    "sqlite": {
        "INTEGER": ({"misfit": "null"}, "misfit", {"wrong": None, 1.5: None, b"x": None}),
        "NUMERIC": ({"number_out_of_range": "null"}, "number_out_of_range", {1e30: None, math.inf: None}),
        "DECIMAL(12,4)": (
            {"excess_digits": "truncate"},
            "excess_digits",
            {-1.23456: "-1.2345", 0.00009: "0.0000"},
        ),
        "TEXT": ({"misfit": "null", "nul_character": "truncate"}, "nul_character", {"a\0b": "ab"}),
        "DATETIME": (
            {"excess_digits": "truncate", "misfit": "null"},
            "excess_digits",
            {"2024-12-31 23:59:59.999999999": "2024-12-31 23:59:59.999999"},
        ),
        "DATE": ({"impossible_date": "null"}, "impossible_date", {"2023-02-29": None}),
    },
}


def test_what_a_policy_treats_arrives_treated_and_is_counted_to_the_value(
    source: Source, warehouse: Warehouse
) -> None:
    wanted = TREATED[source.name]
    types: dict[str, Drawn] = {}
    for type, (_, _, faulty) in wanted.items():
        good = TYPES[source.name].get(type, Drawn(texts(2)))
        types[type] = Drawn(
            good.values | st.sampled_from(list(faulty)),
            partial(_treated, good, faulty),
            partial(_given, good, faulty),
            good.cast if "text" in good.cast or source.name != "postgresql" else "{}::text::" + type,
            good.read,
        )
    if source.name == "mysql":
        source.execute("SET SESSION sql_mode = ''")
    rows = rows_of(types, seed=7, count=40)
    write(source, "treated", types, rows)
    moved = move(
        source,
        warehouse,
        "treated",
        page_rows=7,
        column_policies={f"c{place}": policies for place, (policies, _, _) in enumerate(wanted.values())},
    )
    assert moved.result.failure is None
    lengths = [f"c{place}" for place in range(len(types))]
    loaded = moved.rows(", ".join(lengths))
    counted = {}
    for place, (type, drawn) in enumerate(types.items()):
        _, fault, faulty = wanted[type]
        for row, cells in zip(rows, loaded, strict=True):
            expected = None if row[place] is None else drawn.arrived(row[place])
            arrived = None if cells[place] is None else drawn.read(cells[place])
            assert (type, row[place], arrived) == (type, row[place], expected)
        if touched := sum(_is_in(row[place], faulty) for row in rows):
            counted[f"c{place}", fault] = touched
    assert len(counted) == len(types)
    assert {(one.column, one.fault): one.values for one in moved.result.altered} == counted


def _treated(good: Drawn, faulty: dict[Any, Any], value: Any) -> Any:
    return faulty[value] if _is_in(value, faulty) else good.arrived(value)


def _given(good: Drawn, faulty: dict[Any, Any], value: Any) -> Any:
    return value if _is_in(value, faulty) else good.given(value)


def _is_in(value: Any, faulty: dict[Any, Any]) -> bool:
    return any(type(value) is type(one) and value == one for one in faulty)


def test_any_value_that_the_driver_wrote_arrives(source: Source, warehouse: Warehouse) -> None:
    until = time.monotonic() + SOAK_S
    check(source, warehouse, seed=1)
    seed = int(time.time())
    while time.monotonic() < until:
        seed += 1
        check(source, warehouse, seed=seed)
