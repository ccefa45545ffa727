"""Draw `bench/results/latest.json` as `docs/performance.png`; run in the peers' environment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

ROOT = Path(__file__).parents[1]
OURS, PEER = "#1f6f8b", "#b8c4c9"


def main() -> None:
    """Draw rows per second, CPU and memory of every contender, engine by engine."""
    rows: list[dict[str, Any]] = json.loads((ROOT / "bench" / "results" / "latest.json").read_text())
    engines = list(dict.fromkeys(row["engine"] for row in rows))
    figures = [
        ("rows_per_s", "thousand rows/s", 1000),
        ("cpu_s_per_million_rows", "CPU s per million rows", 1),
        ("peak_mb", "peak memory, MB", 1),
    ]
    figure, axes = pyplot.subplots(len(engines), 3, figsize=(13, 2.9 * len(engines)), squeeze=False)
    for line, engine in zip(axes, engines, strict=True):
        shown = sorted(
            (row for row in rows if row["engine"] == engine), key=lambda row: row["rows_per_s"]["median"]
        )
        for axis, (name, label, unit) in zip(line, figures, strict=True):
            values = [row[name]["median"] / unit for row in shown]
            below = [value - row[name]["min"] / unit for value, row in zip(values, shown, strict=True)]
            above = [row[name]["max"] / unit - value for value, row in zip(values, shown, strict=True)]
            colours = [OURS if row["contender"].startswith("tributary") else PEER for row in shown]
            axis.barh([row["contender"] for row in shown], values, color=colours, xerr=[below, above])
            axis.set_xlabel(label)
            axis.spines[["top", "right"]].set_visible(False)
        line[0].set_title(f"{engine}, {shown[0]['rows']:,} rows of lineitem", loc="left")
        for axis in line[1:]:
            axis.set_yticklabels([])
    figure.tight_layout()
    figure.savefig(ROOT / "docs" / "performance.png", dpi=110, metadata={"Software": None})  # no address


if __name__ == "__main__":
    main()
