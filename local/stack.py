"""All of Tributary on one machine: a warehouse, AWS, and the real template deployed into them.

`Stack` runs it in this process, `spawn` in a process of its own that ends with its parent. The package
and the functions do not know about it: everything goes through AWS_ENDPOINT_URL.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import astuple, dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from botocore.exceptions import ClientError

from local import snapshot
from local.aws.clients import client
from local.aws.deploy import EVERY_FUNCTION, Deployer, Deployment
from local.aws.lambdas import access_key
from local.aws.platform import Platform
from local.aws.template import DeployError
from local.control import PREFIX, Control
from local.databases.postgres import Postgres
from local.iam import evaluator
from local.iam.calls import permission
from local.iam.guard import Guard
from local.pipeline import Pipeline, project
from local.redshift import DataApi
from local.redshift.quotas import Quotas

START_TIMEOUT_S = 120
STOP_TIMEOUT_S = 30

Environment = Mapping[str, str] | Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Input:
    """The input of a deploy; the next deploy uses it again, except for what it changes."""

    template: Path
    sources: Path
    parameters: Mapping[str, str]
    environment: Mapping[str, Mapping[str, str]]

    def deploy(self, deployer: Deployer) -> Deployment:
        """Deploy it."""
        return deployer.deploy(
            self.template,
            parameters=self.parameters,
            environment=self.environment,
            folders={snapshot.SOURCES: self.sources},
            overlay={"SOURCES_DIR": str(self.sources.resolve())},
        )


class Stack(Pipeline):
    """A running stack; leaving its context stops it. `warehouse` is the server behind the Data API.

    At first its functions read code and source files in place. Each `update` deploys a copy of them.
    """

    def __init__(
        self,
        platform: Platform,
        warehouse: Postgres,
        data_api: DataApi,
        *,
        deployer: Deployer,
        given: Input,
        deployment: Deployment,
        guard: Guard | None,
    ) -> None:
        super().__init__(platform.url, deployment.outputs, deployment.functions)
        self.logs = platform.functions.logs
        self.warehouse = warehouse
        self.quotas = Quotas()
        self.platform = platform
        self._data_api = data_api
        self._guard = guard
        self._deployer = deployer
        self._given = given
        platform.gateway.route(lambda _, request: request["PATH_INFO"].startswith(PREFIX), Control(self))

    @classmethod
    def start(
        cls,
        directory: Path,
        *,
        sources: Path,
        host: str = "127.0.0.1",
        port: int = 0,
        parameters: Mapping[str, str] | None = None,
        environment: Environment | None = None,
        template: Path | str | None = None,
        concurrency: int | None = None,
        account_concurrency: int | None = None,
        refuse_every: int = 0,
    ) -> Self:
        """Start everything; files and logs go into the directory.

        `parameters` are the template's. `environment` overrides variables of all functions, or of single
        functions by logical id. `concurrency` limits each function's sandboxes, for which calls wait;
        calls beyond `account_concurrency` are refused. The Data API throttles every `refuse_every`th call
        of an operation, beside its quotas. Raises DeployError or SelfTestError.
        """
        platform = Platform(
            directory / "logs",
            host=host,
            port=port,
            concurrency=concurrency,
            account_concurrency=account_concurrency,
        )
        guard = _enforce(platform)
        with ThreadPoolExecutor(2) as threads:
            server = threads.submit(Postgres.start, directory / "warehouse")
            try:
                tested = threads.submit(platform.selftest)
                warehouse = server.result()
                identify = platform.functions.identify
                quotas = Quotas(refuse_every=refuse_every)
                data_api = DataApi(
                    warehouse,
                    identify=identify,
                    s3=partial(_reads_as, platform.url),
                    user_of_secret=lambda arn: _secret_user(platform.url, arn),
                    throttle=quotas.throttle,
                )
                platform.route("redshift-data", data_api)
                deployer = platform.deployer({"AWS_ENDPOINT_URL": platform.url})
                given = Input(
                    Path(template or project() / "template.yaml"),
                    sources,
                    parameters or {},
                    _by_function(environment or {}),
                )
                deployment = given.deploy(deployer)
                tested.result()
            except BaseException:
                platform.stop()
                if guard:
                    guard.close()
                if not server.exception():
                    server.result().stop()
                raise
        stack = cls(
            platform, warehouse, data_api, deployer=deployer, given=given, deployment=deployment, guard=guard
        )
        stack.quotas = quotas
        return stack

    def update(
        self,
        *,
        template: Path | None = None,
        sources: Path | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> Deployment:
        """Deploy the files as they are now, like `sam deploy`; a DeployError leaves the stack as it was."""
        given = replace(
            self._given,
            template=template or self._given.template,
            sources=sources or self._given.sources,
            parameters={**self._given.parameters, **(parameters or {})},
        )
        into = self.logs.parent / "deploys"
        shipped = replace(
            given,
            template=snapshot.of_project(given.template, into),
            sources=snapshot.of_sources(given.sources, into),
        )
        deployment = shipped.deploy(self._deployer)
        self._given = given
        self.outputs, self.functions = deployment.outputs, deployment.functions
        return deployment

    @property
    def enforces_iam(self) -> bool:
        """Say whether calls are refused that roles do not allow."""
        return self._guard is not None

    def uses(self) -> list[list[str]]:
        """Return the statements of policies that allowed something: role, policy, Sid and action."""
        return [list(astuple(use)) for use in self._guard.uses] if self._guard else []

    def calls(self) -> dict[str, Any]:
        """Return what IAM allowed so far, as `Guard.calls` does."""
        return self._guard.calls() if self._guard else {"policies": [], "calls": []}

    def refusals(self, role: str, permissions: Sequence[Sequence[Any]]) -> list[str | None]:
        """Return AWS's message for each action, resource and context that the role may not have."""
        if self._guard is None:
            raise DeployError("the stack enforces no policies: run make setup")
        decisions = [
            self._guard.decision(role, permission(action, resource, context))
            for action, resource, context in permissions
        ]
        return [decision if isinstance(decision, str) else None for decision in decisions]

    def remove(self) -> None:
        """Delete the stack, as `sam delete` would; the raw bucket and the warehouse keep their data."""
        self._deployer.delete()

    def stop(self) -> None:
        """Stop every process of the stack, and note the calls of the Data API beside the logs."""
        self.platform.stop()
        counts = {"accepted": self.quotas.accepted, "refused": self.quotas.refused}
        (self.logs.parent / "data-api-calls.json").write_text(json.dumps(counts))
        self._data_api.close()
        self.warehouse.stop()
        if self._guard:
            self._guard.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class Spawned(Pipeline):
    """A stack in a process of its own; leaving its context stops it.

    `warehouse_port` is where the warehouse's PostgreSQL listens on 127.0.0.1, database `warehouse`.
    """

    def __init__(self, process: subprocess.Popen[bytes], directory: Path, ready: Mapping[str, str]) -> None:
        super().__init__(ready["endpoint_url"], json.loads(ready["outputs"]), json.loads(ready["functions"]))
        self.process = process
        self.directory = directory
        self.logs = directory / "logs"
        self.warehouse_port = int(ready["warehouse_port"])

    def stop(self) -> None:
        """Terminate the process and wait for it."""
        self.process.terminate()
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class StackDidNotStart(Exception):
    """The process ended or was not ready in time; the message has its output."""


