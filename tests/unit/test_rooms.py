"""The rooms of the package, and which of them may import which."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "layers/tributary/tributary"

SHARED = {
    "aws_errors",
    "errors",
    "observability",
    "secret",
    "visible_text",
    "__init__",
}  # modules at the root that every room may import
MAY_IMPORT: dict[str, set[str]] = {
    "model": set(),
    "config": {"model"},
    "reading": {"model"},
    "engines": {"model", "reading"},
    "redshift": {"model"},
    "storage": {"model"},
    "planning": {"config", "engines", "model", "reading", "redshift", "storage"},
    "extraction": {"engines", "model", "reading", "storage"},
    "loading": {"model", "redshift", "storage"},
    "reporting": {"model", "redshift", "storage"},
    "stack": {"config", "model", "redshift", "reporting", "storage"},
    "environment": {"loading", "redshift", "storage"},  # the only wiring
    "__main__": {"config"},
}


def test_a_room_imports_only_what_the_table_allows() -> None:
    assert wrong_directions(imports(PACKAGE)) == []


def test_every_room_is_in_the_table() -> None:
    rooms = {room(module) for module in imports(PACKAGE)}
    assert rooms == MAY_IMPORT.keys() | SHARED


def test_the_architecture_page_shows_the_same_table() -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\|([^|]*)\|$", page.partition("## The rooms")[2], re.MULTILINE)
    shown = {name: set(re.findall(r"`(\w+)`", allowed)) for name, allowed in rows if name in MAY_IMPORT}
    assert shown | {"__main__": {"config"}} == MAY_IMPORT


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert circle(imports(PACKAGE)) == []


def test_no_module_of_the_local_stack_imports_itself_by_way_of_others() -> None:
    known = imports(ROOT / "local", "local")
    assert known["stack"] >= {"control", "pipeline"}
    assert circle(known) == []


@pytest.mark.parametrize("state", ["extract", "load", "report"])
def test_a_step_of_a_frozen_run_imports_no_configuration(state: str) -> None:
    known = imports(PACKAGE)
    handler = imported(ROOT / f"functions/{state}/app.py", known.keys())
    assert not [module for module in reached(handler, known) if room(module) == "config"]


@pytest.mark.parametrize("state", ["extract", "plan"])
def test_the_walk_over_imports_reaches_what_a_step_uses(state: str) -> None:
    known = imports(PACKAGE)
    handler = imported(ROOT / f"functions/{state}/app.py", known.keys())
    assert {"reading.keyset", "storage.bucket", "model.plan"} <= reached(handler, known)
    assert ("config.loader" in reached(handler, known)) == (state == "plan")


def test_a_wrong_direction_is_found(tmp_path: Path) -> None:
    write(tmp_path, "model/plan.py", "def late():\n    from tributary.planning import plan\n")
    write(tmp_path, "planning/plan.py", "from tributary.engines.registry import get\n")
    write(tmp_path, "engines/registry.py", "")
    assert wrong_directions(imports(tmp_path)) == ["model.plan imports planning.plan"]


def test_a_circle_is_found(tmp_path: Path) -> None:
    write(tmp_path, "model/a.py", "from tributary.model import b\n")
    write(tmp_path, "model/b.py", "from tributary.model.c import x\n")
    write(tmp_path, "model/c.py", "if TYPE_CHECKING:\n    import tributary.model.a\n")
    assert sorted(circle(imports(tmp_path))) == ["model.a", "model.b", "model.c"]


def write(directory: Path, name: str, text: str) -> None:
    file = directory / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)


def room(module: str) -> str:
    return module.partition(".")[0]


def imports(package: Path, package_name: str = "tributary") -> dict[str, set[str]]:
    """Return the modules of the package by their names below it, each with those that it imports."""
    files = {module_name(file, package): file for file in sorted(package.rglob("*.py"))}
    known = {name: imported(file, files.keys(), package_name) for name, file in files.items()}
    if "engines.registry" in known:  # imports an engine by its name, when it is first needed
        known["engines.registry"] |= {name for name in known if re.fullmatch(r"engines\.\w+\.engine", name)}
    return known


def module_name(file: Path, package: Path) -> str:
    parts = file.relative_to(package).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


def imported(file: Path, known: Collection[str], package_name: str = "tributary") -> set[str]:
    """Return the package's modules that a file imports anywhere: at its top, in a function, for types."""
    written = [
        name.removeprefix(package_name).removeprefix(".") for name in written_imports(file, package_name)
    ]
    return {name for below in written for name in [nearest(below, known)] if name}


def nearest(below: str, known: Collection[str]) -> str | None:
    """Return the module that a name below the package is, or is a name of."""
    outer = below.rpartition(".")[0]
    return next((one for one in (below, outer, "__init__") if one in known), None)


def written_imports(file: Path, package_name: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively; write the whole name"
            if (node.module or "").partition(".")[0] == package_name:
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            names = (alias.name for alias in node.names)
            yield from (name for name in names if name.partition(".")[0] == package_name)


def wrong_directions(known: dict[str, set[str]]) -> list[str]:
    return [
        f"{module} imports {other}"
        for module, others in known.items()
        for other in sorted(others)
        if room(other) not in MAY_IMPORT.get(room(module), set()) | SHARED | {room(module)}
    ]


def reached(start: set[str], known: dict[str, set[str]]) -> set[str]:
    """Return all modules that are imported with those of the start."""
    seen, new = set[str](), set(start)
    while new:
        seen |= new
        new = {other for module in new for other in known[module]} - seen
    return seen


def circle(known: dict[str, set[str]]) -> list[str]:
    """Return the modules that import themselves by way of others, [] if there are none."""
    return [module for module, others in known.items() if module in reached(others, known)]
