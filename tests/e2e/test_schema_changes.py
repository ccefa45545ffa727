"""Tables whose columns have changed in the source: many of them in one run, held against their source."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.patience import wait_for

from .company import Company, PostgresSource, Source
from .compare import NAIVE, SERVERS, full_name, in_source, in_warehouse
from .under_way import closed_gate, gated, load_again, newest_run, readers
from .warehouse_catalog import recorded_changes, types_of

HOUR, LATER = "2026-01-01 10:00:00", "2026-01-01 11:00:00"
MERGED = "mode: merge, cursor: at, cursor_time_zone: UTC"
SETTINGS = {
    "widened": MERGED,
    "lives": "mode: history, cursor: at, cursor_time_zone: UTC",
    "log": "mode: append, cursor: at, cursor_time_zone: UTC",
    "image": "mode: replace",
    "narrowed": MERGED,
    "retyped": MERGED,
    "retyped_log": "mode: append, cursor: at, cursor_time_zone: UTC",
    "renamed": MERGED,
    "reordered": MERGED,
    "remade": "mode: replace",
    "many": MERGED,
    "frozen": f"{MERGED}, schema_changes: freeze",
    "ignoring": f"{MERGED}, schema_changes: ignore_new",
    "viewed": MERGED,
    "loosened": MERGED,
}
WIDER = ("widened", "lives", "log", "image", "viewed")
OLD = (
    "id int NOT NULL PRIMARY KEY, small smallint, amount numeric(10,2), day date, code int NOT NULL, "
    "note varchar(9)"
)


def configure(source: Source, **changes: str) -> None:
    """Write the source's file, with other settings for some of its tables."""
    table_settings = SETTINGS | changes
    source.file(
        "tables: ["
        + ", ".join(
            f"{{name: {full_name(source, name)}, {settings}}}" for name, settings in table_settings.items()
        )
        + "]"
    )


def fill(source: Source) -> None:
    """Make every table with the same columns and two rows."""
    for name in SETTINGS:
        source.sql(
            f"CREATE TABLE {name} ({OLD}, at {NAIVE[source.engine]} NOT NULL)",
            f"INSERT INTO {name} VALUES (1, 1, 1.25, '2026-01-01', 10, 'one', '{HOUR}'), "
            f"(2, NULL, -2.50, '2026-01-02', -20, 'two ', '{HOUR}')",
        )


def retype(source: Source, table: str, **types: str) -> None:
    """Give columns of the table other types."""
    word = {"postgresql": "ALTER {} TYPE {}", "mysql": "MODIFY {} {}"}[source.engine]
    done = ", ".join(word.format(column, type_name) for column, type_name in types.items())
    source.sql(f"ALTER TABLE {table} {done}")


def equal(source: Source, table: str, columns: str, times: str = "") -> bool:
    """Say whether source and warehouse have the same rows; numbers by all their digits."""
    read = in_source(source, table, columns, times)
    as_text = [tuple(str(one) if isinstance(one, Decimal) else one for one in row) for row in read]
    return in_warehouse(source, table, columns, times) == as_text


def loosen(source: Source, table: str, column: str, type_name: str) -> None:
    """Let a column of the table be NULL."""
    word = {"postgresql": f"ALTER {column} DROP NOT NULL", "mysql": f"MODIFY {column} {type_name} NULL"}
    source.sql(f"ALTER TABLE {table} {word[source.engine]}")


