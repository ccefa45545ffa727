"""`make cost`: the tables of docs/performance.md that are computed from `bench/results`, written into it.

Each stands between two comments that name it. A test holds the page against the results.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from samtranslator.yaml_helper import yaml_parse

from bench import cost
from bench.cost import Bill, Row
from bench.measured import ROOT, load

PAGE = ROOT / "docs" / "performance.md"
WIDTHS = {"growth": "about 100 bytes", "wide_20_b": "20 bytes", "wide_10_kb": "10 KB", "wide_5_mb": "5 MB"}
NAMES = {"postgresql": "PostgreSQL", "mariadb": "MariaDB"}
TOOLS = {
    "tributary": "**tributary**",
    "tributary odbc": "**tributary over ODBC**",
    "connectorx": "ConnectorX",
    "connectorx stream": "ConnectorX, streamed",
    "adbc": "ADBC",
    "dlt connectorx": "dlt, `connectorx`",
    "dlt pyarrow": "dlt, `pyarrow`",
    "spark jdbc": "Spark JDBC, two cores",
}
BLOCK = "<!-- {name}: written by `make cost` -->\n{text}\n<!-- end of {name} -->"


def memory_mb() -> dict[str, float]:
    """Return each function's memory, as template.yaml gives it."""
    return {name: float(properties["MemorySize"]) for name, properties in _functions().items()}


def timeout_s() -> dict[str, float]:
    """Return each function's time-out, if template.yaml has a number for it."""
    limits = {name: properties["Timeout"] for name, properties in _functions().items()}
    return {name: float(value) for name, value in limits.items() if isinstance(value, int)}


@functools.cache
def _functions() -> dict[str, dict[str, Any]]:
    template = yaml_parse((ROOT / "template.yaml").read_text())
    return {
        name.removesuffix("Function"): {**template["Globals"]["Function"], **resource["Properties"]}
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    }


def longest(usage: Sequence[Row]) -> dict[str, float]:
    """Return how long a call of each function would take with its memory, at its longest."""
    sizes, took_longest = memory_mb(), dict[str, float]()
    for row in usage:
        for name, function in row["functions"].items():
            took = cost.seconds(function, sizes[name]) / function["calls"]
            took_longest[name] = max(took_longest.get(name, 0.0), took)
    return took_longest


def peaks(usage: Sequence[Row]) -> dict[str, tuple[float, str]]:
    """Return the most memory that was measured of each function, and of which run."""
    most: dict[str, tuple[float, str]] = {}
    for row in usage:
        for name, function in row["functions"].items():
            most[name] = max(most.get(name, (0.0, "")), (function["peak_mb"], _run(row)))
    return most


def _run(row: Row) -> str:
    if row["tables"] > 1:
        return f"{row['run']}: {row['tables']:,}"
    return f"{row['run']}: {row['rows']:,}" if row["rows"] else str(row["run"])


def functions(usage: Sequence[Row]) -> str:
    """Return the table of the functions' memory."""
    sizes, took, limits = memory_mb(), longest(usage), timeout_s()
    lines = [
        [
            name,
            f"{peak:.0f}",
            run,
            f"{sizes[name]:.0f}",
            f"{sizes[name] / peak:.1f}",
            f"{took[name]:.0f}",
            f"{limits[name]:.0f}" if name in limits else "stops by itself",
        ]
        for name, (peak, run) in peaks(usage).items()
    ]
    head = ["function", "most measured, MB", "in", "has, MB", "times", "longest call, s", "may take, s"]
    return _table(head, lines)


def speed(rows: Sequence[Row]) -> str:
    """Return the table of how fast one connection is read, the fastest tool of an engine first."""
    lines = [
        [
            NAMES[row["engine"]],
            TOOLS.get(row["contender"], str(row["contender"])),
            _once_or_spread(row["rows_per_s"], row["runs"]),
            f"{row['cpu_s_per_million_rows']['median']:.2f}",
            f"{row['peak_mb']['median']:.0f}",
            _once_or_spread(row["ratio_to_best_peer"], row["runs"], digits=2),
        ]
        for engine in _engines(rows)
        for row in sorted(rows, key=lambda row: row["rows_per_s"]["median"], reverse=True)
        if row["engine"] == engine
    ]
    head = ["engine", "tool", "rows/s", "CPU s per million", "peak MB", "to the best other tool"]
    return _table(head, lines)


