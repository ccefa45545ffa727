"""The Data API's quotas: calls per second of an account in a region, which no one can raise.

DescribeStatement, ExecuteStatement and GetStatementResult are stated in jitsucom/jitsu#1462. The others
were in no text that could be read, and are assumed.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field

PER_SECOND: dict[str, float] = {
    "DescribeStatement": 100,
    "ExecuteStatement": 30,
    "GetStatementResult": 20,
    "BatchExecuteStatement": 20,
    "ListStatements": 3,
    "CancelStatement": 3,
}
REFUSAL = "ThrottlingException"


@dataclass(slots=True)
class Quotas:
    """A token bucket for each operation, of the size of one second; counts the calls.

    `refuse_every`: refuses every nth call of an operation, whatever the pace: an account whose other
    users take the quotas. 0 for none.
    """

    refuse_every: int = 0
    accepted: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    _tokens: dict[str, float] = field(
        default_factory=lambda: {name: float(n) for name, n in PER_SECOND.items()}
    )
    _filled: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def throttle(self, operation: str) -> str | None:
        """Take a token; return the exception's name if there is none."""
        with self._lock:
            self._fill()
            number = self.accepted[operation] + self.refused[operation] + 1
            in_turn = self.refuse_every and number % self.refuse_every == 0
            if in_turn or self._tokens.get(operation, 1.0) < 1.0:
                self.refused[operation] += 1
                return REFUSAL
            if operation in self._tokens:
                self._tokens[operation] -= 1.0
            self.accepted[operation] += 1
            return None

    def _fill(self) -> None:
        now = time.monotonic()
        for operation, rate in PER_SECOND.items():
            self._tokens[operation] = min(rate, self._tokens[operation] + rate * (now - self._filled))
        self._filled = now
