"""What Redshift refuses, the stand-in refuses: one line per rule, asked through the real boto3 client."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Callable, Iterator
from typing import Any

import botocore.exceptions
import pyarrow as pa
import pytest

from local.databases.postgres import Postgres
from tests.integration.redshift_warehouse import BUCKET, ROLE, Failed, Warehouse, serve

LONG = "x" * 130
MERGE = "MERGE INTO shop.orders USING shop.staged AS s ON orders.id = s.id"
UPDATE = "WHEN MATCHED THEN UPDATE SET v = s.v"
INSERT = "WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.id, s.v)"


@pytest.fixture(scope="module")
def warehouse(postgres: Postgres) -> Iterator[Warehouse]:
    with serve(postgres) as served:
        served.run("CREATE SCHEMA shop")
        columns = (
            "(id BIGINT, v VARCHAR(10), n INTEGER, s SMALLINT, d DECIMAL(10,2), doc SUPER, at TIMESTAMP)"
        )
        served.run(f"CREATE TABLE shop.orders {columns}")
        served.run(f"CREATE TABLE shop.staged {columns}")
        served.run(
            "CREATE TABLE shop.keyed (id VARCHAR(10) PRIMARY KEY, d VARCHAR(10) DEFAULT 'x', "
            "e VARCHAR(9) ENCODE TEXT255)"
        )
        served.run("INSERT INTO shop.orders (id, v) VALUES (1, 'longish')")
        yield served


REFUSED_STATEMENTS = {
    "a MERGE target has no alias": (
        f"MERGE INTO shop.orders AS o USING shop.staged AS s ON o.id = s.id {UPDATE} {INSERT}",
        'syntax error at or near "AS"',
    ),
    "a MERGE target has no alias without AS either": (
        f"MERGE INTO shop.orders o USING shop.staged AS s ON o.id = s.id {UPDATE} {INSERT}",
        'syntax error at or near "o"',
    ),
    "a MERGE sets unqualified columns": (
        f"{MERGE} WHEN MATCHED THEN UPDATE SET orders.v = s.v {INSERT}",
        'syntax error at or near "."',
    ),
    "a MERGE does not only update": (f"{MERGE} {UPDATE}", "syntax error at end of input"),
    "a MERGE does not only insert": (f"{MERGE} {INSERT}", 'syntax error at or near "NOT"'),
    "a MERGE has each WHEN once": (f"{MERGE} {UPDATE} {INSERT} {INSERT}", 'syntax error at or near "WHEN"'),
    "a MERGE updates first": (f"{MERGE} {INSERT} {UPDATE}", 'syntax error at or near "NOT"'),
    "a WHEN has no condition": (
        f"{MERGE} WHEN MATCHED AND s.n > 1 THEN UPDATE SET v = s.v {INSERT}",
        'syntax error at or near "AND"',
    ),
    "a WHEN does not do nothing": (f"{MERGE} WHEN MATCHED THEN DO NOTHING {INSERT}", 'at or near "DO"'),
    "a WHEN is not by source": (
        f"{MERGE} WHEN NOT MATCHED BY SOURCE THEN DELETE {INSERT}",
        'syntax error at or near "NOT"',
    ),
    "a MERGE has no WITH": (f"WITH s AS (SELECT 1 AS id) {MERGE} {UPDATE} {INSERT}", 'at or near "MERGE"'),
    "a MERGE matches by equality": (
        f"MERGE INTO shop.orders USING shop.staged AS s ON orders.id > s.id {UPDATE} {INSERT}",
        "equality predicates",
    ),
    "a MERGE subquery does not read the target": (
        (
            "MERGE INTO shop.orders USING (SELECT x.id, x.v FROM shop.staged AS x JOIN shop.orders AS y "
            f"ON x.id = y.id) AS s ON orders.id = s.id {UPDATE} {INSERT}"
        ),
        "Source view/subquery in Merge statement cannot reference target table.",
    ),
    "a MERGE source is not the target": (
        f"MERGE INTO shop.orders USING shop.orders AS s ON orders.id = s.id {UPDATE} {INSERT}",
        "cannot reference target table",
    ),
    "there is no ON CONFLICT": (
        "INSERT INTO shop.orders (id) VALUES (1) ON CONFLICT DO NOTHING",
        'syntax error at or near "CONFLICT"',
    ),
    "there is no RETURNING": ("DELETE FROM shop.orders WHERE id = 5 RETURNING id", 'at or near "RETURNING"'),
    "there is no DISTINCT ON": ("SELECT DISTINCT ON (id) id FROM shop.orders", 'at or near "ON"'),
    "there is no IS DISTINCT FROM": ("SELECT 1 IS DISTINCT FROM 2", 'at or near "FROM"'),
    "there is no JSON arrow": ("SELECT doc ->> 'a' FROM shop.orders", "syntax error"),
    "there is no FILTER": ("SELECT COUNT(*) FILTER (WHERE id > 1) FROM shop.orders", "syntax error"),
    "no statement changes rows inside a WITH": (
        "WITH gone AS (DELETE FROM shop.orders) SELECT 1",
        'syntax error at or near "DELETE"',
    ),
    "DELETE has no alias": ("DELETE FROM shop.orders AS o WHERE o.id = 5", 'at or near "AS"'),
    "ADD COLUMN has no IF NOT EXISTS": (
        "ALTER TABLE shop.orders ADD COLUMN IF NOT EXISTS x INTEGER",
        'syntax error at or near "IF"',
    ),
    "ALTER adds one column": (
        "ALTER TABLE shop.orders ADD COLUMN x INTEGER, ADD COLUMN y INTEGER",
        'syntax error at or near ","',
    ),
    "an added column without a default may be NULL": (
        "ALTER TABLE shop.orders ADD COLUMN x INTEGER NOT NULL",
        "must have a non-null default expression",
    ),
    "an added column is no key": (
        "ALTER TABLE shop.orders ADD COLUMN x INTEGER PRIMARY KEY",
        "does not support",
    ),
    "DROP COLUMN has no IF EXISTS": ("ALTER TABLE shop.orders DROP COLUMN IF EXISTS x", "syntax error"),
    "a column gets no NOT NULL later": (
        "ALTER TABLE shop.orders ALTER COLUMN n SET NOT NULL",
        "syntax error",
    ),
    "a type changes only in size": ("ALTER TABLE shop.orders ALTER COLUMN n TYPE BIGINT", "only the size"),
    "a number does not become a VARCHAR": (
        "ALTER TABLE shop.orders ALTER COLUMN n TYPE VARCHAR(20)",
        "only the size of a VARCHAR",
    ),
    "a VARCHAR does not shrink below its values": (
        "ALTER TABLE shop.orders ALTER COLUMN v TYPE VARCHAR(3)",
        "existing values are longer",
    ),
    "a size must change": (
        "ALTER TABLE shop.orders ALTER COLUMN v TYPE VARCHAR(10)",
        "target column size should be different",
    ),
    "a key's type is fixed": ("ALTER TABLE shop.keyed ALTER COLUMN id TYPE VARCHAR(20)", "part of a key"),
    "a type with a default is fixed": (
        "ALTER TABLE shop.keyed ALTER COLUMN d TYPE VARCHAR(20)",
        "has a DEFAULT",
    ),
    "a type with some encodings is fixed": (
        "ALTER TABLE shop.keyed ALTER COLUMN e TYPE VARCHAR(20)",
        "its encoding",
    ),
    "a reserved word is no column": ("CREATE TABLE shop.x (tag INTEGER)", 'syntax error at or near "tag"'),
    "a reserved word is no table": ("CREATE TABLE shop.snapshot (a INTEGER)", 'at or near "snapshot"'),
    "a reserved word is no expression": ("SELECT percent FROM shop.orders", 'at or near "percent"'),
    "a VARCHAR has at most 65535 bytes": (
        "CREATE TABLE shop.x (a VARCHAR(65536))",
        "length for type varchar cannot exceed 65535",
    ),
    "a DECIMAL has at most 38 digits": (
        "CREATE TABLE shop.x (a DECIMAL(39,0))",
        "DECIMAL precision 39 must be between 1 and 38",
    ),
    "a DECIMAL has at most 37 decimals": ("CREATE TABLE shop.x (a DECIMAL(38,38))", "scale 38"),
    "PostgreSQL's types are not there": ("CREATE TABLE shop.x (a JSONB)", 'type "jsonb" does not exist'),
    "PostgreSQL's uuid is not there": ("CREATE TABLE shop.x (a UUID)", 'type "uuid" does not exist'),
    "a SUPER is no sort key": (
        "CREATE TABLE shop.x (a SUPER) SORTKEY (a)",
        "cannot be a distribution or sort key",
    ),
    "a sort key exists": ("CREATE TABLE shop.x (a INTEGER) SORTKEY (b)", '"b" named in key does not exist'),
    "PostgreSQL's partitions are not there": (
        "CREATE TABLE shop.x (a INT) PARTITION BY LIST (a)",
        "syntax error",
    ),
    "a temporary table has no schema": ("CREATE TEMP TABLE shop.x (a INT)", "may not specify a schema name"),
    "LIKE stands in parentheses": ("CREATE TEMP TABLE x LIKE shop.orders", "syntax error"),
    "there are no indexes": ("CREATE INDEX i ON shop.orders (id)", "syntax error"),
    "a text is counted in bytes": (
        "INSERT INTO shop.orders (v) VALUES ('ééééééé')",
        "Value too long for character type",
    ),
    "a call holds one statement": ("SELECT 1; SELECT 2", "cannot insert multiple commands"),
    "the transaction is the API's": ("BEGIN", "opens and ends the transaction"),
    "unknown statements are errors": ("FROBNICATE shop.orders", 'syntax error at or near "FROBNICATE"'),
    "SESSION AUTHORIZATION is not for callers": ("SET SESSION AUTHORIZATION postgres", "syntax error"),
    "PostgreSQL's COPY is not there": ("COPY shop.orders FROM STDIN", "syntax error"),
}


@pytest.mark.parametrize(("sql", "error"), REFUSED_STATEMENTS.values(), ids=REFUSED_STATEMENTS.keys())
def test_a_statement_is_refused(warehouse: Warehouse, sql: str, error: str) -> None:
    assert error in warehouse.error(sql)


REFUSED_IN_A_BATCH = {
    "TRUNCATE": ("TRUNCATE shop.orders", "TRUNCATE in a batch commits the transaction"),
    "VACUUM": ("VACUUM shop.orders", "VACUUM cannot run inside a transaction block"),
    "ALTER COLUMN TYPE": (
        "ALTER TABLE shop.orders ALTER COLUMN v TYPE VARCHAR(20)",
        "ALTER TABLE ALTER COLUMN cannot run inside a transaction block",
    ),
    "ALTER TABLE APPEND": (
        "ALTER TABLE shop.orders APPEND FROM shop.staged",
        "ALTER TABLE APPEND cannot run inside a transaction block",
    ),
    "COMMIT": ("COMMIT", "opens and ends the transaction"),
}


@pytest.mark.parametrize(("sql", "error"), REFUSED_IN_A_BATCH.values(), ids=REFUSED_IN_A_BATCH.keys())
def test_a_batch_does_not_take_what_no_transaction_takes(warehouse: Warehouse, sql: str, error: str) -> None:
    message = warehouse.error("SELECT 1", sql)
    assert message.startswith("Query #2 failed with ERROR: ")
    assert error in message


def test_alone_they_run(warehouse: Warehouse) -> None:
    warehouse.run("CREATE TABLE shop.alone (v VARCHAR(10))")
    for sql in (
        "INSERT INTO shop.alone VALUES ('a')",
        "ALTER TABLE shop.alone ALTER COLUMN v TYPE VARCHAR(20)",
        "VACUUM shop.alone",
        "TRUNCATE shop.alone",
    ):
        warehouse.run(sql)
    assert warehouse.run("SELECT COUNT(*) FROM shop.alone") == [(0,)]


def test_a_source_row_that_matches_twice_fails_the_merge(warehouse: Warehouse) -> None:
    twice = "INSERT INTO shop.staged (id, v) VALUES (1, 'a'), (1, 'b')"
    assert "Found multiple matches to update the same tuple." in warehouse.error(
        twice, f"{MERGE} {UPDATE} {INSERT}"
    )


def test_unmatched_duplicates_of_a_merge_are_all_inserted(warehouse: Warehouse) -> None:
    warehouse.run("CREATE TABLE shop.twice (id BIGINT, v VARCHAR(10))")
    merge = MERGE.replace("orders", "twice")
    warehouse.run("INSERT INTO shop.staged (id, v) VALUES (77, 'a'), (77, 'b')", f"{merge} {UPDATE} {INSERT}")
    assert warehouse.run("SELECT v FROM shop.twice ORDER BY 1") == [("a",), ("b",)]


def one(column: str, values: list[Any], kind: pa.DataType) -> pa.Table:
    return pa.table({column: pa.array(values, kind)})


NOON = datetime.datetime(2026, 1, 1, 12)
REFUSED_FILES: dict[str, tuple[str, Callable[[], pa.Table], str]] = {
    "int64 into INTEGER": (
        "shop.orders (n)",
        lambda: one("n", [1], pa.int64()),
        "Column type: INT, Parquet schema",
    ),
    "plain int32 into SMALLINT": (
        "shop.orders (s)",
        lambda: one("s", [1], pa.int32()),
        "Column type: SMALLINT, Parquet schema:\noptional int32",
    ),
    "int32 into BIGINT": (
        "shop.orders (id)",
        lambda: one("id", [1], pa.int32()),
        "incompatible Parquet schema",
    ),
    "a float into DECIMAL": ("shop.orders (d)", lambda: one("d", [1.0], pa.float64()), "DECIMAL(10,2)"),
    "a decimal of another scale": (
        "shop.orders (d)",
        lambda: one("d", [decimal.Decimal("1.5")], pa.decimal128(10, 1)),
        "incompatible Parquet schema",
    ),
    "a decimal of another precision": (
        "shop.orders (d)",
        lambda: one("d", [decimal.Decimal("1.50")], pa.decimal128(12, 2)),
        "incompatible Parquet schema",
    ),
    "a number into VARCHAR": (
        "shop.orders (v)",
        lambda: one("v", [1], pa.int64()),
        "Column type: VARCHAR(10)",
    ),
    "a text longer in bytes": (
        "shop.orders (v)",
        lambda: one("v", ["é" * 6], pa.string()),
        "The length of the data column v is longer than the length defined in the table. Table: 10, Data: 12",
    ),
    "nanoseconds": ("shop.orders (at)", lambda: one("at", [1], pa.timestamp("ns")), "nanosecond timestamps"),
    "milliseconds": ("shop.orders (at)", lambda: one("at", [1], pa.timestamp("ms")), "incompatible"),
    "a zoned time into TIMESTAMP": (
        "shop.orders (at)",
        lambda: one("at", [NOON], pa.timestamp("us", "UTC")),
        "incompatible",
    ),
    "a time of day": ("shop.orders (v)", lambda: one("v", [1], pa.time64("us")), "cannot load TIME columns"),
    "a list into VARCHAR": (
        "shop.orders (v)",
        lambda: one("v", [["a"]], pa.list_(pa.string())),
        "incompatible",
    ),
    "SUPER without SERIALIZETOJSON": (
        "shop.orders (doc)",
        lambda: one("doc", ["{}"], pa.string()),
        "SUPER column in COPY query requires SERIALIZETOJSON option",
    ),
    "fewer columns than the list": (
        "shop.orders (id, v)",
        lambda: one("id", [1], pa.int64()),
        "Unmatched number of columns between table and file. Table columns: 2, Data columns: 1",
    ),
    "fewer columns than the table": ("shop.orders", lambda: one("id", [1], pa.int64()), "Table columns: 7"),
    "names in another order": (
        "shop.orders (id, v)",
        lambda: pa.table({"v": ["a"], "id": [1]}),
        "incompatible Parquet schema",
    ),
    "NULL into NOT NULL": (
        "shop.keyed (id, d, e)",
        lambda: pa.table({"id": pa.array([None], pa.string()), "d": ["a"], "e": ["a"]}),
        "Cannot insert a NULL value into column id",
    ),
    "a list without a NOT NULL column": (
        "shop.keyed (d)",
        lambda: one("d", ["a"], pa.string()),
        "NOT NULL column without DEFAULT must be included in column list",
    ),
    "a list with an unknown column": (
        "shop.orders (nope)",
        lambda: one("nope", [1], pa.int64()),
        'column "nope" of relation "orders" does not exist',
    ),
}


@pytest.mark.parametrize(("target", "file", "error"), REFUSED_FILES.values(), ids=REFUSED_FILES.keys())
def test_a_copy_refuses_a_file(
    warehouse: Warehouse, target: str, file: Callable[[], pa.Table], error: str
) -> None:
    assert error in warehouse.error(warehouse.copy(target, file()))


@pytest.mark.parametrize(
    "option",
    [
        *("REGION 'us-east-1'", "COMPUPDATE OFF", "TRUNCATECOLUMNS", "MAXERROR 0", "NOLOAD", "ACCEPTANYDATE"),
        *(
            "BLANKSASNULL",
            "EMPTYASNULL",
            "DATEFORMAT 'auto'",
            "TIMEFORMAT 'auto'",
            "NULL AS ''",
            "GZIP",
            "ZSTD",
        ),
    ],
)
def test_a_columnar_copy_has_few_options(warehouse: Warehouse, option: str) -> None:
    copy = warehouse.copy("shop.orders (id)", one("id", [1], pa.int64()), option)
    assert (
        f"{option.split(maxsplit=1)[0]} argument is not supported for PARQUET based COPY"
        in warehouse.error(copy)
    )


def test_a_copy_is_columnar_and_authorised(warehouse: Warehouse) -> None:
    source = f"COPY shop.orders (id) FROM 's3://{BUCKET}/x'"
    assert "FORMAT AS PARQUET only" in warehouse.error(f"{source} IAM_ROLE '{ROLE}' FORMAT AS CSV")
    assert "requires IAM_ROLE" in warehouse.error(f"{source} FORMAT AS PARQUET")
    assert "Invalid IAM role ARN" in warehouse.error(f"{source} IAM_ROLE 'me' FORMAT AS PARQUET")


REFUSED_MANIFESTS: dict[str, tuple[dict[str, Any], str]] = {
    "without content_length": ({"meta": None}, "requires meta.content_length"),
    "with another content_length": ({"meta": {"content_length": 1}}, "content_length of the manifest is 1"),
    "with a missing mandatory file": ({"url": f"s3://{BUCKET}/nope"}, "Spectrum Scan Error: File not found"),
    "with an empty folder name": ({"url": f"s3://{BUCKET}/a//b"}, "File not found"),
    "with an address that is none": ({"url": "nowhere"}, "without a valid url"),
}


@pytest.mark.parametrize(("change", "error"), REFUSED_MANIFESTS.values(), ids=REFUSED_MANIFESTS.keys())
def test_a_copy_refuses_a_manifest(warehouse: Warehouse, change: dict[str, Any], error: str) -> None:
    size = warehouse.put("m.parquet", one("id", [1], pa.int64()))
    entry = {"url": f"s3://{BUCKET}/m.parquet", "mandatory": True, "meta": {"content_length": size}}
    address = warehouse.raw_manifest([{**entry, **change}])
    copy = f"COPY shop.orders (id) FROM '{address}' IAM_ROLE '{ROLE}' FORMAT AS PARQUET MANIFEST"
    assert error in warehouse.error(copy)


def test_a_copy_refuses_a_missing_or_broken_manifest(warehouse: Warehouse) -> None:
    copy = f"COPY shop.orders (id) FROM 's3://{BUCKET}/none' IAM_ROLE '{ROLE}' FORMAT AS PARQUET MANIFEST"
    assert "Problem reading manifest file" in warehouse.error(copy)
    warehouse.s3().put_object(Bucket=BUCKET, Key="broken", Body=b"{")
    assert "Problem reading manifest file" in warehouse.error(copy.replace("none", "broken"))


def test_a_copy_reads_buckets_of_its_own_region_only(warehouse: Warehouse) -> None:
    elsewhere = warehouse.s3("eu-west-1")
    elsewhere.create_bucket(Bucket="far", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    address = warehouse.raw_manifest(
        [{"url": "s3://far/a", "mandatory": True, "meta": {"content_length": 1}}]
    )
    copy = f"COPY shop.orders (id) FROM '{address}' IAM_ROLE '{ROLE}' FORMAT AS PARQUET MANIFEST"
    assert "must be addressed using the specified endpoint" in warehouse.error(copy)


WHERE = {"Database": "any", "WorkgroupName": "any"}
REFUSED_REQUESTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "41 statements": ("batch", {"Sqls": ["SELECT 1"] * 41, **WHERE}, "less than or equal to 40"),
    "no statement": ("batch", {"Sqls": [], **WHERE}, "at least one statement"),
    "an empty statement": ("execute", {"Sql": " ", **WHERE}, "must not be empty"),
    "100 KB": ("execute", {"Sql": "SELECT '" + "x" * 100_000 + "'", **WHERE}, "larger than 100kB"),
    "an empty parameter": (
        "execute",
        {"Sql": "SELECT :a", "Parameters": [{"name": "a", "value": ""}], **WHERE},
        "at least one character",
    ),
    "a parameter that is None": (
        "execute",
        {"Sql": "SELECT :a", "Parameters": [{"name": "a", "value": None}], **WHERE},
        "at least one character",
    ),
    "an unused parameter": (
        "batch",
        {"Sqls": ["SELECT 1"], "Parameters": [{"name": "a", "value": "1"}], **WHERE},
        "unused parameters",
    ),
    "a missing parameter": (
        "execute",
        {"Sql": "SELECT :b", "Parameters": [{"name": "a", "value": "1"}], **WHERE},
        "missing parameter: b",
    ),
    "an empty list of parameters": (
        "execute",
        {"Sql": "SELECT 1", "Parameters": [], **WHERE},
        "less than 1 item",
    ),
    "workgroup and cluster": (
        "execute",
        {"Sql": "SELECT 1", "ClusterIdentifier": "c", **WHERE},
        "Exactly one of",
    ),
    "neither workgroup nor cluster": ("execute", {"Sql": "SELECT 1", "Database": "d"}, "Exactly one of"),
    "no database": ("execute", {"Sql": "SELECT 1", "WorkgroupName": "w"}, "Database is required"),
    "DbUser with a workgroup": ("execute", {"Sql": "SELECT 1", "DbUser": "u", **WHERE}, "DbUser is allowed"),
    "DbUser with a secret": (
        "execute",
        {"Sql": "SELECT 1", "DbUser": "u", "SecretArn": "arn", "Database": "d", "ClusterIdentifier": "c"},
        "DbUser is allowed",
    ),
    "a token of 65 characters": ("execute", {"Sql": "SELECT 1", "ClientToken": "x" * 65, **WHERE}, "1 to 64"),
    "an endless wait": ("execute", {"Sql": "SELECT 1", "WaitTimeSeconds": 31, **WHERE}, "between 1 and 30"),
}


@pytest.mark.parametrize(
    ("call", "request_", "error"), REFUSED_REQUESTS.values(), ids=REFUSED_REQUESTS.keys()
)
def test_a_request_is_refused(warehouse: Warehouse, call: str, request_: dict[str, Any], error: str) -> None:
    client = warehouse.client(parameter_validation=False)
    send = client.batch_execute_statement if call == "batch" else client.execute_statement
    with pytest.raises(client.exceptions.ValidationException, match=error):
        send(**request_)


def test_an_unknown_workgroup_is_refused(postgres: Postgres) -> None:
    with serve(postgres, endpoints=["known"]) as warehouse:
        with pytest.raises(botocore.exceptions.ClientError, match="endpoint doesn't exist"):
            warehouse.submit("SELECT 1")
        assert warehouse.run("SELECT 1", WorkgroupName="known") == [(1,)]


def test_an_unknown_database_is_refused_as_a_failed_statement(warehouse: Warehouse) -> None:
    assert 'database "nope" does not exist' in warehouse.error("SELECT 1", Database="nope")


def test_an_unknown_database_user_is_refused_as_a_failed_statement(warehouse: Warehouse) -> None:
    client = warehouse.client()
    sent = client.execute_statement(
        Sql="SELECT 1", Database=warehouse.api.database, ClusterIdentifier="c", DbUser="nobody_at_all"
    )
    statement = client.describe_statement(Id=sent["Id"], WaitTimeSeconds=30)
    assert statement["Status"] == "FAILED"
    assert 'user "nobody_at_all" does not exist' in statement["Error"]


def test_statements_of_another_role_do_not_exist(warehouse: Warehouse) -> None:
    mine = warehouse.submit("SELECT 1", role="one")["Id"]
    other = warehouse.client("two")
    for call in (other.describe_statement, other.get_statement_result, other.cancel_statement):
        with pytest.raises(other.exceptions.ResourceNotFoundException, match="Query does not exist"):
            call(Id=mine)
    assert other.list_statements(Status="ALL")["Statements"] == []


def test_results_that_are_not_there_are_refused(warehouse: Warehouse) -> None:
    client = warehouse.client()
    for message in (
        warehouse.submit("CREATE SCHEMA IF NOT EXISTS shop"),
        warehouse.submit("SELECT 1", "SELECT 2"),
    ):
        with pytest.raises(client.exceptions.ResourceNotFoundException, match="does not have result"):
            client.get_statement_result(Id=message["Id"])


def test_a_finished_statement_is_not_cancelled(warehouse: Warehouse) -> None:
    client = warehouse.client()
    with pytest.raises(client.exceptions.ValidationException, match="already in FINISHED state"):
        client.cancel_statement(Id=warehouse.submit("SELECT 1")["Id"])


def test_a_role_has_no_rights_until_granted(warehouse: Warehouse) -> None:
    for sql, error in (
        ("SELECT * FROM shop.orders", "permission denied"),
        ("CREATE TABLE shop.mine (a INT)", "permission denied"),
        ("CREATE TABLE public.mine (a INT)", "permission denied"),
        ("CREATE SCHEMA mine", "permission denied"),
        ("SELECT * FROM stand_in.late_view", "permission denied"),
        ("CREATE USER friend PASSWORD DISABLE", "permission denied"),
    ):
        assert error in warehouse.error(sql, role="newcomer")
    assert (
        warehouse.run("SELECT table_name FROM svv_tables WHERE table_schema = 'shop'", role="newcomer") == []
    )
    with pytest.raises(Failed, match="permission denied"):
        warehouse.run(warehouse.copy("shop.orders (id)", one("id", [1], pa.int64())), role="newcomer")
