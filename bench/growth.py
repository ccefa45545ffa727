"""How our own extraction grows: with a table's rows, with their width, and with its ranges side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench import data
from bench.measured import Figures, load, machine, ours, output, save, spread

ROWS = (1_000_000, 4_000_000, 16_000_000)
RANGES = (1, 2, 4, 8)
RANGES_OF_ROWS = 4_000_000
RUNS = 3
FILE = "growth.json"


def measure(engines: Sequence[str], rows_list: Sequence[int]) -> None:
    """Measure, print each figure, and replace these engines' last ones."""
    for engine in engines:
        rows = [{**row, "machine": machine()} for row in _of_engine(engine, rows_list)]
        save(FILE, [*(row for row in load(FILE) if row["engine"] != engine), *rows])


def _of_engine(engine: str, rows_list: Sequence[int]) -> list[dict[str, Any]]:
    figures = []
    ranged = min(rows_list, key=lambda rows: abs(rows - RANGES_OF_ROWS))
    with data.growing(engine) as table:
        for rows in rows_list:
            table.grow(rows)
            figures.append(_read(engine, table.port, "growth", 1))
            if rows == ranged:
                figures += [_read(engine, table.port, "growth", count) for count in RANGES if count > 1]
        if engine == "postgresql":
            data.widen(table.port)
            figures += [_read(engine, table.port, name, 1) for name in data.WIDTHS]
    return figures


def _read(engine: str, port: int, table: str, ranges: int) -> dict[str, Any]:
    runs = []
    for _ in range(RUNS):
        with output("out") as place:
            runs.append(ours(engine, port, table, place, ranges))
    row = _row(engine, table, ranges, runs)
    speed, above = row["rows_per_s"]["median"], row["above_imported_mb"]["median"]
    print(
        f"  {engine} {table} {row['rows']:,} rows, {ranges} at once: {speed:,.0f} rows/s, {above:.0f} MB",
        flush=True,
    )
    return row


def _row(engine: str, table: str, ranges: int, runs: Sequence[Figures]) -> dict[str, Any]:
    """Return the figures as latest.json has them; memory is that of one process, the largest."""
    return {
        "engine": engine,
        "table": table,
        "rows": int(runs[0]["rows"]),
        "ranges": ranges,
        "runs": len(runs),
        "rows_per_s": spread([run["rows"] / run["seconds"] for run in runs], 0),
        "cpu_s_per_million_rows": spread([1e6 * run["cpu_s"] / run["rows"] for run in runs], 2),
        "peak_mb": spread([run["peak_mb"] for run in runs], 0),
        "above_imported_mb": spread([run["peak_mb"] - run["imported_mb"] for run in runs], 0),
    }
