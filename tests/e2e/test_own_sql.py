"""The user's own SQL: queries read as tables, conditions on rows, and columns under other names."""

from __future__ import annotations

import pytest

from .company import Company, Source
from .compare import ENGINES, STAMP, full_name, only_table

RUNS_ON_ALL = pytest.mark.parametrize("engine", ENGINES)
RECENT = {
    "postgresql": "now() - interval '2 hours'",
    "mysql": "NOW(6) - INTERVAL 2 HOUR",
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f', 'now', '-2 hours')",
}


def shop(company: Company, engine: str) -> Source:
    """Return a source with two tables, `orders` and `items`."""
    source = company.source(engine)
    source.sql(
        "CREATE TABLE orders (id int NOT NULL PRIMARY KEY, region varchar(9), "
        f"at {STAMP[engine]} NOT NULL, paid decimal(10,2))",
        "CREATE TABLE items (order_id int NOT NULL, amount int NOT NULL)",
    )
    for number, region in enumerate(["EU", "EU", "US"], start=1):
        source.sql(
            f"INSERT INTO orders VALUES ({number}, '{region}', {RECENT[engine]}, {number}.50)",
            f"INSERT INTO items VALUES ({number}, {number}), ({number}, 10)",
        )
    return source


@RUNS_ON_ALL
def test_a_query_is_read_incrementally_like_a_table(company: Company, engine: str) -> None:
    source = shop(company, engine)
    orders, items = (full_name(source, name) for name in ("orders", "items"))
    source.file(
        f"""\
        tables:
          - name: totals
            query: |
              SELECT o.id AS order_id, o.region, o.at, o.paid,
                     (SELECT COUNT(*) FROM {items} i WHERE i.order_id = o.id) AS items
              FROM {orders} o -- every order; with what belongs to it
            key: order_id
            cursor: at
            cursor_time_zone: UTC
            columns: {{exclude: [items]}}
            where: order_id <> 3 -- not yet
            page_rows: 1
        """
        if engine != "sqlite"
        else f"""\
        tables:
          - name: totals
            query: SELECT o.id AS order_id, o.region, o.at, o.paid FROM {orders} o -- every order
            key: order_id
            cursor: at
            cursor_time_zone: UTC
            where: order_id <> 3 -- not yet
            page_rows: 1
        """
    )

    table_report = only_table(source.run())
    assert (table_report["table"], table_report["target"], table_report["rows_read"]) == (
        "totals",
        f"{source.name}.totals",
        2,
    )
    source.sql(
        f"UPDATE orders SET region = 'AS', at = {RECENT[engine].replace('2', '1')} WHERE id = 2",
        f"UPDATE orders SET region = 'AS', at = {RECENT[engine].replace('2', '1')} WHERE id = 3",
    )

    assert only_table(source.run(tables=["totals"]))["rows_read"] == 1
    assert source.loaded("totals", "order_id, region, paid") == [(1, "EU", "1.50"), (2, "AS", "2.50")]
    assert source.control("totals")[-1]["cursor_column"] == "at"


@RUNS_ON_ALL
def test_a_condition_and_other_names_hold_for_every_question_about_a_table(
    company: Company, engine: str
) -> None:
    source = shop(company, engine)
    source.sql("INSERT INTO items VALUES (1, 10)")  # the same row twice, which the condition leaves out
    source.file(
        f"""\
        tables:
          - name: {full_name(source, "orders")}
            where: t.region = 'EU' OR t.region IS NULL
            rename: {{id: Number, at: changed}}
            cursor: at
            cursor_time_zone: UTC
            page_rows: 1
          - name: {full_name(source, "items")}
            key: [order_id, amount]
            where: NOT (order_id = 1 AND amount = 10)
            mode: replace
        """
    )

    ended = source.run()

    assert ended.status == "SUCCEEDED", ended.report
    assert source.loaded("orders", "number, region") == [(1, "EU"), (2, "EU")]
    assert len(source.loaded("orders", "changed")) == 2
    assert len(source.loaded("items", "order_id")) == 5
    source.sql(f"UPDATE orders SET region = 'EU', at = {RECENT[engine].replace('2', '1')} WHERE id = 3")
    assert source.run().table(full_name(source, "orders"))["rows_read"] == 1


REFUSED = {
    "query: SELECT nothing FROM nowhere": "is refused by the source; try it there",
    "query: SELECT id FROM {orders}, where: none = 1": "where of q1 is refused by the source; try it",
    "query: 'SELECT region FROM {orders}', key: region, mode: replace": 'column "region" of q2 is NULL in',
    "query: SELECT region FROM {orders}, key: id": 'key: q3 has no column "id"; it has region',
    "query: 'SELECT order_id AS one FROM {items}', key: one, mode: replace": "key one of q4 is not unique",
}


@RUNS_ON_ALL
def test_own_sql_that_cannot_be_read_is_refused_by_name(company: Company, engine: str) -> None:
    source = shop(company, engine)
    source.sql(f"INSERT INTO orders VALUES (4, NULL, {RECENT[engine]}, NULL)")
    names = {name: full_name(source, name) for name in ("orders", "items")}
    entries = [f"{{name: q{n}, {entry.format(**names)}}}" for n, entry in enumerate(REFUSED)]
    source.file(f"tables: [{', '.join(entries)}]")

    ended = source.run()

    for number, expected in enumerate(REFUSED.values()):
        failure = ended.table(f"q{number}")["failure"]
        assert failure["error"] in ("TableRefused", "KeyNotUnique")
        assert expected in failure["message"]


def test_a_query_has_the_types_that_its_server_says(company: Company) -> None:
    for engine in ENGINES[:2]:
        source = company.source(engine)
        columns = {
            "postgresql": "c varchar(7), d numeric(12,3), e timestamp(3), f boolean, g bytea, h smallint",
            "mysql": "c varchar(7), d decimal(12,3), e datetime(3), f tinyint, g varbinary(9), "
            "h smallint unsigned, i enum('a', 'bbb'), j text, k bigint unsigned, l date, m double, n bit(3)",
        }[engine]
        source.sql(f"CREATE TABLE every (id bigint NOT NULL PRIMARY KEY, {columns})")
        name = full_name(source, "every")
        source.file(
            "defaults: {mode: replace}\n"
            f"tables: [{{name: {name}}}, {{name: q, query: SELECT * FROM {name}}}]"
        )
        assert source.run().status == "SUCCEEDED"
        plain, queried = (
            source.company.warehouse(
                "SELECT column_name, data_type, numeric_precision, numeric_scale, character_maximum_length "
                f"FROM svv_columns WHERE table_schema = '{source.name}' AND table_name = '{table}' "
                "ORDER BY ordinal_position"
            )
            for table in ("every", "q")
        )
        assert queried == plain, engine
