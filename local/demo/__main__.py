"""`python -m local.demo`: three sources through the whole pipeline, twice, and every table compared.

Ends with 0 only if every run succeeded and every table of the warehouse equals its source's.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
import warnings
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from local.pipeline import Pipeline

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
HORIZON_S = 2  # a watermark stops a second before the source's clock: the changes must be older
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "layers" / "tributary"))
warnings.filterwarnings("ignore", module="moto")

from local import stack  # noqa: E402
from local.demo import crm, tables, warehouse  # noqa: E402
from local.demo.runs import compare_all, run_all  # noqa: E402
from local.demo.sales import LATE_CLERK, Sales  # noqa: E402
from local.demo.screen import Screen  # noqa: E402
from local.demo.source import Source  # noqa: E402
from local.demo.stock import Stock  # noqa: E402


def main(arguments: list[str] | None = None) -> int:
    """Run the demo and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m local.demo", description=__doc__)
    parser.add_argument(
        "--scale", type=float, default=0.1, help="of TPC-H, 0.01 or more; 0.1 is 600,572 order items"
    )
    parser.add_argument("--crm", choices=["mariadb", "sqlite"], help="default: mariadb if it is installed")
    options = parser.parse_args(arguments)
    for number in SIGNALS:
        signal.signal(number, _interrupt)
    screen = Screen()
    try:
        with tempfile.TemporaryDirectory(prefix="tributary-demo-") as directory, ExitStack() as running:
            good = show(Path(directory), options, screen, running)
    except KeyboardInterrupt:
        screen.step("Interrupted. Every process has ended, and the temporary directory is gone.")
        return 130
    screen.step("Every table agrees." if good else "NOT EVERY TABLE AGREES: see above.")
    return 0 if good else 1


def show(directory: Path, options: argparse.Namespace, screen: Screen, running: ExitStack) -> bool:
    """Run the demo in the directory; `running` stops its processes. Return whether everything succeeded."""
    screen.step("Generating the tables of TPC-H, starting their databases, filling them")
    tables.generate(directory / "rows", options.scale)
    sales = Sales(directory / "sales")
    running.callback(sales.stop)
    customers = crm.start(directory / "crm", options.crm)
    running.callback(customers.stop)
    sources: list[Source] = [sales, customers, Stock(directory / "stock")]
    for source in sources:
        source.fill(directory / "rows")
        counts = ", ".join(f"{table.name} {source.fingerprint(table).rows:,}" for table in source.tables)
        screen.step(f"{source.name} is {source.kind}: {counts}")

    files = directory / "sources"
    files.mkdir()
    for source in sources:
        (files / f"{source.name}.yaml").write_text(source.yaml)
        screen.step(f"sources/{source.name}.yaml, which is all that a source needs:")
        screen.quote(source.yaml)

    screen.step("Starting the local stack: AWS, Redshift, and template.yaml deployed into them")
    pipeline = running.enter_context(stack.spawn(directory / "stack", sources=files))
    for source in sources:
        _store_secret(pipeline, source)

    screen.step("In the meantime in sales:")
    for change in sales.work_on():
        screen.detail(change)
    screen.step("First run, all sources at the same time")
    succeeded = run_all(pipeline, sources, screen)
    screen.step("Comparing every row of source and warehouse")
    agreed = compare_all(pipeline, sources, screen)

    for source in sources:
        screen.step(f"In the meantime in {source.name}:")
        for change in source.change():
            screen.detail(change)
    time.sleep(HORIZON_S)
    screen.step("Second run, all sources at the same time")
    succeeded &= run_all(pipeline, sources, screen)
    screen.step("Comparing every row of source and warehouse")
    agreed &= compare_all(pipeline, sources, screen)
    arrived = _check_arrivals(pipeline, sales, customers, screen)
    return succeeded and agreed and arrived


def _store_secret(pipeline: Pipeline, source: Source) -> None:
    pipeline.client("secretsmanager").create_secret(
        Name=f"tributary/{source.name}", SecretString=json.dumps(source.secret)
    )


def _check_arrivals(pipeline: Pipeline, sales: Sales, customers: Source, screen: Screen) -> bool:
    """Show whether rows that are easily lost have arrived: late commits and a new column's default."""
    late = sales.late_orders()
    late_found = warehouse.count(pipeline, "sales.orders", f"o_clerk = '{LATE_CLERK}'")
    screen.step(f"Orders committed late by a transaction older than the first run: {late_found} of {late}")
    given = customers.fingerprint(tables.CUSTOMER).rows
    given_found = warehouse.count(pipeline, "crm.customer", "loyalty = 'bronze'")
    screen.step(
        f"Customers with the new column's default, most with an old updated_at: {given_found:,} of {given:,}"
    )
    return late_found == late > 0 and given_found == given


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Stop the demo; further signals do not interrupt the cleanup."""
    for other in SIGNALS:
        signal.signal(other, signal.SIG_IGN)
    os.write(1, b"\nInterrupted: ending every process, a few seconds\n")
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
