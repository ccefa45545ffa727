"""Complete the drivers layer for ODBC, if its build included `drivers/odbc.txt`.

    odbc.py DIRECTORY      the layer that `build.py drivers DIRECTORY` has filled

A wheel cannot contain the driver manager, which Lambda's image lacks: libodbc.so.2 and its dependency
go to DIRECTORY/lib, which is on the loader's path. They come from drivers/lib/<architecture>/ beside
this file, or from this machine if it has the same architecture. `make build` checks that Amazon
Linux 2023 can load them.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).parent
LIBRARIES = ("libodbc.so.2", "libltdl.so.7")
MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}
DRIVER = Path("python/mssql_python_odbc/libs/linux")
WHOSE = "rhel"  # whose build of the driver is for Amazon Linux


def main(arguments: list[str]) -> int:
    """Do what the command line says."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    complete(Path(arguments[0]), os.environ.get("LAYER_ARCHITECTURE") or "arm64")
    return 0


def complete(layer: Path, architecture: str) -> None:
    """Keep the one driver that Lambda can load, and put the driver manager beside it."""
    if not (layer / DRIVER).is_dir():
        return
    for folder in (layer / DRIVER).iterdir():
        if folder.name != WHOSE:
            shutil.rmtree(folder)
    (layer / "lib").mkdir(exist_ok=True)
    for name in LIBRARIES:
        shutil.copyfile(find(name, places(architecture), architecture), layer / "lib" / name)
    print(
        "layer drivers: contains Microsoft's ODBC driver, whose licence you accept; it is beside the driver"
    )


def places(architecture: str) -> Iterable[Path]:
    """Return the folders that may have libraries of that architecture."""
    yield HERE / "drivers" / "lib" / architecture
    machine = MACHINES[architecture]
    if platform.machine() == machine:
        yield from (Path("/usr/lib") / f"{machine}-linux-gnu", Path("/usr/lib64"))


def find(name: str, folders: Iterable[Path], architecture: str) -> Path:
    """Return the library of that name; exits with what to do where no folder has it."""
    library = next((folder / name for folder in folders if (folder / name).is_file()), None)
    if library is None:
        sys.exit(
            f"{name} for {architecture} is not here: put it into layers/drivers/lib/{architecture}/, "
            'as "SQL Server" in docs/configuration.md says'
        )
    return library


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
