"""A template is deployed whole or not at all: what moto cannot make is made otherwise, or stops it."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.aws.clients import client
from local.aws.deploy import Deployer, Deployment
from local.aws.platform import Platform
from local.aws.template import DeployError

ANSWERING = """
import json, os, urllib.request

def handler(event, context):
    if "ResponseURL" not in event:
        return {"event": event, "mode": os.environ["MODE"], "bucket": os.environ["BUCKET"]}
    properties = event["ResourceProperties"]
    with open(os.path.join(os.path.dirname(__file__), "events.txt"), "a") as log:
        line = [event["LogicalResourceId"], event["RequestType"], properties.get("Size")]
        log.write(json.dumps(line) + "\\n")
    if properties.get("Silent"):
        return
    failed = "Broken" in properties and event["RequestType"] == "Create"
    body = {
        "Status": "FAILED" if failed else "SUCCESS",
        "Reason": properties.get("Broken", ""),
        "PhysicalResourceId": "made-by-us",
        "Data": {"Answer": json.dumps([event["RequestType"], properties], sort_keys=True)},
    }
    request = urllib.request.Request(event["ResponseURL"], json.dumps(body).encode(), method="PUT")
    urllib.request.urlopen(request).close()
"""

TEMPLATE = """
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Parameters:
  Mode: {Type: String, Default: plain}
  Size: {Type: Number, Default: 3}
  WithExtra: {Type: String, Default: "no"}
Conditions:
  Extra: !Equals [!Ref WithExtra, "yes"]
Globals:
  Function:
    Runtime: python3.13
    Handler: app.handler
    Timeout: 7
    Environment:
      Variables:
        MODE: !Ref Mode
        BUCKET: !Ref RawBucket
        WORKGROUP: !Ref Workgroup
        AWS_ENDPOINT_URL: ""
Resources:
  RawBucket:
    Type: AWS::S3::Bucket
  Topic:
    Type: AWS::SNS::Topic
  OurLayer:
    Type: AWS::Serverless::LayerVersion
    Properties:
      ContentUri: layer
      RetentionPolicy: Delete
  PlanFunction:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: plan
      Layers: [!Ref OurLayer]
      Policies:
        - S3CrudPolicy: {BucketName: !Ref RawBucket}
        - Statement:
            - Effect: Allow
              Action: redshift-data:ExecuteStatement
              Resource: !GetAtt Workgroup.Workgroup.WorkgroupArn
  Workgroup:
    Type: AWS::RedshiftServerless::Workgroup
    Properties:
      WorkgroupName: !Sub "${AWS::StackName}-wh"
  Group:
    Type: AWS::Scheduler::ScheduleGroup
    Properties:
      Name: !Ref AWS::StackName
  Prepared:
    Type: Custom::Prepared
    DependsOn: Workgroup
    Properties:
      ServiceToken: !GetAtt PlanFunction.Arn
      Size: !Ref Size
      Loud: true
      Workgroup: !Sub "wg ${Workgroup}"
      Names: [!Ref Mode, !If [Extra, more, !Ref AWS::NoValue]]
      Layer: !Ref OurLayer
  ExtraPrepared:
    Type: Custom::Prepared
    Condition: Extra
    Properties:
      ServiceToken: !GetAtt PlanFunction.Arn
      Broken: by request
  Machine:
    Type: AWS::Serverless::StateMachine
    Properties:
      DefinitionUri: machine.asl.yaml
      DefinitionSubstitutions:
        PlanFunctionArn: !GetAtt PlanFunction.Arn
        Mode: !Sub "${Mode}-${Workgroup}"
      Policies:
        - LambdaInvokePolicy: {FunctionName: !Ref PlanFunction}
Outputs:
  StateMachineArn: {Value: !Ref Machine}
  RawBucketName: {Value: !Ref RawBucket}
  Answer: {Value: !GetAtt Prepared.Answer}
  Id: {Value: !Sub "id ${Prepared} in ${Workgroup}"}
