"""The part of AWS Lambda that runs code: pools of sandboxes.

moto answers the rest of Lambda's API. A function's access key identifies its role, so the warehouse
knows the caller.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from local.aws.function import Answer, Function, Throttled, UnknownFunction
from local.aws.sandbox import Sandbox
from local.leash import Leash

ROLE_KEY = "ROLE-"


class Pool:
    """The sandboxes of one function: at most `limit` at once, warm ones first."""

    def __init__(
        self,
        function: Function,
        environment: Mapping[str, str],
        log: Path,
        leash: Leash,
        limit: int,
        *,
        account: threading.BoundedSemaphore | None,
        may_log: Callable[[Function], bool],
    ) -> None:
        self.function = function
        self._environment = environment
        self._log = log
        self._may_log = may_log
        self._leash = leash
        self._account = account
        self._slots = threading.BoundedSemaphore(function.reserved or limit)
        self._lock = threading.Lock()
        self._warm: list[Sandbox] = []
        self._busy: set[Sandbox] = set()
        self._closed = False

    def call(self, payload: bytes) -> Answer:
        """Run the handler in a free sandbox; raises Throttled if no concurrency is left for it."""
        if self._account and not self._account.acquire(blocking=False):
            raise Throttled(self.function.name)
        try:
            return self._call(payload)
        finally:
            if self._account:
                self._account.release()

    def _call(self, payload: bytes) -> Answer:
        if self.function.reserved == 0 or not self._slots.acquire(blocking=self.function.reserved is None):
            raise Throttled(self.function.name)
        try:
            sandbox = self._take()
            answer = sandbox.call(payload)
            self._give_back(sandbox, reusable=answer.reusable)
            return answer
        finally:
            self._slots.release()

    def close(self, *, running: bool) -> None:
        """Close the warm sandboxes; if `running`, also kill those in a call, else let them finish."""
        with self._lock:
            self._closed = True
            sandboxes = [*self._warm, *(self._busy if running else ())]
            self._warm.clear()
        for sandbox in sandboxes:
            sandbox.close()

    def _take(self) -> Sandbox:
        with self._lock:
            while self._warm:
                sandbox = self._warm.pop()
                if sandbox.alive:
                    self._busy.add(sandbox)
                    return sandbox
                sandbox.close()
        log = self._log if self._may_log(self.function) else Path(os.devnull)  # on AWS too, lines are lost
        sandbox = Sandbox(self.function, self._environment, log, self._leash, tmp=self._log.parent)
        with self._lock:
            self._busy.add(sandbox)
        return sandbox

    def _give_back(self, sandbox: Sandbox, *, reusable: bool) -> None:
        with self._lock:
            self._busy.discard(sandbox)
            if reusable and not self._closed:
                self._warm.append(sandbox)
                return
        if reusable:
            sandbox.close()


class Lambda:
    """The deployed functions; `concurrency` limits each function's sandboxes (default: 2 per core).

    Calls wait for a sandbox. With `account_concurrency`, calls beyond that number of all functions are
    refused instead, as Lambda does ("Concurrent executions", 10 in a new account).
    """

    def __init__(
        self,
        logs: Path,
        leash: Leash,
        *,
        concurrency: int | None = None,
        account_concurrency: int | None = None,
    ) -> None:
        self.logs = logs
        self.may_log: Callable[[Function], bool] = lambda function: True
        self._leash = leash
        self._limit = concurrency or max(4, 2 * (os.cpu_count() or 1))
        self._account = threading.BoundedSemaphore(account_concurrency) if account_concurrency else None
        self._lock = threading.Lock()
        self._pools: dict[str, Pool] = {}
        self._roles: dict[str, str] = {}

    def deploy(self, function: Function) -> None:
        """Create or replace the function; calls in progress end with the old code."""
        key = access_key(function.role)
        log = self.logs / f"{function.name}.log"
        pool = Pool(
            function,
            _credentials(key),
            log,
            self._leash,
            self._limit,
            account=self._account,
            may_log=self.may_log,
        )
        with self._lock:
            old = self._pools.get(function.name)
            if old and function.code and old.function == function:
                return
            self._pools[function.name] = pool
            self._roles[key] = function.role
        if old:
            old.close(running=False)

    def remove(self, name: str) -> None:
        """Remove the function."""
        with self._lock:
            pool = self._pools.pop(name, None)
        if pool:
            pool.close(running=True)

    def get(self, name: str) -> Function | None:
        """Return the function as deployed, None if it does not exist."""
        pool = self._pools.get(name)
        return pool.function if pool else None

    def invoke(self, name: str, payload: bytes) -> Answer:
        """Call the function and wait for its answer."""
        pool = self._pools.get(name)
        if pool is None:
            raise UnknownFunction(name)
        return pool.call(payload)

    def identify(self, key: str) -> str | None:
        """Return the role that the access key belongs to; None for a person's key."""
        return self._roles.get(key)

    def close(self) -> None:
        """Kill every sandbox."""
        with self._lock:
            pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            pool.close(running=True)


def access_key(role: str) -> str:
    """Return the access key of a role's temporary credentials."""
    return ROLE_KEY + re.sub(r"[^A-Za-z0-9_-]", "-", role)


def _credentials(key: str) -> dict[str, str]:
    return {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": "local", "AWS_SESSION_TOKEN": "local"}
