"""What one read costs: seconds, CPU seconds of the whole process tree, and its peak memory.

It runs inside the process that is measured, after everything is imported and connected to nothing,
and needs the standard library alone: the peers' environment has nothing of ours.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
MB = 1024  # of what /proc counts in


def metered(read: Callable[[], int]) -> None:
    """Run the read, which returns its number of rows, and print what it cost as one line of JSON."""
    imported = _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts here
    cpu, began = _cpu_s(), time.perf_counter()
    rows = read()
    seconds, used = time.perf_counter() - began, _cpu_s() - cpu
    peak = _memory("VmHWM")
    print(
        json.dumps(
            {
                "rows": rows,
                "seconds": round(seconds, 3),
                "cpu_s": round(used, 3),
                "peak_mb": round(peak / MB, 1),
                "imported_mb": round(imported / MB, 1),
            }
        ),
        flush=True,
    )


def _cpu_s() -> float:
    """Return the CPU seconds of this process's threads and of the processes that it started."""
    times = os.times()
    started = 0
    for pid in _descendants(os.getpid()):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        started += int(fields[11]) + int(fields[12])
    return time.process_time() + times.children_user + times.children_system + started / TICKS


def _memory(field: str) -> int:
    """Return a figure of this process and of those that it started, in KB, summed."""
    total = 0
    for pid in (os.getpid(), *_descendants(os.getpid())):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                total += int(line.split()[1])
    return total


def _descendants(pid: int) -> list[int]:
    processes: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread may end at any time
            for child in (task / "children").read_text().split():
                processes += [int(child), *_descendants(int(child))]
    return processes