@pytest.mark.parametrize("engine", SERVERS)
def test_whatever_changes_of_columns_source_and_warehouse_are_equal_after_it(
    company: Company, engine: str
) -> None:
    source = company.source(engine)
    fill(source)
    configure(source)
    first = source.run()
    assert first.status == "SUCCEEDED", first.report
    place = f'"{source.name}"'
    company.warehouse(
        f"CREATE VIEW {place}.late AS SELECT id, amount FROM {place}.widened WITH NO SCHEMA BINDING"
    )
    company.warehouse(f"CREATE VIEW {place}.bound AS SELECT id FROM {place}.viewed")

    stamp = NAIVE[engine]
    for table in WIDER:
        retype(
            source,
            table,
            id="bigint",
            small="int",
            amount="numeric(18,4)",
            day=stamp,
            code="varchar(30)",
            note="varchar(99)",
        )
        source.sql(
            f"INSERT INTO {table} VALUES (5000000000, 70000, 12345678901234.5678, '2026-01-03 04:05:06', "
            f"'c-3', 'a note that is longer than nine', '{LATER}')"
        )
    retype(source, "narrowed", small="int", code="smallint", amount="numeric(8,1)", note="varchar(5)")
    for table in ("retyped", "retyped_log"):
        source.sql(f"ALTER TABLE {table} DROP COLUMN note", f"ALTER TABLE {table} ADD note int DEFAULT 7")
    source.sql("ALTER TABLE renamed RENAME COLUMN note TO remark")
    for table, columns in (
        ("reordered", f"note varchar(9), at {stamp} NOT NULL, amount numeric(10,2), id int PRIMARY KEY"),
        ("remade", "id int NOT NULL PRIMARY KEY, colour varchar(9)"),
    ):
        source.sql(f"DROP TABLE {table}", f"CREATE TABLE {table} ({columns})")
    source.sql(
        f"INSERT INTO reordered VALUES (NULL, '{LATER}', 9.99, 1)", "INSERT INTO remade VALUES (1, 'red')"
    )
    source.sql(*(f"ALTER TABLE many ADD c{number} int DEFAULT {number}" for number in range(40)))
    loosen(source, "many", "code", "int")
    source.sql(f"INSERT INTO many (id, at) VALUES (3, '{LATER}')")
    loosen(source, "loosened", "at", stamp)
    for table in ("frozen", "ignoring"):
        source.sql(f"ALTER TABLE {table} ADD colour varchar(9) DEFAULT 'red'")
        source.sql(f"UPDATE {table} SET note = 'new', at = '{LATER}' WHERE id = 1")

    second = source.run()

    reported = {table: second.table(full_name(source, table)) for table in SETTINGS}
    failed = {table: one["failure"]["message"] for table, one in reported.items() if one.get("failure")}
    assert sorted(failed) == ["frozen", "loosened", "retyped_log", "viewed"], failed
    assert "colour: not read → VARCHAR(" in failed["frozen"]
    assert "note: VARCHAR(" in failed["retyped_log"]
    assert '"full_refresh": true' in failed["retyped_log"]
    assert "WITH NO SCHEMA BINDING" in failed["viewed"]
    assert 'cursor column "at"' in failed["loosened"]
    assert types_of(source, "viewed")["id"] == "integer(32,0)"  # what failed changed nothing
    assert len(source.loaded("viewed")) == 2

    everything = "id, small, amount, code, note"
    for table in ("widened", "log", "image"):
        assert reported[table]["rows_read"] == (3 if table == "image" else 1), table
        assert equal(source, table, everything, "day at"), table
    assert company.warehouse(f"SELECT id, amount FROM {place}.late ORDER BY id") == [
        (1, "1.2500"),
        (2, "-2.5000"),
        (5000000000, "12345678901234.5678"),
    ]
    held = types_of(source, "widened")
    assert (held["id"], held["small"], held["amount"]) == ("bigint(64,0)", "integer(32,0)", "numeric(18,4)")
    lives = source.loaded("lives", "id, amount, note, is_current")
    assert lives == [
        (1, "1.2500", "one", True),
        (2, "-2.5000", "two ", True),
        (5000000000, "12345678901234.5678", "a note that is longer than nine", True),
    ]
    assert equal(source, "narrowed", "id, small, code, note")
    held = types_of(source, "narrowed")
    assert (held["code"], held["amount"]) == ("integer(32,0)", "numeric(10,2)")
    assert any(note.startswith("column code stays INTEGER") for note in reported["narrowed"]["notes"])
    for table, columns in (
        ("retyped", "id, amount, note"),
        ("renamed", "id, remark"),
        ("remade", "id, colour"),
        ("many", "id, code, note, " + ", ".join(f"c{number}" for number in range(40))),
    ):
        assert equal(source, table, columns), table
    assert source.loaded("reordered", "id, amount, note") == [(1, "9.99", None), (2, "-2.50", "two ")]
    assert source.loaded("ignoring", "id, note") == [(1, "new"), (2, "two ")]
    assert "colour" not in types_of(source, "ignoring")
    assert (
        "new columns left out because of schema_changes: ignore_new: colour" in reported["ignoring"]["notes"]
    )

    assert ("id", "type_changed", "INTEGER", "BIGINT") in recorded_changes(source, "widened")
    assert [row[:2] for row in recorded_changes(source, "renamed")] == [
        ("note", "dropped"),
        ("remark", "added"),
    ]
    assert len(recorded_changes(source, "many")) == 40
    assert [recorded_changes(source, table) for table in ("frozen", "viewed", "ignoring", "narrowed")][
        :3
    ] == [[]] * 3

    company.warehouse(f"DROP VIEW {place}.bound")
    configure(source, frozen=MERGED)
    third = source.run()
    assert third.report
    still_failed = {table["table"] for table in third.report["tables"] if table.get("failure")}
    assert still_failed == {full_name(source, table) for table in ("retyped_log", "loosened")}
    for table, columns in (("viewed", everything), ("frozen", "id, note, colour")):
        assert equal(source, table, columns), table
    assert len(recorded_changes(source, "many")) == 40  # a change is noted once


