"""What becomes of a loaded table whose settings have changed in its file."""

from __future__ import annotations

from typing import cast

import pytest

from tributary.config.models import TableSettings
from tributary.errors import TableRefused
from tributary.model.plan import Column, Mode
from tributary.model.source_catalog import SourceTable, TableName
from tributary.model.types import Kind
from tributary.planning.load_method import REFRESH, RENAME, CommittedLoad, LoadMethod, choose_load_method
from tributary.planning.table_spec import TableSpec

RUN = "20261122_233901"


def choice(style: str, cursor: str | None = "at", key: tuple[str, ...] = ("id",)) -> TableSpec:
    """Return the choice of a table in a mode, or `snapshots`."""
    mode = cast(Mode, "append" if style == "snapshots" else style)
    at = Column(name=str(cursor), type="?", kind=Kind("timestamp"), nullable=False, target=str(cursor))
    table = SourceTable(TableName("public", "orders"), ())
    counted = None if style in ("replace", "snapshots") or cursor is None else at
    return TableSpec(table, TableSettings(mode=mode), mode, (), key, True, counted, ())


def loaded(style: str, cursor: str | None = "at", value: str | None = "41", key: str = "id") -> CommittedLoad:
    """Return the newest control row of a table that was loaded in a mode, or in `snapshots`."""
    if style in ("replace", "snapshots"):
        cursor = value = None
    return CommittedLoad(
        RUN, "append" if style == "snapshots" else style, "shop.orders", cursor, value, (key,)
    )


@pytest.mark.parametrize(
    ("style", "way", "refreshed"),
    [
        ("merge", LoadMethod("41"), LoadMethod("41", full_refresh=True)),
        ("append", LoadMethod("41"), LoadMethod("41", full_refresh=True)),
        ("snapshots", LoadMethod(), LoadMethod()),
        ("replace", LoadMethod(full_refresh=True), LoadMethod(full_refresh=True)),
        ("history", LoadMethod("41"), LoadMethod("41", full_refresh=True)),
    ],
)
def test_the_same_settings_go_on_from_the_watermark(
    style: str, way: LoadMethod, refreshed: LoadMethod
) -> None:
    assert choose_load_method(loaded(style), choice(style), refresh_requested=False) == way
    assert choose_load_method(loaded(style), choice(style), refresh_requested=True) == refreshed


def test_a_table_without_a_control_row_is_read_from_the_start_and_an_append_begins_empty() -> None:
    ways = {
        style: choose_load_method(None, choice(style), refresh_requested=False)
        for style in ("merge", "append", "replace")
    }
    assert ways == {
        "merge": LoadMethod(),
        "append": LoadMethod(full_refresh=True),
        "replace": LoadMethod(full_refresh=True),
    }
    assert choose_load_method(None, choice("snapshots"), refresh_requested=False) == LoadMethod()


def test_another_cursor_is_merged_from_the_start_and_cannot_be_appended() -> None:
    assert (
        choose_load_method(loaded("merge"), choice("merge", "changed"), refresh_requested=False)
        == LoadMethod()
    )
    refused(loaded("append"), choice("append", "changed"), REFRESH)
    assert choose_load_method(
        loaded("append"), choice("append", "changed"), refresh_requested=True
    ) == LoadMethod(full_refresh=True)


@pytest.mark.parametrize(
    ("before", "now"),
    [("replace", "merge"), ("merge", "append"), ("replace", "append"), ("merge", "replace")],
)
def test_a_mode_that_holds_an_image_gives_way_to_a_new_image(before: str, now: str) -> None:
    way = choose_load_method(loaded(before), choice(now), refresh_requested=False)

    assert (way.whole_read, way.full_refresh, way.repeated_keys) == (True, True, False)
    expected = f"mode of public.orders was {before} and is now {now}: the whole table is read and replaced"
    assert way.note == (None if now == "replace" else expected)


def test_another_key_gives_way_to_a_new_image_and_ends_a_history() -> None:
    way = choose_load_method(loaded("merge", key="number"), choice("merge"), refresh_requested=False)
    assert (way.watermark, way.whole_read, way.full_refresh) == ("41", True, True)
    assert way.note == "key of public.orders was number and is now id: the whole table is read and replaced"
    refused(loaded("history", key="number"), choice("history"), RENAME)
    for style in ("append", "replace", "snapshots"):
        assert choose_load_method(
            loaded(style, key="number"), choice(style), refresh_requested=False
        ) == choose_load_method(loaded(style), choice(style), refresh_requested=False)


@pytest.mark.parametrize("before", ["merge", "replace"])
def test_an_image_gives_way_to_a_history(before: str) -> None:
    way = choose_load_method(loaded(before), choice("history"), refresh_requested=False)
    assert (way.whole_read, way.full_refresh, way.convert_to_history) == (True, True, True)


def test_a_history_without_a_cursor_reads_a_whole_image_each_time() -> None:
    assert choose_load_method(
        loaded("history", None, None), choice("history", None), refresh_requested=False
    ) == LoadMethod(full_refresh=True)
    assert (
        choose_load_method(loaded("history"), choice("history", "changed"), refresh_requested=False)
        == LoadMethod()
    )


def test_rows_that_were_appended_are_merged_without_taking_any_away() -> None:
    way = choose_load_method(loaded("append"), choice("merge"), refresh_requested=False)
    assert (way.watermark, way.whole_read, way.full_refresh, way.repeated_keys) == ("41", True, False, True)


def test_rows_that_were_appended_are_replaced_only_by_a_full_refresh() -> None:
    refused(loaded("append"), choice("replace"), REFRESH)
    assert choose_load_method(loaded("append"), choice("replace"), refresh_requested=True).full_refresh


def test_the_last_image_is_the_first_of_the_snapshots() -> None:
    assert choose_load_method(loaded("replace"), choice("snapshots"), refresh_requested=False) == LoadMethod()


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ("snapshots", "append"),
        ("snapshots", "replace"),
        ("append", "snapshots"),
        ("merge", "snapshots"),
        ("history", "merge"),
        ("history", "replace"),
        ("history", "append"),
    ],
)
def test_what_only_the_warehouse_has_never_shares_a_table_with_other_rows(before: str, now: str) -> None:
    refused(loaded(before), choice(now), RENAME)
    with pytest.raises(TableRefused):
        choose_load_method(loaded(before), choice(now), refresh_requested=True)


def refused(before: CommittedLoad, now: TableSpec, advice: str) -> None:
    """Check that the change is refused without a full refresh, with the advice."""
    with pytest.raises(TableRefused) as error:
        choose_load_method(before, now, refresh_requested=False)
    assert str(error.value).endswith(advice)
    assert "public.orders" in str(error.value)
