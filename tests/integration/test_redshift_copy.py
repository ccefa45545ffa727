"""COPY from Parquet: values arrive exactly, and what happened can be read in the system views."""

from __future__ import annotations

import datetime
import decimal
import time
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from local.databases.postgres import Postgres
from tests.integration.redshift_warehouse import BUCKET, ROLE, Warehouse, serve
from tests.patience import PATIENCE_S

UTC = datetime.UTC


@pytest.fixture(scope="module")
def warehouse(postgres: Postgres) -> Iterator[Warehouse]:
    with serve(postgres) as served:
        served.run("CREATE SCHEMA shop")
        yield served


def moment(*parts: int) -> datetime.datetime:
    return datetime.datetime(*parts)  # type: ignore[arg-type]


EXACT: dict[str, tuple[str, pa.DataType, list[Any], list[Any]]] = {
    "texts": (
        "VARCHAR(100)",
        pa.string(),
        ["", " ", "a ", 'q"u,o\nt\r\n\t', "\\N", "\\.", "NULL", "😀é", "'", None],
        ["", " ", "a ", 'q"u,o\nt\r\n\t', "\\N", "\\.", "NULL", "😀é", "'", None],
    ),
    "integers": ("BIGINT", pa.int64(), [2**63 - 1, -(2**63), 0, None], [2**63 - 1, -(2**63), 0, None]),
    "int32": ("INTEGER", pa.int32(), [2**31 - 1, -(2**31)], [2**31 - 1, -(2**31)]),
    "int16": ("SMALLINT", pa.int16(), [-(2**15), 2**15 - 1], [-(2**15), 2**15 - 1]),
    "decimals": (
        "DECIMAL(38,10)",
        pa.decimal128(38, 10),
        [decimal.Decimal("1E-10"), decimal.Decimal("-9999999999999999999999999999.9999999999"), None],
        ["0.0000000001", "-9999999999999999999999999999.9999999999", None],
    ),
    "doubles": (
        "DOUBLE PRECISION",
        pa.float64(),
        [0.1, 5e-324, 1.7976931348623157e308, float("inf"), float("-inf"), None],
        [0.1, 5e-324, 1.7976931348623157e308, "Infinity", "-Infinity", None],
    ),
    "reals": ("REAL", pa.float32(), [0.1, 3.4028234663852886e38], [0.1, 3.4028235e38]),
    "booleans": ("BOOLEAN", pa.bool_(), [True, False, None], [True, False, None]),
    "dates": (
        "DATE",
        pa.date32(),
        [datetime.date(1, 1, 1), datetime.date(9999, 12, 31), None],
        ["0001-01-01", "9999-12-31", None],
    ),
    "days outside Python's years": (
        "DATE",
        pa.date32(),
        [-719163, 2932897],
        ["0001-12-31 BC", "10000-01-01"],
    ),
    "timestamps": (
        "TIMESTAMP",
        pa.timestamp("us"),
        [
            moment(1, 1, 1),
            moment(2026, 1, 2, 3, 4, 5, 678901),
            moment(9999, 12, 31, 23, 59, 59, 999999),
            None,
        ],
        ["0001-01-01 00:00:00", "2026-01-02 03:04:05.678901", "9999-12-31 23:59:59.999999", None],
    ),
    "zoned timestamps": (
        "TIMESTAMPTZ",
        pa.timestamp("us", "UTC"),
        [datetime.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC), None],
        ["2026-01-02 03:04:05.000006+00", None],
    ),
    "binaries": ("VARBYTE", pa.binary(), [b"", b"\x00\xff\\x", None], ["", "00ff5c78", None]),
}


@pytest.mark.parametrize(("kind", "arrow", "values", "loaded"), EXACT.values(), ids=EXACT.keys())
@pytest.mark.parametrize("compression", ["zstd", "snappy"])
def test_values_arrive_exactly(
    warehouse: Warehouse,
    kind: str,
    arrow: pa.DataType,
    values: list[Any],
    loaded: list[Any],
    *,
    compression: str,
) -> None:
    warehouse.run("DROP TABLE IF EXISTS shop.exact", f"CREATE TABLE shop.exact (n BIGINT, v {kind})")
    table = pa.table({"n": range(len(values)), "v": pa.array(values, arrow)})
    warehouse.run(warehouse.copy("shop.exact (n, v)", table, compression=compression))
    assert [v for (v,) in warehouse.run("SELECT v FROM shop.exact ORDER BY n")] == loaded


