"""The warehouse's statements by their exact text: they double as the documentation of a load."""

import pytest

from tests.builders import changed, column, control_row, orders
from tests.unit.statements import (
    COLUMNS,
    CONTROL_ROW,
    DEDUPLICATE,
    DEEP_COPY,
    FENCE,
    HISTORY,
    INSERT,
    MERGE,
    NAME,
    NEW_TABLE,
    REPLAYED,
    SAME_AS_STAGED,
    SAME_KEY,
    STAGING,
)
from tributary.model.plan import (
    ReadRequest,
    SchemaChange,
)
from tributary.model.result import Chunk
from tributary.model.types import Kind
from tributary.redshift import control, replay_image
from tributary.redshift.modes.digest import parts
from tributary.redshift.publish import commit_only, publish, rows
from tributary.redshift.sql import literal, quote
from tributary.redshift.stage import drop, manifest, stage, staging_name


def test_stage_makes_the_staging_table_from_the_parquet_schema_and_copies_by_manifest() -> None:
    url = "s3://raw/_runs/shop/20261123_233901/manifests/3.json"

    assert stage(orders(), staging_name("shop", "20261123_233901", 3), url, "arn:aws:iam::1:role/copy") == [
        (
            'CREATE TABLE IF NOT EXISTS "shop"."orders" ("id" BIGINT, "code" VARCHAR(40), "doc" SUPER, '
            '"size" SMALLINT, "source_system" VARCHAR(50), "load_timestamp" TIMESTAMP, "run_id" VARCHAR(15))'
        ),
        f"DROP TABLE IF EXISTS {STAGING}",
        (
            f'CREATE TABLE {STAGING} ("id" BIGINT, "code" VARCHAR(40), "doc" VARCHAR(65535), "size" INTEGER, '
            '"_tributary_seq" BIGINT)'
        ),
        (
            f'COPY {STAGING} ("id", "code", "doc", "size", "_tributary_seq") FROM \'{url}\' '
            "IAM_ROLE 'arn:aws:iam::1:role/copy' FORMAT AS PARQUET MANIFEST"
        ),
        f"SELECT COUNT(*) FROM {STAGING}",
    ]


def test_stage_without_rows_copies_nothing() -> None:
    assert not any(sql.startswith("COPY") for sql in stage(orders(), NAME, None, "role"))


def test_a_whole_image_is_counted_beside_what_it_would_replace() -> None:
    image = orders(full_refresh=True)
    assert stage(image, NAME, None, "role")[-1] == (
        f"SELECT arrived, existing FROM (SELECT COUNT(*) AS arrived FROM {STAGING}) AS a "
        'CROSS JOIN (SELECT COUNT(*) AS existing FROM "shop"."orders") AS e'
    )
    lives = changed(image, mode="history")
    assert stage(lives, NAME, None, "role")[-1].endswith(
        ' FROM "shop"."orders" WHERE "is_current" = TRUE) AS e'
    )


def test_manifest_tells_each_chunk_once_with_its_exact_length() -> None:
    chunk = Chunk(key="shop/2026/11/23/orders/orders_20261123_233901_0_000001.parquet", size_bytes=99)

    assert manifest("raw", [chunk]) == (
        b'{"entries": [{"url": "s3://raw/shop/2026/11/23/orders/orders_20261123_233901_0_000001.parquet", '
        b'"mandatory": true, "meta": {"content_length": 99}}]}'
    )


def test_merge_publish_fences_first_and_commits_the_watermark_last() -> None:
    assert publish(orders(), NAME, control_row()) == [
        FENCE,
        DEDUPLICATE,
        MERGE,
        f"DROP TABLE {STAGING}",
        CONTROL_ROW,
    ]


def test_new_columns_are_added_in_the_publishing_transaction_one_by_one() -> None:
    statements = publish(orders(new_columns=("doc", "size")), NAME, control_row())

    assert statements[:3] == [
        FENCE,
        'ALTER TABLE "shop"."orders" ADD COLUMN "doc" SUPER',
        'ALTER TABLE "shop"."orders" ADD COLUMN "size" SMALLINT',
    ]


