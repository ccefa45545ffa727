"""What tests of failures need of a run while it is under way: gates to hold it at, and its traces."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pg8000.native

from tributary.model.plan import Item, Plan
from tributary.model.result import TableResult
from tributary.redshift.control import ControlRow
from tributary.redshift.data_api import Warehouse
from tributary.redshift.publish import publish
from tributary.redshift.stage import manifest, stage, staging_name
from tributary.redshift.text_sizes import with_sizes
from tributary.storage import object_keys

from .company import Company, PostgresSource, Source

GATE = 4711  # an advisory lock of the source's own database


def gated(source: PostgresSource, *, rows: int, gate_at: int, pause_s: float = 0) -> None:
    """Make a table `gated` (id, note) whose rows from `gate_at` on can be read only while the gate is open.

    A row-level policy is the gate, so the source is read by a user of its own. Each row read takes
    `pause_s`.
    """
    source.sql(
        f"""CREATE FUNCTION pass_gate(id int) RETURNS boolean LANGUAGE plpgsql STABLE COST 100000 AS $$
        BEGIN
          PERFORM pg_sleep({pause_s});
          IF id >= {gate_at} THEN
            PERFORM pg_advisory_lock_shared({GATE});
            PERFORM pg_advisory_unlock_shared({GATE});
          END IF;
          RETURN true;
        END $$""",
        "CREATE TABLE gated (id int NOT NULL PRIMARY KEY, note text)",
        f"INSERT INTO gated SELECT id, 'note ' || id FROM generate_series(1, {rows}) AS id",
        "ALTER TABLE gated ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY gate ON gated USING (pass_gate(id))",
        f"CREATE ROLE {source.name} LOGIN PASSWORD 'only-here'",
        f"GRANT SELECT ON gated TO {source.name}",
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO {source.name}",
    )
    source.put_secret({**source.secret(), "username": source.name, "password": "only-here"})
    source.settings = "rows: visible\n"  # a policy is refused otherwise, though this one hides no row


def gated_rows(rows: int) -> list[tuple[int, str]]:
    """Return the rows of a gated table."""
    return [(number, f"note {number}") for number in range(1, rows + 1)]


@contextmanager
def closed_gate(source: PostgresSource) -> Iterator[Callable[[], None]]:
    """Close the gate; the block gets what opens it, and it is open after the block."""
    session = source.connect()
    session.run(f"SELECT pg_advisory_lock({GATE})")

    def open_gate() -> None:
        session.run(f"SELECT pg_advisory_unlock({GATE})")

    try:
        yield open_gate
    finally:
        session.close()


def readers(source: PostgresSource) -> list[int]:
    """Return the source's sessions that wait at the gate."""
    query = (
        f"SELECT pid FROM pg_stat_activity WHERE datname = '{source.name}' AND wait_event_type = 'Lock' "
        "AND wait_event = 'advisory'"
    )
    return [pid for (pid,) in source.sql(query)]


@contextmanager
def warehouse_session(company: Company) -> Iterator[pg8000.native.Connection]:
    """Open a transaction in the warehouse, as another tool would."""
    session = company.warehouse_server()
    try:
        session.run("BEGIN")
        yield session
    finally:
        session.close()


@contextmanager
def configured(company: Company, function: str, **fields: Any) -> Iterator[None]:
    """Change a function's time-out (`timeout_s`) or environment for the block."""
    name, api = company.stack.functions[function], company.client("lambda")
    before = api.get_function_configuration(FunctionName=name)
    company.stack.configure(function, **fields)
    try:
        yield
    finally:
        environment = {"Variables": before.get("Environment", {}).get("Variables", {})}
        api.update_function_configuration(
            FunctionName=name, Timeout=before["Timeout"], Environment=environment
        )


