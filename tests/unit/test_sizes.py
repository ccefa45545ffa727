"""How wide the VARCHAR of a text is that its source does not bound: measured, settled, sent to Redshift."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import column, control_row
from tests.unit.sized_texts import EXISTING, SIZED_COLUMNS, TEXT, new_table, sized_plan
from tests.unit.statements import FENCE, NAME, NEW_TABLE
from tributary.model.plan import DeepCopyColumn, SchemaChange, TablePlan
from tributary.model.text_lengths import Longest, longer, measured, places
from tributary.model.types import VARCHAR_BYTES, Kind
from tributary.redshift.maintenance import batches
from tributary.redshift.publish import publish
from tributary.redshift.stage import stage
from tributary.redshift.text_sizes import SIZES, existing_columns, of_runs, size_for, with_sizes
from tributary.redshift.widen import widen


def sized(table: TablePlan, longest: Longest) -> dict[str, int]:
    return with_sizes(table, longest).texts.sizes


def test_only_texts_that_the_source_bounds_no_closer_are_sized_by_their_values() -> None:
    kinds = {
        "text": TEXT,
        "varchar(20000) of four bytes each": Kind("text", size_bytes=80_000),
        "varchar(20)": Kind("text", size_bytes=80),
        "json": Kind("json"),
        "uuid": Kind("uuid"),
        "blob": Kind("binary"),
    }
    assert [name for name, kind in kinds.items() if kind.sized_by_values] == list(kinds)[:2]


def test_a_text_is_measured_in_bytes_of_its_longest_value() -> None:
    rows = pa.table(
        {
            "Id": pa.array([1, 2, 3], pa.int64()),
            "Code": pa.chunked_array([["é", None], ["€uro"]], pa.string()),
            "bounded": pa.array(["x" * 40] * 3, pa.string()),
            "note": pa.array([None] * 3, pa.string()),
        }
    )
    assert places(SIZED_COLUMNS) == (1, 3)
    assert measured(rows, places(SIZED_COLUMNS)) == (6, 0)
    assert measured(rows.slice(0, 1), places(SIZED_COLUMNS)) == (2, 0)
    assert measured(rows.slice(0, 0), places(SIZED_COLUMNS)) == (0, 0)


def test_the_longest_of_many_parts_is_the_longest_of_any_and_unknown_where_one_is() -> None:
    assert longer((), (3, 4)) == longer((3, 4), ()) == (3, 4)
    assert longer((3, 9), (5, 4)) == (5, 9)
    assert [longer(None, (5, 4)), longer((5, 4), None)] == [None, None]


@given(st.integers(0, VARCHAR_BYTES))
def test_a_new_size_has_room_for_twice_the_longest_value(longest_bytes: int) -> None:
    size = size_for(longest_bytes)
    assert size in SIZES
    assert size >= min(2 * longest_bytes, VARCHAR_BYTES)
    assert size == SIZES[0] or max(one for one in SIZES if one < size) < 2 * longest_bytes


def test_a_new_table_is_made_with_the_sizes_of_its_values_and_staged_as_wide_as_can_be() -> None:
    create, _, staging, *_ = stage(with_sizes(new_table(), (300, 0)), NAME, None, "arn:aws:iam::1:role/copy")

    assert create == (
        'CREATE TABLE IF NOT EXISTS "shop"."orders" ("id" BIGINT, "code" VARCHAR(1024), '
        '"bounded" VARCHAR(40), "note" VARCHAR(256), "source_system" VARCHAR(50), '
        '"load_timestamp" TIMESTAMP, "run_id" VARCHAR(15))'
    )
    assert '"code" VARCHAR(65535), "bounded" VARCHAR(40), "note" VARCHAR(65535)' in staging


def test_a_column_stays_as_it_is_while_its_values_fit() -> None:
    for longest in ((), (0, 0), (256, 1_024)):
        for now in (with_sizes(sized_plan(), longest), with_sizes(sized_plan(), longest, copy=True)):
            assert (now.texts.sizes, now.texts.widened, now.schema_changes.deep_copy) == (
                {"code": 256, "note": 1_024},
                {},
                (),
            )
            assert (now.schema_changes.changes, now.notes) == ((), ())


def test_a_column_is_widened_where_it_stands_before_a_value_that_does_not_fit() -> None:
    table = with_sizes(sized_plan(changes=(added("bounded", "VARCHAR(40)"),)), (257, 9_000))

    assert widen(table) == [
        'ALTER TABLE "shop"."orders" ALTER COLUMN "code" TYPE VARCHAR(1024)',
        'ALTER TABLE "shop"."orders" ALTER COLUMN "note" TYPE VARCHAR(65535)',
    ]
    assert publish(table, NAME, control_row())[:2] == [
        FENCE,
        'ALTER TABLE "shop"."orders" ADD COLUMN "bounded" VARCHAR(40)',
    ]
    assert table.schema_changes.changes == (
        added("bounded", "VARCHAR(40)"),
        SchemaChange(column="code", change="type_changed", before="VARCHAR(256)", after="VARCHAR(1024)"),
        SchemaChange(column="note", change="type_changed", before="VARCHAR(1024)", after="VARCHAR(65535)"),
    )
    assert table.notes == (
        "column Code: VARCHAR(256) → VARCHAR(1024); a value is longer than the column",
        "column note: VARCHAR(1024) → VARCHAR(65535); a value is longer than the column",
    )


def test_where_the_warehouse_refuses_that_the_publish_makes_a_new_table() -> None:
    before = sized_plan(comments_of_copy=((None, "all orders"),), changes=(added("bounded", "VARCHAR(40)"),))
    table = with_sizes(before, (257, 900), copy=True)

    statements = publish(table, NAME, control_row())
    assert statements[:6] == [
        'LOCK "shop"."orders"',
        FENCE,
        (
            f'CREATE TABLE {NEW_TABLE} ("id" BIGINT, "code" VARCHAR(1024), "note" VARCHAR(1024), "old" DATE, '
            '"source_system" VARCHAR(50), "load_timestamp" TIMESTAMP, "run_id" VARCHAR(15), '
            '"bounded" VARCHAR(40))'
        ),
        (
            f'INSERT INTO {NEW_TABLE} ("id", "code", "note", "old", "source_system", '
            '"load_timestamp", "run_id") '
            'SELECT "id", CAST("code" AS VARCHAR(1024)), "note", "old", "source_system", "load_timestamp", '
            '"run_id" FROM "shop"."orders"'
        ),
        'DROP TABLE "shop"."orders"',
        f'ALTER TABLE {NEW_TABLE} RENAME TO "orders"',
    ]
    assert not any(sql.startswith("ALTER TABLE") and "ADD COLUMN" in sql for sql in statements)
    assert widen(table) == []
    assert (table.schema_changes.changes, table.notes) == (
        with_sizes(before, (257, 900)).schema_changes.changes,
        with_sizes(before, (257, 900)).notes,
    )
    assert batches(table, 1) == [['COMMENT ON TABLE "shop"."orders" IS \'all orders\'']]


def added(name: str, type_name: str) -> SchemaChange:
    return SchemaChange(column=name, change="added", after=type_name)


def test_sizes_that_were_there_before_are_never_made_smaller() -> None:
    wide = {**EXISTING, "code": "VARCHAR(65535)", "note": "VARCHAR(300)"}
    for changes in ({}, {"full_refresh": True}, {"full_refresh": True, "mode": "replace"}):
        assert sized(sized_plan(existing_columns=wide, **changes), (1, 1)) == {"code": 65_535, "note": 300}
    assert sized(sized_plan(existing_columns={}), (1, 1)) == {
        "code": 65_535,
        "note": 65_535,
    }  # of an earlier version


def test_what_was_not_measured_is_as_long_as_can_be() -> None:
    for longest in (None, (1,), (1, 2, 3)):
        assert sized(new_table(), longest) == {"code": 65_535, "note": 65_535}
        assert with_sizes(sized_plan(), longest).texts.widened == {"code": 65_535, "note": 65_535}


def test_a_table_that_is_made_anew_for_another_reason_gets_its_sizes_too() -> None:
    known = {**EXISTING, "code": "INTEGER"}
    before = tuple(
        DeepCopyColumn(name=name, type="VARCHAR(65535)" if name == "code" else type_name, kept=True)
        for name, type_name in known.items()
    )
    change = SchemaChange(column="code", change="type_changed", before="INTEGER", after="VARCHAR(65535)")

    now = with_sizes(sized_plan(existing_columns=known, deep_copy=before, changes=(change,)), (10, 2_000))

    assert widen(now) == []
    assert {one.name: one.type for one in now.schema_changes.deep_copy} == {
        **EXISTING,
        "code": "VARCHAR(256)",
        "note": "VARCHAR(4096)",
    }
    assert [(one.column, one.before, one.after) for one in now.schema_changes.changes] == [
        ("code", "INTEGER", "VARCHAR(256)"),
        ("note", "VARCHAR(1024)", "VARCHAR(4096)"),
    ]


def test_a_new_column_is_added_with_the_size_of_its_values() -> None:
    table = sized_plan(
        existing_columns={name: kind for name, kind in EXISTING.items() if name != "note"},
        new_columns=("bounded", "note"),
        changes=(added("note", "VARCHAR(65535)"),),
    )
    now = with_sizes(table, (1, 600))
    assert publish(now, NAME, control_row())[1:3] == [
        'ALTER TABLE "shop"."orders" ADD COLUMN "bounded" VARCHAR(40)',
        'ALTER TABLE "shop"."orders" ADD COLUMN "note" VARCHAR(4096)',
    ]
    assert now.schema_changes.changes == (added("note", "VARCHAR(4096)"),)


def test_a_column_of_a_type_that_is_not_ours_is_left_alone() -> None:
    foreign = {**EXISTING, "code": "character(9)"}
    now = with_sizes(sized_plan(existing_columns=foreign), (20_000, 2_000), copy=True)
    assert {one.name: one.type for one in now.schema_changes.deep_copy}["code"] == "character(9)"
    assert now.texts.sizes == {"note": 4_096}


def test_a_plan_that_says_so_keeps_texts_as_wide_as_can_be() -> None:
    table = sized_plan(sized_by_values=False)
    assert with_sizes(table, (257, 900)) is table


def test_a_shared_target_is_only_ever_widened_to_the_widest() -> None:
    shared = {"owner": "shop"}
    assert sized(new_table(**shared), (128, 129)) == {"code": 256, "note": 65_535}
    assert with_sizes(new_table(**shared), (256, 257)).texts.widened == {
        "note": 65_535
    }  # others may have made it
    assert with_sizes(new_table(**shared), (256, 257)).schema_changes.changes == ()
    now = with_sizes(sized_plan(**shared), (257, 1_000))
    assert (now.texts.widened, now.texts.sizes) == ({"code": 65_535}, {"code": 65_535, "note": 1_024})
    assert [(one.before, one.after) for one in now.schema_changes.changes] == [
        ("VARCHAR(256)", "VARCHAR(65535)")
    ]
    assert of_runs([(sized_plan(), (100, 100)), (sized_plan(), (9, 129))], ["note", "code"], shared=True) == {
        "note": 65_535,
        "code": 256,
    }


def test_columns_are_frozen_only_where_a_text_may_have_to_be_widened() -> None:
    assert existing_columns(SIZED_COLUMNS, None) == {}
    assert existing_columns(SIZED_COLUMNS, EXISTING) == EXISTING
    assert (
        existing_columns(SIZED_COLUMNS, {**EXISTING, "code": "VARCHAR(65535)", "note": "VARCHAR(65535)"})
        == {}
    )


@pytest.mark.parametrize(
    ("first", "size"), [((100, 3_000), 16_384), ((100, 0), 1_024), (None, 65_535), ((), 256)]
)
def test_a_column_that_is_to_hold_many_runs_is_sized_by_all_of_them(first: Longest, size: int) -> None:
    bounded = sized_plan(columns=(*SIZED_COLUMNS[:3], column("note", Kind("text", size_bytes=400))))
    runs = [(sized_plan(), first), (sized_plan(), (9, 90)), *([(bounded, (9,))] if first == (100, 0) else [])]
    assert of_runs(runs, ["note"], shared=False)["note"] == size
