"""Extraction's memory: Arrow takes it from glibc's malloc, which is kept from keeping it.

Arrow's own pools keep half as much again as is in use. malloc has habits of its own, which mallopt(3) and
malloc_trim(3) bound; where another library's malloc stands, nothing is done.
"""

from __future__ import annotations

import functools
import os
from ctypes import CDLL
from dataclasses import dataclass
from pathlib import Path

LARGE_BYTES = 4 << 20  # more than is handled at once where rows are narrow: those buffers are used again
KEPT_BYTES = 8 << 20  # a few pages: what lies free at a heap's end and is not given back at once
ABOVE_BYTES = 84 << 20  # of resident memory, beside what was so at first, before free memory goes back
MORE_BYTES = 16 << 20  # than was left the last time, where that is more
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # as malloc.h has them
STATM = Path("/proc/self/statm")


@dataclass(slots=True)
class Bound:
    """How many bytes should be resident at most: as a rule, and now."""

    usual: int
    now: int


@functools.cache
def keep_small() -> Bound | None:
    """Keep this process's memory small from now on; return its bound.

    What malloc takes for large grows with what is freed, up to 32 MiB, and each thread has a heap of its
    own, which keeps what is smaller: with rows of 5 MB that was 20 to 110 MB, by chance. What is free at a
    heap's end goes back from 128 KiB on, with every page that is done, to be taken again for the next one:
    those were most of the page faults of narrow rows. One heap serves all threads: what one of them frees
    is there for the others, and none asks often enough to wait.
    """
    import pyarrow as pa

    pa.set_memory_pool(pa.system_memory_pool())
    libc = CDLL(None)
    if not hasattr(libc, "malloc_trim") or not STATM.exists():
        return None
    libc.mallopt(M_ARENA_MAX, 1)
    libc.mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
    libc.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
    usual = resident_bytes() + ABOVE_BYTES
    return Bound(usual, usual)


def give_back() -> bool:
    """Give free memory back if too much is resident; say whether it was.

    What is free in a heap's midst does not go back by itself, and is at times twice as much as usual: the
    more rows, the surer. Where as much is in use, looking for it again at once would be for nothing.
    """
    bound = keep_small()
    if bound is None or resident_bytes() <= bound.now:
        return False
    CDLL(None).malloc_trim(0)
    bound.now = max(bound.usual, resident_bytes() + MORE_BYTES)
    return True


def resident_bytes() -> int:
    """Return how much of this process's memory is resident, as proc(5) says it."""
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
