"""The check of what was built refuses what Lambda would be the first to meet.

Libraries, wheels and trees are made here, each with the one fault that it is about.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from samtranslator.yaml_helper import yaml_parse

from layers.build import Target
from layers.check import answers, cold_start, elf, files, here, room, shipped, wheels
from layers.check.artifact import Function, NotBuilt, functions
from layers.check.elf import Elf

ROOT = Path(__file__).parents[2]
ARM = Target("python3.13", "arm64")
ARM_MACHINE, X86_MACHINE = 183, 62  # EM_AARCH64, EM_X86_64


def library(machine: int, needed: str, search: str, versions: tuple[str, ...]) -> bytes:
    """Return an ELF file with what the loader reads: linked names, own folders, versions of symbols."""
    texts = ["", needed, search, *versions, "libc.so.6"]
    table = b"".join(text.encode() + b"\0" for text in texts)
    at = {text: table.index(text.encode() + b"\0") for text in texts[1:]}
    dynamic = struct.pack("<6Q", 1, at[needed], 29, at[search], 0, 0)  # DT_NEEDED, DT_RUNPATH, DT_NULL
    versioned = struct.pack("<2H3I", 1, len(versions), at["libc.so.6"], 16, 0)
    for place, version in enumerate(versions):
        following = 16 if place < len(versions) - 1 else 0
        versioned += struct.pack("<I2H2I", 0, 0, place + 2, at[version], following)
    names = b"\0.dynstr\0.dynamic\0.gnu.version_r\0.shstrtab\0"
    kinds = {".dynstr": 3, ".dynamic": 6, ".gnu.version_r": 0x6FFFFFFE, ".shstrtab": 3}
    contents = dict(zip(kinds, [table, dynamic, versioned, names], strict=True))
    offset, body, headers = 64, b"", b"\0" * 64
    for name, content in contents.items():
        entry = 16 if name == ".dynamic" else 0
        count = 1 if name == ".gnu.version_r" else 0
        start = names.index(name.encode())
        headers += struct.pack(
            "<2I4Q2I2Q", start, kinds[name], 0, 0, offset + len(body), len(content), 1, count, 8, entry
        )
        body += content
    ident = b"\x7fELF\x02\x01\x01" + b"\0" * 9
    header = struct.pack("<2HI3QI6H", 3, machine, 1, 0, 0, 64 + len(body), 0, 64, 0, 0, 64, 5, 4)
    return ident + header + body + headers


def place(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def wheel(*tags: str) -> bytes:
    return "".join(["Wheel-Version: 1.0\n", *(f"Tag: {tag}\n" for tag in tags)]).encode()


def test_a_library_is_read_as_the_loader_reads_it(tmp_path: Path):
    content = library(ARM_MACHINE, "libz.so.1", "$ORIGIN:$ORIGIN/../lib", ("GLIBC_2.17", "GLIBC_2.28"))
    place(tmp_path, {"a.so": content, "a.py": b"x = 1"})
    assert elf.read(tmp_path / "a.so") == Elf(
        "aarch64", ("libz.so.1",), ("$ORIGIN", "$ORIGIN/../lib"), frozenset({"GLIBC_2.17", "GLIBC_2.28"})
    )
    assert elf.read(tmp_path / "a.py") is None


GOOD = Elf("aarch64", ("libc.so.6", "libown.so.1"), ("$ORIGIN",), frozenset({"GLIBC_2.34", "GLIBCXX_3.4.29"}))
BESIDE = {"python/p/libown.so.1", "python/other/libfar.so", "lib/libodbc.so.2"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({}, None),
        ({"machine": "x86_64"}, "is for x86_64, and the function runs on aarch64"),
        ({"needed": ("libz.so.1",)}, "needs libz.so.1, which is neither in the layers nor in Amazon Linux"),
        ({"needed": ("libfar.so",)}, "needs libfar.so, which is neither"),
        ({"needed": ("libfar.so",), "search": ("$ORIGIN/../other",)}, None),
        ({"search": ()}, "needs libown.so.1, which is neither"),
        ({"needed": ("libodbc.so.2",)}, None),
        ({"versions": frozenset({"GLIBC_2.35"})}, "needs GLIBC_2.35, which is newer"),
        ({"versions": frozenset({"GLIBCXX_3.4.30"})}, "needs GLIBCXX_3.4.30, which is newer"),
        ({"versions": frozenset({"GLIBC_PRIVATE"})}, "needs GLIBC_PRIVATE, which is newer"),
        ({"versions": frozenset({"OWN_99"})}, None),
    ],
)
def test_a_library_that_could_not_be_loaded_is_refused(changed: dict[str, Any], message: str | None):
    faults = list(elf.faults("python/p/a.so", replace(GOOD, **changed), ARM, BESIDE))
    assert [(message or "") in fault for fault in faults] == ([True] if message else []), faults


def test_an_extension_for_another_python_is_refused():
    name = "python/p/_c.cpython-312-aarch64-linux-gnu.so"
    assert list(elf.faults(name, GOOD, ARM, BESIDE)) == [
        f"{name} is for Python 3.12, and the function runs on 3.13"
    ]


@pytest.mark.parametrize(
    "tags",
    [
        ("py3-none-any",),
        ("py2-none-any", "py3-none-any"),
        ("cp313-cp313-manylinux_2_28_aarch64",),
        ("cp39-abi3-manylinux2014_aarch64",),
    ],
)
def test_a_wheel_that_fits_is_taken(tags: tuple[str, ...], tmp_path: Path):
    place(tmp_path, {"a-1.dist-info/WHEEL": wheel(*tags)})
    assert list(wheels.faults(tmp_path, ARM)) == []


@pytest.mark.parametrize(
    "tag",
    [
        "cp312-cp312-manylinux_2_28_aarch64",
        "cp313-cp313-manylinux_2_28_x86_64",
        "cp313-cp313-manylinux_2_35_aarch64",
        "cp313-cp313-musllinux_1_2_aarch64",
        "cp313-cp313t-manylinux_2_28_aarch64",
        "cp314-abi3-manylinux_2_28_aarch64",
        "py2-none-any",
    ],
)
def test_a_wheel_for_something_else_is_refused(tag: str, tmp_path: Path):
    place(tmp_path, {"a-1.dist-info/WHEEL": wheel(tag)})
    assert list(wheels.faults(tmp_path, ARM)) == [
        f"a-1.dist-info is for {tag}, not for python3.13 on aarch64"
    ]


def test_what_pip_did_not_install_from_a_wheel_is_refused(tmp_path: Path):
    place(tmp_path, {"a-1.dist-info/METADATA": b""})
    assert list(wheels.faults(tmp_path, ARM)) == ["a-1.dist-info does not name its platform; is it a wheel?"]


def test_files_without_use_in_lambda_are_refused(tmp_path: Path):
    useful = ["python/a/b.py", "python/a/py.typed", "python/a/__pycache__/b.cpython-313.pyc", "lib/libz.so.1"]
    useless = [
        ".env",
        "app.py~",
        "bin/tool",
        "python/a/__pycache__/b.cpython-311.pyc",
        "python/a/_c.pyx",
        "python/a/b.pyc",
        "python/a/tests/test_b.py",
    ]
    place(tmp_path, dict.fromkeys([*useful, *useless], b""))
    assert [fault.split()[0] for fault in files.stray(tmp_path, ARM)] == useless


def test_a_file_in_two_layers_is_refused(tmp_path: Path):
    one = place(tmp_path / "one", {"python/a.py": b"", "python/b.py": b""})
    two = place(tmp_path / "two", {"python/b.py": b""})
    assert list(files.shadowed({"One": one, "Two": two})) == ["python/b.py is in One and in Two"]


TEMPLATE: dict[str, Any] = {
    "Globals": {
        "Function": {
            "Runtime": "python3.13",
            "Architectures": ["arm64"],
            "Handler": "app.handler",
            "Layers": [{"Ref": "OneLayer"}],
            "Environment": {"Variables": {"SHARED": ""}},
        }
    },
    "Resources": {
        "GoFunction": {
            "Type": "AWS::Serverless::Function",
            "Properties": {
                "CodeUri": "GoFunction",
                "Layers": [{"Ref": "FilesLayer"}],
                "Environment": {"Variables": {"OWN": ""}},
            },
        },
        "OneLayer": {"Type": "AWS::Serverless::LayerVersion", "Properties": {"ContentUri": "OneLayer"}},
        "FilesLayer": {"Type": "AWS::Serverless::LayerVersion", "Properties": {"ContentUri": "../files"}},
        "Made": {
            "Type": "Custom::Made",
            "Properties": {"ServiceToken": {"Fn::GetAtt": ["GoFunction", "Arn"]}},
        },
    },
}


@pytest.fixture
def built(tmp_path: Path) -> Path:
    place(
        tmp_path,
        {
            "build/template.yaml": json.dumps(TEMPLATE).encode(),
            "build/GoFunction/app.py": b"",
            "build/OneLayer/python/a/_c.cpython-313-aarch64-linux-gnu.so": library(
                ARM_MACHINE, "libm.so.6", "$ORIGIN", ("GLIBC_2.17",)
            ),
            "build/OneLayer/python/a-1.dist-info/WHEEL": wheel("cp313-cp313-manylinux_2_28_aarch64"),
            "files/shop.yaml": b"",
        },
    )
    return tmp_path / "build"


def test_the_built_template_says_what_a_function_carries(built: Path):
    assert functions(built) == [
        Function(
            name="GoFunction",
            code=built / "GoFunction",
            handler="app.handler",
            target=ARM,
            layers={"OneLayer": built / "OneLayer", "FilesLayer": built.parent / "files"},
            variables=frozenset({"SHARED", "OWN"}),
            custom=True,
        )
    ]


def test_an_artifact_without_fault_passes_and_its_slow_starts_are_said(
    built: Path, capsys: pytest.CaptureFixture[str]
):
    assert shipped.check(built) == []
    printed = capsys.readouterr().out
    assert "GoFunction              0.0 MiB  with 2 layers, python3.13 on arm64" in printed
    assert "OneLayer                0.0 MiB  without .pyc files, so starts are slower" in printed


def test_every_fault_of_an_artifact_is_reported_at_once(built: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(files, "LIMIT_BYTES", 100)
    monkeypatch.setattr(files, "LAYERS_AT_MOST", 1)
    place(
        built,
        {
            "GoFunction/tests/test_app.py": b"",
            "OneLayer/python/a/lib.so": library(X86_MACHINE, "libm.so.6", "$ORIGIN", ("GLIBC_2.17",)),
            "OneLayer/python/b-1.dist-info/WHEEL": wheel("cp313-cp313-win_arm64"),
            "OneLayer/shop.yaml": b"",
        },
    )
    assert shipped.check(built) == [
        "GoFunction has 2 layers; Lambda takes 1",
        "GoFunction and its layers are 0 MiB; keep them under 0, since Lambda takes 250 MB",
        "GoFunction: shop.yaml is in OneLayer and in FilesLayer",
        "GoFunction: tests/test_app.py has no use in Lambda",
        "OneLayer: b-1.dist-info is for cp313-cp313-win_arm64, not for python3.13 on aarch64",
        "OneLayer: python/a/lib.so is for x86_64, and the function runs on aarch64",
    ]


def test_what_was_not_built_is_not_passed(tmp_path: Path, built: Path):
    with pytest.raises(NotBuilt, match="run make build"):
        functions(tmp_path)
    for path in sorted((built / "OneLayer").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (built / "OneLayer").rmdir()
    with pytest.raises(NotBuilt, match="OneLayer is not there; run make build"):
        functions(built)


FUNCTION = Function("GoFunction", Path("/go"), "app.handler", ARM, {}, frozenset({"OWN"}), custom=True)
ASKED = {"StackId": "s", "RequestId": "r", "LogicalResourceId": "l"}
MISSING = "environment variable OWN is not set; the template declares it"


def test_an_answer_counts_where_it_asks_for_a_variable_of_the_template():
    assert answers.of_state({"errorType": "ConfigError", "errorMessage": MISSING}, FUNCTION) is None
    message = {**ASKED, "Status": "FAILED", "Reason": f"ConfigError: {MISSING}"}
    assert answers.of_custom(message, FUNCTION, ASKED) is None


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "Task timed out after 60.00 seconds",
        {"done": True},
        {"errorType": "Runtime.ImportModuleError", "errorMessage": "Unable to import module 'app'"},
        {"errorType": "InternalError", "errorMessage": MISSING},
        {"errorType": "ConfigError", "errorMessage": MISSING.replace("OWN", "OTHER")},
    ],
)
def test_any_other_answer_is_a_fault(answer: Any):
    assert answers.of_state(answer, FUNCTION) is not None
    assert answers.of_custom(answer, FUNCTION, ASKED) is not None


@pytest.mark.parametrize(
    "changed",
    [{"Status": "SUCCESS"}, {"RequestId": "other"}, {"Reason": "ImportError; see the function's log"}],
)
def test_any_other_answer_to_cloudformation_is_a_fault(changed: dict[str, str]):
    message = {**ASKED, "Status": "FAILED", "Reason": f"ConfigError: {MISSING}", **changed}
    assert answers.of_custom(message, FUNCTION, ASKED) is not None


@pytest.fixture
def furnished(tmp_path: Path) -> room.Room:
    """Two layers over each other, the later one's file on top, and a function beside them."""
    one = place(tmp_path / "one", {"python/both.py": b"layer = 1", "python/first.py": b"layer = 1"})
    two = place(tmp_path / "two", {"python/both.py": b"layer = 2"})
    code = place(tmp_path / "code", {"app.py": b"import both, first"})
    runtime = place(tmp_path / "runtime", {"both.py": b"layer = 3", "client.py": b""})
    function = replace(FUNCTION, code=code, layers={"One": one, "Two": two})
    return room.furnish(function, {"One": one, "Two": two}, tmp_path / "rooms", runtime)


