"""AWS's Runtime Interface Emulator around one function, with Lambda's API on a port.

It comes in the wheel of SAM CLI, which puts it into containers; it also runs without one. It takes one
call at a time and answers a handler's error with status 200 and the error's JSON.
"""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from layers.build import Target
from layers.check.artifact import NotBuilt
from layers.check.room import ROOT, Room

INVOCATIONS = "2015-03-31/functions/function/invocations"


def find(target: Target) -> Path:
    """Return the emulator's binary for this machine."""
    name = f"aws-lambda-rie-{target.architecture}"
    binaries = sorted((ROOT / ".venv-sam").glob(f"lib/python*/site-packages/samcli/local/rapid/{name}"))
    if not binaries:
        raise NotBuilt(f"{name} is not in .venv-sam; run make package-check, which installs SAM CLI")
    return binaries[0]


@contextmanager
def running(emulator: Path, room: Room, log: Path) -> Iterator[str]:
    """Run the room's function and yield the address to call; the function's output goes to the log."""
    api, runtime_api = (f"127.0.0.1:{port}" for port in _free_ports())
    own = [str(emulator), "--runtime-interface-emulator-address", api, "--runtime-api-address", runtime_api]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*own, "--log-level", "error", *room.command("awslambdaric", room.function.handler)],
            cwd=room.function.code,
            env=room.environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        try:
            _wait_until_it_listens(api, process)
            yield f"http://{api}/{INVOCATIONS}"
        finally:
            process.terminate()  # it ends the function's process too
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def call(address: str, event: Any) -> tuple[Any, float]:
    """Call the function once; return its answer, and the seconds until it came."""
    request = urllib.request.Request(address, data=json.dumps(event).encode(), method="POST")
    started = time.perf_counter()
    try:
        with urllib.request.urlopen(request, timeout=90) as answer:
            body = answer.read()
    except urllib.error.HTTPError as error:  # the function's process ended
        body = error.read()
    took_s = time.perf_counter() - started
    try:
        return json.loads(body or b"null"), took_s
    except ValueError:
        return body.decode(errors="replace"), took_s


def _free_ports() -> list[int]:
    with socket.socket() as one, socket.socket() as other:
        for each in (one, other):
            each.bind(("127.0.0.1", 0))
        return [one.getsockname()[1], other.getsockname()[1]]


def _wait_until_it_listens(api: str, process: subprocess.Popen[bytes]) -> None:
    host, _, port = api.partition(":")
    give_up = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < give_up:
        with socket.socket() as probe:
            if probe.connect_ex((host, int(port))) == 0:
                return
        time.sleep(0.01)
    raise NotBuilt("the Runtime Interface Emulator did not start")
