"""`make bench`: what is measured, all of it or, with `--only`, a part.

`speed`: each tool and ours in turn, several rounds, every output read back and compared; one table
printed, and `bench/results/latest.json`. `growth`: our peak and speed by a table's rows, their width and
its ranges, into `growth.json`. `usage`: what runs take of AWS, and functions of memory, into `usage.json`.
At the end docs/performance.md gets the tables that are computed from these.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import data, growth
from bench.check import Written, written
from bench.measured import RESULTS, ROOT, machine, ours, output, run, save, spread, with_our_code
from bench.peers import SPARK_DRIVERS

PEERS_PYTHON = Path(__file__).parent / ".venv" / "bin" / "python"
OURS = "tributary"
OURS_BY_ODBC = "tributary odbc"
PEERS = {
    "postgresql": ("connectorx", "connectorx stream", "adbc", "dlt connectorx", "dlt pyarrow", "spark jdbc"),
    "mariadb": (
        "connectorx",
        "connectorx stream",
        "arrow-odbc",
        "dlt connectorx",
        "dlt pyarrow",
        "spark jdbc",
    ),
}
MEASURED = {OURS: ("postgresql", "mariadb"), OURS_BY_ODBC: ("mariadb",)}
SLOW = ("dlt pyarrow", "spark jdbc")  # once: they are far from the others, and take most of the time
WHAT = ("speed", "growth", "usage")


@dataclass
class Measured:
    """One contender's runs on one engine, in rounds; `ratios` to the best peer of the same round."""

    engine: str
    contender: str
    runs: list[dict[str, float]] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    output: Written | None = None

    def speeds(self) -> list[float]:
        """Return rows per second of each run."""
        return [run["rows"] / run["seconds"] for run in self.runs]

    def row(self, rows: int, machine: str) -> dict[str, Any]:
        """Return the figures as latest.json holds them."""
        assert self.output is not None
        return {
            "engine": self.engine,
            "contender": self.contender,
            "rows": rows,
            "runs": len(self.runs),
            "rows_per_s": spread(self.speeds(), 0),
            "cpu_s_per_million_rows": spread([1e6 * run["cpu_s"] / run["rows"] for run in self.runs], 2),
            "peak_mb": spread([run["peak_mb"] for run in self.runs], 0),
            "above_imported_mb": spread([run["peak_mb"] - run["imported_mb"] for run in self.runs], 0),
            "ratio_to_best_peer": spread(self.ratios, 2),
            "output_mb": round(self.output.size_bytes / 1e6, 1),
            "decimals_as": self.output.decimals,
            "machine": machine,
        }


def measure(contender: str, engine: str, port: int, place: Path) -> dict[str, float]:
    """Measure one contender once."""
    if contender == OURS_BY_ODBC:
        return ours(f"{engine} odbc", port, "lineitem", place)
    if contender == OURS:
        return ours(engine, port, "lineitem", place)
    return run([str(PEERS_PYTHON), "bench/peers.py", contender, engine, str(port), str(place)])


def compare(engine: str, rows: int, rounds: int, only: list[str]) -> list[Measured]:
    """Run every contender of the engine in turn, round after round."""
    ours_here = tuple(name for name, engines in MEASURED.items() if engine in engines)
    contenders = [
        name for name in (*ours_here, *PEERS[engine]) if (not only or name in only) and can_run(name, engine)
    ]
    contestants = {name: Measured(engine, name) for name in contenders}
    with data.SERVERS[engine](rows) as port:
        with output("out") as place:
            measure(OURS, engine, port, place)  # not counted: the first read would wait for the disk
        for number in range(rounds):
            of_round: dict[str, float] = {}
            for name, measured in contestants.items():
                if number and name in SLOW:
                    continue
                with output("out" if name in MEASURED else "out.parquet") as place:
                    figures = measure(name, engine, port, place)
                    measured.output = measured.output or written(place)
                measured.runs.append(figures)
                of_round[name] = figures["rows"] / figures["seconds"]
                print(f"  {engine} {number + 1}/{rounds} {name}: {of_round[name]:,.0f} rows/s", flush=True)
            best = max((speed for name, speed in of_round.items() if name not in MEASURED), default=0.0)
            for name, speed in of_round.items():
                contestants[name].ratios.append(speed / best if best else 0.0)
    agree(list(contestants.values()))
    return list(contestants.values())


