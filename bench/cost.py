"""What a million rows and a quiet hour cost: list prices times what was measured, and nothing else.

Prices are USD in us-east-1, without free tiers and discounts. What was measured comes in as the rows of
`bench/results`; what is assumed beside it is a constant here and a sentence in docs/performance.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tributary.reporting.cost import GB_SECOND, PUT, RPU_SECOND, WAKING_S

Row = Mapping[str, Any]

MILLION = 1_000_000
A_VCPU_MB = 1769  # of memory: where a function has a whole processor
CHUNK_MB = 64 * 1.048576  # ChunkSizeBytes in template.yaml
BASE_RPUS = 8  # BaseRpus in template.yaml
HOURS = 730  # of a month
DAYS = HOURS / 24
GLUE_DPUS = 2  # the least that a Spark job takes
GLUE_S = 60  # and the least that is billed of it


@dataclass(frozen=True)
class Price:
    """A list price: USD for a unit, its page, the region, and when it was read."""

    what: str
    usd: float
    unit: str
    page: str
    read: str

    @property
    def each(self) -> float:
        """Return the price of one."""
        return self.usd / {"1,000": 1_000, "10,000": 10_000, "million": MILLION}.get(
            self.unit.split(" ")[0], 1
        )


AWS = "https://aws.amazon.com"
AIRBYTE = "https://docs.airbyte.com/platform/cloud/managing-airbyte-cloud/manage-credits"
QUOTED = "as third parties quote it, 2026-11"
LISTED = "in AWS's price list, 2026-09"
COPIED = "in a third party's copy of the page, 2026-{month}"
PRICES = {
    "lambda": Price("Lambda on arm64", GB_SECOND, "GB-second", f"{AWS}/lambda/pricing/", QUOTED),
    "call": Price("Lambda, a call", 0.20, "million", f"{AWS}/lambda/pricing/", COPIED.format(month="09")),
    "transition": Price(
        "Step Functions", 0.025, "1,000 transitions", f"{AWS}/step-functions/pricing/", QUOTED
    ),
    "write": Price("S3, write or list", PUT * 1000, "1,000", f"{AWS}/s3/pricing/", LISTED),
    "read": Price("S3, read", 0.0004, "1,000", f"{AWS}/s3/pricing/", LISTED),
    "storage": Price("S3 Standard", 0.023, "GB and month", f"{AWS}/s3/pricing/", LISTED),
    "secret": Price(
        "Secrets Manager, a secret read", 0.05, "10,000", f"{AWS}/secrets-manager/pricing/", QUOTED
    ),
    "schedule": Price(
        "EventBridge Scheduler, a start", 1.00, "million", f"{AWS}/eventbridge/pricing/", QUOTED
    ),
    "rpu": Price(
        "Redshift Serverless, a minute at least",
        RPU_SECOND * 3600,
        "RPU-hour",
        f"{AWS}/redshift/pricing/",
        COPIED.format(month="10"),
    ),
    "dpu": Price("Glue, a minute at least", 0.44, "DPU-hour", f"{AWS}/glue/pricing/", QUOTED),
    "dcu": Price(
        "DMS Serverless, in Mumbai",
        0.1133,
        "DCU-hour",
        f"{AWS}/dms/pricing/",
        f"{QUOTED}; others say 0.20 to 0.25 for common regions",
    ),
    "fivetran": Price(
        "Fivetran, a connection of up to a million active rows",
        5.00,
        "month",
        "https://www.fivetran.com/pricing",
        COPIED.format(month="08"),
    ),
    "airbyte": Price("Airbyte Cloud, from a database", 10.00, "GB", AIRBYTE, "there, 2026-11"),
    "airbyte plan": Price(
        "Airbyte Cloud, at least: a GB is in it", 10.00, "month", AIRBYTE, "there, 2026-11"
    ),
}
# What one source costs per month between runs, as in docs/cost.md: two secrets, two keys, seven
# alarms and four of the source, 14 metrics.
AT_REST = 2 * 0.40 + 2 * 1.00 + (7 + 4) * 0.10 + 14 * 0.30


@dataclass(frozen=True)
class Bill:
    """What a run takes, in the units that are billed."""

    gb_seconds: float = 0
    calls: float = 0
    transitions: float = 0
    writes: float = 0
    reads: float = 0
    secrets: float = 0
    starts: float = 1
    rpu_seconds: float = 0
    stored_gb: float = 0  # which is billed by the month, and so no part of the sum

    def parts(self) -> dict[str, float]:
        """Return USD by service."""
        return {
            "Lambda": self.gb_seconds * PRICES["lambda"].each + self.calls * PRICES["call"].each,
            "Step Functions": self.transitions * PRICES["transition"].each,
            "S3 requests": self.writes * PRICES["write"].each + self.reads * PRICES["read"].each,
            "Secrets and schedule": self.secrets * PRICES["secret"].each
            + self.starts * PRICES["schedule"].each,
            "Redshift": self.rpu_seconds * PRICES["rpu"].each / 3600,
        }

    @property
    def usd(self) -> float:
        """Return the sum."""
        return sum(self.parts().values())

    @property
    def without_warehouse(self) -> float:
        """Return the sum of all but the warehouse's time."""
        return self.usd - self.parts()["Redshift"]


