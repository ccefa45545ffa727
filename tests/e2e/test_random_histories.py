"""Random histories of a source against random histories of its runs: whatever falls together, rows arrive.

A failure names its seed, and the command that runs it again.
"""

from __future__ import annotations

import os
import random
import time

import pytest

from .company import Company
from .compare import SERVERS
from .random_runs import RandomRuns
from .random_source import RandomSource

SOAK_S = float(os.environ.get("TRIBUTARY_SOAK_SECONDS", "0"))
SEED = os.environ.get("TRIBUTARY_SEED")
SEEDS = 150  # of each server in a soak
FEW = {"postgresql": (0, 41), "mysql": (0, 1)}  # 41 is one that finds a publish without its fence
RUNS = 6


def history(company: Company, engine: str, seed: int) -> None:
    """Live one history; a failure tells its seed and what happened."""
    chance = random.Random(f"{engine} {seed}")
    runs = RandomRuns(company, RandomSource.make(company.source(engine), chance), chance)
    try:
        runs.live(chance.randint(2, RUNS))
    except BaseException as error:
        again = f"TRIBUTARY_SEED={seed} make test PYTEST='-k \"random_histories and {engine}\"'"
        error.add_note("\n".join([f"seed {seed}; to run it again: {again}", *runs.made.told]))
        raise
    finally:
        for zombie in runs.zombies:
            zombie.fate.let_go.set()
        for opened in runs.made.open:
            opened.session.close()


@pytest.mark.parametrize("engine", SERVERS)
def test_what_was_committed_arrives_whatever_becomes_of_the_runs(company: Company, engine: str) -> None:
    until = time.monotonic() + SOAK_S / 2
    if SEED or not SOAK_S:
        for seed in (int(SEED),) if SEED else FEW[engine]:
            history(company, engine, seed)
        return
    seed = 0
    while seed < SEEDS or time.monotonic() < until:
        history(company, engine, seed)
        seed += 1