def can_run(contender: str, engine: str) -> bool:
    """Say whether the contender's needs are installed; print what is missing."""
    missing = None
    if contender in (OURS_BY_ODBC, "arrow-odbc"):
        missing = None if any(Path("/usr/lib").glob("*/odbc/libmaodbc.so")) else "MariaDB's ODBC driver"
    elif contender == "spark jdbc":
        spark = subprocess.run([str(PEERS_PYTHON), "-c", "import pyspark"], capture_output=True, check=False)
        driver = Path(SPARK_DRIVERS[engine][0])
        needed = {
            "PySpark": not spark.returncode,
            "Java": bool(shutil.which("java")),
            str(driver): driver.exists(),
        }
        missing = " and ".join(name for name, here in needed.items() if not here) or None
    if missing:
        print(f"  {engine} {contender} is left out: {missing} is not here", flush=True)
    return missing is None


def agree(measured: list[Measured]) -> None:
    """End the benchmark where the outputs are not the same rows."""
    outputs = {one.contender: (one.output.rows, one.output.checksum) for one in measured if one.output}
    if len(set(outputs.values())) > 1:
        raise SystemExit(f"the outputs differ: {outputs}")


def table(rows: list[dict[str, Any]]) -> str:
    """Return the figures as text: medians, with the range of the speeds."""
    head = (
        f"{'engine':<11}{'contender':<19}{'rows/s':>9}  {'min to max':<19}{'CPU s/M':>8}{'peak MB':>9}"
        f"{'to best peer':>14}  {'min to max':<13}{'decimals as'}"
    )
    lines = [head]
    for row in rows:
        speed, ratio = row["rows_per_s"], row["ratio_to_best_peer"]
        lines.append(
            f"{row['engine']:<11}{row['contender']:<19}{speed['median']:>9,.0f}  "
            f"{speed['min']:>8,.0f} to {speed['max']:<8,.0f}{row['cpu_s_per_million_rows']['median']:>8.2f}"
            f"{row['peak_mb']['median']:>9.0f}{ratio['median']:>14.2f}  "
            f"{ratio['min']:.2f} to {ratio['max']:<6.2f}{row['decimals_as']}"
        )
    return "\n".join(lines)


def speed(options: argparse.Namespace) -> None:
    """Measure, print, and write how fast each contender is."""
    only = [name for name in options.contenders.split(",") if name]
    described = machine()
    rows: list[dict[str, Any]] = []
    for engine in options.engines.split(","):
        measured = compare(engine, options.rows, options.rounds, only)
        rows += [one.row(int(one.runs[0]["rows"]), described) for one in measured]
    print(f"\n{described}\n\n{table(rows)}")
    save(options.save, rows)
    if options.save == "latest.json":
        subprocess.run([str(PEERS_PYTHON), "bench/chart.py"], cwd=ROOT, check=True)


def main() -> None:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(
        prog="make bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default=",".join(WHAT), help=f"of {', '.join(WHAT)}, with commas between")
    parser.add_argument("--engines", default="postgresql,mariadb")
    parser.add_argument("--rows", type=int, default=2_000_000, help="speed: of lineitem")
    parser.add_argument("--rounds", type=int, default=5, help="speed: how often each is measured")
    parser.add_argument("--contenders", default="", help="speed: only these, with commas between them")
    parser.add_argument("--save", default="latest.json", help="speed: where under bench/results")
    parser.add_argument("--growth-rows", default=",".join(map(str, growth.ROWS)), help="growth: how many")
    options = parser.parse_args()
    data.FOLDER.mkdir(exist_ok=True)
    environment = {**os.environ, **with_our_code()}
    for what in options.only.split(","):
        print(f"{what}:", flush=True)
        if what == "speed":
            speed(options)
        elif what == "growth":
            growth.measure(options.engines.split(","), [int(rows) for rows in options.growth_rows.split(",")])
        elif what == "usage":
            subprocess.run([sys.executable, "-m", "bench.usage"], cwd=ROOT, env=environment, check=True)
        else:
            raise SystemExit(f"--only: {what} is none of {', '.join(WHAT)}")
    if all((RESULTS / name).exists() for name in ("latest.json", growth.FILE, "usage.json")):
        subprocess.run([sys.executable, "-m", "bench.tables"], cwd=ROOT, env=environment, check=True)


if __name__ == "__main__":
    main()
