"""What runs take of AWS: the real state machine run on this machine, and all that is billed counted.

Transitions come from the execution's history, the functions' seconds, processor time and memory from their
logs, requests from the gateway. Every function starts cold, as it does where a schedule is an hour.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import re
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

from bench import data
from bench.measured import load, machine, save
from local.databases.postgres import Postgres
from local.pipeline import Run
from local.stack import Stack

FILE = "usage.json"
FUNCTIONS = ("Plan", "Extract", "Load", "Report")
AT_DEPLOYS = ("Warehouse", "Schedules")
RANGES = (1, 2, 4, 8)
QUIET_TABLES = 20
MADE_AT_ONCE = 250  # a server keeps locks for some thousands of tables
LINE = re.compile(r"^REPORT RequestId: .*$", re.MULTILINE)
FIGURE = re.compile(r"(Init Duration|Duration|CPU|Max Memory Used): (\d+) m?[sM]")
Row = dict[str, Any]
_fresh = count(1)


@dataclass
class Meter:
    """A stack, and how far its counters were when a run began."""

    stack: Stack

    def run(self, source: str) -> dict[str, Any]:
        """Run the source with cold functions and return what that took; the run must succeed."""
        return self.metered(lambda: self.stack.run(source, timeout_s=3600))

    def metered(self, act: Callable[[], Run | None]) -> dict[str, Any]:
        """Do it with cold functions and return what it took."""
        for name in FUNCTIONS:
            self.stack.configure(f"{name}Function", MEASURED=str(next(_fresh)))
        logs = {name: self._log(name) for name in FUNCTIONS}
        before = {name: len(log.read_bytes()) if log.exists() else 0 for name, log in logs.items()}
        earlier = Counter(self.stack.platform.gateway.requests)
        ended = act()
        taken: dict[str, Any] = {"requests": self._requests(earlier)}
        calls = {
            name: log.read_bytes()[before[name] :].decode() for name, log in logs.items() if log.exists()
        }
        taken["functions"] = {name: _calls(text) for name, text in calls.items() if LINE.search(text)}
        return taken | (_of_run(ended) if ended else {})

    def deploy(self) -> Row:
        """Return what the functions took that have run as the stack was deployed."""
        calls = {name: self._log(name).read_text() for name in AT_DEPLOYS}
        return {
            "run": "a deploy",
            "tables": 0,
            "rows": 0,
            "ranges": 1,
            "functions": {name: _calls(text) for name, text in calls.items()},
        }

    def _requests(self, earlier: Counter[Any]) -> dict[str, int]:
        platform = self.stack.platform
        return _by_service(
            platform.gateway.requests - earlier, lambda key: platform.functions.identify(key) is not None
        )

    def _log(self, name: str) -> Path:
        return self.stack.logs / f"{self.stack.functions[f'{name}Function']}.log"


def _calls(log: str) -> dict[str, Any]:
    """Return what a function's calls took, summed, and the most memory of one."""
    calls = [dict(FIGURE.findall(line)) for line in LINE.findall(log)]
    milliseconds = {
        name: sum(int(call.get(key, 0)) for call in calls)
        for name, key in (("seconds", "Duration"), ("init_s", "Init Duration"), ("cpu_s", "CPU"))
    }
    return {
        "calls": len(calls),
        "starts": sum("Init Duration" in call for call in calls),
        **{name: round(value / 1000, 3) for name, value in milliseconds.items()},
        "peak_mb": max(int(call.get("Max Memory Used", 0)) for call in calls),
    }


def _by_service(requests: Counter[Any], is_function: Callable[[str], bool]) -> dict[str, int]:
    """Return how often the functions asked each service; S3's by what it bills them as."""
    counts: Counter[str] = Counter()
    for request, times in requests.items():
        if not is_function(request.key):
            continue
        name = request.service
        if name == "s3":
            lists = request.method == "GET" and request.whole
            writes = request.method in ("PUT", "POST") or lists
            name = "s3 write or list" if writes else "s3 delete" if request.method == "DELETE" else "s3 read"
        counts[name] += times
    return dict(sorted(counts.items()))


