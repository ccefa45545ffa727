"""Random histories of a source against random histories of its runs: whatever falls together, rows arrive.

A failure names its seed, and the command that runs it again.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterable

import pytest

from .company import Company
from .compare import SERVERS
from .random_judge import Judge
from .random_runs import RandomRuns
from .random_source import RandomSource
from .steps import Steps

SOAK_S = float(os.environ.get("TRIBUTARY_SOAK_SECONDS", "0"))
SEEDS = os.environ.get("TRIBUTARY_SEED")
ENOUGH = 150  # seeds of each server in a soak
FEW = {"postgresql": (50,), "mysql": (42,)}  # short ones, with replays, backfills, DDL and zombies
RUNS = 6


def history(company: Company, engine: str, seed: int) -> None:
    """Live one history; a failure tells its seed and what happened."""
    print(f"{engine}, seed {seed}")
    chance = random.Random(f"{engine} {seed}")
    source = company.source(engine)
    judge = Judge(company, RandomSource.make(source, chance))
    runs = RandomRuns(Steps(company, source), judge, chance)
    try:
        runs.live(chance.randint(2, RUNS))
    except BaseException as error:
        again = f"TRIBUTARY_SEED={seed} make test PYTEST='-k \"random_histories and {engine}\"'"
        error.add_note("\n".join([f"seed {seed}; to run it again: {again}", *judge.made.happened]))
        raise
    finally:
        for zombie in judge.zombies:
            zombie.point.let_go.set()
        for opened in judge.made.open:
            opened.session.close()


def asked(seeds: str) -> Iterable[int]:
    """Return the seeds of the setting: `3`, or `20-39`."""
    first, _, last = seeds.partition("-")
    return range(int(first), int(last or first) + 1)


@pytest.mark.parametrize("engine", SERVERS)
def test_what_was_committed_arrives_whatever_becomes_of_the_runs(company: Company, engine: str) -> None:
    until = time.monotonic() + SOAK_S / 2
    if SEEDS or not SOAK_S:
        for seed in asked(SEEDS) if SEEDS else FEW[engine]:
            history(company, engine, seed)
        return
    seed = 0
    while seed < ENOUGH or time.monotonic() < until:
        history(company, engine, seed)
        seed += 1
