"""Incremental runs against sources that change: what was committed arrives, whenever that was."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

import pytest

from .company import Company, PostgresSource, Source
from .compare import (
    ENGINES,
    MICROSECONDS,
    SERVERS,
    STAMP,
    ago,
    failures,
    full_name,
    in_source,
    in_warehouse,
    only_table,
)

HOUR = "2026-01-01 10:00:00"
RUNS_ON_ALL = pytest.mark.parametrize("engine", ENGINES)
RUNS_ON_SERVERS = pytest.mark.parametrize("engine", SERVERS)


def orders(company: Company, engine: str, settings: str = "", stamp: str = "") -> Source:
    """Return a source with an empty table `orders`, read by its column `stamp`."""
    source = company.source(engine)
    source.sql(
        "CREATE TABLE orders (id int NOT NULL PRIMARY KEY, note varchar(20), "
        f"stamp {stamp or STAMP[engine]} NOT NULL)"
    )
    zone = "" if "cursor_time_zone" in settings else ", cursor_time_zone: UTC"
    source.file(f"tables: [{{name: {full_name(source)}, mode: merge, cursor: stamp{zone}{settings}}}]")
    return source


@dataclass(frozen=True)
class Stamped:
    """A type of `stamp` and the zone that it is written in; `now` writes it."""

    type: str
    zone: str
    settings: str = ""
    now: str = ""


def stamped(company: Company, engine: str, kinds: list[Stamped]) -> Source:
    """Return a source with an empty table for each kind of `stamp`: `orders_0` and on."""
    source = company.source(engine)
    tables = []
    for number, kind in enumerate(kinds):
        source.sql(
            f"CREATE TABLE orders_{number} (id int NOT NULL PRIMARY KEY, note varchar(20), "
            f"stamp {kind.type} NOT NULL)"
        )
        name = full_name(source, f"orders_{number}")
        tables.append(
            f'{{name: {name}, mode: merge, cursor: stamp, cursor_time_zone: "{kind.zone}"{kind.settings}}}'
        )
    source.file(f"tables: [{', '.join(tables)}]")
    return source


# --- ties ---------------------------------------------------------------------------------------


@RUNS_ON_ALL
def test_equal_cursor_values_are_not_split_by_the_border_of_a_page(company: Company, engine: str) -> None:
    by_two, by_three = (Stamped(STAMP[engine], "UTC", f", page_rows: {rows}") for rows in (2, 3))
    source = stamped(company, engine, [by_two, by_three])
    times = ["10:00:01"] * 7 + ["10:00:02"] * 2 + ["10:00:03"] * 6
    rows = ", ".join(f"({20 - n}, 'n', '2026-01-01 {time}')" for n, time in enumerate(times))
    for table in ("orders_0", "orders_1"):
        source.sql(f"INSERT INTO {table} VALUES (0, 'first', '{HOUR}')")
    assert failures(source.run()) == []
    for table in ("orders_0", "orders_1"):
        source.sql(f"INSERT INTO {table} VALUES {rows}")

    ended = source.run()

    for table in ("orders_0", "orders_1"):
        assert ended.table(full_name(source, table))["rows_read"] == 15, failures(ended)
        assert in_warehouse(source, table, "id, note") == in_source(source, table, "id, note")


@RUNS_ON_SERVERS
def test_a_late_commit_beside_the_watermark_arrives(company: Company, engine: str) -> None:
    source = orders(company, engine)
    late = source.connect()
    with closing(late):
        begin = late.run if engine == "postgresql" else late.query
        begin("BEGIN")
        begin(f"INSERT INTO orders VALUES (1, 'late', {ago(engine, '0 SECOND')})")
        begin("INSERT INTO orders SELECT 2, 'late', stamp FROM orders WHERE id = 1")
        (stamp,) = source_value(
            late, f"SELECT {MICROSECONDS[engine].format('stamp')} FROM orders WHERE id = 1"
        )
        source.sql(
            f"INSERT INTO orders VALUES (3, 'tie', '{stamp}')",
            f"INSERT INTO orders VALUES (4, 'after', {ago(engine, '0 SECOND')})",
            f"INSERT INTO orders VALUES (5, 'before', {ago(engine, '1 HOUR')})",
        )
        only_table(source.run())
        assert in_warehouse(source, "orders", "id") == [(3,), (4,), (5,)]
        begin("COMMIT")

    only_table(source.run())

    assert in_warehouse(source, "orders", "id, note", "stamp") == in_source(
        source, "orders", "id, note", "stamp"
    )


def source_value(session: object, sql: str) -> tuple[str, ...]:
    """Return the first row of a query in an open session of either server."""
    if hasattr(session, "run"):
        return tuple(session.run(sql)[0])
    with session.cursor() as cursor:  # type: ignore[attr-defined]
        cursor.execute(sql)
        return tuple(cursor.fetchone())


# --- what a run leaves alone --------------------------------------------------------------------


@RUNS_ON_ALL
def test_a_run_without_news_leaves_the_watermark_byte_identical_and_is_recorded(
    company: Company, engine: str
) -> None:
    source = orders(company, engine)
    source.sql(f"INSERT INTO orders VALUES (1, 'one', '{HOUR}.120000')")
    only_table(source.run())
    assert only_table(source.run())["rows_read"] == 0  # which asks no warehouse, and so leaves no row there
    for _ in range(2):
        assert only_table(source.run(tables=[full_name(source)]))["rows_read"] == 0

    control = source.control(full_name(source))
    assert [row["records_processed"] for row in control] == [1, 0, 0]
    assert len({row["watermark"] for row in control}) == 1
    assert len({row["run_id"] for row in control}) == 3
    assert str(control[0]["watermark"]).startswith(f"{HOUR}.12")
    assert in_warehouse(source, "orders", "id, note") == [(1, "one")]


IN_FULL_PRECISION = {
    "postgresql": {
        "timestamptz": "2026-01-01 10:00:00.123457+00",
        "timestamp": "2026-01-01 10:00:00.123457",
        "timestamp(3)": "2026-01-01 10:00:00.123",
    },
    "mysql": {
        "datetime(6)": "2026-01-01 10:00:00.123457",
        "datetime(3)": "2026-01-01 10:00:00.123",
        "timestamp(6)": "2026-01-01 10:00:00.123457Z",
    },
}


@RUNS_ON_SERVERS
def test_the_watermark_is_the_sources_own_value_in_full_precision(company: Company, engine: str) -> None:
    expected = IN_FULL_PRECISION[engine]
    tables = {f"orders_{number}": text for number, text in enumerate(expected.values())}
    source = stamped(company, engine, [Stamped(stamp, "UTC") for stamp in expected])
    for table in tables:
        source.sql(f"INSERT INTO {table} VALUES (1, 'a', '{HOUR}.123456'), (2, 'b', '{HOUR}.123457')")
    assert failures(source.run()) == []
    assert {table: source.watermark(full_name(source, table)) for table in tables} == tables
    for table in tables:
        source.sql(f"INSERT INTO {table} VALUES (3, 'c', '{HOUR}.124458')")
    ended = source.run()
    for table in tables:
        assert ended.table(full_name(source, table))["rows_read"] == 1, failures(ended)
        assert in_warehouse(source, table, "id, note", "stamp") == in_source(
            source, table, "id, note", "stamp"
        )


# --- open transactions --------------------------------------------------------------------------


WRITTEN_AT_ONCE = {
    "postgresql": [
        Stamped("timestamptz", "UTC", now="now()"),
        Stamped("timestamp", "UTC", now="now() AT TIME ZONE 'UTC'"),
        Stamped("timestamp", "America/New_York", now="now() AT TIME ZONE 'America/New_York'"),
        Stamped("timestamp", "Asia/Tokyo", now="now() AT TIME ZONE 'Asia/Tokyo'"),
    ],
    "mysql": [
        Stamped("datetime(6)", "UTC", now="UTC_TIMESTAMP(6)"),
        Stamped("datetime", "UTC", now="UTC_TIMESTAMP()"),
        Stamped("datetime(6)", "+09:00", now="UTC_TIMESTAMP(6) + INTERVAL 9 HOUR"),
        Stamped("timestamp(6)", "UTC", now="NOW(6)"),
    ],
}


@RUNS_ON_SERVERS
def test_rows_committed_after_the_run_with_times_before_it_arrive_in_the_next(
    company: Company, engine: str
) -> None:
    kinds = WRITTEN_AT_ONCE[engine]
    source = stamped(company, engine, kinds)
    hours_ago = {"postgresql": "- interval '3 hours'", "mysql": "- INTERVAL 3 HOUR"}[engine]
    for number, kind in enumerate(kinds):
        source.sql(
            f"INSERT INTO orders_{number} VALUES (1, 'old', {kind.now} {hours_ago})",
            f"INSERT INTO orders_{number} VALUES (2, 'changed', {kind.now})",
        )
    with closing(source.connect()) as late:
        run = late.run if engine == "postgresql" else late.query
        if engine == "mysql":
            run("SET time_zone = '+00:00'")
        run("BEGIN")
        for number, kind in enumerate(kinds):
            run(f"INSERT INTO orders_{number} VALUES (3, 'late', {kind.now})")
            run(f"UPDATE orders_{number} SET note = 'late too', stamp = {kind.now} WHERE id = 2")
        run("SELECT pg_sleep(1.2)" if engine == "postgresql" else "DO SLEEP(1.2)")
        for number, kind in enumerate(kinds):
            source.sql(f"INSERT INTO orders_{number} VALUES (4, 'fresh', {kind.now})")
        assert failures(source.run()) == []
        seen = [(1, "old"), (2, "changed"), (4, "fresh")]
        for number, kind in enumerate(kinds):
            assert in_warehouse(source, f"orders_{number}", "id, note") == seen, kind
        run("COMMIT")

    second = source.run()

    for number, kind in enumerate(kinds):
        table = f"orders_{number}"
        assert in_warehouse(source, table, "id, note", "stamp") == in_source(
            source, table, "id, note", "stamp"
        ), kind
        # not the old one: the watermark had moved past it
        assert second.table(full_name(source, table))["rows_read"] == 3, (kind, failures(second))


def reader(source: Source) -> dict[str, str]:
    """Return the login of a role that may read the source's table and sees no other session."""
    role = f"r_{source.name}"
    if source.engine == "postgresql":
        source.sql(f"CREATE ROLE {role} LOGIN PASSWORD 'pw'", f"GRANT SELECT ON orders TO {role}")
    else:
        source.sql(
            f"CREATE USER '{role}'@'%' IDENTIFIED BY 'pw'", f"GRANT SELECT ON {source.name}.* TO '{role}'@'%'"
        )
    return {"username": role, "password": "pw"}


