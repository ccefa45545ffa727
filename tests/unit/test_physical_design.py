"""How tables are made and kept: where rows lie, what the planner and people know, what is analysed."""

import pytest

from tests.builders import changed, control_row, orders
from tests.unit.statements import DEEP_COPY, NAME, REPLAYED, STAGING
from tributary.config.models import TableSettings
from tributary.engines.registry import get
from tributary.errors import TableRefused
from tributary.model.plan import ReplayPlan
from tributary.model.source_catalog import SourceColumn, SourceTable, TableName
from tributary.model.warehouse_names import Target
from tributary.planning.table_spec import specify
from tributary.redshift import comments, key_constraint, maintenance, replay_image
from tributary.redshift.publish import publish
from tributary.redshift.stage import stage

NUMBERED = orders(key=("Id",), exists=False)
CONSTRAINT = "tributary_key_" + "9d5ddeb338e7ca6f"
ADDED = f'ALTER TABLE "shop"."orders" ADD CONSTRAINT "{CONSTRAINT}" UNIQUE ("id")'
DROPPED = f'ALTER TABLE "shop"."orders" DROP CONSTRAINT "{CONSTRAINT}"'


def test_a_table_lies_as_the_file_says_and_its_staged_rows_beside_its_own() -> None:
    table = orders(distkey="Id", sortkey=("size", "Id"), encode={"code": "zstd", "size": "az64"})

    first, _, third, *_ = stage(table, NAME, None, "role")

    assert first == (
        'CREATE TABLE IF NOT EXISTS "shop"."orders" ("id" BIGINT, "code" VARCHAR(40) ENCODE ZSTD, '
        '"doc" SUPER, "size" SMALLINT ENCODE AZ64, "source_system" VARCHAR(50), "load_timestamp" TIMESTAMP, '
        '"run_id" VARCHAR(15)) DISTSTYLE KEY DISTKEY ("id") COMPOUND SORTKEY ("size", "id")'
    )
    assert third == (
        f'CREATE TABLE {STAGING} ("id" BIGINT, "code" VARCHAR(40), "doc" VARCHAR(65535), "size" INTEGER, '
        '"_tributary_seq" BIGINT) DISTSTYLE KEY DISTKEY ("id")'
    )


def test_a_table_of_another_form_lies_as_the_file_says_in_types_that_can() -> None:
    table = changed(DEEP_COPY, distkey="Id", sortkey=("size", "Id"), encode={"size": "az64"})
    wide = tuple(
        one.model_copy(update={"type": "DOUBLE PRECISION"}) for one in table.schema_changes.deep_copy[2:3]
    )

    made, other = (
        next(sql for sql in publish(each, NAME, control_row()) if sql.startswith("CREATE TABLE"))
        for each in (table, changed(table, deep_copy=(*table.schema_changes.deep_copy[:2], *wide)))
    )

    keys = ' DISTSTYLE KEY DISTKEY ("id") COMPOUND SORTKEY ("size", "id")'
    assert made.endswith(f'"size" INTEGER ENCODE AZ64, "source_system" VARCHAR(50), "doc" SUPER){keys}')
    assert other.endswith(f'"size" DOUBLE PRECISION){keys}')


def test_bytes_whose_size_the_catalog_lacks_are_as_wide_as_can_be_in_a_deep_copy() -> None:
    code = DEEP_COPY.schema_changes.deep_copy[1].model_copy(update={"type": "binary varying"})
    table = changed(DEEP_COPY, deep_copy=(DEEP_COPY.schema_changes.deep_copy[0], code))
    [made] = [sql for sql in publish(table, NAME, control_row()) if sql.startswith("CREATE TABLE")]
    assert '"code" VARBYTE(16777216)' in made


def test_a_table_that_a_replay_makes_lies_as_its_last_run_said_and_its_image_beside_it() -> None:
    table = changed(REPLAYED, distkey="Id", encode={"code": "zstd"}, exists=False)

    made, _, image, *_ = replay_image.begin(table, NAME)

    assert '"code" VARCHAR(40) ENCODE ZSTD' in made
    assert made.endswith(' DISTSTYLE KEY DISTKEY ("id")')
    assert image.endswith('(LIKE "shop"."orders")')


@pytest.mark.parametrize("change", [{"distkey": "size"}, {"distkey": "size", "key": ("Id", "size")}])
def test_staged_rows_are_not_distributed_by_what_does_not_join_them(change: dict[str, object]) -> None:
    assert "DISTKEY" not in stage(orders(**change), NAME, None, "role")[2]


def test_what_redshift_cannot_do_with_a_column_is_refused_by_its_name() -> None:
    table = SourceTable(
        TableName("public", "orders"),
        (SourceColumn("id", "bigint", False), SourceColumn("doc", "jsonb", True)),
        ("id",),
    )
    refused_settings = {
        "distkey": (
            TableSettings(distkey="doc"),
            'column "doc" of public.orders is jsonb, which Redshift can',
        ),
        "sortkey": (TableSettings(sortkey=("id", "gone")), 'public.orders has no column "gone"'),
        "encode": (TableSettings(encode={"doc": "az64"}), "cannot be az64; use raw, lzo, zstd"),
    }
    for field, (settings, message) in refused_settings.items():
        with pytest.raises(TableRefused, match=rf"^{field}: ") as refused:
            specify(get("postgresql"), table, settings)
        assert message in str(refused.value)


