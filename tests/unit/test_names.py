from __future__ import annotations

import pytest

from tributary.errors import ConfigError, TableRefused
from tributary.model import warehouse_names
from tributary.model.plan import Failure
from tributary.model.source_catalog import TableName
from tributary.model.warehouse_names import Target


def test_ascii_letters_are_folded_and_no_others() -> None:
    assert warehouse_names.fold("UpdatedAt_ÄÉİ_ñ") == "updatedat_ÄÉİ_ñ"


class TestColumns:
    def test_keep_their_order_under_their_folded_names(self) -> None:
        names = warehouse_names.column_names(["Id", "order", "Übung", 'a "b"', " c"])
        assert names == {"Id": "id", "order": "order", "Übung": "Übung", 'a "b"': 'a "b"', " c": " c"}
        assert list(names) == ["Id", "order", "Übung", 'a "b"', " c"]

    def test_that_meet_after_folding_are_refused_by_name(self) -> None:
        with pytest.raises(TableRefused) as refused:
            warehouse_names.column_names(["Id", "x", "ID"])
        assert str(refused.value) == (
            'columns "Id" and "ID" are both "id" in the warehouse, which knows no upper case; '
            "leave one out (columns: exclude) or give it another name (rename)"
        )

    def test_that_differ_beyond_ascii_do_not_meet(self) -> None:
        assert warehouse_names.column_names(["Ä", "ä"]) == {"Ä": "Ä", "ä": "ä"}

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("Run_ID", 'column "Run_ID" has the name of a column that Tributary adds'),
            ("source_system", 'column "source_system" has the name of a column that Tributary adds'),
            ("load_timestamp", 'column "load_timestamp" has the name of a column that Tributary adds'),
            ("_Tributary_row", 'column "_Tributary_row" has the name of a column that Tributary adds'),
            ("ctid", 'column "ctid" has the name of a system column'),
            ("", 'column "" has no name'),
            ("a\0b", "cannot be printed"),
            ("a\nb", "cannot be printed"),
            ("é" * 64, "has a name of 128 bytes, and the warehouse takes 127"),
        ],
    )
    def test_that_the_warehouse_cannot_have_are_refused(self, name: str, message: str) -> None:
        with pytest.raises(TableRefused) as refused:
            warehouse_names.column_names(["id", name])
        assert message in str(refused.value)
        assert str(refused.value).endswith(
            "; leave it out (columns: exclude) or give it another name (rename)"
        )

    def test_may_be_given_other_names(self) -> None:
        names = warehouse_names.column_names(["a", "A", "run_id"], renamed={"A": "Other", "run_id": "run"})
        assert names == {"a": "a", "A": "other", "run_id": "run"}
        with pytest.raises(TableRefused, match='columns "a" and "b" are both "a"'):
            warehouse_names.column_names(["a", "b"], renamed={"b": "A"})

    def test_may_be_127_bytes_long(self) -> None:
        assert warehouse_names.column_names(["é" * 63 + "A"]) == {"é" * 63 + "A": "é" * 63 + "a"}


def table(name: str) -> TableName:
    return TableName(*name.split("."))


class TestTables:
    def test_stand_in_the_target_schema_under_their_folded_names(self) -> None:
        names = warehouse_names.table_names("shop", [table("public.Orders"), table("sales.items")])
        assert names == warehouse_names.Targets(
            {table("public.Orders"): Target("shop", "orders"), table("sales.items"): Target("shop", "items")}
        )

    def test_of_two_schemas_that_meet_all_fail_and_no_other(self) -> None:
        names = warehouse_names.table_names("shop", [table("public.a"), table("public.b"), table("sales.A")])
        message = (
            'tables "public.a" and "sales.A" are all "shop"."a" in the warehouse; read each schema as a '
            "source of its own, with its own target_schema, or exclude all but one"
        )
        assert names.names == {table("public.b"): Target("shop", "b")}
        assert names.failures == (
            Failure(table="public.a", error="TableRefused", message=message),
            Failure(table="sales.A", error="TableRefused", message=message),
        )

    def test_of_one_schema_that_meet_after_folding_all_fail(self) -> None:
        names = warehouse_names.table_names("shop", [table("public.Aa"), table("public.aA")])
        assert names.names == {}
        assert [failure.table for failure in names.failures] == ["public.Aa", "public.aA"]
        assert "knows no upper case" in names.failures[0].message

    def test_with_a_name_that_is_too_long_fail_with_its_length(self) -> None:
        names = warehouse_names.table_names("shop", [TableName("public", "x" * 128), table("public.b")])
        assert names.names == {table("public.b"): Target("shop", "b")}
        assert "has a name of 128 bytes, and the warehouse takes 127" in names.failures[0].message

    def test_never_stand_among_our_own(self) -> None:
        tables = [table("public.ETL_control"), table("public.etl"), table("public.orders")]
        names = warehouse_names.table_names("public", tables)
        assert list(names.names) == tables[1:]
        assert "Tributary's own tables" in names.failures[0].message
        assert warehouse_names.table_names("shop", tables).failures == ()
        (failed,) = warehouse_names.table_names("shop", [table("public._Tributary_stage")]).failures
        assert "as only Tributary's own may" in failed.message

    def test_may_share_a_place_with_those_of_other_sources_but_not_of_their_own(self) -> None:
        company = warehouse_names.shared_target("Company.Orders")
        places = {table("public.a"): company, table("sales.a"): company, table("public.c"): company}
        names = warehouse_names.table_names("shop", [table("public.a"), table("sales.b")], places)
        assert names.names == {
            table("public.a"): Target("company", "orders", shared=True),
            table("sales.b"): Target("shop", "b"),
        }
        (one, other) = warehouse_names.table_names(
            "shop", [table("public.a"), table("public.c")], places
        ).failures
        assert one.message == other.message
        assert one.message.endswith("so only one table of a source may have this target")

    @pytest.mark.parametrize("text", ["orders", "company.", ".orders", "pg_x.orders", "public.etl_control"])
    def test_cannot_be_written_to_any_place(self, text: str) -> None:
        with pytest.raises(ConfigError):
            warehouse_names.shared_target(text)


class TestSchemas:
    def test_are_folded(self) -> None:
        assert warehouse_names.schema_name("Shop") == "shop"

    @pytest.mark.parametrize(
        "name", ["PG_catalog", "pg_x", "information_schema", "etl_staging", "", "x" * 128]
    )
    def test_that_belong_to_others_are_refused(self, name: str) -> None:
        with pytest.raises(ConfigError, match="write another target_schema"):
            warehouse_names.schema_name(name)


def test_names_that_meet_fail_also_where_only_one_of_the_tables_is_asked_for() -> None:
    one, other = TableName("public", "a"), TableName("sales", "A")

    targets = warehouse_names.table_names("shop", [one, other]).of([one])

    assert targets.names == {}
    assert [failure.table for failure in targets.failures] == ["public.a"]
