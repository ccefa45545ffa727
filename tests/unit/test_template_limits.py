"""Every resource keeps to its type's schema with the longest names that parameters allow, in any partition.

cfn-lint checks what is written out; here names, references and conditions are resolved first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import regex
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER
from samtranslator.yaml_helper import yaml_parse

from infra.deploy import NAME_AT_MOST
from local.aws.template import parameter_fault
from tests.unit.transformed_template import ROOT, TEMPLATE

REGION = "us-gov-west-1"
LONGEST = {
    "Stage": "s" * 31,
    "SecretPrefix": "p" * 100 + "/",
    "NotifyEmail": "me@" + "e" * 60 + ".com",
    "Network": "create",
    "Database": "d" * 64,
    "MaxRpus": "1024",
    "MonthlyRpuHours": "500",
    "SnapshotRetentionDays": "3653",
    "AdminRotationFunctionArn": f"arn:aws-us-gov:lambda:{REGION}:123456789012:function:{'f' * 64}",
    "FixedAddress": "true",
    "TransitGatewayId": "tgw-0123456789abcdef0",
    "SourceService": f"com.amazonaws.vpce.{REGION}.vpce-svc-0123456789abcdef0",
    "SourcePort": "65535",
    "RawTables": "true",
    "RawDataEvents": "true",
    "MonthlyBudget": "1000000",
}
FORMS = {
    "new warehouse": LONGEST,
    "workgroup": {
        **LONGEST,
        "WorkgroupName": "w" * 64,
        "WorkgroupId": "0" * 8 + "-0000" * 3 + "-" + "0" * 12,
    },
    "cluster": {
        **LONGEST,
        "ClusterIdentifier": "c" * 63,
        "ClusterDbUser": "u" * 63,
        "AdminSecretName": "a" * 512,
    },
}
PSEUDO = {
    "AWS::StackName": "Acme-" + "S" * (NAME_AT_MOST - 5),
    "AWS::Region": REGION,
    "AWS::Partition": "aws-us-gov",
    "AWS::AccountId": "123456789012",
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::StackId": "arn:aws-us-gov:cloudformation:x",
}
NOTHING = object()


class Guess(str):
    """A text with a part that only a deploy knows: as long as it may be, and of no known form."""


class Resolver:
    """Resolves a template's functions for the given parameters."""

    def __init__(self, template: Mapping[str, Any], given: Mapping[str, str]) -> None:
        self.template = template
        declared = template["Parameters"].items()
        self.values = {**{name: str(item.get("Default", "")) for name, item in declared}, **PSEUDO, **given}

    def resources(self) -> dict[str, Any]:
        """Return the resources that exist, resolved."""
        return {
            name: {**item, "Properties": self.value(item.get("Properties", {}))}
            for name, item in self.template["Resources"].items()
            if "Condition" not in item or self.holds({"Condition": item["Condition"]})
        }

    def holds(self, rule: Any) -> bool:
        [(function, value)] = rule.items()
        if function == "Condition":
            return self.holds(self.template["Conditions"][value])
        if function == "Fn::Not":
            return not self.holds(value[0])
        if function == "Fn::Equals":
            return str(self.value(value[0])) == str(self.value(value[1]))
        return {"Fn::And": all, "Fn::Or": any}[function](self.holds(one) for one in value)

    def value(self, tree: Any) -> Any:
        if isinstance(tree, list):
            return [item for item in map(self.value, tree) if item is not NOTHING]
        if not isinstance(tree, dict):
            return tree
        if len(tree) == 1 and (name := next(iter(tree))) in FUNCTIONS:
            return FUNCTIONS[name](self, tree[name])
        pairs = ((key, self.value(item)) for key, item in tree.items())
        return {key: item for key, item in pairs if item is not NOTHING}

    def ref(self, name: str) -> Any:
        return NOTHING if name == "AWS::NoValue" else self.values.get(name, Guess("r" * 63))

    def sub(self, value: Any) -> str:
        text, own = value if isinstance(value, list) else (value, {})
        if text.startswith("{{resolve:"):
            return Guess("a secret")
        given = {name: self.value(item) for name, item in own.items()}
        guessed = False

        def filled(match: re.Match[str]) -> str:
            nonlocal guessed
            name = match[1]
            part = given.get(name) or (Guess("a" * 160) if "." in name else self.ref(name))
            guessed = guessed or isinstance(part, Guess)
            return str(part)

        text = re.sub(r"\$\{([^!}][^}]*)\}", filled, text).replace("${!", "${")
        return Guess(text) if guessed else text

    def join(self, value: Any) -> str:
        parts = self.value(value[1])
        return self._like(parts, value[0].join(map(str, parts)))

    def chosen(self, value: Any) -> Any:
        condition, then, otherwise = value
        return self.value(then if self.holds({"Condition": condition}) else otherwise)

    def split(self, value: Any) -> list[Any]:
        text = self.value(value[1])
        return [self._like([text], part) for part in str(text).split(value[0])]

    @staticmethod
    def _like(parts: list[Any], text: str) -> str:
        return Guess(text) if any(isinstance(part, Guess) for part in parts) else text


