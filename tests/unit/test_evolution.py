"""What becomes of a table in the warehouse where its source's columns have changed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.builders import orders
from tributary.config.models import TableSettings
from tributary.errors import TableRefused
from tributary.model.own_columns import ADDED
from tributary.model.plan import Column, DeepCopyColumn, SchemaChange
from tributary.model.source_catalog import SourceTable, TableName
from tributary.model.types import Kind
from tributary.model.warehouse_names import Target
from tributary.planning.load_method import REFRESH, RENAME, CommittedLoad, LoadMethod
from tributary.planning.schema_evolution import (
    Evolution,
    check_width,
    deep_copy_columns,
    evolve,
    with_evolution,
)
from tributary.planning.table_spec import TableSpec

TARGET = Target("shop", "orders")
OPENS = "2026-11-23 23:39:01"
KNOWN = {"id": "INTEGER", "amount": "DECIMAL(10,2)", "note": "VARCHAR(20)", **ADDED}


def column(name: str, kind: Kind) -> Column:
    return Column(name=name, type="?", kind=kind, nullable=False, target=name)


COLUMNS = (
    column("id", Kind("int32")),
    column("amount", Kind("decimal", precision=10, scale=2)),
    column("note", Kind("text", size_bytes=20)),
)


def choice(columns: Sequence[Column] = COLUMNS, mode: str = "merge", **settings: object) -> TableSpec:
    given = TableSettings(mode=mode, **settings)  # type: ignore[arg-type]
    cursor = None if mode == "replace" else column("id", Kind("int32"))
    table = SourceTable(TableName("public", "orders"), ())
    return TableSpec(table, given, given.mode or "merge", tuple(columns), ("id",), True, cursor, ())


def loaded(*unread: str) -> CommittedLoad:
    return CommittedLoad("20261122_233901", "merge", "shop.orders", "id", "41", ("id",), frozenset(unread))


def changed(*changes: Column) -> tuple[Column, ...]:
    """Return the columns with others of the same name in their place."""
    others = {change.name: change for change in changes}
    return tuple(others.pop(one.name, one) for one in COLUMNS) + tuple(others.values())


def test_a_table_that_is_not_there_has_not_changed() -> None:
    assert evolve(choice(schema_changes="freeze"), TARGET, None, None) == (
        choice(schema_changes="freeze"),
        Evolution(),
    )


def test_every_change_is_told_with_the_types_before_and_after() -> None:
    now = changed(
        column("id", Kind("int64")),
        column("amount", Kind("int32")),
        column("colour", Kind("text", size_bytes=9)),
    )[:-1]
    known = {**KNOWN, "gone": "DATE", "left": "DATE"}
    _, evolution = evolve(
        choice((*now, column("back", Kind("date")))),
        TARGET,
        {**known, "back": "DATE"},
        loaded("left", "back"),
    )

    assert evolution.changes(known) == (
        SchemaChange(column="gone", change="dropped", before="DATE"),
        SchemaChange(column="back", change="returned", after="DATE"),
        SchemaChange(column="id", change="type_changed", before="INTEGER", after="BIGINT"),
        SchemaChange(column="amount", change="type_changed", before="DECIMAL(10,2)", after="INTEGER"),
    )
    assert [*evolution.notes()] == [
        "column id: INTEGER → BIGINT; existing values are kept",
        "column amount: DECIMAL(10,2) → INTEGER; its values are read again",
    ]


def test_a_text_that_its_values_size_is_of_the_type_that_stands_there() -> None:
    now = changed(column("note", Kind("text")), column("amount", Kind("text")))
    known = {**KNOWN, "amount": "INTEGER"}

    _, evolution = evolve(choice(now), TARGET, known, loaded())
    assert [*evolution.notes()] == ["column amount: INTEGER → VARCHAR; existing values are kept"]
    evolve(choice(now, schema_changes="freeze"), TARGET, {**KNOWN, "amount": "VARCHAR(256)"}, loaded())

    wide = [
        "column amount: INTEGER → VARCHAR(65535); existing values are kept",
        "column note: VARCHAR(20) → VARCHAR(65535); existing values are kept",
    ]
    _, evolution = evolve(choice(now, texts="widest"), TARGET, known, loaded())
    assert [*evolution.notes()] == wide


def test_freeze_shows_the_whole_difference_and_takes_what_still_fits() -> None:
    now = (
        column("id", Kind("int64")),
        column("note", Kind("text", size_bytes=20)),
        column("colour", Kind("date")),
    )
    with pytest.raises(TableRefused) as refused:
        evolve(choice(now, schema_changes="freeze"), TARGET, KNOWN, loaded())
    assert str(refused.value) == (
        "the columns of public.orders have changed, and schema_changes is freeze: amount: DECIMAL(10,2) → "
        "dropped; colour: not read → DATE; id: INTEGER → BIGINT. Undo the change in the source, or set "
        "schema_changes: evolve for one run to accept it"
    )
    narrower = changed(column("note", Kind("text", size_bytes=9)))
    _, evolution = evolve(choice(narrower, schema_changes="freeze"), TARGET, KNOWN, loaded())
    assert [*evolution.notes()] == [
        "column note stays VARCHAR(20), which holds every VARCHAR(9) of the source"
    ]
    evolve(choice(COLUMNS[:2], schema_changes="freeze"), TARGET, KNOWN, loaded("note"))  # taken over before


def test_ignore_new_leaves_new_columns_out_but_not_those_that_a_read_needs() -> None:
    known = {name: kind for name, kind in KNOWN.items() if name != "id"}
    now = changed(column("colour", Kind("date")))

    taken, evolution = evolve(choice(now, schema_changes="ignore_new"), TARGET, known, loaded())

    assert (taken.columns, [one.name for one in evolution.new]) == (COLUMNS, ["id"])
    assert [*evolution.notes()] == ["new columns left out because of schema_changes: ignore_new: colour"]


def test_values_that_no_cast_carries_are_read_again_where_the_source_has_them_all() -> None:
    now = changed(column("note", Kind("int32")))

    def way(mode: str, before: LoadMethod, target: Target = TARGET, *, refreshed: bool = False) -> LoadMethod:
        taken, evolution = evolve(choice(now, mode), target, KNOWN, loaded())
        return with_evolution(before, taken, target, evolution, refresh_requested=refreshed)

    expected_note = "columns of public.orders have other types now: note: VARCHAR(20) → INTEGER"
    assert way("merge", LoadMethod("41")) == LoadMethod(
        "41", True, True, note=f"{expected_note}: the whole table is read and replaced"
    )
    assert way("replace", LoadMethod(full_refresh=True)) == LoadMethod(whole_read=True, full_refresh=True)
    assert way("append", LoadMethod("41", full_refresh=True), refreshed=True) == LoadMethod("41", True, True)
    for mode, target, advice in (
        ("append", TARGET, REFRESH),
        ("history", TARGET, RENAME),
        ("merge", Target("company", "orders", shared=True), "or write to another target"),
    ):
        with pytest.raises(TableRefused) as refused:
            way(mode, LoadMethod("41"), target)
        assert str(refused.value).startswith(expected_note)
        assert str(refused.value).endswith(advice)


def test_a_table_is_made_anew_for_another_type_and_for_more_columns_than_can_be_added() -> None:
    def form(*now: Column, own: Sequence[str] = ()) -> tuple[DeepCopyColumn, ...]:
        taken, evolution = evolve(choice(changed(*now)), TARGET, KNOWN, loaded())
        return deep_copy_columns(taken, KNOWN, evolution, own)

    def stands(**types: str) -> list[DeepCopyColumn]:
        return [
            DeepCopyColumn(name=name, type=types.get(name, kind), kept=True) for name, kind in KNOWN.items()
        ]

    many = [column(f"c{number}", Kind("date")) for number in range(21)]
    assert form(*many[:20]) == ()
    assert form(*many) == (
        *stands(),
        *(DeepCopyColumn(name=one.name, type="DATE", kept=False) for one in many),
    )
    assert form(column("id", Kind("int64"))) == tuple(stands(id="BIGINT"))
    text = form(column("note", Kind("date")))
    assert text[2] == DeepCopyColumn(name="note", type="DATE", kept=False)


def test_a_table_is_as_wide_as_the_warehouses_staging_tables_and_statements_let_it_be() -> None:
    def refusal(count: int, letters: int = 11, mode: str = "merge", known: int = 0) -> str | None:
        columns = tuple(column(f"c{number:0{letters - 1}}", Kind("int32")) for number in range(count))
        table = orders(columns=columns, key=(columns[0].name,), cursor=None, mode=mode, opens_at=OPENS)
        stands = {**ADDED, **{f"old_{number}": "DATE" for number in range(known)}}
        try:
            check_width(table, stands if known else None)
        except TableRefused as error:
            return str(error)
        return None

    assert [refusal(1597), refusal(1593, mode="history"), refusal(1500, known=97)] == [None] * 3
    wide = "public.orders has {} columns to read, and {} can be loaded beside the {} other "
    assert str(refusal(1598)).startswith(wide.format(1598, 1597, 3))
    assert str(refusal(1594, mode="history")).startswith(wide.format(1594, 1593, 7))
    assert str(refusal(1500, known=98)).startswith(wide.format(1500, 1499, 101))
    assert "names make a statement of" in str(refusal(1597, letters=20))
    assert refusal(1000, letters=20) is None
