"""Build a Lambda layer for its own Python and architecture, without Docker.

    build.py NAME DIRECTORY      fill DIRECTORY/python with the layer

Third parties come as wheels by pip, of pinned versions and without resolving: pip would read the
markers of this machine's Python, not of Lambda's. `LAYER_RUNTIME` and `LAYER_ARCHITECTURE` in the
environment build for another target than the template's; `sam build` shows neither to a Makefile.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}
GLIBC = ("manylinux_2_34", "manylinux_2_28", "manylinux_2_17", "manylinux2014")  # Amazon Linux 2023 has 2.34

# What Extract never uses of pyarrow; everything else is needed by `import pyarrow` itself.
PYARROW_UNUSED = (
    "include",
    "src",
    "tests",
    "conftest.py",
    "flight.py",
    "orc.py",
    "feather.py",
    "substrait.py",
    "cuda.py",
    "gandiva.py",
    "_flight*",
    "_dataset_orc*",
    "_orc*",
    "_hdfs*",
    "_gcsfs*",
    "_azurefs*",
    "_feather*",
    "_substrait*",
    "_cuda*",
    "_pyarrow_cpp_tests*",
    "parquet/encryption.py",
    "_parquet_encryption*",
    "_dataset_parquet_encryption*",
    "libarrow_flight*",
    "libarrow_python_flight*",
    "libarrow_python.so",  # three identical copies are shipped; the one named after the version is linked
    "libarrow_python.so.*.*",
    "libarrow_python_parquet_encryption*",
    "**/*.pyi",
    "**/*.pyx",
    "**/*.pxd",
    "**/*.pxi",
    "**/*.h",
)
MIB = 1024 * 1024
PARTS = ("requirements", "sqlalchemy")  # files of layers/drivers that are no database
BOTO3_UNUSED = ("data", "examples")  # of resources; nothing here uses anything but clients
# What boto3 may make clients of. It looks through the folders of all four hundred services for each.
AWS_SERVICES = (
    "lambda",
    "redshift-data",
    "redshift-serverless",
    "s3",
    "scheduler",
    "secretsmanager",
    "sns",
    "ssm",
    "stepfunctions",
)


@dataclass(frozen=True, slots=True)
class Target:
    """What a layer is built for: a runtime such as `python3.13`, and `arm64` or `x86_64`."""

    runtime: str
    architecture: str

    @property
    def version(self) -> str:
        """Return the runtime's Python version, `3.13`."""
        return self.runtime.removeprefix("python")

    @property
    def machine(self) -> str:
        """Return the architecture's name in Linux and in wheels."""
        return MACHINES[self.architecture]


LAMBDA = Target("python3.13", "arm64")  # the template says the same, and a test compares them


def main(arguments: list[str]) -> int:
    """Run the command line."""
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    name, directory = arguments
    target = Target(
        os.environ.get("LAYER_RUNTIME") or LAMBDA.runtime,
        os.environ.get("LAYER_ARCHITECTURE") or LAMBDA.architecture,
    )
    if target.architecture not in MACHINES:
        sys.exit(f"LAYER_ARCHITECTURE is {target.architecture}; Lambda has {' and '.join(MACHINES)}")
    build(name, Path(directory) / "python", target)
    return 0


def build(name: str, folder: Path, target: Target) -> None:
    """Fill the folder with the layer of that name."""
    folder.mkdir(parents=True, exist_ok=True)
    if name == "tributary":
        package = shutil.copytree(HERE / name / name, folder / name, dirs_exist_ok=True)
        remove(package, ["**/__pycache__"])
    else:
        install(HERE / name / "requirements.txt", folder, target)
        remove(folder, ["bin", "pyarrow/__pycache__"])
    if name == "drivers":
        print(carried(folder, HERE / name))  # on stdout, which is all that `sam build` shows
    if (folder / "pyarrow").is_dir():
        remove(folder / "pyarrow", PYARROW_UNUSED)
    if (folder / "boto3").is_dir():
        remove(folder / "boto3", BOTO3_UNUSED)
    if (folder / "botocore").is_dir():
        keep_services(folder / "botocore" / "data", AWS_SERVICES)
    compile_all(name, folder, target)


def install(requirements: Path, folder: Path, target: Target) -> None:
    """Install the pinned wheels of the target's platform, whatever this machine is."""
    platforms = [f"--platform={glibc}_{target.machine}" for glibc in GLIBC]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += [*platforms, f"--python-version={target.version}", "--implementation=cp"]
    command += ["--only-binary=:all:", "--no-deps", "--no-compile", f"--target={folder}"]
    environment = {**os.environ, "PIP_ROOT_USER_ACTION": "ignore"}
    done = subprocess.run([*command, "--requirement", str(requirements)], env=environment, check=False)
    if done.returncode:
        sys.exit(
            f"{requirements}: pip could not install it for {target.runtime} on {target.architecture}; "
            f"is pip there for {sys.executable}, and does it reach a package index? Try make build"
        )


def carried(folder: Path, drivers: Path) -> str:
    """Return what the drivers layer has, with its size, and which lines of databases it does without."""
    size_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    packages = sorted(path.name.partition("-")[0] for path in folder.glob("*.dist-info"))
    lines = (drivers / "requirements.txt").read_text().splitlines()
    optional = sorted(f"-r {path.name}" for path in drivers.glob("*.txt") if path.stem not in PARTS)
    missing = [line for line in optional if line not in lines]
    return (
        f"layer drivers: {size_bytes / MIB:.0f} MiB: {', '.join(packages)}; "
        f"without the lines {', '.join(missing)}"
    )


def remove(folder: Path, patterns: Iterable[str]) -> None:
    """Remove what matches, files and folders."""
    for pattern in patterns:
        for path in list(folder.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def keep_services(data: Path, services: Collection[str]) -> None:
    """Remove botocore's descriptions of all other services, and their addresses from its list of them."""
    for service in data.iterdir():
        if service.is_dir() and service.name not in services:
            shutil.rmtree(service)
    addresses = data / "endpoints.json"  # by prefix of the host, which mostly is the service's name
    tree = json.loads(addresses.read_text())
    kept = {{"stepfunctions": "states"}.get(name, name) for name in services}
    for partition in tree["partitions"]:
        partition["services"] = {name: one for name, one in partition["services"].items() if name in kept}
    addresses.write_text(json.dumps(tree))


def compile_all(name: str, folder: Path, target: Target) -> None:
    """Compile the layer, which halves a cold start; only the target's own Python version can.

    `unchecked-hash`: the zip changes the times that Python would check against.
    """
    python = interpreter(target.version)
    if python is None:
        print(
            f"layer {name}: {target.runtime} is not on PATH, so it ships without .pyc files; "
            "it works the same, but starts more slowly"  # on stdout, which is all that `sam build` shows
        )
        return
    options = ["-q", "--invalidation-mode", "unchecked-hash", "-s", str(folder), "-p", "/opt/python"]
    subprocess.run([python, "-m", "compileall", *options, str(folder)], check=True)


def interpreter(version: str) -> str | None:
    """Return a Python of that version; a name on PATH may be a shim with nothing behind it."""
    current = [f"python{version}", sys.executable]
    for name in filter(None, map(shutil.which, current)):
        command = [name, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        if answer.stdout.strip() == version:
            return name
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