def test_another_type_makes_a_new_table_that_keeps_the_rows_and_takes_the_name() -> None:
    statements = publish(DEEP_COPY, NAME, control_row())

    assert statements[:6] == [
        'LOCK "shop"."orders"',
        FENCE,
        (
            f'CREATE TABLE {NEW_TABLE} ("id" BIGINT, "code" VARCHAR(40), "size" INTEGER, '
            '"source_system" VARCHAR(50), "doc" SUPER)'
        ),
        (
            f'INSERT INTO {NEW_TABLE} ("id", "code", "size", "source_system") '
            'SELECT "id", "code", CAST("size" AS INTEGER), "source_system" FROM "shop"."orders"'
        ),
        'DROP TABLE "shop"."orders"',
        f'ALTER TABLE {NEW_TABLE} RENAME TO "orders"',
    ]
    assert statements[-3:] == [
        f"DROP TABLE {STAGING}",
        (
            "INSERT INTO public.etl_schema_change (source_name, table_name, column_name, change, "
            "type_before, type_after, run_id, generation, changed_at) VALUES "
            "('shop', 'public.orders', 'code', 'dropped', 'VARCHAR(40)', NULL, '20261123_233901', 2, "
            "GETDATE()), ('shop', 'public.orders', 'doc', 'added', NULL, 'SUPER', '20261123_233901', 2, "
            "GETDATE()), ('shop', 'public.orders', 'size', 'type_changed', 'SMALLINT', 'INTEGER', "
            "'20261123_233901', 2, GETDATE())"
        ),
        CONTROL_ROW,
    ]


def test_a_shared_table_is_made_anew_only_from_the_columns_that_the_plan_saw() -> None:
    assert publish(changed(DEEP_COPY, owner="shop", copied_form=(7, 90, 123)), NAME, control_row())[2] == (
        "SELECT 1 / CASE WHEN COUNT(*) = 7 "
        "AND SUM(LENGTH(a.attname) + LENGTH(format_type(a.atttypid, a.atttypmod))) = 90 "
        "AND SUM(a.atttypmod) = 123 THEN 1 ELSE 0 END AS same_form "
        "FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
        "JOIN pg_attribute AS a ON a.attrelid = c.oid "
        "WHERE n.nspname = 'shop' AND c.relname = 'orders' AND a.attnum > 0 AND NOT a.attisdropped"
    )


def test_a_whole_image_needs_no_copy_of_the_rows_that_it_replaces_unless_others_stand_there() -> None:
    def copied(**changes: object) -> int:
        statements = publish(changed(DEEP_COPY, **{"full_refresh": True, **changes}), NAME, control_row())
        return sum(sql.startswith(f"INSERT INTO {NEW_TABLE}") for sql in statements)

    assert [copied(), copied(owner="shop"), copied(full_refresh=False)] == [0, 1, 1]


def test_what_changed_of_very_many_columns_is_noted_in_statements_that_the_data_api_takes() -> None:
    changes = [
        SchemaChange(column=f"{n:0127}", change="dropped", before="VARCHAR(65535)") for n in range(1600)
    ]

    noted = control.note_changes(control_row(), changes)

    assert [max(len(sql.encode()) for sql in noted) < 100_000, len(noted)] == [True, 4]
    assert sum(sql.count("GETDATE()") for sql in noted) == 1600


def test_swap_replaces_all_rows_without_truncate() -> None:
    assert publish(orders(full_refresh=True, key=()), NAME, control_row()) == [
        FENCE,
        'DELETE FROM "shop"."orders"',
        INSERT,
        f"DROP TABLE {STAGING}",
        CONTROL_ROW,
    ]


def test_append_takes_away_what_no_watermark_covers_and_adds_the_rows() -> None:
    table = orders(mode="append", key=(), last_run="20261122_233901")

    assert publish(table, NAME, control_row(mode="append"))[1:3] == [
        'DELETE FROM "shop"."orders" WHERE "run_id" > \'20261122_233901\'',
        INSERT,
    ]