FUNCTIONS: dict[str, Any] = {
    "Ref": Resolver.ref,
    "Fn::Sub": Resolver.sub,
    "Fn::If": Resolver.chosen,
    "Fn::Join": Resolver.join,
    "Fn::Split": Resolver.split,
    "Fn::GetAtt": lambda self, value: Guess("a" * 160),
    "Fn::Select": lambda self, value: Guess("selected"),
    "Fn::GetAZs": lambda self, value: [Guess("zone")],
    "Fn::Cidr": lambda self, value: [Guess("10.0.0.0/26")],
}


def stacks(given: Mapping[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the resources of the stack and of those nested in it, by a name."""
    outer = Resolver(TEMPLATE, given).resources()
    yield "template.yaml", outer
    for item in outer.values():
        if item["Type"] == "AWS::CloudFormation::Stack":
            path = item["Properties"]["TemplateURL"]
            template = yaml_parse((ROOT / path).read_text())
            values = {name: str(value) for name, value in item["Properties"]["Parameters"].items()}
            known = {name: Guess(value) if "a" * 160 in value else value for name, value in values.items()}
            yield path, Resolver(template, known).resources()


def faults(shape: Mapping[str, Any], definitions: Mapping[str, Any], value: Any, place: str) -> Iterator[str]:
    """Yield what a type's schema refuses of a value."""
    while "$ref" in shape:
        shape = definitions[shape["$ref"].rpartition("/")[2]]
    if isinstance(value, dict):
        for name, item in value.items():
            inside = shape.get("properties", {}).get(name)
            if inside:
                yield from faults(inside, definitions, item, f"{place}.{name}")
    elif isinstance(value, list):
        if len(value) > shape.get("maxItems", len(value)) or len(value) < shape.get("minItems", 0):
            yield f"{place} has {len(value)} items"
        for index, item in enumerate(value):
            yield from faults(shape.get("items", {}), definitions, item, f"{place}.{index}")
    elif isinstance(value, str):
        yield from text_faults(shape, value, place)
    number = int(value) if re.fullmatch(r"\d+", str(value)) else None
    if number is not None and not shape.get("minimum", 0) <= number <= shape.get("maximum", number):
        yield f"{place} is {value}"


def text_faults(shape: Mapping[str, Any], value: str, place: str) -> Iterator[str]:
    if len(value) > shape.get("maxLength", len(value)):
        yield f"{place} has {len(value)} characters, and {shape['maxLength']} are allowed"
    if isinstance(value, Guess) or shape.get("type") != "string":
        return
    if len(value) < shape.get("minLength", 0):
        yield f"{place} is too short"
    if "pattern" in shape and not regex.search(shape["pattern"], value):
        yield f"{place} is {value[:60]!r}, which does not match {shape['pattern']}"
    if "enum" in shape and value not in shape["enum"]:
        yield f"{place} is {value!r}, which is none of {shape['enum']}"


@pytest.mark.parametrize("form", FORMS)
def test_every_property_keeps_to_its_schema_with_the_longest_names(form: str) -> None:
    assert [
        name for name, value in FORMS[form].items() if parameter_fault(TEMPLATE["Parameters"][name], value)
    ] == []
    refused, checked = list[str](), 0
    for file, resources in stacks(FORMS[form]):
        for name, item in resources.items():
            if item["Type"].startswith("Custom::"):
                continue
            schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", item["Type"]).schema
            refused += faults(schema, schema.get("definitions", {}), item["Properties"], f"{file} {name}")
            checked += 1
    assert refused == []
    assert checked > 80


POLICIES_AT_MOST = {  # characters without blanks (IAM and STS quotas; S3, KMS and SQS: sizes of policies)
    ("AWS::IAM::Role", "Policies"): 10_240,
    ("AWS::IAM::Role", "AssumeRolePolicyDocument"): 2_048,
    ("AWS::IAM::ManagedPolicy", "PolicyDocument"): 6_144,
    ("AWS::IAM::Policy", "PolicyDocument"): 6_144,
    ("AWS::S3::BucketPolicy", "PolicyDocument"): 20_480,
    ("AWS::KMS::Key", "KeyPolicy"): 32_768,
    ("AWS::SQS::QueuePolicy", "PolicyDocument"): 8_192,
}


@pytest.mark.parametrize("form", FORMS)
def test_every_policy_fits(form: str) -> None:
    too_long = []
    for _, resources in stacks(FORMS[form]):
        inline: dict[str, int] = {}
        for name, item in resources.items():
            for (kind, member), most in POLICIES_AT_MOST.items():
                if kind == item["Type"] and member in item["Properties"]:
                    size = len(json.dumps(item["Properties"][member], separators=(",", ":")))
                    if size > most:
                        too_long.append(f"{name}.{member}: {size}")
                    inline[name] = inline.get(name, 0) + size
    assert too_long == []


@pytest.mark.parametrize("form", FORMS)
def test_every_functions_variables_fit_into_four_kilobytes(form: str) -> None:
    [(_, resources), *_] = stacks(FORMS[form])
    for name, item in resources.items():
        if item["Type"] == "AWS::Lambda::Function":
            variables = item["Properties"]["Environment"]["Variables"]
            assert sum(len(key) + len(str(value)) for key, value in variables.items()) < 4_096, name


def test_no_arn_names_a_partition() -> None:
    texts = [
        ROOT / "template.yaml",
        *(ROOT / "infra").glob("*.yaml"),
        *(ROOT / "statemachine").glob("*.yaml"),
    ]
    assert [path.name for path in texts if re.search(r"\barn:aws\b(?!-)", path.read_text())] == []