@RUNS_ON_SERVERS
def test_a_role_that_sees_no_other_session_reads_the_last_hour_again_and_says_so(
    company: Company, engine: str
) -> None:
    source = orders(company, engine)
    source.put_secret(source.secret() | reader(source))
    source.sql(
        f"INSERT INTO orders VALUES (1, 'old', {ago(engine, '120 MINUTE')})",
        f"INSERT INTO orders VALUES (2, 'fresh', {ago(engine, '5 MINUTE')})",
    )
    late = source.connect()
    with closing(late):
        begin = late.run if engine == "postgresql" else late.query
        if engine == "mysql":
            begin("SET time_zone = '+00:00'")
        begin("BEGIN")
        begin(f"INSERT INTO orders VALUES (3, 'late', {ago(engine, '30 MINUTE')})")
        first = only_table(source.run())
        begin("COMMIT")
    second = only_table(source.run())

    missing = {"postgresql": "pg_read_all_stats", "mysql": "PROCESS"}[engine]
    for ended in (first, second):
        (note,) = [note for note in ended["notes"] if missing in note]
        assert note.endswith(": every run reads the last hour again")
    assert second["rows_read"] == 2
    assert in_warehouse(source, "orders", "id, note", "stamp") == in_source(
        source, "orders", "id, note", "stamp"
    )


