"""Which tables fail because they are gone, and which are only noted."""

from __future__ import annotations

from typing import Any

import pytest

from tributary.config.models import Source, TableSettings
from tributary.model.plan import Failure
from tributary.model.source_catalog import SourceColumn, SourceTable, TableName
from tributary.planning.gone_tables import gone_failure, gone_tables, hidden_note, without_entries_of
from tributary.planning.pause_basis import basis

PRESENT = [TableName("public", "orders"), TableName("", "totals")]


def source(*entries: dict[str, Any]) -> Source:
    return Source.model_validate({"name": "shop", "engine": "postgresql", "secret": "s", "tables": entries})


EVERY = source(
    {"include": "public.*", "exclude": ["public.audit_*"]}, {"name": "totals", "query": "SELECT 1"}
)


def test_a_table_is_gone_if_it_was_loaded_and_is_still_selected_and_not_shown() -> None:
    loaded = ["public.orders", "public.lines", "public.audit_log", "sales.lines", "totals", "old_query"]
    assert gone_tables(EVERY, loaded, PRESENT) == ["public.lines"]


def test_the_message_says_whether_a_right_is_missing_or_the_table() -> None:
    hidden = [TableName("public", "lines")]
    refused = gone_failure(EVERY, "public.lines", hidden)
    missing = gone_failure(EVERY, "public.lines", [])
    assert (refused.error, missing.error) == ("TableGone", "TableGone")
    assert "the user may not read it any more; grant SELECT on it" in refused.message
    assert "it was dropped, renamed or moved, or a right was revoked" in missing.message
    assert all("exclude it in shop.yaml" in failure.message for failure in (refused, missing))


def test_an_entry_that_finds_nothing_because_its_table_is_gone_fails_once() -> None:
    failures = [Failure(table=name, error="TableRefused", message="") for name in ("lines", "typo")]
    assert [failure.table for failure in without_entries_of(failures, ["public.lines"])] == ["typo"]


def test_hidden_tables_are_one_note_with_their_number() -> None:
    names = [TableName("public", f"t{number:02}") for number in range(12)]
    [note] = hidden_note(
        EVERY, [*names, TableName("sales", "x"), TableName("public", "audit_x")], {"public.t00"}
    )
    assert note.startswith("11 tables match the file's patterns")
    assert "public.t01, " in note
    assert "public.t10 and 1 more; grant SELECT" in note
    assert hidden_note(source({"name": "public.t01"}), names, set()) == ()


@pytest.mark.parametrize(
    ("settings", "table"),
    [
        ({"key": ("other",)}, {}),
        ({}, {"columns": (SourceColumn("id", "bigint", nullable=False),)}),
        ({}, {"columns": (SourceColumn("id", "int", nullable=False, readable=False),)}),
        ({}, {"primary_key": ("id",)}),
    ],
)
def test_a_tables_basis_changes_with_its_settings_columns_and_rights(
    settings: dict[str, Any], table: dict[str, Any]
) -> None:
    fields: dict[str, Any] = {"columns": (SourceColumn("id", "int", nullable=False),)}
    before = basis(TableSettings(), None, SourceTable(PRESENT[0], **fields))
    assert basis(TableSettings(), None, SourceTable(PRESENT[0], **fields)) == before
    assert basis(TableSettings(**settings), None, SourceTable(PRESENT[0], **{**fields, **table})) != before
    assert basis(TableSettings(), None, None) != before
