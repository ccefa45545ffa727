"""AWS without a deployed stack: the gateway, moto behind it, and Lambda. No process outlives it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from local.aws.bucket_policies import BucketPolicies
from local.aws.custom import PREFIX, CustomResources
from local.aws.deploy import Deployer
from local.aws.gateway import App, Gateway
from local.aws.invoke import PATH, InvokeApi
from local.aws.lambdas import Lambda
from local.aws.ops_items import OpsItems
from local.aws.selftest import selftest
from local.aws.usage_limits import UsageLimits
from local.leash import Leash

CONFIGURATION = re.compile(r"^/[-0-9]+/functions/(?P<name>[^/]+)/(configuration|concurrency)$")


class Platform:
    """A running platform; leaving its context ends it."""

    def __init__(
        self,
        logs: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        concurrency: int | None = None,
        account_concurrency: int | None = None,
    ) -> None:
        logs.mkdir(parents=True, exist_ok=True)
        self.gateway = Gateway(host, port)
        self.url = self.gateway.url
        self._leash = Leash()
        self.functions = Lambda(
            logs, self._leash, concurrency=concurrency, account_concurrency=account_concurrency
        )
        self._custom = CustomResources(self.functions, self.url)
        self._refresh: Deployer | None = None
        self.gateway.route(lambda _, request: request["PATH_INFO"].startswith(PREFIX), self._custom)
        self.gateway.route(
            lambda _, request: bool(PATH.match(request["PATH_INFO"])), InvokeApi(self.functions)
        )
        self.gateway.route(_changes_a_function, self._change_a_function)
        self.bucket_policies = BucketPolicies()
        for stand_in in (OpsItems(), UsageLimits(), self.bucket_policies):
            self.gateway.route(stand_in.claims, stand_in)

    def selftest(self) -> None:
        """Raise SelfTestError if this platform does not behave as AWS does."""
        selftest(self.functions, self.url)

    def route(self, service: str, app: App) -> None:
        """Send the requests that are signed for the service to the application."""
        self.gateway.route(lambda signed_for, _: signed_for == service, app)

    def deployer(self, environment: Mapping[str, str]) -> Deployer:
        """Return the deployer; `environment` overrides every function's own variables."""
        self._refresh = Deployer(self.url, self.functions, self._custom, environment)
        return self._refresh

    def stop(self) -> None:
        """End every sandbox and the gateway."""
        self.functions.close()
        self.gateway.stop()
        self._leash.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _change_a_function(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Let moto change a function's configuration, and use it from the next call on."""
        body = self.gateway.moto(environ, start_response)
        match = CONFIGURATION.match(environ["PATH_INFO"])
        if match and self._refresh:
            self._refresh.refresh(match["name"])
        return body


def _changes_a_function(service: str, environ: dict[str, Any]) -> bool:
    changing = environ["REQUEST_METHOD"] in ("PUT", "DELETE")
    return service == "lambda" and changing and bool(CONFIGURATION.match(environ["PATH_INFO"]))