def test_what_is_read_again_of_an_append_is_added_only_where_it_is_missing() -> None:
    window = ReadRequest(what="window", since="10", before="20")
    table = orders(mode="append", last_run="20261122_233901", request=window)

    statements = publish(table, NAME, control_row(mode="append", request=window))

    assert statements[2:5] == [
        'DELETE FROM "shop"."orders" WHERE "run_id" > \'20261122_233901\'',
        (
            f'DELETE FROM {STAGING} USING "shop"."orders" WHERE {SAME_AS_STAGED} '
            f'AND "orders"."id" = "{NAME}"."id"'
        ),
        INSERT,
    ]
    assert statements[-1].endswith("'changes', 'window', '10', '20')")


def test_a_snapshot_takes_the_place_of_none_but_its_own_runs() -> None:
    table = orders(mode="append", key=(), cursor=None)

    assert publish(table, NAME, control_row(mode="append", cursor=None))[1:3] == [
        'DELETE FROM "shop"."orders" WHERE "run_id" = \'20261123_233901\'',
        INSERT,
    ]


OWN_ROWS = '"orders"."source_system" = \'shop\''


def test_a_replay_begins_with_an_empty_image_of_the_table() -> None:
    target, *others = replay_image.begin(REPLAYED, NAME)

    assert target == stage(orders(), NAME, None, "role")[0]
    assert others == [
        f'DROP TABLE IF EXISTS "etl_staging"."{NAME}_0"',
        f'CREATE TABLE "etl_staging"."{NAME}_0" (LIKE "shop"."orders")',
        f'ALTER TABLE "etl_staging"."{NAME}_0" ADD COLUMN "size" SMALLINT',
    ]


def test_each_run_of_a_replay_does_to_the_image_what_it_did_to_the_table() -> None:
    run = orders(mode="append", key=(), last_run="20261121_233901")
    there = replay_image.on_image(run, NAME, 1)
    image = f'"etl_staging"."{NAME}_1"'

    assert replay_image.stage_run(run, NAME, 2, "s3://m", "role") == stage(run, NAME, "s3://m", "role")[1:]
    assert rows(there, NAME, control_row(run_id="20261122_233901")) == [
        f"DELETE FROM {image} WHERE \"run_id\" > '20261121_233901'",
        INSERT.replace('"shop"."orders"', image).replace("'20261123_233901'", "'20261122_233901'"),
    ]
    assert replay_image.end_run(REPLAYED, NAME, 2) == [
        f"DROP TABLE {STAGING}",
        f'DROP TABLE IF EXISTS "etl_staging"."{NAME}_2"',
        f'ALTER TABLE {image} RENAME TO "{NAME}_2"',
        (
            f'SELECT arrived, existing FROM (SELECT COUNT(*) AS arrived FROM "etl_staging"."{NAME}_2") AS a '
            f'CROSS JOIN (SELECT COUNT(*) AS existing FROM "shop"."orders" WHERE {OWN_ROWS}) AS e'
        ),
    ]


def test_a_replay_publishes_the_image_in_one_transaction() -> None:
    requested = control_row(request=ReadRequest(what="replay"))

    assert publish(REPLAYED, f"{NAME}_2", requested) == [
        FENCE,
        'ALTER TABLE "shop"."orders" ADD COLUMN "size" SMALLINT',
        f'DELETE FROM "shop"."orders" WHERE {OWN_ROWS}',
        f'INSERT INTO "shop"."orders" ({COLUMNS}) SELECT {COLUMNS} FROM "etl_staging"."{NAME}_2"',
        f'DROP TABLE "etl_staging"."{NAME}_2"',
        control.commit([requested]),
    ]


def test_a_replay_asks_for_the_runs_that_changed_a_table() -> None:
    assert control.changing_runs("shop", ["public.orders"]) == (
        "SELECT table_name, run_id, mode, target_table, records_processed, contents FROM public.etl_control "
        "WHERE source_name = 'shop' AND table_name IN ('public.orders') "
        "AND COALESCE(asked_for, 'usual') <> 'replay' "
        "AND (records_processed > 0 OR COALESCE(contents, 'unknown') <> 'changes') "
        "ORDER BY table_name, generation, run_id"
    )


