"""By ODBC: dates as SQL Server's travel, and texts as a server keeps them. The benchmark reads so too."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from tests.integration.engines import odbc_engines
from tests.integration.engines.source import Source

KEPT = {
    "a": ("DATE", ["'1000-01-01'", "'1969-12-31'", "'1970-01-01'", "'2000-02-29'", "'9999-12-31'"]),
    "b": ("DECIMAL(18,6)", ["-999999999999.999999", "-0.000001", "0", "0.5", "999999999999.999999"]),
    "c": ("VARCHAR(20) CHARACTER SET utf8mb4", ["''", "'it''s'", "'\\r\\n,\"'", "'é日本'", "'😀'"]),
}


@pytest.mark.parametrize("order", [("a", "c"), ("b", "a"), ("c", "b")])
def test_dates_that_travel_as_days_and_texts_as_they_are_kept_are_those_that_the_engine_reads(
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
