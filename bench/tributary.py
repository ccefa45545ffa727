"""Our own contender: a range through the project's own extraction, its bucket a folder.

`python -m bench.tributary ENGINE PORT TABLE FOLDER`; ENGINE is `postgresql`, `mariadb`, or `mariadb odbc`
for the path that SQL Server is read by. Everything but S3's client is what runs in Lambda: the engine,
keyset pages, exact types, chunks with their footers.
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.meter import metered
from tributary import engines, extract
from tributary.catalog import TableName
from tributary.documents import Column, Plan, Range, TablePlan
from tributary.secret import Secret
from tributary.storage import Bucket

CHUNK_SIZE_BYTES = 64 << 20  # as template.yaml sets it
MODULES = {"postgresql": "postgresql", "mariadb": "mysql", "mariadb odbc": "mysql"}


@dataclass(frozen=True)
class Folder:
    """As much of S3's client as an extraction uses, over a folder."""

    folder: Path

    def put_object(self, *, Bucket: str, Key: str, Body: Any, **_: str) -> dict[str, str]:  # noqa: N803
        """Create the object's file."""
        path = self.folder / Key
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            while part := Body.read(1 << 20):
                file.write(part)
        return {"ETag": "new"}

    def get_object(self, *, Bucket: str, Key: str, Range: str) -> dict[str, Any]:  # noqa: N803
        """Return the end of the object's file."""
        return {"Body": io.BytesIO((self.folder / Key).read_bytes()[int(Range.removeprefix("bytes=")) :])}

    def get_paginator(self, operation: str) -> Folder:
        """Return what lists the folder."""
        return self

    def paginate(self, *, Bucket: str, Prefix: str) -> Iterator[dict[str, Any]]:  # noqa: N803
        """List the objects under the prefix."""
        names = sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*.parquet"))
        found = [name for name in names if name.startswith(Prefix)]
        yield {"Contents": [{"Key": name, "Size": (self.folder / name).stat().st_size} for name in found]}


def main(engine_name: str, port: int, table_name: str, folder: Path) -> None:
    """Measure the read of the table's whole key."""
    engine = engines.get(MODULES[engine_name])
    if engine_name.endswith("odbc"):
        from tests.integration.engines import odbc_engines

        engine = odbc_engines.engine(MODULES[engine_name])
    user = {"postgresql": "postgres", "mysql": "root"}[MODULES[engine_name]]
    secret = Secret(host="127.0.0.1", port=port, username=user, dbname="bench", sslmode="disable")
    table = _plan(engine, secret, table_name)
    plan = Plan(
        version="bench",
        source="bench",
        engine=MODULES[engine_name],
        secret="bench",
        run_id="20261123_233901",
        generation=1,
        execution_arn="bench",
        started_at="2026-11-23T23:39:01Z",
        prefix="_runs/bench/",
        items=1,
        max_connections=1,
        statement_timeout_s=600,
        notify="all",
    )
    session = extract.Session(engine, secret, plan.statement_timeout_s)
    extraction = extract.Extraction(
        plan, Bucket(Folder(folder), "bench"), session, CHUNK_SIZE_BYTES, time.monotonic() + 3600
    )

    def read() -> int:
        done = extract.read_range(extraction, table, table.ranges[0])
        session.drop()
        return done.footer.total_rows

    metered(read)


def _plan(engine: Any, secret: Secret, table_name: str) -> TablePlan:
    connection = engine.connect(secret, statement_timeout_s=60)
    schema = "public" if engine.quote("x") == '"x"' else "bench"
    [described] = engine.describe(connection, [TableName(schema, table_name)]).values()
    engine.close(connection)
    columns = tuple(
        Column(
            name=column.name,
            type=column.type,
            kind=engine.kind(column),
            nullable=column.nullable,
            target=column.name,
        )
        for column in described.columns
    )
    return TablePlan(
        number=0,
        schema_name=schema,
        table_name=table_name,
        target_schema="bench",
        target_table=table_name,
        mode="replace",
        columns=columns,
        key=described.primary_key,
        ranges=(Range(number=1, order=described.primary_key),),
        whole=True,
        swap=True,
        exists=False,
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
