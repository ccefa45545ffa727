"""The layers hold what the functions import, pinned, for the template's target, and survive trimming."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import botocore.session
import pyarrow
import pytest
from botocore.loaders import Loader
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from samtranslator.yaml_helper import yaml_parse

from layers import build, driver_sqlserver, odbc
from layers.build import Target
from layers.check.files import size

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
    pins = [line.partition("==") for line in lines if line and not line.startswith("-r")]
    return {canonicalize_name(name): version for name, _, version in pins}


def layer(name: str) -> dict[str, str]:
    return pins(ROOT / "layers" / name / "requirements.txt")


TEMPLATE = yaml_parse((ROOT / "template.yaml").read_text())


def of_type(kind: str) -> dict[str, Any]:
    return {name: one for name, one in TEMPLATE["Resources"].items() if one["Type"] == kind}


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
    before = size(trimmed)
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
    assert before - size(trimmed) > 30 * 1024 * 1024


def test_our_own_layer_is_the_package_without_what_python_left_there(tmp_path: Path):
    build.build("tributary", tmp_path / "python", build.LAMBDA)
    package = ROOT / "layers" / "tributary" / "tributary"
    copied = {path.relative_to(tmp_path / "python") for path in tmp_path.rglob("*.py")}
    assert copied == {path.relative_to(package.parent) for path in package.rglob("*.py")}


def test_a_layer_that_this_python_may_compile_is_compiled_for_any_time_of_its_files(tmp_path: Path):
    (tmp_path / "one.py").write_text("x = 1")
    build.compile_all("one", tmp_path, Target("python{}.{}".format(*sys.version_info[:2]), "arm64"))
    [cached] = tmp_path.rglob("*.pyc")
    assert cached.name == f"one.{sys.implementation.cache_tag}.pyc"
    assert cached.read_bytes()[4:8] == b"\x01\0\0\0"  # found by the source's hash, which is never looked at


def test_a_layer_that_no_python_here_may_compile_says_that_it_starts_more_slowly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "one.py").write_text("x = 1")
    build.compile_all("one", tmp_path, Target("python3.99", "arm64"))
    assert [path.name for path in tmp_path.iterdir()] == ["one.py"]
    assert "python3.99 is not on PATH, so it ships without .pyc files" in capsys.readouterr().out


def test_layers_are_built_for_what_the_template_says():
    shared = TEMPLATE["Globals"]["Function"]
    assert Target(shared["Runtime"], *shared["Architectures"]) == build.LAMBDA
    functions = [one["Properties"] for one in of_type("AWS::Serverless::Function").values()]
    assert [one for one in functions if {"Runtime", "Architectures"} & one.keys()] == []
    metadata = [one.get("Metadata") for one in of_type("AWS::Serverless::LayerVersion").values()]
    assert {one["BuildArchitecture"] for one in metadata if one} == {build.LAMBDA.architecture}


def test_every_layer_that_is_built_has_a_rule_for_the_folder_that_it_names():
    rules = re.findall(
        r"^build-(\w+):.* build.py (\w+) ", (ROOT / "layers/Makefile").read_text(), re.MULTILINE
    )
    layers = of_type("AWS::Serverless::LayerVersion").items()
    built = {name: one["Properties"]["ContentUri"] for name, one in layers if "Metadata" in one}
    assert {name: f"layers/{folder}" for name, folder in rules} == built


def test_every_service_that_a_client_is_made_for_stays_in_botocore(tmp_path: Path):
    code = [*ROOT.glob("layers/tributary/tributary/**/*.py"), *ROOT.glob("functions/*/*.py")]
    made = {name for path in code for name in re.findall(r"client\(\s*\"([a-z0-9-]+)\"", path.read_text())}
    assert made == set(build.AWS_SERVICES)


def test_a_trimmed_botocore_makes_the_same_clients(tmp_path: Path):
    data = Path(botocore.__file__).parent / "data"
    for path in data.iterdir():
        if path.is_file():
            shutil.copy(path, tmp_path)
    for name in (*build.AWS_SERVICES, "ec2"):
        shutil.copytree(data / name, tmp_path / name)
    build.keep_services(tmp_path, build.AWS_SERVICES)
    whole, trimmed = botocore.session.Session(), botocore.session.Session()
    loader = Loader(extra_search_paths=[str(tmp_path)], include_default_search_paths=False)
    trimmed.register_component("data_loader", loader)
    assert trimmed.get_available_services() == sorted(build.AWS_SERVICES)
    for region in ("eu-west-1", "us-gov-west-1", "cn-north-1"):
        for name in build.AWS_SERVICES:
            clients = [one.create_client(name, region_name=region) for one in (whole, trimmed)]
            addresses = [
                (each.meta.endpoint_url, each.meta.partition, vars(each)["_request_signer"].signing_name)
                for each in clients
            ]
            assert addresses[0] == addresses[1]


def odbc_layer(tmp_path: Path) -> Path:
    """Return a drivers layer as the wheel of Microsoft's driver leaves it."""
    for system in ("rhel", "suse", "debian_ubuntu"):
        library = tmp_path / "layer" / odbc.DRIVER / system / "arm64" / "lib" / "libmsodbcsql-18.6.so.2.1"
        library.parent.mkdir(parents=True)
        library.write_text(system)
    return tmp_path / "layer"


