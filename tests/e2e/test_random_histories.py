"""Random histories of a source against random histories of its runs: whatever falls together, rows arrive.

A failure names its seed, and the command that runs it again.
"""

from __future__ import annotations

import pytest

from .company import Company
from .compare import SERVERS
from .random_history import histories
from .random_places import Place

FEW = {"postgresql": (50,), "mysql": (42,)}  # short ones, with replays, backfills, DDL and zombies


@pytest.mark.parametrize("engine", SERVERS)
def test_what_was_committed_arrives_whatever_becomes_of_the_runs(company: Company, engine: str) -> None:
    histories(engine, lambda: Place(company.source(engine)), few=FEW[engine], enough=150)
