"""Our own contender: a range through the project's own extraction, its bucket a folder.

`python -m bench.tributary ENGINE PORT TABLE FOLDER [RANGES]`; ENGINE is `postgresql`, `mariadb`, or
`mariadb odbc` for the path that SQL Server is read by. Everything but S3's client is what runs in Lambda:
the engine, keyset pages, exact types, chunks with their footers. With RANGES the table is cut as Plan cuts
it, and each range is read by a process of its own, all at once.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet  # noqa: F401 - extraction imports the three when it first needs them

from bench.meter import metered
from tributary.engines import protocol, registry
from tributary.extraction import extract
from tributary.model.plan import Column, Plan, Range, TablePlan
from tributary.model.source_catalog import TableName
from tributary.planning import key_ranges
from tributary.secret import Secret
from tributary.storage.bucket import Bucket

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
        with (self.folder / Key).open("rb") as file:
            file.seek(max(-file.seek(0, 2), int(Range.removeprefix("bytes="))), 2)
            return {"Body": io.BytesIO(file.read())}

    def get_paginator(self, operation: str) -> Folder:
        """Return what lists the folder."""
        return self

    def paginate(self, *, Bucket: str, Prefix: str) -> Iterator[dict[str, Any]]:  # noqa: N803
        """List the objects under the prefix."""
        names = sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*.parquet"))
        matches = [name for name in names if name.startswith(Prefix)]
        yield {"Contents": [{"Key": name, "Size": (self.folder / name).stat().st_size} for name in matches]}


def main(engine_name: str, port: int, table_name: str, folder: Path, count: int) -> None:
    """Measure the read of the table's whole key."""
    engine = _engine(engine_name)
    user = {"postgresql": "postgres", "mysql": "root"}[MODULES[engine_name]]
    secret = Secret(host="127.0.0.1", port=port, username=user, dbname="bench", sslmode="disable")
    if count == 0:  # a process that reads one of several ranges
        table = TablePlan.model_validate_json(sys.stdin.readline())
        print("ready", flush=True)
        sys.stdin.readline()
    else:
        table = _plan(engine, secret, table_name, count)
        if count > 1:
            together(table, [engine_name, str(port), table_name])
            return
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
        plan, Bucket(Folder(folder), "bench"), session, CHUNK_SIZE_BYTES, time.monotonic() + 3600, "zstd"
    )

    def read() -> int:
        done = extract.read_range(extraction, table, table.read.ranges[0])
        session.drop()
        return done.footer.total_rows

    metered(read)


def together(table: TablePlan, words: list[str]) -> None:
    """Have each range read by a process of its own, begun at once, and print what all of them took."""
    with tempfile.TemporaryDirectory(prefix="ranges-", dir=Path(__file__).with_name(".data")) as folder:
        command = [sys.executable, "-m", "bench.tributary", *words, folder, "0"]
        readers = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in table.read.ranges
        ]
        for reader, part in zip(readers, key_ranges.per_range(table), strict=True):
            _tell(reader, part.model_dump_json())
        for reader in readers:
            _hear(reader)  # that it is ready
        for reader in readers:
            _tell(reader, "go")
        ends = [reader.communicate()[0].splitlines() for reader in readers]
    results = [json.loads(lines[-1]) for lines in ends]  # what comes before it is the log
    most = {name: max(one[name] for one in results) for name in ("seconds", "peak_mb", "imported_mb")}
    summed = {name: round(sum(one[name] for one in results), 3) for name in ("rows", "cpu_s")}
    print(json.dumps(most | summed))


def _tell(reader: subprocess.Popen[str], line: str) -> None:
    assert reader.stdin is not None
    print(line, file=reader.stdin, flush=True)


def _hear(reader: subprocess.Popen[str]) -> str:
    assert reader.stdout is not None
    if line := reader.stdout.readline():
        return line
    raise SystemExit("a process that reads a range ended without a figure")


def _engine(name: str) -> protocol.Engine:
    if name.endswith("odbc"):
        from tests.integration.engines import odbc_engines

        return odbc_engines.engine(MODULES[name], as_kept=True)
    return registry.get(MODULES[name])


def _plan(engine: protocol.Engine, secret: Secret, table_name: str, count: int) -> TablePlan:
    connection = engine.connect(secret, statement_timeout_s=60)
    schema = "public" if engine.quote("x") == '"x"' else "bench"
    [described] = engine.describe(connection, [TableName(schema, table_name)]).values()
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
    whole = Range(number=1, order=described.primary_key)
    key = [column.read() for name in described.primary_key for column in columns if column.name == name]
    cut = engine.key_range_ends(connection, TableName(schema, table_name), key, count) if count > 1 else []
    engine.close(connection)
    return TablePlan.from_fields(
        number=0,
        source=TableName(schema, table_name),
        schema_name="bench",
        table_name=table_name,
        mode="replace",
        columns=columns,
        key=described.primary_key,
        ranges=key_ranges.split_at(whole, cut),
        whole_read=True,
        full_refresh=True,
        exists=False,
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], Path(sys.argv[4]), int((*sys.argv, "1")[5]))