def test_a_varbyte_of_any_width_loads_but_not_from_binaries_of_fixed_width(warehouse: Warehouse) -> None:
    warehouse.run("CREATE TABLE shop.wide (v VARBYTE(16777216), w VARBYTE(4))")
    long = pa.table({"v": pa.array([b"x" * 70_000], pa.binary()), "w": pa.array([b"abcd"], pa.binary())})
    warehouse.run(warehouse.copy("shop.wide (v, w)", long))
    assert warehouse.run("SELECT OCTET_LENGTH(v), w FROM shop.wide") == [(70_000, "61626364")]
    fixed = pa.table({"w": pa.array([b"abcd"], pa.binary(4))})
    assert "fixed_len_byte_array" in warehouse.error(warehouse.copy("shop.wide (w)", fixed))
    longer = pa.table({"w": pa.array([b"abcde"], pa.binary())})
    assert "Table: 4, Data: 5" in warehouse.error(warehouse.copy("shop.wide (w)", longer))


def test_columns_map_by_position_over_the_list(warehouse: Warehouse) -> None:
    warehouse.run(
        "CREATE TABLE shop.placed (a INTEGER DEFAULT 7, b VARCHAR(5), c VARCHAR(5), d BIGINT IDENTITY(1,1))"
    )
    table = pa.table({"b": ["to c"], "c": ["to b"]})
    warehouse.run(warehouse.copy("shop.placed (c, b)", table))
    assert warehouse.run("SELECT a, b, c, d FROM shop.placed") == [(7, "to b", "to c", 1)]
    assert "needs EXPLICIT_IDS" in warehouse.error(warehouse.copy("shop.placed (d)", pa.table({"d": [9]})))
    warehouse.run(warehouse.copy("shop.placed (d)", pa.table({"d": [9]}), "EXPLICIT_IDS"))
    assert warehouse.run("SELECT d FROM shop.placed ORDER BY d") == [(1,), (9,)]


def test_fillrecord_leaves_missing_trailing_columns_null(warehouse: Warehouse) -> None:
    warehouse.run("CREATE TABLE shop.filled (a BIGINT, b VARCHAR(5), c BIGINT)")
    warehouse.run(warehouse.copy("shop.filled (a, b, c)", pa.table({"a": [1], "b": ["x"]}), "FILLRECORD"))
    assert warehouse.run("SELECT * FROM shop.filled") == [(1, "x", None)]


def test_nested_values_load_as_super_and_json_texts_as_strings(warehouse: Warehouse) -> None:
    warehouse.run("CREATE TABLE shop.nested (doc SUPER, txt SUPER)")
    table = pa.table({"doc": [{"a": [1, None], "b": "é"}], "txt": ['{"a": 1}']})
    warehouse.run(warehouse.copy("shop.nested", table, "SERIALIZETOJSON"))
    assert warehouse.run("SELECT doc, txt, JSON_TYPEOF(txt) FROM shop.nested") == [
        ('{"a":[1,null],"b":"é"}', '"{\\"a\\": 1}"', "string")
    ]


def test_a_manifest_lists_files_each_as_often_as_it_is_named(warehouse: Warehouse) -> None:
    warehouse.run("CREATE TABLE shop.listed (n BIGINT)")
    one = ("l/1.parquet", warehouse.put("l/1.parquet", pa.table({"n": [1]})))
    none = ("l/0.parquet", warehouse.put("l/0.parquet", pa.table({"n": pa.array([], pa.int64())})))
    missing = {"url": f"s3://{BUCKET}/l/missing", "meta": {"content_length": 1}}
    address = warehouse.manifest(one, one, none)
    warehouse.run(f"COPY shop.listed (n) FROM '{address}' IAM_ROLE '{ROLE}' FORMAT AS PARQUET MANIFEST")
    address = warehouse.raw_manifest([missing])
    warehouse.run(f"COPY shop.listed (n) FROM '{address}' IAM_ROLE '{ROLE}' FORMAT AS PARQUET MANIFEST")
    assert warehouse.run("SELECT n FROM shop.listed") == [(1,), (1,)]


