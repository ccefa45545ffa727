"""Tables that are appended to: every row once, however runs fall, and images beside each other."""

from __future__ import annotations

from contextlib import closing

import pytest

from .company import Company, Source
from .compare import ENGINES, SERVERS, STAMP, ago, full_name, in_source, in_warehouse, only_table
from .under_way import load_again

RUNS_ON_SERVERS = pytest.mark.parametrize("engine", SERVERS)
KEY = " PRIMARY KEY"


def events(company: Company, engine: str, *, key: str = KEY, settings: str = "") -> Source:
    """Return a source with an empty table `events`, appended by its column `stamp`."""
    source = company.source(engine)
    source.sql(
        f"CREATE TABLE events (id int NOT NULL{key}, note varchar(20), stamp {STAMP[engine]} NOT NULL)"
    )
    configure(source, f"mode: append, cursor: stamp{settings}")
    return source


def configure(source: Source, settings: str) -> None:
    """Write the source's file for its one table."""
    name = full_name(source, "events")
    source.file(f"tables: [{{name: {name}, cursor_time_zone: UTC, page_rows: 2, {settings}}}]")


def add(source: Source, *identifiers: int, since: str = "2 HOUR") -> None:
    """Insert and commit rows of one cursor value."""
    for number in identifiers:
        source.sql(f"INSERT INTO events VALUES ({number}, 'n', {ago(source.engine, since)})")


def same(source: Source) -> bool:
    return in_warehouse(source, "events", "id, note", "stamp") == in_source(
        source, "events", "id, note", "stamp"
    )


@pytest.mark.parametrize(("engine", "key"), list(zip(ENGINES, ["", KEY, ""], strict=False)))
def test_settled_rows_are_appended_once_and_unsettled_ones_later(
    company: Company, engine: str, key: str
) -> None:
    source = events(company, engine, key=key)
    add(source, 1, 2, 3)
    assert only_table(source.run())["rows_read"] == 3
    add(source, 4, 5, since="90 MINUTE")
    source.sql("INSERT INTO events VALUES (6, 'n', '2999-01-01 10:00:00')")

    table = only_table(source.run())

    assert table["rows_read"] == 2
    assert (
        "1 rows are dated beyond the source's clock; they are appended when it reaches them" in table["notes"]
    )
    assert in_warehouse(source, "events", "id") == [(1,), (2,), (3,), (4,), (5,)]
    source.sql("UPDATE events SET stamp = " + ago(engine, "80 MINUTE") + " WHERE id = 6")
    assert only_table(source.run())["rows_read"] == 1
    load_again(company, source)
    assert same(source)


@RUNS_ON_SERVERS
def test_an_append_waits_for_a_transaction_that_is_still_open(company: Company, engine: str) -> None:
    source = events(company, engine)
    late = source.connect()
    with closing(late):
        begin = late.run if engine == "postgresql" else late.query
        begin("BEGIN")
        begin(f"INSERT INTO events VALUES (1, 'late', {ago(engine, '0 SECOND')})")
        add(source, 2, since="0 SECOND")
        add(source, 3, since="1 HOUR")
        only_table(source.run())
        assert in_warehouse(source, "events", "id") == [(3,)]
        begin("COMMIT")
    source.sql("SELECT pg_sleep(1.1)" if engine == "postgresql" else "SELECT SLEEP(1.1)")

    only_table(source.run())

    assert same(source)


def test_rows_that_the_source_lost_stay_appended_until_a_full_refresh(company: Company) -> None:
    source = events(company, "postgresql")
    add(source, 1, 2, 3)
    only_table(source.run())
    source.sql("DELETE FROM events WHERE id = 1")
    add(source, 4, since="90 MINUTE")

    only_table(source.run())
    assert in_warehouse(source, "events", "id") == [(1,), (2,), (3,), (4,)]

    only_table(source.run(full_refresh=True))
    assert same(source)
    assert only_table(source.run())["rows_read"] == 0
    assert same(source)


def test_a_run_that_committed_no_watermark_leaves_no_row_twice(company: Company) -> None:
    source = events(company, "postgresql")
    add(source, 1, 2)
    only_table(source.run())
    add(source, 3, since="90 MINUTE")
    only_table(source.run())
    newest = source.control(full_name(source, "events"))[-1]["run_id"]
    company.warehouse(
        f"DELETE FROM public.etl_control WHERE source_name = '{source.name}' AND run_id = '{newest}'"
    )

    assert only_table(source.run(tables=[full_name(source, "events")]))["rows_read"] == 1
    assert same(source)


@RUNS_ON_SERVERS
def test_snapshots_stand_beside_each_other(company: Company, engine: str) -> None:
    source = events(company, engine)
    configure(source, "mode: append, append: snapshots")
    add(source, 1, 2, 3)
    only_table(source.run())
    source.sql("DELETE FROM events WHERE id = 1", "UPDATE events SET note = 'new' WHERE id = 2")

    only_table(source.run())
    load_again(company, source)
    only_table(source.run(full_refresh=True))  # one more of them, and none the less

    images: dict[str, list[tuple[int, str]]] = {}
    for run, number, note in source.loaded("events", "run_id, id, note", order="1, 2"):
        images.setdefault(run, []).append((number, note))
    assert list(images.values()) == [[(1, "n"), (2, "n"), (3, "n")], *[[(2, "new"), (3, "n")]] * 2]


@pytest.mark.parametrize(
    ("settings", "note"),
    [
        ("cursor: stamp, overlap: 1 hour", "has an overlap, but an append reads each row once"),
        ("cursor: maybe, nulls: include", 'cursor column "maybe" of main.events is nullable, and rows'),
        ("cursor: id", "it is unknown up to which value an integer cursor is complete"),
        ("key: id", "has no column with the usual name of a cursor; set cursor, or append: snapshots"),
    ],
)
def test_an_append_that_could_lose_or_repeat_rows_is_refused(
    company: Company, settings: str, note: str
) -> None:
    source = events(company, "sqlite")
    add(source, 1)
    source.sql("ALTER TABLE events ADD COLUMN maybe datetime")
    configure(source, f"mode: append, {settings}")

    failure = source.run().table("main.events")["failure"]

    assert failure["error"] == "TableRefused"
    assert note in failure["message"]
