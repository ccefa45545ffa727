"""A company for a test: databases of its own, source files, secrets, runs, and a look at the warehouse.

Everything goes the way a user's does: a YAML file, a secret, an execution of the real state machine,
SQL through the Data API.
"""

from __future__ import annotations

import json
import re
import sqlite3
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pg8000.native
import pymysql

from local.databases.mariadb import MariaDB
from local.databases.postgres import Postgres
from tests.patience import PATIENCE_S, wait_for

from .written_output import Mailbox, WrittenOutput

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Ended:
    """How an execution ended."""

    arn: str
    status: str
    error: str | None
    output: Any
    report: dict[str, Any] | None

    def table(self, name: str) -> dict[str, Any]:
        """Return what the report says of a table, by the name that people call it."""
        assert self.report is not None
        return next(table for table in self.report["tables"] if table["table"] == name)


@dataclass
class Company:
    """The local stack and the servers that a test session shares."""

    stack: Any
    sources: Path
    postgres: Postgres
    mariadb: MariaDB | None
    directory: Path
    mailbox: Mailbox
    output: WrittenOutput
    clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        if service not in self.clients:
            self.clients[service] = self.stack.client(service)
        return self.clients[service]

    def source(self, engine: str) -> Source:
        """Return a new source: an empty database of its own, its secret made, no file yet."""
        name = f"s{uuid4().hex[:10]}"
        made = {"postgresql": PostgresSource, "mysql": MariaDBSource, "sqlite": SQLiteSource}[engine]
        source = made(self, name)
        source.create()
        source.put_secret(source.secret())
        return source

    def warehouse(self, sql: str) -> list[Row]:
        """Return the rows of a query, values as the Data API gives them."""
        api = self.client("redshift-data")
        where = {"WorkgroupName": self.stack.outputs["WarehouseWorkgroup"]}
        sent = api.execute_statement(Sql=sql, Database=self.stack.outputs["WarehouseDatabase"], **where)
        while (statement := api.describe_statement(Id=sent["Id"]))["Status"] in (
            "SUBMITTED",
            "PICKED",
            "STARTED",
        ):
            time.sleep(0.02)
        assert statement["Status"] == "FINISHED", statement.get("Error")
        rows: list[Row] = []
        if not statement["HasResultSet"]:
            return rows
        token: dict[str, str] = {}
        while True:
            page = api.get_statement_result(Id=sent["Id"], **token)
            rows += [tuple(_value(cell) for cell in record) for record in page["Records"]]
            if not page.get("NextToken"):
                return rows
            token = {"NextToken": page["NextToken"]}

    def warehouse_server(self) -> pg8000.native.Connection:
        """Return a session of the server behind the Data API, without TLS: its certificates take 20 ms."""
        port = self.stack.warehouse_port
        return pg8000.native.Connection(
            "postgres", host="127.0.0.1", port=port, database="warehouse", ssl_context=False
        )

    def start(self, source: str, **fields: Any) -> str:
        """Start an execution and return its ARN."""
        arn: str = self.client("stepfunctions").start_execution(
            stateMachineArn=self.stack.outputs["StateMachineArn"],
            input=json.dumps({"source": source, **fields}),
        )["executionArn"]
        return arn

    def wait(self, arn: str, *, seconds: float = PATIENCE_S) -> Ended:
        """Return how the execution ended; the test fails if it does not."""
        give_up = time.monotonic() + seconds
        states = self.client("stepfunctions")
        while (described := states.describe_execution(executionArn=arn))["status"] == "RUNNING":
            left = give_up - time.monotonic()
            assert left > 0, f"{arn} still runs after {seconds} s"
            self.stack.await_end(arn, min(left, 60))
        return Ended(
            arn=arn,
            status=described["status"],
            error=described.get("error"),
            output=json.loads(described["output"]) if described.get("output") else None,
            report=self.report(arn),
        )

    def wait_until(self, holds: Callable[[], bool], *, seconds: float = PATIENCE_S) -> None:
        """Return when the condition holds; the test fails if it never does."""
        wait_for(holds, seconds=seconds)

    def report(self, arn: str) -> dict[str, Any] | None:
        """Return the report of an execution, None if it wrote none."""
        bucket, s3 = self.stack.outputs["RawBucketName"], self.client("s3")
        source = json.loads(self.client("stepfunctions").describe_execution(executionArn=arn)["input"]).get(
            "source", ""
        )
        for key in reversed(self.keys(f"_runs/{source}/")):
            if key.endswith("/report.json"):
                report: dict[str, Any] = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
                if report["execution_arn"] == arn:
                    return report
        return None

    def keys(self, prefix: str) -> list[str]:
        """Return the keys of the raw bucket under a prefix, in order."""
        pages = self.client("s3").get_paginator("list_objects_v2")
        pages_of_keys = pages.paginate(Bucket=self.stack.outputs["RawBucketName"], Prefix=prefix)
        return [entry["Key"] for page in pages_of_keys for entry in page.get("Contents", [])]

    def document(self, key: str) -> Any:
        """Return a JSON object of the raw bucket."""
        bucket = self.stack.outputs["RawBucketName"]
        return json.loads(self.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())

    def invoke(self, function: str, event: dict[str, Any]) -> dict[str, Any]:
        """Call a function by itself and return its answer, errors included as Lambda tells them."""
        answer = self.client("lambda").invoke(
            FunctionName=self.function(function), Payload=json.dumps(event).encode()
        )
        payload = json.loads(answer["Payload"].read())
        return {"FunctionError": answer["FunctionError"], **payload} if "FunctionError" in answer else payload

    def function(self, logical_id: str) -> str:
        """Return the deployed name of a function of the template."""
        functions = self.client("lambda").list_functions()["Functions"]
        return next(str(f["FunctionName"]) for f in functions if logical_id in f["FunctionName"])


