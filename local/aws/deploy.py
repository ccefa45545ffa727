"""Deploy the project's template.yaml: moto creates what it can, and service APIs create the rest.

Names, environments, time-outs and conditions are resolved by CloudFormation. A resource that cannot
be created fails the deploy; nothing is skipped silently. A second deploy updates the stack, and a deploy
that fails leaves the stack as it was.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.aws import by_api, managed_policies
from local.aws.clients import client
from local.aws.custom import CustomResource, CustomResources, Request
from local.aws.function import REGION, Function
from local.aws.lambdas import Lambda
from local.aws.moto_stack import MotoStack
from local.aws.questions import PREFIX, Question, Questions, answer, holds
from local.aws.template import BY_API, DeployError, Parts, Tree, digest, take_apart, token

EVERY_FUNCTION = "*"


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployed stack: its outputs, and each function's physical name by logical id.

    `events` are the events that its custom resources were sent, as text.
    """

    outputs: dict[str, str]
    functions: dict[str, str]
    events: tuple[str, ...]


@dataclass(slots=True)
class Unresolved:
    """Values that CloudFormation must resolve for the resources that it does not create."""

    questions: Questions = field(default_factory=Questions)
    machines: dict[str, Tree] = field(default_factory=dict)
    roles: dict[str, Tree] = field(default_factory=dict)
    log_groups: dict[str, Tree] = field(default_factory=dict)
    attached: dict[str, Tree] = field(default_factory=dict)  # policies of roles
    custom: dict[str, tuple[Question, Tree]] = field(default_factory=dict)
    by_api: dict[str, tuple[Question, Tree]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Target:
    """The input of a deploy: the template in parts, and the variables that override its functions' own."""

    parts: Parts
    unresolved: Unresolved
    parameters: Mapping[str, str]
    environment: Mapping[str, Mapping[str, str]]
    overlay: Mapping[str, str]


@dataclass(slots=True)
class Existing:
    """What is deployed: functions by physical name, state machines by ARN, resources created by API."""

    target: Target
    public: dict[str, str] = field(default_factory=dict)
    functions: dict[str, str] = field(default_factory=dict)
    machines: set[str] = field(default_factory=set)
    by_api: dict[str, dict[str, Any]] = field(default_factory=dict)
    custom: dict[str, CustomResource] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Event:
    """An event for a custom resource; `before` is the deployed resource if this is an update."""

    kind: Request
    resource: CustomResource
    before: CustomResource | None = None

    def undone(self) -> Event:
        """Return the event that CloudFormation sends to roll this one back."""
        if self.before is None:
            return Event("Delete", self.resource)
        return Event("Update", self.before, self.resource)


class Deployer:
    """Deploys templates to one gateway. `environment` overrides every function's own variables."""

    def __init__(
        self, url: str, functions: Lambda, custom: CustomResources, environment: Mapping[str, str]
    ) -> None:
        self._url = url
        self._functions = functions
        self._custom = custom
        self._environment = dict(environment)
        self._moto = MotoStack(url)
        self._overlay: dict[str, str] = {}
        self._packages: list[Path] = []
        self._log_groups: dict[str, str] = {}  # by the function's physical name
        self._code: dict[str, Path] = {}  # task root by physical name
        self._attributes: dict[str, Mapping[str, str]] = {}  # of resources that are created by API
        self._existing: Existing | None = None
        self._deleted = False
        self._rolled_back = False

    def deploy(
        self,
        template: Path,
        *,
        parameters: Mapping[str, str] | None = None,
        environment: Mapping[str, Mapping[str, str]] | None = None,
        folders: Mapping[str, Path] | None = None,
        overlay: Mapping[str, str] | None = None,
    ) -> Deployment:
        """Deploy the template or update the stack; raises DeployError and leaves the stack as it was.

        `environment`: variables by the function's logical id, or EVERY_FUNCTION; over the template's own.
        `folders`: code by logical id that is not at the template's path. `overlay`: other values for
        variables that a function has; no API shows them.
        """
        os.environ.setdefault("AWS_DEFAULT_REGION", REGION)
        parts = take_apart(template, parameters or {}, folders)
        target = Target(parts, _ask(parts), parameters or {}, environment or {}, overlay or {})
        if self._deleted:
            raise DeployError(
                "the stack was deleted, and its retained resources keep their names; start a new local stack"
            )
        if self._rolled_back:
            raise DeployError("the stack is in state ROLLBACK_COMPLETE: delete it, then deploy again")
        if self._existing is None:
            return self._create(target)
        return self._update(self._existing, target)

    def delete(self) -> None:
        """Delete everything except what the template retains; raises DeployError if nothing is deployed."""
        if self._rolled_back:
            self._rolled_back = False
            return
        existing = self._require_existing()
        self._send([Event("Delete", resource) for resource in existing.custom.values()])
        self._moto.delete()
        self._leave(existing, Existing(existing.target))
        self._existing, self._deleted = None, True

    def refresh(self, name: str) -> None:
        """Apply what Lambda's API says about a function, after a call has changed it."""
        if name not in self._code:
            return
        lambda_api = client("lambda", self._url)
        configuration = lambda_api.get_function_configuration(FunctionName=name)
        reserved = lambda_api.get_function_concurrency(FunctionName=name)
        environment = configuration.get("Environment", {}).get("Variables", {})
        overlay = {key: value for key, value in self._overlay.items() if key in environment}
        packages = {"PYTHONPATH": os.pathsep.join(map(str, self._packages))}
        code = [digest(folder) for folder in (self._code[name], *self._packages)]
        self._functions.deploy(
            Function(
                name=name,
                task_root=self._code[name],
                environment={**environment, **packages, **overlay, **self._environment},
                handler=configuration["Handler"],
                timeout_s=configuration["Timeout"],
                memory_mb=configuration["MemorySize"],
                role=configuration["Role"].rpartition("/")[2],
                reserved=reserved.get("ReservedConcurrentExecutions"),
                code=" ".join(code),
                log_group=self._log_groups.get(name, ""),
            )
        )

    def _require_existing(self) -> Existing:
        if self._existing is None:
            raise DeployError("nothing is deployed")
        return self._existing

    def _create(self, target: Target) -> Deployment:
        new, events = Existing(target), list[Event]()
        try:
            outputs = self._moto.create(target.parts, target.parameters)
            self._make(new, outputs, there={})
            events = self._events(new, Existing(target), outputs)
            self._send(events)
        except Exception as error:
            self._roll_back_creation(new, events, error)
            raise
        return self._settle(new, outputs, events)

    def _roll_back_creation(self, new: Existing, events: list[Event], error: Exception) -> None:
        """Delete what was created. CloudFormation then keeps an empty stack, which takes no other deploy."""
        try:
            self._send([event.undone() for event in events])
            self._moto.roll_back_creation(new.target.parts, new.target.parameters)
            self._leave(new, Existing(new.target))
        except Exception as failure:
            raise DeployError(f"{error}; and what was created could not be deleted: {failure}") from error
        self._rolled_back = True

    def _update(self, old: Existing, target: Target) -> Deployment:
        new, events = Existing(target), list[Event]()
        try:
            outputs = self._moto.update(target.parts, target.parameters)
            self._make(new, outputs, there=old.by_api)
            events = self._events(new, old, outputs)
            self._send(events)
        except Exception as error:
            self._roll_back(old, new, events, error)
            raise
        gone = [Event("Delete", resource) for name, resource in old.custom.items() if name not in new.custom]
        self._send(gone)
        self._leave(old, new)
        return self._settle(new, outputs, [*events, *gone])

    def _settle(self, new: Existing, outputs: Mapping[str, str], events: list[Event]) -> Deployment:
        new.public = _public(outputs, list(new.custom.values()), self._attributes)
        self._moto.show(new.target.parts, new.target.parameters, new.public)
        self._existing = new
        sent = tuple(f"{event.resource.name}: {event.kind}" for event in events)
        return Deployment(new.public, new.functions, sent)

    def _roll_back(self, old: Existing, new: Existing, events: list[Event], error: Exception) -> None:
        """Restore the old stack in CloudFormation's order: functions before custom resources."""
        again = Existing(old.target)
        try:
            outputs = self._moto.update(old.target.parts, old.target.parameters)
            self._make(again, outputs, there={**old.by_api, **new.by_api})
            self._send([event.undone() for event in events])
            self._leave(new, again)
            self._moto.show(old.target.parts, old.target.parameters, old.public)
        except Exception as failure:
            raise DeployError(f"{error}; and the old stack could not be restored: {failure}") from error

    def _leave(self, old: Existing, new: Existing) -> None:
        """Delete what only the old stack has."""
        for name in old.by_api.keys() - new.by_api.keys():
            by_api.delete(self._url, name, old.by_api[name])
        states = client("stepfunctions", self._url)
        for arn in old.machines - new.machines:
            states.delete_state_machine(stateMachineArn=arn)
        for name in set(old.functions.values()) - set(new.functions.values()):
            self._functions.remove(name)
            self._code.pop(name, None)

    def _make(self, new: Existing, outputs: Mapping[str, str], *, there: Mapping[str, Any]) -> None:
        """Create or update all resources except custom resources."""
        self._overlay, self._packages = dict(new.target.overlay), _packages(new.target.parts)
        physical = self._moto.resources(new.target.parts.template)
        for name, arns in new.target.unresolved.attached.items():
            if name in physical:
                managed_policies.note(physical[name], answer(arns, outputs))
        self._log_groups = _log_groups(new.target.unresolved, physical, outputs)
        self._deploy_functions(new, physical)
        for name, (exists, tree) in new.target.unresolved.by_api.items():
            if holds(exists, outputs):
                new.by_api[name] = answer(tree, outputs)
                if name not in there:
                    self._attributes[name] = by_api.create(self._url, name, new.by_api[name])
                elif there[name] != new.by_api[name]:
                    self._attributes[name] = by_api.update(self._url, name, new.by_api[name])
        self._make_machines(new, physical, outputs)

    def _deploy_functions(self, new: Existing, physical: Mapping[str, str]) -> None:
        parts, environment = new.target.parts, new.target.environment
        resources = parts.template["Resources"]
        names = {
            name: physical[name]
            for name in parts.code
            if resources.get(name, {}).get("Type") == "AWS::Lambda::Function" and name in physical
        }
        if unknown := sorted(set(environment) - set(names) - {EVERY_FUNCTION}):
            raise DeployError(f"environment given for unknown functions {', '.join(unknown)}")
        for logical, name in names.items():
            new.functions[logical] = name
            self._code[name] = parts.code[logical].resolve()
            if variables := {**environment.get(EVERY_FUNCTION, {}), **environment.get(logical, {})}:
                self._lay_over(name, variables)
            self.refresh(name)

    def _lay_over(self, name: str, variables: Mapping[str, str]) -> None:
        lambda_api = client("lambda", self._url)
        configuration = lambda_api.get_function_configuration(FunctionName=name)
        merged = {**configuration.get("Environment", {}).get("Variables", {}), **variables}
        lambda_api.update_function_configuration(FunctionName=name, Environment={"Variables": merged})

    def _make_machines(self, new: Existing, physical: Mapping[str, str], outputs: Mapping[str, str]) -> None:
        """Create each machine by API under the name that CloudFormation gave it, so the ARN is the same."""
        states = client("stepfunctions", self._url)
        there = {machine["stateMachineArn"] for machine in states.list_state_machines()["stateMachines"]}
        for name, machine in new.target.parts.machines.items():
            arn, unresolved = physical[name], new.target.unresolved
            fields = {
                "definition": _definition(machine.definition, answer(unresolved.machines[name], outputs)),
                "roleArn": answer(unresolved.roles[name], outputs),
            }
            new.machines.add(arn)
            if arn in there:
                states.update_state_machine(stateMachineArn=arn, **fields)
                continue
            made = states.create_state_machine(name=arn.rpartition(":")[2], type="STANDARD", **fields)
            if made["stateMachineArn"] != arn:
                raise DeployError(f"{name} became {made['stateMachineArn']} and not {arn}")

    def _events(self, new: Existing, old: Existing, outputs: Mapping[str, str]) -> list[Event]:
        """Return the events for the custom resources that are new or have changed."""
        events = []
        for name, (exists, tree) in new.target.unresolved.custom.items():
            if holds(exists, outputs):
                before = old.custom.get(name)
                resource = CustomResource(name, tree["Type"], answer(tree.get("Properties", {}), outputs))
                if before and before.properties == resource.properties:
                    resource = before
                else:
                    resource.physical_id = before.physical_id if before else ""
                    events.append(Event("Update" if before else "Create", resource, before))
                new.custom[name] = resource
        return events

    def _send(self, events: list[Event]) -> None:
        """Send the events in parallel, as CloudFormation may; raises the first failure when all ended."""
        with ThreadPoolExecutor(max(1, len(events))) as threads:
            sent = [
                threads.submit(
                    self._custom.request,
                    event.kind,
                    event.resource,
                    old=event.before.properties if event.before else None,
                )
                for event in events
            ]
        for one in sent:
            one.result()


def _ask(parts: Parts) -> Unresolved:
    """Add outputs to the template that resolve the values of the resources taken out."""
    unresolved = Unresolved()
    ask, exists = unresolved.questions.ask, unresolved.questions.exists
    for name, machine in parts.machines.items():
        unresolved.machines[name] = ask(machine.substitutions)
        unresolved.roles[name] = ask(parts.template["Resources"][name]["Properties"]["RoleArn"])
    for name, resource in parts.template["Resources"].items():
        if resource["Type"] == "AWS::Lambda::Function":
            group = resource["Properties"].get("LoggingConfig", {}).get("LogGroup", "")
            unresolved.log_groups[name] = ask(group, resource.get("Condition"))
        if resource["Type"] == "AWS::IAM::Role":
            arns = resource["Properties"].pop("ManagedPolicyArns", [])
            unresolved.attached[name] = ask(arns, resource.get("Condition"))
    for name, resource in parts.custom.items():
        condition = resource.get("Condition")
        unresolved.custom[name] = (exists(condition), ask(resource, condition))
    for name, resource in parts.named.items():
        if resource["Type"] in BY_API:
            condition = resource.get("Condition")
            unresolved.by_api[name] = (exists(condition), ask(resource, condition))
    parts.template.setdefault("Outputs", {}).update(unresolved.questions.outputs)
    return unresolved


def _log_groups(
    unresolved: Unresolved, physical: Mapping[str, str], outputs: Mapping[str, str]
) -> dict[str, str]:
    """Return the log groups of functions by their physical names."""
    groups = {name: answer(tree, outputs) for name, tree in unresolved.log_groups.items() if name in physical}
    return {physical[name]: group for name, group in groups.items() if group}


def _packages(parts: Parts) -> list[Path]:
    """Return the layers' folders with a Python package of the project; other packages are installed."""
    folders = sorted(set(parts.code.values()))
    return [folder.resolve() for folder in folders if any(folder.glob("*/__init__.py"))]


def _definition(text: str, values: Mapping[str, Any]) -> str:
    """Return the machine's definition with its `${...}` filled in."""
    for key, value in values.items():
        text = text.replace(f"${{{key}}}", json.dumps(str(value))[1:-1])
    return text


def _public(
    outputs: Mapping[str, str], custom: list[CustomResource], attributes: Mapping[str, Mapping[str, str]]
) -> dict[str, str]:
    """Return the template's own outputs, with custom resources' and nested stacks' attributes filled in."""
    values = {token(item.name, key): value for item in custom for key, value in item.data.items()}
    values |= {
        token(name, key): value for name, answered in attributes.items() for key, value in answered.items()
    }
    values |= {token(item.name, ""): item.physical_id for item in custom}

    def fill(text: str) -> str:
        for placeholder, value in values.items():
            text = text.replace(placeholder, value)
        return text

    return {key: fill(text) for key, text in outputs.items() if not key.startswith(PREFIX)}
