"""The template, as SAM transforms it, keeps the promises that no linter knows of."""

from __future__ import annotations

import importlib
import json
import re
import tomllib
from collections.abc import Iterator
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.model import StructureShape
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER
from moto.events.models import EventPattern
from policy_sentry.querying.actions import get_action_data
from pydantic import BaseModel
from samtranslator.yaml_helper import yaml_parse

from local.aws.template import parameter_fault
from statemachine import check
from tests.unit.transformed_template import TEMPLATE
from tributary import __version__
from tributary.model.plan import AccessEvent
from tributary.planning import checkpoint
from tributary.planning.execution_input import ExecutionInput
from tributary.redshift import control, external_tables
from tributary.reporting.execution_end import ReportEvent
from tributary.stack import custom_resource
from tributary.stack.pause import PauseRequest, PauseTarget
from tributary.storage import object_keys

ROOT = Path(__file__).parents[2]
SOURCE = yaml_parse((ROOT / "template.yaml").read_text())
TRUST = {"sts:AssumeRole"}  # in a role's trust, which names no resource
# A function in subnets is refused without these on all resources (AWSLambdaVPCAccessExecutionRole).
LAMBDAS_OWN = {
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:UnassignPrivateIpAddresses",
}
READ_BY_LIBRARIES = {  # Powertools, Pydantic and botocore
    "AWS_ENDPOINT_URL",
    "PYDANTIC_DISABLE_PLUGINS",
    "LOG_LEVEL",
    "POWERTOOLS_METRICS_NAMESPACE",
    "POWERTOOLS_SERVICE_NAME",
}
FUNCTIONS = ("plan", "extract", "load", "report", "schedules", "warehouse", "access")
CUSTOM = ("schedules", "warehouse")


RESOURCES: dict[str, dict[str, Any]] = TEMPLATE["Resources"]
PARTS = {
    path.name: yaml_parse(path.read_text())["Resources"]
    for path in sorted((ROOT / "infra").glob("template-*.yaml"))
}
EVERYWHERE = {"template.yaml": RESOURCES, **PARTS}  # every policy of the house and of its parts


def of_type(kind: str) -> dict[str, dict[str, Any]]:
    return {name: item["Properties"] for name, item in RESOURCES.items() if item["Type"] == kind}


def function(name: str) -> dict[str, Any]:
    return of_type("AWS::Lambda::Function")[f"{name.title()}Function"]


