"""Texts that no source bounds: a VARCHAR as their values ask, widened before one would not fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from .company import Company, Row, Source
from .compare import NAIVE, SERVERS, failures, full_name, in_source, in_warehouse, only_table
from .failure_points import FailurePoint
from .steps import Steps
from .under_way import load_again
from .warehouse_catalog import comments_of, is_masked, recorded_changes, types_of

TIMED = "cursor: at, cursor_time_zone: UTC"
SETTINGS = {
    "merged": f"mode: merge, {TIMED}, access: {{mask: {{note: hash}}}}",
    "lived": f"mode: history, {TIMED}",
    "logged": f"mode: append, {TIMED}",
    "pictured": "mode: append, append: snapshots",
    "imaged": "mode: replace",
    "frozen": f"mode: merge, {TIMED}, schema_changes: freeze",
    "widest": f"mode: merge, {TIMED}, texts: widest",
}
SIZED = [table for table in SETTINGS if table != "widest"]
TEXT = {"postgresql": "text", "mysql": "longtext"}
GIVES_ALL = ("merged", "imaged", "frozen", "widest", "logged")  # the warehouse has what the source has
LONG, LONGEST = "é" * 150, "é" * 32_767 + "x"  # 300 and 65,535 bytes


class Narrowing(FailurePoint):
    """Sends a statement just before the first publish, and keeps what is sent of a table after its stage."""

    def __init__(self, statement: str, company: Company) -> None:
        super().__init__()
        self.statement, self.company, self.sent = statement, company, list[str]()

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        step = "/".join(kwargs.get("StatementName", "").split("/")[-2:])
        if step == "publish/1":
            self.company.warehouse(self.statement)
        if step.startswith(("widen", "publish")):
            self.sent.append(step)
        return super().call(function, *args, **kwargs)


def hour(number: int) -> str:
    return f"2026-01-01 {number:02}:00:00"


def made(company: Company, engine: str) -> Source:
    """Return a source whose tables have a text without a bound, and two rows of short ones."""
    source = company.source(engine)
    for table in SETTINGS:
        source.sql(
            f"CREATE TABLE {table} (id int NOT NULL PRIMARY KEY, note {TEXT[engine]}, code varchar(9), "
            f"at {NAIVE[engine]} NOT NULL)",
            f"INSERT INTO {table} VALUES (1, 'short', 'a', '{hour(1)}'), (2, NULL, 'b', '{hour(1)}')",
        )
    entries = (f"{{name: {full_name(source, table)}, {settings}}}" for table, settings in SETTINGS.items())
    source.file(f"tables: [{', '.join(entries)}]")
    return source


def grow(source: Source, number: int, note: str) -> None:
    """Give a new row of every table the note."""
    for table in SETTINGS:
        source.sql(f"INSERT INTO {table} VALUES ({number}, '{note}', 'c', '{hour(number)}')")


def run(source: Source) -> dict[str, list[str]]:
    """Run the source, which must succeed; return the notes on each table."""
    ended = source.run()
    assert ended.status == "SUCCEEDED", failures(ended)
    return {table: ended.table(full_name(source, table))["notes"] for table in SETTINGS}


def size(source: Source, table: str) -> str:
    return types_of(source, table)["note"]


def numbers(source: Source) -> dict[str, Row]:
    """Return by table the number that the warehouse has for it, which a recreated table does not keep."""
    query = "SELECT '\"{}\".{}'::regclass::oid"
    return {table: source.company.warehouse(query.format(source.name, table))[0] for table in SETTINGS}


def landed(source: Source) -> dict[str, list[Row]]:
    """Return all rows of the tables, but for when they were loaded."""
    return {table: in_warehouse(source, table, "id, note, code, run_id") for table in SETTINGS}


@pytest.mark.parametrize("engine", SERVERS)
def test_a_text_gets_the_size_of_its_values_and_grows_before_one_would_not_fit(
    company: Company, engine: str
) -> None:
    source = made(company, engine)

    run(source)

    assert {table: size(source, table) for table in SETTINGS} == {
        **dict.fromkeys(SIZED, "character varying(256)"),
        "widest": "character varying(65535)",
    }
    assert types_of(source, "merged")["code"] == "character varying(36)"  # what the source promises
    place, first = f'"{source.name}"', numbers(source)
    company.warehouse(
        f"CREATE VIEW {place}.late AS SELECT id, note FROM {place}.merged WITH NO SCHEMA BINDING"
    )
    company.warehouse(f"COMMENT ON COLUMN {place}.merged.note IS 'by hand'")

    grow(source, 3, "of 256 bytes at most" * 12)
    assert [note for notes in run(source).values() for note in notes if "VARCHAR" in note] == []
    assert {size(source, table) for table in SIZED} == {"character varying(256)"}

    steps = [(LONG, "VARCHAR(256)", "VARCHAR(1024)"), (LONGEST, "VARCHAR(1024)", "VARCHAR(65535)")]
    for number, (note, before, after) in enumerate(steps, start=4):
        grow(source, number, note)
        table_notes = run(source)

        for table in SIZED:
            assert size(source, table) == after.replace("VARCHAR", "character varying"), table
            assert f"column note: {before} → {after}; a value is longer than the column" in table_notes[table]
            assert ("note", "type_changed", before, after) in recorded_changes(source, table), table
        assert [recorded_changes(source, "widest"), size(source, "widest")] == [
            [],
            "character varying(65535)",
        ]
        for table in GIVES_ALL:
            assert in_warehouse(source, table, "id, note, code", "at") == in_source(
                source, table, "id, note, code", "at"
            ), table
        now = source.loaded("lived", "id, note, is_current")
        assert now == [(key, text, True) for key, text in sorted(in_source(source, "lived", "id, note"))]
        assert (number, note) in source.loaded("pictured", "id, note")
        assert company.warehouse(f"SELECT note FROM {place}.late WHERE id = {number}") == [(note,)]
        company.wait_until(lambda: comments_of(source, "merged") == {"note": "by hand"})

        company.wait_until(lambda: is_masked(source, "merged"))

    assert numbers(source) == first  # no table was recreated, so dependent objects stay
    stood = landed(source)
    company.warehouse(f"DROP TABLE {place}.merged")
    ended = source.run(replay=True)
    assert ended.status == "SUCCEEDED", failures(ended)
    assert landed(source) == stood
    assert {size(source, table) for table in SETTINGS} == {"character varying(65535)"}


def test_a_table_that_is_missing_is_replayed_with_the_size_of_all_that_its_runs_read(
    company: Company,
) -> None:
    source = company.source("postgresql")
    source.sql(
        "CREATE TABLE orders (id int PRIMARY KEY, note text, more text, at timestamp NOT NULL)",
        f"INSERT INTO orders VALUES (1, '{LONG}', 'x', '{hour(1)}'), (2, 'short', 'y', '{hour(1)}')",
    )
    source.file(f"tables: [{{name: orders, mode: merge, {TIMED}}}]")
    only_table(source.run())
    source.sql(f"INSERT INTO orders VALUES (3, 'z', '{'m' * 200}', '{hour(2)}')")
    only_table(source.run())
    stood, sizes = in_warehouse(source, "orders", "id, note, more, run_id"), types_of(source, "orders")
    company.warehouse(f'DROP TABLE "{source.name}".orders')

    only_table(source.run(replay=True))

    assert in_warehouse(source, "orders", "id, note, more, run_id") == stood
    assert (sizes["note"], sizes["more"]) == ("character varying(1024)", "character varying(256)")
    assert types_of(source, "orders") == {**sizes, "more": "character varying(1024)"}  # twice the longest


def test_a_key_of_text_grows_and_its_rows_are_still_told_apart(company: Company) -> None:
    source = company.source("postgresql")
    source.sql(
        "CREATE TABLE orders (code text PRIMARY KEY, note text, at timestamp NOT NULL)",
        f"INSERT INTO orders VALUES ('a', 'first', '{hour(1)}'), ('a ', 'blank', '{hour(1)}')",
    )
    source.file(f"tables: [{{name: orders, mode: merge, {TIMED}, distkey: code, sortkey: code}}]")
    only_table(source.run())
    source.sql(
        f"INSERT INTO orders VALUES ('{LONG}', 'long', '{hour(2)}')",
        f"UPDATE orders SET note = 'second', at = '{hour(2)}' WHERE code = 'a '",
    )

    only_table(source.run())
    load_again(company, source)  # an attempt that comes late does the same

    assert in_warehouse(source, "orders", "code, note") == in_source(source, "orders", "code, note")
    assert types_of(source, "orders")["code"] == "character varying(1024)"


def test_where_a_column_cannot_be_widened_a_new_table_takes_its_place(company: Company) -> None:
    source = company.source("postgresql")
    names = ("encoded", "viewed")
    for name in names:
        source.sql(
            f"CREATE TABLE {name} (id int PRIMARY KEY, note text, more text, at timestamp NOT NULL)",
            f"COMMENT ON TABLE {name} IS 'what was bought'",
            f"INSERT INTO {name} VALUES (1, 'short', 'short', '{hour(1)}')",
        )
    source.file(f"tables: [{', '.join(f'{{name: {name}, mode: merge, {TIMED}}}' for name in names)}]")
    assert source.run().status == "SUCCEEDED"
    place, first = f'"{source.name}"', "character varying(256)"
    company.warehouse(f"ALTER TABLE {place}.encoded ALTER COLUMN more ENCODE BYTEDICT")
    company.warehouse(f"CREATE VIEW {place}.bound AS SELECT note FROM {place}.viewed")
    for name in names:
        source.sql(f"INSERT INTO {name} VALUES (2, '{LONG}', '{LONG}', '{hour(2)}')")

    second = source.run()

    encoded, viewed = (second.table(f"public.{name}") for name in names)
    assert encoded["status"] == "loaded"
    assert in_warehouse(source, "encoded", "id, note, more") == in_source(source, "encoded", "id, note, more")
    assert {types_of(source, "encoded")[name] for name in ("note", "more")} == {"character varying(1024)"}
    assert [row[0] for row in recorded_changes(source, "encoded")] == ["more", "note"]
    company.wait_until(lambda: comments_of(source, "encoded") == {None: "what was bought"})
    assert "WITH NO SCHEMA BINDING" in viewed["failure"]["message"]
    assert (types_of(source, "viewed")["note"], len(source.loaded("viewed"))) == (first, 1)

    company.warehouse(f"DROP VIEW {place}.bound")
    assert source.run().status == "SUCCEEDED"
    assert in_warehouse(source, "viewed", "id, note, more") == in_source(source, "viewed", "id, note, more")


def test_a_late_load_that_makes_a_column_narrower_again_costs_another_try(company: Company) -> None:
    source = company.source("postgresql")
    source.sql(
        "CREATE TABLE orders (id int PRIMARY KEY, note text, at timestamp NOT NULL)",
        f"INSERT INTO orders VALUES (1, 'short', '{hour(1)}')",
    )
    source.file(f"tables: [{{name: orders, mode: merge, {TIMED}}}]")
    only_table(source.run())
    source.sql(f"INSERT INTO orders VALUES (2, '{'long' * 500}', '{hour(2)}')")
    steps = Steps(company, source)
    plan = steps.plan(steps.execution(), FailurePoint()).plan
    assert plan is not None
    steps.extract(plan.run_id, 0, FailurePoint())

    point = Narrowing(f'ALTER TABLE "{source.name}".orders ALTER COLUMN note TYPE VARCHAR(300)', company)
    while not steps.load(plan.run_id, point).done:
        pass

    assert point.sent == ["widen-0/1", "publish/1", "widen-0/2", "publish/2"]
    assert in_warehouse(source, "orders", "id, note") == in_source(source, "orders", "id, note")
    assert types_of(source, "orders")["note"] == "character varying(4096)"


def test_a_type_that_changes_and_columns_that_are_new_are_sized_too(company: Company) -> None:
    source = company.source("postgresql")
    source.sql(
        "CREATE TABLE orders (id int PRIMARY KEY, size int, bounded varchar(20), at timestamp NOT NULL)",
        f"INSERT INTO orders VALUES (1, 7, 'b', '{hour(1)}'), (2, -8, 'b', '{hour(1)}')",
    )
    source.file(f"tables: [{{name: orders, mode: merge, {TIMED}}}]")
    only_table(source.run())

    source.sql(
        "ALTER TABLE orders ALTER size TYPE text, ALTER bounded TYPE text, ADD late text",
        f"INSERT INTO orders VALUES (3, '{'s' * 600}', '{LONG}', '{hour(2)}', 'late')",
    )
    table_notes = only_table(source.run())["notes"]

    assert in_warehouse(source, "orders", "id, size, bounded, late") == in_source(
        source, "orders", "id, size, bounded, late"
    )
    assert {name: types_of(source, "orders")[name] for name in ("size", "bounded", "late")} == {
        "size": "character varying(4096)",
        "bounded": "character varying(1024)",
        "late": "character varying(256)",
    }
    assert recorded_changes(source, "orders") == [
        ("bounded", "type_changed", "VARCHAR(80)", "VARCHAR(1024)"),
        ("late", "added", None, "VARCHAR(256)"),
        ("size", "type_changed", "INTEGER", "VARCHAR(4096)"),
    ]
    assert "column size: INTEGER → VARCHAR; existing values are kept" in table_notes

    source.sql("ALTER TABLE orders ALTER bounded TYPE varchar(300)")  # 1,200 bytes: a bound again
    source.sql(f"UPDATE orders SET late = '{LONGEST}', at = '{hour(3)}' WHERE id = 1")
    only_table(source.run())
    assert types_of(source, "orders")["bounded"] == "character varying(1200)"
    assert types_of(source, "orders")["late"] == "character varying(65535)"
    assert in_warehouse(source, "orders", "id, size, bounded, late") == in_source(
        source, "orders", "id, size, bounded, late"
    )


def test_sources_that_share_a_table_widen_it_at_the_same_time(company: Company) -> None:
    target = f"company.t{uuid4().hex[:8]}"
    one, other = (company.source(engine) for engine in (SERVERS[0], SERVERS[-1]))
    for source in (one, other):
        source.sql(
            f"CREATE TABLE orders (id int NOT NULL PRIMARY KEY, note {TEXT[source.engine]}, "
            f"at {NAIVE[source.engine]} NOT NULL)",
            f"INSERT INTO orders VALUES (1, 'short', '{hour(1)}')",
        )
        source.file(f"tables: [{{name: {full_name(source)}, target: {target}, mode: merge, {TIMED}}}]")
    schema, _, name = target.partition(".")
    for note, size_bytes in (("short", 256), ("other", 256), (LONG, 65_535), (LONGEST, 65_535)):
        started = []
        for source in (one, other):
            source.sql(f"UPDATE orders SET note = '{note}', at = '{hour(1 + len(note) % 7)}'")
            started.append((source, source.start(full_refresh=True)))
        for source, arn in started:
            only_table(source.company.wait(arn))
        assert company.warehouse(f"SELECT note FROM {target}") == [(note,), (note,)]
        assert company.warehouse(
            f"SELECT character_maximum_length FROM svv_columns WHERE table_schema = '{schema}' "
            f"AND table_name = '{name}' AND column_name = 'note'"
        ) == [(size_bytes,)]


def test_a_source_that_finds_a_shared_table_made_for_shorter_texts_meanwhile_widens_it(
    company: Company,
) -> None:
    target = f"company.t{uuid4().hex[:8]}"
    one, other = (company.source("postgresql") for _ in range(2))
    for source, note in ((one, LONG), (other, "short")):
        source.sql(
            "CREATE TABLE orders (id int PRIMARY KEY, note text, at timestamp NOT NULL)",
            f"INSERT INTO orders VALUES (1, '{note}', '{hour(1)}')",
        )
        source.file(f"tables: [{{name: orders, target: {target}, mode: merge, {TIMED}}}]")
    steps = Steps(company, one)
    plan = steps.plan(steps.execution(), FailurePoint()).plan
    assert plan is not None
    steps.extract(plan.run_id, 0, FailurePoint())

    only_table(other.run())
    while not steps.load(plan.run_id, FailurePoint()).done:
        pass

    assert sorted(company.warehouse(f"SELECT note FROM {target}")) == [("short",), (LONG,)]
    one.sql(f"UPDATE orders SET note = 'back', at = '{hour(2)}'")
    other.sql(f"UPDATE orders SET note = '{LONGEST}', at = '{hour(2)}'")
    assert [source.run().status for source in (one, other)] == ["SUCCEEDED"] * 2
    assert sorted(company.warehouse(f"SELECT note FROM {target}")) == [("back",), (LONGEST,)]
