"""The network that a stack can make, in each of its forms, as CloudFormation's stand-in builds it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from ipaddress import IPv4Network, ip_network
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).parents[2]
HOUSE = yaml_parse((ROOT / "template.yaml").read_text())
PART = yaml_parse((ROOT / "infra/template-network.yaml").read_text())
REGION = "us-east-1"
PLAIN = {
    "Cidr": "10.42.0.0/24",
    "Zones": "",
    "HoldsWarehouse": "false",
    "FixedAddress": "false",
    "TransitGatewayId": "",
    "TransitCidr": "10.0.0.0/8",
    "SourceService": "",
    "SourcePort": "0",
    "LogRetentionDays": "7",
}
# Of what the roles of functions in subnets may call: where no call leaves the function's subnet for it.
BESIDE = {
    "ec2",  # Lambda's own, for its interfaces
    "kms",  # S3's own, with the caller's rights
    "logs",  # Lambda's own
    "redshift",  # the Data API's own, with the caller's rights
    "redshift-serverless",  # the same
}
SERVICES = {
    "s3": "s3",
    "secretsmanager": "secretsmanager",
    "redshift-data": "redshift-data",
    "states": "states",
}


@pytest.fixture
def ec2(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield boto3.client("ec2", region_name=REGION)


def divided(tree: Any, cidr: str) -> Any:
    """Return the tree with `Fn::Cidr`, which the stand-in does not know, put into effect."""
    if isinstance(tree, list):
        return [divided(item, cidr) for item in tree]
    if not isinstance(tree, dict):
        return tree
    if "Fn::Cidr" in tree:
        _, count, host_bits = tree["Fn::Cidr"]
        return [str(part) for part in ip_network(cidr).subnets(new_prefix=32 - host_bits)][:count]
    return {key: divided(value, cidr) for key, value in tree.items()}


def build(**parameters: str) -> dict[str, str]:
    """Build the network and return its outputs."""
    api = boto3.client("cloudformation", region_name=REGION)
    given = [{"ParameterKey": key, "ParameterValue": value} for key, value in {**PLAIN, **parameters}.items()]
    api.create_stack(
        StackName="net",
        TemplateBody=json.dumps(divided(PART, PLAIN["Cidr"])),
        Parameters=given,
        Capabilities=["CAPABILITY_IAM"],
    )
    [stack] = api.describe_stacks(StackName="net")["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    return {item["OutputKey"]: item["OutputValue"] for item in stack["Outputs"]}


def routes(ec2: Any, subnet: str) -> set[str]:
    """Return the addresses that the subnet's table leads to beside the VPC's own.

    Which table that is says the template: the stand-in shows no association that CloudFormation made.
    """
    api = boto3.client("cloudformation", region_name=REGION)
    made = {
        item["LogicalResourceId"]: item.get("PhysicalResourceId", "")
        for item in api.list_stack_resources(StackName="net")["StackResourceSummaries"]
    }
    [table] = [
        item["Properties"]["RouteTableId"]["Ref"]
        for item in PART["Resources"].values()
        if item["Type"] == "AWS::EC2::SubnetRouteTableAssociation"
        and made.get(item["Properties"]["SubnetId"]["Ref"]) == subnet
    ]
    [described] = ec2.describe_route_tables(RouteTableIds=[made[table]])["RouteTables"]
    leading = [route for route in described["Routes"] if route.get("GatewayId") != "local"]
    return {route["DestinationCidrBlock"] for route in leading if "DestinationCidrBlock" in route}


def test_two_private_subnets_in_two_zones_and_no_way_out_but_to_aws(ec2: Any) -> None:
    outputs = build()
    subnets = ec2.describe_subnets(SubnetIds=outputs["SubnetIds"].split(","))["Subnets"]
    assert len({subnet["AvailabilityZone"] for subnet in subnets}) == 2
    assert not any(subnet["MapPublicIpOnLaunch"] for subnet in subnets)
    assert all(IPv4Network(subnet["CidrBlock"]).subnet_of(IPv4Network("10.42.0.0/24")) for subnet in subnets)
    assert [routes(ec2, subnet["SubnetId"]) for subnet in subnets] == [set(), set()]
    vpc = subnets[0]["VpcId"]
    assert ec2.describe_nat_gateways()["NatGateways"] == []
    attached = [{"Name": "attachment.vpc-id", "Values": [vpc]}]
    assert ec2.describe_internet_gateways(Filters=attached)["InternetGateways"] == []
    [log] = ec2.describe_flow_logs()["FlowLogs"]
    assert (log["ResourceId"], log["TrafficType"]) == (vpc, "ALL")
    assert (outputs["FixedAddress"], outputs["SourceHost"]) == ("none", "none")


@pytest.mark.parametrize("zones", ["", "us-east-1d,us-east-1b,us-east-1f"])
def test_the_warehouse_has_three_subnets_in_three_zones_and_nothing_connects_to_it(
    ec2: Any, zones: str
) -> None:
    outputs = build(HoldsWarehouse="true", Zones=zones)
    subnets = ec2.describe_subnets(SubnetIds=outputs["WarehouseSubnetIds"].split(","))["Subnets"]
    subnets.sort(key=lambda subnet: ip_network(subnet["CidrBlock"]))
    in_order = [subnet["AvailabilityZone"] for subnet in subnets]
    first = [zone["ZoneName"] for zone in ec2.describe_availability_zones()["AvailabilityZones"]][:3]
    assert in_order == (zones.split(",") if zones else first)
    ranges = [ip_network(subnet["CidrBlock"]) for subnet in subnets]
    assert not any(a.overlaps(b) for a in ranges for b in ranges if a != b)
    assert all(subnet["AvailableIpAddressCount"] >= 3 for subnet in subnets)
    assert set(outputs["SubnetIds"].split(",")) < {subnet["SubnetId"] for subnet in subnets}
    [group] = ec2.describe_security_groups(GroupIds=[outputs["WarehouseSecurityGroupId"]])["SecurityGroups"]
    assert (group["IpPermissions"], group["VpcId"]) == ([], subnets[0]["VpcId"])


def test_zones_can_be_chosen_and_two_suffice_without_a_warehouse(ec2: Any) -> None:
    outputs = build(Zones="us-east-1c,us-east-1a", FixedAddress="true")
    subnets = ec2.describe_subnets(SubnetIds=outputs["SubnetIds"].split(","))["Subnets"]
    assert {subnet["AvailabilityZone"] for subnet in subnets} == {"us-east-1a", "us-east-1c"}
    assert "WarehouseSubnetIds" not in outputs


def test_every_endpoint_has_a_policy_for_this_account_and_what_its_callers_need() -> None:
    endpoints = {
        name: item["Properties"]["PolicyDocument"]["Statement"]
        for name, item in PART["Resources"].items()
        if item["Type"] == "AWS::EC2::VPCEndpoint" and name != "SourceEndpoint"  # another account's service
    }
    account = {"Ref": "AWS::AccountId"}
    for one in itertools.chain(*endpoints.values()):
        assert one["Condition"]["StringEquals"]["aws:PrincipalAccount"] == account
    assert endpoints["S3Endpoint"][0]["Condition"]["StringEquals"]["aws:ResourceAccount"] == account
    allowed = {action for one in itertools.chain(*endpoints.values()) for action in actions(one)}
    assert {action for action in called_in_subnets() if action.partition(":")[0] not in BESIDE} <= allowed


def test_functions_can_be_called_by_nothing_and_call_aws_and_databases_alone(ec2: Any) -> None:
    outputs = build(SourcePort="15432")
    [group] = ec2.describe_security_groups(GroupIds=[outputs["SecurityGroupId"]])["SecurityGroups"]
    assert group["IpPermissions"] == []
    # The stand-in keeps AWS's own rule for all beside these; CloudFormation does not.
    egress = PART["Resources"]["FunctionGroup"]["Properties"]["SecurityGroupEgress"]
    *always, [condition, other, _] = [rule.get("Fn::If", rule) for rule in egress]
    ports = [(rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) for rule in [*always, other]]
    given = {"Ref": "SourcePort"}
    assert ports == [("tcp", port, port) for port in (443, 5432, 3306, 1433, given)]
    assert condition == "HasSourcePort"


def test_only_functions_call_the_interfaces_of_services(ec2: Any) -> None:
    functions = build()["SecurityGroupId"]
    endpoints = ec2.describe_vpc_endpoints()["VpcEndpoints"]
    interfaces = [one for one in endpoints if one["VpcEndpointType"] == "Interface"]
    groups = [PART["Resources"][name]["Properties"] for name in ("EndpointGroup", "SourceEndpointGroup")]
    assert all(one["PrivateDnsEnabled"] and len(one["SubnetIds"]) == 2 for one in interfaces)
    assert [rule["SourceSecurityGroupId"] for group in groups for rule in group["SecurityGroupIngress"]] == [
        {"Ref": "FunctionGroup"}
    ] * 2
    assert [rule["CidrIp"] for group in groups for rule in group["SecurityGroupEgress"]] == [
        "127.0.0.1/32"
    ] * 2
    assert functions not in {group["GroupId"] for one in interfaces for group in one.get("Groups", [])}


def test_there_is_an_endpoint_for_every_service_that_functions_in_the_subnets_call(ec2: Any) -> None:
    build()
    endpoints = {
        one["ServiceName"].rpartition(".")[2] for one in ec2.describe_vpc_endpoints()["VpcEndpoints"]
    }
    called = {action.partition(":")[0] for action in called_in_subnets()}
    assert {SERVICES[service] for service in called - BESIDE} == endpoints


def called_in_subnets() -> set[str]:
    """Return what the roles of functions in the subnets may call."""
    inside = [
        item["Properties"]["Role"]["Fn::GetAtt"]
        for item in HOUSE["Resources"].values()
        if item["Type"] == "AWS::Serverless::Function" and "VpcConfig" in item["Properties"]
    ]
    roles = [HOUSE["Resources"][first(role)] for role in inside]
    assert len(roles) == 2
    access = HOUSE["Resources"]["WarehouseAccessPolicy"]["Properties"]
    assert access["Roles"] == [{"Ref": "WarehouseRole"}]
    return {
        action
        for policy in [*itertools.chain(*(role["Properties"]["Policies"] for role in roles)), access]
        for one in policy["PolicyDocument"]["Statement"]
        if one["Effect"] == "Allow"
        for action in actions(one)
    }


def actions(statement: dict[str, Any]) -> list[str]:
    action = statement["Action"]
    return [action] if isinstance(action, str) else action


def first(reference: str | list[str]) -> str:
    return reference.partition(".")[0] if isinstance(reference, str) else reference[0]


def test_a_fixed_address_is_a_nat_gateway_that_both_subnets_go_out_by(ec2: Any) -> None:
    outputs = build(FixedAddress="true")
    [gateway] = ec2.describe_nat_gateways()["NatGateways"]
    private = outputs["SubnetIds"].split(",")
    assert gateway["SubnetId"] not in private
    assert [routes(ec2, subnet) for subnet in private] == [{"0.0.0.0/0"}] * 2
    assert routes(ec2, gateway["SubnetId"]) == {"0.0.0.0/0"}
    [address] = ec2.describe_addresses()["Addresses"]
    assert outputs["FixedAddress"] == address["PublicIp"]
    subnets = ec2.describe_subnets(SubnetIds=[*private, gateway["SubnetId"]])["Subnets"]
    ranges = [ip_network(subnet["CidrBlock"]) for subnet in subnets]
    assert not any(a.overlaps(b) for a in ranges for b in ranges if a != b)


def test_a_transit_gateway_is_joined_in_both_subnets_and_leads_to_its_addresses_alone() -> None:
    attachment, route = (PART["Resources"][name] for name in ("TransitAttachment", "TransitRoute"))
    assert attachment["Condition"] == route["Condition"] == "HasTransitGateway"
    assert attachment["Properties"]["SubnetIds"] == [{"Ref": "PrivateSubnetA"}, {"Ref": "PrivateSubnetB"}]
    assert route["DependsOn"] == "TransitAttachment"
    assert route["Properties"] == {
        "RouteTableId": {"Ref": "PrivateRoutes"},
        "DestinationCidrBlock": {"Ref": "TransitCidr"},
        "TransitGatewayId": {"Ref": "TransitGatewayId"},
    }


def test_a_function_is_in_the_network_that_is_made_or_named_or_in_none() -> None:
    created = {
        "SubnetIds": {"Fn::Split": [",", {"Fn::GetAtt": ["NetworkStack", "Outputs.SubnetIds"]}]},
        "SecurityGroupIds": [{"Fn::GetAtt": ["NetworkStack", "Outputs.SecurityGroupId"]}],
    }
    nothing = {"Ref": "AWS::NoValue"}
    groups = {"Fn::Split": [",", {"Ref": "SecurityGroupIds"}]}
    named = {
        "SubnetIds": {"Fn::Split": [",", {"Ref": "SubnetIds"}]},
        "SecurityGroupIds": {"Fn::If": ["HasSecurityGroups", groups, nothing]},
    }
    inside = ["CreatesNetwork", created, {"Fn::If": ["HasSubnets", named, nothing]}]
    for name in ("PlanFunction", "ExtractFunction"):
        assert HOUSE["Resources"][name]["Properties"]["VpcConfig"] == {"Fn::If": inside}, name
    assert HOUSE["Parameters"]["Network"]["Default"] == "none"
    given = HOUSE["Resources"]["NetworkStack"]["Properties"]["Parameters"]
    assert given.keys() == PART["Parameters"].keys() == PLAIN.keys()
