"""Incremental runs against sources that change: what was committed arrives, whenever that was."""

from __future__ import annotations

from contextlib import closing

import pytest

from .company import Company, PostgresSource, Source
from .compare import (
    ENGINES,
    MICROSECONDS,
    SERVERS,
    STAMP,
    ago,
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


# --- ties ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("page_rows", [2, 3])
@RUNS_ON_ALL
def test_equal_cursor_values_are_not_split_by_the_border_of_a_page(
    company: Company, engine: str, page_rows: int
) -> None:
    source = orders(company, engine, f", page_rows: {page_rows}")
    source.sql(f"INSERT INTO orders VALUES (0, 'first', '{HOUR}')")
    only_table(source.run())
    times = ["10:00:01"] * 7 + ["10:00:02"] * 2 + ["10:00:03"] * 6
    rows = ", ".join(f"({20 - n}, 'n', '2026-01-01 {time}')" for n, time in enumerate(times))
    source.sql(f"INSERT INTO orders VALUES {rows}")

    assert only_table(source.run())["rows_read"] == 15
    assert in_warehouse(source, "orders", "id, note") == in_source(source, "orders", "id, note")


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


@pytest.mark.parametrize(
    ("engine", "stamp", "expected"),
    [
        (engine, stamp, expected)
        for engine, stamp, expected in [
            ("postgresql", "timestamptz", "2026-01-01 10:00:00.123457+00"),
            ("postgresql", "timestamp", "2026-01-01 10:00:00.123457"),
            ("postgresql", "timestamp(3)", "2026-01-01 10:00:00.123"),
            ("mysql", "datetime(6)", "2026-01-01 10:00:00.123457"),
            ("mysql", "datetime(3)", "2026-01-01 10:00:00.123"),
            ("mysql", "timestamp(6)", "2026-01-01 10:00:00.123457Z"),
        ]
        if engine in SERVERS
    ],
)
def test_the_watermark_is_the_sources_own_value_in_full_precision(
    company: Company, engine: str, stamp: str, expected: str
) -> None:
    source = orders(company, engine, stamp=stamp)
    source.sql(f"INSERT INTO orders VALUES (1, 'a', '{HOUR}.123456'), (2, 'b', '{HOUR}.123457')")
    only_table(source.run())
    assert source.watermark(full_name(source)) == expected
    source.sql(f"INSERT INTO orders VALUES (3, 'c', '{HOUR}.124458')")
    assert only_table(source.run())["rows_read"] == 1
    assert in_warehouse(source, "orders", "id, note", "stamp") == in_source(
        source, "orders", "id, note", "stamp"
    )


# --- open transactions --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stamp", "zone", "value"),
    [
        ("timestamptz", "UTC", "now()"),
        ("timestamp", "UTC", "now() AT TIME ZONE 'UTC'"),
        ("timestamp", "America/New_York", "now() AT TIME ZONE 'America/New_York'"),
        ("timestamp", "Asia/Tokyo", "now() AT TIME ZONE 'Asia/Tokyo'"),
    ],
)
def test_postgresql_rows_committed_after_the_run_with_times_before_it_arrive_in_the_next(
    company: Company, stamp: str, zone: str, value: str
) -> None:
    source = orders(company, "postgresql", f", cursor_time_zone: {zone}", stamp=stamp)
    assert isinstance(source, PostgresSource)
    source.sql(f"INSERT INTO orders VALUES (1, 'old', {value} - interval '3 hours'), (2, 'changed', {value})")
    with source.transaction() as late:
        late.run(f"INSERT INTO orders VALUES (3, 'late', {value})")
        late.run(f"UPDATE orders SET note = 'late too', stamp = {value} WHERE id = 2")
        late.run("SELECT pg_sleep(1.2)")
        source.sql(f"INSERT INTO orders VALUES (4, 'fresh', {value})")
        only_table(source.run())
        assert in_warehouse(source, "orders", "id, note") == [(1, "old"), (2, "changed"), (4, "fresh")]

    second = only_table(source.run())

    assert in_warehouse(source, "orders", "id, note", "stamp") == in_source(
        source, "orders", "id, note", "stamp"
    )
    assert second["rows_read"] == 3  # not the old one: the watermark had moved past it


@pytest.mark.parametrize(
    ("stamp", "zone", "value"),
    [
        ("datetime(6)", "UTC", "UTC_TIMESTAMP(6)"),
        ("datetime", "UTC", "UTC_TIMESTAMP()"),
        ("datetime(6)", "+09:00", "UTC_TIMESTAMP(6) + INTERVAL 9 HOUR"),
        ("timestamp(6)", "UTC", "NOW(6)"),
    ],
)
@pytest.mark.parametrize("engine", SERVERS[1:])
def test_mariadb_rows_committed_after_the_run_with_times_before_it_arrive_in_the_next(
    company: Company, engine: str, stamp: str, zone: str, value: str
) -> None:
    source = orders(company, engine, f', cursor_time_zone: "{zone}"', stamp=stamp)
    source.sql(
        f"INSERT INTO orders VALUES (1, 'old', {value} - INTERVAL 3 HOUR)",
        f"INSERT INTO orders VALUES (2, 'changed', {value})",
    )
    late = source.connect()
    with closing(late):
        late.query("SET time_zone = '+00:00'")
        late.query("START TRANSACTION")
        late.query(f"INSERT INTO orders VALUES (3, 'late', {value})")
        late.query(f"UPDATE orders SET note = 'late too', stamp = {value} WHERE id = 2")
        late.query("DO SLEEP(1.2)")
        source.sql(f"INSERT INTO orders VALUES (4, 'fresh', {value})")
        only_table(source.run())
        assert in_warehouse(source, "orders", "id, note") == [(1, "old"), (2, "changed"), (4, "fresh")]
        late.commit()

    second = only_table(source.run())

    assert in_warehouse(source, "orders", "id, note", "stamp") == in_source(
        source, "orders", "id, note", "stamp"
    )
    assert second["rows_read"] == 3  # not the old one: the watermark had moved past it


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
    for told in (first, second):
        (note,) = [note for note in told["notes"] if missing in note]
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