def growth(rows: Sequence[Row]) -> str:
    """Return the tables of growth by rows and by width."""
    whole = [row for row in rows if row["ranges"] == 1]
    lines = [
        [
            NAMES[row["engine"]],
            WIDTHS[row["table"]],
            f"{row['rows']:,}",
            _spread(row["rows_per_s"]),
            _seconds(row["cpu_s_per_million_rows"]["median"]),
            _spread(row["above_imported_mb"]),
        ]
        for row in whole
    ]
    head = ["engine", "rows of", "rows", "rows/s", "CPU s per million", "MB above the imported process"]
    slopes = "; ".join(f"{NAMES[engine]} {slope(rows, engine):+.2f}" for engine in _engines(rows))
    return f"{_table(head, lines)}\n\nPeak memory by further million rows, in MB: {slopes}."


def slope(rows: Sequence[Row], engine: str) -> float:
    """Return how many MB more a further million rows take, from the fewest rows to the most."""
    grown = [row for row in rows if (row["engine"], row["table"], row["ranges"]) == (engine, "growth", 1)]
    first, last = (of(grown, key=lambda row: row["rows"]) for of in (min, max))
    more = last["above_imported_mb"]["median"] - first["above_imported_mb"]["median"]
    return float(more / (last["rows"] - first["rows"]) * 1e6)


def ranges(rows: Sequence[Row], usage: Sequence[Row]) -> str:
    """Return the table of one table in ranges, read by as many processes, and by a whole run."""
    rows_of = {row["rows"] for row in rows if row["ranges"] > 1}
    measured = [row for row in rows if row["table"] == "growth" and row["rows"] in rows_of]
    counts = sorted({row["ranges"] for row in measured})
    lines = []
    for engine in _engines(measured):
        of_engine = {row["ranges"]: row for row in measured if row["engine"] == engine}
        lines.append(
            [f"{NAMES[engine]}, {min(rows_of):,} rows, rows/s"]
            + [f"{of_engine[count]['rows_per_s']['median']:,.0f}" for count in counts]
        )
    runs = {row["ranges"]: row for row in usage if row["run"] == "a million rows"}
    lines.append(
        ["PostgreSQL, a million rows of lineitem through the state machine, seconds of its Map"]
        + [f"{runs[count]['extract_s']:.1f}" for count in counts]
    )
    return _table(["ranges", *map(str, counts)], lines)


def runs(usage: Sequence[Row], speeds: Mapping[str, Row]) -> str:
    """Return the table of what runs take and cost."""
    bills = _bills(usage, speeds)
    lines = [
        ["Lambda, GB-seconds", *(f"{bill.gb_seconds:.2f}" for bill in bills.values())],
        ["Lambda, calls", *(f"{bill.calls:.0f}" for bill in bills.values())],
        ["state transitions", *(f"{bill.transitions:.0f}" for bill in bills.values())],
        ["S3, writes and lists", *(_count(bill.writes) for bill in bills.values())],
        ["S3, reads", *(f"{bill.reads:.0f}" for bill in bills.values())],
        ["secrets read", *(f"{bill.secrets:.0f}" for bill in bills.values())],
        ["Redshift, RPU-seconds", *(f"{bill.rpu_seconds:.0f}" for bill in bills.values())],
        *([name, *(_usd(bill.parts()[name]) for bill in bills.values())] for name in Bill().parts()),
        ["**in all, USD**", *(f"**{_usd(bill.usd)}**" for bill in bills.values())],
        ["without the warehouse", *(_usd(bill.without_warehouse) for bill in bills.values())],
        [
            "the raw layer of it, a month",
            *(_usd(bill.stored_gb * cost.PRICES["storage"].each) for bill in bills.values()),
        ],
    ]
    return _table(["", *bills], lines)


def compared(usage: Sequence[Row], speeds: Mapping[str, Row]) -> str:
    """Return the table of what others cost, the warehouse apart."""
    bills = _bills(usage, speeds)
    first, further, quiet = (bills[name] for name in ("a million rows, PostgreSQL", FURTHER, QUIET))
    spark, text = speeds["spark"], _usage(usage, "a million rows")["text_bytes"]
    row_bytes = text / _usage(usage, "a million rows")["rows"]
    ours = [cost.of_millions(first, further, millions) for millions in (1, 100)]
    glue = [cost.glue(millions, spark) for millions in (1, 100)]
    dcu, base = cost.PRICES["dcu"].usd, cost.PRICES["fivetran"].usd
    plan = cost.PRICES["airbyte plan"].usd
    by_gb = [cost.airbyte(millions, row_bytes) for millions in (1, 100, cost.DAYS)]
    minute = cost.warehouse()
    monthly = cost.month(ours[0], quiet.without_warehouse)
    lines = [
        ["**Tributary**", *_usds(*ours, quiet.without_warehouse, monthly)],
        ["what of Tributary stands between runs", "", "", "", _usd(cost.AT_REST)],
        [
            "a Glue job, two DPUs",
            *_usds(*glue, cost.glue(0, spark), cost.month(glue[0], cost.glue(0, spark))),
        ],
        ["DMS Serverless, one DCU", f"{_usd(dcu)} an hour", "not known", _usd(dcu), _usd(dcu * cost.HOURS)],
        [
            "Fivetran, a connection",
            f"{_usd(base)} a month",
            "by contract",
            "0",
            f"{_usd(base)} and more, by contract",
        ],
        ["Airbyte Cloud", *_usds(*by_gb[:2]), "0", _usd(max(by_gb[2], plan))],
        [
            "the warehouse's minute, beside any of them",
            _usd(minute),
            f"{_usd(minute)} and more",
            f"{_usd(minute / 24)}, once a day",
            _usd(minute * cost.DAYS),
        ],
    ]
    head = [
        "USD",
        "a million rows",
        "a hundred million",
        "an hour without news",
        "a month, a million rows a day",
    ]
    return _table(head, lines)