def test_keys_that_stand_there_more_than_once_are_replaced_not_merged() -> None:
    assert publish(orders(repeated_keys=True), NAME, control_row())[1:4] == [
        DEDUPLICATE,
        f'DELETE FROM "shop"."orders" USING {STAGING} WHERE {SAME_AS_STAGED}',
        INSERT,
    ]


START = "CAST('2026-11-23 23:39:01' AS TIMESTAMP)"
KEYS = '"id", "code", OCTET_LENGTH("code")'
OPENED = f'(SELECT "id", "code", MIN("_tributary_from") AS since FROM {STAGING} GROUP BY {KEYS}) AS opened'
SAME_AS_OPENED = SAME_KEY.replace("_tributary_stage", "opened")
STAGE_KEYS = '_tributary_stage."id", _tributary_stage."code", OCTET_LENGTH(_tributary_stage."code")'
NEXT = (
    f'LEAD(_tributary_stage."_tributary_from") OVER (PARTITION BY {STAGE_KEYS} '
    'ORDER BY _tributary_stage."_tributary_seq")'
)


def test_a_historys_staged_rows_get_their_digest_and_the_instant_they_hold_from() -> None:
    statements = stage(HISTORY, NAME, "s3://raw/manifest", "role")

    assert statements[0] == (
        'CREATE TABLE IF NOT EXISTS "shop"."orders" ("id" BIGINT, "code" VARCHAR(40), "at" TIMESTAMPTZ, '
        '"source_system" VARCHAR(50), "load_timestamp" TIMESTAMP, "run_id" VARCHAR(15), '
        '"valid_from" TIMESTAMP, "valid_to" TIMESTAMP, "is_current" BOOLEAN, "row_digest" VARCHAR(32))'
    )
    assert statements[2].endswith('"at" TIMESTAMPTZ, "_tributary_seq" BIGINT)')  # the columns of the chunks
    assert statements[4:] == [
        f'ALTER TABLE {STAGING} ADD COLUMN "_tributary_digest" VARCHAR(65535)',
        f'ALTER TABLE {STAGING} ADD COLUMN "_tributary_from" TIMESTAMP',
        (
            f'UPDATE {STAGING} SET "_tributary_digest" = MD5('
            "COALESCE(MD5('at=' || "
            "MD5(TO_CHAR(\"at\" AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US BC'))), '')"
            " || COALESCE(MD5('code=' || MD5(\"code\")), '')"
            " || COALESCE(MD5('id=' || MD5(CAST(\"id\" AS VARCHAR))), '')), "
            f'"_tributary_from" = COALESCE(CAST("at" AT TIME ZONE \'UTC\' AS TIMESTAMP), {START})'
        ),
        f"SELECT COUNT(*) FROM {STAGING}",
    ]


FLOAT = (
    'CAST("c" AS VARCHAR) || \'+\' || CAST("c" - CAST(CAST("c" AS VARCHAR) AS DOUBLE PRECISION) AS VARCHAR)'
)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Kind("text", size_bytes=4), '"c"'),
        (Kind("json"), '"c"'),
        (Kind("int16"), 'CAST("c" AS VARCHAR)'),
        (Kind("decimal", precision=9, scale=2), 'CAST("c" AS VARCHAR)'),
        (Kind("float64"), FLOAT),
        (Kind("boolean"), "CASE WHEN \"c\" = TRUE THEN 't' WHEN \"c\" = FALSE THEN 'f' END"),
        (Kind("date"), "TO_CHAR(\"c\", 'YYYY-MM-DD BC')"),
        (Kind("timestamp"), "TO_CHAR(\"c\", 'YYYY-MM-DD HH24:MI:SS.US BC')"),
        (
            Kind("binary", size_bytes=255),
            'MD5(TO_HEX(SUBSTRING("c", 1, 32000))) || MD5(TO_HEX(SUBSTRING("c", 32001, 32000)))',
        ),
    ],
)
def test_a_digest_is_of_texts_that_no_setting_of_a_session_changes(kind: Kind, text: str) -> None:
    assert parts((column("c", kind),)) == [f"COALESCE(MD5('c=' || MD5({text})), '')"]


