"""Whatever one source sets for the whole process could hold for another source: none of it is unknown.

Each finding in the product's code is listed here with the test that shows what it cannot do, or with why it
is the same for every source.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
TRUST = "test_a_secrets_own_authorities_are_trusted_while_it_connects_and_no_longer"
SHARED = {
    "engines/generic/engine.py: @cache compiler": "of one engine, by dialect; it holds no secret",
    "engines/network.py: os.environ": TRUST,
    "engines/odbc.py: pyodbc.pooling": "off for all: no connection outlives its session",
    "environment/clients.py: @cache client": "by service; a client holds no secret and no source",
    "environment/clients.py: @cache _session": "the function's own credentials",
    "extraction/memory.py: @cache keep_small": "the same pool for all",
    "extraction/memory.py: set_memory_pool": "the same pool for all",
    "reading/repair.py: @cache _pattern": "expressions by type",
}
SETTERS = {
    *("setlocale", "setdefaulttimeout", "set_memory_pool", "set_cpu_count", "set_io_thread_count"),
    *("setcontext", "signal", "install_opener", "setdefaultencoding", "chdir", "umask", "tzset", "putenv"),
    *("unsetenv", "field_size_limit", "set_int_max_str_digits", "setrecursionlimit", "setdefaultencoding"),
}


def found() -> set[str]:
    """Return what the code does to the process: `file: what`."""
    package = ROOT / "layers/tributary/tributary"
    files = [*package.rglob("*.py"), *(ROOT / "functions").rglob("*.py")]
    return {f"{_name(file, package)}: {what}" for file in files for what in _of(file)}


def _name(file: Path, package: Path) -> str:
    return str(file.relative_to(package if file.is_relative_to(package) else ROOT))


def _of(file: Path) -> Iterator[str]:
    tree = ast.parse(file.read_text())
    modules = {
        name.asname or name.name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for name in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            yield f"global {', '.join(node.names)}"
        elif isinstance(node, ast.FunctionDef):
            yield from (f"@cache {node.name}" for one in node.decorator_list if "cache" in ast.unparse(one))
        elif isinstance(node, ast.Call):
            yield from _of_call(node)
        elif isinstance(node, ast.Assign | ast.AugAssign | ast.Delete):
            targets = [node.target] if isinstance(node, ast.AugAssign) else node.targets
            for target in targets:
                yield from _of_target(target, modules)


def _of_call(node: ast.Call) -> Iterator[str]:
    called = ast.unparse(node.func)
    owner, _, name = called.rpartition(".")
    if owner == "os.environ" and name not in ("get", "items", "copy", "keys", "values"):
        yield "os.environ"
    elif name in SETTERS:
        yield name


def _of_target(target: ast.expr, modules: set[str]) -> Iterator[str]:
    text = ast.unparse(target)
    if text.startswith("os.environ["):
        yield "os.environ"
    elif isinstance(target, ast.Attribute) and text.partition(".")[0] in modules:
        yield text


def test_what_is_set_for_the_whole_process_is_listed_with_its_test_or_its_reason() -> None:
    assert found() == set(SHARED)
    tests = "".join(file.read_text() for file in (ROOT / "tests").rglob("test_*.py"))
    named = [reason for reason in SHARED.values() if reason.startswith("test_")]
    assert [name for name in named if f"def {name}(" not in tests] == []
