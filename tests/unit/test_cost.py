"""What a run cost is computed from its seconds, its objects and the list prices, and from nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from samtranslator.yaml_helper import yaml_parse

from tributary.model.report import TableReport
from tributary.reporting import cost

ROOT = Path(__file__).parents[2]


def table(extract_s: float = 0, chunks: int = 0, load_s: float = 0) -> TableReport:
    return TableReport(table="a", status="loaded", extract_s=extract_s, chunks=chunks, load_s=load_s)


def test_extract_has_the_memory_that_the_template_gives_it() -> None:
    function = yaml_parse((ROOT / "template.yaml").read_text())["Resources"]["ExtractFunction"]
    assert function["Properties"]["MemorySize"] / 1024 == cost.EXTRACT_GB


def test_a_table_costs_its_reading_its_objects_and_its_time_in_the_warehouse() -> None:
    assert cost.of_table(1000, 0, 0, 8) == pytest.approx(1000 * 1.7275390625 * 0.0000133334, abs=1e-6)
    assert cost.of_table(0, 2000, 0, 8) == 0.01
    assert cost.of_table(0, 0, 3600, 8) == 3.0
    assert cost.of_table(0, 0, 3600, 0) == 0


@pytest.mark.parametrize(
    ("tables", "duration_s", "usd"),
    [
        ([table(load_s=1)], 100, 8 * 0.375 / 60),  # a minute is billed
        ([table(load_s=300), table(load_s=300)], 400, 8 * 0.375 / 9),  # beside each other
        ([table(), table()], 100, 0),  # the warehouse slept
        ([table(chunks=200), table(chunks=800)], 100, 0.005),
        ([], 0, 0),
    ],
)
def test_a_run_costs_no_more_of_the_warehouse_than_it_took_and_a_minute_at_least(
    tables: list[TableReport], duration_s: float, usd: float
) -> None:
    assert cost.of_run(tables, duration_s, 8) == pytest.approx(usd, abs=1e-6)
