"""Integers above 64 bits as cursors and keys."""

from __future__ import annotations

import pytest

from .company import Company
from .compare import SERVERS, failures, full_name, only_table

TYPES = {
    "postgresql": ["numeric(20,0)", "xid8"],
    "mysql": ["bigint unsigned", "decimal(20,0)"],
}
BIG = 18_446_744_073_709_551_000  # below 2 ** 64


@pytest.mark.parametrize(
    ("engine", "type_name"), [(engine, each) for engine in SERVERS for each in TYPES[engine]]
)
def test_an_integer_above_64_bits_is_a_cursor_and_a_key(
    company: Company, engine: str, type_name: str
) -> None:
    source = company.source(engine)
    source.sql(
        f"CREATE TABLE t (id {type_name} PRIMARY KEY, v int)",
        f"INSERT INTO t VALUES ('5', 1), ('{BIG}', 2)",
    )
    source.file(f"tables: [{{name: {full_name(source, 't')}, mode: merge, cursor: id, page_rows: 1}}]")
    assert only_table(source.run())["rows_read"] == 2
    source.sql(f"INSERT INTO t VALUES ('{BIG + 1}', 3)")

    assert only_table(source.run())["rows_read"] >= 1
    assert [int(key) for key, _ in source.loaded("t", "id, v")] == [5, BIG, BIG + 1]


def test_a_cursor_that_is_not_a_number_in_a_row_is_refused(company: Company) -> None:
    source = company.source("postgresql")
    source.sql(
        "CREATE TABLE t (id int PRIMARY KEY, amount numeric(20,0) NOT NULL)",
        "INSERT INTO t VALUES (1, 1), (2, 'NaN')",
    )
    source.file("tables: [{name: public.t, mode: merge, cursor: amount}]")

    [failure] = failures(source.run())

    assert 'cursor column "amount" of public.t holds a value that is no integer' in failure["message"]
