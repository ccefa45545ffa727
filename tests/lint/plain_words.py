"""Finds archaic phrases in docstrings, comments and messages, and variables that do not say what they hold.

`make lint` runs it over every tracked Python, YAML and Make file, and the documents in `DOCUMENTS`.
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = ("docs/architecture.md", "docs/glossary.md")
OWN = ("tests/lint/plain_words.py", "tests/unit/test_plain_words.py")  # the list itself

# A phrase as a regular expression of whole words, and what to write instead.
PLAIN = {
    r"anew": "again, or a verb with re-: recreate, re-read",
    r"said": "the noun it is: message, setting, value",
    r"told": "identified, known, given",
    r"whoever": "who, or the one that",
    r"nobody": "no one, or name who",
    r"somebody": "someone, or name who",
    r"besides": "also, in addition",
    r"meanwhile": "in the meantime, or name the moment",
    r"stands? there": "exists, is there",
    r"(what|that|which|it|they|one|table|as it|as they) stands?": "exists, is, remains",
    r"in the place of": "in place of, instead of",
    r"com(e|es|ing) to pass": "happens, succeeds",
    r"came to pass": "happened, succeeded",
    r"so many": "that many, or the number",
    r"makes? good": "repairs, corrects",
    r"made good": "repaired, corrected",
    r"is to be had": "is available",
    r"where (it|one|none|nothing|nobody|there|they|that|this|he|she)": "if, or when",
    r"(has|have|had) fared": "health, or what happened to it",
    r"gives? way": "is replaced",
    r"thereby|whereby|wherein|thereof|hitherto|henceforth|lest": "plain words",
    r"for nothing": "without effect",
    r"begun anew|begins anew": "starts again",
    r"ere|upon|amid": "before, on, among",
}
VAGUE_NAMES = {"said", "told", "asked", "found"}  # of variables: a name says what the variable holds
PHRASES = [(re.compile(rf"\b(?:{phrase})\b", re.IGNORECASE), plain) for phrase, plain in PLAIN.items()]


def main() -> int:
    """Print each archaic phrase with its place and a plain one; return the exit code."""
    lines = [line for name in tracked() for line in check(name, (ROOT / name).read_text())]
    print(*lines, f"{len(lines)} lines to write plainly", sep="\n")
    return 1 if lines else 0


def tracked() -> list[str]:
    """Return the names of the files to check."""
    listed = subprocess.run(
        ["git", "ls-files", "*.py", "*.yaml", "*.yml", "Makefile", *DOCUMENTS],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [name for name in listed.stdout.splitlines() if name not in OWN and (ROOT / name).exists()]


def check(name: str, text: str) -> Iterator[str]:
    """Yield a line for each archaic phrase in the prose of a file."""
    for number, prose in prose_of(name, text):
        for phrase, plain in PHRASES:
            for match in phrase.finditer(prose):
                line = number + prose.count("\n", 0, match.start())
                yield f'{name}:{line}: "{match[0]}"; write {plain}'
    if name.endswith(".py"):
        for line, variable in vague_names(text):
            yield f'{name}:{line}: variable "{variable}"; name what it holds'


def vague_names(text: str) -> Iterator[tuple[int, str]]:
    """Yield the variables and parameters that do not say what they hold, each with its line."""
    tree = ast.parse(text)
    classes = (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    fields = {id(field.target) for each in classes for field in each.body if isinstance(field, ast.AnnAssign)}
    for node in ast.walk(tree):
        if id(node) in fields:  # of a stored document, whose readers know it by its name
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in VAGUE_NAMES:
            yield node.lineno, node.id
        elif isinstance(node, ast.arg) and node.arg in VAGUE_NAMES:
            yield node.lineno, node.arg


def prose_of(name: str, text: str) -> Iterable[tuple[int, str]]:
    """Yield the pieces of prose in a file, each with the number of its first line."""
    if name.endswith(".py"):
        return python_prose(text)
    if name.endswith(".md"):
        return [(1, re.sub(r"`[^`\n]*`", "", text))]
    return yaml_prose(text)


def python_prose(text: str) -> Iterator[tuple[int, str]]:
    """Yield comments and strings; a string of one word is a name, not prose."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT or (token.type == tokenize.STRING and " " in token.string):
            yield token.start[0], re.sub(r"`[^`\n]*`", "", token.string)


def yaml_prose(text: str) -> Iterator[tuple[int, str]]:
    """Yield comments and descriptions."""
    for number, line in enumerate(text.splitlines(), 1):
        comment = re.search(r"(?:^|\s)#.*|(?:Description|Comment):.*|^[a-z-]+:.*## .*", line)
        if comment:
            yield number, comment[0]


if __name__ == "__main__":
    sys.exit(main())
