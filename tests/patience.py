"""How long tests wait for what must happen: only something that hangs reaches the limit."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE_S = 120

ValueT = TypeVar("ValueT")


def wait_for(look: Callable[[], ValueT], *, seconds: float = PATIENCE_S) -> ValueT:
    """Return the first true value that `look` returns; the test fails if there is none in time."""
    give_up = time.monotonic() + seconds
    while not (value := look()):
        assert time.monotonic() < give_up, f"nothing within {seconds} s"
        time.sleep(0.02)
    return value
