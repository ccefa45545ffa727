"""The steps of a run in the test's own process: the handlers' functions, with the rights of their roles.

Each call of AWS goes through a point. Report is the deployed function.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

import boto3

from local.aws.clients import client
from local.aws.function import REGION
from local.aws.lambdas import access_key
from tributary import secret
from tributary.errors import TributaryError
from tributary.extraction.extract import Session, begin, extract_item
from tributary.loading.load import LoadProgress, load_run
from tributary.loading.run_load import RunLoad
from tributary.planning.plan import PlanContext, PlanOutcome, plan_run
from tributary.planning.run_request import RunRequest
from tributary.redshift.data_api import Warehouse
from tributary.storage.bucket import Bucket
from tributary.storage.lease import held_plan

from .company import Company, Source
from .failure_points import FailingClient, FailurePoint

COPY_ROLE = "arn:aws:iam::123456789012:role/tributary-CopyRole"


@dataclass
class Turn:
    """What the world does just before a page of an item is read: the first page has the number 1."""

    page: int
    act: Callable[[], object]


@dataclass(slots=True)
class Paged(Session):
    """A session of which each page is counted, so that something may happen between two of them."""

    turn: Turn | None = None
    pages: int = 0

    def get(self) -> Any:
        self.pages += 1
        if self.turn and self.turn.page == self.pages:
            self.turn.act()
        return Session.get(self)


@dataclass
class Steps:
    """The steps of a source's runs; `running` are the executions that are not over."""

    company: Company
    source: Source
    running: set[str] = field(default_factory=set)

    def execution(self) -> str:
        """Return the name of a new execution."""
        machine: str = self.company.stack.outputs["StateMachineArn"]
        return machine.replace(":stateMachine:", ":execution:") + f":{uuid4()}"

    def plan(self, arn: str, point: FailurePoint, **request_fields: Any) -> PlanOutcome:
        """Plan a run; `asked` are more fields of the request."""
        around = PlanContext(
            sources=self.company.sources,
            bucket=self._bucket("PlanFunction", point),
            warehouse=self._warehouse("PlanFunction", point),
            secrets=self.company.client("secretsmanager"),
            is_running=self.running.__contains__,
        )
        return plan_run(
            RunRequest(self.source.name, arn, "2026-01-01T00:00:00.000Z", **request_fields), around
        )

    def extract(self, run_id: str, item: int, point: FailurePoint, turn: Turn | None = None) -> bool:
        """Extract an item, every page a chunk."""
        bucket = self._bucket("ExtractFunction", point)
        plan = held_plan(bucket, self.source.name, run_id)
        credentials = secret.fetch(self.company.client("secretsmanager"), plan.secret)
        extraction = begin(plan, bucket, credentials, chunk_size_bytes=1, stop_at=time.monotonic() + 60)
        usual = extraction.session
        session = Paged(usual.engine, usual.secret, usual.statement_timeout_s, turn=turn)
        return extract_item(replace(extraction, session=session), item)

    def loading(self, run_id: str, point: FailurePoint) -> RunLoad:
        """Return what a call of Load begins with: a plan whose lease holds."""
        bucket = self._bucket("LoadFunction", point)
        plan = held_plan(bucket, self.source.name, run_id)
        return RunLoad(plan, bucket, self._warehouse("LoadFunction", point), COPY_ROLE)

    def load(self, run_id: str, point: FailurePoint) -> LoadProgress:
        """Call Load once."""
        return load_run(self.loading(run_id, point), {})

    def report(self, arn: str, run_id: str | None, error: TributaryError | None = None) -> None:
        """Report the run, or the `error` that its Plan ended with."""
        cause = json.dumps({"errorType": type(error).__name__, "errorMessage": str(error)})
        caught = {"Error": type(error).__name__, "Cause": cause} if error else None
        status = "failed" if error else "planned"
        event = {"run_id": run_id, "status": status, "execution_arn": arn, "error": caught}
        answer = self.company.invoke("ReportFunction", {"source": self.source.name, **event})
        assert "errorType" not in answer, answer

    def _client(self, service: str, function: str, point: FailurePoint) -> Any:
        return FailingClient(role_client(self.company, service, function), point)

    def _warehouse(self, function: str, point: FailurePoint) -> Warehouse:
        outputs = self.company.stack.outputs
        where = {"Database": outputs["WarehouseDatabase"], "WorkgroupName": outputs["WarehouseWorkgroup"]}
        return Warehouse(self._client("redshift-data", function, point), where)

    def _bucket(self, function: str, point: FailurePoint) -> Bucket:
        bucket = self.company.stack.outputs["RawBucketName"]
        return Bucket(self._client("s3", function, point), bucket)


def role_client(company: Company, service: str, function: str) -> Any:
    """Return the one client of a service with the rights of a function's role."""
    key = f"{service} of {function}"
    if key not in company.clients:
        configuration = company.client("lambda").get_function_configuration(
            FunctionName=company.stack.functions[function]
        )
        made = client(service, company.stack.endpoint_url)
        company.clients[key] = boto3.session.Session().client(  # type: ignore[call-overload]
            service,
            endpoint_url=company.stack.endpoint_url,
            region_name=REGION,
            aws_access_key_id=access_key(configuration["Role"].rpartition("/")[2]),
            aws_secret_access_key="local",
            config=made.meta.config,
        )
    return company.clients[key]
