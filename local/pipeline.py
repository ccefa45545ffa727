"""A deployed pipeline as its users see it: an endpoint, the stack's outputs, and runs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from local import control
from local.aws.clients import client
from local.aws.template import STACK_NAME
from local.iam.evaluator import Documents, Question

POLL_S = 0.1


class RunTimeout(Exception):
    """An execution still runs after the time that was given to it."""


@dataclass(frozen=True)
class Run:
    """An execution that has ended. `history` holds its events, oldest first."""

    arn: str
    status: str
    error: str | None
    cause: str | None
    output: Any
    history: list[dict[str, Any]]

    @cached_property
    def plan(self) -> dict[str, Any]:
        """Return Plan's answer: source, run_id, status; {} if it failed."""
        return exit_of(self.history, "Plan") or {}

    @property
    def run_id(self) -> str | None:
        """Return the run's id, None if there was no run."""
        return self.plan.get("run_id")


class Pipeline:
    """A pipeline behind an endpoint of AWS. `functions`: physical names by logical id."""

    def __init__(self, endpoint_url: str, outputs: dict[str, str], functions: dict[str, str]) -> None:
        self.endpoint_url = endpoint_url
        self.outputs = outputs
        self.functions = functions

    @classmethod
    def at(cls, endpoint_url: str) -> Self:
        """Return the pipeline that is deployed at an endpoint."""
        cloudformation = client("cloudformation", endpoint_url)
        stack = cloudformation.describe_stacks(StackName=STACK_NAME)["Stacks"][0]
        outputs = {item["OutputKey"]: item["OutputValue"] for item in stack["Outputs"]}
        pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=STACK_NAME)
        functions = {
            item["LogicalResourceId"]: item["PhysicalResourceId"]
            for page in pages
            for item in page["StackResourceSummaries"]
            if item["ResourceType"] == "AWS::Lambda::Function"
        }
        return cls(endpoint_url, outputs, functions)

    def client(self, service: str) -> Any:
        """Return a boto3 client of the service, with a person's credentials."""
        return client(service, self.endpoint_url)

    def deploy(
        self,
        *,
        template: Path | None = None,
        sources: Path | None = None,
        parameters: dict[str, str] | None = None,
    ) -> list[str]:
        """Update a stack of this machine to the files as they are now, by default those of the last deploy.

        Return the events that its custom resources were sent. A DeployError leaves the stack as it was.
        """
        answer = control.ask(
            self.endpoint_url,
            "deploy",
            template=template and str(template.resolve()),
            sources=sources and str(sources.resolve()),
            parameters=parameters,
        )
        self.outputs, self.functions = answer["outputs"], answer["functions"]
        events: list[str] = answer["events"]
        return events

    def permissions_used(self) -> set[tuple[str, str, str, str]]:
        """Return the statements that allowed something so far: role, policy, Sid and action."""
        uses = control.ask(self.endpoint_url, "uses")["uses"]
        return {(role, policy, sid, action) for role, policy, sid, action in uses}

    def permitted_calls(self) -> list[tuple[Documents, Question]]:
        """Return what IAM allowed so far: a role's policies at that time, and the question."""
        answer = control.ask(self.endpoint_url, "calls")
        policies = [tuple((name, text) for name, text in documents) for documents in answer["policies"]]
        return [(policies[number], _question(*fields)) for number, *fields in answer["calls"]]

    def may(self, role: str, action: str, resource: str, context: Mapping[str, str] | None = None) -> bool:
        """Say whether the deployed policies allow it to a role of the template; no call is made."""
        permission = [action, resource, dict(context or {})]
        answer = control.ask(
            self.endpoint_url, "refusals", role=f"{STACK_NAME}-{role}", permissions=[permission]
        )
        [refusal] = answer["refusals"]
        if refusal is not None and "is not authorized to perform" not in refusal:
            raise ValueError(refusal)  # nothing was decided
        return refusal is None

    def delete(self) -> None:
        """Delete a stack of this machine; data is kept. Raises DeployError."""
        control.ask(self.endpoint_url, "delete")

    def start_run(self, source: str, **given: Any) -> str:
        """Start a run of the source and return its execution's ARN; `given` joins the input."""
        started = self.client("stepfunctions").start_execution(
            stateMachineArn=self.outputs["StateMachineArn"], input=json.dumps({"source": source, **given})
        )
        arn: str = started["executionArn"]
        return arn

    def wait(
        self, arn: str, *, timeout_s: float = 600, meanwhile: Callable[[], object] = lambda: None
    ) -> Run:
        """Wait until the execution has ended, calling `meanwhile` repeatedly."""
        states = self.client("stepfunctions")
        deadline = time.monotonic() + timeout_s
        while (execution := states.describe_execution(executionArn=arn))["status"] == "RUNNING":
            if time.monotonic() > deadline:
                raise RunTimeout(f"{arn} still runs after {timeout_s:.0f} s")
            meanwhile()
            time.sleep(POLL_S)
        output = json.loads(execution["output"]) if execution.get("output") else None
        return Run(
            arn,
            execution["status"],
            execution.get("error"),
            execution.get("cause"),
            output,
            self.history(arn),
        )

    def await_end(self, arn: str, seconds: float) -> None:
        """Return when an execution of a stack of this machine has ended or the time is over.

        Unlike `wait`, it leaves the processor to the run.
        """
        control.ask(self.endpoint_url, "await", execution=arn, seconds=seconds)

    def run(self, source: str, *, timeout_s: float = 600, **given: Any) -> Run:
        """Run the source and wait for the end."""
        return self.wait(self.start_run(source, **given), timeout_s=timeout_s)

    def history(self, arn: str) -> list[dict[str, Any]]:
        """Return the execution's events, oldest first."""
        events: list[dict[str, Any]] = []
        pages = self.client("stepfunctions").get_paginator("get_execution_history")
        for page in pages.paginate(executionArn=arn):
            events.extend(page["events"])
        return events

    def invoke(self, function: str, event: dict[str, Any]) -> dict[str, Any]:
        """Call a function by its logical id; returns an error object if it failed."""
        answer = self.client("lambda").invoke(
            FunctionName=self.functions[function], Payload=json.dumps(event).encode()
        )
        body: dict[str, Any] = json.loads(answer["Payload"].read())
        return body

    def document(self, key: str) -> dict[str, Any] | None:
        """Return a JSON object of the raw bucket, None if it does not exist."""
        s3 = self.client("s3")
        try:
            stored = s3.get_object(Bucket=self.outputs["RawBucketName"], Key=key)
        except s3.exceptions.NoSuchKey:
            return None
        content: dict[str, Any] = json.loads(stored["Body"].read())
        return content

    def configure(self, function: str, *, timeout_s: int | None = None, **variables: str) -> None:
        """Change a function's time-out and environment, by its logical id, from its next call on."""
        name = self.functions[function]
        lambda_api = self.client("lambda")
        configuration = lambda_api.get_function_configuration(FunctionName=name)
        merged = {**configuration.get("Environment", {}).get("Variables", {}), **variables}
        lambda_api.update_function_configuration(
            FunctionName=name,
            Timeout=timeout_s or configuration["Timeout"],
            Environment={"Variables": merged},
        )


def _question(
    principal: str, action: str, resource: str, context: list[list[str]], resource_policy: str | None
) -> Question:
    pairs = tuple((key, value) for key, value in context)
    return Question(principal, action, resource, pairs, resource_policy)


def exit_of(history: list[dict[str, Any]], state: str) -> dict[str, Any] | None:
    """Return the state's output at its first exit, None if it never exited."""
    for event in history:
        details = event.get("stateExitedEventDetails", {})
        if details.get("name") == state:
            output: dict[str, Any] = json.loads(details["output"])
            return output
    return None


def project() -> Path:
    """Return the project's root."""
    return Path(__file__).resolve().parent.parent