def test_a_function_finds_its_layers_as_in_lambda_and_nothing_of_this_environment(furnished: room.Room):
    lines = [
        "import app, both, first, client, importlib.util, sys",
        "names = ('pytest', 'pyarrow', 'pip', 'tributary')",
        "seen = [name for name in names if importlib.util.find_spec(name)]",
        "print(both.layer, first.layer, seen, sys.path[0])",
    ]
    environment = {**os.environ, **furnished.environment(), "PYTHONPATH": str(ROOT / "layers/tributary")}
    command = furnished.command("-c", "\n".join(lines))
    done = subprocess.run(
        command, cwd=furnished.function.code, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"2 1 [] {furnished.function.code}\n"
    assert list(furnished.function.code.iterdir()) == [furnished.function.code / "app.py"]


def test_a_module_that_the_layers_cannot_import_is_named(furnished: room.Room):
    package = {"__init__.py": b"", "__main__.py": b"1 / 0", "a/__init__.py": b"", "a/b.py": b"import absent"}
    place(furnished.opt / "python" / "tributary", package)
    assert here.unimportable(furnished) == [
        "tributary.a.b cannot be imported with all of GoFunction's layers: No module named 'absent'"
    ]


def test_a_module_may_lack_what_a_line_that_was_left_out_brings_and_nothing_else(furnished: room.Room):
    package = {"__init__.py": b"", "engines/__init__.py": b"", "engines/generic/__init__.py": b""}
    modules = {"lacks": b"import sqlalchemy", "more": b"import absent"}
    generic = {f"engines/generic/{name}.py": text for name, text in modules.items()}
    place(furnished.opt / "python" / "tributary", package | generic)
    assert here.unimportable(furnished) == [
        (
            "tributary.engines.generic.more cannot be imported with all of GoFunction's layers: "
            "No module named 'absent'"
        )
    ]


def test_a_start_is_measured_in_the_room_and_held_to_its_bar(
    furnished: room.Room, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(cold_start, "RUNS", 1)
    monkeypatch.setattr(cold_start, "RUNS_AT_MOST", 2)
    place(
        furnished.opt / "python",
        {"tributary/__init__.py": b"", "tributary/environment/clients.py": b"client = print", "late.py": b""},
    )
    taken = cold_start.measure(furnished, cold_start.Needs(("late",), bar_s=60))
    assert 0 < taken.ready_s < 60
    assert cold_start.fault("GoFunction", taken, cold_start.Needs(bar_s=60)) is None
    with pytest.raises(NotBuilt, match=r"GoFunction cannot be imported .* No module named 'absent'"):
        cold_start.measure(furnished, cold_start.Needs(("absent",)))


def test_a_start_over_its_bar_is_a_fault_unless_the_machine_is_as_slow():
    needs = cold_start.Needs(bar_s=0.45)
    assert "GoFunction takes 0.50 s to be ready, and may take 0.45 s" in str(
        cold_start.fault("GoFunction", cold_start.ColdStart(0.2, 0.5, slowness=1.0), needs)
    )
    assert cold_start.fault("GoFunction", cold_start.ColdStart(0.2, 0.5, slowness=1.2), needs) is None


def test_every_function_has_an_example_to_be_called_with_and_a_known_start():
    resources = yaml_parse((ROOT / "template.yaml").read_text())["Resources"]
    names = {name for name, one in resources.items() if one["Type"] == "AWS::Serverless::Function"}
    assert names == cold_start.NEEDS.keys()
    assert [
        name for name in names if not (ROOT / "events" / replace(FUNCTION, name=name).event).is_file()
    ] == []
