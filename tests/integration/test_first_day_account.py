"""The first day in an account: `sam` is a stub that deploys a small stack, and moto is the account."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from infra.first_day import __main__ as first_day
from infra.first_day import account, source
from infra.first_day.account import NAMESPACE, SAMS_OWN_STACK, SECRET, STACK, Account
from local.aws.clients import client
from local.aws.gateway import Gateway

REGION = "eu-west-1"
SAMS_BUCKET, OTHERS_LOG = "sams-own", "/aws/redshift/other/userlog"
KEPT = {"DeletionPolicy": "Retain"}
RESOURCES = {
    "RawBucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": f"{STACK}-rawbucket-1"}, **KEPT},
    "AccessLogBucket": {
        "Type": "AWS::S3::Bucket",
        "Properties": {"BucketName": f"{STACK}-accesslogbucket-1"},
        **KEPT,
    },
    "DataKey": {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": '{"Statement": []}'}, **KEPT},
    # A secret whose name is this resource's id: moto's CloudFormation creates none.
    "AdminSecret": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "AdminSecret-1"}},
}
STUB = """#!{python}
import json, os, sys
from pathlib import Path
import boto3
given = dict(arguments=sys.argv[1:], files=sorted(str(path) for path in Path().rglob("*") if path.is_file()))
Path({calls!r}).open("a").write(json.dumps(given) + "\\n")
if sys.argv[1] == "deploy":
    if {code}:
        sys.exit({code})
    boto3.client("cloudformation").create_stack(StackName={stack!r}, TemplateBody={template!r})
    boto3.client("secretsmanager").create_secret(Name="AdminSecret-1", SecretString="generated")
"""


class Serverless:
    """Redshift Serverless with one namespace, whose workgroup's deletion has not ended at first."""

    def __init__(self) -> None:
        self.namespaces, self.busy = {NAMESPACE}, 1

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        name = json.loads(environ["wsgi.input"].read())["namespaceName"]
        kind = (
            "ResourceNotFoundException"
            if name not in self.namespaces
            else "ConflictException"
            if self.busy
            else ""
        )
        self.busy = max(0, self.busy - 1)
        if not kind:
            self.namespaces.remove(name)
        status = "400 Bad Request" if kind else "200 OK"
        start_response(status, [("Content-Type", "application/x-amz-json-1.1")])
        return [json.dumps({"__type": kind} if kind else {}).encode()]


