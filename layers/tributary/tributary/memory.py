"""Extraction's memory: Arrow takes it from glibc's malloc, which is kept from keeping it.

Arrow's own pools keep half as much again as is in use. malloc has habits of its own, which mallopt(3) and
malloc_trim(3) bound; where another library's malloc stands, nothing is done.
"""

from __future__ import annotations

import functools
import os
from ctypes import CDLL
from pathlib import Path

LARGE_BYTES = 4 << 20  # more than is handled at once where rows are narrow: those buffers are used again
KEPT_BYTES = 8 << 20  # a few pages: what lies free at a heap's end and is not given back at once
ABOVE_BYTES = 80 << 20  # of resident memory, beside what was so at first, before free memory goes back
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # as malloc.h has them
STATM = Path("/proc/self/statm")


@functools.cache
def keep_small() -> int | None:
    """Keep this process's memory small from now on; return how many bytes should be resident at most.

    What malloc takes for large grows with what is freed, up to 32 MiB, and each thread's part of the heap
    keeps what is smaller: with rows of 5 MB that was 20 to 110 MB, by chance. What is free at a heap's end
    goes back from 128 KiB on, with every page that is done, to be taken again for the next one: those were
    most of the page faults of narrow rows.
    """
    import pyarrow as pa

    pa.set_memory_pool(pa.system_memory_pool())
    libc = CDLL(None)
    if not hasattr(libc, "malloc_trim") or not STATM.exists():
        return None
    libc.mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
    libc.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
    return resident_bytes() + ABOVE_BYTES


def give_back() -> bool:
    """Give free memory back if too much is resident; say whether it was.

    What is free in a heap's midst does not go back by itself, and is at times twice as much as usual: the
    more rows, the surer.
    """
    at_most = keep_small()
    if at_most is None or resident_bytes() <= at_most:
        return False
    CDLL(None).malloc_trim(0)
    return True


def resident_bytes() -> int:
    """Return how much of this process's memory is resident, as proc(5) says it."""
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