def test_a_lower_serial_that_is_committed_late_arrives(company: Company) -> None:
    source = company.source("postgresql")
    assert isinstance(source, PostgresSource)
    source.sql(
        "CREATE TABLE orders (id serial PRIMARY KEY, note text)", "INSERT INTO orders (note) VALUES ('a')"
    )
    source.file("tables: [{name: orders, mode: merge, cursor: id}]")
    only_table(source.run())
    with source.transaction() as late:
        late.run("INSERT INTO orders (note) VALUES ('late')")
        source.sql("INSERT INTO orders (note) VALUES ('b'), ('c')")
        only_table(source.run())
        assert in_warehouse(source, "orders", "id, note") == [(1, "a"), (3, "b"), (4, "c")]
        source.sql("INSERT INTO orders (note) VALUES ('d')")
        only_table(source.run())
        assert in_warehouse(source, "orders", "id, note") == [(1, "a"), (3, "b"), (4, "c"), (5, "d")]

    only_table(source.run())

    assert in_warehouse(source, "orders", "id, note") == in_source(source, "orders", "id, note")
    only_table(source.run())
    assert source.watermark("public.orders") == "5"
    assert only_table(source.run())["rows_read"] == 0


# --- values that are not quite a time of change -------------------------------------------------


@RUNS_ON_ALL
def test_rows_without_a_cursor_value_are_read_by_every_run(company: Company, engine: str) -> None:
    source = company.source(engine)
    source.sql(
        f"CREATE TABLE orders (id int NOT NULL PRIMARY KEY, note varchar(20), stamp {STAMP[engine]} NULL)",
        f"INSERT INTO orders VALUES (1, 'a', '{HOUR}'), (2, 'b', NULL), (3, 'c', NULL), (4, 'd', NULL)",
    )
    source.file(
        f"tables: [{{name: {full_name(source)}, mode: merge, cursor: stamp, cursor_time_zone: UTC, "
        "nulls: include, page_rows: 2}]"
    )
    only_table(source.run())
    source.sql(
        "UPDATE orders SET note = 'b2' WHERE id = 2",
        "INSERT INTO orders VALUES (5, 'e', NULL)",
        "UPDATE orders SET stamp = '2026-01-01 10:00:01' WHERE id = 3",
        f"UPDATE orders SET note = 'below', stamp = '{HOUR}' WHERE id = 4",  # breaks the promise
    )
    second = only_table(source.run())

    assert second["rows_read"] == 3
    assert in_warehouse(source, "orders", "id, note") == [
        (1, "a"),
        (2, "b2"),
        (3, "c"),
        (4, "d"),
        (5, "e"),
    ]