def _of_run(run: Run) -> dict[str, Any]:
    assert run.status == "SUCCEEDED", (run.error, run.cause)
    kinds = Counter(event["type"] for event in run.history)
    entered = sum(times for kind, times in kinds.items() if kind.endswith("StateEntered"))
    again = kinds["TaskScheduled"] - kinds["TaskStateEntered"]  # a Task that is tried again is billed again
    return {
        "seconds": _between(run.history, lambda _: True),
        "extract_s": _between(run.history, lambda event: _state(event) == "ExtractItems"),
        "transitions": entered + again,
        "history_events": len(run.history),
    }


def _between(history: Sequence[dict[str, Any]], holds: Callable[[dict[str, Any]], bool]) -> float:
    times: list[datetime] = [event["timestamp"] for event in history if holds(event)]
    return round((times[-1] - times[0]).total_seconds(), 2) if times else 0.0


def _state(event: dict[str, Any]) -> str | None:
    details = (
        value for key, value in event.items() if key.endswith(("EnteredEventDetails", "ExitedEventDetails"))
    )
    return next((detail["name"] for detail in details), None)


@dataclass
class Company:
    """Sources on PostgreSQL, their files and their secrets."""

    meter: Meter
    files: Path

    def source(self, name: str, port: int, database: str, yaml: str) -> str:
        """Write the file and the secret of a source; return its name."""
        (self.files / f"{name}.yaml").write_text(f"engine: postgresql\nsecret: tributary/{name}\n{yaml}\n")
        login = {"host": "127.0.0.1", "port": port, "username": "postgres", "password": "unused"}
        self.meter.stack.client("secretsmanager").create_secret(
            Name=f"tributary/{name}",
            SecretString=json.dumps({**login, "dbname": database, "sslmode": "disable"}),
        )
        return name

    def report(self, source: str) -> dict[str, Any]:
        """Return the report of the source's newest run."""
        s3, bucket = self.meter.stack.client("s3"), self.meter.stack.outputs["RawBucketName"]
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"_runs/{source}/")
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        newest = max(key for key in keys if key.endswith("/report.json"))
        report: dict[str, Any] = json.loads(s3.get_object(Bucket=bucket, Key=newest)["Body"].read())
        return report

    def extract(self, source: str, *, give_up: bool = False) -> None:
        """Plan the source and extract its first item; then load nothing, or give up what is not extracted."""
        stack = self.meter.stack
        arn = stack.outputs["StateMachineArn"].replace(":stateMachine:", ":execution:") + f":{source}"
        event = {"source": source, "execution_arn": arn, "started_at": "2026-11-23T23:39:01.000Z"}
        plan = stack.invoke("PlanFunction", event)
        run = {"source": source, "run_id": plan["run_id"]}
        while not stack.invoke("ExtractFunction", {**run, "item": 0})["done"]:
            pass
        if give_up:
            failed = [{"item": item, "error": "SourceUnavailable"} for item in range(1, plan["items"])]
            while not stack.invoke("LoadFunction", {**run, "failed_items": failed})["done"]:
                pass
            report_input = {**run, "status": plan["status"], "execution_arn": arn, "error": None}
            stack.invoke("ReportFunction", report_input)


def million(company: Company, server: Postgres, rows: int) -> Iterator[Row]:
    """Measure a run that loads a million rows, and in ranges."""
    server.connect().run("CREATE DATABASE orders")
    session = server.connect("orders")
    data.fill_postgresql(session, rows)
    [[text_bytes]] = session.run("SELECT sum(octet_length(lineitem::text)) FROM lineitem")
    for ranges in RANGES:
        table = f"{{name: public.lineitem, mode: replace, ranges: {ranges}}}"
        name = company.source(
            f"million_{ranges}", server.port, "orders", f"tables: [{table}]\nmax_connections: {ranges}"
        )
        took = company.meter.run(name)
        yield _row(company, name, "a million rows", ranges=ranges, text_bytes=int(text_bytes), **took)


def quiet(company: Company, server: Postgres) -> Iterator[Row]:
    """Measure the first run of some small tables, and one that finds nothing new in them."""
    server.connect().run("CREATE DATABASE small")
    session = server.connect("small")
    for number in range(QUIET_TABLES):
        session.run(f"CREATE TABLE t{number} (id int PRIMARY KEY, note text, stamp timestamptz NOT NULL)")
        session.run(
            f"INSERT INTO t{number} SELECT n, md5(n::text), now() - interval '1 hour' "
            "FROM generate_series(1, 100) AS n"
        )
    yaml = "tables: [{include: 'public.*', mode: merge, cursor: stamp}]"
    name = company.source("small", server.port, "small", yaml)
    for what in ("small tables for the first time", "nothing new"):
        yield _row(company, name, what, **company.meter.run(name))


