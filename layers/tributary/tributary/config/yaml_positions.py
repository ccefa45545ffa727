"""YAML as plain values with their lines, without YAML 1.1's surprises.

What another reader could understand differently (an unquoted `no`, `010`, `2024-01-01`, a repeated key) is
a problem to report, never a value.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import yaml

Path = tuple[str | int, ...]

NESTED_AT_MOST = 50  # collections within each other: the parser's own recursion ends at some 300
REPEATED_AT_MOST = 10_000  # parts that aliases and merge keys repeat: nine of nine would be a billion
_TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at one place of the file."""

    line: int
    path: Path
    message: str


@dataclass(slots=True)
class Marked:
    """A document's value, with the line of each part."""

    value: Any = None  # not to be used if there are problems
    lines: dict[Path, int] = field(default_factory=dict)
    texts: dict[Path, str] = field(default_factory=dict)  # of scalars, as written
    problems: list[Problem] = field(default_factory=list)
    _open: set[int] = field(default_factory=set)  # ids of the nodes around the one that is being built
    _built: set[int] = field(default_factory=set)  # ids of the nodes that were built before
    _repeated: int = 0

    def line(self, path: Path) -> int:
        """Return the line of the path, or of its nearest parent that has one."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def _refuse(self, node: yaml.Node, path: Path, message: str) -> None:
        self.problems.append(Problem(node.start_mark.line + 1, path, message))

    def _build(self, node: yaml.Node, path: Path) -> Any:
        import yaml

        self._count(node, path)
        if isinstance(node, yaml.ScalarNode):
            if not self._joined(node, path):
                return None
            self.texts[path] = node.value
            return self._scalar(node, path)
        if id(node) in self._open:
            self._refuse(node, path, "an alias contains itself; write the part out")
            return None
        if node.tag not in (f"{_TAG}map", f"{_TAG}seq"):
            self._refuse(node, path, f'the tag "{node.tag}" means nothing here; remove it')
            return None
        self._open.add(id(node))
        mapping = isinstance(node, yaml.MappingNode)
        value = self._mapping(node, path) if mapping else self._sequence(node, path)
        self._open.discard(id(node))
        return value

    def _joined(self, node: yaml.Node, path: Path) -> bool:
        """Join characters that are written as two escapes, as JSON does; refuse half of one."""
        try:
            node.value = node.value.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        except UnicodeDecodeError:
            self._refuse(node, path, "an escape is half of a character; write the character itself")
            return False
        return True

    def _count(self, node: yaml.Node, path: Path) -> None:
        """Count a part that an alias or a merge key repeats; raises _Endless when there are too many."""
        self._repeated += id(node) in self._built
        self._built.add(id(node))
        if self._repeated > REPEATED_AT_MOST:
            self._refuse(
                node, path, f"aliases repeat more than {REPEATED_AT_MOST} parts; write the parts out"
            )
            raise _Endless

    def _sequence(self, node: yaml.Node, path: Path) -> list[Any]:
        values = []
        for number, item in enumerate(node.value):
            self.lines[(*path, number)] = item.start_mark.line + 1
            values.append(self._build(item, (*path, number)))
        return values

    def _mapping(self, node: yaml.Node, path: Path) -> dict[str, Any]:
        merges = [value for key, value in node.value if key.tag == f"{_TAG}merge"]
        values = {key: value for merged in merges for key, value in self._merged(merged, path).items()}
        own: dict[str, int] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, path)
            if key is None:
                continue
            line = key_node.start_mark.line + 1
            if key in own:
                message = f'the key "{key}" is here again, first on line {own[key]}; keep one of them'
                self._refuse(key_node, (*path, key), message)
            own.setdefault(key, line)
            self.lines[(*path, key)] = line
            values[key] = self._build(value_node, (*path, key))
        return values

    def _merged(self, node: yaml.Node, path: Path) -> dict[str, Any]:
        """Return the keys that `<<` merges: of a mapping, or of a list of them, of which the first wins."""
        parts = node.value if node.tag == f"{_TAG}seq" else [node]
        values: dict[str, Any] = {}
        for part in reversed(parts):
            value = self._build(part, path)
            if isinstance(value, dict):
                values |= value
            else:
                self._refuse(part, path, "<< takes a mapping, or a list of mappings")
        return values

    def _key(self, node: yaml.Node, path: Path) -> str | None:
        if node.tag == f"{_TAG}merge":
            return None
        if not isinstance(node.value, str):
            self._refuse(node, path, "a key is a plain word; write key: value")
        elif not self._joined(node, path):
            return None
        elif node.tag != f"{_TAG}str" or _boolean(node):
            self._refuse(
                node, path, f'the key {node.value} is not read as text; write "{node.value}" in quotes'
            )
        else:
            return node.value
        return None

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> str | int | bool | None:
        fault = _misread(node)
        if fault is not None:
            self._refuse(node, path, fault)
            return None
        if node.tag == f"{_TAG}bool":
            return bool(node.value.lower() == "true")
        return int(node.value) if node.tag == f"{_TAG}int" else str(node.value)


class _Endless(Exception):
    """The document repeats too many parts."""


def read(text: str) -> Marked:
    """Return the only document of the text; never raises for what is written in it."""
    import yaml  # a function that reads no source file need not load it

    marked = Marked()
    try:
        if line := _too_deep(text):
            message = f"more than {NESTED_AT_MOST} lists and mappings are nested here; write fewer"
            marked.problems.append(Problem(line, (), message))
            return marked
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        marked.problems.append(Problem(mark.line + 1 if mark else 1, (), _syntax(error)))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, int(error.position)) + 1
        marked.problems.append(Problem(line, (), "holds a character that YAML does not allow; remove it"))
    else:
        if node is None:
            marked.problems.append(Problem(1, (), "is empty; write engine, secret and tables"))
        else:
            marked.lines[()] = node.start_mark.line + 1
            with suppress(_Endless):
                marked.value = marked._build(node, ())
    return marked


def _too_deep(text: str) -> int | None:
    """Return the line of the first collection that is nested too deep, None if there is none."""
    import yaml

    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > NESTED_AT_MOST:
            return event.start_mark.line + 1 if event.start_mark else 1
    return None


def _misread(node: yaml.ScalarNode) -> str | None:
    """Return why the scalar may be misread, None if every reader understands it alike."""
    text, tag = node.value, node.tag.removeprefix(_TAG)
    if _boolean(node):
        return f'{text} is read as true or false; write "{text}" in quotes'
    if tag in ("str", "bool") or (tag == "int" and re.fullmatch(r"-?(0|[1-9]\d{0,17})", text)):
        return None
    if tag in ("int", "float"):
        return f'{text} is a number that may be misread; write "{text}" in quotes, or a whole number'
    if tag == "null" and text != "null":
        return "is empty; write a value, or remove the line"
    if tag in ("null", "timestamp", "merge", "value"):
        return f'{text} is not read as text; write "{text}" in quotes'
    return f'the tag "{node.tag}" means nothing here; remove it'


def _boolean(node: yaml.Node) -> bool:
    """Say whether an unquoted word is a boolean to some YAML readers; only true and false are to all."""
    if node.tag == f"{_TAG}bool":
        return node.value.lower() not in ("true", "false")
    plain = node.tag == f"{_TAG}str" and getattr(node, "style", None) is None
    return plain and node.value in ("y", "Y", "n", "N")


def _syntax(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or "it cannot be read"
    if "'\\t'" in problem:
        return "a tab is used for indentation, where YAML takes spaces only; indent with spaces"
    if "alias" in f"{error.context} {problem}":
        return 'a text that begins with * is an alias to YAML; write it in quotes, such as "*_tmp"'
    if "'?'" in problem:
        return 'a text with ? in it needs quotes here, such as "0 7 * * ? *"'
    if "another document" in problem:
        return 'a second document begins here ("---"); one file is one source'
    return f"is not YAML: {problem}; look at this line and the one before it"
