"""Runs that break off anywhere: what a step's own functions do, each call of AWS a place to die or to freeze.

Most runs are driven here, as the state machine drives them; some are the real machine's. Everything
that is random comes from one seed.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pg8000.native

from local.aws.clients import client
from local.aws.function import REGION
from local.aws.lambdas import access_key
from tributary import secret
from tributary.errors import LeaseLost, PlanOutdated, TransientError
from tributary.extract import begin, extract_item
from tributary.lease import held_plan
from tributary.load import Loading, load_run
from tributary.plan import Request, Surroundings, plan_run
from tributary.redshift.data_api import Warehouse
from tributary.storage import Bucket

from .committed import BASE, Committed
from .company import Company
from .compare import full_name, in_source, in_warehouse
from .fates import Attempt, Died, Fate, Reached
from .random_source import APPENDED, RandomSource

# A watermark stops a second before the clock, and MariaDB tells the age of what is under way in whole ones.
MARGIN_S = {"postgresql": 1.5, "mysql": 4}
LOST = (LeaseLost, PlanOutdated)
CALLS = {"plan": 25, "extract": 30, "load": 40}  # of AWS in a step, about


class BrokenOff(Exception):
    """The execution is over without a report."""


@dataclass
class Run:
    """One execution: what was committed before it `began` is what it must bring.

    What was committed before it was `settled` may no longer be held back by an open transaction.
    `columns` are each table's of that moment; `altered`: one was, while it ran.
    """

    arn: str
    began: float
    full_refresh: bool
    settled: float
    columns: dict[str, set[str]]
    altered: bool = False


@dataclass
class RandomRuns:
    """A random source, its runs, and the attempts of old ones that are frozen."""

    company: Company
    made: RandomSource
    chance: random.Random
    running: set[str] = field(default_factory=set)
    zombies: list[Attempt] = field(default_factory=list)
    loaded: set[str] = field(default_factory=set)  # tables of which an image stands
    first: float | None = None  # when the first run began

    def live(self, runs: int) -> None:
        """Let the source and the runs go on at random, then settle and compare all there is."""
        for _ in range(runs):
            for _ in range(self.chance.randint(0, 5)):
                self.made.move(ddl=True)
            self.run(full_refresh=self.chance.random() < 0.1, faults=True)
        self.rest()

    def rest(self) -> None:
        """End everything, and hold source and warehouse against each other after quiet runs."""
        while self.zombies:
            self.release(self.zombies[0])
        self.made.settle()
        for _ in range(2):  # the second knows of the counters what the first saw of them
            self.run(faults=False)
        for name in APPENDED:
            if name in self.made.tables:
                self.exact(name, BASE)
        self.run(full_refresh=True, faults=False)
        for name, table in self.made.tables.items():
            self.exact(name, table.columns)

    def exact(self, name: str, columns: Any) -> None:
        """Assert that the warehouse has the source's rows and no other, to the last value."""
        source, shown = self.made.source, ", ".join(["id", *columns])
        there = in_source(source, name, shown, "stamp")
        model = self.made.tables[name]
        assert {row[0] for row in there} == set(model.rows), f"the driver's own books of {name} are wrong"
        ours = in_warehouse(source, name, shown, "stamp") if name != "versions" else self.current(shown)
        assert ours == there, f"{name} differs after quiet runs"

    def current(self, shown: str) -> list[Any]:
        """Return the versions that hold now, as `in_warehouse` shows rows."""
        stamp = "to_char(stamp, 'YYYY-MM-DD HH24:MI:SS.US')"
        return sorted(self.ask(f"SELECT {shown}, {stamp} FROM {{}} WHERE is_current", "versions"), key=repr)

    def ask(self, sql: str, table: str) -> list[tuple[Any, ...]]:
        """Return rows of the warehouse's own server."""
        session = pg8000.native.Connection(
            "postgres", host="127.0.0.1", port=self.company.stack.warehouse_port, database="warehouse"
        )
        try:
            return [tuple(row) for row in session.run(sql.format(f'"{self.made.source.name}"."{table}"'))]
        finally:
            session.close()

    # --- runs -----------------------------------------------------------------------------------

    def run(self, *, full_refresh: bool = False, faults: bool) -> None:
        """Run the source once, in one way or another, and check what it must have brought."""
        began = time.monotonic()
        self.first = self.first or began
        settled = min([began, *(one.began for one in (*self.made.open, *self.zombies))])
        columns = {name: set(table.columns) for name, table in self.made.tables.items()}
        if self.chance.random() < 0.15:
            self.made.tell(f"the state machine runs, full_refresh {full_refresh}")
            ended = self.made.source.run(full_refresh=full_refresh)
            self.check(Run(ended.arn, began, full_refresh, settled, columns), ended.report)
            return
        run = Run(self._arn(), began, full_refresh, settled, columns)
        self.running.add(run.arn)
        try:
            self._steps(run, faults=faults)
        except BrokenOff:
            self.made.tell("  broken off")
        finally:
            self.running.discard(run.arn)

    def _arn(self) -> str:
        machine: str = self.company.stack.outputs["StateMachineArn"]
        return machine.replace(":stateMachine:", ":execution:") + f":{uuid4()}"

    def _steps(self, run: Run, *, faults: bool) -> None:
        broken = self.chance.choice([None, "plan", "extract", "extract", "load", "load"]) if faults else None
        self.made.tell(f"run, full_refresh {run.full_refresh}, broken {broken}")
        outcome = self._step("plan", broken, lambda fate: self._plan(run, fate), faults=faults)
        plan = outcome.plan
        assert plan is not None, "the lease is held by an execution that runs"
        for item in range(plan.items):
            self._meanwhile(run, faults=faults)
            extract = lambda fate, item=item: self._extract(plan.run_id, item, fate)  # noqa: E731
            while not self._step("extract", broken, extract, faults=faults):
                pass
        self._meanwhile(run, faults=faults)
        load = lambda fate: self._load(plan.run_id, fate)  # noqa: E731
        while not self._step("load", broken, load, faults=faults).done:
            time.sleep(0.1)
        self._meanwhile(run, faults=faults)
        self._report(run, plan.run_id)
        if faults and self.chance.random() < 0.2:
            self._report(run, plan.run_id)
        self.check(run, self.company.document(f"_runs/{plan.source}/{plan.run_id}/report.json"))

    def _meanwhile(self, run: Run, *, faults: bool) -> None:
        """Let the world go on between two steps."""
        if not faults:
            return
        for _ in range(self.chance.choice([0, 0, 1, 2])):
            run.altered |= self.made.move(ddl=True)
        if self.zombies and self.chance.random() < 0.5:
            self.release(self.chance.choice(self.zombies), wait=self.chance.random() < 0.6)

    def release(self, zombie: Attempt, *, wait: bool = True) -> None:
        """Let a frozen attempt go on, to its end where we `wait`."""
        self.made.tell("  a zombie goes on")
        zombie.fate.let_go.set()
        if wait:
            zombie.end()
            self.zombies.remove(zombie)
            assert zombie.error is None or isinstance(zombie.error, (*LOST, TransientError)), zombie.error

    def _step(self, name: str, broken: str | None, step: Callable[[Fate], Any], *, faults: bool) -> Any:
        """Make a step, by as many attempts as it takes; raise BrokenOff where the execution ends in it."""
        if name == broken and self.chance.random() < 0.7:
            kind = self.chance.choice(["dies before", "dies after", "freezes", "freezes"])
            fate = Fate(kind, self.chance.randint(1, self.chance.choice([8, CALLS[name]])))
            attempt = Attempt(step, fate).watch()
            if attempt.alive:
                self.made.tell(f"  {name} freezes at call {fate.at}")
                self.zombies.append(attempt)
            elif isinstance(attempt.error, Died):
                self.made.tell(f"  {name} {kind} call {fate.at}")
            elif attempt.error is None:
                return attempt.answer
            else:
                raise attempt.error
            if self.chance.random() < 0.6:
                raise BrokenOff
            self.made.tell(f"  {name} is tried again")
        for _ in range(5):
            fate = Fate()
            if faults and name == "extract" and self.chance.random() < 0.5:
                fate = Fate("lives", self.chance.randint(3, 12), meanwhile=lambda: self.made.move(ddl=False))
            try:
                return step(fate)
            except TransientError as error:
                self.made.tell(f"  {name}: {type(error).__name__}")
                time.sleep(0.2)
        raise AssertionError(f"{name} does not pass")

    # --- steps ----------------------------------------------------------------------------------

    def _client(self, service: str, function: str, fate: Fate) -> Any:
        """Return a client with the rights of the function's role."""
        return Reached(role_client(self.company, service, function), fate)

    def _warehouse(self, function: str, fate: Fate) -> Warehouse:
        outputs = self.company.stack.outputs
        where = {"Database": outputs["WarehouseDatabase"], "WorkgroupName": outputs["WarehouseWorkgroup"]}
        return Warehouse(self._client("redshift-data", function, fate), where)

    def _bucket(self, fate: Fate) -> Bucket:
        bucket = self.company.stack.outputs["RawBucketName"]
        return Bucket(self._client("s3", "ExtractFunction", fate), bucket)

    def _plan(self, run: Run, fate: Fate) -> Any:
        around = Surroundings(
            sources=self.company.sources,
            bucket=self._bucket(fate),
            warehouse=self._warehouse("PlanFunction", fate),
            secrets=self.company.client("secretsmanager"),
            is_running=self.running.__contains__,
        )
        source = self.made.source.name
        request = Request(source, run.arn, "2026-01-01T00:00:00.000Z", full_refresh=run.full_refresh)
        return plan_run(request, around)

    def _extract(self, run_id: str, item: int, fate: Fate) -> bool:
        bucket, source = self._bucket(fate), self.made.source
        plan = held_plan(bucket, source.name, run_id)
        credentials = secret.fetch(self.company.client("secretsmanager"), plan.secret)
        extraction = begin(plan, bucket, credentials, chunk_size_bytes=1, stop_at=time.monotonic() + 60)
        return extract_item(extraction, item)

    def _load(self, run_id: str, fate: Fate) -> Any:
        bucket = self._bucket(fate)
        plan = held_plan(bucket, self.made.source.name, run_id)
        role = "arn:aws:iam::123456789012:role/tributary-copy"
        loading = Loading(plan, bucket, self._warehouse("LoadFunction", fate), role)
        return load_run(loading, {})

    def _report(self, run: Run, run_id: str) -> None:
        event = {"run_id": run_id, "status": "planned", "execution_arn": run.arn, "error": None}
        answer = self.company.invoke("ReportFunction", {"source": self.made.source.name, **event})
        assert "errorType" not in answer, answer

    # --- what must hold ---------------------------------------------------------------------------

    def check(self, run: Run, report: dict[str, Any] | None) -> None:
        """Hold the warehouse against what was committed before the run began and not changed since."""
        assert report is not None, "the run has no report"
        failed = {table["table"]: table["failure"] for table in report["tables"] if table.get("failure")}
        assert report.get("failure") is None, report["failure"]
        assert run.altered or not failed, failed
        for name, table in self.made.tables.items():
            if full_name(self.made.source, name) in failed:
                continue
            since = run.began
            if name == "images" and name not in self.loaded:
                since = self.first or since  # a first image may be carried on from the first run
            self.loaded.add(name)
            self.check_table(run, name, table, since)

    def check_table(self, run: Run, name: str, table: Committed, since: float) -> None:
        """Check one table, by what its mode promises."""
        known = [column for column in table.columns if column in run.columns[name]]
        columns = BASE if name in APPENDED else tuple(known)
        versions = name == "versions"
        shown = ", ".join(["id", *columns])
        rows = self.ask(f"SELECT {shown} FROM {{}}{' WHERE is_current' if versions else ''}", name)
        found = {row[0]: row[1:] for row in rows}
        assert len(found) == len(rows), f"{name} has rows twice: {rows}"
        if name in APPENDED:
            since = min([run.settled, *(zombie.began for zombie in self.zombies)])
            since -= MARGIN_S[self.made.source.engine]
        if name != "events":  # a counter's horizon is known a run later
            for key, row in table.unchanged_since(since):
                wanted = tuple(row.values[column] for column in columns)
                assert found.get(key) == wanted, f"{name}, row {key}: {found.get(key)}, not {wanted}"
        base = self.ask(f"SELECT id, {', '.join(BASE)} FROM {{}}", name)
        assert set(base) <= table.ever, f"{name} has what was never committed: {set(base) - table.ever}"
        if run.full_refresh or name == "images":
            left = set(found) & table.gone_before(since)
            assert not left, f"{name} has rows that were deleted: {left}"
        if versions:
            self.check_versions()

    def check_versions(self) -> None:
        """Assert that a row's versions follow each other and differ."""
        order = "ORDER BY id, valid_from, valid_to NULLS LAST"
        rows = self.ask(
            f"SELECT id, valid_from, valid_to, is_current, row_digest FROM {{}} {order}", "versions"
        )
        assert all(current == (until is None) for _, _, until, current, _ in rows), rows
        for (key, _, until, _, digest), (other, start, _, _, another) in pairwise(rows):
            if key == other:
                assert until, f"row {key} has a version that holds on before another: {rows}"
                assert until <= start, f"versions of row {key} overlap: {rows}"
                assert until < start or digest != another, f"two versions of row {key} are alike: {rows}"


def role_client(company: Company, service: str, function: str) -> Any:
    """Return the one client of a service with the rights of a function's role."""
    key = f"{service} of {function}"
    if key not in company.clients:
        found = company.client("lambda").get_function_configuration(
            FunctionName=company.stack.functions[function]
        )
        made = client(service, company.stack.endpoint_url)
        import boto3

        company.clients[key] = boto3.session.Session().client(
            service,
            endpoint_url=company.stack.endpoint_url,
            region_name=REGION,
            aws_access_key_id=access_key(found["Role"].rpartition("/")[2]),
            aws_secret_access_key="local",
            config=made.meta.config,
        )
    return company.clients[key]
