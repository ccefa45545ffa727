"""template.yaml, split into what moto's CloudFormation can create and what is created by other means.

Nothing is left out silently: a resource type that is neither known to moto nor named here fails the
deploy.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from local.aws.function import ACCOUNT, REGION

STACK_NAME = "tributary"
Tree = Any  # JSON as templates carry it: dict, list, str, int, float, bool
CODE = {"AWS::Serverless::Function": "CodeUri", "AWS::Serverless::LayerVersion": "ContentUri"}
ARTIFACTS = "local-artifacts"  # the bucket of empty zips in place of code
# A machine is created a second time by API: CloudFormation's never executes in moto.
PLACEHOLDER = {"StartAt": "Unused", "States": {"Unused": {"Type": "Pass", "End": True}}}
# Types that a stand-in of ours implements, or that do not affect a run: only their names are needed.
LAYER = "AWS::Lambda::LayerVersion"
NAMED_ONLY = frozenset(
    {
        LAYER,
        "AWS::RedshiftServerless::Namespace",
        "AWS::RedshiftServerless::Workgroup",
        "AWS::Redshift::Cluster",
        "AWS::Scheduler::Schedule",
        "AWS::Lambda::EventInvokeConfig",
        "AWS::Budgets::Budget",
        "AWS::CloudTrail::Trail",
        "AWS::SecretsManager::RotationSchedule",
        "AWS::SQS::QueuePolicy",
    }
)
# Types that `by_api` creates.
NESTED = "AWS::CloudFormation::Stack"
BY_API = frozenset(
    {
        NESTED,
        "AWS::Glue::Database",
        "AWS::S3::BucketPolicy",
        "AWS::Scheduler::ScheduleGroup",
        "AWS::SecretsManager::Secret",
        "AWS::SNS::Subscription",
    }
)

# Resources that CloudFormation would name at random are named after the stack here, so that
# events/env.json, a file for calls by hand, can hold the local stack's names.
NAME_PROPERTIES = {
    "AWS::Lambda::Function": "FunctionName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SNS::Topic": "TopicName",
    "AWS::SQS::Queue": "QueueName",
    "AWS::IAM::Role": "RoleName",
}


class DeployError(Exception):
    """The template cannot be deployed here."""


@dataclass(slots=True)
class Machine:
    """A state machine's definition as JSON, and the values to put into its `${...}`."""

    definition: str
    substitutions: Tree


@dataclass(slots=True)
class Parts:
    """A template taken apart, by logical id."""

    template: dict[str, Tree]
    code: dict[str, Path] = field(default_factory=dict)
    artifacts: set[str] = field(default_factory=set)
    machines: dict[str, Machine] = field(default_factory=dict)
    custom: dict[str, dict[str, Tree]] = field(default_factory=dict)
    named: dict[str, dict[str, Tree]] = field(default_factory=dict)


def read(path: Path) -> dict[str, Tree]:
    """Return the template as it is written."""
    return copy.deepcopy(_parsed(path.read_text()))


@lru_cache
def _parsed(text: str) -> dict[str, Tree]:
    from samtranslator.yaml_helper import yaml_parse

    template: dict[str, Tree] = yaml_parse(text)
    return template


def take_apart(path: Path, parameters: Mapping[str, str], folders: Mapping[str, Path] | None = None) -> Parts:
    """Read the template, transform it from SAM, and split it.

    `folders`: code by logical id that is not at the template's path.
    """
    parts = Parts(read(path))
    declared = parts.template.get("Parameters", {})
    for name in parameters:
        if name not in declared:
            raise DeployError(f"the template has no parameter {name}; it has {', '.join(declared)}")
        if fault := parameter_fault(declared[name], parameters[name]):
            raise DeployError(f"Parameter {name} failed to satisfy constraint: {fault}")
    _detach_files(parts, path.parent, folders or {})
    parts.template = _transform(parts.template, parameters)
    resources = parts.template["Resources"]
    for name in list(resources):
        kind = resources[name]["Type"]
        if kind.startswith("Custom::") or kind == "AWS::CloudFormation::CustomResource":
            parts.custom[name] = resources.pop(name)
        elif kind in NAMED_ONLY or kind in BY_API:
            parts.named[name] = resources.pop(name)
        elif kind == "AWS::Lambda::Function":
            resources[name]["Properties"].pop("Layers", None)  # here the layers are folders on its path
    _refuse_unknown(resources)
    _name(resources)
    values = Substitutes(parts.named, parts.custom)
    parts.custom = {name: values.replace(resource) for name, resource in parts.custom.items()}
    parts.template = values.replace(parts.template)
    made = {name: item for name, item in parts.named.items() if item["Type"] in BY_API}
    parts.named |= {name: values.replace(item) for name, item in made.items()}
    for machine in parts.machines.values():
        machine.substitutions = values.replace(machine.substitutions)
    return parts


