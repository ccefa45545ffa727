"""What every measurement shares: a fresh process for each, minimum, median and maximum, the result's file."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from bench import data

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).with_name("results")

Figures = dict[str, float]


def spread(values: Sequence[float], digits: int) -> Figures:
    """Return minimum, median and maximum."""
    return {name: round(of(values), digits) for name, of in (("min", min), ("median", median), ("max", max))}


def machine() -> str:
    """Describe what was measured on."""
    model = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    return f"{os.cpu_count()} cores of {model}, {gib:.0f} GiB, {system}, Python {platform.python_version()}"


def run(command: list[str], **environment: str) -> Figures:
    """Run one measurement in a fresh process; return what it printed last."""
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    figures: Figures = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


def with_our_code() -> dict[str, str]:
    """Return the environment in which a process finds the project's modules."""
    return {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "layers" / "tributary")])}


def ours(engine: str, port: int, table: str, place: Path, ranges: int = 1) -> Figures:
    """Measure our own extraction: of the whole table, or in ranges by as many processes at once."""
    command = [sys.executable, "-m", "bench.tributary", engine, str(port), table, str(place), str(ranges)]
    return run(command, **with_our_code())


@contextmanager
def output(name: str) -> Iterator[Path]:
    """Give a place for one output, which is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=data.FOLDER))
    try:
        yield folder / name
    finally:
        shutil.rmtree(folder)


def save(name: str, content: Any) -> None:
    """Write a result."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / name).write_text(json.dumps(content, indent=1) + "\n")


def load(name: str) -> list[dict[str, Any]]:
    """Return the rows of a result, none if nothing was measured yet."""
    path = RESULTS / name
    rows: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []
    return rows