def test_a_digest_is_of_every_piece_of_a_wide_binary() -> None:
    [part] = parts((column("c", Kind("binary")),))

    assert part.startswith(
        "COALESCE(MD5('c=' || MD5(CASE WHEN OCTET_LENGTH(\"c\") <= 64000 "
        'THEN MD5(TO_HEX(SUBSTRING("c", 1, 32000))) || MD5(TO_HEX(SUBSTRING("c", 32001, 32000))) '
        'ELSE MD5(TO_HEX(SUBSTRING("c", 1, 32000))) || '
    )
    assert part.endswith("SUBSTRING(\"c\", 16768001, 32000))) END)), '')")
    assert len(part) < 30_000


def test_a_digest_too_long_for_the_data_api_is_put_together_in_several_statements() -> None:
    wide = tuple(column(f"column_with_a_long_name_{number}", Kind("int32")) for number in range(1500))
    statements = stage(changed(HISTORY, columns=(*HISTORY.columns, *wide)), NAME, "s3://x", "role")

    assert all(len(sql.encode()) < 100_000 for sql in statements)
    marks = [sql for sql in statements if sql.startswith("UPDATE")]
    assert len(marks) == 3
    assert marks[1].startswith(f'UPDATE {STAGING} SET "_tributary_digest" = "_tributary_digest" || COALESCE(')
    assert marks[2].startswith(f'UPDATE {STAGING} SET "_tributary_digest" = MD5("_tributary_digest"), ')
    assert sum(sql.count("COALESCE(MD5(") for sql in marks) == 1503


def test_history_opens_a_version_where_the_digest_differs_and_closes_the_one_before() -> None:
    assert publish(HISTORY, NAME, control_row(mode="history")) == [
        FENCE,
        (
            f'DELETE FROM {STAGING} WHERE "_tributary_seq" IN (SELECT place FROM '
            '(SELECT "_tributary_seq" AS place, "_tributary_from" AS since, '
            f'MIN("_tributary_from") OVER (PARTITION BY {KEYS} ORDER BY "_tributary_seq" '
            f"ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) AS later FROM {STAGING}) AS followed "
            "WHERE followed.since >= followed.later)"
        ),
        (
            f'DELETE FROM {STAGING} WHERE "_tributary_seq" IN (SELECT place FROM '
            '(SELECT "_tributary_seq" AS place, "_tributary_digest" AS digest, '
            f'LAG("_tributary_digest") OVER (PARTITION BY {KEYS} ORDER BY "_tributary_seq") AS before '
            f"FROM {STAGING}) AS followed WHERE followed.digest = followed.before)"
        ),
        (
            f'DELETE FROM {STAGING} USING "shop"."orders" WHERE "{NAME}"."_tributary_seq" IN '
            f'(SELECT MIN("_tributary_seq") FROM {STAGING} GROUP BY {KEYS}) '
            f"AND {SAME_AS_STAGED} "
            'AND "orders"."is_current" = TRUE '
            f'AND "orders"."row_digest" = "{NAME}"."_tributary_digest"'
        ),
        (
            f'DELETE FROM "shop"."orders" USING {STAGING} WHERE {SAME_AS_STAGED} '
            f'AND "orders"."valid_from" >= "{NAME}"."_tributary_from"'
        ),
        (
            f'UPDATE "shop"."orders" SET "valid_to" = opened.since, "is_current" = FALSE FROM {OPENED} '
            f'WHERE {SAME_AS_OPENED} AND ("orders"."valid_to" IS NULL OR "orders"."valid_to" > opened.since)'
        ),
        (
            'INSERT INTO "shop"."orders" ("id", "code", "at", "source_system", "load_timestamp", "run_id", '
            '"valid_from", "valid_to", "is_current", "row_digest") SELECT _tributary_stage."id", '
            "_tributary_stage.\"code\", _tributary_stage.\"at\", 'shop', GETDATE(), '20261123_233901', "
            f'_tributary_stage."_tributary_from", {NEXT}, '
            f"CASE WHEN {NEXT} IS NULL THEN TRUE ELSE FALSE END, "
            f'_tributary_stage."_tributary_digest" FROM {STAGING} AS _tributary_stage'
        ),
        f"DROP TABLE {STAGING}",
        control.commit([control_row(mode="history")]),
    ]


