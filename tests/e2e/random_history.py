"""A random history for each seed: of a few, of those in a setting, or of as many as a soak has time for."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterable, Sequence

from .random_judge import Judge
from .random_places import Place
from .random_runs import RandomRuns
from .random_source import RandomSource
from .steps import Steps

SOAK_S = float(os.environ.get("TRIBUTARY_SOAK_SECONDS", "0"))
SEEDS = os.environ.get("TRIBUTARY_SEED")
RUNS = 6


def histories(label: str, place: Callable[[], Place], *, few: Sequence[int], enough: int) -> None:
    """Live the histories of some seeds, each in a new place; a soak lives `enough` of them or more."""
    until = time.monotonic() + SOAK_S / 2
    if SEEDS or not SOAK_S:
        for seed in seeds_of(SEEDS) if SEEDS else few:
            history(place(), label, seed)
        return
    seed = 0
    while seed < enough or time.monotonic() < until:
        history(place(), label, seed)
        seed += 1


def history(place: Place, label: str, seed: int) -> None:
    """Live one history; a failure tells its seed and what happened."""
    print(f"{label}, seed {seed}")
    chance = random.Random(f"{label} {seed}")
    company = place.source.company
    judge = Judge(company, RandomSource.make(place, chance))
    runs = RandomRuns(Steps(company, place.source), judge, chance)
    try:
        runs.live(chance.randint(2, RUNS))
    except BaseException as error:
        again = f"TRIBUTARY_SEED={seed} make test PYTEST='-k \"random_histories and {label}\"'"
        error.add_note("\n".join([f"seed {seed}; to run it again: {again}", *judge.made.happened]))
        raise
    finally:
        for zombie in judge.zombies:
            zombie.point.let_go.set()
        for opened in judge.made.open:
            opened.session.close()


def seeds_of(seeds: str) -> Iterable[int]:
    """Return the seeds of the setting: `3`, or `20-39`."""
    first, _, last = seeds.partition("-")
    return range(int(first), int(last or first) + 1)