def spawn(
    directory: Path,
    *,
    sources: Path,
    port: int = 0,
    parameters: Mapping[str, str] | None = None,
    environment: Environment | None = None,
    template: Path | None = None,
    concurrency: int | None = None,
    account_concurrency: int | None = None,
    refuse_every: int = 0,
) -> Spawned:
    """Start a stack in a process of its own and wait until it is ready; arguments as `Stack.start`."""
    directory.mkdir(parents=True, exist_ok=True)
    options = {
        "parameters": dict(parameters or {}),
        "environment": {name: dict(values) for name, values in _by_function(environment or {}).items()},
        "template": str(template) if template else None,
        "concurrency": concurrency,
        "account_concurrency": account_concurrency,
        "refuse_every": refuse_every,
    }
    ready, output = directory / "ready.json", directory / "stack.log"
    ready.unlink(missing_ok=True)
    command = [sys.executable, "-m", "local", "up", "--sources", str(sources), "--port", str(port)]
    command += ["--directory", str(directory), "--ready", str(ready), "--options", json.dumps(options)]
    with output.open("wb") as log:
        process = subprocess.Popen(
            [*command, "--parent-pid", str(os.getpid())],
            cwd=project(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C reaches only the parent, which then stops the stack
        )
    try:
        return Spawned(process, directory, _wait_until_ready(process, ready, output))
    except BaseException:
        process.terminate()
        process.wait()
        raise


def _enforce(platform: Platform) -> Guard | None:
    """Enforce IAM on the platform; None if the evaluator is not installed."""
    if not evaluator.available():
        return None
    guard = Guard(platform.bucket_policies.by_bucket)
    platform.gateway.guard = guard
    platform.functions.may_log = guard.may_log
    return guard


def _reads_as(url: str, role: str | None) -> Any:
    """Return the S3 client of the role that a COPY names."""
    return client("s3", url, access_key(role.rpartition("/")[2])) if role else client("s3", url)


def _wait_until_ready(process: subprocess.Popen[bytes], ready: Path, output: Path) -> dict[str, str]:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise StackDidNotStart(output.read_text(errors="replace"))
        time.sleep(0.05)
    places: dict[str, str] = json.loads(ready.read_text())
    return places


def _secret_user(url: str, arn: str) -> str | None:
    """Return the user name in a secret of the warehouse's administrator, None if it has none."""
    name = arn.rpartition(":secret:")[2]
    with suppress(ClientError, ValueError, KeyError):  # unknown, or the secret is no administrator's
        secret = client("secretsmanager", url).get_secret_value(SecretId=name.rpartition("-")[0] or name)
        return str(json.loads(secret["SecretString"])["username"])
    return None


def _by_function(environment: Environment) -> dict[str, Mapping[str, str]]:
    """Return the environment by logical id; under "*" the variables of every function."""
    everywhere = {name: value for name, value in environment.items() if isinstance(value, str)}
    own = {name: value for name, value in environment.items() if not isinstance(value, str)}
    return {EVERY_FUNCTION: everywhere, **own}


def announce(stack: Stack, ready: Path) -> None:
    """Write the file that `spawn` waits for, atomically."""
    places = {
        "endpoint_url": stack.endpoint_url,
        "outputs": json.dumps(stack.outputs),
        "functions": json.dumps(stack.functions),
        "warehouse_port": str(stack.warehouse.port),
    }
    draft = ready.with_suffix(".draft")
    draft.write_text(json.dumps(places))
    draft.rename(ready)


def end_with(parent: int, stop: threading.Event) -> None:
    """Set the event when the parent process has ended."""

    def watch() -> None:
        while os.getppid() == parent and not stop.wait(0.2):
            pass
        stop.set()

    threading.Thread(target=watch, daemon=True).start()