def statements(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield every policy statement, at any depth."""
    if isinstance(tree, list):
        for item in tree:
            yield from statements(item)
    elif isinstance(tree, dict):
        if "Effect" in tree:
            yield tree
        for value in tree.values():
            yield from statements(value)


def actions(statement: dict[str, Any]) -> list[str]:
    action = statement["Action"]
    return [action] if isinstance(action, str) else action


def test_nothing_is_allowed_by_a_wildcard_action():
    allowed = [one for one in statements(list(EVERYWHERE.values())) if one["Effect"] == "Allow"]
    assert [action for one in allowed for action in actions(one) if "*" in action] == []


def test_every_action_is_one_that_aws_knows():
    every = statements(list(EVERYWHERE.values()))
    allowed = {action for one in every if one["Effect"] == "Allow" for action in actions(one)}
    assert {action for action in allowed - TRUST if not get_action_data(*action.split(":"))} == set()


def test_only_actions_that_take_no_resource_are_allowed_on_all():
    keys = of_type("AWS::KMS::Key")  # whose policies mean the key itself by *
    others = {name: item for name, item in RESOURCES.items() if name not in keys}
    everywhere = [
        one
        for one in statements([others, *PARTS.values()])
        if one["Effect"] == "Allow" and one.get("Resource") == "*"
    ]
    on_all = {action for one in everywhere for action in actions(one)}
    assert {action for action in on_all - LAMBDAS_OWN if resources_of(action)} == set()


def resources_of(action: str) -> set[str]:
    """Return the ARN formats that the action can be held to, by AWS's service authorization reference."""
    service, _, name = action.partition(":")
    rows = get_action_data(service, name)[service]
    return {row["resource_arn_format"] for row in rows if row["resource_arn_format"] != "*"}


def test_every_parameter_is_in_one_group_and_in_its_order():
    groups = SOURCE["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    assert [name for group in groups for name in group["Parameters"]] == list(SOURCE["Parameters"])
    text = (ROOT / "template.yaml").read_text()
    headings = re.findall(r"  # ---- (.*) ----\n", text.partition("\nRules:")[0])
    labels = [group["Label"]["default"] for group in groups]
    assert [heading.partition(" (")[0] for heading in headings] == [one.partition(" (")[0] for one in labels]


def test_every_role_is_written_in_the_template():
    written = {name for name, item in SOURCE["Resources"].items() if item["Type"] == "AWS::IAM::Role"}
    assert set(of_type("AWS::IAM::Role")) == written
    for name, properties in of_type("AWS::Lambda::Function").items():
        assert properties["Role"]["Fn::GetAtt"][0] in written, name


def test_only_plan_and_load_share_a_role_since_the_warehouse_must_see_one_caller():
    roles = {name: function(name)["Role"]["Fn::GetAtt"][0] for name in FUNCTIONS}
    assert roles.pop("plan") == roles.pop("load") == "WarehouseRole"
    assert len(set(roles.values())) == len(roles)
    assert "WarehouseRole" not in roles.values()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_ends_within_lambdas_limit(name: str):
    timeout = function(name)["Timeout"]
    if timeout == {"Ref": "ExtractTimeout"}:
        timeout = TEMPLATE["Parameters"]["ExtractTimeout"]["MaxValue"]
    assert timeout <= 900


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_carries_at_most_five_layers_and_ours_first(name: str):
    layers = [layer["Ref"] for layer in function(name)["Layers"]]
    assert len(layers) <= 5
    assert [re.sub(r"[0-9a-f]{10}$", "", layer) for layer in layers[:2]] == ["TributaryLayer", "RuntimeLayer"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_logs_into_a_group_of_its_own(name: str):
    assert function(name)["LoggingConfig"] == {
        "LogFormat": "JSON",
        "LogGroup": {"Ref": f"{name.title()}LogGroup"},
    }


def test_every_log_group_forgets():
    groups = of_type("AWS::Logs::LogGroup")
    assert len(groups) == len(FUNCTIONS) + 1
    assert all(group["RetentionInDays"] == {"Ref": "LogRetentionDays"} for group in groups.values())


def test_chunks_outlive_the_run_that_carries_them_on():
    longest = checkpoint.RESUMED_FOR + timedelta(seconds=check.read()["TimeoutSeconds"])
    allowed = re.compile(TEMPLATE["Parameters"]["RawRetentionDays"]["AllowedPattern"])
    days = [day for day in range(400) if allowed.fullmatch(str(day))]
    assert days == [0, *range(longest.days + 1, 400)]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_variable_that_a_function_reads_is_declared_and_every_declared_one_is_read(name: str):
    declared = function(name)["Environment"]["Variables"].keys()
    code = (ROOT / "functions" / name / "app.py").read_text()
    read = re.findall(r"from (tributary\.environment\.\w+) import (\w+Environment)", code)
    models = [getattr(importlib.import_module(module), model) for module, model in read]
    assert set().union(*(model.variables() for model in models)) == declared - READ_BY_LIBRARIES


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_its_memory_and_extract_a_whole_processor(name: str):
    a_processor = 1769  # MB of a function that has one vCPU (Lambda, "Configure memory")
    memory = function(name)["MemorySize"]
    assert memory >= a_processor if name == "extract" else 512 <= memory < a_processor


def test_two_chunks_of_the_largest_size_find_room_in_extracts_tmp():
    largest = TEMPLATE["Parameters"]["ChunkSizeBytes"]["MaxValue"]
    room = function("extract")["EphemeralStorage"]["Size"] * 1024 * 1024
    assert room >= 3 * largest  # a chunk ends with its row group, and so a little late


def test_every_function_can_be_pointed_elsewhere_and_is_not():
    for name in FUNCTIONS:
        assert function(name)["Environment"]["Variables"]["AWS_ENDPOINT_URL"] == ""


def test_the_state_machine_gets_what_its_definition_asks_for():
    machine = SOURCE["Resources"]["StateMachine"]["Properties"]
    assert (ROOT / machine["DefinitionUri"]) == check.DEFINITION
    assert set(machine["DefinitionSubstitutions"]) == check.substitutions()
    [called] = [
        one for one in statements(RESOURCES["StateMachineRole"]) if "lambda:InvokeFunction" in actions(one)
    ]
    given = dict(machine["DefinitionSubstitutions"])
    assert given.pop("Partition") == {"Ref": "AWS::Partition"}
    assert called["Resource"] == list(given.values())


def test_an_execution_is_logged_without_its_data():
    [machine] = of_type("AWS::StepFunctions::StateMachine").values()
    assert machine["LoggingConfiguration"]["IncludeExecutionData"] is False
    assert machine["LoggingConfiguration"]["Level"] == "ERROR"
    assert machine["StateMachineType"] == "STANDARD"


def test_buckets_are_closed_take_only_tls_and_are_kept():
    policies = of_type("AWS::S3::BucketPolicy").values()
    tls_only = {
        policy["Bucket"]["Ref"]
        for policy in policies
        for one in statements(policy)
        if one["Effect"] == "Deny"
        and (one["Principal"], one["Action"]) == ("*", "s3:*")
        and one["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    }
    assert tls_only == set(of_type("AWS::S3::Bucket")) == {"RawBucket", "AccessLogBucket"}
    for name in tls_only:
        bucket = RESOURCES[name]
        assert bucket["DeletionPolicy"] == "RetainExceptOnCreate"
        assert set(bucket["Properties"]["PublicAccessBlockConfiguration"].values()) == {True}


def test_the_raw_layer_is_encrypted_by_the_stacks_key_versioned_and_its_readers_are_logged():
    bucket = RESOURCES["RawBucket"]["Properties"]
    assert bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"] == [
        {
            "ServerSideEncryptionByDefault": {
                "SSEAlgorithm": "aws:kms",
                "KMSMasterKeyID": {"Fn::GetAtt": ["DataKey", "Arn"]},
            },
            "BucketKeyEnabled": True,
        }
    ]
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    logging = bucket["LoggingConfiguration"]
    assert logging["DestinationBucketName"] == {"Ref": "AccessLogBucket"}
    [deliver] = [
        one
        for one in statements(RESOURCES["AccessLogBucketPolicy"])
        if one["Principal"] == {"Service": "logging.s3.amazonaws.com"}
    ]
    assert deliver["Resource"] == {"Fn::Sub": f"${{AccessLogBucket.Arn}}/{logging['LogFilePrefix']}*"}


def test_cloudtrail_records_the_raw_layers_objects_alone_where_it_is_asked_to_and_may_write_them():
    trail = RESOURCES["RawTrail"]
    name = trail["Properties"]["TrailName"]
    assert (trail["Condition"], name) == ("RecordsDataEvents", {"Ref": "AWS::StackName"})
    assert TEMPLATE["Parameters"]["RawDataEvents"]["Default"] == "false"
    [selector] = trail["Properties"]["AdvancedEventSelectors"]
    assert {one["Field"]: one.get("StartsWith", one.get("Equals")) for one in selector["FieldSelectors"]} == {
        "eventCategory": ["Data"],
        "resources.type": ["AWS::S3::Object"],
        "resources.ARN": [{"Fn::Sub": "${RawBucket.Arn}/"}],
    }
    trails = [
        one
        for one in statements(RESOURCES["AccessLogBucketPolicy"])
        if one["Principal"] == {"Service": "cloudtrail.amazonaws.com"}
    ]
    assert [one["Action"] for one in trails] == ["s3:GetBucketAcl", "s3:PutObject"]
    folder = trail["Properties"]["S3KeyPrefix"]
    assert trails[1]["Resource"]["Fn::Sub"].startswith(f"${{AccessLogBucket.Arn}}/{folder}/AWSLogs/")
    only = {json.dumps(one["Condition"]["StringEquals"]["aws:SourceArn"]) for one in trails}
    assert len(only) == 1
    assert ":trail/${AWS::StackName}" in only.pop()


def test_a_daily_snapshot_is_taken_of_this_warehouse_where_it_is_to_be_kept():
    snapshots, role = RESOURCES["Snapshots"], RESOURCES["SnapshotRole"]
    assert snapshots["Condition"] == role["Condition"] == "TakesSnapshots"
    target = snapshots["Properties"]["Target"]
    assert target["Arn"]["Fn::Sub"].endswith(":aws-sdk:redshiftserverless:createSnapshot")
    given = json.loads(re.sub(r"\$\{[A-Za-z]+\}", "7", target["Input"]["Fn::Sub"]))
    api = botocore.session.get_session().get_service_model("redshift-serverless")
    shape = api.operation_model("CreateSnapshot").input_shape
    assert isinstance(shape, StructureShape)
    # Scheduler takes an API's members in PascalCase, whatever their case in the API.
    assert given.keys() <= {name[0].upper() + name[1:] for name in shape.members}
    assert {"NamespaceName", "SnapshotName", "RetentionPeriod"} == given.keys()
    assert given["RetentionPeriod"] == 7
    [take] = [one for one in statements(role["Properties"]["Policies"]) if "CreateSnapshot" in one["Action"]]
    assert take["Resource"][0] == {"Fn::GetAtt": ["Namespace", "Namespace.NamespaceArn"]}


def test_the_administrators_secret_may_have_a_key_of_its_own_which_is_used_for_that_secret_alone():
    statement = RESOURCES["AdminSecretPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    condition, _, [read, decrypt] = statement["Fn::If"]
    assert condition == "MakesWarehouse"
    assert decrypt["Action"] == "kms:Decrypt"
    assert "secretsmanager." in json.dumps(decrypt["Condition"]["StringEquals"]["kms:ViaService"])
    assert decrypt["Condition"]["ArnLike"] == {
        "kms:EncryptionContext:SecretARN": read["Resource"],
    }


# Redshift, "IAM policies for Amazon Redshift Spectrum": the actions of its Data Catalog policy.
SPECTRUM = {
    *(
        f"glue:{verb}{thing}"
        for thing in ("Table", "Partition")
        for verb in ("Create", "Delete", "Update", "Get")
    ),
    *("glue:GetTables", "glue:GetPartitions", "glue:BatchDeleteTable", "glue:GetDatabase"),
    *(f"glue:Batch{verb}Partition" for verb in ("Create", "Delete", "Get")),
}


def test_only_the_pipelines_user_may_copy_with_the_stacks_role_and_no_user_gets_it_by_default():
    assert "DefaultIamRoleArn" not in RESOURCES["Namespace"]["Properties"]
    condition, restricted, _ = RESOURCES["CopyRole"]["Properties"]["AssumeRolePolicyDocument"]["Fn::If"]
    assert condition == "RestrictsCopyRole"
    [trust] = restricted["Statement"]
    has_cluster, cluster, serverless = trust["Condition"]["StringLike"]["sts:ExternalId"]["Fn::If"]
    user = ":redshift:${AWS::Region}:${AWS::AccountId}:dbuser:"
    assert has_cluster == "HasCluster"
    assert cluster["Fn::Sub"].endswith(f"{user}${{ClusterIdentifier}}/${{ClusterDbUser}}")
    assert serverless["Fn::Sub"].endswith(f"{user}serverless-${{AWS::AccountId}}-*/IAMR:${{WarehouseRole}}")
    loader = RESOURCES["WarehouseSetup"]["Properties"]["Loader"]["Fn::If"]
    assert loader == ["HasCluster", {"Ref": "ClusterDbUser"}, {"Fn::Sub": "IAMR:${WarehouseRole}"}]


def test_no_role_may_use_every_workgroup_of_the_account():
    assert "workgroup/*" not in json.dumps(RESOURCES)


def test_a_stack_reads_secrets_under_its_prefix_alone_whatever_else_allows_it():
    for name in ("WarehouseRole", "ExtractRole"):
        [read, deny] = [
            one for one in statements(RESOURCES[name]) if "secretsmanager:GetSecretValue" in actions(one)
        ]
        assert read["Resource"] == deny["NotResource"]
        assert read["Resource"]["Fn::Sub"].endswith(":secret:${SecretPrefix}*")
        assert (read["Effect"], deny["Effect"]) == ("Allow", "Deny")
        [decrypt] = [one for one in statements(RESOURCES[name]) if one.get("Sid") == "DecryptSourceSecrets"]
        assert decrypt["Condition"]["ArnLike"] == {"kms:EncryptionContext:SecretARN": read["Resource"]}


def test_each_stage_of_samconfig_has_its_own_secrets():
    prefixes = []
    for name, stage in tomllib.loads((ROOT / "samconfig.toml").read_text()).items():
        if name != "version":
            given = dict(
                pair.split("=") for pair in stage["deploy"]["parameters"]["parameter_overrides"].split()
            )
            prefixes.append(given.get("SecretPrefix", TEMPLATE["Parameters"]["SecretPrefix"]["Default"]))
    assert sorted(prefixes) == ["tributary-dev/", "tributary-prod/", "tributary/"]
    assert not any(a != b and a.startswith(b) for a in prefixes for b in prefixes)


@pytest.mark.parametrize(
    ("name", "allowed"),
    [("", True), ("warehouse/admin", True), ("tributary/admin", False), ("tributary-dev/admin", False)],
)
def test_an_administrators_secret_is_not_where_sources_secrets_are(name: str, *, allowed: bool):
    pattern = TEMPLATE["Parameters"]["AdminSecretName"]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, name)) == allowed


@pytest.mark.parametrize(
    ("name", "taken", "refused"),
    [
        ("BaseRpus", "544", "10"),
        ("BaseRpus", "4", "520"),
        ("NotifyEmail", "me@example.com", "me at example"),
        ("WorkgroupName", "etl-1", "Etl"),
        ("ClusterIdentifier", "etl-1", "1etl"),
        ("Database", "warehouse", "Warehouse"),
        ("ClusterDbUser", "tributary_loader", 'x" CREATEUSER'),
        (
            "AdminSecretName",
            "redshift!etl-admin",
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:x-abcdef",
        ),
        ("AdminRotationFunctionArn", "arn:aws:lambda:eu-west-1:123456789012:function:rotate", "rotate"),
        ("NetworkCidr", "10.0.0.0/16", "10.0.0.0/28"),
        ("TransitGatewayId", "tgw-0a1b", "tgw"),
        ("TransitCidr", "10.0.0.0/8", "10.0.0.0"),
        ("SourceService", "com.amazonaws.vpce.eu-west-1.vpce-svc-0a1b", "vpce-svc-0a1b"),
        ("SecretPrefix", "tributary-dev/", "tributary-dev"),
        ("Stage", "prod", "Prod"),
        ("SnapshotRetentionDays", "3653", "3654"),
        ("MaxExtractions", "1", "none"),
    ],
)
def test_a_parameter_that_aws_would_refuse_is_refused_before_anything_is_created(
    name: str, taken: str, refused: str
):
    declared = TEMPLATE["Parameters"][name]
    assert parameter_fault(declared, taken) is None
    assert parameter_fault(declared, refused) is not None


def test_every_text_parameter_says_what_it_takes_and_takes_its_default():
    for name, declared in TEMPLATE["Parameters"].items():
        assert parameter_fault(declared, str(declared["Default"])) is None, name
        assert declared["Type"] != "String" or {"AllowedPattern", "AllowedValues"} & declared.keys(), name


def test_chunks_are_snappy_which_copys_page_names():
    declared = TEMPLATE["Parameters"]["ChunkCodec"]
    assert (declared["Default"], declared["AllowedValues"]) == ("snappy", ["snappy", "zstd"])


def test_no_schedule_starts_a_run_before_the_warehouse_is_prepared_for_it():
    assert {"WarehouseSetup", "WarehouseAccessPolicy", "StateMachine"} <= needed_by("Schedules")


def test_spectrum_may_do_all_with_our_external_tables_that_aws_lists():
    [keep] = RESOURCES["RawTablesPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert set(keep["Action"]) == SPECTRUM


def test_the_administrators_secret_is_rotated_by_the_function_that_is_given_and_not_during_a_deploy():
    rotation = RESOURCES["AdminSecretRotation"]
    assert rotation["Condition"] == "RotatesAdminSecret"
    assert rotation["Properties"]["RotationLambdaARN"] == {"Ref": "AdminRotationFunctionArn"}
    assert rotation["Properties"]["RotateImmediatelyOnUpdate"] is False


def test_what_holds_data_outlives_the_stack_but_not_a_first_deploy_that_failed():
    retained = {name: item for name, item in RESOURCES.items() if "Retain" in item.get("DeletionPolicy", "")}
    assert set(retained) == {"RawBucket", "AccessLogBucket", "DataKey", "Namespace", "AdminSecret"}
    assert {item["DeletionPolicy"] for item in retained.values()} == {"RetainExceptOnCreate"}
    assert {item["UpdateReplacePolicy"] for item in retained.values()} == {"Retain"}


def test_keys_rotate():
    assert all(key["EnableKeyRotation"] is True for key in of_type("AWS::KMS::Key").values())


def test_who_may_read_or_write_the_raw_layer_may_use_its_key_for_that_and_nobody_else():
    for name, role in of_type("AWS::IAM::Role").items():
        objects, key = set(), set()
        for one in statements(role["Policies"]):
            where = json.dumps(one.get("Resource"))
            objects |= set(actions(one)) if "${RawBucket.Arn}/" in where else set()
            key |= set(actions(one)) if "DataKey" in where else set()
        wanted = {"kms:Decrypt"} if "s3:GetObject" in objects else set()
        wanted |= {"kms:GenerateDataKey"} if "s3:PutObject" in objects else set()
        assert key == wanted, name


def test_extract_writes_chunks_and_results_and_a_deny_keeps_it_from_all_else():
    extract = list(statements(RESOURCES["ExtractRole"]["Properties"]["Policies"]))
    writing = [one for one in extract if "s3:PutObject" in actions(one)]
    allowed, denied = sorted(writing, key=lambda one: str(one["Effect"]))
    assert (allowed["Effect"], denied["Effect"]) == ("Allow", "Deny")
    assert denied["NotResource"] == allowed["Resource"]
    assert set(actions(allowed)) <= set(actions(denied))
    patterns = [one["Fn::Sub"].removeprefix("${RawBucket.Arn}/") for one in allowed["Resource"]]

    def may_write(key: str) -> bool:
        return any(fnmatchcase(key, pattern) for pattern in patterns)

    run, prefix = "20261123_233901", object_keys.chunk_prefix("shop", "20261123_233901", ("orders",), "0")
    unusual = object_keys.chunk_prefix("shop", run, ("company", "orders"), "0")
    assert may_write(object_keys.chunk(prefix, 1))
    assert may_write(object_keys.chunk(unusual, 1))
    assert may_write(object_keys.result("shop", run, 3))
    assert may_write(object_keys.result("shop", run, 3, 1))
    others = [object_keys.lease("shop"), object_keys.plan("shop", run), object_keys.ledger("shop", run)]
    others += [object_keys.item(object_keys.run("shop", run), 0), object_keys.report("shop", run)]
    others += [object_keys.manifest("shop", run, "orders"), object_keys.source_health("shop")]
    assert not [key for key in others if may_write(key)]


def test_what_decides_rights_comes_from_the_environment_and_not_from_an_event():
    for name in FUNCTIONS:
        code = (ROOT / "functions" / name / "app.py").read_text()
        assert not re.search(r"properties(\[|\.get)", code), name
        assert not {"RequestType", "ResourceProperties"} & set(re.findall(r"\w+", code)) or name in CUSTOM


def test_no_function_of_a_run_may_call_the_one_that_prepares_the_warehouse():
    setup = {"Fn::GetAtt": ["WarehouseFunction", "Arn"]}
    for name in of_type("AWS::IAM::Role"):
        for one in statements(RESOURCES[name]):
            if "lambda:InvokeFunction" in actions(one):
                assert setup not in one["Resource"], name


def test_no_service_may_call_a_function_but_eventbridge_report_for_this_stacks_ends():
    permissions = list(of_type("AWS::Lambda::Permission").values())
    assert permissions == [
        {
            "FunctionName": {"Ref": "ReportFunction"},
            "Action": "lambda:InvokeFunction",
            "Principal": "events.amazonaws.com",
            "SourceArn": {"Fn::GetAtt": ["UnreportedEnds", "Arn"]},
        }
    ]


def test_no_lifecycle_rule_touches_leases_but_what_they_overwrote():
    rules = RESOURCES["RawBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    always = [rule for rule in rules if "Id" in rule]
    [[condition, cold, nothing]] = [rule["Fn::If"] for rule in rules if "Id" not in rule]
    assert (condition, nothing) == ("GoesCold", {"Ref": "AWS::NoValue"})
    touching = {"ExpirationInDays", "Transitions"}
    assert [
        (rule.get("Prefix"), rule.get("TagFilters")) for rule in [*always, cold] if touching & rule.keys()
    ] == [
        (None, [{"Key": "layer", "Value": "raw"}]),
        ("_runs/", None),
        (None, [{"Key": "layer", "Value": "raw"}]),
    ]
    overwritten = [rule for rule in always if "NoncurrentVersionExpiration" in rule]
    assert [rule["NoncurrentVersionExpiration"]["NoncurrentDays"] for rule in overwritten] == [30]


def test_the_warehouses_logs_hold_no_statement():
    assert RESOURCES["Namespace"]["Properties"]["LogExports"] == ["connectionlog", "userlog"]


def test_every_environment_gives_all_of_its_stack_the_tag_that_the_budget_counts():
    budget = RESOURCES["Budget"]["Properties"]["Budget"]
    [counted] = budget["CostFilters"]["TagKeyValue"]
    prefix, stack_name = counted["Fn::Join"][1]
    [tag] = re.findall(r"^user:([a-z-]+)\$$", prefix)
    assert stack_name == {"Ref": "AWS::StackName"}
    for name, stage in tomllib.loads((ROOT / "samconfig.toml").read_text()).items():
        if name != "version":
            stack = stage["global"]["parameters"]["stack_name"]
            assert stage["deploy"]["parameters"]["tags"] == f"{tag}={stack}"


def test_every_resource_that_aws_can_tag_gets_the_stacks_tags():
    """CloudFormation gives a stack's tags to what it makes and can tag, in nested stacks too."""
    types = {item["Type"] for part in EVERYWHERE.values() for item in part.values()}
    own = {kind for kind in types if kind.startswith("Custom::")}
    tagging = {
        kind: PROVIDER_SCHEMA_MANAGER.get_resource_schema("eu-west-1", kind).schema.get("tagging", {})
        for kind in types - own
    }
    untaggable = {kind for kind, schema in tagging.items() if not schema.get("taggable")}
    assert untaggable == {  # rights, ties and settings, which cost nothing, and what is in a tagged group
        "AWS::EC2::Route",
        "AWS::EC2::SubnetRouteTableAssociation",
        "AWS::EC2::VPCGatewayAttachment",
        "AWS::Glue::Database",
        "AWS::IAM::ManagedPolicy",
        "AWS::IAM::Policy",
        "AWS::Lambda::EventInvokeConfig",
        "AWS::Lambda::LayerVersion",
        "AWS::Lambda::Permission",
        "AWS::S3::BucketPolicy",
        "AWS::SNS::Subscription",
        "AWS::SQS::QueuePolicy",
        "AWS::Scheduler::Schedule",
        "AWS::SecretsManager::RotationSchedule",
    }
    assert [kind for kind in types - own - untaggable if not tagging[kind]["tagOnCreate"]] == []


def test_old_layers_go_with_the_update_that_replaces_them():
    layers = [item for item in RESOURCES.values() if item["Type"] == "AWS::Lambda::LayerVersion"]
    assert [layer["DeletionPolicy"] for layer in layers] == ["Delete"] * 5


def test_a_custom_resource_that_hangs_is_given_up():
    custom = [item["Properties"] for item in RESOURCES.values() if item["Type"].startswith("Custom::")]
    assert {properties["ServiceTimeout"] for properties in custom} == {300}


@pytest.mark.parametrize("name", CUSTOM)
def test_a_custom_resources_function_can_answer_before_it_is_given_up(name: str):
    properties = function(name)
    assert properties["Timeout"] + custom_resource.SPARE_S < 300
    assert "VpcConfig" not in properties  # its answer must get out


def test_the_schedules_are_looked_at_whenever_a_file_or_our_code_is_another_one():
    properties = RESOURCES["Schedules"]["Properties"]
    layers = {name: kind["Ref"] for name, kind in properties.items() if name.endswith("Layer")}
    assert {re.sub(r"[0-9a-f]{10}$", "", ref) for ref in layers.values()} == set(layers)
    assert set(layers) == {"SourcesLayer", "TributaryLayer"}
    assert [layer["Ref"] for layer in function("schedules")["Layers"]] == [
        layers["TributaryLayer"],
        function("plan")["Layers"][1]["Ref"],
        layers["SourcesLayer"],
    ]
    assert function("schedules")["Environment"]["Variables"]["SOURCES_DIR"] == "/opt"


def test_plan_gets_the_source_files_after_they_were_found_to_be_valid():
    """Runs go on during a deploy, and a deploy that is refused must not have shown them its files."""
    check = RESOURCES["SourcesCheck"]["Properties"]
    layers = {kind["Ref"] for name, kind in check.items() if name.endswith("Layer")}
    with_files = {
        name
        for name, item in of_type("AWS::Lambda::Function").items()
        if layers <= {one["Ref"] for one in item["Layers"]}
    }
    assert with_files >= {"PlanFunction", "SchedulesFunction"}
    assert RESOURCES["PlanFunction"]["DependsOn"] == "SourcesCheck"
    assert check["ServiceToken"] == {"Fn::GetAtt": ["SchedulesFunction", "Arn"]}
    assert not needed_by("SchedulesFunction") & {"PlanFunction", "StateMachine", "SourcesCheck"}


def needed_by(name: str) -> set[str]:
    """Return the resources that CloudFormation creates or updates before this one."""
    needed: set[str] = set()
    waiting = [name]
    while waiting:
        text = json.dumps(RESOURCES[waiting.pop()])
        named = {other for other in RESOURCES if re.search(rf'"{other}"|\$\{{{other}[.}}]', text)} - needed
        needed |= named
        waiting += named
    return needed


def test_only_schedules_of_the_stacks_group_may_start_runs_and_of_its_machine_alone():
    role = RESOURCES["SchedulerRole"]["Properties"]
    [trust] = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "scheduler.amazonaws.com"}
    assert trust["Condition"]["StringEquals"] == {
        "aws:SourceAccount": {"Ref": "AWS::AccountId"},
        "aws:SourceArn": {"Fn::GetAtt": ["ScheduleGroup", "Arn"]},
    }
    [start] = [one for one in statements(role) if "states:StartExecution" in actions(one)]
    name = SOURCE["Resources"]["StateMachine"]["Properties"]["Name"]
    assert name == {"Ref": "AWS::StackName"}
    assert start["Resource"]["Fn::Sub"].endswith(":stateMachine:${AWS::StackName}")


def test_the_schedules_function_hands_over_that_role_to_scheduler_and_no_other():
    [handed] = [one for one in statements(RESOURCES["SchedulesRole"]) if "iam:PassRole" in actions(one)]
    assert handed["Resource"] == {"Fn::GetAtt": ["SchedulerRole", "Arn"]}
    assert handed["Condition"] == {"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}}
    passing = [one for one in statements(RESOURCES) if "iam:PassRole" in actions(one)]
    assert passing == [handed]


def test_only_the_schedules_function_writes_schedules():
    for name, role in of_type("AWS::IAM::Role").items():
        held = {action for one in statements(role) for action in actions(one)}
        assert ("scheduler:UpdateSchedule" in held) == (name == "SchedulesRole"), name


def test_the_version_is_one():
    assert TEMPLATE["Outputs"]["Version"]["Value"] == __version__
    assert RESOURCES["WarehouseSetup"]["Properties"]["Version"] == __version__


def test_the_sql_for_an_administrator_is_what_the_setup_would_run():
    text, values = TEMPLATE["Outputs"]["WarehouseSql"]["Value"]["Fn::Sub"]
    loader = "${Loader}"
    expected = [f'CREATE USER "{loader}" PASSWORD DISABLE', *control.create()]
    assert text == "".join(f"{one};\n" for one in [*expected, *control.grant(loader, "${Database}")])
    assert values["Loader"] == RESOURCES["WarehouseSetup"]["Properties"]["Loader"]

    text, values = TEMPLATE["Outputs"]["RawTablesSql"]["Value"]["Fn::Sub"]
    schema = external_tables.create_schema("${RawDatabase}", "${RawDatabase}", "${CopyRole.Arn}")
    assert text == f"{schema};\n{external_tables.own_schema('${RawDatabase}', loader)};\n"
    assert values["Loader"] == RESOURCES["WarehouseSetup"]["Properties"]["Loader"]


@pytest.mark.parametrize("name", ["backfill", "replay"])
def test_the_input_of_an_execution_is_one_that_plan_takes(name: str):
    written = json.loads((ROOT / "events" / f"{name}.json").read_text())
    event = ExecutionInput.parse({**written, "execution_arn": "arn", "started_at": "now"})
    assert event.request.read_request is not None
    assert event.request.read_request.what == {"backfill": "window", "replay": "replay"}[name]


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("plan", ExecutionInput),
        ("extract", importlib.import_module("functions.extract.app").ExtractEvent),
        ("load", importlib.import_module("functions.load.app").LoadEvent),
        ("report", ReportEvent),
    ],
)
def test_the_event_of_a_function_is_one_that_it_takes(name: str, model: type[BaseModel]):
    model.model_validate(json.loads((ROOT / "events" / f"{name}.json").read_text()))


@pytest.mark.parametrize(
    ("status", "error", "matches"),
    [
        ("ABORTED", None, True),
        ("ABORTED", "by hand", True),
        ("TIMED_OUT", "States.Timeout", True),
        ("FAILED", "States.DataLimitExceeded", True),
        ("FAILED", "StorageUnavailable", True),
        ("FAILED", "Reported", False),
        ("SUCCEEDED", None, False),
        ("RUNNING", None, False),
        ("PENDING_REDRIVE", None, False),
    ],
)
def test_an_end_is_looked_at_unless_report_was_there(status: str, error: str | None, *, matches: bool):
    [rule] = of_type("AWS::Events::Rule").values()
    pattern = json.loads(json.dumps(rule["EventPattern"]))
    assert pattern["detail"].pop("stateMachineArn") == [{"Ref": "StateMachine"}]
    event = json.loads((ROOT / "events" / "stopped.json").read_text())
    event["detail"] |= {"status": status, "error": error}
    assert EventPattern.load(json.dumps(pattern)).matches_event(event) == matches
    if error is None:  # it may also be left out
        del event["detail"]["error"]
        assert EventPattern.load(json.dumps(pattern)).matches_event(event) == matches


def test_the_failed_state_is_what_the_rule_passes_over():
    [rule] = of_type("AWS::Events::Rule").values()
    assert rule["EventPattern"]["detail"]["error"][0] == {
        "anything-but": [check.read()["States"]["Failed"]["Error"]]
    }
    [target] = rule["Targets"]
    assert target["Arn"] == {"Fn::GetAtt": ["ReportFunction", "Arn"]}
    allowed = of_type("AWS::Lambda::Permission")["UnreportedEndsPermission"]
    assert allowed["SourceArn"] == {"Fn::GetAtt": ["UnreportedEnds", "Arn"]}


def test_alarms_may_use_the_topics_key_as_report_may():
    key = of_type("AWS::KMS::Key")["AlertKey"]
    assert of_type("AWS::SNS::Topic")["AlertTopic"]["KmsMasterKeyId"] == {"Ref": "AlertKey"}
    use = {"kms:Decrypt", "kms:GenerateDataKey"}
    [alarms] = [
        one
        for one in key["KeyPolicy"]["Statement"]
        if one["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    ]
    assert set(actions(alarms)) == use
    [report] = [
        one
        for one in statements(RESOURCES["ReportRole"])
        if one.get("Resource") == {"Fn::GetAtt": ["AlertKey", "Arn"]}
    ]
    assert set(actions(report)) == use


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_is_traced_and_may_be(name: str):
    assert function(name)["TracingConfig"] == {"Mode": "Active"}
    role = RESOURCES[function(name)["Role"]["Fn::GetAtt"][0]]["Properties"]
    assert {"Ref": "TraceAccess"} in role["ManagedPolicyArns"]


@pytest.mark.parametrize("name", CUSTOM)
def test_a_custom_resources_event_is_the_templates(name: str):
    event = json.loads((ROOT / "events" / f"{name}.json").read_text())
    resource = RESOURCES[event["LogicalResourceId"]]
    assert (event["ResourceType"], event["ResourceProperties"].keys()) == (
        resource["Type"],
        resource["Properties"].keys(),
    )


def test_the_event_that_resumes_is_one_that_the_function_takes():
    request = PauseRequest.parse(json.loads((ROOT / "events" / "resume.json").read_text()))
    assert request.resume == PauseTarget(source="shop", table="public.orders")


def test_the_event_that_gives_access_is_one_that_the_function_takes():
    request = AccessEvent.model_validate_json((ROOT / "events" / "access.json").read_text())
    assert [table.table_name for table in request.access] == ["customers", "salaries"]


def test_the_variables_for_a_local_call_are_declared_ones():
    given = json.loads((ROOT / "events" / "env.json").read_text())
    assert set(given) == set(of_type("AWS::Lambda::Function"))
    for name, variables in given.items():
        assert variables.keys() <= of_type("AWS::Lambda::Function")[name]["Environment"]["Variables"].keys()


def test_whatever_a_validator_is_told_to_pass_over_has_its_reason_beside_it():
    lines = (ROOT / ".checkov.yaml").read_text().splitlines()
    skipped = [number for number, line in enumerate(lines) if line.startswith("  - CKV")]
    assert skipped
    assert all(lines[number - 1].startswith("  # ") for number in skipped)
    sources = [SOURCE["Resources"], *PARTS.values()]
    excused = [
        one
        for resources in sources
        for item in resources.values()
        for one in item.get("Metadata", {}).get("checkov", {}).get("skip", [])
    ]
    assert excused
    assert all(len(one["comment"].split()) > 4 for one in excused)
    assert not any("cfn-lint" in item.get("Metadata", {}) for part in sources for item in part.values())
