"""Run two sources for a while in the local stack, and keep what its dashboard would show.

`python -m bench.dashboard` writes `bench/results/dashboard.json`: the dashboard as the stack deployed it, and
every metric and log line that the functions emitted. `bench/picture.py` draws that.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "layers" / "tributary"))

from local.databases.postgres import Postgres  # noqa: E402 - the package's path comes first
from local.pipeline import Pipeline  # noqa: E402
from local.stack import Spawned, spawn  # noqa: E402

ROUNDS = 8
FILES = {
    "shop": "tables: [{name: public.orders, mode: merge, cursor: at, cursor_time_zone: UTC}, "
    "{name: public.countries, mode: replace}]",
    "crm": "tables: [{name: public.customers, mode: history}, {name: public.visits, mode: replace}]",
}
TABLES = {
    "shop": (
        "CREATE TABLE orders (id int PRIMARY KEY, note text, at timestamp NOT NULL DEFAULT now())",
        "CREATE TABLE countries (id int PRIMARY KEY, name text)",
        "INSERT INTO countries SELECT n, 'country ' || n FROM generate_series(1, 200) AS n",
        "INSERT INTO orders SELECT n, repeat('x', 50) FROM generate_series(1, 40000) AS n",
    ),
    "crm": (
        "CREATE TABLE customers (id int PRIMARY KEY, name text)",
        "CREATE TABLE visits (id int PRIMARY KEY, until timestamp)",
        "INSERT INTO customers SELECT n, 'customer ' || n FROM generate_series(1, 15000) AS n",
        "INSERT INTO visits SELECT n, '2026-01-01' FROM generate_series(1, 5000) AS n",
    ),
}


def changes(name: str, number: int) -> Iterator[str]:
    """Yield what happens in a source before its run of that number."""
    if name == "shop":
        yield f"UPDATE orders SET note = 'again', at = now() WHERE id % 50 = {number}"
        first, rows = 100_000 * (number + 1), 1000 * (1 + number % 4)
        yield f"INSERT INTO orders SELECT n, 'new' FROM generate_series({first}, {first + rows}) AS n"
    else:
        yield f"UPDATE customers SET name = name || '.' WHERE id % 40 = {number}"
        if number == 4:
            yield "UPDATE visits SET until = 'infinity' WHERE id = 7"  # which the warehouse cannot hold
        if number == 6:
            yield "UPDATE visits SET until = now() WHERE id = 7"


def main() -> None:
    """Run the sources, and write down what was emitted."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        sources = directory / "sources"
        sources.mkdir()
        for name, text in FILES.items():
            head = f"engine: postgresql\nsecret: tributary/{name}\n"
            (sources / f"{name}.yaml").write_text(f"{head}{text}\n")
        with Postgres.start() as server, spawn(directory / "stack", sources=sources) as stack:
            _fill(server, stack)
            for number in range(ROUNDS):
                for name in FILES:
                    _change(server, name, list(changes(name, number)))
                for arn in [stack.start_run(name) for name in FILES]:
                    stack.wait(arn)
            content = _told(stack)
    (ROOT / "bench" / "results" / "dashboard.json").write_text(json.dumps(content, indent=1) + "\n")


def _fill(server: Postgres, stack: Pipeline) -> None:
    for name, statements in TABLES.items():
        admin = server.connect()
        admin.run(f"CREATE DATABASE {name}")
        admin.close()
        _change(server, name, list(statements))
        login = {"host": server.host, "port": server.port, "username": "postgres", "password": "unused"}
        secret = json.dumps({**login, "dbname": name, "sslmode": "disable"})
        stack.client("secretsmanager").create_secret(Name=f"tributary/{name}", SecretString=secret)


def _change(server: Postgres, name: str, statements: list[str]) -> None:
    session = server.connect(name)
    for statement in statements:
        session.run(statement)
    session.close()


def _told(stack: Spawned) -> dict[str, Any]:
    """Return the dashboard, the metrics with their times, and the lines that its queries count."""
    watch = stack.client("cloudwatch")
    body = watch.get_dashboard(DashboardName=stack.outputs["DashboardName"])["DashboardBody"]
    lines = [
        json.loads(line)
        for log in sorted(stack.logs.glob("*.log"))
        for line in log.read_text().splitlines()
        if line.startswith("{") and '"source"' in line
    ]
    return {
        "dashboard": json.loads(body),
        "metrics": [_metrics(line) for line in lines if "_aws" in line],
        "lines": [_line(line) for line in lines if line.get("message", "").startswith("table ")],
    }


def _metrics(line: dict[str, Any]) -> dict[str, Any]:
    [declared] = line["_aws"]["CloudWatchMetrics"]
    values = {metric["Name"]: line[metric["Name"]][0] for metric in declared["Metrics"]}
    return {"at_ms": line["_aws"]["Timestamp"], "source": line["source"], "values": values}


def _line(line: dict[str, Any]) -> dict[str, Any]:
    kept = ("message", "source", "table", "extract_s", "load_ms", "rows", "lag_s")
    return {name: line[name] for name in kept if name in line}


if __name__ == "__main__":
    main()
