"""How long a call of Load stays, and how long the state machine then waits: a run's history must not fill.

An execution ends without a report at 25,000 events (Step Functions, "Quotas"), and each call of Load with
its wait is nine. So calls and waits grow with the time that the load has taken: the number of calls grows
with its logarithm, or by one in four minutes while tables make progress. docs/scale.md has the numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

CALL_AT_MOST_S = 200.0  # below the function's time-out of 300
PATIENCE_S = (2.0, 75.0)  # without progress, at the start of a load and after it has taken long
WAIT_AT_MOST_S = 60  # of a load that has not taken long
GROWTH = 0.01  # of the time so far: the longest wait of a load that has taken long


@dataclass(slots=True)
class CallPace:
    """The pace of one call of Load. Times are seconds of one monotonic clock."""

    began_s: float
    load_age_s: float  # since the run's first call of Load, when this call began
    progress_s: float = 0.0  # when a table last made progress

    def __post_init__(self) -> None:
        self.progress_s = self.began_s

    def made_progress(self, now_s: float) -> None:
        """Let the call stay longer: a wait now would cost every table a second at least."""
        self.progress_s = now_s

    @property
    def ends_s(self) -> float:
        """Return when the call ends if no table makes progress."""
        age_s = self.load_age_s + self.progress_s - self.began_s
        patience_s = min(max(PATIENCE_S[0], 2 * GROWTH * age_s), PATIENCE_S[1])
        return min(self.progress_s + patience_s, self.began_s + CALL_AT_MOST_S)

    def is_over(self, now_s: float) -> bool:
        """Return whether the call must end."""
        return now_s > self.ends_s

    def wait_s(self, now_s: float, idle_calls: int) -> int:
        """Return how long to wait before the next call, after this number of calls without progress."""
        longest_s = max(WAIT_AT_MOST_S, int(GROWTH * (self.load_age_s + now_s - self.began_s)))
        return min(longest_s, round(1.3 ** min(idle_calls, 40)))
