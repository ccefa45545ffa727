"""Lists of choices in messages."""

from __future__ import annotations

from collections.abc import Sequence


def either(choices: Sequence[str]) -> str:
    """Return the choices as text: `a, b or c`."""
    return " or ".join(filter(None, (", ".join(choices[:-1]), choices[-1])))
