"""One Lambda sandbox: a process of AWS's own Python runtime client, called through the Runtime API.

As on Lambda: the time-out does not include loading the code; a call that exceeds it has its whole
process group killed; a process that ended is never called again; the log has each call's duration and
memory.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from queue import Empty

from local.aws.function import REGION, Answer, Function, failure
from local.aws.runtime_api import Event, Message, RuntimeApi
from local.leash import Leash, kill_group

INIT_TIMEOUT_S = 60.0  # Lambda allows 10 s; a loaded machine of two cores starts many at once
RESPONSE_LIMIT_BYTES = 6_291_556
TICKS = os.sysconf("SC_CLK_TCK")


class Sandbox:
    """A warm or starting process of one function; it takes one call at a time."""

    def __init__(
        self, function: Function, environment: Mapping[str, str], log: Path, leash: Leash, *, tmp: Path
    ) -> None:
        self.function = function
        self._leash = leash
        self._api = RuntimeApi()
        self._log = log
        self._tmp = tempfile.mkdtemp(prefix="sandbox-", dir=tmp)
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "awslambdaric", function.handler],
                cwd=function.task_root,
                env=_environment(function, environment, self._api.address, self._tmp),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._began: float | None = time.monotonic()  # until its code is loaded
        self._cpu_s = 0.0
        leash.hold(self._process.pid)
        threading.Thread(target=self._watch, daemon=True).start()

    @property
    def alive(self) -> bool:
        """Say whether the process still runs."""
        return self._process.poll() is None

    def call(self, payload: bytes) -> Answer:
        """Run the handler once; errors are answers too."""
        request_id = str(uuid.uuid4())
        self._note(f"START RequestId: {request_id}")
        broken = self._initialise()
        init_s = time.monotonic() - self._began if self._began else 0.0
        self._began, started = None, time.monotonic()
        answer = broken or self._handle(request_id, payload)
        took = {"Duration": time.monotonic() - started, "Init Duration": init_s}
        times = "".join(f" {name}: {seconds * 1000:.0f} ms" for name, seconds in took.items() if seconds)
        self._note(f"REPORT RequestId: {request_id}{times}{self._used()}")
        if not answer.reusable:
            self.close()
        return answer

    def close(self) -> None:
        """Kill the process and its children."""
        kill_group(self._process.pid)
        self._process.wait()
        self._leash.let_go(self._process.pid)
        self._api.close()
        shutil.rmtree(self._tmp, ignore_errors=True)

    def _initialise(self) -> Answer | None:
        """Wait until the runtime asks for an event; return an answer if it failed to start."""
        message = self._next(INIT_TIMEOUT_S)
        if message is None:
            return failure("Sandbox.Timedout", f"Error: Init timed out after {INIT_TIMEOUT_S:.2f} seconds")
        if message.kind == "init_error":
            return Answer(message.payload, failed=True, reusable=False)
        return None if message.kind == "ready" else self._ended("Error: Runtime exited during init")

    def _handle(self, request_id: str, payload: bytes) -> Answer:
        timeout_s = self.function.timeout_s
        deadline_ms = int((time.time() + timeout_s) * 1000)
        self._api.give(Event(request_id, self.function.arn, deadline_ms, payload))
        message = self._next(timeout_s)
        if message is None:
            text = f"RequestId: {request_id} Error: Task timed out after {timeout_s:.2f} seconds"
            self._note(text)
            return failure("Sandbox.Timedout", text)
        if message.kind == "exit":
            return self._ended(f"RequestId: {request_id} Error: Runtime exited")
        if message.kind == "response" and len(message.payload) > RESPONSE_LIMIT_BYTES:
            return _too_large(len(message.payload))
        return Answer(message.payload, failed=message.kind != "response")

    def _next(self, timeout_s: float) -> Message | None:
        try:
            return self._api.messages.get(timeout=timeout_s)
        except Empty:
            return None

    def _ended(self, text: str) -> Answer:
        status = self._process.wait()
        reason = f"exit status {status}" if status >= 0 else f"signal {-status}"
        return failure("Runtime.ExitError", f"{text} with error: {reason}")

    def _used(self) -> str:
        """Return the processor time since the last call, including the start, and the peak memory."""
        try:
            process = Path(f"/proc/{self._process.pid}")
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            peak = re.search(r"VmHWM:\s+(\d+) kB", (process / "status").read_text())
        except OSError:  # another system, or the process is gone
            return ""
        cpu_s = (int(fields[11]) + int(fields[12])) / TICKS
        used_s, self._cpu_s = cpu_s - self._cpu_s, cpu_s
        memory = f" Max Memory Used: {int(peak[1]) / 1024:.0f} MB" if peak else ""
        return f" CPU: {used_s * 1000:.0f} ms{memory}"

    def _watch(self) -> None:
        self._process.wait()
        self._api.messages.put(Message("exit"))

    def _note(self, line: str) -> None:
        with self._log.open("a") as log:
            log.write(line + "\n")


def _too_large(size_bytes: int) -> Answer:
    text = f"Response payload size ({size_bytes} bytes) exceeded maximum allowed payload size"
    answer = failure("Function.ResponseSizeTooLarge", f"{text} ({RESPONSE_LIMIT_BYTES} bytes).")
    return Answer(answer.payload, failed=True)


def _environment(function: Function, extra: Mapping[str, str], api: str, tmp: str) -> dict[str, str]:
    """Return a sandbox's whole environment; of this process's own, only PATH is passed on."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "TMPDIR": tmp,
        "AWS_CONFIG_FILE": os.devnull,  # this machine's AWS profiles are not for functions
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": function.log_group or f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": "local",
        "AWS_LAMBDA_RUNTIME_API": api,
        "LAMBDA_TASK_ROOT": str(function.task_root),
        "_HANDLER": function.handler,
        **function.environment,
        **extra,
    }