def many(company: Company, server: Postgres, loaded: int, planned: int) -> Iterator[Row]:
    """Measure a run of many tables, and each function with very many: most of these it gives up."""
    server.connect().run("CREATE DATABASE many")
    session = server.connect("many")
    for what, name, tables in (("many tables", "many", loaded), ("very many tables", "very_many", planned)):
        session.run(f"CREATE SCHEMA {name}")
        for start in range(0, tables, MADE_AT_ONCE):
            session.run(
                f"""DO $$ BEGIN FOR i IN {start}..{min(start + MADE_AT_ONCE, tables) - 1} LOOP
                EXECUTE format('CREATE TABLE {name}.t%s (id int PRIMARY KEY, note text)', i);
                EXECUTE format('INSERT INTO {name}.t%s VALUES (1, ''note''), (2, NULL)', i);
                END LOOP; END $$"""
            )
        yaml = f"tables: [{{include: '{name}.*', mode: replace}}]\nmax_connections: 8"
        source = company.source(name, server.port, "many", yaml)
        if tables == loaded:
            took = company.meter.run(source)
        else:
            took = company.meter.metered(functools.partial(company.extract, source, give_up=True))
        yield _row(company, source, what, **took)


def large(company: Company, rows: int) -> Iterator[Row]:
    """Measure the extraction of very many rows, and of very wide ones: the warehouse has no part in it."""
    with data.growing("postgresql") as table:
        table.grow(rows)
        data.widen(table.port)
        for what, name, there in (
            ("very many rows", "growth", rows),
            ("rows of 5 MB", "wide_5_mb", data.WIDTHS["wide_5_mb"][0]),
        ):
            yaml = f"tables: [{{name: public.{name}, mode: replace, ranges: 1}}]"
            source = company.source(name, table.port, "bench", yaml)
            took = company.meter.metered(functools.partial(company.extract, source))
            yield {"run": what, "tables": 1, "rows": there, "ranges": 1, **took}


def _row(company: Company, source: str, what: str, *, ranges: int = 1, **took: Any) -> Row:
    tables = company.report(source)["tables"]
    summed = {name: sum(table[name] for table in tables) for name in ("rows_loaded", "size_bytes", "chunks")}
    return {
        "run": what,
        "tables": len(tables),
        "rows": summed.pop("rows_loaded"),
        "ranges": ranges,
        **summed,
        **took,
    }


def main() -> None:
    """Measure, say what comes, and write all of it."""
    parser = argparse.ArgumentParser(prog="python -m bench.usage", description=__doc__)
    parser.add_argument("--only", default="deploy,million,quiet,many,large")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--tables", type=int, default=1_000)
    parser.add_argument("--many-tables", type=int, default=5_000)
    parser.add_argument("--many-rows", type=int, default=16_000_000)
    options = parser.parse_args()
    warnings.filterwarnings("ignore", module="moto")
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]  # a profile or an endpoint of the shell is not for the stack
    with tempfile.TemporaryDirectory(prefix="usage-", dir=data.FOLDER) as temporary:
        folder = Path(temporary)
        files = folder / "sources"
        files.mkdir()
        stack = Stack.start(folder / "stack", sources=files, concurrency=max(RANGES))
        with stack, Postgres.start(settings=data.POSTGRES_SETTINGS) as server:
            company = Company(Meter(stack), files)
            parts: dict[str, Callable[[], Iterable[Row]]] = {
                "deploy": lambda: [company.meter.deploy()],
                "million": lambda: million(company, server, options.rows),
                "quiet": lambda: quiet(company, server),
                "many": lambda: many(company, server, options.tables, options.many_tables),
                "large": lambda: large(company, options.many_rows),
            }
            for part in options.only.split(","):
                for row in parts[part]():
                    print(f"  {json.dumps(row)}", flush=True)
                    _keep({**row, "machine": machine()})


def _keep(row: Row) -> None:
    """Write the row; it replaces the last one of the same run."""
    same = ("run", "ranges")
    others = [one for one in load(FILE) if any(one[name] != row[name] for name in same)]
    save(FILE, [*others, row])


if __name__ == "__main__":
    main()