def test_a_whole_image_closes_the_versions_of_rows_that_vanished() -> None:
    statements = publish(changed(HISTORY, full_refresh=True), NAME, control_row(mode="history"))

    assert statements[1] == (
        f'UPDATE "shop"."orders" SET "valid_to" = GREATEST("orders"."valid_from", {START}), '
        '"is_current" = FALSE FROM (SELECT existing."id" AS "id", existing."code" AS "code" '
        f'FROM "shop"."orders" AS existing LEFT JOIN {STAGING} AS staged ON existing."id" = staged."id" '
        'AND existing."code" = staged."code" '
        'AND OCTET_LENGTH(existing."code") = OCTET_LENGTH(staged."code") '
        'WHERE existing."is_current" = TRUE AND staged."_tributary_seq" IS NULL) AS vanished '
        f'WHERE {SAME_KEY.replace("_tributary_stage", "vanished")} AND "orders"."is_current" = TRUE'
    )


def test_a_table_that_was_no_history_gives_way_to_one() -> None:
    changes = {"convert_to_history": True, "full_refresh": True, "new_columns": ("valid_from", "row_digest")}
    statements = publish(changed(HISTORY, **changes), NAME, control_row(mode="history"))

    assert statements[1:4] == [
        'ALTER TABLE "shop"."orders" ADD COLUMN "valid_from" TIMESTAMP',
        'ALTER TABLE "shop"."orders" ADD COLUMN "row_digest" VARCHAR(32)',
        'DELETE FROM "shop"."orders"',
    ]


def test_a_merge_too_long_for_the_data_api_becomes_delete_and_insert() -> None:
    wide = tuple(column(f"column_with_a_long_name_{number}", Kind("int32")) for number in range(900))
    statements = publish(orders(columns=(*orders().columns, *wide)), NAME, control_row())

    assert [sql.split(" ")[0] for sql in statements] == [
        "SELECT",
        "DELETE",
        "DELETE",
        "INSERT",
        "DROP",
        "INSERT",
    ]
    assert all(len(sql.encode()) < 100_000 for sql in statements)
    assert statements[2] == f'DELETE FROM "shop"."orders" USING {STAGING} WHERE {SAME_AS_STAGED}'


def test_a_table_without_news_only_records_its_run() -> None:
    assert commit_only([control_row()]) == [FENCE, CONTROL_ROW]


def test_control_rows_of_unchanged_tables_are_as_many_as_one_statement_holds() -> None:
    rows = [control_row(table=f"public.t{number}", unread_columns="x" * 30_000) for number in range(9)]
    assert control.fitting(rows) == 3
    assert len(control.commit(rows[:3]).encode()) <= 95_000
    assert control.fitting([control_row(unread_columns="x" * 99_000)]) == 1
    assert control.fitting([control_row()] * 100) == 100


def test_raising_the_fence_twice_leaves_one_row() -> None:
    assert control.raise_fence("shop", 3, "20261123_233901") == (
        "INSERT INTO public.etl_fence (source_name, generation, run_id, fenced_at) "
        "SELECT 'shop', 3, '20261123_233901', GETDATE() WHERE NOT EXISTS (SELECT 1 FROM public.etl_fence "
        "WHERE source_name = 'shop' AND generation >= 3)"
    )


OURS = orders(owner="shop")


