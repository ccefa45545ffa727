"""Whatever a source calls a table, and whatever it names it: it arrives."""

from __future__ import annotations

import json

import pytest

from .company import Company, Source
from .compare import ENGINES, failures, full_name

LONG = "x" + "ñ" * 63  # 64 characters and 127 bytes: what MySQL and Redshift take at most
COLUMNS = [
    "a b",
    'say "hi"',
    "it's",
    "dot.ted",
    "MixedCase",
    "select",
    "100%",
    "%s %%",
    "tick`s",
    "🦊",
    "back\\slash",
]
TABLES = ['Odd "Na.me"', "50% off %s `it's`", "order", "🦊 日本"]


def quoted(source: Source, name: str) -> str:
    mark = "`" if source.engine == "mysql" else '"'
    return mark + name.replace(mark, 2 * mark) + mark


@pytest.mark.parametrize("engine", ENGINES)
def test_odd_names_of_tables_and_columns_arrive(company: Company, engine: str) -> None:
    source = company.source(engine)
    columns, tables = ([*names, LONG[:32] if engine == "postgresql" else LONG] for names in (COLUMNS, TABLES))
    if engine == "mysql":  # whose names are of three bytes a character at most
        columns, tables = ([name.replace("🦊", "ü") for name in names] for names in (columns, tables))
    for table in tables:
        defined = ", ".join(f"{quoted(source, name)} varchar(20)" for name in columns)
        values = ", ".join(f"'value {number}'" for number in range(len(columns)))
        name = quoted(source, table)
        with_id = f"CREATE TABLE {name} ({quoted(source, 'Key Of')} int NOT NULL PRIMARY KEY, {defined})"
        source.sql(with_id, f"INSERT INTO {name} VALUES (1, {values}), (2, {values})")
    schema = {"postgresql": "public", "sqlite": "main", "mysql": source.name}[engine]
    source.file(f"tables: [{{include: {json.dumps(schema + '.*')}, mode: replace, page_rows: 1}}]")

    ended = source.run()

    assert ended.status == "SUCCEEDED", failures(ended)
    for table in tables:
        target = "".join(c.lower() if c.isascii() else c for c in table)
        folded = ["".join(c.lower() if c.isascii() else c for c in name) for name in columns]
        shown = ", ".join('"' + name.replace('"', '""') + '"' for name in ["key of", *folded])
        rows = company.warehouse(
            f'SELECT {shown} FROM "{source.name}"."{target.replace(chr(34), 2 * chr(34))}" ORDER BY 1'
        )
        assert rows == [(key, *(f"value {n}" for n in range(len(columns)))) for key in (1, 2)]


def test_every_relation_of_postgresql_is_a_table_and_every_column_a_column(company: Company) -> None:
    source = company.source("postgresql")
    source.sql(
        "CREATE TABLE base (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
        "price numeric(8,2), twice numeric(9,2) GENERATED ALWAYS AS (price * 2) STORED, n serial)",
        "INSERT INTO base (price) VALUES (1.25), (NULL)",
        "CREATE VIEW seen AS SELECT id, twice FROM base",
        "CREATE MATERIALIZED VIEW kept AS SELECT id, price FROM base",
        "CREATE TABLE parted (id int, day date, PRIMARY KEY (day, id)) PARTITION BY RANGE (day)",
        "CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')",
        "CREATE TABLE parted_2 PARTITION OF parted DEFAULT",
        "INSERT INTO parted VALUES (1, '2024-06-01'), (2, '2026-06-01')",
        "CREATE EXTENSION postgres_fdw",
        f"CREATE SERVER itself FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '{company.postgres.host}', "
        f"port '{company.postgres.port}', dbname '{source.name}')",
        "CREATE USER MAPPING FOR postgres SERVER itself OPTIONS (user 'postgres', password_required 'false')",
        "CREATE FOREIGN TABLE far (id int, twice numeric(9,2)) SERVER itself OPTIONS (table_name 'base')",
    )
    source.file("tables: [{include: public.*, mode: replace}]")

    ended = source.run()

    assert ended.status == "SUCCEEDED", failures(ended)
    assert ended.report is not None
    assert sorted(table["table"].removeprefix("public.") for table in ended.report["tables"]) == [
        *("base", "far", "kept", "parted", "seen")
    ]
    assert source.loaded("base", "id, price, twice, n") == [(1, "1.25", "2.50", 1), (2, None, None, 2)]
    assert source.loaded("seen", "id, twice") == source.loaded("far", "id, twice") == [(1, "2.50"), (2, None)]
    assert source.loaded("kept", "id, price") == [(1, "1.25"), (2, None)]
    assert source.loaded("parted", "id, day") == [(1, "2024-06-01"), (2, "2026-06-01")]


@pytest.mark.parametrize("engine", ENGINES[1:])
def test_every_relation_of_other_engines_is_a_table_and_every_column_a_column(
    company: Company, engine: str
) -> None:
    defined, partitioned = {
        "mysql": ("id int AUTO_INCREMENT PRIMARY KEY", " PARTITION BY HASH (id) PARTITIONS 3"),
        "sqlite": ("id integer PRIMARY KEY AUTOINCREMENT", ""),
    }[engine]
    source = company.source(engine)
    source.sql(
        f"CREATE TABLE base ({defined}, price decimal(8,2), "
        "twice decimal(9,2) GENERATED ALWAYS AS (price * 2) STORED, "
        f"thrice decimal(9,2) GENERATED ALWAYS AS (price * 3) VIRTUAL){partitioned}",
        "INSERT INTO base (price) VALUES (1.25), (NULL)",
        "CREATE VIEW seen AS SELECT id, thrice FROM base",
    )
    source.file(f"tables: [{{include: '{full_name(source, '*')}', mode: replace}}]")

    ended = source.run()

    assert ended.status == "SUCCEEDED", failures(ended)
    assert source.loaded("base", "id, price, twice, thrice") == [
        (1, "1.25", "2.50", "3.75"),
        (2, None, None, None),
    ]
    assert source.loaded("seen", "id, thrice") == [(1, "3.75"), (2, None)]