def _value(cell: dict[str, Any]) -> Any:
    return None if cell.get("isNull") else next(iter(cell.values()))


@dataclass
class Source:
    """One source: its database, its secret and its file."""

    company: Company
    name: str
    engine = ""
    settings = ""  # lines of the file that are about the whole source

    def create(self) -> None:
        raise NotImplementedError

    def secret(self) -> dict[str, Any]:
        raise NotImplementedError

    def connect(self) -> Any:
        """Return a session that may write."""
        raise NotImplementedError

    def sql(self, *statements: str) -> list[Row]:
        """Run statements, each committed, and return the rows of the last."""
        raise NotImplementedError

    @property
    def secret_name(self) -> str:
        return f"tributary/{self.name}"

    def put_secret(self, content: dict[str, Any] | str) -> None:
        """Create or replace the source's secret."""
        secrets = self.company.client("secretsmanager")
        text = content if isinstance(content, str) else json.dumps(content)
        try:
            secrets.create_secret(Name=self.secret_name, SecretString=text)
        except secrets.exceptions.ResourceExistsException:
            secrets.put_secret_value(SecretId=self.secret_name, SecretString=text)

    def file(self, yaml: str) -> None:
        """Write the source's file: engine and secret are filled in."""
        head = f"engine: {self.engine}\nsecret: {self.secret_name}\n{self.settings}"
        self.path.write_text(head + textwrap.dedent(yaml))

    @property
    def path(self) -> Path:
        return self.company.sources / f"{self.name}.yaml"

    def start(self, **fields: Any) -> str:
        return self.company.start(self.name, **fields)

    def run(self, **fields: Any) -> Ended:
        """Run the source and return how that ended."""
        return self.company.wait(self.start(**fields))

    def loaded(self, table: str, columns: str = "*", order: str = "1") -> list[Row]:
        """Return rows of a table of the warehouse."""
        return self.company.warehouse(f'SELECT {columns} FROM "{self.name}"."{table}" ORDER BY {order}')

    def control(self, table: str) -> list[dict[str, Any]]:
        """Return the control rows of a table, oldest first."""
        names = ["run_id", "generation", "mode", "cursor_column", "watermark", "records_processed"]
        rows = self.company.warehouse(
            f"SELECT {', '.join(names)} FROM public.etl_control WHERE source_name = '{self.name}' "
            f"AND table_name = '{table}' ORDER BY generation, run_id"
        )
        return [dict(zip(names, row, strict=True)) for row in rows]

    def watermark(self, table: str) -> str | None:
        """Return the committed watermark."""
        return self.control(table)[-1]["watermark"]  # type: ignore[no-any-return]