@contextmanager
def watched(endpoint_url: str, *, refusals: int = 0) -> Iterator[tuple[str, list[str]]]:
    """Stand before an endpoint; the block gets the address to call instead, and the calls so far.

    The first `refusals` of them are refused as a throttled API does.
    """
    calls: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            calls.append(self.headers["X-Amz-Target"])
            if len(calls) <= refusals:
                return self.answer(400, b'{"__type": "ThrottlingException", "Message": "Rate exceeded"}')
            request = urllib.request.Request(endpoint_url, body, dict(self.headers))
            try:
                with urllib.request.urlopen(request) as answer:
                    return self.answer(answer.status, answer.read())
            except urllib.error.HTTPError as error:
                return self.answer(error.code, error.read())

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", calls
    finally:
        server.shutdown()
        server.server_close()


def stop(company: Company, arn: str) -> None:
    """Abort the execution, as a person does in the console."""
    company.client("stepfunctions").stop_execution(executionArn=arn)
    assert company.wait(arn).status == "ABORTED"


def newest_run(company: Company, source: Source) -> str | None:
    """Return the folder of the source's newest run that is planned, with its slash."""
    plans = [key for key in company.keys(f"_runs/{source.name}/") if key.endswith("/plan.json")]
    return plans[-1].removesuffix("plan.json") if plans else None


def loads(company: Company, source: Source) -> list[dict[str, Any]]:
    """Return the newest run's ledger of tables, empty where its load has not begun."""
    run = newest_run(company, source)
    if not run or f"{run}load.json" not in company.keys(run):
        return []
    tables: list[dict[str, Any]] = company.document(f"{run}load.json")["tables"]
    return tables


def chunks(company: Company, source: Source) -> list[str]:
    """Return the keys of the source's chunks."""
    return company.keys(f"{source.name}/")


def lease(company: Company, source: Source) -> dict[str, Any]:
    """Return the source's lease."""
    document: dict[str, Any] = company.document(f"_leases/{source.name}.json")
    return document


def fences(company: Company, source: Source) -> list[Any]:
    """Return the generations in the source's fence."""
    rows = company.warehouse(
        f"SELECT generation FROM public.etl_fence WHERE source_name = '{source.name}' ORDER BY 1"
    )
    return [generation for (generation,) in rows]


def data_api(company: Company) -> Warehouse:
    """Return the warehouse as the package sees it."""
    outputs = company.stack.outputs
    where = {"Database": outputs["WarehouseDatabase"], "WorkgroupName": outputs["WarehouseWorkgroup"]}
    return Warehouse(company.client("redshift-data"), where)


def load_again(company: Company, source: Source) -> None:
    """Load the newest run's only table once more, as if nothing was known of its first load."""
    run = newest_run(company, source)
    assert run is not None
    for number, batch in enumerate(batches(company, source, run.split("/")[-2])):
        data_api(company).run(batch, f"again-{number}")


def batches(company: Company, source: Source, run_id: str) -> tuple[list[str], list[str]]:
    """Return what a run's Load sends for its only table, in words of the run's own documents."""
    run = f"_runs/{source.name}/{run_id}/"
    plan = Plan.model_validate(company.document(f"{run}plan.json"))
    [table] = Item.model_validate(company.document(f"{plan.prefix}0.json")).tables
    result = TableResult.model_validate(company.document(f"{run}results/0.json"))
    table = with_sizes(table, result.longest)
    bucket = company.stack.outputs["RawBucketName"]
    key = object_keys.manifest(source.name, run_id, object_keys.table_folder(table.raw_name))
    company.client("s3").put_object(Bucket=bucket, Key=key, Body=manifest(bucket, result.chunks))
    committed = ControlRow(
        source=source.name,
        table=table.name,
        run_id=run_id,
        generation=plan.generation,
        mode=table.mode,
        target=table.target.name,
        cursor=table.read.cursor,
        watermark=table.publish.next_watermark,
        rows=result.rows,
        chunks=len(result.chunks),
        size_bytes=result.size_bytes,
    )
    name = staging_name(source.name, run_id, 0)
    role = "arn:aws:iam::123456789012:role/tributary-CopyRole"
    staged = stage(table, name, f"s3://{bucket}/{key}", role)
    return staged, publish(table, name, committed)