def test_a_table_that_changes_between_plan_and_extract_fails_alone_and_is_right_in_the_next_run(
    company: Company,
) -> None:
    source = company.source("postgresql")
    assert isinstance(source, PostgresSource)
    gated(source, rows=2, gate_at=1)
    names = ("dropped", "retyped", "vanished")
    for name in names:
        source.sql(f"CREATE TABLE {name} (id int PRIMARY KEY, size int, note text)")
        source.sql(f"INSERT INTO {name} VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 3, 'c')")
    listed = ", ".join(f"{{name: {name}, page_rows: 1}}" for name in ("gated", *names))
    source.file(f"max_connections: 1\ndefaults: {{mode: replace}}\ntables: [{listed}]")
    with closed_gate(source) as open_gate:
        arn = source.start()
        wait_for(lambda: newest_run(company, source) and readers(source))
        source.sql(
            "ALTER TABLE dropped DROP COLUMN size",
            "ALTER TABLE retyped ALTER size TYPE text",
            "UPDATE retyped SET size = 'three' WHERE id = 3",  # pages 1 and 2 are read, and not loaded
            "DROP TABLE vanished",
        )
        open_gate()
        ended = company.wait(arn)

    assert ended.table("public.gated")["status"] == "loaded"
    failed = {name: ended.table(f"public.{name}")["failure"] for name in names}
    assert {name: failure["error"] for name, failure in failed.items()} == {
        "dropped": "TableRefused",
        "retyped": "ValueRefused",
        "vanished": "TableRefused",
    }
    assert company.warehouse(f"SELECT table_name FROM svv_tables WHERE table_schema = '{source.name}'") == [
        ("gated",)
    ]

    source.sql("CREATE TABLE vanished (id int PRIMARY KEY, note text)")
    assert source.run().status == "SUCCEEDED"
    assert source.loaded("dropped", "id, note") == [(1, "a"), (2, "b"), (3, "c")]
    assert source.loaded("retyped", "id, size, note") == [
        (1, "1", "a"),
        (2, "2", "b"),
        (3, "three", "c"),
    ]


def test_a_table_as_wide_as_the_warehouse_takes_loads_and_a_wider_one_says_what_to_leave_out(
    company: Company,
) -> None:
    source = company.source("postgresql")
    columns = ", ".join(f"column_{number} smallint" for number in range(1_596))
    source.sql(
        f"CREATE TABLE wide (id int PRIMARY KEY, {columns})",
        "INSERT INTO wide (id, column_0, column_1595) VALUES (1, 7, 8), (2, NULL, 9)",
    )
    source.file("tables: [{name: wide, mode: replace}]")
    ended = source.run()
    assert ended.status == "SUCCEEDED", ended.report
    assert source.loaded("wide", "id, column_0, column_1595") == [(1, 7, 8), (2, None, 9)]

    source.sql("ALTER TABLE wide ADD one_more int")
    failure = source.run().table("public.wide")["failure"]
    assert failure["error"] == "TableRefused"
    assert "public.wide has 1598 columns to read, and 1597 can be loaded" in failure["message"]


def test_a_table_that_is_made_anew_twice_by_one_run_is_the_same(company: Company) -> None:
    source = company.source("postgresql")
    source.sql(
        f"CREATE TABLE prices (id int PRIMARY KEY, amount numeric(10,2), at timestamp(6) DEFAULT '{HOUR}')",
        "INSERT INTO prices VALUES (1, 1.25), (2, -2.5)",
        "ALTER TABLE prices ALTER at SET NOT NULL",
    )
    source.file(f"tables: [{{name: prices, {MERGED}}}]")
    source.run()
    source.sql(
        "ALTER TABLE prices ALTER amount TYPE numeric(12,4)",
        f"UPDATE prices SET amount = 1.2345, at = '{LATER}' WHERE id = 1",
    )
    assert source.run().status == "SUCCEEDED"
    once = source.loaded("prices")

    load_again(company, source)

    assert [row[:2] for row in once] == [(1, "1.2345"), (2, "-2.5000")]
    assert [row[:3] for row in source.loaded("prices")] == [row[:3] for row in once]
    assert types_of(source, "prices")["amount"] == "numeric(12,4)"
