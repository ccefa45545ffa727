from __future__ import annotations

from typing import Any

import pytest

from tributary.config.models import Columns, Source, TableSettings
from tributary.config.selection import only, resolve
from tributary.errors import ConfigError
from tributary.model.plan import Failure
from tributary.model.source_catalog import TableName

TABLES = [
    TableName(*name.split("."))
    for name in ("public.Orders", "public.audit_log", "public.countries", "public.items", "sales.items")
]


def source(*entries: dict[str, Any], **fields: Any) -> Source:
    return Source.model_validate(
        {"name": "shop", "engine": "postgresql", "secret": "s", "tables": entries, **fields}
    )


def selected(*entries: dict[str, Any]) -> list[str]:
    return [str(table) for table in resolve(source(*entries), TABLES).selected]


def failure(*entries: dict[str, Any]) -> Failure:
    (selection_failure,) = resolve(source(*entries), TABLES).failures
    return selection_failure


class TestResolve:
    def test_the_first_entry_that_matches_a_table_holds(self) -> None:
        entries: list[dict[str, Any]] = [
            {"name": "public.countries", "mode": "replace"},
            {"include": "public.*", "page_rows": 5},
        ]
        selection = resolve(source(*entries, defaults={"mode": "merge", "cursor": "updated_at"}), TABLES)
        rest = TableSettings(mode="merge", cursor="updated_at", page_rows=5)
        assert selection.selected == {
            TABLES[2]: TableSettings(mode="replace", cursor="updated_at"),
            TABLES[0]: rest,
            TABLES[1]: rest,
            TABLES[3]: rest,
        }
        assert (selection.failures, selection.notes) == ((), ())

    def test_a_pattern_without_a_schema_is_about_the_database_that_the_secret_names(self) -> None:
        entries: list[dict[str, Any]] = [{"include": "*", "exclude": ["Orders"]}, {"include": "sales.*"}]
        resolution = resolve(source(*entries), TABLES, home="public")
        assert [str(table) for table in resolution.selected] == [
            "public.audit_log",
            "public.countries",
            "public.items",
            "sales.items",
        ]
        (named,) = resolve(source({"name": "items"}), TABLES, home="public").selected
        assert str(named) == "public.items"

    def test_an_entry_wins_over_the_defaults_field_by_field(self) -> None:
        entry = {"name": "public.items", "key": "id", "columns": ["id", "at"], "nulls": "refuse"}
        defaults = {"cursor": "at", "nulls": "include", "columns": {"exclude": ["x"]}}
        (settings,) = resolve(source(entry, defaults=defaults), TABLES).selected.values()
        assert settings == TableSettings(
            cursor="at", key=("id",), columns=Columns(take=("id", "at")), nulls="refuse"
        )

    def test_a_query_is_a_table_that_the_source_does_not_have(self) -> None:
        totals = TableName("", "totals")
        entries = [
            {"name": "totals", "query": "SELECT 1"},
            {"name": "public.items", "target": "company.items"},
        ]
        selection = resolve(source(*entries, {"include": "sales.*"}), TABLES)
        assert list(map(str, selection.selected)) == ["totals", "public.items", "sales.items"]
        assert selection.queries == {totals: "SELECT 1"}
        assert {str(table): str(target) for table, target in selection.targets.items()} == {
            "public.items": "company.items"
        }
        some = only(selection, ["totals"])
        assert (list(some.selected), some.queries) == ([totals], selection.queries)

    @pytest.mark.parametrize(
        ("pattern", "names"),
        [
            ("*", ["public.Orders", "public.audit_log", "public.countries", "public.items", "sales.items"]),
            ("public.*", ["public.Orders", "public.audit_log", "public.countries", "public.items"]),
            ("*.items", ["public.items", "sales.items"]),
            ("item?", ["public.items", "sales.items"]),
            ("public.????s", ["public.items"]),
            ("PUBLIC.orders", ["public.Orders"]),
        ],
    )
    def test_a_pattern_is_about_schema_and_table(self, pattern: str, names: list[str]) -> None:
        assert selected({"include": pattern}) == names

    def test_only_star_and_question_mark_are_wild(self) -> None:
        tables = [TableName("main", "a[b]"), TableName("main", "ab"), TableName("main", "a.b")]
        assert list(resolve(source({"include": "main.a[b]"}), tables).selected) == tables[:1]
        assert list(resolve(source({"include": "main.a.b"}), tables).selected) == tables[2:]

    def test_what_is_excluded_is_left_for_later_entries(self) -> None:
        first = {"include": "public.*", "exclude": ["*.audit_*", "orders"]}
        assert selected(first) == ["public.countries", "public.items"]
        assert selected(first, {"name": "public.Orders"})[-1] == "public.Orders"

    def test_exact_case_goes_before_any_case(self) -> None:
        tables = [TableName("public", "orders"), TableName("public", "Orders")]
        assert list(resolve(source({"name": "public.Orders"}), tables).selected) == tables[1:]
        (failed,) = resolve(source({"name": "public.ORDERS"}), tables).failures
        assert failed.message.endswith('"public.ORDERS" is one of public.orders, public.Orders; write which')

    def test_a_bare_name_is_enough_where_one_schema_has_it(self) -> None:
        assert selected({"name": "countries"}) == ["public.countries"]
        assert failure({"name": "items"}) == Failure(
            table="items",
            error="TableRefused",
            message='shop.yaml, tables[0].name: "items" is one of public.items, sales.items; write which',
        )

    def test_a_name_that_is_not_there_fails_alone(self) -> None:
        selection = resolve(source({"name": "public.ordres"}, {"name": "sales.items"}), TABLES)
        assert list(selection.selected) == [TABLES[4]]
        message = (
            'shop.yaml, tables[0].name: table "public.ordres" is not in the source, or its user may not '
            "read it; did you mean public.Orders?"
        )
        assert selection.failures == (Failure(table="public.ordres", error="TableRefused", message=message),)

    def test_a_pattern_that_matches_nothing_fails(self) -> None:
        message = (
            'shop.yaml, tables[0].include: the pattern "crm.*" matches no table; '
            "the user sees the schemas public, sales"
        )
        assert failure({"include": "crm.*"}) == Failure(table="crm.*", error="ConfigError", message=message)

    def test_a_pattern_of_which_everything_is_excluded_fails(self) -> None:
        message = failure({"include": "sales.*", "exclude": ["items"]})
        assert "every table of the pattern" in message.message

    def test_a_source_without_tables_fails_every_entry(self) -> None:
        selection = resolve(source({"include": "*"}, {"name": "a"}), [])
        assert [failed.table for failed in selection.failures] == ["*", "a"]
        assert selection.failures[0].message.endswith("the user sees no table at all")

    def test_the_rest_may_be_empty_where_earlier_entries_took_everything(self) -> None:
        selection = resolve(source({"name": "sales.items"}, {"include": "sales.*"}), TABLES)
        assert (list(selection.selected), selection.failures) == ([TABLES[4]], ())

    def test_a_name_that_comes_too_late_is_noted(self) -> None:
        selection = resolve(
            source({"include": "sales.*"}, {"name": "sales.items", "mode": "replace"}), TABLES
        )
        assert selection.selected == {TABLES[4]: TableSettings()}
        message = "shop.yaml, tables[1]: an earlier entry selects sales.items; move this one above it"
        assert selection.notes == (message,)

    def test_an_exclude_that_excludes_nothing_is_noted(self) -> None:
        selection = resolve(source({"include": "sales.*", "exclude": "sales.audit_*"}), TABLES)
        assert selection.notes == ('shop.yaml, tables[0].exclude: "sales.audit_*" excludes no table',)


