"""Plans of `shop.orders` and the statements of their loads, which tests of several modules expect."""

from __future__ import annotations

from tests.builders import column, orders
from tributary import __version__
from tributary.model.plan import DeepCopyColumn, ReadRequest, ReplayPlan, SchemaChange
from tributary.model.types import Kind

STAGING = '"etl_staging"."shop__20261123_233901_3"'
NAME = "shop__20261123_233901_3"
FENCE = (
    "SELECT 1 / CASE WHEN COUNT(*) > 0 THEN 0 ELSE 1 END AS not_fenced FROM public.etl_fence "
    "WHERE source_name = 'shop' AND generation > 2"
)
CONTROL_ROW = (
    "INSERT INTO public.etl_control (source_name, table_name, last_successful_run, records_processed, "
    "run_id, generation, mode, target_table, cursor_column, watermark, chunks, size_bytes, "
    "tributary_version, unread_columns, key_columns, columns_digest, contents, asked_for, asked_from, "
    "asked_to) VALUES ('shop', 'public.orders', GETDATE(), 7, '20261123_233901', 2, 'merge', "
    f"'shop.orders', 'Id', '41', 1, 1234, '{__version__}', NULL, '[\"Id\", \"code\"]', 'd1', "
    "'changes', NULL, NULL, NULL)"
)
DEDUPLICATE = (
    f'DELETE FROM {STAGING} WHERE "_tributary_seq" IN (SELECT staged."_tributary_seq" '
    f'FROM {STAGING} AS staged JOIN (SELECT "id" AS "id", "code" AS "code", '
    'OCTET_LENGTH("code") AS "code__bytes", MAX("_tributary_seq") AS newest '
    f'FROM {STAGING} GROUP BY "id", "code", OCTET_LENGTH("code") HAVING COUNT(*) > 1) AS repeated '
    'ON staged."id" = repeated."id" AND staged."code" = repeated."code" '
    'AND OCTET_LENGTH(staged."code") = repeated."code__bytes" '
    'WHERE staged."_tributary_seq" < repeated.newest)'
)
VALUES = (
    '_tributary_stage."id", _tributary_stage."code", JSON_PARSE(_tributary_stage."doc"), '
    "_tributary_stage.\"size\", 'shop', GETDATE(), '20261123_233901'"
)
COLUMNS = '"id", "code", "doc", "size", "source_system", "load_timestamp", "run_id"'
SAME_KEY = (
    '"orders"."id" = _tributary_stage."id" AND "orders"."code" = _tributary_stage."code" '
    'AND OCTET_LENGTH("orders"."code") = OCTET_LENGTH(_tributary_stage."code")'
)
MERGE = (
    f'MERGE INTO "shop"."orders" USING {STAGING} AS _tributary_stage ON {SAME_KEY} '
    'WHEN MATCHED THEN UPDATE SET "doc" = JSON_PARSE(_tributary_stage."doc"), '
    '"size" = _tributary_stage."size", '
    '"source_system" = \'shop\', "load_timestamp" = GETDATE(), "run_id" = \'20261123_233901\' '
    f"WHEN NOT MATCHED THEN INSERT ({COLUMNS}) VALUES ({VALUES})"
)
INSERT = f'INSERT INTO "shop"."orders" ({COLUMNS}) SELECT {VALUES} FROM {STAGING} AS _tributary_stage'
SAME_AS_STAGED = SAME_KEY.replace("_tributary_stage", f'"{NAME}"')

DEEP_COPY = orders(
    columns=(column("Id", Kind("int64")), column("doc", Kind("json")), column("size", Kind("int32"))),
    key=("Id",),
    new_columns=("doc",),
    deep_copy=(
        DeepCopyColumn(name="id", type="BIGINT", kept=True),
        DeepCopyColumn(name="code", type="VARCHAR(40)", kept=True),
        DeepCopyColumn(name="size", type="INTEGER", kept=True),
        DeepCopyColumn(name="source_system", type="VARCHAR(50)", kept=True),
        DeepCopyColumn(name="doc", type="SUPER", kept=False),
    ),
    changes=(
        SchemaChange(column="code", change="dropped", before="VARCHAR(40)"),
        SchemaChange(column="doc", change="added", after="SUPER"),
        SchemaChange(column="size", change="type_changed", before="SMALLINT", after="INTEGER"),
    ),
)
NEW_TABLE = '"shop"."_tributary_shop__20261123_233901_3"'


REPLAYED = orders(
    full_refresh=True,
    replay=ReplayPlan(runs=2),
    request=ReadRequest(what="replay"),
    owner="shop",
    new_columns=("size",),
)


HISTORY = orders(
    mode="history",
    columns=(
        column("Id", Kind("int64")),
        column("code", Kind("text", size_bytes=40)),
        column("at", Kind("timestamptz")),
    ),
    cursor="at",
    opens_at="2026-11-23 23:39:01",
)
