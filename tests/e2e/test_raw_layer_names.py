"""A table whose name was chosen to meet another's gets neither its place in the raw layer nor its rows."""

from __future__ import annotations

import json

from .company import Company, PostgresSource


def test_a_table_called_like_anothers_shared_target_has_its_own_rows(company: Company) -> None:
    source = company.source("postgresql")
    assert isinstance(source, PostgresSource)
    shared = f"{source.name}_company"
    source.sql(
        "CREATE TABLE orders (id int PRIMARY KEY, note text)",
        "INSERT INTO orders VALUES (1, 'of the company'), (2, 'of the company')",
        f'CREATE TABLE "{shared}!orders" (id int PRIMARY KEY, note text)',
        f"INSERT INTO \"{shared}!orders\" VALUES (1, 'of another'), (3, 'of another'), (4, 'of another')",
    )
    source.file(
        f"tables: [{{name: orders, mode: replace, target: {shared}.orders}}, "
        f"{{name: '{shared}!orders', mode: replace}}]\n"
    )

    ended = source.run()

    assert ended.status == "SUCCEEDED", json.dumps(ended.report)
    rows = company.warehouse(f"SELECT id, note FROM {shared}.orders ORDER BY id")
    assert rows == [(1, "of the company"), (2, "of the company")]
    assert [note for (note,) in source.loaded(f"{shared}!orders", "note", "id")] == ["of another"] * 3
    manifests = [key for key in company.keys(f"_runs/{source.name}/") if "/manifests/" in key]
    assert len(manifests) == 2
