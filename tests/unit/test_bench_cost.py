"""What a run costs is arithmetic on measured figures; docs/performance.md shows what comes of it."""

from __future__ import annotations

from typing import Any

import pytest

from bench import cost, tables
from bench.measured import load

AT_MOST_MB = 159  # 200 above a process that has not imported pyarrow yet, which takes 41
SIZES = {"Plan": 1024.0, "Extract": 1769.0, "Load": 512.0, "Report": 512.0}
SPEED = {"rows": 2_000_000, "output_mb": 2 * 67.108864, "rows_per_s": {"median": 500_000.0}}


def speed(cpu_s: float) -> dict[str, Any]:
    return {**SPEED, "cpu_s_per_million_rows": {"median": cpu_s}}


def function(seconds: float, cpu_s: float, init_s: float = 0.0, calls: int = 1) -> dict[str, float]:
    return {"seconds": seconds, "cpu_s": cpu_s, "init_s": init_s, "calls": calls}


def usage(**functions: dict[str, float]) -> dict[str, Any]:
    requests = {"s3 write or list": 1000, "s3 read": 5000, "secretsmanager": 2}
    return {"rows": 3_000_000, "functions": functions, "transitions": 40, "requests": requests}


def test_less_memory_makes_work_longer_and_waiting_not() -> None:
    took = function(seconds=3.0, cpu_s=1.0, init_s=0.5)
    assert cost.seconds(took, 1769) == pytest.approx(3.5)
    assert cost.seconds(took, 1769 / 4) == pytest.approx(2.5 + 4)
    assert cost.seconds(took, 4000) == pytest.approx(3.5)


def test_extract_reads_no_faster_than_its_one_processor() -> None:
    assert cost.reading_s(speed(cpu_s=1.5)) == 2.0
    assert cost.reading_s(speed(cpu_s=2.5)) == 2.5


def test_a_runs_bill_is_its_parts_at_their_list_prices() -> None:
    row = usage(Report=function(seconds=2.0, cpu_s=0), Extract=function(seconds=9.0, cpu_s=9, init_s=1.0))
    bill = cost.of_run(row, SIZES, speed(cpu_s=2.5))

    assert bill.gb_seconds == pytest.approx(2.0 * 0.5 + (1.0 + 3 * 2.5) * 1769 / 1024)
    assert bill.parts() == {
        "Lambda": pytest.approx(bill.gb_seconds * 0.0000133334 + 2 * 0.20 / 1e6),
        "Step Functions": pytest.approx(40 * 0.025 / 1000),
        "S3 requests": pytest.approx(1000 * 0.005 / 1000 + 5000 * 0.0004 / 1000),
        "Secrets and schedule": pytest.approx(2 * 0.05 / 10_000 + 1 / 1e6),
        "Redshift": 0,
    }
    assert bill.usd == pytest.approx(sum(bill.parts().values()))


def test_a_run_that_asks_the_warehouse_pays_a_minute_of_it_and_a_quiet_day_one_minute() -> None:
    row = usage(Report=function(seconds=1.0, cpu_s=0))
    quiet = cost.of_run(row, SIZES)
    row["requests"]["redshift-data"] = 1
    asking = cost.of_run(row, SIZES)
    assert asking.parts()["Redshift"] == pytest.approx(8 * 0.375 / 60)
    assert asking.without_warehouse == pytest.approx(quiet.usd)
    assert 24 * cost.quiet_hour(quiet).parts()["Redshift"] == pytest.approx(8 * 0.375 / 60)


def test_further_rows_cost_their_reading_and_their_chunks_alone() -> None:
    further = cost.further_million(speed(cpu_s=1.0), SIZES)
    assert further.usd == pytest.approx(2.0 * 1769 / 1024 * 0.0000133334 + 0.005 / 1000)
    first = cost.Bill(gb_seconds=10, rpu_seconds=480)
    assert cost.of_millions(first, further, 11) == pytest.approx(first.without_warehouse + 10 * further.usd)


def test_others_cost_what_their_price_lists_say() -> None:
    assert cost.glue(0, speed(cpu_s=1)) == cost.glue(1, speed(cpu_s=1)) == pytest.approx(2 * 0.44 / 60)
    assert cost.glue(1800, speed(cpu_s=1)) == pytest.approx(2 * 0.44)
    assert cost.airbyte(1, 250) == pytest.approx(2.5)
    assert cost.month(loading=24, quiet=1) == pytest.approx(730 + 23 * 730 / 24)


def test_the_page_shows_what_is_computed_from_the_results() -> None:
    page = tables.PAGE.read_text()
    assert page == tables.page(page, tables.blocks()), "run make cost"


NOT_MEASURED = {"Access"}  # the same client and fewer statements than Warehouse, which is


def test_every_function_has_twice_the_memory_that_it_was_ever_seen_to_take() -> None:
    sizes, peaks = tables.memory_mb(), tables.peaks(load("usage.json"))
    assert peaks.keys() == sizes.keys() - NOT_MEASURED
    assert {name for name, (peak, _) in peaks.items() if sizes[name] < 2 * peak} == set()


def test_every_call_would_be_done_in_half_the_time_that_its_function_has() -> None:
    took, limits = tables.longest(load("usage.json")), tables.timeout_s()
    assert limits.keys() - NOT_MEASURED == took.keys() - {
        "Extract"
    }  # which hands over to its next call by itself
    assert {name: took[name] for name, limit in limits.items() if took.get(name, 0) > limit / 2} == {}


def test_extraction_grew_neither_with_rows_nor_with_their_width() -> None:
    grown = load("growth.json")
    assert {row["rows"] for row in grown} >= {1_000_000, 4_000_000, 16_000_000}
    assert max(row["above_imported_mb"]["max"] for row in grown) <= AT_MOST_MB
    assert max(tables.slope(grown, engine) for engine in ("postgresql", "mariadb")) < 1
