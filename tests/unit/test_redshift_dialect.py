"""Every kind of statement that goes to Redshift, held against a grammar of Redshift that is not ours."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest
from sqlfluff.core import Linter

from tests.builders import changed, column, control_row, orders
from tests.unit.granted_people import KNOWN, WANTED
from tests.unit.sized_texts import new_table, sized_plan
from tests.unit.statements import DEEP_COPY, HISTORY, NAME, REPLAYED
from tributary.model.plan import ReadRequest, TablePlan
from tributary.model.types import Kind
from tributary.redshift import (
    access,
    comments,
    control,
    external_tables,
    key_constraint,
    maintenance,
    publish,
    replay_image,
    roles,
    takeover,
)
from tributary.redshift.bootstrap import REVOKE_PUBLIC
from tributary.redshift.sql import ACCESS
from tributary.redshift.stage import drop, stage
from tributary.redshift.text_sizes import with_sizes
from tributary.redshift.views import VIEWS
from tributary.redshift.widen import widen

URL = "s3://raw/_runs/shop/20261123_233901/manifests/3.json"
WINDOW = ReadRequest(what="window", since="2026-01-01", before="2026-02-01")
PLANS = {
    "merge": orders(new_columns=("doc", "size")),
    "made as the file says": orders(
        distkey="Id",
        sortkey=("size", "Id"),
        encode={"code": "zstd", "size": "az64"},
        key=("Id",),
        exists=False,
    ),
    "explained": orders(comments=((None, "all orders"), ("code", "it's a \\ code"))),
    "of a key that holds no more": orders(
        mode="append", full_refresh=True, key_constraint="tributary_key_9d5ddeb338e7ca6f"
    ),
    "merge into a table of another form": changed(DEEP_COPY, owner="shop", copied_form=(7, 90, 123)),
    "made with the sizes of its texts": with_sizes(new_table(), (300, 0)),
    "merge of texts that are widened": with_sizes(sized_plan(), (300, 9_000)),
    "merge of a text that only another table holds": with_sizes(sized_plan(), (300, 0), copy=True),
    "merge by delete and insert": orders(repeated_keys=True),
    "merge in a shared target": orders(owner="shop"),
    "replace": orders(full_refresh=True),
    "append": orders(mode="append", last_run="20261122_233901", owner="shop"),
    "append of what is read again": orders(mode="append", last_run="20261122_233901", request=WINDOW),
    "snapshots": orders(mode="append", cursor=None, key=()),
    "history": HISTORY,
    "history of every kind": changed(
        HISTORY,
        columns=(
            *HISTORY.columns,
            column("a", Kind("float32")),
            column("b", Kind("boolean")),
            column("c", Kind("date")),
            column("d", Kind("timestamp")),
            column("e", Kind("binary", size_bytes=255)),
            column("f", Kind("json")),
            column("g", Kind("decimal", precision=38, scale=4)),
            column("h", Kind("uuid")),
        ),
    ),
    "history by a full refresh": changed(HISTORY, full_refresh=True, owner="shop"),
    "history that a table is converted to": changed(
        HISTORY, convert_to_history=True, full_refresh=True, new_columns=("valid_from", "is_current")
    ),
}


LACKING = [  # what Redshift has (r_GRANT, r_ALTER_TABLE) and this grammar of it does not know
    'GRANT IGNORE RLS TO ROLE "tributary_loader_role"',
    'GRANT IGNORE RLS TO ROLE "tributary_admin_role"',
    "REVOKE ASSUMEROLE ON ALL FROM PUBLIC FOR ALL",
    "GRANT ASSUMEROLE ON 'arn:aws:iam::123456789012:role/copy' TO \"IAMR:loader\" FOR COPY",
    'ALTER TABLE "shop"."people" ROW LEVEL SECURITY ON',
]


def statements(table: TablePlan) -> Iterator[str]:
    yield from stage(table, NAME, URL, "arn:aws:iam::1:role/copy")
    yield from widen(table)
    yield from publish.publish(table, NAME, control_row(mode=table.mode))
    for batch in maintenance.batches(
        table, maintenance.LARGE_ROWS
    ):  # the grammar's ANALYZE lacks Redshift's own clause
        yield from (sql.removesuffix(" PREDICATE COLUMNS") for sql in batch)


def replayed() -> Iterator[str]:
    """Return the statements that rebuild a table from the raw layer."""
    table, run = REPLAYED, orders(full_refresh=True)
    yield from replay_image.begin(table, NAME)
    yield from replay_image.stage_run(run, NAME, 1, URL, "arn:aws:iam::1:role/copy")
    yield from publish.rows(replay_image.on_image(run, NAME, 0), NAME, control_row())
    yield from (*replay_image.end_run(table, NAME, 1), *publish.publish(table, f"{NAME}_1", control_row()))


def around() -> Iterator[str]:
    """Return the statements beside the tables' own batches."""
    yield from (control.find_users(["IAMR:loader", "dba"]), control.create_user("IAMR:loader"))
    yield from (*control.create(), *control.grant("IAMR:loader", "dev"))
    older = [*control.TABLES, *(view.name for view in VIEWS)]
    yield from control.upgrade({name: ["source_name"] for name in older})
    yield from (
        control.create_schema("shop"),
        control.watermarks("shop"),
        control.columns(["shop", "company"]),
    )
    yield control.changing_runs("shop", ["public.orders", "public.countries"])
    yield from (
        control.staging_tables(),
        *drop([NAME]),
        *publish.commit_only([control_row(), control_row(cursor=None)]),
    )
    yield from (control.raise_fence("shop", 3, "20261123_233901"), control.load_error(7))
    yield from (comments.existing(["shop", "company"]), key_constraint.existing(["shop"]))
    yield from (roles.existing(), *roles.create([]), *roles.grant("IAMR:loader"))
    yield from roles.rename(["tributary_loader", "tributary_admin"])
    yield from roles.reserve_copy_role("arn:aws:iam::123456789012:role/copy", "IAMR:loader")
    yield control.highest_generation("shop")
    yield from (control.tables_of_others(["shop", "company"]), control.tables_of_users())
    yield from (control.own_table("shop", "orders"), REVOKE_PUBLIC)
    yield from (takeover.loaders(), takeover.owned_tables(["IAMR:old"]), takeover.owned_schemas(["IAMR:old"]))
    yield takeover.loaded_tables(["shop", "crm"])
    tables = [("shop", "orders")]
    yield from takeover.change_owner(tables, [("shop",)], known={"shop.orders"}, sources=[], loader="IAMR:l")
    yield from (
        access.create(),
        *access.upgrade({ACCESS: ["schema_name"]}),
        access.columns([WANTED], "IAMR:loader"),
        access.loaded([WANTED]),
        access.applied(),
        *access.existing_policies(),
    )
    yield from access.statements(WANTED, KNOWN, None, ())
    yield control.count_committed("shop", "public.orders", "20261123_233901")


