"""A warehouse stand-in behind HTTP, spoken to by the real boto3 client, with moto's S3 beside it."""

from __future__ import annotations

import functools
import io
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
from botocore.config import Config
from moto.server import ThreadedMotoServer
from werkzeug.serving import WSGIRequestHandler, make_server

from local.databases.postgres import Postgres
from local.redshift import DataApi

ROLE = "arn:aws:iam::123456789012:role/copy"
REGION = "us-east-1"
BUCKET = "raw"
Row = tuple[Any, ...]


class Silent(WSGIRequestHandler):
    """A handler that prints no line per request."""

    def log(self, type: str, message: str, *args: Any) -> None:
        """Leave the request unlogged."""


class Failed(AssertionError):
    """A statement that did not finish; the message is its Error."""


@functools.lru_cache
def client(service: str, url: str, *, role: str = "admin", region: str = REGION, **config: Any) -> Any:
    """Return a client whose access key is the role's name, `admin` for the administrator."""
    session: Any = boto3.session.Session()
    return session.client(
        service,
        endpoint_url=url,
        region_name=region,
        aws_access_key_id=role,
        aws_secret_access_key="none",
        config=Config(retries={"total_max_attempts": 1}, **config),
    )


@dataclass(frozen=True, slots=True)
class Warehouse:
    """The stand-in and the S3 that its COPY reads."""

    api: DataApi
    url: str

    def client(self, role: str = "admin", **config: Any) -> Any:
        """Return a Data API client that calls as the role."""
        return client("redshift-data", self.url, role=role, **config)

    def submit(self, *sqls: str, role: str = "admin", **more: Any) -> dict[str, Any]:
        """Run the statements, one alone or several as a batch, and return what DescribeStatement tells."""
        data = self.client(role)
        where = {"Database": self.api.database, "WorkgroupName": "any", **more}
        if len(sqls) == 1 and not more.get("ExecutionMode"):
            sent = data.execute_statement(Sql=sqls[0], **where)
        else:
            sent = data.batch_execute_statement(Sqls=list(sqls), **where)
        statement: dict[str, Any] = data.describe_statement(Id=sent["Id"], WaitTimeSeconds=30)
        return statement

    def run(self, *sqls: str, role: str = "admin", **more: Any) -> list[Row]:
        """Run the statements and return the rows of the last; raises Failed."""
        statement = self.submit(*sqls, role=role, **more)
        if statement["Status"] != "FINISHED":
            raise Failed(statement.get("Error"))
        identifier = f"{statement['Id']}:{len(sqls)}" if "SubStatements" in statement else statement["Id"]
        return self.rows(identifier, role) if statement["HasResultSet"] else []

    def rows(self, identifier: str, role: str = "admin") -> list[Row]:
        """Return all pages of a result."""
        data = self.client(role)
        if not data.describe_statement(Id=identifier)["HasResultSet"]:
            return []
        pages = data.get_paginator("get_statement_result").paginate(Id=identifier)
        return [tuple(map(_value, record)) for page in pages for record in page["Records"]]

    def error(self, *sqls: str, role: str = "admin", **more: Any) -> str:
        """Return the error of statements that must fail."""
        statement = self.submit(*sqls, role=role, **more)
        assert statement["Status"] == "FAILED", statement
        return str(statement["Error"])

    def s3(self, region: str = REGION) -> Any:
        """Return an S3 client."""
        return client("s3", objects(), region=region)

    def put(self, key: str, table: pa.Table, **options: Any) -> int:
        """Write the table as Parquet and return the object's size."""
        written = io.BytesIO()
        pq.write_table(table, written, **options)
        self.s3().put_object(Bucket=BUCKET, Key=key, Body=written.getvalue())
        return len(written.getvalue())

    def manifest(self, *entries: tuple[str, int]) -> str:
        """Write a manifest of keys with their sizes and return its address."""
        return self.raw_manifest(
            [
                {"url": f"s3://{BUCKET}/{k}", "mandatory": True, "meta": {"content_length": n}}
                for k, n in entries
            ]
        )

    def raw_manifest(self, entries: Sequence[dict[str, Any]]) -> str:
        """Write a manifest as it is given and return its address."""
        key = f"manifests/{uuid4()}"
        self.s3().put_object(Bucket=BUCKET, Key=key, Body=json.dumps({"entries": entries}).encode())
        return f"s3://{BUCKET}/{key}"

    def copy(self, target: str, table: pa.Table, options: str = "", **written: Any) -> str:
        """Write the table and its manifest, and return the COPY that loads it."""
        key = f"chunks/{uuid4()}.parquet"
        address = self.manifest((key, self.put(key, table, **written)))
        return (
            f"COPY {target} FROM '{address}' IAM_ROLE '{ROLE}' FORMAT AS PARQUET MANIFEST {options}".strip()
        )


def _value(cell: dict[str, Any]) -> Any:
    return None if cell.get("isNull") else next(iter(cell.values()))


def objects() -> str:
    """Return the address of the S3 of the whole test process, which another module may have emptied."""
    url = _moto()
    client("s3", url).create_bucket(Bucket=BUCKET)
    return url


@functools.cache
def _moto() -> str:
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    return "http://{}:{}".format(*moto.get_host_and_port())


@contextmanager
def serve(postgres: Postgres, **options: Any) -> Iterator[Warehouse]:
    """Serve a warehouse in a database of its own."""
    options = {
        "identify": lambda key: None if key == "admin" else key,
        "database": f"w{uuid4().hex[:12]}",
        "s3": lambda role: client("s3", objects()),
        **options,
    }
    api = DataApi(postgres, **options)
    server = make_server("127.0.0.1", 0, api, threaded=True, request_handler=Silent)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield Warehouse(api, f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        api.close()
