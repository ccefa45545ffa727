"""One supervised server process: a free port, a log file, and an end together with its owner."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

SUPERVISOR = Path(__file__).with_name("supervise.py")
START_S = 60
STOP_S = 30


class ServerError(RuntimeError):
    """A database server did not start; the message ends with the tail of its log."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server and its log."""

    process: subprocess.Popen[bytes]
    log: Path

    def stop(self) -> None:
        """Close the supervisor's input and wait until the server has ended."""
        if self.process.stdin:
            self.process.stdin.close()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def tail(self) -> str:
        """Return the last lines of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])


def free_port() -> int:
    """Return a port of 127.0.0.1 that was free a moment ago; another process may still take it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run(
    command: Sequence[str],
    log: Path,
    ready: Callable[[], None],
    *,
    user: str | None = None,
    stop_signal: int = signal.SIGTERM,
) -> Server:
    """Start the command under a supervisor and return once `ready` no longer raises.

    Raises ServerError if the server ends first or does not answer for a minute.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(SUPERVISOR), str(int(stop_signal)), user or "-", *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C reaches only the owner, which then stops its servers in order
        )
    server = Server(process, log)
    try:
        _wait(server, ready, command[0])
    except BaseException:
        server.stop()
        raise
    return server


def _wait(server: Server, ready: Callable[[], None], name: str) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            return ready()
        except Exception as error:  # not up yet: drivers raise different errors
            if server.process.poll() is not None:
                raise ServerError(f"{name} ended at its start:\n{server.tail()}") from error
            if time.monotonic() > deadline:
                raise ServerError(f"{name} did not answer in {START_S} s:\n{server.tail()}") from error
            time.sleep(0.02)
