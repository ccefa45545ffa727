"""Tables whose columns have changed in the source: many of them in one run, held against their source."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from tests.patience import wait_for

from .company import Company, Ended, PostgresSource, Source
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


def configure(source: Source, *tables: str, **changes: str) -> None:
    """Write the source's file, with other settings for some of its tables."""
    settings = {table: SETTINGS[table] for table in tables} | changes
    entries = (f"{{name: {full_name(source, table)}, {setting}}}" for table, setting in settings.items())
    source.file(f"tables: [{', '.join(entries)}]")


def fill(source: Source, *tables: str) -> None:
    """Create the tables with the same columns and two rows."""
    for name in tables:
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


def widen(source: Source, table: str) -> None:
    """Give every column a wider type, and insert a row that needs each of them."""
    wider = {"id": "bigint", "small": "int", "amount": "numeric(18,4)", "day": NAIVE[source.engine]}
    retype(source, table, **wider, code="varchar(30)", note="varchar(99)")
    source.sql(
        f"INSERT INTO {table} VALUES (5000000000, 70000, 12345678901234.5678, '2026-01-03 04:05:06', "
        f"'c-3', 'a note that is longer than nine', '{LATER}')"
    )


def narrow(source: Source, table: str) -> None:
    """Give columns narrower types, and a number the type of another kind."""
    retype(source, table, small="int", code="smallint", amount="numeric(8,1)", note="varchar(5)")


def replace_column(source: Source, table: str) -> None:
    """Replace a text by a number of the same name."""
    source.sql(f"ALTER TABLE {table} DROP COLUMN note", f"ALTER TABLE {table} ADD note int DEFAULT 7")


def rename_column(source: Source, table: str) -> None:
    source.sql(f"ALTER TABLE {table} RENAME COLUMN note TO remark")


def reorder(source: Source, table: str) -> None:
    """Recreate the table with fewer columns in another order."""
    stamp = NAIVE[source.engine]
    source.sql(
        f"DROP TABLE {table}",
        f"CREATE TABLE {table} (note varchar(9), at {stamp} NOT NULL, amount numeric(10,2), "
        "id int PRIMARY KEY)",
        f"INSERT INTO {table} VALUES (NULL, '{LATER}', 9.99, 1)",
    )


def recreate(source: Source, table: str) -> None:
    """Recreate the table with other columns."""
    source.sql(
        f"DROP TABLE {table}",
        f"CREATE TABLE {table} (id int NOT NULL PRIMARY KEY, colour varchar(9))",
        f"INSERT INTO {table} VALUES (1, 'red')",
    )


def add_many(source: Source, table: str) -> None:
    """Add forty columns with defaults, and a row."""
    source.sql(*(f"ALTER TABLE {table} ADD c{number} int DEFAULT {number}" for number in range(40)))
    loosen(source, table, "code", "int")
    source.sql(f"INSERT INTO {table} (id, at) VALUES (3, '{LATER}')")


def add_colour(source: Source, table: str) -> None:
    """Add a column with a default, and change a row."""
    source.sql(f"ALTER TABLE {table} ADD colour varchar(9) DEFAULT 'red'")
    source.sql(f"UPDATE {table} SET note = 'new', at = '{LATER}' WHERE id = 1")


def loosen_cursor(source: Source, table: str) -> None:
    loosen(source, table, "at", NAIVE[source.engine])


ALTERATIONS = {
    **dict.fromkeys(WIDER, widen),
    "narrowed": narrow,
    "retyped": replace_column,
    "retyped_log": replace_column,
    "renamed": rename_column,
    "reordered": reorder,
    "remade": recreate,
    "many": add_many,
    "frozen": add_colour,
    "ignoring": add_colour,
    "loosened": loosen_cursor,
}
EVERYTHING = "id, small, amount, code, note"


@dataclass(frozen=True)
class Altered:
    """A source whose tables were loaded, altered and loaded again; `ended` is the second run."""

    source: Source
    ended: Ended

    def report(self, table: str) -> dict[str, Any]:
        """Return the report of the table in the second run."""
        return self.ended.table(full_name(self.source, table))

    def message(self, table: str) -> str:
        """Return the message of the table's failure in the second run."""
        message: str = self.report(table)["failure"]["message"]
        return message


def altered_source(company: Company, engine: str, *tables: str) -> Altered:
    """Load the tables, alter each and load them again, beside two views of theirs in the warehouse."""
    source = company.source(engine)
    fill(source, *tables)
    configure(source, *tables)
    first = source.run()
    assert first.status == "SUCCEEDED", first.report
    place = f'"{source.name}"'
    if "widened" in tables:
        company.warehouse(
            f"CREATE VIEW {place}.late AS SELECT id, amount FROM {place}.widened WITH NO SCHEMA BINDING"
        )
    if "viewed" in tables:
        company.warehouse(f"CREATE VIEW {place}.bound AS SELECT id FROM {place}.viewed")
    for table in tables:
        ALTERATIONS[table](source, table)
    return Altered(source, source.run())


@pytest.fixture(scope="module", params=SERVERS)
def altered(company: Company, request: pytest.FixtureRequest) -> Altered:
    return altered_source(company, request.param, *SETTINGS)


def test_only_tables_that_cannot_follow_their_source_fail(altered: Altered) -> None:
    failed = [table for table in SETTINGS if altered.report(table).get("failure")]
    assert sorted(failed) == ["frozen", "loosened", "retyped_log", "viewed"], failed


def test_a_frozen_table_that_gets_a_column_fails_by_its_name(altered: Altered) -> None:
    assert "colour: not read → VARCHAR(" in altered.message("frozen")
    assert recorded_changes(altered.source, "frozen") == []