def test_in_a_shared_target_only_rows_of_the_source_are_met() -> None:
    mine = '"orders"."source_system" = \'shop\''
    statements = publish(OURS, NAME, control_row())
    assert statements[2] == MERGE.replace(SAME_KEY, f"{SAME_KEY} AND {mine}")

    replaced = publish(orders(owner="shop", full_refresh=True), NAME, control_row())
    assert replaced[2] == f'DELETE FROM "shop"."orders" WHERE {mine}'
    assert stage(orders(owner="shop", full_refresh=True), NAME, None, "role")[-1].endswith(
        ' FROM "shop"."orders" WHERE "source_system" = \'shop\') AS e'
    )
    appended = publish(orders(owner="shop", mode="append", key=(), last_run="r"), NAME, control_row())
    assert appended[1] == f'DELETE FROM "shop"."orders" WHERE "run_id" > \'r\' AND {mine}'

    lives = changed(HISTORY, owner="shop", full_refresh=True)
    every = publish(lives, NAME, control_row(mode="history"))
    met = [sql for sql in every[1:-2] if '"orders"' in sql and not sql.startswith("INSERT")]
    assert len(met) == 4
    assert all(mine in sql for sql in met)
    assert 'AND staged."_tributary_seq" IS NULL AND existing."source_system" = \'shop\')' in met[0]


def test_a_control_table_of_an_earlier_version_gets_the_columns_that_it_lacks() -> None:
    older = list(control.TABLES["public.etl_control"])[:-6]
    assert control.upgrade({"public.etl_control": older}) == [
        "ALTER TABLE public.etl_control ADD COLUMN key_columns VARCHAR(4096)",
        "ALTER TABLE public.etl_control ADD COLUMN columns_digest VARCHAR(32)",
        "ALTER TABLE public.etl_control ADD COLUMN contents VARCHAR(16)",
        "ALTER TABLE public.etl_control ADD COLUMN asked_for VARCHAR(16)",
        "ALTER TABLE public.etl_control ADD COLUMN asked_from VARCHAR(1024)",
        "ALTER TABLE public.etl_control ADD COLUMN asked_to VARCHAR(1024)",
    ]


def test_what_is_asked_beside_the_batches_of_tables() -> None:
    assert [
        control.find_users(["IAMR:l", "other"]),
        control.create_user("IAMR:l"),
        control.create_schema("shop"),
        control.staging_tables(),
        control.count_committed("shop", "public.orders", "20261123_233901"),
        control.load_error(7),
        *drop([NAME]),
    ] == [
        "SELECT usename FROM pg_user WHERE usename IN ('IAMR:l', 'other')",
        'CREATE USER "IAMR:l" PASSWORD DISABLE',
        'CREATE SCHEMA IF NOT EXISTS "shop"',
        (
            "SELECT c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
            "WHERE c.relkind = 'r' AND n.nspname = 'etl_staging' ORDER BY c.relname"
        ),
        (
            "SELECT COUNT(*) FROM public.etl_control WHERE source_name = 'shop' "
            "AND table_name = 'public.orders' AND run_id = '20261123_233901'"
        ),
        (
            "SELECT error_code, column_name, column_type, file_name, error_message "
            "FROM sys_load_error_detail WHERE query_id = 7 ORDER BY start_time DESC LIMIT 1"
        ),
        f"DROP TABLE IF EXISTS {STAGING}",
    ]


def test_plan_asks_for_the_newest_control_row_of_each_table_and_for_columns() -> None:
    assert control.watermarks("shop") == (
        "SELECT table_name, run_id, mode, target_table, cursor_column, watermark, key_columns, "
        "unread_columns, columns_digest FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY table_name "
        "ORDER BY generation DESC, run_id DESC) AS newest FROM public.etl_control "
        "WHERE source_name = 'shop') AS runs WHERE newest = 1"
    )
    assert control.columns(["shop", "company"]) == (
        "SELECT n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.atttypmod "
        "FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
        "JOIN pg_attribute AS a ON a.attrelid = c.oid WHERE c.relkind IN ('r', 'v') AND a.attnum > 0 "
        "AND NOT a.attisdropped AND n.nspname IN ('shop', 'company') "
        "ORDER BY n.nspname, c.relname, a.attnum"
    )


def test_identifiers_and_literals_cannot_break_out() -> None:
    assert quote('od"d', "a.b") == '"od""d"."a.b"'
    assert literal("it's") == "'it''s'"
    assert literal("a\\b") == "'a' || CHR(92) || 'b'"
    assert literal(None) == "NULL"
    assert literal(7) == "7"
