"""`make scale`: simulate how many events a run's history gets, and write the table into docs/scale.md.

The pace of Load's calls is the real one, `loading.pacing`; the warehouse is a queue of statements of given
times, as many of them at once as Load submits. A test holds the page against the simulation.
"""

from __future__ import annotations

import heapq
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tributary.loading.load import IN_FLIGHT_AT_MOST, PAUSES_S
from tributary.loading.pacing import CallPace
from tributary.planning.plan import ITEMS_AT_MOST

PAGE = Path(__file__).parents[1] / "docs" / "scale.md"
BLOCK = "<!-- history: written by `make scale` -->\n{text}\n<!-- end of history -->"
STATEMENTS = 2  # of a table: stage and publish
TABLES = (10, 100, 1_000, 5_000, 10_000)
EVENTS_AT_MOST = 25_000  # of an execution (Step Functions, "Quotas")

# Events of a history, by the kinds of states that are entered: Task 5 (entered, scheduled, started,
# succeeded, exited), Choice, Wait, Succeed and Pass 2 (entered, exited).
LOOP = 5 + 2 + 2  # Load, Loaded, WaitForWarehouse
ITEM = 1 + 5 + 2 + 2 + 1  # an iteration's start, Extract, Extracted, ItemDone, its end
AROUND = 1 + 5 + 2 + 4 + 5 + 2 + 2 + 1  # start, Plan, Planned, the Map, Report, Ended, Succeeded, end

Duration = Callable[[random.Random], float]


def times(seconds: float) -> Duration:
    """Return statements that all take the same time."""
    return lambda _: seconds


DISTRIBUTIONS: dict[str, Duration] = {
    "1 s each": times(1.0),
    "2 s each": times(2.0),
    "5 s each": times(5.0),
    "20 s each": times(20.0),
    "60 s each": times(60.0),
    "1 to 60 s, even": lambda random: random.uniform(1.0, 60.0),
    "10 s on average, exponential, 1 to 60 s": lambda random: min(60.0, max(1.0, random.expovariate(0.1))),
    "1 s, one in twenty 60 s": lambda random: 60.0 if random.random() < 0.05 else 1.0,
}


@dataclass(frozen=True, slots=True)
class LoadRun:
    """What a simulated load took: calls of Load, all seconds, and those in which a function ran."""

    calls: int
    seconds: float
    busy_s: float

    def events(self, tables: int) -> int:
        """Return the events of the run's history, if each item is read in one call."""
        return AROUND + ITEM * min(tables, ITEMS_AT_MOST) + LOOP * self.calls


def load(tables: int, duration: Duration, seed: int = 0) -> LoadRun:
    """Simulate the load of the tables, each of whose statements takes a time of the distribution."""
    source = random.Random(seed)
    left = tables * STATEMENTS
    running: list[float] = []  # ends of statements
    now, calls, busy_s, idle_calls = 0.0, 0, 0.0, 0
    while True:
        began, calls = now, calls + 1
        pace = CallPace(began_s=began, load_age_s=began)
        while True:
            ended = 0
            while running and running[0] <= now:
                heapq.heappop(running)
                ended += 1
            submitted = min(left, IN_FLIGHT_AT_MOST - len(running))
            for _ in range(submitted):
                heapq.heappush(running, now + duration(source))
            left -= submitted
            late = pace.is_over(now)
            if ended or submitted:
                idle_calls = 0
                pace.made_progress(now)
            elif late:
                idle_calls += 1
            if not running and not left:
                return LoadRun(calls, now, busy_s + now - began)
            if (late and not (ended or submitted)) or pace.is_over(now):
                break
            # The next poll that sees anything: after the next end, or when the call is over.
            now = min(max(running[0], now) + PAUSES_S[1], pace.ends_s + PAUSES_S[1])
        busy_s += now - began
        now += pace.wait_s(now, idle_calls)


def stuck(seconds: float) -> LoadRun:
    """Simulate one statement of that time, such as one that waits for another lock."""
    return load(1, times(seconds))


def table() -> str:
    """Return the table of the most events over three seeds, for each distribution and number of tables."""
    lines = [
        [
            name,
            *(
                f"{max(load(tables, duration, seed).events(tables) for seed in range(3)):,}"
                for tables in TABLES
            ),
        ]
        for name, duration in DISTRIBUTIONS.items()
    ]
    week = stuck(7 * 86_400 / STATEMENTS).events(1)
    lines.append(["a week in two statements", f"{week:,} (one table)", *[""] * (len(TABLES) - 1)])
    head = ["a table's two statements take", *(f"{tables:,} tables" for tables in TABLES)]
    return _rows(head, lines)


def _rows(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rules = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, rules, *lines])


def page(text: str) -> str:
    """Return the page's text with its table as it is now."""
    block = re.compile(r"<!-- history: .*?<!-- end of history -->", re.DOTALL)
    written, count = block.subn(lambda _: BLOCK.format(text=table()), text)
    assert count == 1
    return written


def main() -> None:
    """Write the table into the page."""
    PAGE.write_text(page(PAGE.read_text()))


if __name__ == "__main__":
    main()
