"""By ODBC: dates and decimals as SQL Server's travel, and texts as kept: so the benchmark reads too."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import product

import pytest

from tests.integration.engines import odbc_engines
from tests.integration.engines.source import Source
from tributary.engines import odbc
from tributary.errors import TableRefused, ValueRefused

KEPT = {
    "a": ("DATE", ["'1000-01-01'", "'1969-12-31'", "'1970-01-01'", "'2000-02-29'", "'9999-12-31'"]),
    "b": ("DECIMAL(18,6)", ["-999999999999.999999", "-0.000001", "0", "0.5", "999999999999.999999"]),
    "c": ("VARCHAR(20) CHARACTER SET utf8mb4", ["''", "'it''s'", "'\\r\\n,\"'", "'é日本'", "'😀'"]),
}


@pytest.mark.parametrize("order", [("a", "c"), ("b", "a"), ("c", "b")])
def test_dates_read_as_days_and_texts_read_as_stored_are_those_that_the_engine_reads(
    maria: Source, order: tuple[str, ...]
) -> None:
    """And begin pages as its own do."""
    columns = ", ".join(f"{name} {type} NOT NULL, n{name} {type}" for name, (type, _) in KEPT.items())
    maria.execute(f"CREATE TABLE t ({columns}, PRIMARY KEY (a, b, c))")
    keys = list(product(*(values for _, values in KEPT.values())))
    rows = [
        ", ".join(
            f"{value}, {'NULL' if (number + place) % 3 == 0 else value}" for place, value in enumerate(key)
        )
        for number, key in enumerate(keys)
    ]
    maria.execute(f"INSERT INTO t VALUES ({'), ('.join(rows)})")
    as_kept = replace(maria, engine=odbc_engines.engine("mysql", as_kept=True))
    query = maria.query("t", order=(*order, *(name for name in KEPT if name not in order)))

    expected = maria.read(query)
    assert len(expected) == len(keys)
    for page_rows in (7, 1_000):
        assert as_kept.read_in_pages(query, page_rows) == expected


def test_decimals_of_other_digits_than_planned_arrive_complete_or_are_refused(
    maria: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A buffer for as many digits as were planned would hold some of them, and say nothing."""
    maria.execute("CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, d DECIMAL(10,2))")
    by_odbc = replace(maria, engine=odbc_engines.engine("mysql"))
    query = maria.query("t", order=("id",))
    maria.execute("ALTER TABLE t MODIFY d DECIMAL(38,10)")
    maria.execute("INSERT INTO t VALUES (1, -0.5), (2, NULL), (3, 99999999.99), (4, 0)")
    assert [row["d"] for row in by_odbc.read(query)] == [Decimal("-0.50"), None, Decimal("99999999.99"), 0]
    for other in ("0.0000000001", "-1.001", "100000000", "9999999999999999999999999999"):
        maria.execute(f"UPDATE t SET d = {other} WHERE id = 4")
        with pytest.raises(ValueRefused, match='column "d"'):
            by_odbc.read(query)
    for type in ("DOUBLE", "VARCHAR(20)"):
        maria.execute(f"ALTER TABLE t MODIFY d {type}")
        with pytest.raises(TableRefused, match='column "d"'):
            by_odbc.read(query)
        monkeypatch.setattr(odbc, "CAPS_BYTES", ())  # by rows
        with pytest.raises(TableRefused, match='column "d"'):
            by_odbc.read(query)
        monkeypatch.undo()


def test_decimals_without_a_digit_before_the_point_arrive_complete(maria: Source) -> None:
    """MariaDB writes a 0 there, for which a decimal's buffer has no room."""
    maria.execute("CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, d DECIMAL(5,5), e DECIMAL(30,30))")
    maria.execute(f"INSERT INTO t VALUES (1, -0.12345, -0.{'7' * 30}), (2, 0.99999, 0), (3, NULL, NULL)")
    by_odbc = replace(maria, engine=odbc_engines.engine("mysql"))
    rows = by_odbc.read(maria.query("t", order=("id",)))
    assert [row["d"] for row in rows] == [Decimal("-0.12345"), Decimal("0.99999"), None]
    assert [row["e"] for row in rows] == [Decimal(f"-0.{'7' * 30}"), 0, None]