class World:
    """An account behind a gateway, and what the stub of `sam` was called with."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gateway, self.serverless = Gateway(), Serverless()
        self.gateway.route(lambda service, _: service == "redshift-serverless", self.serverless)
        self.folder, self.calls = folder, folder / "calls"
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "test")
        monkeypatch.setenv("AWS_ENDPOINT_URL", self.gateway.url)
        monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
        monkeypatch.setattr(account, "SAM", folder / "sam")
        monkeypatch.setattr(account, "BUSY_PAUSE_S", 0.01)
        self.there: set[tuple[str, str]] = set()
        self.there = self.left()  # moto is one for the whole process
        self.sam()
        body = {"SamCliSourceBucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": SAMS_BUCKET}}}
        template = json.dumps({"Resources": body})
        self.client("cloudformation").create_stack(StackName=SAMS_OWN_STACK, TemplateBody=template)
        for key in (f"{STACK}/code", "tributary/code"):
            self.client("s3").put_object(Bucket=SAMS_BUCKET, Key=key, Body=b"zip")
        for name in (f"/aws/redshift/{NAMESPACE}/userlog", OTHERS_LOG):
            self.client("logs").create_log_group(logGroupName=name)

    def sam(self, code: int = 0) -> None:
        template = json.dumps({"Resources": RESOURCES, "Outputs": {"Version": {"Value": "1"}}})
        text = STUB.format(
            python=sys.executable, calls=str(self.calls), stack=STACK, template=template, code=code
        )
        (self.folder / "sam").write_text(text)
        (self.folder / "sam").chmod(0o755)

    def client(self, service: str) -> Any:
        return client(service, self.gateway.url)

    def account(self) -> Account:
        return Account(boto3.session.Session(region_name=REGION))

    def called(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.calls.read_text().splitlines()]

    def left(self) -> set[tuple[str, str]]:
        """Return the kinds and names of what exists and did not exist at first."""
        s3, kms = self.client("s3"), self.client("kms")
        keys = [kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"] for key in kms.list_keys()["Keys"]]
        buckets = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
        uploads = s3.list_objects_v2(Bucket=SAMS_BUCKET)["Contents"] if SAMS_BUCKET in buckets else []
        secrets = self.client("secretsmanager").list_secrets()["SecretList"]
        logs = self.client("logs").describe_log_groups(logGroupNamePrefix="/aws")["logGroups"]
        stacks = self.client("cloudformation").describe_stacks()["Stacks"]
        exists = {
            *(("bucket", bucket) for bucket in buckets),
            *(("upload", item["Key"]) for item in uploads),
            *(("secret", secret["Name"]) for secret in secrets),
            *(("log", group["logGroupName"]) for group in logs),
            *(("key", key["KeyId"]) for key in keys if key["KeyState"] != "PendingDeletion"),
            *(("stack", stack["StackName"]) for stack in stacks),
            *(("namespace", name) for name in self.serverless.namespaces),
        }
        return exists - self.there

    def close(self) -> None:
        """Delete what was there before the first day."""
        self.client("s3").delete_object(Bucket=SAMS_BUCKET, Key="tributary/code")
        self.client("cloudformation").delete_stack(StackName=SAMS_OWN_STACK)
        self.client("logs").delete_log_group(logGroupName=OTHERS_LOG)
        self.gateway.stop()


NOTHING_OF_OURS = {
    ("bucket", SAMS_BUCKET),
    ("upload", "tributary/code"),
    ("log", OTHERS_LOG),
    ("stack", SAMS_OWN_STACK),
}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World(tmp_path, monkeypatch)
    yield made
    made.close()


def test_the_project_is_deployed_with_its_own_source_alone_and_deleted_to_the_last_resource(
    world: World, tmp_path: Path
) -> None:
    here, project = world.account(), tmp_path / "project"
    here.build(project)
    here.deploy(project, copy_for_all=False)
    world.client("s3").put_object(Bucket=f"{STACK}-rawbucket-1", Key="a", Body=b"chunk")

    built, deployed = world.called()
    assert built["arguments"] == ["build"]
    assert {"template.yaml", "layers/Makefile", "infra/template-network.yaml"} <= set(built["files"])
    sources = [name for name in built["files"] if name.startswith("sources/")]
    assert sources == [f"sources/{source.NAME}.sqlite", f"sources/{source.NAME}.yaml"]
    assert {"Stage=first-day", f"SecretPrefix={STACK}/", "Network=none"} <= set(deployed["arguments"])
    assert world.client("secretsmanager").get_secret_value(SecretId=SECRET)

    assert here.clean_up() == []
    assert world.left() == NOTHING_OF_OURS
    assert here.clean_up() == []  # nothing is there any more, which is no failure


def test_what_a_killed_first_day_left_is_found_by_its_names(world: World, tmp_path: Path) -> None:
    world.account().build(tmp_path / "project")
    world.account().build(tmp_path / "again")  # the secret exists
    world.account().deploy(tmp_path / "project", copy_for_all=False)
    assert world.account().clean_up() == []
    assert world.left() == NOTHING_OF_OURS


def test_a_deploy_that_fails_leaves_nothing_and_says_what_failed(world: World) -> None:
    world.sam(code=1)
    answers = first_day.in_the_account(REGION)
    assert "CalledProcessError" in answers["failed"]
    assert answers["left_over"] == []
    assert not first_day.whole(answers)
    assert world.left() == NOTHING_OF_OURS


def test_what_cannot_be_deleted_is_named_and_the_rest_is_deleted(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    here = world.account()
    here.build(tmp_path / "project")
    here.deploy(tmp_path / "project", copy_for_all=False)

    def refuse(self: Account, key: str) -> None:
        raise ClientError(
            {"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "ScheduleKeyDeletion"
        )

    monkeypatch.setattr(Account, "_delete_key", refuse)
    [line] = here.clean_up()
    assert line.startswith("key ")
    assert {kind for kind, _ in world.left() - NOTHING_OF_OURS} == {"key"}
    world.client("kms").schedule_key_deletion(KeyId=here.retained["DataKey"])


def test_the_script_is_of_this_project_and_of_its_own_sam() -> None:
    assert (account.ROOT / "template.yaml").exists()
    assert account.SAM.parents[2] == account.ROOT
