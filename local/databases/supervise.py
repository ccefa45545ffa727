"""Run one server and end it when standard input closes, which happens however the owner ends.

A server must never outlive the test run or the stack that started it: not after a crash, a SIGKILL
or a closed terminal. The kernel closes the owner's end of the pipe in every one of these cases.
Run as a script with nothing imported from here, so that it starts in a few milliseconds.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading

PR_SET_PDEATHSIG = 1
SHUTDOWN_S = 20


def _die_with_supervisor() -> None:
    """Let Linux end the server if this supervisor itself is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _stop_at_end_of_input(server: subprocess.Popen[bytes], stop_signal: int) -> None:
    while os.read(0, 4096):
        pass
    server.send_signal(stop_signal)
    try:
        server.wait(SHUTDOWN_S)
    except subprocess.TimeoutExpired:
        server.kill()


def main() -> int:
    """Run `supervise.py <stop signal> <user or -> <command...>` and return the server's exit code."""
    stop_signal, user, *command = sys.argv[1:]
    server = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        user=None if user == "-" else user,
        preexec_fn=_die_with_supervisor,  # noqa: PLW1509 (no thread has been started yet)
    )
    threading.Thread(target=_stop_at_end_of_input, args=(server, int(stop_signal)), daemon=True).start()
    return server.wait()


if __name__ == "__main__":
    sys.exit(main())