class PostgresSource(Source):
    engine = "postgresql"

    def create(self) -> None:
        admin = self.company.postgres.connect()
        admin.run(f'CREATE DATABASE "{self.name}"')
        admin.close()

    def secret(self) -> dict[str, Any]:
        server = self.company.postgres
        return {
            "host": server.host,
            "port": server.port,
            "username": "postgres",
            "password": "unused",
            "dbname": self.name,
            "sslmode": "disable",
        }

    def connect(self, **login: Any) -> pg8000.native.Connection:
        return self.company.postgres.connect(self.name, **login)

    def sql(self, *statements: str) -> list[Row]:
        session = self.connect()
        try:
            rows: list[Row] = []
            for statement in statements:
                rows = [tuple(row) for row in session.run(statement) or []]
            return rows
        finally:
            session.close()

    @contextmanager
    def transaction(self) -> Iterator[pg8000.native.Connection]:
        """Open a transaction that is committed at the end of the block."""
        session = self.connect()
        session.run("BEGIN")
        yield session
        session.run("COMMIT")
        session.close()


class MariaDBSource(Source):
    engine = "mysql"

    def create(self) -> None:
        self._admin(f"CREATE DATABASE `{self.name}` CHARACTER SET utf8mb4")

    def _admin(self, *statements: str) -> None:
        assert self.company.mariadb is not None
        session = self.company.mariadb.connect()
        for statement in statements:
            session.query(statement)
        session.close()

    def secret(self) -> dict[str, Any]:
        server = self.company.mariadb
        assert server is not None
        return {
            "host": server.host,
            "port": server.port,
            "username": "root",
            "password": "",
            "dbname": self.name,
            "sslmode": "disable",
        }

    def connect(self, **login: Any) -> pymysql.Connection[Any]:
        server = self.company.mariadb
        assert server is not None
        fields = {"user": "root", "password": "", **login}
        # without the certificates that PyMySQL loads to ask for TLS, 20 ms each time
        return pymysql.connect(
            host=server.host,
            port=server.port,
            database=self.name,
            charset="utf8mb4",
            ssl_disabled=True,
            **fields,
        )

    def sql(self, *statements: str) -> list[Row]:
        session = self.connect()
        try:
            rows: Sequence[Row] = []
            with session.cursor() as cursor:
                cursor.execute("SET time_zone = '+00:00'")
                for statement in statements:
                    cursor.execute(statement)
                    rows = cursor.fetchall()
            session.commit()
            return list(rows)
        finally:
            session.close()


class SQLiteSource(Source):
    engine = "sqlite"

    @property
    def database(self) -> Path:
        return self.company.directory / f"{self.name}.db"

    def create(self) -> None:
        sqlite3.connect(self.database).close()

    def secret(self) -> dict[str, Any]:
        return {"dbname": str(self.database)}

    def connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.database)

    def sql(self, *statements: str) -> list[Row]:
        session = self.connect()
        try:
            rows: list[Row] = []
            for statement in statements:
                rows = session.execute(statement).fetchall()
            session.commit()
            return rows
        finally:
            session.close()


def plain(name: str) -> str:
    """Return the name as a table of the warehouse: for sources whose schema is part of it."""
    return re.sub(r".*\.", "", name)
