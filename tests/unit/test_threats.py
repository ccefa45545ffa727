"""Every threat and every function in docs/security.md has a test beside it, which exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/security.md").read_text()


def rows(heading: str) -> list[str]:
    section = PAGE[PAGE.index(f"## {heading}") :].partition("\n## ")[0]
    return [line for line in section.splitlines() if line.startswith("| ")][1:]


@pytest.mark.parametrize(
    ("heading", "at_least"),
    [("Threats and defences", 24), ("What each function takes from its caller", 7)],
)
def test_each_row_names_a_test_that_exists(heading: str, at_least: int) -> None:
    tests = "".join(file.read_text() for file in (ROOT / "tests").rglob("test_*.py"))
    assert len(rows(heading)) >= at_least
    for row in rows(heading):
        named = re.findall(r"`(test_\w+)`", row)
        assert named, row
        assert [name for name in named if f"def {name}(" not in tests] == [], row
