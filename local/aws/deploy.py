"""Deploy the project's own template.yaml as far as moto goes, and make the rest by other means.

The template stays the truth: names, environments, time-outs and conditions are CloudFormation's
answers. What could not be done stops the deploy; nothing is skipped in silence.
"""

from __future__ import annotations

import io
import json
import os
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import by_api
from .clients import client
from .custom import CustomResource, CustomResources, Request
from .function import REGION, Function
from .lambdas import Lambda
from .questions import PREFIX, Question, Questions, answer, holds
from .template import ARTIFACT, BY_API, STACK_NAME, DeployError, Parts, Tree, take_apart, token

EVERY_FUNCTION = "*"


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployed stack: its outputs, and each function's physical name by logical id."""

    outputs: dict[str, str]
    functions: dict[str, str]
    custom: list[CustomResource]


@dataclass(slots=True)
class Asked:
    """What CloudFormation is asked for the parts that it does not make."""

    questions: Questions = field(default_factory=Questions)
    machines: dict[str, Tree] = field(default_factory=dict)
    roles: dict[str, Tree] = field(default_factory=dict)
    custom: dict[str, tuple[Question, Tree]] = field(default_factory=dict)
    by_api: dict[str, tuple[Question, Tree]] = field(default_factory=dict)


class Deployer:
    """Deploys templates to one gateway. `environment` is laid over every function's own."""

    def __init__(
        self, url: str, functions: Lambda, custom: CustomResources, environment: Mapping[str, str]
    ) -> None:
        self._url = url
        self._functions = functions
        self._custom = custom
        self._environment = dict(environment)
        self._code: dict[str, Path] = {}  # task root by physical name

    def deploy(
        self,
        template: Path,
        *,
        parameters: Mapping[str, str] | None = None,
        environment: Mapping[str, Mapping[str, str]] | None = None,
    ) -> Deployment:
        """Deploy the template.

        `environment`: variables by the function's logical id, or EVERY_FUNCTION, over the template's own.
        """
        os.environ.setdefault("AWS_DEFAULT_REGION", REGION)
        parts = take_apart(template, parameters or {})
        asked = _ask(parts)
        self._environment["PYTHONPATH"] = os.pathsep.join(map(str, _packages(parts)))
        outputs = self._create_stack(parts, parameters or {})
        physical = self._resources(parts)
        functions = self._deploy_functions(parts, physical, environment or {})
        self._create_by_api(asked, outputs)
        self._create_machines(parts, asked, physical, outputs)
        custom = self._create_custom(asked, outputs)
        public = _public(outputs, custom)
        self._show(parts, public)
        return Deployment(public, functions, custom)

    def notify(self, kind: Request, deployment: Deployment) -> None:
        """Send every custom resource of the stack an event, as CloudFormation does on update and delete."""
        for resource in deployment.custom:
            self._custom.request(kind, resource)

    def refresh(self, name: str) -> None:
        """Take over what Lambda's API says of a function: after an update from outside."""
        if name not in self._code:
            return
        lambda_api = client("lambda", self._url)
        configuration = lambda_api.get_function_configuration(FunctionName=name)
        reserved = lambda_api.get_function_concurrency(FunctionName=name)
        environment = configuration.get("Environment", {}).get("Variables", {})
        self._functions.deploy(
            Function(
                name=name,
                task_root=self._code[name],
                environment={**environment, **self._environment},
                handler=configuration["Handler"],
                timeout_s=configuration["Timeout"],
                memory_mb=configuration["MemorySize"],
                role=configuration["Role"].rpartition("/")[2],
                reserved=reserved.get("ReservedConcurrentExecutions"),
            )
        )

    def _create_stack(self, parts: Parts, parameters: Mapping[str, str]) -> dict[str, str]:
        """Create the stack in moto and return all its outputs, the questions' answers too."""
        self._store_artifact()
        cloudformation = client("cloudformation", self._url)
        given = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what moto cannot create is looked for in `_resources`
            cloudformation.create_stack(
                StackName=STACK_NAME,
                TemplateBody=json.dumps(parts.template),
                Parameters=given,
                Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
            )
        stack = cloudformation.describe_stacks(StackName=STACK_NAME)["Stacks"][0]
        if stack["StackStatus"] != "CREATE_COMPLETE":
            raise DeployError(f"the stack ended as {stack['StackStatus']}: {stack.get('StackStatusReason')}")
        return {item["OutputKey"]: item["OutputValue"] for item in stack.get("Outputs", [])}

    def _store_artifact(self) -> None:
        """Store the zip that stands for all code: the code itself runs from the source tree."""
        empty = io.BytesIO()
        with zipfile.ZipFile(empty, "w") as archive:
            archive.writestr("empty", "")
        s3 = client("s3", self._url)
        s3.create_bucket(Bucket=ARTIFACT["Bucket"])
        s3.put_object(**ARTIFACT, Body=empty.getvalue())

    def _resources(self, parts: Parts) -> dict[str, str]:
        """Return physical ids by logical id; raise where moto made less than the template says."""
        cloudformation = client("cloudformation", self._url)
        pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=STACK_NAME)
        made = {
            item["LogicalResourceId"]: item.get("PhysicalResourceId", "")
            for page in pages
            for item in page["StackResourceSummaries"]
        }
        wanted = {name for name, item in parts.template["Resources"].items() if "Condition" not in item}
        if missing := sorted(wanted - set(made)):
            raise DeployError(f"moto did not create {', '.join(missing)}")
        return made

    def _show(self, parts: Parts, outputs: Mapping[str, str]) -> None:
        """Leave what stands on AWS too: outputs without our questions, and no bucket of ours."""
        cloudformation = client("cloudformation", self._url)
        shown = {key: {"Value": value} for key, value in outputs.items()}
        template = {**parts.template, "Outputs": shown}
        cloudformation.update_stack(StackName=STACK_NAME, TemplateBody=json.dumps(template))
        s3 = client("s3", self._url)
        s3.delete_object(**ARTIFACT)
        s3.delete_bucket(Bucket=ARTIFACT["Bucket"])

    def _deploy_functions(
        self, parts: Parts, physical: Mapping[str, str], environment: Mapping[str, Mapping[str, str]]
    ) -> dict[str, str]:
        resources = parts.template["Resources"]
        names = {
            name: physical[name]
            for name in parts.code
            if resources.get(name, {}).get("Type") == "AWS::Lambda::Function" and name in physical
        }
        if unknown := sorted(set(environment) - set(names) - {EVERY_FUNCTION}):
            raise DeployError(f"environment given for unknown functions {', '.join(unknown)}")
        for logical, name in names.items():
            self._code[name] = parts.code[logical].resolve()
            if variables := {**environment.get(EVERY_FUNCTION, {}), **environment.get(logical, {})}:
                self._lay_over(name, variables)
            self.refresh(name)
        return names

    def _lay_over(self, name: str, variables: Mapping[str, str]) -> None:
        lambda_api = client("lambda", self._url)
        configuration = lambda_api.get_function_configuration(FunctionName=name)
        merged = {**configuration.get("Environment", {}).get("Variables", {}), **variables}
        lambda_api.update_function_configuration(FunctionName=name, Environment={"Variables": merged})

    def _create_by_api(self, asked: Asked, outputs: Mapping[str, str]) -> None:
        for name, (exists, tree) in asked.by_api.items():
            if holds(exists, outputs):
                resource = answer(tree, outputs)
                by_api.create(self._url, name, resource["Type"], resource.get("Properties", {}))

    def _create_machines(
        self, parts: Parts, asked: Asked, physical: Mapping[str, str], outputs: Mapping[str, str]
    ) -> None:
        """Create each machine by API under the name that CloudFormation gave it: the same ARN."""
        states = client("stepfunctions", self._url)
        for name, machine in parts.machines.items():
            text = _definition(machine.definition, answer(asked.machines[name], outputs))
            made = states.create_state_machine(
                name=physical[name].rpartition(":")[2],
                definition=text,
                roleArn=answer(asked.roles[name], outputs),
                type="STANDARD",
            )
            if made["stateMachineArn"] != physical[name]:
                raise DeployError(f"{name} became {made['stateMachineArn']} and not {physical[name]}")

    def _create_custom(self, asked: Asked, outputs: Mapping[str, str]) -> list[CustomResource]:
        resources = []
        for name, (exists, tree) in asked.custom.items():
            if holds(exists, outputs):
                properties = answer(tree.get("Properties", {}), outputs)
                resource = CustomResource(name, tree["Type"], properties)
                self._custom.request("Create", resource)
                resources.append(resource)
        return resources


