"""The stack that moto's CloudFormation creates, updates, shows and deletes."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from moto.kms.models import Key

from local.aws.clients import client
from local.aws.template import ARTIFACTS, STACK_NAME, DeployError, Parts, Tree

CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]


class MotoStack:
    """The one stack behind an endpoint."""

    def __init__(self, url: str) -> None:
        self._url = url
        vars_of_key: Any = Key
        vars_of_key.update_from_cloudformation_json = staticmethod(_update_key)

    def create(self, parts: Parts, parameters: Mapping[str, str]) -> dict[str, str]:
        """Create the stack and return all its outputs."""
        with self._artifacts(parts.artifacts), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # `resources` finds what moto did not create
            self._api.create_stack(Capabilities=CAPABILITIES, **_given(parts.template, parameters))
        return self._outputs("CREATE_COMPLETE")

    def update(self, parts: Parts, parameters: Mapping[str, str]) -> dict[str, str]:
        """Update the stack to another template and return all its outputs."""
        with self._artifacts(parts.artifacts):
            given = _given(parts.template, parameters)
            self._api.update_stack(Capabilities=CAPABILITIES, **given)
        return self._outputs("UPDATE_COMPLETE")

    def show(self, parts: Parts, parameters: Mapping[str, str], outputs: Mapping[str, str]) -> None:
        """Show only the outputs that AWS would show, without the added ones."""
        shown = {key: {"Value": value} for key, value in outputs.items()}
        given = _given({**parts.template, "Outputs": shown}, parameters)
        self._api.update_stack(StackName=STACK_NAME, TemplateBody=given["TemplateBody"])

    def resources(self, template: Mapping[str, Tree]) -> dict[str, str]:
        """Return physical ids by logical id; raises DeployError if moto left a resource out."""
        pages = self._api.get_paginator("list_stack_resources").paginate(StackName=STACK_NAME)
        made = {
            item["LogicalResourceId"]: item.get("PhysicalResourceId", "")
            for page in pages
            for item in page["StackResourceSummaries"]
        }
        wanted = {name for name, item in template["Resources"].items() if "Condition" not in item}
        if missing := sorted(wanted - set(made)):
            raise DeployError(f"moto did not create {', '.join(missing)}")
        return made

    def delete(self) -> None:
        """Delete the stack and its resources, except those that the template retains."""
        self._api.delete_stack(StackName=STACK_NAME)

    def roll_back_creation(self, parts: Parts, parameters: Mapping[str, str]) -> None:
        """Delete the stack that was not created to its end, also what it would retain later."""
        given = _given(parts.template, parameters, retained="Delete")
        self._api.update_stack(Capabilities=CAPABILITIES, **given)
        self._api.delete_stack(StackName=STACK_NAME)

    @property
    def _api(self) -> Any:
        return client("cloudformation", self._url)

    def _outputs(self, expected: str) -> dict[str, str]:
        stack = self._api.describe_stacks(StackName=STACK_NAME)["Stacks"][0]
        if stack["StackStatus"] != expected:
            raise DeployError(f"the stack ended as {stack['StackStatus']}: {stack.get('StackStatusReason')}")
        return {item["OutputKey"]: item["OutputValue"] for item in stack.get("Outputs", [])}

    @contextmanager
    def _artifacts(self, keys: Iterable[str]) -> Iterator[None]:
        """Provide empty zips in place of code for the block; the code itself runs from its folder."""
        empty = io.BytesIO()
        with zipfile.ZipFile(empty, "w") as archive:
            archive.writestr("empty", "")
        s3, keys = client("s3", self._url), sorted(keys)
        s3.create_bucket(Bucket=ARTIFACTS)
        for key in keys:
            s3.put_object(Bucket=ARTIFACTS, Key=key, Body=empty.getvalue())
        try:
            yield
        finally:
            for key in keys:
                s3.delete_object(Bucket=ARTIFACTS, Key=key)
            s3.delete_bucket(Bucket=ARTIFACTS)


def _update_key(original_resource: Key, cloudformation_json: Any, **_: Any) -> Key:
    """Update a KMS key of a stack; moto's own CloudFormation loses a key whose resource changes."""
    original_resource.policy = cloudformation_json["Properties"]["KeyPolicy"]
    return original_resource


def _policies(template: Mapping[str, Tree], retained: str) -> dict[str, Tree]:
    """Return the template with that policy instead of `RetainExceptOnCreate`, which moto does not know."""
    resources = {
        name: {**item, "DeletionPolicy": retained}
        if item.get("DeletionPolicy") == "RetainExceptOnCreate"
        else item
        for name, item in template["Resources"].items()
    }
    return {**template, "Resources": resources}


def _given(
    template: Mapping[str, Tree], parameters: Mapping[str, str], retained: str = "Retain"
) -> dict[str, Any]:
    """Return the call's arguments. Defaults are included, or moto would not see a change back to one."""
    declared = template.get("Parameters", {})
    defaults = {name: str(item["Default"]) for name, item in declared.items() if "Default" in item}
    values = {**defaults, **parameters}
    return {
        "StackName": STACK_NAME,
        "TemplateBody": json.dumps(_marked(_policies(template, retained), values)),
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()],
    }


def _marked(template: Mapping[str, Tree], values: Mapping[str, str]) -> dict[str, Tree]:
    """Return the template with the parameters' values in its functions' metadata.

    moto re-evaluates what refers to a changed parameter by name, but not through a condition.
    """
    resources = {
        name: {**item, "Metadata": {"Parameters": dict(values)}}
        if item["Type"] == "AWS::Lambda::Function"
        else item
        for name, item in template["Resources"].items()
    }
    return {**template, "Resources": resources}