@RUNS_ON_SERVERS
def test_rows_dated_in_the_future_are_read_counted_and_read_again(company: Company, engine: str) -> None:
    source = orders(company, engine)
    source.sql(
        f"INSERT INTO orders VALUES (1, 'now', {ago(engine, '10 SECOND')})",
        "INSERT INTO orders VALUES (2, 'future', '2999-01-01 00:00:00')",
    )
    first = only_table(source.run())
    watermark = source.watermark(full_name(source))
    source.sql("INSERT INTO orders VALUES (3, 'future', '2998-01-01 00:00:00')")
    second = only_table(source.run())

    assert (first["rows_read"], first["future_rows"]) == (2, 1)
    assert (second["rows_read"], second["future_rows"]) == (2, 2)
    assert source.watermark(full_name(source)) == watermark
    assert watermark is not None
    assert watermark.startswith("20")
    assert in_warehouse(source, "orders", "id, note") == in_source(source, "orders", "id, note")


@RUNS_ON_SERVERS
def test_later_rows_of_the_same_day_arrive_by_a_date_cursor(company: Company, engine: str) -> None:
    source = orders(company, engine, stamp="date")
    today = {"postgresql": "(now() AT TIME ZONE 'UTC')::date", "mysql": "UTC_DATE()"}[engine]
    source.sql(
        "INSERT INTO orders VALUES (1, 'old', '2026-01-01')",
        f"INSERT INTO orders VALUES (2, 'morning', {today})",
    )
    only_table(source.run())
    source.sql(
        f"INSERT INTO orders VALUES (3, 'noon', {today})",
        f"UPDATE orders SET note = 'changed', stamp = {today} WHERE id = 1",
    )
    only_table(source.run())
    source.sql(f"INSERT INTO orders VALUES (4, 'evening', {today})")
    only_table(source.run())

    assert source.watermark(full_name(source)) == "2026-01-01"
    assert in_warehouse(source, "orders", "id, note") == in_source(source, "orders", "id, note")


