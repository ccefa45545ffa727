"""A nested stack: one of the project's templates, with the parameters that the parent gives it.

moto's CloudFormation creates it as a separate stack, except alarms and `Fn::Cidr`, which it lacks.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any

from local.aws.clients import client
from local.aws.function import ACCOUNT, REGION
from local.aws.questions import PREFIX, Questions, answer, holds
from local.aws.template import STACK_NAME, DeployError, Substitutes, Tree

ALARM = "AWS::CloudWatch::Alarm"
NOT_MADE = frozenset({"AWS::EC2::TransitGatewayAttachment"})  # to a gateway outside the stack


def create(url: str, logical_id: str, properties: Mapping[str, Tree]) -> dict[str, str]:
    """Create the stack of `TemplateBody` and `Parameters`; return its outputs as attributes."""
    given = {key: str(value) for key, value in properties["Parameters"].items()}
    template = divided(json.loads(properties["TemplateBody"]), given)
    alarms = _without(template, {ALARM})
    _without(template, NOT_MADE)
    template = Alarms(alarms, stack(logical_id)).replace(template)
    questions = Questions()
    resolved = {
        name: (
            questions.exists(alarm.get("Condition")),
            questions.ask(alarm["Properties"], alarm.get("Condition")),
        )
        for name, alarm in alarms.items()
    }
    template.setdefault("Outputs", {}).update(questions.outputs)
    outputs = _make(url, logical_id, template, given)
    watch = client("cloudwatch", url)
    for name, (exists, tree) in resolved.items():
        if holds(exists, outputs):
            alarm = answer(tree, outputs)
            watch.put_metric_alarm(
                **{
                    **alarm,
                    "AlarmName": f"{stack(logical_id)}-{name}",
                    "Threshold": float(alarm["Threshold"]),
                }
            )
    return {f"Outputs.{key}": value for key, value in outputs.items() if not key.startswith(PREFIX)}


class Alarms(Substitutes):
    """Values for references to alarms, whose names are known before they are created."""

    def __init__(self, alarms: Mapping[str, Mapping[str, Tree]], prefix: str) -> None:
        super().__init__(alarms, {})
        self._prefix = prefix

    def _value(self, target: str, attribute: str) -> Tree:
        name = f"{self._prefix}-{target}"
        return f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{name}" if attribute == "Arn" else name


def delete(url: str, logical_id: str) -> None:
    """Delete the stack and its alarms."""
    watch = client("cloudwatch", url)
    pages = watch.get_paginator("describe_alarms").paginate(AlarmNamePrefix=f"{stack(logical_id)}-")
    watch.delete_alarms(AlarmNames=[alarm["AlarmName"] for page in pages for alarm in page["MetricAlarms"]])
    api = client("cloudformation", url)
    made = api.list_stack_resources(StackName=stack(logical_id))["StackResourceSummaries"]
    for item in made:
        if item["ResourceType"] == "AWS::EC2::VPC":
            _empty(client("ec2", url), item["PhysicalResourceId"])
    api.delete_stack(StackName=stack(logical_id))


def _empty(ec2: Any, vpc: str) -> None:
    """Delete what moto's CloudFormation leaves in a network, so that the network itself can be deleted."""
    inside = [{"Name": "vpc-id", "Values": [vpc]}]
    endpoints = ec2.describe_vpc_endpoints(Filters=inside)["VpcEndpoints"]
    ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint["VpcEndpointId"] for endpoint in endpoints])
    for gateway in ec2.describe_nat_gateways(Filters=inside)["NatGateways"]:
        ec2.delete_nat_gateway(NatGatewayId=gateway["NatGatewayId"])
    for interface in ec2.describe_network_interfaces(Filters=inside)["NetworkInterfaces"]:
        ec2.delete_network_interface(NetworkInterfaceId=interface["NetworkInterfaceId"])
    attached = [{"Name": "attachment.vpc-id", "Values": [vpc]}]
    for gateway in ec2.describe_internet_gateways(Filters=attached)["InternetGateways"]:
        ec2.detach_internet_gateway(InternetGatewayId=gateway["InternetGatewayId"], VpcId=vpc)
    for table in ec2.describe_route_tables(Filters=inside)["RouteTables"]:
        if not any(association["Main"] for association in table["Associations"]):
            for association in table["Associations"]:
                ec2.disassociate_route_table(AssociationId=association["RouteTableAssociationId"])
            ec2.delete_route_table(RouteTableId=table["RouteTableId"])


def stack(logical_id: str) -> str:
    """Return the name of the resource's stack."""
    return f"{STACK_NAME}-{logical_id}"


def divided(tree: Tree, given: Mapping[str, str]) -> Tree:
    """Return a copy of the tree with `Fn::Cidr` of a parameter's address range evaluated."""
    if isinstance(tree, list):
        return [divided(item, given) for item in tree]
    if not isinstance(tree, dict):
        return tree
    if "Fn::Cidr" in tree:
        whole, count, host_bits = tree["Fn::Cidr"]
        return [str(part) for part in ip_network(given[whole["Ref"]]).subnets(new_prefix=32 - host_bits)][
            :count
        ]
    return {key: divided(value, given) for key, value in tree.items()}


def _without(template: dict[str, Tree], kinds: frozenset[str] | set[str]) -> dict[str, dict[str, Tree]]:
    resources = template["Resources"]
    return {name: resources.pop(name) for name in list(resources) if resources[name]["Type"] in kinds}


def _make(
    url: str, logical_id: str, template: Mapping[str, Tree], given: Mapping[str, str]
) -> dict[str, str]:
    from moto.cloudformation.parsing import get_model_map

    for name, resource in template["Resources"].items():
        if resource["Type"] not in get_model_map():
            raise DeployError(f"{logical_id}, {name}: moto cannot create a {resource['Type']}")
    api = client("cloudformation", url)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        api.create_stack(
            StackName=stack(logical_id),
            TemplateBody=json.dumps(template),
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
            Capabilities=["CAPABILITY_IAM"],
        )
    [made] = api.describe_stacks(StackName=stack(logical_id))["Stacks"]
    if made["StackStatus"] != "CREATE_COMPLETE":
        raise DeployError(f"{logical_id} ended as {made['StackStatus']}: {made.get('StackStatusReason')}")
    outputs: dict[str, Any] = {item["OutputKey"]: item["OutputValue"] for item in made.get("Outputs", [])}
    return outputs
