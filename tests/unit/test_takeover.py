"""Which tables a stack takes over in a kept warehouse."""

from tributary.redshift.takeover import change_owner


def test_only_what_the_sources_loaded_is_taken_over() -> None:
    tables = [
        ("shop", "orders"),
        ("shop", "by_hand"),
        ("company", "people"),
        ("crm", "leads"),
        ("etl_staging", "shop__20260101_000000_3"),
        ("etl_staging", "shop__20260101_000000_3_2"),
        ("etl_staging", "crm__20260101_000000_1"),
    ]
    schemas = [("company",), ("crm",), ("shop",)]

    statements = change_owner(
        tables, schemas, known={"shop.orders", "company.people"}, sources=["shop"], loader="IAMR:new"
    )

    assert statements == [
        'ALTER SCHEMA "company" OWNER TO "IAMR:new"',
        'ALTER SCHEMA "shop" OWNER TO "IAMR:new"',
        'ALTER TABLE "shop"."orders" OWNER TO "IAMR:new"',
        'ALTER TABLE "company"."people" OWNER TO "IAMR:new"',
        'ALTER TABLE "etl_staging"."shop__20260101_000000_3" OWNER TO "IAMR:new"',
        'ALTER TABLE "etl_staging"."shop__20260101_000000_3_2" OWNER TO "IAMR:new"',
    ]