def test_an_appended_table_whose_column_changes_kind_fails_and_says_what_to_do(altered: Altered) -> None:
    assert "note: VARCHAR(" in altered.message("retyped_log")
    assert '"full_refresh": true' in altered.message("retyped_log")


def test_a_view_that_is_bound_to_the_table_is_named_and_nothing_is_changed(altered: Altered) -> None:
    assert "WITH NO SCHEMA BINDING" in altered.message("viewed")
    assert types_of(altered.source, "viewed")["id"] == "integer(32,0)"
    assert len(altered.source.loaded("viewed")) == 2
    assert recorded_changes(altered.source, "viewed") == []


def test_a_cursor_that_may_be_null_fails_by_its_name(altered: Altered) -> None:
    assert 'cursor column "at"' in altered.message("loosened")


@pytest.mark.parametrize(("table", "rows_read"), [("widened", 1), ("log", 1), ("image", 3)])
def test_wider_columns_keep_old_rows_and_take_new_ones_without_another_read(
    altered: Altered, table: str, rows_read: int
) -> None:
    assert altered.report(table)["rows_read"] == rows_read
    assert equal(altered.source, table, EVERYTHING, "day at")


def test_wider_columns_have_wider_types_in_the_warehouse(altered: Altered) -> None:
    held = types_of(altered.source, "widened")
    assert (held["id"], held["small"], held["amount"]) == ("bigint(64,0)", "integer(32,0)", "numeric(18,4)")
    assert ("id", "type_changed", "INTEGER", "BIGINT") in recorded_changes(altered.source, "widened")


def test_a_late_bound_view_shows_the_wider_rows(altered: Altered, company: Company) -> None:
    assert company.warehouse(f'SELECT id, amount FROM "{altered.source.name}".late ORDER BY id') == [
        (1, "1.2500"),
        (2, "-2.5000"),
        (5000000000, "12345678901234.5678"),
    ]


def test_a_wider_history_opens_no_version_of_rows_that_are_the_same(altered: Altered) -> None:
    assert altered.source.loaded("lives", "id, amount, note, is_current") == [
        (1, "1.2500", "one", True),
        (2, "-2.5000", "two ", True),
        (5000000000, "12345678901234.5678", "a note that is longer than nine", True),
    ]


def test_bytes_beyond_64_000_stay_whole_in_a_table_that_is_copied_for_another_column(
    company: Company,
) -> None:
    source = company.source("postgresql")
    source.sql(
        "CREATE TABLE held (id int PRIMARY KEY, n smallint, data bytea, at timestamp NOT NULL)",
        f"INSERT INTO held VALUES (1, 1, decode(repeat('ab', 70000), 'hex'), '{HOUR}')",
    )
    source.file(f"tables: [{{name: {full_name(source, 'held')}, {MERGED}}}]")
    assert source.run().status == "SUCCEEDED"
    retype(source, "held", n="int")
    source.sql(f"INSERT INTO held VALUES (2, 70000, NULL, '{LATER}')")
    ended = source.run()
    assert ended.status == "SUCCEEDED", ended.report
    assert source.loaded("held", "id, n, OCTET_LENGTH(data)") == [(1, 1, 70_000), (2, 70_000, None)]


def test_narrower_columns_stay_as_wide_as_they_are(altered: Altered) -> None:
    assert equal(altered.source, "narrowed", "id, small, code, note")
    held = types_of(altered.source, "narrowed")
    assert (held["code"], held["amount"]) == ("integer(32,0)", "numeric(10,2)")
    notes = altered.report("narrowed")["notes"]
    assert any(note.startswith("column code stays INTEGER") for note in notes)


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("retyped", "id, amount, note"),
        ("renamed", "id, remark"),
        ("remade", "id, colour"),
        ("many", "id, code, note, " + ", ".join(f"c{number}" for number in range(40))),
    ],
)
def test_other_columns_are_equal_in_source_and_warehouse(altered: Altered, table: str, columns: str) -> None:
    assert equal(altered.source, table, columns)


def test_columns_in_another_order_keep_their_values(altered: Altered) -> None:
    assert altered.source.loaded("reordered", "id, amount, note") == [(1, "9.99", None), (2, "-2.50", "two ")]


def test_an_ignored_column_is_left_out_and_noted(altered: Altered) -> None:
    assert altered.source.loaded("ignoring", "id, note") == [(1, "new"), (2, "two ")]
    assert "colour" not in types_of(altered.source, "ignoring")
    note = "new columns left out because of schema_changes: ignore_new: colour"
    assert note in altered.report("ignoring")["notes"]
    assert recorded_changes(altered.source, "ignoring") == []


def test_a_renamed_column_is_recorded_as_dropped_and_added(altered: Altered) -> None:
    changes = [row[:2] for row in recorded_changes(altered.source, "renamed")]
    assert changes == [("note", "dropped"), ("remark", "added")]


def test_each_of_many_new_columns_is_recorded(altered: Altered) -> None:
    assert len(recorded_changes(altered.source, "many")) == 40


@pytest.mark.parametrize("engine", SERVERS)
def test_a_table_follows_its_source_once_what_stopped_it_is_gone(company: Company, engine: str) -> None:
    tables = ("viewed", "frozen", "retyped_log", "loosened", "many")
    source = altered_source(company, engine, *tables).source
    company.warehouse(f'DROP VIEW "{source.name}".bound')
    configure(source, *tables, frozen=MERGED)

    ended = source.run()

    assert ended.report
    still_failed = {table["table"] for table in ended.report["tables"] if table.get("failure")}
    assert still_failed == {full_name(source, table) for table in ("retyped_log", "loosened")}
    for table, columns in (("viewed", EVERYTHING), ("frozen", "id, note, colour")):
        assert equal(source, table, columns), table
    assert len(recorded_changes(source, "many")) == 40  # a change is recorded once


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
