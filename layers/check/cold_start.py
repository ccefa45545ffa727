"""How long a function takes before its first call does any work, and its limit.

A start is: Python starts, the handler is imported, then the modules that its first call imports late and
the AWS clients that it creates. Processor time is measured, not the clock: files are cached here, so on an
idle machine both are the same. Limits are seconds on a machine on which Python imports a part of its own
library in YARDSTICK_S; on a slower or busier machine, limits are longer in proportion.
"""

from __future__ import annotations

import resource
from dataclasses import dataclass

from layers.check.artifact import NotBuilt
from layers.check.room import Room

YARDSTICK_S = 0.085
YARDSTICK = """
import asyncio, decimal, email.message, http.client, logging.config, os, ssl, unittest.mock, xml.dom.minidom
os._exit(0)
"""
RUNS = 5
RUNS_AT_MOST = 20  # of a function that is over its bar: a neighbour on the machine may have been in the way


@dataclass(frozen=True, slots=True)
class Needs:
    """What a first call needs beyond the handler's own imports, and the bar."""

    modules: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    bar_s: float = 0.45


# A driver is one engine's, and comes late wherever it is imported: Extract stands for all of them.
NEEDS = {
    "PlanFunction": Needs(("yaml",), ("s3", "secretsmanager", "redshift-data")),
    "ExtractFunction": Needs(
        ("pyarrow.parquet", "pyarrow.csv", "pyarrow.compute", "tributary.engines.postgresql.engine"),
        ("s3", "secretsmanager"),
        bar_s=0.6,
    ),
    "LoadFunction": Needs((), ("s3", "redshift-data")),
    "ReportFunction": Needs((), ("s3", "sns", "lambda", "ssm")),
    "AccessFunction": Needs((), ("redshift-data",)),
    "WarehouseFunction": Needs(("tributary.redshift.bootstrap",), ("redshift-data",)),
    "SchedulesFunction": Needs(
        ("yaml", "tributary.config.loader", "tributary.stack.scheduler"),
        ("scheduler",),
    ),
}


@dataclass(frozen=True, slots=True)
class ColdStart:
    """The best of several fresh processes, in seconds; `slowness` is this machine's then, 1 or more."""

    imported_s: float
    ready_s: float
    slowness: float

    def fits(self, needs: Needs) -> bool:
        """Say whether the function is ready in its time."""
        return self.ready_s < needs.bar_s * self.slowness


def measure(room: Room, needs: Needs) -> ColdStart:
    """Return the function's cold start, and retry for a while if it is over its limit."""
    module = room.function.handler.rpartition(".")[0]
    runs: list[tuple[float, float, float]] = []
    while True:
        runs.append((_run(room, code(module, None)), _run(room, code(module, needs)), _run(room, YARDSTICK)))
        imported_s, ready_s, yardstick_s = map(min, zip(*runs, strict=True))
        taken = ColdStart(imported_s, ready_s, max(1.0, yardstick_s / YARDSTICK_S))
        if len(runs) >= (RUNS if taken.fits(needs) else RUNS_AT_MOST):
            return taken


def code(module: str, needs: Needs | None) -> str:
    """Return what a fresh process does: import the handler's module, and what the first call needs."""
    lines = ["import importlib, os", f"importlib.import_module({module!r})"]
    if needs:
        lines += [f"importlib.import_module({name!r})" for name in needs.modules]
        lines += ["from tributary.environment.clients import client"]
        lines += [f"client({name!r})" for name in needs.services]
    return "\n".join([*lines, "os._exit(0)"])  # without Python's shutdown, which Lambda skips


def fault(name: str, taken: ColdStart, needs: Needs) -> str | None:
    """Say that the function is over its limit; None if it is not."""
    if taken.fits(needs):
        return None
    return (
        f"{name} takes {taken.ready_s:.2f} s to be ready, and may take {needs.bar_s * taken.slowness:.2f} s; "
        "python -X importtime shows what takes so long"
    )


def _run(room: Room, code: str) -> float:
    before = _used_s()
    done = room.run(code)
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2]
        raise NotBuilt(f"{room.function.name} cannot be imported from what was built: {last}")
    return _used_s() - before


def _used_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
