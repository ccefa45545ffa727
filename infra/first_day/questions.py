"""The open questions to a real warehouse, each a few statements whose outcome is the answer."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from botocore.exceptions import ClientError

SCHEMA = "first_day"
FOLDER = "first-day"  # of the raw bucket
LONG_POLL_S = 30
ENDED = ("FINISHED", "FAILED", "ABORTED")

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: statements that prepare, then those whose outcome counts, as one batch if several."""

    name: str
    asks: str
    statements: tuple[str, ...]
    before: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Warehouse:
    """A warehouse behind the Data API, with the bucket that COPY reads. `address`: of each statement."""

    api: Any
    s3: Any
    address: dict[str, str]
    bucket: str
    copy_role: str

    def run(self, *statements: str) -> Answer:
        """Run the statements, several as one batch, and return what became of them."""
        try:
            if len(statements) == 1:
                sent = self.api.execute_statement(Sql=statements[0], **self.address)
            else:
                sent = self.api.batch_execute_statement(Sqls=list(statements), **self.address)
        except ClientError as error:  # the API's own refusal
            return {"status": "REFUSED", "error": str(error)}
        while True:
            state = self.api.describe_statement(Id=sent["Id"], WaitTimeSeconds=LONG_POLL_S)
            if state["Status"] in ENDED:
                break
        answer: Answer = {"status": state["Status"]}
        if state.get("Error"):
            answer["error"] = state["Error"]
        if len(statements) > 1:
            parts = state.get("SubStatements", [])
            answer["parts"] = [{"status": part["Status"], "error": part.get("Error")} for part in parts]
        elif state.get("HasResultSet"):
            records = self.api.get_statement_result(Id=sent["Id"])["Records"]
            answer["rows"] = [
                [None if cell.get("isNull") else next(iter(cell.values())) for cell in record]
                for record in records
            ]
        return answer

    def put(
        self,
        name: str,
        table: pa.Table,
        codec: Literal["snappy", "zstd", "gzip"],
        size_bytes: int | None = None,
    ) -> None:
        """Store a Parquet file and its manifest under the folder; the manifest may give another size."""
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression=codec)
        size = size_bytes or len(buffer.getvalue())
        key = f"{FOLDER}/{name}.parquet"
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=buffer.getvalue())
        entry = {"url": f"s3://{self.bucket}/{key}", "mandatory": True, "meta": {"content_length": size}}
        body = json.dumps({"entries": [entry]}).encode()
        self.s3.put_object(Bucket=self.bucket, Key=f"{FOLDER}/{name}.manifest", Body=body)

    def copy(self, target: str, name: str) -> str:
        """Return the COPY of a file that was put."""
        return (
            f"COPY {SCHEMA}.{target} FROM 's3://{self.bucket}/{FOLDER}/{name}.manifest' "
            f"IAM_ROLE '{self.copy_role}' FORMAT AS PARQUET MANIFEST"
        )


def _files(warehouse: Warehouse) -> None:
    numbers = pa.table({"a": pa.array([1, 2], pa.int64()), "b": pa.array(["x", "y"])})
    warehouse.put("snappy", numbers, "snappy")
    warehouse.put("zstd", numbers, "zstd")
    warehouse.put("gzip", numbers, "gzip")
    warehouse.put("bytes", pa.table({"v": pa.array([b"\x00\xff", None], pa.binary())}), "snappy")
    moment = pa.array([1_700_000_000_123_456], pa.timestamp("us", "UTC"))
    warehouse.put("moments", pa.table({"at": moment}), "snappy")
    warehouse.put("small", pa.table({"n": pa.array([7], pa.int16())}), "snappy")
    warehouse.put("decimal", pa.table({"d": pa.array(["1.5"]).cast(pa.decimal128(9, 2))}), "snappy")
    warehouse.put("empty", numbers.slice(0, 0), "snappy")
    millis = pa.array([1_700_000_000_123], pa.timestamp("ms"))
    warehouse.put("millis", pa.table({"at": millis}), "snappy")
    warehouse.put("floats", pa.table({"f": pa.array([float("nan"), float("inf"), -0.0])}), "snappy")
    warehouse.put("long", pa.table({"t": pa.array(["four"])}), "snappy")
    warehouse.put("short", numbers, "snappy", size_bytes=1)


def _create(table: str, columns: str) -> str:
    return f"CREATE TABLE {SCHEMA}.{table} ({columns})"


