"""Build a Lambda layer for its own Python and architecture, without Docker.

    build.py NAME DIRECTORY      fill DIRECTORY/python with the layer
    build.py --check DIRECTORY   refuse built layers that together are too big for a function

Third parties come as wheels by pip, of pinned versions and without resolving: pip would read the
markers of this machine's Python, not of Lambda's. `ARCHITECTURE=x86_64` builds for the other one; the
template's `Architectures` must then say so too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
PYTHON_VERSION = "3.13"
MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}
GLIBC = ("manylinux_2_34", "manylinux_2_28", "manylinux_2_17", "manylinux2014")  # Amazon Linux 2023 has 2.34
LIMIT_BYTES = 240 * 1024 * 1024  # Lambda's own limit is 250 MB for the function and its layers

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


def main(arguments: list[str]) -> int:
    """Do what the command line says."""
    match arguments:
        case ["--check", directory]:
            return check(Path(directory))
        case [name, directory]:
            build(name, Path(directory) / "python", os.environ.get("ARCHITECTURE", "arm64"))
            return 0
    print(__doc__, file=sys.stderr)
    return 2


def build(name: str, target: Path, architecture: str) -> None:
    """Fill the target with the layer of that name."""
    target.mkdir(parents=True, exist_ok=True)
    if name == "tributary":
        package = shutil.copytree(HERE / name / name, target / name, dirs_exist_ok=True)
        remove(package, ["**/__pycache__"])
    else:
        install(HERE / name / "requirements.txt", target, architecture)
        remove(target, ["bin", "pyarrow/__pycache__"])
    if (target / "pyarrow").is_dir():
        remove(target / "pyarrow", PYARROW_UNUSED)
    compile_all(name, target)


def install(requirements: Path, target: Path, architecture: str) -> None:
    """Install the pinned wheels of the target's platform, whatever this machine is."""
    platforms = [f"--platform={glibc}_{MACHINES[architecture]}" for glibc in GLIBC]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += [*platforms, f"--python-version={PYTHON_VERSION}", "--implementation=cp"]
    command += ["--only-binary=:all:", "--no-deps", "--no-compile", f"--target={target}"]
    environment = {**os.environ, "PIP_ROOT_USER_ACTION": "ignore"}
    done = subprocess.run([*command, "--requirement", str(requirements)], env=environment, check=False)
    if done.returncode:
        sys.exit(
            f"{requirements}: pip could not install it; is pip there for {sys.executable}? Try make build"
        )


def remove(folder: Path, patterns: list[str] | tuple[str, ...]) -> None:
    """Remove what matches, files and folders."""
    for pattern in patterns:
        for path in list(folder.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def compile_all(name: str, target: Path) -> None:
    """Compile the layer, which halves a cold start; only Lambda's own Python version can.

    `unchecked-hash`: the zip changes the times that Python would check against.
    """
    python = interpreter()
    if python is None:
        print(
            f"layer {name}: python{PYTHON_VERSION} is not on PATH, so it ships without .pyc files; "
            "it works the same, but starts more slowly",
            file=sys.stderr,
        )
        return
    options = ["-q", "--invalidation-mode", "unchecked-hash", "-s", str(target), "-p", "/opt/python"]
    subprocess.run([python, "-m", "compileall", *options, str(target)], check=True)


def interpreter() -> str | None:
    """Return a Python of Lambda's version; a name on PATH may be a shim with nothing behind it."""
    told = [f"python{PYTHON_VERSION}", sys.executable]
    for name in filter(None, map(shutil.which, told)):
        asked = [name, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        answer = subprocess.run(asked, capture_output=True, text=True, check=False)
        if answer.stdout.strip() == PYTHON_VERSION:
            return name
    return None


def check(built: Path) -> int:
    """Say how big the built layers are; 1 where Extract, which carries the most, could not."""
    sizes = {layer.name: size(layer) for layer in layers(built)}
    for name, size_bytes in sizes.items():
        print(f"{name:<16} {size_bytes / 1024 / 1024:7.1f} MiB")
    if not sizes:
        print(f"{built}: no layer is built here; run sam build first", file=sys.stderr)
        return 1
    if sum(sizes.values()) >= LIMIT_BYTES:
        print(f"the layers are more than {LIMIT_BYTES // 1024 // 1024} MiB together", file=sys.stderr)
        return 1
    return 0


def layers(built: Path) -> Iterator[Path]:
    """Yield the folders of built layers."""
    yield from sorted(path.parent for path in built.glob("*/python"))


def size(folder: Path) -> int:
    """Return the size of all files under the folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
