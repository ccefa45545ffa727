"""The call of AWS at which one attempt at a step dies or freezes.

A dead attempt makes no further call, like a killed process. A frozen attempt is a zombie: everything else
continues without it, and once released it does the rest of its work in a changed world.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["lives", "dies before", "dies after", "freezes"]
GIVE_UP_S = 120


class Died(BaseException):
    """The attempt's process is gone; no handler of the product may catch it."""


@dataclass
class FailurePoint:
    """What happens at the `at`-th call of AWS that the attempt makes, and whether it was reached."""

    kind: Kind = "lives"
    at: int = 0
    before: Callable[[], object] | None = None  # what happens just before that call
    calls: int = 0
    frozen: threading.Event = field(default_factory=threading.Event)
    let_go: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Make the call, or fail it."""
        with self.lock:
            self.calls += 1
            mine = self.calls
        if self.before and mine == self.at:
            self.before()
        if self.kind == "freezes" and mine >= self.at:
            self.frozen.set()
            self.let_go.wait(GIVE_UP_S)
        if self.dead(mine):
            raise Died
        answer = function(*args, **kwargs)
        if self.kind == "dies after" and mine >= self.at:
            raise Died
        return answer

    def dead(self, call: int) -> bool:
        """Say whether the process is gone when it comes to this call of its."""
        return (self.kind == "dies before" and call >= self.at) or (
            self.kind == "dies after" and call > self.at
        )


class FailingClient:
    """A client of AWS whose every call goes through a point."""

    def __init__(self, client: Any, point: FailurePoint) -> None:
        self._client = client
        self._point = point

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._client, name)
        if name in ("exceptions", "meta"):
            return attribute
        return lambda *args, **kwargs: self._point.call(attribute, *args, **kwargs)


class Attempt:
    """One attempt at a step, in a thread of its own; `began` is a `time.monotonic()` instant."""

    def __init__(self, step: Callable[[FailurePoint], Any], point: FailurePoint) -> None:
        self.point = point
        self.began = time.monotonic()
        self.answer: Any = None
        self.error: BaseException | None = None
        self._step = step
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.answer = self._step(self.point)
        except BaseException as error:
            self.error = error

    @property
    def alive(self) -> bool:
        """Say whether it has not come to an end."""
        return self._thread.is_alive()

    def watch(self) -> Attempt:
        """Return once it has ended or is frozen."""
        give_up = time.monotonic() + GIVE_UP_S
        while self.alive and not self.point.frozen.is_set():
            assert time.monotonic() < give_up, "an attempt neither ends nor freezes"
            self._thread.join(0.005)
        return self

    def end(self) -> None:
        """Let it go on, and return once it has ended."""
        self.point.let_go.set()
        self._thread.join(GIVE_UP_S)
        assert not self.alive, "an attempt does not end"
