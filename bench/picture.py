"""Draw `bench/results/dashboard.json` as `docs/dashboard.png`; run in the peers' environment.

Each widget is drawn from its own definition: a metric's values as the runs emitted them, each at its time; a
table as its query counts. A widget about what only AWS measures says so and stays empty.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import dates, pyplot

ROOT = Path(__file__).parents[1]
COLOURS = ("#1f6f8b", "#d1495b", "#66a182", "#edae49", "#5d576b", "#8d96a3", "#00798c", "#b56576")
SEARCH = re.compile(r'MetricName="(\w+)"')
COUNTED = re.compile(r"(max|sum|latest)\((\w+)\)(?: / (\d+))? as (\w+)")
ELSEWHERE = "measured by AWS alone:\nnothing to show on one machine"


def main() -> None:
    """Draw every widget at its place."""
    content = json.loads((ROOT / "bench" / "results" / "dashboard.json").read_text())
    widgets = content["dashboard"]["widgets"]
    lines = max(widget["y"] + widget["height"] for widget in widgets)
    figure = pyplot.figure(figsize=(18, lines * 0.62), layout="none")
    for widget in widgets:
        width, height = widget["width"] / 24, widget["height"] / lines
        box = (
            widget["x"] / 24 + 0.03,
            1 - widget["y"] / lines - height + 0.018,
            width - 0.055,
            height - 0.042,
        )
        axis = figure.add_axes(box)
        axis.set_title(widget["properties"]["title"], loc="left", fontsize=9)
        {"alarm": alarms, "metric": metrics, "log": table}[widget["type"]](
            axis, widget["properties"], content
        )
    figure.savefig(ROOT / "docs" / "dashboard.png", dpi=70, metadata={"Software": None})


def alarms(axis: Any, properties: dict[str, Any], content: dict[str, Any]) -> None:
    """Name the alarms; the local stack judges none."""
    axis.set_axis_off()
    names = [arn.rpartition("-")[2].removesuffix("Alarm") for arn in properties["alarms"]]
    axis.text(0, 0.45, "   ".join(f"▢ {name}" for name in names), fontsize=8, color="#444")


def metrics(axis: Any, properties: dict[str, Any], content: dict[str, Any]) -> None:
    """Draw each series of each metric that the runs emitted."""
    right, drawn = None, 0
    for [metric, *rest] in properties["metrics"]:
        name = SEARCH.search(metric["expression"]) if isinstance(metric, dict) and not rest else None
        if name is None:
            continue
        for source in sorted({run["source"] for run in content["metrics"]}):
            runs = [run for run in content["metrics"] if run["source"] == source and name[1] in run["values"]]
            if not runs:
                continue
            place = axis
            if metric.get("yAxis") == "right":
                right = right or axis.twinx()
                place = right
            times = [datetime.fromtimestamp(run["at_ms"] / 1000, UTC) for run in runs]
            label = metric["label"].replace("${PROP('Dim.source')}", source)
            values = [run["values"][name[1]] for run in runs]
            style = "--" if place is right else "-"
            place.plot(times, values, f"{style}o", ms=3, lw=1, color=COLOURS[drawn % 8], label=label)
            drawn += 1
    if not drawn:
        axis.set_axis_off()
        axis.text(0.5, 0.5, ELSEWHERE, ha="center", va="center", fontsize=8, color="#777")
        return
    axis.xaxis.set_major_formatter(dates.DateFormatter("%H:%M:%S"))
    axis.tick_params(labelsize=7)
    axis.spines["top"].set_visible(False)
    shown = [*axis.get_legend_handles_labels()[0], *(right.get_legend_handles_labels()[0] if right else [])]
    if right:
        right.tick_params(labelsize=7)
        right.spines["top"].set_visible(False)
    axis.legend(handles=shown, fontsize=6, frameon=False, ncols=2, loc="upper left")
    for one in [axis, *([right] if right else [])]:
        one.margins(y=0.35)
        one.set_ylim(bottom=0)


def table(axis: Any, properties: dict[str, Any], content: dict[str, Any]) -> None:
    """Count the lines as the query says and show what it would."""
    axis.set_axis_off()
    query = properties["query"]
    messages = re.findall(r"'(table \w+)'", query)
    groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for line in content["lines"]:
        if line["message"] in messages:
            groups[line["source"], line["table"]].append(line)
    wanted = COUNTED.findall(query)
    rows = [[*key, *(_count(lines, *one) for one in wanted)] for key, lines in groups.items()]
    sort = [name for *_, name in wanted].index(re.findall(r"sort (\w+) desc", query)[0]) + 2
    rows.sort(key=lambda row: -row[sort])
    cells = [[f"{cell:,.3g}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    drawn = axis.table(cells, colLabels=["source", "table", *(name for *_, name in wanted)], loc="upper left")
    drawn.auto_set_font_size(False)
    drawn.set_fontsize(8)


def _count(lines: list[dict[str, Any]], how: str, field: str, divisor: str, name: str) -> float:
    values = [line[field] for line in lines if field in line]
    value = {"max": max, "sum": sum, "latest": lambda these: these[-1]}[how](values) if values else 0
    return value / int(divisor or 1) if divisor else value


if __name__ == "__main__":
    main()