def parameter_fault(declared: Mapping[str, Tree], value: str) -> str | None:
    """Return which constraint of a parameter the value breaks, None if it breaks none."""
    allowed = [str(one) for one in declared.get("AllowedValues", [])]
    if allowed and value not in allowed:
        return str(declared.get("ConstraintDescription", f"must be one of {', '.join(allowed)}"))
    pattern = declared.get("AllowedPattern")
    if pattern and not re.fullmatch(pattern, value):
        return str(declared.get("ConstraintDescription", f"must match pattern {pattern}"))
    if declared["Type"] != "Number":
        return None
    if not re.fullmatch(r"-?\d+(\.\d+)?", value):
        return "must be a number"
    least, most = declared.get("MinValue", float("-inf")), declared.get("MaxValue", float("inf"))
    return None if least <= float(value) <= most else f"must be from {least} to {most}"


def _detach_files(parts: Parts, root: Path, folders: Mapping[str, Path]) -> None:
    """Take out references to files: code, state machines' definitions, nested stacks' templates.

    SAM names a layer after its content, so other content is another layer; the keys here do the same.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C loader, if there is one, is far faster
    shared = parts.template.get("Globals", {}).get("Function", {})
    for name, resource in parts.template["Resources"].items():
        properties = resource.setdefault("Properties", {})
        if attribute := CODE.get(resource["Type"]):
            folder = folders.get(name) or root / properties.get(attribute, shared.get(attribute, "."))
            parts.code[name] = folder
            key = f"{digest(folder)}.zip" if attribute == "ContentUri" else "empty.zip"
            parts.artifacts.add(key)
            properties[attribute] = {"Bucket": ARTIFACTS, "Key": key}
        elif resource["Type"] == NESTED:
            properties["TemplateBody"] = json.dumps(read(root / properties.pop("TemplateURL")))
        elif resource["Type"] == "AWS::Serverless::StateMachine":
            uri = properties.pop("DefinitionUri", None)
            if not isinstance(uri, str):
                raise DeployError(f"{name}: give the state machine a DefinitionUri, a path in the project")
            text = json.dumps(yaml.load((root / uri).read_text(), loader))
            parts.machines[name] = Machine(text, properties.pop("DefinitionSubstitutions", {}))
            properties["Definition"] = PLACEHOLDER
    shared.pop("CodeUri", None)


def digest(folder: Path) -> str:
    """Return a digest of the files in a folder that are shipped."""
    hasher = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            content = path.read_bytes()
            hasher.update(f"{path.relative_to(folder)}\0{len(content)}\0".encode() + content)
    return hasher.hexdigest()


def _transform(template: dict[str, Tree], parameters: Mapping[str, str]) -> dict[str, Tree]:
    from samtranslator.model.exceptions import InvalidDocumentException
    from samtranslator.translator.transform import transform

    try:
        result: dict[str, Tree] = transform(template, dict(parameters), ManagedPolicies())
    except InvalidDocumentException as error:
        raise DeployError("; ".join(str(cause.message) for cause in error.causes)) from error
    return result


class ManagedPolicies:
    """AWS's managed policies by name, without a call to IAM: every name has the usual ARN."""

    def load(self) -> dict[str, str]:
        """Return the names with their ARNs; SAM takes any other name as an ARN."""
        names = ("AWSLambdaBasicExecutionRole", "AWSLambdaVPCAccessExecutionRole", "AWSXRayDaemonWriteAccess")
        return {name: f"arn:aws:iam::aws:policy/service-role/{name}" for name in names}


def _refuse_unknown(resources: Mapping[str, Mapping[str, Tree]]) -> None:
    from moto.cloudformation.parsing import get_model_map

    for name, resource in resources.items():
        if resource["Type"] not in get_model_map():
            raise DeployError(
                f"{name}: moto cannot create a {resource['Type']}; "
                "add the type to NAMED_ONLY or to BY_API in local/aws/template.py"
            )


