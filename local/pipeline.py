"""A deployed pipeline as its users see it: an endpoint, the stack's outputs, and runs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from . import control
from .aws.clients import client
from .aws.template import STACK_NAME

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
        """Return what Plan answered: source, run_id, status; {} where it failed."""
        return exit_of(self.history, "Plan") or {}

    @property
    def run_id(self) -> str | None:
        """Return the run's id, None where there was no run."""
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
        """Update a stack of this machine to what lies there now: where the last deploy looked, if not told.

        Return the events that its custom resources were sent. Raises DeployError, and all is as it was.
        """
        told = control.ask(
            self.endpoint_url,
            "deploy",
            template=template and str(template.resolve()),
            sources=sources and str(sources.resolve()),
            parameters=parameters,
        )
        self.outputs, self.functions = told["outputs"], told["functions"]
        asked: list[str] = told["asked"]
        return asked

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
        """Wait until the execution has ended, calling `meanwhile` again and again."""
        states = self.client("stepfunctions")
        deadline = time.monotonic() + timeout_s
        while (found := states.describe_execution(executionArn=arn))["status"] == "RUNNING":
            if time.monotonic() > deadline:
                raise RunTimeout(f"{arn} still runs after {timeout_s:.0f} s")
            meanwhile()
            time.sleep(POLL_S)
        output = json.loads(found["output"]) if found.get("output") else None
        return Run(arn, found["status"], found.get("error"), found.get("cause"), output, self.history(arn))

    def await_end(self, arn: str, seconds: float) -> None:
        """Return once an execution of a stack of this machine has ended, or when the time is over.

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
        """Call a function by its logical id; an error object is an answer too."""
        answer = self.client("lambda").invoke(
            FunctionName=self.functions[function], Payload=json.dumps(event).encode()
        )
        body: dict[str, Any] = json.loads(answer["Payload"].read())
        return body

    def document(self, key: str) -> dict[str, Any] | None:
        """Return a JSON object of the raw bucket, None where there is none."""
        s3 = self.client("s3")
        try:
            found = s3.get_object(Bucket=self.outputs["RawBucketName"], Key=key)
        except s3.exceptions.NoSuchKey:
            return None
        content: dict[str, Any] = json.loads(found["Body"].read())
        return content

    def configure(self, function: str, *, timeout_s: int | None = None, **variables: str) -> None:
        """Change a function's time-out and environment, by its logical id, from its next call on."""
        name = self.functions[function]
        lambda_api = self.client("lambda")
        found = lambda_api.get_function_configuration(FunctionName=name)
        merged = {**found.get("Environment", {}).get("Variables", {}), **variables}
        lambda_api.update_function_configuration(
            FunctionName=name, Timeout=timeout_s or found["Timeout"], Environment={"Variables": merged}
        )


def exit_of(history: list[dict[str, Any]], state: str) -> dict[str, Any] | None:
    """Return what the state gave when it was left first, None where it was not."""
    for event in history:
        details = event.get("stateExitedEventDetails", {})
        if details.get("name") == state:
            output: dict[str, Any] = json.loads(details["output"])
            return output
    return None


def project() -> Path:
    """Return the project's root."""
    return Path(__file__).resolve().parent.parent
