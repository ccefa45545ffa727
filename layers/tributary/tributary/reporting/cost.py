"""An estimate of what a run cost, from what was measured: reading, storing and the warehouse's time.

It is not a bill: it takes list prices of one region, without free tiers. It leaves out what is not
measured: the calls of Plan, Load and Report, and the state machine's transitions (40 are 0.001 USD).
"""

from __future__ import annotations

from collections.abc import Sequence

from tributary.model.report import TableReport

# List prices in us-east-1, USD, November 2026; their sources are in docs/cost.md
GB_SECOND = 0.0000133334  # Lambda on arm64
PUT = 0.005 / 1000  # S3 Standard
RPU_SECOND = 0.375 / 3600  # Redshift Serverless
EXTRACT_GB = 1769 / 1024  # Extract's MemorySize in template.yaml
WAKING_S = 60  # the least that Redshift Serverless bills


def of_reading(extract_s: float, chunks: int) -> float:
    """Return what reading and storing a table's rows cost, in USD."""
    return extract_s * EXTRACT_GB * GB_SECOND + chunks * PUT


def of_table(extract_s: float, chunks: int, load_s: float, rpus: int) -> float:
    """Return what a table cost in USD; `rpus` of the warehouse, 0 if the stack does not know them."""
    return round(of_reading(extract_s, chunks) + load_s * rpus * RPU_SECOND, 6)


def of_run(tables: Sequence[TableReport], duration_s: float, rpus: int) -> float:
    """Return what a run cost in USD."""
    reading = sum(of_reading(table.extract_s, table.chunks) for table in tables)
    load_s = min(sum(table.load_s for table in tables), duration_s)  # tables load at the same time
    billed_s = max(load_s, WAKING_S) if load_s else 0.0
    return round(reading + billed_s * rpus * RPU_SECOND, 6)
