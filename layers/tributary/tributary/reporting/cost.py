"""What a run cost, estimated from what was measured of it: reading, storing and the warehouse's time.

Nobody's bill: list prices of one region, without free tiers, and without what is not measured, which is
the calls of Plan, Load and Report and the state machine's transitions (40 of these are 0.001 USD).
"""

from __future__ import annotations

from collections.abc import Sequence

from tributary.model.report import TableReport

# List prices in us-east-1, USD, November 2026; docs/cost.md says where they stand.
GB_SECOND = 0.0000133334  # of Lambda on arm64
PUT = 0.005 / 1000  # of S3 Standard
RPU_SECOND = 0.375 / 3600  # of Redshift Serverless
EXTRACT_GB = 1769 / 1024  # what Extract has: MemorySize in template.yaml
WAKING_S = 60  # Redshift Serverless bills that at least


def of_reading(extract_s: float, chunks: int) -> float:
    """Return what it cost to read a table's rows and to store them."""
    return extract_s * EXTRACT_GB * GB_SECOND + chunks * PUT


def of_table(extract_s: float, chunks: int, load_s: float, rpus: int) -> float:
    """Return what a table cost; `rpus` of the warehouse, 0 where they are not the stack's to know."""
    return round(of_reading(extract_s, chunks) + load_s * rpus * RPU_SECOND, 6)


def of_run(tables: Sequence[TableReport], duration_s: float, rpus: int) -> float:
    """Return what a run cost.

    Tables are loaded beside each other, so the warehouse's time is no longer than the run's, and where
    it was asked at all, no shorter than what is billed for waking it.
    """
    reading = sum(of_reading(table.extract_s, table.chunks) for table in tables)
    load_s = min(sum(table.load_s for table in tables), duration_s)
    billed_s = max(load_s, WAKING_S) if load_s else 0.0
    return round(reading + billed_s * rpus * RPU_SECOND, 6)