def prices() -> str:
    """Return the list of prices with their pages."""
    lines = [
        [price.what, f"{price.usd:.10f}".rstrip("0").rstrip("."), price.unit, price.page, price.read]
        for price in cost.PRICES.values()
    ]
    return _table(["price", "USD", "for", "page", "was read"], lines)


FURTHER = "each further million, PostgreSQL"
QUIET = "an hour without news"


def _bills(usage: Sequence[Row], speeds: Mapping[str, Row]) -> dict[str, Bill]:
    sizes, million, quiet = memory_mb(), _usage(usage, "a million rows"), _usage(usage, "nothing new")
    return {
        "a million rows, PostgreSQL": cost.of_run(million, sizes, speeds["postgresql"]),
        "a million rows, MariaDB": cost.of_run(million, sizes, speeds["mariadb"]),
        FURTHER: cost.further_million(speeds["postgresql"], sizes),
        QUIET: cost.quiet_hour(cost.of_run(quiet, sizes)),
    }


def _usage(usage: Sequence[Row], run: str) -> Row:
    return next(row for row in usage if (row["run"], row["ranges"]) == (run, 1))


def _speeds(rows: Sequence[Row]) -> dict[str, Row]:
    """Return our own figures by engine, and Spark's on PostgreSQL."""
    by_engine = {row["engine"]: row for row in rows if row["contender"] == "tributary"}
    spark = next(row for row in rows if (row["engine"], row["contender"]) == ("postgresql", "spark jdbc"))
    return {**by_engine, "spark": spark}


def _engines(rows: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(row["engine"] for row in rows))


def _spread(figure: Mapping[str, float], digits: int = 0) -> str:
    median, least, most = (f"{figure[name]:,.{digits}f}" for name in ("median", "min", "max"))
    return f"{median} ({least}–{most})"


def _once_or_spread(figure: Mapping[str, float], runs: int, digits: int = 0) -> str:
    return _spread(figure, digits) if runs > 1 else f"{figure['median']:,.{digits}f}, one round"


def _seconds(number: float) -> str:
    return f"{number:,.2f}" if number < 10 else f"{number:,.0f}"


def _count(number: float) -> str:
    return f"{number:.0f}" if number >= 1 or not number else f"{number:.2f}"


def _usd(amount: float) -> str:
    """Return an amount with two digits that say something."""
    if not amount:
        return "0"
    return f"{amount:,.2f}" if amount >= 1 else f"{amount:.2g}" if amount >= 0.001 else f"{amount:.6f}"


def _usds(*amounts: float) -> list[str]:
    return [_usd(amount) for amount in amounts]


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def blocks() -> dict[str, str]:
    """Return every table by its name."""
    usage, grown, latest = load("usage.json"), load("growth.json"), load("latest.json")
    speeds = _speeds(latest)
    return {
        "speed": speed(latest),
        "growth": growth(grown),
        "ranges": ranges(grown, usage),
        "functions": functions(usage),
        "runs": runs(usage, speeds),
        "compared": compared(usage, speeds),
        "prices": prices(),
    }


def page(text: str, tables: Mapping[str, str]) -> str:
    """Return the page with its tables as they are now."""
    for name, table in tables.items():
        block = BLOCK.format(name=name, text=table)
        there = re.escape(BLOCK.format(name=name, text="TEXT")).replace("TEXT", ".*?")
        text, replaced = re.subn(there, lambda _, block=block: block, text, flags=re.DOTALL)  # type: ignore[misc]
        if replaced != 1:
            raise SystemExit(f"{PAGE.name} has {replaced} places for {name}")
    return text


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(), blocks()))
