"""The layers hold what the functions import, pinned, and pyarrow survives its trimming."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from layers import build

ROOT = Path(__file__).parents[2]
LAYERS = ("runtime", "arrow", "drivers")
LAMBDA = {"python_version": "3.13", "python_full_version": "3.13.0", "sys_platform": "linux", "extra": ""}
WRITES_PARQUET = """
import io, pyarrow as pa, pyarrow.compute, pyarrow.csv, pyarrow.parquet as pq
table = pa.csv.read_csv(io.BytesIO(b"a,b\\n1,x\\n2,y\\n"))
buffer = io.BytesIO()
pq.write_table(table.append_column("c", pa.compute.add(table["a"], 1)), buffer, compression="zstd")
print(pq.ParquetFile(buffer).read().to_pylist(), pa.__file__)
"""


def pins(path: Path) -> dict[str, str]:
    """Return the versions by canonical name, without those of files it includes."""
    lines = (line.split("#")[0].split(";")[0].strip() for line in path.read_text().splitlines())
    found = [line.partition("==") for line in lines if line and not line.startswith("-r")]
    return {canonicalize_name(name): version for name, _, version in found}


def layer(name: str) -> dict[str, str]:
    return pins(ROOT / "layers" / name / "requirements.txt")


EVERYTHING = {name: version for part in LAYERS for name, version in layer(part).items()}


def test_every_requirement_is_pinned():
    for path in [*ROOT.glob("requirements-*.txt"), *ROOT.glob("layers/*/requirements.txt")]:
        assert all(re.fullmatch(r"[0-9][\w.+!-]*", version) for version in pins(path).values()), path


def test_no_package_comes_with_two_layers():
    assert len(EVERYTHING) == sum(len(layer(name)) for name in LAYERS)


@pytest.mark.parametrize("name", sorted(EVERYTHING))
def test_what_a_layers_package_needs_is_in_the_layers(name: str):
    needed = map(Requirement, importlib.metadata.requires(name) or ())
    here = [one for one in needed if one.marker is None or one.marker.evaluate(LAMBDA)]
    assert [str(one) for one in here if canonicalize_name(one.name) not in EVERYTHING] == []
    assert [str(one) for one in here if EVERYTHING[canonicalize_name(one.name)] not in one.specifier] == []


def test_tests_run_with_the_versions_that_are_shipped():
    assert {name: importlib.metadata.version(name) for name in EVERYTHING} == EVERYTHING
    development = (ROOT / "requirements-dev.txt").read_text()
    assert all(f"-r layers/{name}/requirements.txt\n" in development for name in LAYERS)
    assert not EVERYTHING.keys() & pins(ROOT / "requirements-dev.txt").keys()


def test_trimmed_pyarrow_still_reads_csv_and_writes_parquet(tmp_path: Path):
    trimmed = tmp_path / "pyarrow"
    shutil.copytree(Path(pyarrow.__file__).parent, trimmed)
    before = build.size(trimmed)
    build.remove(trimmed, build.PYARROW_UNUSED)
    command = [
        sys.executable,
        "-I",
        "-c",
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}){WRITES_PARQUET}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.split("] ") == [
        "[{'a': 1, 'b': 'x', 'c': 2}, {'a': 2, 'b': 'y', 'c': 3}",
        f"{trimmed}/__init__.py\n",
    ]
    assert before - build.size(trimmed) > 30 * 1024 * 1024


def test_our_own_layer_is_the_package_without_what_python_left_there(tmp_path: Path):
    build.build("tributary", tmp_path / "python", "arm64")
    package = ROOT / "layers" / "tributary" / "tributary"
    copied = {path.relative_to(tmp_path / "python") for path in tmp_path.rglob("*.py")}
    assert copied == {path.relative_to(package.parent) for path in package.rglob("*.py")}


def test_layers_that_are_too_big_for_a_function_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(build, "LIMIT_BYTES", 10)
    (tmp_path / "ArrowLayer" / "python").mkdir(parents=True)
    (tmp_path / "ArrowLayer" / "python" / "a.so").write_bytes(b"123456789")
    assert build.check(tmp_path) == 0
    (tmp_path / "ArrowLayer" / "python" / "b.so").write_bytes(b"0")
    assert build.check(tmp_path) == 1
