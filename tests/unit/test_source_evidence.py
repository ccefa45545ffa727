"""Every test that docs/source-evidence.md names exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| \d+ \|.*\|$", re.MULTILINE)


def test_each_row_names_a_test_that_exists_or_says_that_none_was_run() -> None:
    tests = "".join(file.read_text() for file in (ROOT / "tests").rglob("test_*.py"))
    rows = ROW.findall((ROOT / "docs/source-evidence.md").read_text())
    assert len(rows) > 30
    for row in rows:
        last = row.rsplit("|", 2)[1]
        named = re.findall(r"`(test_\w+)`", last)
        assert named or "*not run*" in last, row
        assert [name for name in named if f"def {name}(" not in tests] == [], row