"""

MACHINE = """
QueryLanguage: JSONata
StartAt: Call
States:
  Call:
    Type: Task
    Resource: arn:aws:states:::lambda:invoke
    Arguments:
      FunctionName: ${PlanFunctionArn}
      Payload: {mode: "${Mode}", given: "{% $states.input.source %}"}
    Output: "{% $states.result.Payload %}"
    End: true
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for folder in ("plan", "layer/ours"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "plan" / "app.py").write_text("import ours\n" + ANSWERING)
    (tmp_path / "layer" / "ours" / "__init__.py").write_text("")
    (tmp_path / "machine.asl.yaml").write_text(MACHINE)
    (tmp_path / "template.yaml").write_text(TEMPLATE)
    return tmp_path


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Start with an empty account: moto holds one for the whole process, and other modules use it too."""
    with Platform(tmp_path_factory.mktemp("logs")) as platform:
        reset = urllib.request.Request(f"{platform.url}/moto-api/reset", method="POST")
        urllib.request.urlopen(reset).close()
        yield platform


@pytest.fixture
def deployer(platform: Platform) -> Iterator[Deployer]:
    yield platform.deployer({"AWS_ENDPOINT_URL": platform.url})
    client("cloudformation", platform.url).delete_stack(StackName="tributary")
    states = client("stepfunctions", platform.url)
    for machine in states.list_state_machines()["stateMachines"]:
        states.delete_state_machine(stateMachineArn=machine["stateMachineArn"])
    scheduler = client("scheduler", platform.url)
    s3 = client("s3", platform.url)
    for bucket in s3.list_buckets()["Buckets"]:
        s3.delete_bucket(Bucket=bucket["Name"])
    if any(group["Name"] == "tributary" for group in scheduler.list_schedule_groups()["ScheduleGroups"]):
        scheduler.delete_schedule_group(Name="tributary")


def invoke(platform: Platform, deployment: Deployment) -> dict[str, Any]:
    lambda_api = client("lambda", platform.url)
    answer = lambda_api.invoke(FunctionName=deployment.functions["PlanFunction"], Payload="{}")
    body: dict[str, Any] = json.loads(answer["Payload"].read())
    return body


def run(platform: Platform, deployment: Deployment) -> Any:
    """Return the output of an execution."""
    states = client("stepfunctions", platform.url)
    arn = deployment.outputs["StateMachineArn"]
    execution = states.start_execution(stateMachineArn=arn, input='{"source": "shop"}')["executionArn"]
    while (state := states.describe_execution(executionArn=execution))["status"] == "RUNNING":
        time.sleep(0.02)
    return json.loads(state["output"])


def test_the_state_machine_runs_the_templates_function(
    platform: Platform, deployer: Deployer, project: Path
) -> None:
    deployment = deployer.deploy(project / "template.yaml", parameters={"Mode": 'odd "mode"'})
    assert run(platform, deployment) == {
        "event": {"mode": 'odd "mode"-tributary-wh', "given": "shop"},
        "mode": 'odd "mode"',
        "bucket": deployment.outputs["RawBucketName"],
    }


def test_a_custom_resource_is_created_by_its_function(
    platform: Platform, deployer: Deployer, project: Path
) -> None:
    outputs = deployer.deploy(project / "template.yaml", parameters={"Size": "5"}).outputs
    kind, properties = json.loads(outputs["Answer"])
    assert kind == "Create"
    assert properties.pop("ServiceToken").startswith("arn:aws:lambda:us-east-1:123456789012:function:")
    assert properties.pop("Layer").startswith("arn:aws:lambda:us-east-1:123456789012:layer:OurLayer")
    assert properties == {"Size": "5", "Loud": "true", "Workgroup": "wg tributary-wh", "Names": ["plain"]}
    assert outputs["Id"] == "id made-by-us in tributary-wh"
    groups = client("scheduler", platform.url).list_schedule_groups()["ScheduleGroups"]
    assert "tributary" in [group["Name"] for group in groups]


def test_a_custom_resource_hears_only_of_what_is_another(deployer: Deployer, project: Path) -> None:
    first = deployer.deploy(project / "template.yaml")
    again = deployer.deploy(project / "template.yaml")
    changed = deployer.deploy(project / "template.yaml", parameters={"Size": "4"})
    (project / "layer" / "ours" / "more.py").write_text("")
    relayered = deployer.deploy(project / "template.yaml", parameters={"Size": "4"})
    assert [deployment.events for deployment in (first, again, changed, relayered)] == [
        ("Prepared: Create",),
        (),
        ("Prepared: Update",),
        ("Prepared: Update",),
    ]
    kind, properties = json.loads(relayered.outputs["Answer"])
    assert (kind, properties["Size"]) == ("Update", "4")
    assert properties["Layer"] != json.loads(changed.outputs["Answer"])[1]["Layer"]


def test_what_a_template_no_longer_has_goes(platform: Platform, deployer: Deployer, project: Path) -> None:
    deployer.deploy(project / "template.yaml")
    with_group = TEMPLATE.replace(
        "  Group:\n    Type: AWS::Scheduler::ScheduleGroup", "  Gone:\n    Type: AWS::SNS::Topic"
    )
    lines = with_group.replace("      Name: !Ref AWS::StackName\n", "      DisplayName: gone\n", 1)
    without = (
        lines.partition("  Prepared:\n")[0] + "  ExtraPrepared:" + lines.partition("  ExtraPrepared:")[2]
    )
    outputs = without.index("  Answer:")
    (project / "template.yaml").write_text(without[:outputs])
    deployment = deployer.deploy(project / "template.yaml")
    assert deployment.events == ("Prepared: Delete",)
    groups = client("scheduler", platform.url).list_schedule_groups()["ScheduleGroups"]
    assert [group["Name"] for group in groups] == ["default"]


def test_an_update_runs_other_code_and_another_machine(
    platform: Platform, deployer: Deployer, project: Path
) -> None:
    deployment = deployer.deploy(project / "template.yaml")
    assert invoke(platform, deployment)["mode"] == "plain"
    other = ANSWERING.replace('return {"event"', 'return {"new"')
    (project / "plan" / "app.py").write_text(other)
    (project / "machine.asl.yaml").write_text(MACHINE.replace("given", "taken"))
    deployment = deployer.deploy(project / "template.yaml", parameters={"Mode": "other"})
    assert invoke(platform, deployment)["mode"] == "other"
    assert run(platform, deployment)["new"] == {"mode": "other-tributary-wh", "taken": "shop"}


def test_an_update_that_fails_leaves_what_stood(
    platform: Platform, deployer: Deployer, project: Path
) -> None:
    template = project / "template.yaml"
    before = deployer.deploy(template, parameters={"Size": "3"})
    (project / "machine.asl.yaml").write_text(MACHINE.replace("given", "taken"))
    with pytest.raises(DeployError, match=r"ExtraPrepared: Create failed: by request$"):
        deployer.deploy(template, parameters={"Size": "4", "Mode": "other", "WithExtra": "yes"})
    assert invoke(platform, before)["mode"] == "plain"
    assert run(platform, before)["event"] == {"mode": "plain-tributary-wh", "given": "shop"}
    stack = client("cloudformation", platform.url).describe_stacks(StackName="tributary")["Stacks"][0]
    assert {item["OutputKey"]: item["OutputValue"] for item in stack["Outputs"]} == before.outputs
    events = [json.loads(line) for line in (project / "plan" / "events.txt").read_text().splitlines()]
    assert events[0] == ["Prepared", "Create", "3"]
    assert sorted(events[1:3]) == [["ExtraPrepared", "Create", None], ["Prepared", "Update", "4"]]
    assert sorted(events[3:]) == [["ExtraPrepared", "Delete", None], ["Prepared", "Update", "3"]]
    assert deployer.deploy(template, parameters={"Size": "5"}).events == ("Prepared: Update",)


def test_what_is_deleted_leaves_what_the_template_retains(
    platform: Platform, deployer: Deployer, project: Path
) -> None:
    text = TEMPLATE.replace(
        "    Type: AWS::S3::Bucket", "    Type: AWS::S3::Bucket\n    DeletionPolicy: RetainExceptOnCreate"
    )
    (project / "template.yaml").write_text(text)
    deployment = deployer.deploy(project / "template.yaml")
    deployer.delete()
    assert platform.functions.get(deployment.functions["PlanFunction"]) is None
    assert client("stepfunctions", platform.url).list_state_machines()["stateMachines"] == []
    buckets = client("s3", platform.url).list_buckets()["Buckets"]
    assert [bucket["Name"] for bucket in buckets] == [deployment.outputs["RawBucketName"]]
    with pytest.raises(DeployError, match="nothing is deployed"):
        deployer.delete()
    with pytest.raises(
        DeployError, match="the stack was deleted, and its retained resources keep their names"
    ):
        deployer.deploy(project / "template.yaml")


@pytest.mark.parametrize(("policy", "left"), [("RetainExceptOnCreate", 0), ("Retain", 1)])
def test_a_first_deploy_that_fails_leaves_an_empty_stack_and_what_it_retains_even_then(
    platform: Platform, deployer: Deployer, project: Path, policy: str, left: int
) -> None:
    text = TEMPLATE.replace(
        "    Type: AWS::S3::Bucket", f"    Type: AWS::S3::Bucket\n    DeletionPolicy: {policy}"
    )
    (project / "template.yaml").write_text(text)
    with pytest.raises(DeployError, match="ExtraPrepared: Create failed: by request"):
        deployer.deploy(project / "template.yaml", parameters={"WithExtra": "yes"})
    assert len(client("s3", platform.url).list_buckets()["Buckets"]) == left
    with pytest.raises(DeployError, match="ROLLBACK_COMPLETE"):
        deployer.deploy(project / "template.yaml")
    deployer.delete()
    if left == 0:
        assert deployer.deploy(project / "template.yaml").outputs["RawBucketName"]
        deployer.delete()
        assert len(client("s3", platform.url).list_buckets()["Buckets"]) == 1


def test_a_custom_resource_that_fails_stops_the_deploy_with_its_reason(
    deployer: Deployer, project: Path
) -> None:
    with pytest.raises(DeployError, match="ExtraPrepared: Create failed: by request"):
        deployer.deploy(project / "template.yaml", parameters={"WithExtra": "yes"})


def test_a_custom_resource_that_never_answers_stops_the_deploy(deployer: Deployer, project: Path) -> None:
    (project / "template.yaml").write_text(TEMPLATE.replace("Broken: by request", "Silent: 1"))
    with pytest.raises(DeployError, match=r"ExtraPrepared: .* never answered the Create event"):
        deployer.deploy(project / "template.yaml", parameters={"WithExtra": "yes"})


def test_a_resource_that_moto_cannot_make_stops_the_deploy_by_name(deployer: Deployer, project: Path) -> None:
    text = TEMPLATE.replace("AWS::SNS::Topic", "AWS::QLDB::Ledger")
    (project / "template.yaml").write_text(text)
    with pytest.raises(DeployError, match="Topic: moto cannot create a AWS::QLDB::Ledger"):
        deployer.deploy(project / "template.yaml")


def test_a_template_that_sam_refuses_stops_the_deploy(deployer: Deployer, project: Path) -> None:
    (project / "template.yaml").write_text(TEMPLATE.replace("Runtime: python3.13", "Nonsense: 1"))
    with pytest.raises(DeployError, match="Nonsense"):
        deployer.deploy(project / "template.yaml")


def test_an_unknown_parameter_stops_the_deploy(deployer: Deployer, project: Path) -> None:
    with pytest.raises(DeployError, match="no parameter Moed; it has Mode, Size, WithExtra"):
        deployer.deploy(project / "template.yaml", parameters={"Moed": "x"})


def test_a_functions_environment_and_time_can_be_changed_from_outside(
    platform: Platform, deployer: Deployer, project: Path
) -> None:
    overlay = {"PlanFunction": {"MODE": "overlaid"}}
    deployment = deployer.deploy(project / "template.yaml", environment=overlay)
    assert invoke(platform, deployment)["mode"] == "overlaid"
    name = deployment.functions["PlanFunction"]
    lambda_api = client("lambda", platform.url)
    variables = lambda_api.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    changed = {**variables, "MODE": "changed"}
    lambda_api.update_function_configuration(FunctionName=name, Environment={"Variables": changed}, Timeout=9)
    assert invoke(platform, deployment)["mode"] == "changed"
    function = platform.functions.get(name)
    assert function is not None
    assert (function.timeout_s, function.environment["AWS_ENDPOINT_URL"]) == (9, platform.url)
