"""Keeps processes from outliving the local stack, however it ends.

A guard process waits on a pipe whose other end only the stack holds. When the pipe closes (by `release`,
by an exception or by SIGKILL), the guard kills every process group still on the leash.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import IO


class Leash:
    """Process groups that die with this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._guard: subprocess.Popen[bytes] = subprocess.Popen(
            [sys.executable, "-I", __file__],
            stdin=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C in a terminal must not end the guard first
        )

    def hold(self, group: int) -> None:
        """Kill the process group when this process ends."""
        self._tell(f"+{group}\n")

    def let_go(self, group: int) -> None:
        """Forget a process group that has ended."""
        self._tell(f"-{group}\n")

    def release(self) -> None:
        """Kill what is still held, and end the guard."""
        assert self._guard.stdin is not None
        with self._lock:
            self._guard.stdin.close()
        self._guard.wait()

    def _tell(self, line: str) -> None:
        pipe: IO[bytes] | None = self._guard.stdin
        assert pipe is not None
        with self._lock:
            if not pipe.closed:
                pipe.write(line.encode())
                pipe.flush()


def kill_group(group: int) -> None:
    """Kill the process group, if it is still there."""
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def guard() -> None:
    """Read groups from standard input until it closes, then kill those still held."""
    held: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        if line[0] == "+":
            held.add(group)
        else:
            held.discard(group)
    for group in held:
        kill_group(group)


if __name__ == "__main__":
    guard()
