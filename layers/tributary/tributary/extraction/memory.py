"""Extraction's memory: Arrow uses glibc's malloc, which is tuned to return freed memory.

Arrow's own pools keep half as much again as is in use. What malloc keeps is bounded by mallopt(3) and
malloc_trim(3); with another C library nothing is tuned.
"""

from __future__ import annotations

import functools
import os
from ctypes import CDLL
from dataclasses import dataclass
from pathlib import Path

LARGE_BYTES = 4 << 20  # more than the buffers for narrow rows, which are used again
KEPT_BYTES = 8 << 20  # of free memory at a heap's end that is not returned at once: a few pages
ABOVE_BYTES = 84 << 20  # of resident memory, above what it was at first, before free memory is returned
MORE_BYTES = 16 << 20  # than after the last return, if that is more
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # as malloc.h has them
STATM = Path("/proc/self/statm")


@dataclass(slots=True)
class Bound:
    """How many bytes should be resident at most."""

    usual: int
    now: int  # more, after a return that freed little


@functools.cache
def keep_small() -> Bound | None:
    """Tune malloc for the rest of the process; return the bound on its memory, None if it cannot be tuned."""
    import pyarrow as pa

    pa.set_memory_pool(pa.system_memory_pool())
    libc = CDLL(None)
    if not hasattr(libc, "malloc_trim") or not STATM.exists():
        return None
    # One heap for all threads, so that each uses what another frees; none allocates often enough to wait.
    libc.mallopt(M_ARENA_MAX, 1)
    # The threshold for large blocks, which are returned when freed, grows to 32 MiB unless it is set. With
    # rows of 5 MB, heaps kept 20 to 110 MB by that.
    libc.mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
    # By default 128 KiB at a heap's end are returned after each page and allocated again for the next one:
    # most of the page faults of narrow rows.
    libc.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
    usual = resident_bytes() + ABOVE_BYTES
    return Bound(usual, usual)


def give_back() -> bool:
    """Return free memory to the system if too much is resident; return whether it was.

    Free memory in the middle of a heap is not returned by itself, and may be twice as much as usual.
    """
    bound = keep_small()
    if bound is None or resident_bytes() <= bound.now:
        return False
    CDLL(None).malloc_trim(0)
    bound.now = max(bound.usual, resident_bytes() + MORE_BYTES)  # what is in use cannot be returned
    return True


def resident_bytes() -> int:
    """Return how much of this process's memory is resident (proc(5))."""
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