def questions(warehouse: Warehouse) -> Sequence[Question]:
    """Return every question, in the order of asking."""
    two = "a BIGINT, b VARCHAR(5)"
    s = SCHEMA
    merged = (_create("old_rows", two), _create("new_rows", two), f"INSERT INTO {s}.new_rows VALUES (1, 'x')")
    return (
        *(
            Question(
                f"copy_{codec}",
                f"Does COPY take Parquet compressed by {codec}?",
                (warehouse.copy(f"by_{codec}", codec),),
                (_create(f"by_{codec}", two),),
            )
            for codec in ("snappy", "zstd", "gzip")
        ),
        Question(
            "copy_column_list",
            "Does COPY of Parquet take a column list that is shorter than the table?",
            (warehouse.copy("listed (a, b)", "snappy"),),
            (_create("listed", f"{two}, c INTEGER DEFAULT 7"),),
        ),
        Question(
            "copy_bytes",
            "Does a Parquet BINARY load into VARBYTE?",
            (warehouse.copy("bytes", "bytes"),),
            (_create("bytes", "v VARBYTE(4)"),),
        ),
        Question(
            "copy_moments",
            "Does a Parquet timestamp in UTC load into TIMESTAMPTZ?",
            (warehouse.copy("moments", "moments"),),
            (_create("moments", "at TIMESTAMPTZ"),),
        ),
        Question(
            "copy_int16",
            "Does a Parquet INT32 that is annotated INT16 load into SMALLINT?",
            (warehouse.copy("small", "small"),),
            (_create("small", "n SMALLINT"),),
        ),
        Question(
            "copy_decimal",
            "Does a DECIMAL load into one with more digits?",
            (warehouse.copy("decimals", "decimal"),),
            (_create("decimals", "d DECIMAL(18, 2)"),),
        ),
        Question(
            "copy_bytes_without_length",
            "Does a Parquet BINARY load into VARBYTE without a length?",
            (warehouse.copy("any_bytes", "bytes"),),
            (_create("any_bytes", "v VARBYTE"),),
        ),
        Question(
            "copy_milliseconds",
            "Does a Parquet timestamp in milliseconds load into TIMESTAMP?",
            (warehouse.copy("millis", "millis"),),
            (_create("millis", "at TIMESTAMP"),),
        ),
        Question(
            "copy_not_a_number",
            "Do NaN and Infinity load into DOUBLE PRECISION?",
            (warehouse.copy("floats", "floats"),),
            (_create("floats", "f DOUBLE PRECISION"),),
        ),
        Question(
            "copy_too_long",
            "How does COPY name a text that is longer than its column?",
            (warehouse.copy("short_texts", "long"),),
            (_create("short_texts", "t VARCHAR(3)"),),
        ),
        Question(
            "copy_wrong_size",
            "Does COPY refuse a manifest with another size than its file has?",
            (warehouse.copy("by_snappy", "short"),),
        ),
        Question(
            "copy_empty",
            "Does a Parquet file without rows load?",
            (warehouse.copy("by_snappy", "empty"),),
        ),
        Question(
            "delete_using_table",
            "DELETE USING a table?",
            (f"DELETE FROM {s}.old_rows USING {s}.new_rows WHERE {s}.old_rows.a = {s}.new_rows.a",),
            merged,
        ),
        Question(
            "delete_using_subquery",
            "DELETE USING a subquery, which is not in the documented grammar?",
            (f"DELETE FROM {s}.old_rows USING (SELECT a FROM {s}.new_rows) AS n WHERE {s}.old_rows.a = n.a",),
        ),
        Question(
            "delete_exists",
            "DELETE with EXISTS?",
            (
                (
                    f"DELETE FROM {s}.old_rows WHERE EXISTS "
                    f"(SELECT 1 FROM {s}.new_rows WHERE {s}.new_rows.a = {s}.old_rows.a)"
                ),
            ),
        ),
        Question(
            "merge",
            "MERGE with both branches?",
            (
                (
                    f"MERGE INTO {s}.old_rows USING {s}.new_rows ON {s}.old_rows.a = {s}.new_rows.a "
                    f"WHEN MATCHED THEN UPDATE SET b = {s}.new_rows.b "
                    f"WHEN NOT MATCHED THEN INSERT (a, b) VALUES ({s}.new_rows.a, {s}.new_rows.b)"
                ),
            ),
        ),
        Question(
            "merge_a_subquery",
            "MERGE USING a subquery?",
            (
                (
                    f"MERGE INTO {s}.old_rows USING (SELECT a, b FROM {s}.new_rows) AS n "
                    f"ON {s}.old_rows.a = n.a WHEN MATCHED THEN UPDATE SET b = n.b "
                    "WHEN NOT MATCHED THEN INSERT (a, b) VALUES (n.a, n.b)"
                ),
            ),
        ),
        Question(
            "merge_one_branch",
            "MERGE with WHEN MATCHED alone?",
            (
                (
                    f"MERGE INTO {s}.old_rows USING {s}.new_rows ON {s}.old_rows.a = {s}.new_rows.a "
                    f"WHEN MATCHED THEN UPDATE SET b = {s}.new_rows.b"
                ),
            ),
        ),
        Question(
            "merge_with_an_alias",
            "MERGE with an alias of its target?",
            (
                (
                    f"MERGE INTO {s}.old_rows AS o USING {s}.new_rows AS n ON o.a = n.a "
                    "WHEN MATCHED THEN UPDATE SET b = n.b "
                    "WHEN NOT MATCHED THEN INSERT (a, b) VALUES (n.a, n.b)"
                ),
            ),
        ),
        Question(
            "parts_of_a_failed_batch",
            "Which states have the statements of a batch that fails in its second?",
            (f"INSERT INTO {s}.old_rows VALUES (9, 'z')", "SELECT 1/0", "SELECT 1"),
        ),
        Question(
            "failed_batch_left",
            "Did the first statement of that batch leave its row?",
            (f"SELECT COUNT(*) FROM {s}.old_rows WHERE a = 9",),
        ),
        Question(
            "catalog_words",
            "What does format_type call our types?",
            (
                (
                    "SELECT a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a "
                    "JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
                    f"WHERE n.nspname = '{s}' AND a.attnum > 0 "
                    "AND c.relname IN ('bytes', 'any_bytes', 'moments', 'decimals', 'short_texts')"
                ),
            ),
        ),
        Question(
            "catalog_widths",
            "Which numbers has pg_attribute for the widths of our types?",
            (
                (
                    "SELECT c.relname, a.attname, a.atttypmod FROM pg_attribute a "
                    "JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
                    f"WHERE n.nspname = '{s}' AND a.attnum > 0 "
                    "AND c.relname IN ('bytes', 'any_bytes', 'decimals', 'short_texts')"
                ),
            ),
        ),
        Question(
            "folded_name",
            "Under which name is a table whose quoted name has capitals?",
            ("SELECT relname FROM pg_class WHERE LOWER(relname) = 'capitals' AND relkind = 'r'",),
            (_create('"Capitals"', "a INTEGER"),),
        ),
        Question(
            "loader_name",
            "Under which name is the pipeline's user, whose IAM role has capitals?",
            ("SELECT usename FROM pg_user WHERE usename ILIKE 'iamr:%'",),
        ),
        Question(
            "widen_in_a_batch",
            "And in a batch?",
            (f"ALTER TABLE {s}.new_rows ALTER COLUMN b TYPE VARCHAR(99)", "SELECT 1"),
        ),
        Question(
            "widen_varchar",
            "Can a VARCHAR be widened by ALTER COLUMN, outside a batch?",
            (f"ALTER TABLE {s}.old_rows ALTER COLUMN b TYPE VARCHAR(65535)",),
        ),
        Question(
            "missing_table",
            "Which message names a relation that is missing?",
            (f"SELECT 1 FROM {s}.no_such_table",),
        ),
        Question(
            "mask_in_a_batch",
            "May a masking policy be created and attached in a batch?",
            (
                "CREATE MASKING POLICY first_day_mask WITH (b VARCHAR(65535)) USING ('x'::VARCHAR(65535))",
                f"ATTACH MASKING POLICY first_day_mask ON {s}.old_rows (b) TO PUBLIC",
            ),
        ),
        Question(
            "rows_in_a_batch",
            "May a row-level policy be created, attached and switched on in a batch?",
            (
                "CREATE RLS POLICY first_day_rows WITH (a BIGINT) USING (a > 0)",
                f"ATTACH RLS POLICY first_day_rows ON {s}.old_rows TO PUBLIC",
                f"ALTER TABLE {s}.old_rows ROW LEVEL SECURITY ON",
            ),
        ),
        Question(
            "rows_detached",
            "And switched off, detached and dropped?",
            (
                f"ALTER TABLE {s}.old_rows ROW LEVEL SECURITY OFF",
                f"DETACH RLS POLICY first_day_rows ON {s}.old_rows FROM PUBLIC",
                "DROP RLS POLICY first_day_rows",
            ),
        ),
        Question(
            "mask_detached",
            "And detached and dropped?",
            (
                f"DETACH MASKING POLICY first_day_mask ON {s}.old_rows (b) FROM PUBLIC",
                "DROP MASKING POLICY first_day_mask",
            ),
        ),
    )


def ask(warehouse: Warehouse) -> dict[str, Answer]:
    """Ask every question and return the answers by name; the warehouse is left as it was."""
    _files(warehouse)
    warehouse.run(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
    answers: dict[str, Answer] = {"create_schema": warehouse.run(f"CREATE SCHEMA {SCHEMA}")}
    for question in questions(warehouse):
        prepared = [warehouse.run(statement) for statement in question.before]
        failed = [answer for answer in prepared if answer["status"] != "FINISHED"]
        answer = failed[0] | {"prepared": False} if failed else warehouse.run(*question.statements)
        answers[question.name] = {"asks": question.asks, **answer}
    answers["drop_schema"] = warehouse.run(f"DROP SCHEMA {SCHEMA} CASCADE")
    return answers
