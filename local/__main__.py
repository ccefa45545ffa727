"""`python -m local up`: the whole pipeline on this machine.

`run <source>` runs a source, `deploy` updates the stack, `delete` deletes it.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import signal
import socket
import sys
import tempfile
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from local.stack import Stack

ROOT = Path(__file__).resolve().parent.parent


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code."""
    # moto warns about missing extras, and about resources that the deploy creates by other means.
    warnings.filterwarnings("ignore", module="moto")
    sys.path.insert(0, str(ROOT / "layers" / "tributary"))
    options = _parser().parse_args(arguments)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]  # a profile or an endpoint of the shell is not for the stack
    os.environ |= {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    commands = {"up": up, "run": run, "deploy": deploy, "delete": delete}
    if options.command != "up" and not _answers(options.endpoint):
        print(
            f"no local stack answers at {options.endpoint}; start one by `.venv/bin/python -m local up`, "
            "or name its address by --endpoint or AWS_ENDPOINT_URL",
            file=sys.stderr,
        )
        return 1
    try:
        return commands[options.command](options)
    except ImportError as error:
        if Path(sys.prefix) == ROOT / ".venv":
            raise
        print(
            f"{sys.executable} lacks what the local stack needs ({error}); "
            f"run `make setup` once, then `.venv/bin/python -m local {options.command}`",
            file=sys.stderr,
        )
        return 1


def _answers(endpoint: str) -> bool:
    address = urlsplit(endpoint)
    try:
        socket.create_connection((address.hostname or "127.0.0.1", address.port or 80), timeout=10).close()
    except OSError:
        return False
    return True


def up(options: argparse.Namespace) -> int:
    """Start a stack, show its addresses, and run until interrupted."""
    from local.aws.selftest import SelfTestError
    from local.aws.template import DeployError
    from local.stack import Stack, announce, end_with

    gc.set_threshold(50_000)  # many objects, few cycles: collecting after each 700 takes a tenth of the time
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    if options.parent_pid:
        end_with(options.parent_pid, stop)
    with tempfile.TemporaryDirectory(prefix="tributary-") as temporary:
        directory = Path(options.directory or temporary).absolute()
        more = json.loads(options.options)
        try:
            stack = Stack.start(
                directory, sources=Path(options.sources), host=options.host, port=options.port, **more
            )
        except (DeployError, SelfTestError) as error:
            print(f"the stack did not start: {error}", file=sys.stderr)
            return 1
        with stack:
            print(_greeting(stack), flush=True)
            if not stack.enforces_iam:
                print("IAM policies are not enforced: their evaluator is missing; run make setup", flush=True)
            if options.ready:
                announce(stack, Path(options.ready))
            stop.wait()
    return 0


def run(options: argparse.Namespace) -> int:
    """Run a source on a running stack."""
    from local.pipeline import Pipeline
    from local.run import run as run_source

    given: dict[str, Any] = {}
    if options.tables:
        given["tables"] = options.tables.split(",")
    if options.full_refresh:
        given["full_refresh"] = True
    if options.replay:
        given["replay"] = True
    given |= {name: text for name, text in (("from", options.since), ("to", options.before)) if text}
    return 0 if run_source(Pipeline.at(options.endpoint), options.source, **given) else 1


def deploy(options: argparse.Namespace) -> int:
    """Update a running stack to the template, the code and the source files as they are now."""
    from local.aws.template import DeployError
    from local.pipeline import Pipeline

    given = dict(pair.split("=", 1) for pair in options.parameter)
    try:
        events = Pipeline(options.endpoint, {}, {}).deploy(
            template=options.template and Path(options.template),
            sources=options.sources and Path(options.sources),
            parameters=given,
        )
    except DeployError as error:
        print(f"not deployed, the stack is as before: {error}", file=sys.stderr)
        return 1
    print("\n".join(["deployed", *(f"  {event}" for event in events)]))
    return 0


def delete(options: argparse.Namespace) -> int:
    """Delete what is deployed on a running stack."""
    from local.aws.template import DeployError
    from local.pipeline import Pipeline

    try:
        Pipeline(options.endpoint, {}, {}).delete()
    except DeployError as error:
        print(f"not deleted: {error}", file=sys.stderr)
        return 1
    print("deleted; the raw bucket and the warehouse keep their data until the stack ends")
    return 0


def _greeting(stack: Stack) -> str:
    exports = {
        "AWS_ENDPOINT_URL": stack.endpoint_url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    lines = [f"export {name}={value}" for name, value in exports.items()]
    shown = {name: value for name, value in stack.outputs.items() if "\n" not in value}
    width = max(map(len, shown))
    lines += ["", *(f"{name:<{width}}  {value}" for name, value in shown.items())]
    warehouse = stack.warehouse
    lines += [
        "",
        f"warehouse: postgresql://{warehouse.superuser}@{warehouse.host}:{warehouse.port}/warehouse",
    ]
    return "\n".join([*lines, f"logs: {stack.logs}", "", "Ctrl-C ends it."])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("up", help="start everything and run until interrupted")
    start.add_argument("--sources", default=str(ROOT / "sources"), help="the folder of source files")
    start.add_argument("--port", type=int, default=4566, help="0 for a free one (default 4566)")
    start.add_argument("--host", default="127.0.0.1", choices=["127.0.0.1", "0.0.0.0"], help="listen here")
    start.add_argument("--directory", help="keep files and logs here; temporary if not given")
    start.add_argument("--parent-pid", type=int, help="end when this process, the parent, ends")
    start.add_argument("--ready", help="write all addresses into this JSON file")
    start.add_argument("--options", default="{}", help="JSON: parameters, environment, template, concurrency")
    started = commands.add_parser("run", help="run a source and show its tables' progress")
    started.add_argument("source")
    default = os.environ.get("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    deployed = commands.add_parser("deploy", help="update a running stack to the files as they are now")
    deployed.add_argument("--sources", help="the folder of source files; by default the last deploy's")
    deployed.add_argument("--template", help="the template; by default the last deploy's")
    deployed.add_argument("--parameter", action="append", default=[], metavar="NAME=VALUE")
    deleted = commands.add_parser("delete", help="delete what is deployed; data is kept")
    for command in (started, deployed, deleted):
        command.add_argument("--endpoint", default=default, help=f"the stack's address (default {default})")
    started.add_argument("--tables", help="names, separated by commas; by default all")
    started.add_argument("--full-refresh", action="store_true", help="read every row again")
    started.add_argument("--from", dest="since", help="re-read from this value of the cursor")
    started.add_argument("--to", dest="before", help="with --from: up to this value")
    started.add_argument("--replay", action="store_true", help="rebuild from the raw layer")
    return parser


if __name__ == "__main__":
    sys.exit(main())