def seconds(function: Row, memory_mb: float) -> float:
    """Return how long a function's calls would take with that much memory, their starts included.

    A function has a share of a processor by its memory; its waiting takes as long with any.
    """
    share = min(1.0, memory_mb / A_VCPU_MB)
    waiting = max(0.0, function["seconds"] + function["init_s"] - function["cpu_s"])
    return float(waiting + function["cpu_s"] / share)


def reading_s(speed: Row) -> float:
    """Return how long Extract takes for a million rows: no less than their time on its one processor."""
    return float(max(MILLION / speed["rows_per_s"]["median"], speed["cpu_s_per_million_rows"]["median"]))


def of_run(usage: Row, memory_mb: Mapping[str, float], speed: Row | None = None) -> Bill:
    """Return what a run takes; `speed` says how a million rows are read, if it reads them."""
    functions = dict(usage["functions"])
    gb_seconds = sum(
        seconds(function, memory_mb[name]) * memory_mb[name] / 1024
        for name, function in functions.items()
        if name != "Extract" or speed is None
    )
    if speed is not None:
        extract_s = functions["Extract"]["init_s"] + reading_s(speed) * usage["rows"] / MILLION
        gb_seconds += extract_s * memory_mb["Extract"] / 1024
    requests = usage["requests"]
    uses_warehouse = "redshift-data" in requests
    return Bill(
        gb_seconds=gb_seconds,
        calls=sum(function["calls"] for function in functions.values()),
        transitions=usage["transitions"],
        writes=requests["s3 write or list"],
        reads=requests["s3 read"],
        secrets=requests["secretsmanager"],
        rpu_seconds=WAKING_S * BASE_RPUS if uses_warehouse else 0,
        stored_gb=usage.get("size_bytes", 0) / 1e9,
    )


def further_million(speed: Row, memory_mb: Mapping[str, float]) -> Bill:
    """Return what one more million rows take in a run that is under way anyway."""
    stored_mb = speed["output_mb"] / speed["rows"] * MILLION
    return Bill(
        gb_seconds=reading_s(speed) * memory_mb["Extract"] / 1024,
        writes=stored_mb / CHUNK_MB,
        starts=0,
        stored_gb=stored_mb / 1000,
    )


def of_millions(first: Bill, further: Bill, millions: float) -> float:
    """Return USD of a run of that many millions of rows, the warehouse not counted."""
    return first.without_warehouse + (millions - 1) * further.without_warehouse


def quiet_hour(quiet: Bill) -> Bill:
    """Return an hour of a day without changes: one of its runs asks the warehouse anyway."""
    return Bill(**{**vars(quiet), "rpu_seconds": WAKING_S * BASE_RPUS / 24})


def glue(millions: float, speed: Row) -> float:
    """Return USD of a Glue job that reads that many million rows as fast as Spark here; 0 finds no rows."""
    job_s = max(GLUE_S, float(millions * MILLION / speed["rows_per_s"]["median"]))
    return job_s / 3600 * GLUE_DPUS * PRICES["dpu"].each


def airbyte(millions: float, row_bytes: float) -> float:
    """Return USD of that many million rows by their text alone, which is less than what is counted."""
    return millions * MILLION * row_bytes / 1e9 * PRICES["airbyte"].each


def warehouse() -> float:
    """Return USD of the time that waking the warehouse costs at least."""
    return WAKING_S * BASE_RPUS * PRICES["rpu"].each / 3600


def month(loading: float, quiet: float) -> float:
    """Return a month of a run an hour, of which one a day loads."""
    return DAYS * loading + (HOURS - DAYS) * quiet