def test_the_planner_learns_the_key_in_the_publish_that_makes_or_replaces_the_table() -> None:
    for table in (
        NUMBERED,
        orders(key=("Id",), full_refresh=True),
        orders(key=("Id",), mode="replace", full_refresh=True),
    ):
        assert publish(table, NAME, control_row())[-3] == ADDED
    assert key_constraint.name(NUMBERED) == CONSTRAINT


@pytest.mark.parametrize(
    "change",
    [
        {"exists": True},  # the existing rows may be older than the mode
        {"key_constraint": CONSTRAINT},  # it knows
        {"mode": "append", "cursor": None},
        {"mode": "history", "opens_at": "2026-11-23 23:39:01"},
        {"owner": "shop"},
        {"repeated_keys": True},
        {"replay": ReplayPlan(runs=2), "full_refresh": True},  # of runs that may be older than the mode
        {"exists": True, "deep_copy": DEEP_COPY.schema_changes.deep_copy},
        {"key": ("Id", "code")},  # a text is equal to itself with blanks behind it
        {"key": ()},
    ],
)
def test_the_planner_is_told_no_key_that_may_repeat(change: dict[str, object]) -> None:
    statements = publish(changed(NUMBERED, **change), NAME, control_row())
    assert not any("CONSTRAINT" in sql and "ADD" in sql for sql in statements)


@pytest.mark.parametrize("change", [{"mode": "append"}, {"key": ("size",)}, {"repeated_keys": True}])
def test_a_key_that_a_publish_makes_untrue_is_taken_back_before_its_rows(change: dict[str, object]) -> None:
    table = changed(orders(key=("Id",), full_refresh=True, key_constraint=CONSTRAINT), **change)
    assert publish(table, NAME, control_row())[1] == DROPPED


def test_a_table_that_takes_anothers_place_is_told_the_key_that_was_told_of_that() -> None:
    table_report = changed(DEEP_COPY, key_constraint=CONSTRAINT)
    assert publish(table_report, NAME, control_row())[-4:-3] == [ADDED]
    other = changed(table_report, mode="append")  # the constraint went with the old table
    assert not any("CONSTRAINT" in sql for sql in publish(other, NAME, control_row()))


def test_a_table_that_takes_anothers_place_gets_every_comment_those_of_the_warehouse_too() -> None:
    stand = comments.Comments.of([("shop", "orders", None, "by hand"), ("shop", "orders", "id", "number")])
    wanted: dict[str | None, str] = {"id": "number", "code": "a code"}
    anew = stand.missing(Target("shop", "orders"), wanted, new_table=True)
    assert anew == ((None, "by hand"), ("id", "number"), ("code", "a code"))


def test_comments_are_said_where_they_changed_and_never_taken_away() -> None:
    stand = comments.Comments.of([("shop", "orders", None, "by hand"), ("shop", "orders", "id", "number")])
    wanted: dict[str | None, str] = {"id": "number", "code": "it's a \\ \0code", "size": "x" * 9000}

    changed = stand.missing(Target("shop", "orders"), wanted)

    assert changed == (("code", "it's a \\ code"), ("size", "x" * 8000))
    table = orders(comments=(*changed[:1], (None, "all orders")))
    assert maintenance.batches(table, 7) == [
        [
            'COMMENT ON COLUMN "shop"."orders"."code" IS \'it\'\'s a \\\\ code\'',
            'COMMENT ON TABLE "shop"."orders" IS \'all orders\'',
        ]
    ]
    assert comments.existing(["shop"]) == (
        "SELECT n.nspname, c.relname, a.attname, d.description FROM pg_description AS d "
        "JOIN pg_class AS c ON c.oid = d.objoid JOIN pg_namespace AS n ON n.oid = c.relnamespace "
        "LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = d.objsubid AND a.attnum > 0 "
        "WHERE c.relkind IN ('r', 'v') AND n.nspname IN ('shop')"
    )
    assert key_constraint.existing(["shop"]) == (
        "SELECT n.nspname, c.relname, k.conname FROM pg_constraint AS k "
        "JOIN pg_class AS c ON c.oid = k.conrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace "
        "WHERE n.nspname IN ('shop') AND k.conname LIKE 'tributary_key_%'"
    )


def test_many_and_long_comments_keep_within_the_data_apis_batches() -> None:
    table = orders(comments=tuple(("id", "x" * size) for size in [10] * 90 + [8000] * 20))

    batches = maintenance.batches(table, 0)

    assert [len(batch) for batch in batches] == [40, 40, 21, 9]
    assert max(sum(len(sql) for sql in batch) for batch in batches) < 100_000


def test_only_large_loads_are_analysed_at_once() -> None:
    assert maintenance.batches(orders(), 99_999) == []
    assert maintenance.batches(orders(), 100_000) == [['ANALYZE "shop"."orders" PREDICATE COLUMNS']]
