"""Take SQL Server's driver into the drivers layer: `make driver-sqlserver`.

By Microsoft's licence its driver may be used and not passed on: running this accepts it. All that the layer
needs is fetched and looked at first, and only then is the line in drivers/requirements.txt opened, so that a
failure changes nothing.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from layers import build, odbc

REQUIREMENTS = Path(__file__).parent / "drivers" / "requirements.txt"
CLOSED, OPEN = "# -r odbc.txt\n", "-r odbc.txt\n"


def main() -> None:
    """Fetch what the layer needs, then open the line."""
    text = REQUIREMENTS.read_text()
    if f"\n{CLOSED}" not in text:
        if f"\n{OPEN}" not in text:
            sys.exit(f'{REQUIREMENTS} has no line "-r odbc.txt"; write it there and run this again')
        print("The drivers layer already takes in SQL Server's driver. Next: make deploy")
        return
    architecture = os.environ.get("LAYER_ARCHITECTURE") or build.LAMBDA.architecture
    if architecture not in build.MACHINES:
        sys.exit(f"LAYER_ARCHITECTURE is {architecture}; Lambda has {' and '.join(build.MACHINES)}")
    fetch(build.Target(build.LAMBDA.runtime, architecture))
    REQUIREMENTS.write_text(text.replace(f"\n{CLOSED}", f"\n{OPEN}"))
    print(
        "You accept the licence of Microsoft's ODBC driver, which is inside the package mssql-python-odbc.\n"
        f'{REQUIREMENTS.relative_to(Path.cwd())}: "-r odbc.txt" is open now. Next: make deploy'
    )


def fetch(target: build.Target) -> None:
    """Bring wheels and driver manager into a folder that is thrown away; exits with what is missing."""
    with tempfile.TemporaryDirectory(prefix="driver-sqlserver-") as folder:
        layer = Path(folder)
        try:
            build.install(REQUIREMENTS.with_name("odbc.txt"), layer / "python", target)
            odbc.complete(layer, target.architecture)
        except SystemExit as missing:
            sys.exit(f"SQL Server's driver was not taken in, and nothing has changed: {missing}")


if __name__ == "__main__":
    main()
