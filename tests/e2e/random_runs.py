"""Runs that break off anywhere: what a step's own functions do, each call of AWS a place to die or to freeze.

Most runs are driven here, as the state machine drives them; some are the real machine's. Everything
that is random comes from one seed.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from tributary.errors import ConfigError, LeaseLost, PlanOutdated, TransientError
from tributary.model.plan import Plan, RequestKind
from tributary.model.plan import ReadRequest as Bounds

from .committed import BASE
from .compare import full_name
from .failure_points import Attempt, Died, FailurePoint, Kind
from .random_judge import Asked, Judge, Run
from .random_places import APPENDED
from .steps import Steps, Turn

MAY_END_IN = (LeaseLost, PlanOutdated, TransientError, ConfigError)  # a zombie, in a world that moved
CALLS = {"plan": 25, "extract": 30, "load": 40}  # of AWS in a step, about
STAMPED = ("merged", "versions", "log")


class BrokenOff(Exception):
    """The execution is over without a report."""


@dataclass
class RandomRuns:
    """The runs of a random source, and the attempts of old ones that are frozen."""

    steps: Steps
    judge: Judge
    chance: random.Random

    def __post_init__(self) -> None:
        self.made, self.zombies = self.judge.made, self.judge.zombies

    def live(self, runs: int) -> None:
        """Let the source and the runs go on at random, then settle and compare all there is."""
        for _ in range(runs):
            for _ in range(self.chance.randint(0, 5)):
                self.made.move(ddl=True)
            self.run(self._asked(), faults=True)
        self.rest()

    def rest(self) -> None:
        """End everything, and hold source and warehouse against each other after quiet runs."""
        while self.zombies:
            self.release(self.zombies[0])
        self.made.settle()
        for _ in range(2):  # the second knows of the counters what the first saw of them
            self.run(Asked(), faults=False)
        self.run(Asked(replay=True), faults=False)
        for name in APPENDED:
            if name in self.made.tables:
                self.judge.exact(name, BASE)
        self.run(Asked(full_refresh=True), faults=False)
        for name, table in self.made.tables.items():
            self.judge.exact(name, table.columns)

    def _asked(self) -> Asked:
        """Return what the next run is asked for."""
        chosen, loaded = self.chance.random(), sorted(self.judge.brought)
        if chosen < 0.1:
            return Asked(full_refresh=True)
        if chosen < 0.3 and loaded:
            if self.chance.random() < 0.2 and not self.zombies:
                self._forget(self.chance.choice(loaded))
            some = tuple(self.chance.sample(loaded, self.chance.randint(1, len(loaded))))
            return Asked(replay=True, tables=self.chance.choice([None, some]))
        stamped = tuple(name for name in loaded if name in STAMPED)
        if chosen < 0.45 and (stamped or "events" in loaded):
            return self._backfill(stamped or ("events",))
        return Asked()

    def _backfill(self, tables: tuple[str, ...]) -> Asked:
        """Return that rows are to be read again: those from some time, or some number, on."""
        if tables == ("events",):
            return Asked(
                tables=tables, since=str(self.chance.randint(1, 9)), before=self.chance.choice([None, "99"])
            )
        since = self.chance.choice([120 * 60, 30 * 60, 3])
        before = self.chance.choice([None, 1, -60])
        return Asked(
            tables=tables,
            since=_time(since),
            before=None if before is None else _time(before),
            part=since < 60 * 60 or before == 1,
        )

    def _forget(self, name: str) -> None:
        """Take away what the raw layer has of one run of a table, as a lifecycle does in the end."""
        source, company = self.made.source, self.made.source.company
        runs = company.warehouse(
            "SELECT run_id FROM public.etl_control WHERE COALESCE(asked_for, '') <> 'replay' AND source_name "
            f"= '{source.name}' AND table_name = '{full_name(source, name)}' ORDER BY generation, run_id"
        )
        [run_id] = self.chance.choice(runs)
        for key in company.keys(f"_runs/{source.name}/{run_id}/results/"):
            if company.document(key)["table"] == full_name(source, name):
                bucket = company.stack.outputs["RawBucketName"]
                company.client("s3").delete_object(Bucket=bucket, Key=key)
        self.judge.gone.add(name)
        self.made.tell(f"the raw layer has no longer what run {run_id} read of {name}")

    # --- runs -----------------------------------------------------------------------------------

    def run(self, request: Asked, *, faults: bool) -> None:
        """Run the source once, in one way or another, and check what it must have brought."""
        by_machine = self.chance.random() < 0.15
        self.made.place.begin_run()
        run = self.judge.begin(self.steps.execution(), request)
        if by_machine:
            self.made.tell(f"the state machine's {request}")
            before = self.judge.state() if request.replay and not self.zombies else None
            ended = self.made.source.run(**self._input(request))
            self.judge.check(run, ended.report, before)
            self.made.place.end_run()
            return
        self.steps.running.add(run.arn)
        try:
            self._steps(run, faults=faults)
        except BrokenOff:
            self.made.tell("  broken off")
        finally:
            self.steps.running.discard(run.arn)
        self.made.place.end_run()

    def _names(self, request: Asked) -> tuple[str, ...] | None:
        tables = request.tables
        return None if tables is None else tuple(full_name(self.made.source, name) for name in tables)

    def _input(self, request: Asked) -> dict[str, Any]:
        """Return the execution's input."""
        fields = {"full_refresh": request.full_refresh, "replay": request.replay}
        bounds = {"tables": self._names(request), "from": request.since, "to": request.before}
        return {**fields, **{name: value for name, value in bounds.items() if value is not None}}

    def _request(self, read_request: Asked) -> dict[str, Any]:
        """Return the fields of Plan's request."""
        what: RequestKind | None = (
            "replay"
            if read_request.replay
            else "window"
            if read_request.before
            else "from"
            if read_request.since
            else None
        )
        bounds = Bounds(what=what, since=read_request.since, before=read_request.before) if what else None
        return {
            "tables": self._names(read_request),
            "full_refresh": read_request.full_refresh,
            "read_request": bounds,
        }

    def _steps(self, run: Run, *, faults: bool) -> None:
        broken = self.chance.choice([None, "plan", "extract", "extract", "load", "load"]) if faults else None
        self.made.tell(f"{run.request}, broken {broken}")
        request = self._request(run.request)
        try:
            outcome = self._step(
                "plan", broken, lambda point: self.steps.plan(run.arn, point, **request), faults=faults
            )
        except ConfigError as error:
            self.steps.report(run.arn, None, error)
            self.judge.check_refused(run, {"error": "ConfigError", "message": str(error)})
            return
        plan = outcome.plan
        assert plan is not None, "the lease is held by an execution that runs"
        before = self.judge.state() if run.request.replay else None
        self._read(run, plan, broken, faults=faults)
        self._meanwhile(run, faults=faults)
        load = partial(self.steps.load, plan.run_id)
        while plan.items and not self._step("load", broken, load, faults=faults).done:
            time.sleep(0.1)
        self._meanwhile(run, faults=faults)
        self.steps.report(run.arn, plan.run_id)
        if faults and self.chance.random() < 0.2:
            self.steps.report(run.arn, plan.run_id)
        report = self.made.source.company.document(f"_runs/{plan.source}/{plan.run_id}/report.json")
        self.judge.check(run, report, before)

    def _read(self, run: Run, plan: Plan, broken: str | None, *, faults: bool) -> None:
        """Extract every item, unless what is loaded was read by earlier runs."""
        for item in range(0 if plan.replay else plan.items):
            self._meanwhile(run, faults=faults)
            turn = None
            if faults and self.chance.random() < 0.3:
                turn = Turn(self.chance.randint(2, 4), lambda: self._move(run))
            extract = partial(self._extract, plan.run_id, item, turn)
            while not self._step("extract", broken, extract, faults=faults):
                pass

    def _extract(self, run_id: str, item: int, turn: Turn | None, point: FailurePoint) -> bool:
        """Extract an item; in an attempt that lives, the world has its turn between two pages."""
        return self.steps.extract(run_id, item, point, turn if point.kind == "lives" else None)

    def _move(self, run: Run) -> None:
        """Let the world go on between two pages, with more DDL than else."""
        run.altered |= self.made.alter() if self.chance.random() < 0.7 else self.made.move(ddl=False)

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
        zombie.point.let_go.set()
        if wait:
            zombie.end()
            self.zombies.remove(zombie)
            assert zombie.error is None or isinstance(zombie.error, MAY_END_IN), zombie.error

    def _step(
        self, name: str, broken: str | None, step: Callable[[FailurePoint], Any], *, faults: bool
    ) -> Any:
        """Make a step, by as many attempts as it takes; raise BrokenOff where the execution ends in it."""
        if name == broken and self.chance.random() < 0.7:
            kinds: list[Kind] = ["dies before", "dies after", "freezes", "freezes"]
            kind = self.chance.choice(kinds)
            point = FailurePoint(kind, self.chance.randint(1, self.chance.choice([8, CALLS[name]])))
            attempt = Attempt(step, point).watch()
            if attempt.alive:
                self.made.tell(f"  {name} freezes at call {point.at}")
                self.zombies.append(attempt)
            elif isinstance(attempt.error, Died):
                self.made.tell(f"  {name} {kind} call {point.at}")
            elif attempt.error is None:
                return attempt.answer
            else:
                raise attempt.error
            if self.chance.random() < 0.6:
                raise BrokenOff
            self.made.tell(f"  {name} is tried again")
        for _ in range(5):
            point = FailurePoint()
            if faults and name == "extract" and self.chance.random() < 0.5:
                point = FailurePoint(
                    "lives", self.chance.randint(3, 12), before=lambda: self.made.move(ddl=False)
                )
            try:
                return step(point)
            except TransientError as error:
                self.made.tell(f"  {name}: {type(error).__name__}")
                time.sleep(0.2)
        raise AssertionError(f"{name} does not pass")


def _time(seconds_ago: float) -> str:
    return f"{datetime.now(UTC) - timedelta(seconds=seconds_ago):%Y-%m-%d %H:%M:%S}"