class TestOnly:
    selection = resolve(source({"include": "public.*"}, {"name": "sales.item"}, {"name": "crm.x"}), TABLES)

    def test_keeps_the_tables_named(self) -> None:
        kept = only(self.selection, ["countries", "public.orders"])
        assert [str(table) for table in kept.selected] == ["public.Orders", "public.countries"]
        assert kept.failures == ()

    def test_keeps_the_failure_of_a_table_named(self) -> None:
        kept = only(self.selection, ["crm.x"])
        assert (kept.selected, [failed.table for failed in kept.failures]) == ({}, ["crm.x"])

    @pytest.mark.parametrize(
        ("names", "message"),
        [
            (
                ["public.contries"],
                '"public.contries" is not selected by the source; did you mean public.countries?',
            ),
            (["item"], '"item" is not selected by the source; did you mean public.items?'),
            (["public.*"], '"public.*" is not selected by the source; there are 4 tables, such as'),
            ([], "the input's tables is an empty list; name tables, or leave it out to run all"),
        ],
    )
    def test_refuses_what_is_not_selected(self, names: list[str], message: str) -> None:
        with pytest.raises(ConfigError) as refused:
            only(self.selection, names)
        assert message in str(refused.value)

    def test_refuses_a_bare_name_of_two_schemas(self) -> None:
        with pytest.raises(ConfigError, match=r"is one of public.items, sales.items; write which"):
            only(resolve(source({"include": "*"}), TABLES), ["items"])
