"""Tables whose earlier states stay: versions open and close as their rows change."""

from __future__ import annotations

import pytest

from .company import Company, Row, Source
from .compare import SERVERS, STAMP, full_name, only_table
from .under_way import load_again

RUNS_ON_SERVERS = pytest.mark.parametrize("engine", SERVERS)
DAY = "2026-01-01"


def prices(company: Company, engine: str, settings: str = "cursor: at") -> Source:
    """Return a source with an empty table `prices`, whose history is kept."""
    source = company.source(engine)
    source.sql(
        f"CREATE TABLE prices (id varchar(9) NOT NULL PRIMARY KEY, price int, at {STAMP[engine]} NOT NULL)"
    )
    configure(source, f"mode: history, {settings}")
    return source


def configure(source: Source, settings: str) -> None:
    """Write the source's file for its one table."""
    name = full_name(source, "prices")
    source.file(f"tables: [{{name: {name}, cursor_time_zone: UTC, page_rows: 2, {settings}}}]")


def put(source: Source, key: str, price: str, time: str) -> None:
    """Write a row's new state, at a time of that day."""
    source.sql(
        f"DELETE FROM prices WHERE id = '{key}'",
        f"INSERT INTO prices VALUES ('{key}', {price}, '{DAY} {time}')",
    )


def versions(source: Source) -> list[Row]:
    """Return each version's key, price, and the times it holds from and to."""
    rows = source.loaded(
        "prices",
        "id, price, TO_CHAR(valid_from, 'HH24:MI'), TO_CHAR(valid_to, 'HH24:MI'), is_current, row_digest",
        order="id, valid_from",
    )
    assert all(current == (until is None) for *_, until, current, _ in rows)
    assert all(len(digest) == 32 for *_, digest in rows)
    return [row[:4] for row in rows]


@RUNS_ON_SERVERS
def test_each_state_that_a_run_meets_is_a_version_and_none_is_twice(company: Company, engine: str) -> None:
    source = prices(company, engine)
    for key, price in (("a", "1"), ("b", "NULL"), ("c", "3")):
        put(source, key, price, "10:00:00")
    only_table(source.run())
    put(source, "a", "2", "11:00:00")
    put(source, "b", "0", "11:00:00")

    assert only_table(source.run())["rows_read"] == 2
    load_again(company, source)
    expected = [
        ("a", 1, "10:00", "11:00"),
        ("a", 2, "11:00", None),
        ("b", None, "10:00", "11:00"),
        ("b", 0, "11:00", None),
        ("c", 3, "10:00", None),
    ]
    assert versions(source) == expected

    company.warehouse(f"DELETE FROM public.etl_control WHERE source_name = '{source.name}'")
    put(source, "a", "4", "11:00:00")  # another state of the same instant
    again = only_table(source.run(tables=[full_name(source, "prices")]))
    assert again["rows_read"] == 3  # from the start, and what is known opens nothing
    expected[1] = ("a", 4, "11:00", None)
    assert versions(source) == expected

    source.sql("DELETE FROM prices WHERE id = 'c'")
    only_table(source.run())
    assert versions(source) == expected
    only_table(source.run(full_refresh=True))
    load_again(company, source)
    [*others, closed] = versions(source)
    assert others == expected[:-1]
    assert closed[:3] == ("c", 3, "10:00")
    assert closed[3] is not None


@RUNS_ON_SERVERS
def test_without_a_cursor_images_are_compared_and_what_is_gone_is_closed(
    company: Company, engine: str
) -> None:
    source = prices(company, engine)
    source.sql("ALTER TABLE prices DROP COLUMN at")
    configure(source, "mode: history")
    source.sql("INSERT INTO prices VALUES ('a', 1), ('b', 1)")
    only_table(source.run())
    source.sql("UPDATE prices SET price = 2 WHERE id = 'a'", "DELETE FROM prices WHERE id = 'b'")

    table_report = only_table(source.run())
    load_again(company, source)

    assert (table_report["whole"], table_report["rows_read"]) == (True, 1)
    assert "no cursor: the whole table is read and compared in every run" in table_report["notes"]
    assert [(key, price, until is None) for key, price, _, until in versions(source)] == [
        ("a", 1, False),
        ("a", 2, True),
        ("b", 1, False),
    ]


def test_a_table_that_was_merged_becomes_a_history_and_not_the_other_way_round(company: Company) -> None:
    source = prices(company, "postgresql")
    configure(source, "mode: merge, cursor: at")
    put(source, "a", "1", "10:00:00")
    only_table(source.run())
    configure(source, "mode: history, cursor: at")
    put(source, "a", "2", "11:00:00")
    only_table(source.run())
    put(source, "a", "3", "12:00:00")
    only_table(source.run())

    assert versions(source) == [("a", 2, "11:00", "12:00"), ("a", 3, "12:00", None)]

    configure(source, "mode: merge, cursor: at")
    failure = source.run(full_refresh=True).table("public.prices")["failure"]
    assert failure["error"] == "TableRefused"
    assert "mode of public.prices was history and is now merge; rename the warehouse's" in failure["message"]


def test_a_new_column_opens_no_version_of_its_own(company: Company) -> None:
    source = prices(company, "postgresql")
    put(source, "a", "1", "10:00:00")
    put(source, "b", "1", "10:00:00")
    only_table(source.run())
    source.sql(
        "ALTER TABLE prices ADD COLUMN unit varchar(3)", "UPDATE prices SET unit = 'EUR' WHERE id = 'a'"
    )

    assert only_table(source.run())["whole"] is True

    assert versions(source) == [("a", 1, "10:00", None), ("b", 1, "10:00", None)]
    assert source.loaded("prices", "unit", order="id") == [("EUR",), (None,)]


def test_a_column_with_the_name_of_one_of_a_historys_own_is_refused(company: Company) -> None:
    source = prices(company, "sqlite")
    source.sql("ALTER TABLE prices ADD COLUMN Valid_To int")

    failure = source.run().table("main.prices")["failure"]

    assert failure["error"] == "TableRefused"
    assert 'column "Valid_To" has the name of a column that Tributary adds to the table' in failure["message"]
