"""The statements of the raw layer's external tables by their exact text, and the tables' names."""

from tests.builders import column, orders
from tributary.model.types import Kind
from tributary.redshift import control, external_tables
from tributary.redshift.external_tables import Partition

RUN = "20261123_233901"
URL = f"s3://raw/_runs/shop/{RUN}/manifests/orders.json"
PARTITION = f"PARTITION (\"run_id\" = '{RUN}', \"_tributary_kind\" = 'image')"


def test_a_schema_shows_the_glue_database_and_belongs_to_the_pipeline() -> None:
    assert external_tables.create_schema("etl_raw_dev", "etl_raw_dev", "arn:aws:iam::1:role/copy") == (
        'CREATE EXTERNAL SCHEMA IF NOT EXISTS "etl_raw_dev" FROM DATA CATALOG '
        "DATABASE 'etl_raw_dev' IAM_ROLE 'arn:aws:iam::1:role/copy'"
    )
    assert external_tables.own_schema("etl_raw_dev", "IAMR:loader") == (
        'ALTER SCHEMA "etl_raw_dev" OWNER TO "IAMR:loader"'
    )


def test_a_table_shows_the_parquet_columns_by_run_and_kind() -> None:
    table = orders(
        columns=(
            *orders().columns,
            column("bytes", Kind("binary")),
            column("at", Kind("timestamptz")),
            column("price", Kind("decimal", precision=10, scale=2)),
            column("uid", Kind("uuid")),
        )
    )

    assert external_tables.create_table(
        "etl_raw_dev", "shop__orders", external_tables.columns(table), "s3://raw/shop/"
    ) == (
        'CREATE EXTERNAL TABLE "etl_raw_dev"."shop__orders" ("id" BIGINT, "code" VARCHAR(65535), '
        '"doc" VARCHAR(65535), "size" INTEGER, "at" TIMESTAMP, "price" DECIMAL(10,2), "uid" VARCHAR(65535), '
        '"_tributary_seq" BIGINT) PARTITIONED BY ("run_id" VARCHAR(15), "_tributary_kind" VARCHAR(16)) '
        "STORED AS PARQUET LOCATION 's3://raw/shop/'"
    )


def test_partitions_are_manifests_at_most_a_hundred_in_a_statement() -> None:
    table = '"etl_raw_dev"."shop__orders"'
    [one] = external_tables.add_partitions("etl_raw_dev", "shop__orders", [Partition(RUN, "image", URL)])
    assert one == f"ALTER TABLE {table} ADD IF NOT EXISTS {PARTITION} LOCATION '{URL}'"

    many = [Partition(f"20261123_{number:06d}", "changes", URL) for number in range(201)]
    statements = list(external_tables.add_partitions("etl_raw_dev", "shop__orders", many))
    assert [sql.count("PARTITION (") for sql in statements] == [100, 100, 1]

    assert external_tables.drop_partition("etl_raw_dev", "shop__orders", RUN, "image") == (
        f"ALTER TABLE {table} DROP {PARTITION}"
    )
    assert external_tables.add_column("etl_raw_dev", "shop__orders", "size", "INTEGER") == (
        f'ALTER TABLE {table} ADD COLUMN "size" INTEGER'
    )
    assert external_tables.drop_table("etl_raw_dev", "shop__orders") == f"DROP TABLE {table}"


def test_what_is_there_is_asked_of_system_views_and_of_the_control_table() -> None:
    of = "WHERE schemaname = 'etl_raw_dev' AND tablename IN ('a', 'b')"
    assert (
        external_tables.existing("etl_raw_dev", ["a", "b"])
        == f"SELECT tablename FROM svv_external_tables {of}"
    )
    assert external_tables.partition_counts("etl_raw_dev", ["a", "b"]) == (
        f"SELECT tablename, COUNT(*) FROM svv_external_partitions {of} GROUP BY tablename"
    )
    assert control.count_runs_with_chunks("shop", {"a": "1", "b": "2"}) == (
        "SELECT table_name, COUNT(DISTINCT run_id) FROM public.etl_control WHERE source_name = 'shop' "
        "AND chunks > 0 AND ((table_name = 'a' AND run_id >= '1') OR (table_name = 'b' AND run_id >= '2')) "
        "GROUP BY table_name"
    )
    assert control.runs_with_chunks("shop", "a", "1") == (
        "SELECT DISTINCT run_id, contents FROM public.etl_control WHERE source_name = 'shop' "
        "AND table_name = 'a' AND chunks > 0 AND run_id >= '1' ORDER BY run_id"
    )
    assert external_tables.partition_values('["20261123_233901", "image"]') == (RUN, "image")


def test_names_of_external_tables_never_meet() -> None:
    assert external_tables.table_name("shop", ("orders",)) == "shop__orders"
    targets: list[tuple[str, ...]] = [
        ("a", "b__c"),
        ("a__b", "c"),
        ("shop", "ord-ers"),
        ("shop", "ord_ers"),
        ("shop", "x" * 200),
    ]
    targets += [("shop", "company", "orders"), ("shop", "company__orders"), ("a_", "b"), ("a", "_b")]
    targets += [
        ("shop", "x" * 201),
        ("shop", "company!orders"),
        ("shop", "company_orders"),
        ("a_", "_b"),
        ("a", "__b"),
    ]
    names = [external_tables.table_name(source, tuple(raw_name)) for source, *raw_name in targets]
    assert len(set(names)) == len(names)
    assert all(len(name.encode()) <= 127 for name in names)
