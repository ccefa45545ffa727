"""What tests of failures need of a run while it is under way: gates to hold it at, and its traces."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pg8000.native

from .company import Company, PostgresSource, Source

GATE = 4711  # an advisory lock of the source's own database

FoundT = TypeVar("FoundT")


def until(look: Callable[[], FoundT], *, seconds: float = 30) -> FoundT:
    """Return the first truth that is seen; fails the test where none is in time."""
    give_up = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < give_up, f"nothing came within {seconds} s"
        time.sleep(0.05)
    return found


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


def gated_rows(rows: int) -> list[tuple[int, str]]:
    """Return what stands in a gated table."""
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
    asked = (
        f"SELECT pid FROM pg_stat_activity WHERE datname = '{source.name}' AND wait_event_type = 'Lock' "
        "AND wait_event = 'advisory'"
    )
    return [pid for (pid,) in source.sql(asked)]


@contextmanager
def warehouse_session(company: Company) -> Iterator[pg8000.native.Connection]:
    """Open a transaction in the warehouse, as somebody else's tool would."""
    port = company.stack.warehouse_port
    session = pg8000.native.Connection("postgres", host="127.0.0.1", port=port, database="warehouse")
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
    found: dict[str, Any] = company.document(f"_leases/{source.name}.json")
    return found


def fences(company: Company, source: Source) -> list[Any]:
    """Return the generations that stand in the source's fence."""
    rows = company.warehouse(
        f"SELECT generation FROM public.etl_fence WHERE source_name = '{source.name}' ORDER BY 1"
    )
    return [generation for (generation,) in rows]