def _name(resources: Mapping[str, dict[str, Tree]]) -> None:
    """Give every resource without a name one that is the same in each deploy."""
    for logical_id, resource in resources.items():
        if attribute := NAME_PROPERTIES.get(resource["Type"]):
            name = f"{STACK_NAME}-{logical_id}"
            name = name.lower() if attribute == "BucketName" else name
            resource.setdefault("Properties", {}).setdefault(attribute, name)


class Substitutes:
    """Values for references to resources that CloudFormation does not create here."""

    def __init__(
        self, named: Mapping[str, Mapping[str, Tree]], custom: Mapping[str, Mapping[str, Tree]]
    ) -> None:
        self._named = named
        self._custom = custom

    def replace(self, tree: Tree) -> Tree:
        """Return the tree with every reference to a removed resource replaced by its value."""
        if isinstance(tree, list):
            return [self.replace(item) for item in tree]
        if not isinstance(tree, dict):
            return tree
        target, attribute = _reference(tree)
        if target in self._named or target in self._custom:
            return self._value(target, attribute)
        if "Fn::Sub" in tree:
            return self._replace_in_sub(tree["Fn::Sub"])
        return {key: self._replace_entry(key, value) for key, value in tree.items()}

    def _replace_entry(self, key: str, value: Tree) -> Tree:
        if key != "DependsOn":
            return self.replace(value)
        names = [value] if isinstance(value, str) else value
        return [name for name in names if name not in self._named and name not in self._custom]

    def _replace_in_sub(self, value: Tree) -> Tree:
        text, given = (value, {}) if isinstance(value, str) else value
        variables = {key: self.replace(item) for key, item in given.items()}
        for expression in re.findall(r"\$\{([^!}]+)\}", text):
            target, _, attribute = expression.partition(".")
            if target in self._named or target in self._custom:
                variable = f"Local{len(variables)}"
                text = text.replace(f"${{{expression}}}", f"${{{variable}}}")
                variables[variable] = self._value(target, attribute)
        return {"Fn::Sub": [text, variables] if variables else text}

    def _value(self, target: str, attribute: str) -> Tree:
        if target in self._custom or self._named[target]["Type"] == NESTED:
            return token(target, attribute)
        if self._named[target]["Type"] == "AWS::SecretsManager::Secret":
            return secret_arn(target)
        if attribute == "Workgroup.WorkgroupArn":
            return _workgroup_arn(self.replace(self._named[target]["Properties"]["WorkgroupName"]))
        if self._named[target]["Type"] == LAYER:
            return f"arn:aws:lambda:{REGION}:{ACCOUNT}:layer:{target}:1"  # the id depends on the content
        return self._named_value(target, attribute)

    def _named_value(self, target: str, attribute: str) -> Tree:
        properties = self._named[target].get("Properties", {})
        properties = properties.get("DatabaseInput", properties)  # of Glue: here is the name
        last = attribute.rpartition(".")[2] or _name_property(properties) or "Name"
        if last in properties:
            return self.replace(properties[last])
        if last.endswith(("Arn", "Id")):
            return f"arn:aws:local:{REGION}:{ACCOUNT}:{target}"
        return target.lower()


def _workgroup_arn(name: Tree) -> Tree:
    """Return the ARN of a workgroup of Redshift Serverless; on AWS it ends with an id, here with the name."""
    return {
        "Fn::Sub": [f"arn:aws:redshift-serverless:{REGION}:{ACCOUNT}:workgroup/${{Name}}", {"Name": name}]
    }


def secret_name(logical_id: str) -> str:
    """Return the name of a secret that the template leaves unnamed."""
    return f"{STACK_NAME}-{logical_id}"


def secret_arn(logical_id: str) -> str:
    """Return an ARN that moto resolves to the secret before and after it exists; any suffix works."""
    return f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{secret_name(logical_id)}-Local1"


def token(target: str, attribute: str) -> str:
    """Return a placeholder for an attribute of a custom resource or nested stack."""
    return f"<<custom {target} {attribute}>>"


def _reference(tree: Mapping[str, Tree]) -> tuple[str, str]:
    """Return the resource and the attribute that an intrinsic names; ("", "") for another tree."""
    if isinstance(name := tree.get("Ref"), str):
        return name, ""
    value = tree.get("Fn::GetAtt")
    if isinstance(value, str):
        target, _, attribute = value.partition(".")
        return target, attribute
    return (value[0], ".".join(value[1:])) if value else ("", "")


def _name_property(properties: Mapping[str, Tree]) -> str | None:
    return next((key for key in properties if key == "Name" or key.endswith(("Name", "Identifier"))), None)
