"""What glibc's malloc holds free in the midst of a heap, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LAYER = Path(__file__).parents[2] / "layers" / "tributary"
HELD = """
from tributary.extraction import memory
at_most = memory.keep_small().usual
blocks = [b"x" * 60_000 for _ in range(4_000)]
assert memory.resident_bytes() > at_most
kept = blocks[::8]  # so that nothing large is free at the heap's end
del blocks
held = memory.resident_bytes()
assert held > at_most, "the test's own blocks went back by themselves"
assert memory.give_back()
assert memory.resident_bytes() < held - 150 * 1_000_000
assert not memory.give_back()
assert all(block == b"x" * 60_000 for block in kept)
"""
USED = """
from tributary.extraction import memory
bound = memory.keep_small()
used = b"x" * (memory.ABOVE_BYTES + 4_000_000)
assert memory.give_back()
assert not memory.give_back(), "what is in use was looked for again"
more = b"x" * (memory.MORE_BYTES + 4_000_000)
assert memory.give_back()
assert bound.now > bound.usual
del used, more
again = [b"x" * 60_000 for _ in range(4_000)]
kept = again[::8]
del again
assert memory.give_back()
assert bound.now == bound.usual
"""


@pytest.mark.parametrize("script", [HELD, USED], ids=["free", "in use"])
def test_free_memory_goes_back_where_too_much_is_resident(script: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", script],
        check=False,
        env={"PYTHONPATH": str(LAYER)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