# --- what an execution's input may say ----------------------------------------------------------


@RUNS_ON_ALL
def test_a_full_refresh_takes_deleted_rows_out(company: Company, engine: str) -> None:
    source = orders(company, engine)
    source.sql(f"INSERT INTO orders VALUES (1, 'a', '{HOUR}'), (2, 'b', '{HOUR}'), (3, 'c', '{HOUR}')")
    only_table(source.run())
    source.sql("DELETE FROM orders WHERE id = 2", "UPDATE orders SET note = 'unseen' WHERE id = 3")
    only_table(source.run())
    assert in_warehouse(source, "orders", "id, note") == [(1, "a"), (2, "b"), (3, "c")]

    only_table(source.run(full_refresh=True))

    assert in_warehouse(source, "orders", "id, note") == [(1, "a"), (3, "unseen")]
    source.sql("INSERT INTO orders VALUES (4, 'next', '2026-01-01 10:00:01')")
    assert only_table(source.run())["rows_read"] == 1
    assert in_warehouse(source, "orders", "id, note") == in_source(source, "orders", "id, note")


@RUNS_ON_ALL
def test_a_full_refresh_of_a_table_that_is_empty_now_empties_it(company: Company, engine: str) -> None:
    source = orders(company, engine)
    source.sql(f"INSERT INTO orders VALUES (1, 'a', '{HOUR}')")
    only_table(source.run())
    source.sql("DELETE FROM orders")

    only_table(source.run(full_refresh=True, may_vanish="100%"))

    assert in_warehouse(source, "orders", "id, note") == []
    source.sql("INSERT INTO orders VALUES (2, 'next', '2026-01-01 10:00:01')")
    only_table(source.run())
    assert in_warehouse(source, "orders", "id, note") == [(2, "next")]


def test_tables_of_the_input_restrict_the_run(company: Company) -> None:
    source = company.source("postgresql")
    for table in ("one", "two"):
        source.sql(f"CREATE TABLE {table} (id int PRIMARY KEY, updated_at timestamptz NOT NULL)")
        source.sql(f"INSERT INTO {table} VALUES (1, '{HOUR}')")
    source.file("tables: [{include: public.*}]")
    source.run()
    source.sql(
        "INSERT INTO one VALUES (2, '2026-01-01 11:00:00Z')",
        "INSERT INTO two VALUES (2, '2026-01-01 11:00:00Z')",
    )

    ended = source.run(tables=["two"])

    assert ended.report is not None
    assert [table["table"] for table in ended.report["tables"]] == ["public.two"]
    assert (source.loaded("one", "id"), source.loaded("two", "id")) == ([(1,)], [(1,), (2,)])
    source.run()
    assert source.loaded("one", "id") == [(1,), (2,)]
