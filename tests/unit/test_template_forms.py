"""The template in each form that its parameters give it: what is there, and what refers to what."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.transformed_template import TEMPLATE

NOTHING = {"Ref": "AWS::NoValue"}
NETWORKS = {
    "none": {"Network": "none"},
    "create": {"Network": "create"},
    "existing": {"Network": "existing", "SubnetIds": "subnet-1,subnet-2", "SecurityGroupIds": "sg-1"},
}
WAREHOUSES: dict[str, dict[str, str]] = {
    "new": {},
    "workgroup": {"WorkgroupName": "shared"},
    "cluster": {"ClusterIdentifier": "old", "AdminSecretName": "admin"},
}
OPTIONS = {  # all that a parameter may add
    "SnapshotRetentionDays": "7",
    "AdminRotationFunctionArn": "arn:aws:lambda:eu-west-1:123456789012:function:rotate",
    "RawDataEvents": "true",
    "MonthlyBudget": "100",
    "NotifyEmail": "me@example.com",
    "MaxRpus": "64",
    "RawRetentionDays": "30",
    "RawTables": "true",
    "MonthlyRpuHours": "500",
}
ADDED = {"Snapshots", "SnapshotRole", "AdminSecretRotation", "RawTrail", "Budget", "AlertEmail"}
ADDED |= {"RawDatabase", "RawTablesPolicy", "UsageLimit"}
FORMS = [
    pytest.param({**network, **warehouse, **options}, id="-".join(names))
    for *names, network, warehouse, options in (
        (a, b, c, NETWORKS[a], WAREHOUSES[b], OPTIONS if c == "all" else {})
        for a, b, c in itertools.product(NETWORKS, WAREHOUSES, ("plain", "all"))
    )
]


class Form:
    """The template with its conditions decided. `resources` and `outputs` are those that exist."""

    def __init__(self, given: dict[str, str]) -> None:
        defaults = {name: str(item.get("Default", "")) for name, item in TEMPLATE["Parameters"].items()}
        self._values = {**defaults, **given}
        self.resources: dict[str, Any] = self._existing(TEMPLATE["Resources"])
        self.outputs: dict[str, Any] = self._existing(TEMPLATE["Outputs"])

    def broken_rules(self) -> set[str]:
        return {
            name
            for name, rule in TEMPLATE["Rules"].items()
            if self._holds(rule["RuleCondition"])
            and not all(self._holds(one["Assert"]) for one in rule["Assertions"])
        }

    def _existing(self, items: dict[str, Any]) -> dict[str, Any]:
        return {
            name: self._decided(item)
            for name, item in items.items()
            if "Condition" not in item or self._holds({"Condition": item["Condition"]})
        }

    def _holds(self, rule: Any) -> bool:
        [(function, value)] = rule.items()
        if function == "Condition":
            return self._holds(TEMPLATE["Conditions"][value])
        if function == "Fn::Not":
            return not self._holds(value[0])
        if function == "Fn::Equals":
            first, second = (self._text(side) for side in value)
            return first == second
        return {"Fn::And": all, "Fn::Or": any}[function](self._holds(one) for one in value)

    def _text(self, side: Any) -> str:
        if not isinstance(side, dict):
            return str(side)
        return self._values[side["Ref"]]

    def _decided(self, tree: Any) -> Any:
        if isinstance(tree, list):
            return [item for item in map(self._decided, tree) if item != NOTHING]
        if not isinstance(tree, dict):
            return tree
        if "Fn::If" in tree:
            condition, then, otherwise = tree["Fn::If"]
            return self._decided(then if self._holds({"Condition": condition}) else otherwise)
        decided = {key: self._decided(value) for key, value in tree.items()}
        return {key: value for key, value in decided.items() if value != NOTHING}


def named(tree: Any) -> Iterator[str]:
    """Yield every resource and parameter that the tree refers to."""
    if isinstance(tree, list):
        for item in tree:
            yield from named(item)
    elif isinstance(tree, dict):
        for key, value in tree.items():
            if key == "Ref":
                yield value
            elif key == "Fn::GetAtt":
                yield value[0] if isinstance(value, list) else value.partition(".")[0]
            elif key == "DependsOn":
                yield from [value] if isinstance(value, str) else value
            elif key == "Fn::Sub":
                text, own = value if isinstance(value, list) else (value, {})
                yield from set(re.findall(r"\$\{([A-Za-z0-9]+)[.}]", text)) - own.keys()
                yield from named(own)
            else:
                yield from named(value)


@pytest.mark.parametrize("given", FORMS)
def test_what_exists_refers_to_nothing_that_does_not(given: dict[str, str]) -> None:
    form = Form(given)
    there = {*form.resources, *TEMPLATE["Parameters"]}
    wanted = {name for name in named([form.resources, form.outputs]) if not name.startswith("AWS::")}
    assert wanted - there == set()


@pytest.mark.parametrize(("network", "inside"), [("none", 0), ("create", 2), ("existing", 2)])
def test_the_functions_that_speak_to_sources_and_no_others_are_in_the_network(
    network: str, inside: int
) -> None:
    resources = Form(NETWORKS[network]).resources
    functions = {
        name: item["Properties"]
        for name, item in resources.items()
        if item["Type"] == "AWS::Lambda::Function" and "VpcConfig" in item["Properties"]
    }
    assert sorted(functions) == ["ExtractFunction", "PlanFunction"][:inside]
    assert ("VpcAccess" in resources) == bool(inside)
    assert ("NetworkStack" in resources) == (network == "create")
    for function in functions.values():
        role = resources[function["Role"]["Fn::GetAtt"][0]]["Properties"]
        assert {"Ref": "VpcAccess"} in role["ManagedPolicyArns"]
    others = {
        name
        for name, item in resources.items()
        if item["Type"] == "AWS::IAM::Role"
        and {"Ref": "VpcAccess"} in item["Properties"].get("ManagedPolicyArns", [])
    }
    assert len(others) == inside


OWN_VPC = {"WarehouseSubnetIds": "subnet-1,subnet-2,subnet-3", "WarehouseSecurityGroupIds": "sg-1"}


@pytest.mark.parametrize(
    ("given", "subnets", "groups"),
    [
        ({}, None, None),
        (OWN_VPC, "WarehouseSubnetIds", "WarehouseSecurityGroupIds"),
        ({**OWN_VPC, "Network": "create"}, "WarehouseSubnetIds", "WarehouseSecurityGroupIds"),
        ({"Network": "create"}, "Outputs.WarehouseSubnetIds", "Outputs.WarehouseSecurityGroupId"),
    ],
)
def test_a_new_warehouse_is_in_the_subnets_that_are_given_or_created_or_in_the_default_vpc(
    given: dict[str, str], subnets: str | None, groups: str | None
) -> None:
    resources = Form(given).resources
    properties = resources["Workgroup"]["Properties"]
    for key, expected in (("SubnetIds", subnets), ("SecurityGroupIds", groups)):
        assert (key in properties) == bool(expected)
        assert expected is None or expected in json.dumps(properties[key])
    if given.get("Network") == "create":
        holds = resources["NetworkStack"]["Properties"]["Parameters"]["HoldsWarehouse"]
        assert holds == ("true" if len(given) == 1 else "false")


@pytest.mark.parametrize(
    ("given", "broken"),
    [
        ({}, set()),
        ({"Network": "create"}, set()),
        (NETWORKS["existing"], set()),
        ({"Network": "existing"}, {"ExistingNetworkIsNamed"}),
        ({"Network": "existing", "SubnetIds": "subnet-1"}, {"ExistingNetworkIsNamed"}),
        ({"SubnetIds": "subnet-1"}, {"SubnetsAreNotForgotten"}),
        (OWN_VPC, set()),
        (
            {**OWN_VPC, "WorkgroupName": "shared", "WorkgroupId": "an-id"},
            {"WarehouseSubnetsAreOfANewWarehouse"},
        ),
        ({"WarehouseSecurityGroupIds": "sg-1"}, {"WarehouseSecurityGroupsHaveSubnets"}),
        ({"MonthlyBudget": "5"}, {"BudgetHasAReader"}),
        ({"WorkgroupName": "shared"}, {"WorkgroupHasItsId"}),
        ({"WorkgroupName": "shared", "WorkgroupId": "an-id"}, set()),
    ],
)
def test_a_rule_rejects_parameters_that_do_not_fit_together(given: dict[str, str], broken: set[str]) -> None:
    assert Form(given).broken_rules() == broken


def test_no_rule_looks_into_a_list_which_may_be_empty() -> None:
    assert "EachMember" not in json.dumps(TEMPLATE["Rules"])
    lists = [name for name, item in TEMPLATE["Parameters"].items() if "List" in item["Type"]]
    assert lists == []


@pytest.mark.parametrize("network", NETWORKS)
def test_a_warehouse_that_was_named_gets_neither_a_new_one_nor_what_belongs_to_one(network: str) -> None:
    new = Form({**NETWORKS[network], **OPTIONS}).resources
    own = {"Namespace", "Workgroup", "AdminSecret", "AdminSecretRotation", "Snapshots", "SnapshotRole"}
    assert own <= new.keys()
    for name in ("workgroup", "cluster"):
        named_one = Form({**NETWORKS[network], **WAREHOUSES[name], **OPTIONS}).resources
        assert not own & named_one.keys(), name


@pytest.mark.parametrize("network", NETWORKS)
def test_what_a_parameter_may_add_is_left_out_by_default(network: str) -> None:
    plain, full = Form(NETWORKS[network]), Form({**NETWORKS[network], **OPTIONS})
    assert full.resources.keys() - plain.resources.keys() == ADDED
    assert plain.resources.keys() <= full.resources.keys()
    rules = full.resources["RawBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    assert [rule["Status"] for rule in rules if rule["Id"] in ("raw-layer", "runs")] == ["Enabled"] * 2
    assert "cold" in {
        rule["Id"] for rule in plain.resources["RawBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    }
    assert full.resources["Workgroup"]["Properties"]["MaxCapacity"] == {"Ref": "MaxRpus"}
    assert "MaxCapacity" not in plain.resources["Workgroup"]["Properties"]
