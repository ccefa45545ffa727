"""A row that is too long fails its table by the column's name, and no other table."""

from __future__ import annotations

import pytest

from .company import Company
from .compare import SERVERS, full_name


@pytest.mark.parametrize("engine", SERVERS)
def test_a_row_over_the_bound_fails_its_table_by_column_and_the_items_other_tables_go_on(
    company: Company, engine: str
) -> None:
    source = company.source(engine)
    text = "longtext" if engine == "mysql" else "text"
    source.sql(
        f"CREATE TABLE notes (id int PRIMARY KEY, short varchar(9), note {text})",
        "INSERT INTO notes VALUES (1, 'a', 'b'), (2, 'c', REPEAT('x', 3000000))",
        "CREATE TABLE fine (id int PRIMARY KEY)",
        "INSERT INTO fine VALUES (1)",
    )
    source.file("""
        max_connections: 1
        defaults: {max_row_megabytes: 1, policies: {too_long: truncate}}
        tables: [{include: "*", mode: replace}]
    """)
    failure = source.run().table(full_name(source, "notes"))["failure"]
    assert failure["error"] == "ValueRefused"
    assert 'column "note"' in failure["message"]
    assert "its row is longer than 1 MiB" in failure["message"]
    assert source.loaded("fine", "id") == [(1,)]

    source.file('defaults: {policies: {too_long: truncate}}\ntables: [{include: "*", mode: replace}]')
    assert source.run().status == "SUCCEEDED"
    assert source.loaded("notes", "id, OCTET_LENGTH(note)", "id") == [(1, 1), (2, 65_535)]
