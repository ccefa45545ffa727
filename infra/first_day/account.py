"""The small stack of the first day in a real account: deployed by SAM, and deleted to the last resource."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from infra.first_day import source

ROOT = Path(__file__).parents[2]
SAM = ROOT / ".venv-sam" / "bin" / "sam"
STACK = "tributary-first-day"
STAGE = "first-day"
NAMESPACE = f"tributary-{STAGE}"
SECRET = f"{STACK}/{source.NAME}"
SAMS_OWN_STACK = "aws-sam-cli-managed-default"  # whose bucket takes what a deploy uploads
MISSING = ("ResourceNotFoundException", "NoSuchBucket", "ValidationError")  # of what is gone already
BUSY_PAUSE_S = 10.0  # while a workgroup's deletion ends
RETAINED = ("DataKey", "AdminSecret")  # the rest has names that are known


@dataclass(slots=True)
class Account:
    """An account and region, by boto3's session. `retained`: physical ids of what outlives the stack."""

    session: Any
    retained: dict[str, str] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        """Return a client of the account's region."""
        return self.session.client(service)

    def has_default_vpc(self) -> bool:
        """Return whether a workgroup without subnets would find a VPC."""
        vpcs = self.client("ec2").describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])
        return bool(vpcs["Vpcs"])

    def put_secret(self, text: str) -> None:
        """Create the source's secret, or change that of a first day which was killed."""
        secrets = self.client("secretsmanager")
        try:
            secrets.create_secret(Name=SECRET, SecretString=text)
        except secrets.exceptions.ResourceExistsException:
            secrets.put_secret_value(SecretId=SECRET, SecretString=text)

    def build(self, project: Path) -> None:
        """Copy the project with the first day's source alone, and build it."""
        tracked = subprocess.run(
            ["/usr/bin/env", "git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        for name in filter(None, tracked.split("\0")):
            if not name.startswith("sources/") and (ROOT / name).exists():
                (project / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, project / name)
        self.put_secret(source.write(project / "sources", Path("/opt")))
        python = {"PYTHON": sys.executable}  # that layers/Makefile calls
        subprocess.run([str(SAM), "build"], cwd=project, check=True, env={**os.environ, **python})

    def deploy(self, project: Path, *, copy_for_all: bool) -> dict[str, str]:
        """Deploy what was built, and return the stack's outputs."""
        given = {
            "Stage": STAGE,
            "SecretPrefix": f"{STACK}/",
            "Network": "none" if self.has_default_vpc() else "create",
            "MaxExtractions": "2",
            "LogRetentionDays": "1",
            "CopyRoleForLoaderAlone": "false" if copy_for_all else "true",
        }
        overrides = [f"{key}={value}" for key, value in given.items()]
        command = [str(SAM), "deploy", "--stack-name", STACK, "--region", self.session.region_name]
        command += ["--resolve-s3", "--s3-prefix", STACK, "--no-confirm-changeset"]
        command += ["--no-fail-on-empty-changeset", "--tags", f"tributary-stack={STACK}"]
        command += ["--capabilities", "CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND", "--parameter-overrides"]
        subprocess.run([*command, *overrides], cwd=project, check=True)
        [stack] = self.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
        self.note_retained()
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def note_retained(self) -> None:
        """Note the ids of what the stack retains, as long as it is there to be asked."""
        api = self.client("cloudformation")
        for name in RETAINED:
            try:
                detail = api.describe_stack_resource(StackName=STACK, LogicalResourceId=name)
            except ClientError as error:
                if error.response["Error"]["Code"] not in MISSING:
                    raise
            else:
                self.retained[name] = detail["StackResourceDetail"].get("PhysicalResourceId", "")

    def clean_up(self) -> list[str]:
        """Delete the stack and what it retains; return what could not be deleted, each with its reason."""
        left = list[str]()
        self._step(left, "a list of the stack's resources", self.note_retained)
        self._step(left, "the stack", self._delete_stack)
        self._step(left, "the buckets", partial(self._delete_buckets, left))
        self._step(left, f"namespace {NAMESPACE}", self._delete_namespace)
        self._step(left, f"the logs of {NAMESPACE}", self._delete_logs)
        if key := self.retained.get("DataKey"):
            self._step(left, f"key {key}", partial(self._delete_key, key))
        for secret in filter(None, (self.retained.get("AdminSecret"), SECRET)):
            self._step(left, f"secret {secret}", partial(self._delete_secret, secret))
        self._step(left, "what the deploy uploaded", self._delete_uploads)
        return left

    @staticmethod
    def _step(left: list[str], what: str, delete: Callable[[], None]) -> None:
        try:
            delete()
        except ClientError as error:
            if error.response["Error"]["Code"] not in MISSING:
                left.append(f"{what}: {error}")
        except Exception as error:  # the rest must be deleted all the same
            left.append(f"{what}: {error}")

    def _delete_stack(self) -> None:
        api = self.client("cloudformation")
        api.delete_stack(StackName=STACK)
        api.get_waiter("stack_delete_complete").wait(StackName=STACK)

    def _delete_buckets(self, left: list[str]) -> None:
        """Delete the stack's buckets by their names, since the stack may be gone already."""
        for bucket in self.client("s3").list_buckets()["Buckets"]:
            if bucket["Name"].startswith((f"{STACK}-rawbucket-", f"{STACK}-accesslogbucket-")):
                self._step(left, f"bucket {bucket['Name']}", partial(self._delete_bucket, bucket["Name"]))

    def _delete_bucket(self, bucket: str) -> None:
        s3 = self.session.resource("s3").Bucket(bucket)
        s3.object_versions.delete()
        s3.delete()

    def _delete_namespace(self) -> None:
        api = self.client("redshift-serverless")
        for _ in range(60):  # its workgroup's deletion may not have ended
            try:
                api.delete_namespace(namespaceName=NAMESPACE)
            except ClientError as error:
                if error.response["Error"]["Code"] != "ConflictException":
                    raise
                time.sleep(BUSY_PAUSE_S)
            else:
                return
        raise TimeoutError("it was busy for ten minutes")

    def _delete_logs(self) -> None:
        """Delete the log groups that Redshift created for the namespace's LogExports."""
        logs = self.client("logs")
        for page in logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix="/aws/redshift"):
            for group in page["logGroups"]:
                if f"/{NAMESPACE}/" in group["logGroupName"]:
                    logs.delete_log_group(logGroupName=group["logGroupName"])

    def _delete_key(self, key: str) -> None:
        kms = self.client("kms")
        if kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] != "PendingDeletion":
            kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)

    def _delete_secret(self, secret: str) -> None:
        self.client("secretsmanager").delete_secret(SecretId=secret, ForceDeleteWithoutRecovery=True)

    def _delete_uploads(self) -> None:
        """Delete this stack's objects from the bucket that SAM keeps for all deploys of an account."""
        detail = self.client("cloudformation").describe_stack_resource(
            StackName=SAMS_OWN_STACK, LogicalResourceId="SamCliSourceBucket"
        )
        bucket = self.session.resource("s3").Bucket(detail["StackResourceDetail"]["PhysicalResourceId"])
        bucket.object_versions.filter(Prefix=f"{STACK}/").delete()


def folder() -> tempfile.TemporaryDirectory[str]:
    """Return a folder for the copied project, which is deleted after the block."""
    return tempfile.TemporaryDirectory(prefix="tributary-first-day-")
