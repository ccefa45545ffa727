"""Runs on every engine: rows arrive, change, and arrive again, exactly."""

from __future__ import annotations

import pytest

from local.databases import mariadb

from .company import Company

ENGINES = ["postgresql", "sqlite"] + (["mysql"] if mariadb.available() else [])
STAMP = {"postgresql": "timestamptz(6)", "mysql": "datetime(6)", "sqlite": "timestamp"}
HOUR = "2026-01-01 10:00:00"


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_table_arrives_changes_and_arrives_again(company: Company, engine: str) -> None:
    source = company.source(engine)
    source.sql(
        "CREATE TABLE orders "
        f"(id int NOT NULL PRIMARY KEY, note varchar(20), stamp {STAMP[engine]} NOT NULL)",
        f"INSERT INTO orders VALUES (1, 'one', '{HOUR}'), (2, '', '{HOUR}'), (3, NULL, '{HOUR}')",
    )
    table = f"{source.name}.orders" if engine == "mysql" else "orders"
    source.file(f"tables: [{{name: {table}, mode: merge, cursor: stamp, cursor_time_zone: UTC}}]")

    first = source.run()

    assert (first.status, first.error) == ("SUCCEEDED", None)
    assert source.loaded("orders", "id, note") == [(1, "one"), (2, ""), (3, None)]

    source.sql(
        "UPDATE orders SET note = 'two', stamp = '2026-01-01 10:00:01' WHERE id = 2",
        "INSERT INTO orders VALUES (4, 'four', '2026-01-01 10:00:01')",
    )
    second = source.run()

    assert second.report is not None
    assert [table["rows_read"] for table in second.report["tables"]] == [2]
    assert source.loaded("orders", "id, note") == [(1, "one"), (2, "two"), (3, None), (4, "four")]
    assert len(source.control(second.report["tables"][0]["table"])) == 2


def test_a_secret_without_an_address_is_completed_by_the_file(company: Company) -> None:
    source = company.source("postgresql")
    source.sql("CREATE TABLE orders (id int PRIMARY KEY)", "INSERT INTO orders VALUES (1)")
    secret = source.secret()
    source.put_secret({name: secret[name] for name in ("username", "password", "sslmode")})
    address = "\n".join(f"{name}: {secret[name]}" for name in ("host", "port", "dbname"))
    source.file(f"{address}\ntables: [{{name: public.orders, mode: replace}}]")

    assert source.run().status == "SUCCEEDED"
    assert source.loaded("orders", "id") == [(1,)]