def test_a_layer_with_odbc_keeps_one_driver_and_gets_the_driver_manager(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(odbc, "HERE", tmp_path)
    for name in odbc.LIBRARIES:
        given = tmp_path / "drivers" / "lib" / "arm64" / name
        given.parent.mkdir(parents=True, exist_ok=True)
        given.write_text(name)
    layer = odbc_layer(tmp_path)

    odbc.complete(layer, "arm64")

    assert {str(path.relative_to(layer)): path.read_text() for path in layer.rglob("*.so*")} == {
        "python/mssql_python_odbc/libs/linux/rhel/arm64/lib/libmsodbcsql-18.6.so.2.1": "rhel",
        "lib/libodbc.so.2": "libodbc.so.2",
        "lib/libltdl.so.7": "libltdl.so.7",
    }


def test_a_layer_with_odbc_is_not_built_without_the_driver_manager(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(odbc, "HERE", tmp_path)
    with pytest.raises(
        SystemExit, match=r"libodbc.so.2 for arm64 is not here: put it into layers/drivers/lib"
    ):
        odbc.complete(odbc_layer(tmp_path), "arm64")


def test_a_layer_without_odbc_is_left_alone(tmp_path: Path):
    odbc.complete(tmp_path, "arm64")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def drivers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder like layers/drivers, in which `make driver-sqlserver` works."""
    folder = tmp_path / "drivers"
    folder.mkdir()
    (folder / "requirements.txt").write_text("pg8000==1\n\n# SQL Server.\n# -r odbc.txt\n")
    (folder / "odbc.txt").write_text("mssql-python-odbc==1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(driver_sqlserver, "REQUIREMENTS", folder / "requirements.txt")
    monkeypatch.setattr(odbc, "HERE", tmp_path)
    return folder


def test_one_command_takes_sql_servers_driver_in(
    drivers: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def install(requirements: Path, folder: Path, target: build.Target) -> None:
        assert (requirements, target) == (drivers / "odbc.txt", build.LAMBDA)
        for system in ("rhel", "suse"):
            (folder.parent / odbc.DRIVER / system).mkdir(parents=True)

    monkeypatch.setattr(build, "install", install)
    closed = (drivers / "requirements.txt").read_text()
    with pytest.raises(SystemExit, match=r"nothing has changed: libodbc.so.2 for arm64 is not here"):
        driver_sqlserver.main()
    assert (drivers / "requirements.txt").read_text() == closed
    for name in odbc.LIBRARIES:
        (given := drivers / "lib" / "arm64" / name).parent.mkdir(parents=True, exist_ok=True)
        given.touch()
    driver_sqlserver.main()
    assert (drivers / "requirements.txt").read_text() == "pg8000==1\n\n# SQL Server.\n-r odbc.txt\n"
    assert "accept the licence of Microsoft's ODBC driver" in capsys.readouterr().out
    driver_sqlserver.main()  # which changes nothing a second time
    assert "already" in capsys.readouterr().out


def test_without_a_package_index_the_driver_is_not_taken_in_and_the_command_says_why(
    drivers: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    closed = (drivers / "requirements.txt").read_text()
    with pytest.raises(SystemExit, match=r"nothing has changed: .*odbc.txt: pip could not .*package index"):
        driver_sqlserver.main()
    assert (drivers / "requirements.txt").read_text() == closed


def test_odbc_is_an_opt_in_of_one_line_whose_pins_are_those_of_the_tests():
    requirements = ROOT / "layers" / "drivers" / "requirements.txt"
    lines = requirements.read_text().splitlines()
    assert [line.removeprefix("# ") for line in lines].count("-r odbc.txt") == 1
    shipped = pins(requirements.with_name("odbc.txt"))
    assert shipped.pop("mssql-python-odbc")
    assert {name: importlib.metadata.version(name) for name in shipped} == shipped
    needed = {
        canonicalize_name(Requirement(one).name)
        for name in shipped
        for one in importlib.metadata.requires(name) or ()
    }
    assert needed <= shipped.keys() | EVERYTHING.keys()