def _ask(parts: Parts) -> Asked:
    """Put into the template's outputs whatever must be known of the parts taken out."""
    asked = Asked()
    ask, exists = asked.questions.ask, asked.questions.exists
    for name, machine in parts.machines.items():
        asked.machines[name] = ask(machine.substitutions)
        asked.roles[name] = ask(parts.template["Resources"][name]["Properties"]["RoleArn"])
    for name, resource in parts.custom.items():
        condition = resource.get("Condition")
        asked.custom[name] = (exists(condition), ask(resource, condition))
    for name, resource in parts.named.items():
        if resource["Type"] in BY_API:
            condition = resource.get("Condition")
            asked.by_api[name] = (exists(condition), ask(resource, condition))
    parts.template.setdefault("Outputs", {}).update(asked.questions.outputs)
    return asked


def _packages(parts: Parts) -> list[Path]:
    """Return the layers' folders that hold a Python package of ours; third parties' are installed."""
    folders = sorted(set(parts.code.values()))
    return [folder.resolve() for folder in folders if any(folder.glob("*/__init__.py"))]


def _definition(path: Path, values: Mapping[str, Any]) -> str:
    """Return the machine's definition as JSON, with its `${...}` filled in."""
    import yaml

    text = json.dumps(yaml.safe_load(path.read_text()))
    for key, value in values.items():
        text = text.replace(f"${{{key}}}", json.dumps(str(value))[1:-1])
    return text


def _public(outputs: Mapping[str, str], custom: list[CustomResource]) -> dict[str, str]:
    """Return the template's own outputs, with what the custom resources answered put in."""
    values = {token(item.name, key): value for item in custom for key, value in item.data.items()}
    values |= {token(item.name, ""): item.physical_id for item in custom}

    def fill(text: str) -> str:
        for placeholder, value in values.items():
            text = text.replace(placeholder, value)
        return text

    return {key: fill(text) for key, text in outputs.items() if not key.startswith(PREFIX)}
