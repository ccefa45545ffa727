"""Deploy the project's own template.yaml as far as moto goes, and make the rest by other means.

The template stays the truth: names, environments, time-outs and conditions are CloudFormation's
answers. What could not be done stops the deploy; nothing is skipped in silence. A deploy over a
standing one updates it, and one that fails leaves it as it was.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import by_api
from .clients import client
from .custom import CustomResource, CustomResources, Request
from .function import REGION, Function
from .lambdas import Lambda
from .moto_stack import MotoStack
from .questions import PREFIX, Question, Questions, answer, holds
from .template import BY_API, DeployError, Parts, Tree, digest, take_apart, token

EVERY_FUNCTION = "*"


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployed stack: its outputs, and each function's physical name by logical id.

    `asked` says which events its custom resources were sent, in words.
    """

    outputs: dict[str, str]
    functions: dict[str, str]
    asked: tuple[str, ...]


@dataclass(slots=True)
class Asked:
    """What CloudFormation is asked for the parts that it does not make."""

    questions: Questions = field(default_factory=Questions)
    machines: dict[str, Tree] = field(default_factory=dict)
    roles: dict[str, Tree] = field(default_factory=dict)
    custom: dict[str, tuple[Question, Tree]] = field(default_factory=dict)
    by_api: dict[str, tuple[Question, Tree]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a deploy was told: the template in parts, and what is laid over its functions."""

    parts: Parts
    asked: Asked
    parameters: Mapping[str, str]
    environment: Mapping[str, Mapping[str, str]]
    overlay: Mapping[str, str]


@dataclass(slots=True)
class Standing:
    """What stands: physical names of functions, definitions by ARN, the resources made otherwise."""

    wanted: Wanted
    public: dict[str, str] = field(default_factory=dict)
    functions: dict[str, str] = field(default_factory=dict)
    machines: set[str] = field(default_factory=set)
    by_api: dict[str, dict[str, Any]] = field(default_factory=dict)
    custom: dict[str, CustomResource] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Event:
    """What a custom resource is told; `before`: what stood where it is an update."""

    kind: Request
    resource: CustomResource
    before: CustomResource | None = None

    def undone(self) -> Event:
        """Return the event by which CloudFormation takes this one back."""
        if self.before is None:
            return Event("Delete", self.resource)
        return Event("Update", self.before, self.resource)


class Deployer:
    """Deploys templates to one gateway. `environment` is laid over every function's own."""

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
        self._code: dict[str, Path] = {}  # task root by physical name
        self._attributes: dict[str, Mapping[str, str]] = {}  # of what is made by API, as far as asked for
        self._standing: Standing | None = None
        self._deleted = False

    def deploy(
        self,
        template: Path,
        *,
        parameters: Mapping[str, str] | None = None,
        environment: Mapping[str, Mapping[str, str]] | None = None,
        folders: Mapping[str, Path] | None = None,
        overlay: Mapping[str, str] | None = None,
    ) -> Deployment:
        """Deploy the template, or update what stands to it; raises DeployError, and all is as it was.

        `environment`: variables by the function's logical id, or EVERY_FUNCTION, over the template's own.
        `folders`: code by logical id that lies elsewhere than the template says. `overlay`: other values of
        variables that a function has, which no API shows.
        """
        os.environ.setdefault("AWS_DEFAULT_REGION", REGION)
        parts = take_apart(template, parameters or {}, folders)
        wanted = Wanted(parts, _ask(parts), parameters or {}, environment or {}, overlay or {})
        if self._deleted:
            raise DeployError("the stack was deleted, and what it retained has its names; start a new one")
        if self._standing is None:
            return self._create(wanted)
        return self._update(self._standing, wanted)

    def delete(self) -> None:
        """Take everything away but what the template retains; raises DeployError where nothing stands."""
        standing = self._stands()
        self._send([Event("Delete", resource) for resource in standing.custom.values()])
        self._moto.delete()
        self._leave(standing, Standing(standing.wanted))
        self._standing, self._deleted = None, True

    def refresh(self, name: str) -> None:
        """Take over what Lambda's API says of a function: after an update from outside."""
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
            )
        )

    def _stands(self) -> Standing:
        if self._standing is None:
            raise DeployError("nothing is deployed")
        return self._standing

    def _create(self, wanted: Wanted) -> Deployment:
        new = Standing(wanted)
        outputs = self._moto.create(wanted.parts, wanted.parameters)
        self._make(new, outputs, there={})
        events = self._events(new, Standing(wanted), outputs)
        self._send(events)
        return self._settle(new, outputs, events)

    def _update(self, old: Standing, wanted: Wanted) -> Deployment:
        new, events = Standing(wanted), list[Event]()
        try:
            outputs = self._moto.update(wanted.parts, wanted.parameters)
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

    def _settle(self, new: Standing, outputs: Mapping[str, str], events: list[Event]) -> Deployment:
        new.public = _public(outputs, list(new.custom.values()), self._attributes)
        self._moto.show(new.wanted.parts, new.wanted.parameters, new.public)
        self._standing = new
        sent = tuple(f"{event.resource.name}: {event.kind}" for event in events)
        return Deployment(new.public, new.functions, sent)

    def _roll_back(self, old: Standing, new: Standing, events: list[Event], error: Exception) -> None:
        """Bring back what stood, in CloudFormation's order: functions before custom resources."""
        again = Standing(old.wanted)
        try:
            outputs = self._moto.update(old.wanted.parts, old.wanted.parameters)
            self._make(again, outputs, there={**old.by_api, **new.by_api})
            self._send([event.undone() for event in events])
            self._leave(new, again)
            self._moto.show(old.wanted.parts, old.wanted.parameters, old.public)
        except Exception as failure:
            raise DeployError(f"{error}; and what stood could not be brought back: {failure}") from error

    def _leave(self, old: Standing, new: Standing) -> None:
        """Take away what stands in the old alone."""
        for name in old.by_api.keys() - new.by_api.keys():
            by_api.delete(self._url, name, old.by_api[name])
        states = client("stepfunctions", self._url)
        for arn in old.machines - new.machines:
            states.delete_state_machine(stateMachineArn=arn)
        for name in set(old.functions.values()) - set(new.functions.values()):
            self._functions.remove(name)
            self._code.pop(name, None)

    def _make(self, new: Standing, outputs: Mapping[str, str], *, there: Mapping[str, Any]) -> None:
        """Make all but the custom resources, or bring it to what is wanted."""
        self._overlay, self._packages = dict(new.wanted.overlay), _packages(new.wanted.parts)
        physical = self._moto.resources(new.wanted.parts.template)
        self._deploy_functions(new, physical)
        for name, (exists, tree) in new.wanted.asked.by_api.items():
            if holds(exists, outputs):
                new.by_api[name] = answer(tree, outputs)
                if name not in there:
                    self._attributes[name] = by_api.create(self._url, name, new.by_api[name])
                elif there[name] != new.by_api[name]:
                    self._attributes[name] = by_api.update(self._url, name, new.by_api[name])
        self._make_machines(new, physical, outputs)

    def _deploy_functions(self, new: Standing, physical: Mapping[str, str]) -> None:
        parts, environment = new.wanted.parts, new.wanted.environment
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

    def _make_machines(self, new: Standing, physical: Mapping[str, str], outputs: Mapping[str, str]) -> None:
        """Create each machine by API under the name that CloudFormation gave it: the same ARN."""
        states = client("stepfunctions", self._url)
        there = {machine["stateMachineArn"] for machine in states.list_state_machines()["stateMachines"]}
        for name, machine in new.wanted.parts.machines.items():
            arn, asked = physical[name], new.wanted.asked
            fields = {
                "definition": _definition(machine.definition, answer(asked.machines[name], outputs)),
                "roleArn": answer(asked.roles[name], outputs),
            }
            new.machines.add(arn)
            if arn in there:
                states.update_state_machine(stateMachineArn=arn, **fields)
                continue
            made = states.create_state_machine(name=arn.rpartition(":")[2], type="STANDARD", **fields)
            if made["stateMachineArn"] != arn:
                raise DeployError(f"{name} became {made['stateMachineArn']} and not {arn}")

    def _events(self, new: Standing, old: Standing, outputs: Mapping[str, str]) -> list[Event]:
        """Return what the custom resources are to be told: of their creation, or that they changed."""
        events = []
        for name, (exists, tree) in new.wanted.asked.custom.items():
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
        """Send the events, at once as CloudFormation may; raises the first failure when all have ended."""
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


def _definition(text: str, values: Mapping[str, Any]) -> str:
    """Return the machine's definition with its `${...}` filled in."""
    for key, value in values.items():
        text = text.replace(f"${{{key}}}", json.dumps(str(value))[1:-1])
    return text


def _public(
    outputs: Mapping[str, str], custom: list[CustomResource], attributes: Mapping[str, Mapping[str, str]]
) -> dict[str, str]:
    """Return the template's own outputs, with what custom resources and nested stacks answered put in."""
    values = {token(item.name, key): value for item in custom for key, value in item.data.items()}
    values |= {token(name, key): value for name, told in attributes.items() for key, value in told.items()}
    values |= {token(item.name, ""): item.physical_id for item in custom}

    def fill(text: str) -> str:
        for placeholder, value in values.items():
            text = text.replace(placeholder, value)
        return text

    return {key: fill(text) for key, text in outputs.items() if not key.startswith(PREFIX)}