def shown() -> Iterator[str]:
    """Return what has to do with the raw layer's external tables, but for partitions."""
    schema, name = "etl_raw_dev", "shop__orders"
    yield external_tables.create_schema(schema, schema, "arn:aws:iam::123456789012:role/copy")
    yield external_tables.own_schema(schema, "IAMR:loader")
    yield external_tables.create_table(
        schema, name, external_tables.columns(PLANS["history of every kind"]), "s3://raw/shop/"
    )
    yield external_tables.add_column(schema, name, "size", "INTEGER")
    yield external_tables.drop_table(schema, name)
    yield from (external_tables.existing(schema, [name]), external_tables.partition_counts(schema, [name]))
    yield external_tables.partitions(schema, name)
    yield control.count_runs_with_chunks("shop", {"public.orders": "20261123_233901", "public.lines": "0"})
    yield control.runs_with_chunks("shop", "public.orders", "20261123_233901")


@functools.cache
def linter() -> Linter:
    return Linter(dialect="redshift")


@functools.cache
def fault(sql: str) -> str | None:
    """Return what the grammar cannot parse of the statement, None if it parses all of it."""
    parsed = linter().parse_string(sql)
    if parsed.tree is None:
        return sql
    unread = [segment.raw for segment in parsed.tree.recursive_crawl("unparsable")]
    return unread[0] if unread else next((str(error) for error in parsed.violations), None)


@pytest.mark.parametrize("plan", PLANS)
def test_every_statement_of_a_load_is_redshifts(plan: str) -> None:
    assert [refusal for sql in statements(PLANS[plan]) if (refusal := fault(sql))] == []


def test_every_statement_of_a_replay_is_redshifts() -> None:
    assert [refusal for sql in replayed() if (refusal := fault(sql))] == []


def test_every_other_statement_is_redshifts() -> None:
    assert [sql for sql in (*around(), *shown()) if fault(sql)] == LACKING


def test_no_statement_reads_a_view_that_a_dropped_table_or_a_broken_external_schema_makes_fail() -> None:
    """SVV_COLUMNS and SVV_TABLES are not transactional (metabase#65546) and join external schemas."""
    views = ("svv_columns", "svv_tables", "information_schema")
    loads = [sql for plan in PLANS.values() for sql in statements(plan)]
    assert [
        sql for sql in (*loads, *replayed(), *around()) if any(view in sql.lower() for view in views)
    ] == []


def test_partitions_are_beyond_this_grammar_even_in_amazons_own_example() -> None:
    """Ours are left to their exact text (test_external_sql) and to the stand-in, as long as this holds."""
    example = (  # r_ALTER_TABLE_external-table
        "alter table spectrum.sales_part add if not exists partition(saledate='2008-01-01') "
        "location 's3://redshift-downloads/tickit/spectrum/sales_partition/saledate=2008-01/'"
    )
    assert fault(example)


def test_the_grammar_would_tell_what_redshift_does_not_have() -> None:
    merge = next(sql for sql in statements(PLANS["merge"]) if sql.startswith("MERGE"))
    for sql in (
        merge.replace(" WHEN NOT MATCHED", " WHEN NOT MATCHED BY SOURCE"),
        'INSERT INTO "shop"."orders" VALUES (1) ON CONFLICT DO NOTHING',
        'CREATE TABLE "shop"."orders" ("id" BIGINT) ENGINE InnoDB',
    ):
        assert fault(sql), sql
