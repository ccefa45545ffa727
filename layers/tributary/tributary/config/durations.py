"""Durations as people write them in a source file: `30 minutes`, `1 hour`, `1 hour 30 minutes`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator

WRITE = 'write a number and a unit, such as "30 minutes", "1 hour" or "2 days"'
LONGEST = timedelta(days=3_660)  # so that a clock minus a duration is always a date

_PART = re.compile(r"(\d{1,9})\s+(second|minute|hour|day)s?")
_WHOLE = re.compile(rf"{_PART.pattern}(?:\s+{_PART.pattern})*")


def parse(text: str) -> timedelta:
    """Return the duration of the text; raises ValueError that says what to write."""
    if not _WHOLE.fullmatch(text.strip()):
        raise ValueError(f'"{text}" is not a duration; {WRITE}')
    length = sum((timedelta(**{f"{unit}s": int(n)}) for n, unit in _PART.findall(text)), timedelta())
    if length > LONGEST:
        raise ValueError(f'"{text}" is longer than {LONGEST.days} days; write a shorter duration')
    return length


def _duration(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str):
        return parse(value)
    raise ValueError(f"a duration needs its unit; {WRITE}")


Duration = Annotated[timedelta, BeforeValidator(_duration)]