def test_without_a_manifest_the_address_is_a_prefix(warehouse: Warehouse) -> None:
    warehouse.run("CREATE TABLE shop.prefixed (n BIGINT)")
    for name in ("data", "data.old"):
        warehouse.put(f"p/{name}", pa.table({"n": [1]}))
    for prefix in ("p/data", "p/nothing"):
        warehouse.run(f"COPY shop.prefixed FROM 's3://{BUCKET}/{prefix}' IAM_ROLE DEFAULT FORMAT PARQUET")
    assert warehouse.run("SELECT COUNT(*) FROM shop.prefixed") == [(2,)]


def test_a_copy_is_undone_with_its_batch(warehouse: Warehouse) -> None:
    warehouse.run("CREATE TABLE shop.undone (n BIGINT)")
    copy = warehouse.copy("shop.undone (n)", pa.table({"n": [1, 2]}))
    warehouse.error(copy, "SELECT 1/0")
    assert warehouse.run("SELECT COUNT(*) FROM shop.undone") == [(0,)]
    assert warehouse.run(copy, "SELECT pg_last_copy_count()") == [(2,)]


def test_loads_are_seen_by_their_own_role(warehouse: Warehouse) -> None:
    warehouse.run("SELECT 1", role="copier")
    warehouse.run('GRANT USAGE, CREATE ON SCHEMA shop TO "IAMR:copier"')
    warehouse.run("CREATE TABLE shop.seen (n BIGINT, v VARCHAR(3))", role="copier")
    good = warehouse.copy("shop.seen (n, v)", pa.table({"n": [1], "v": ["abc"]}))
    bad = warehouse.copy("shop.seen (n, v)", pa.table({"n": [1], "v": ["abcd"]}))
    warehouse.run(good, role="copier")
    statement = warehouse.submit("SELECT 1", bad, role="copier")
    query = statement["SubStatements"][1]["RedshiftQueryId"]
    detail = (
        "SELECT error_code, column_name, column_type, column_length, error_message "
        f"FROM sys_load_error_detail WHERE query_id = {query}"
    )
    message = (
        "The length of the data column v is longer than the length defined in the table. Table: 3, Data: 4"
    )
    assert warehouse.run(detail, role="copier") == [(15007, "", "", "", message)]
    assert message in statement["Error"]
    history = "SELECT status, loaded_rows FROM sys_load_history WHERE table_name = 'seen' ORDER BY query_id"
    assert warehouse.run(history, role="copier") == [("completed", 1), ("aborted", 0)]
    assert warehouse.run(detail, role="stranger") == []
    assert len(warehouse.run(detail)) == 1


def test_a_column_named_with_long_names_loads(warehouse: Warehouse) -> None:
    column = "c" * 120
    warehouse.run(f"CREATE TABLE shop.longnames ({column} BIGINT)")
    warehouse.run(warehouse.copy(f"shop.longnames ({column})", pa.table({"x": [1]})))
    assert warehouse.run(f"SELECT {column} FROM shop.longnames") == [(1,)]


def test_a_large_table_loads_and_merges_in_seconds(warehouse: Warehouse) -> None:
    rows = 150_000
    table = pa.table(
        {
            "id": pa.array(range(rows), pa.int64()),
            "code": pa.array([f"k{n}" for n in range(rows)]),
            "amount": pa.array([n / 8 for n in range(rows)], pa.float64()),
            "noted": pa.array(["some words of a comment"] * rows),
        }
    )
    columns = "(id BIGINT, code VARCHAR(20), amount DOUBLE PRECISION, noted VARCHAR(50))"
    warehouse.run(f"CREATE TABLE shop.big {columns}", f"CREATE TABLE shop.news {columns}")
    started = time.monotonic()
    warehouse.run(warehouse.copy("shop.news", table))
    merge = (
        "MERGE INTO shop.big USING shop.news AS s ON big.code = s.code AND OCTET_LENGTH(big.code) = "
        "OCTET_LENGTH(s.code) WHEN MATCHED THEN UPDATE SET amount = s.amount WHEN NOT MATCHED THEN INSERT "
        "VALUES (s.id, s.code, s.amount, s.noted)"
    )
    for _ in range(2):
        warehouse.run("SELECT 1", merge)
    assert time.monotonic() - started < PATIENCE_S  # which row by row would exceed many times
    assert warehouse.run("SELECT COUNT(*), SUM(id) FROM shop.big") == [(rows, str(rows * (rows - 1) // 2))]
