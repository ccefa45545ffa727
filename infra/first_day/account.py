"""The small stack of the first day in a real account: deployed by SAM, and deleted to the last resource."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from infra.first_day import source

ROOT = Path(__file__).parents[1]
SAM = ROOT / ".venv-sam" / "bin" / "sam"
STACK = "tributary-first-day"
STAGE = "first-day"
SECRET = f"{STACK}/{source.NAME}"
RETAINED = ("RawBucket", "AccessLogBucket", "DataKey", "Namespace", "AdminSecret")


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
        """Create the source's secret."""
        self.client("secretsmanager").create_secret(Name=SECRET, SecretString=text)

    def build(self, project: Path) -> None:
        """Copy the project with the first day's source alone, and build it."""
        tracked = subprocess.run(
            ["/usr/bin/env", "git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        for name in filter(None, tracked.split("\0")):
            if not name.startswith("sources/"):
                (project / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, project / name)
        self.put_secret(source.write(project / "sources", Path("/opt")))
        subprocess.run([str(SAM), "build"], cwd=project, check=True)

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
        command += ["--resolve-s3", "--no-confirm-changeset", "--no-fail-on-empty-changeset"]
        command += ["--capabilities", "CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND", "--parameter-overrides"]
        subprocess.run([*command, *overrides], cwd=project, check=True)
        api = self.client("cloudformation")
        for name in RETAINED:
            detail = api.describe_stack_resource(StackName=STACK, LogicalResourceId=name)
            self.retained[name] = detail["StackResourceDetail"]["PhysicalResourceId"]
        [stack] = api.describe_stacks(StackName=STACK)["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def clean_up(self) -> list[str]:
        """Delete the stack and what it retains; return what could not be deleted, each with its reason."""
        api, left = self.client("cloudformation"), list[str]()
        steps: list[tuple[str, Any]] = [("the stack", lambda: self._delete_stack(api))]
        for name in ("RawBucket", "AccessLogBucket"):
            if bucket := self.retained.get(name):
                steps.append((f"bucket {bucket}", lambda bucket=bucket: self._delete_bucket(bucket)))
        if namespace := self.retained.get("Namespace"):
            steps.append((f"namespace {namespace}", lambda: self._delete_namespace(namespace)))
        if key := self.retained.get("DataKey"):
            kms = self.client("kms")
            steps.append((f"key {key}", lambda: kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)))
        secrets = self.client("secretsmanager")
        for name in filter(None, (self.retained.get("AdminSecret"), SECRET)):
            steps.append(
                (
                    f"secret {name}",
                    lambda name=name: secrets.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True),
                )
            )
        for what, delete in steps:
            try:
                delete()
            except Exception as error:  # the rest must be deleted all the same
                left.append(f"{what}: {error}")
        return left

    def _delete_stack(self, api: Any) -> None:
        api.delete_stack(StackName=STACK)
        api.get_waiter("stack_delete_complete").wait(StackName=STACK)

    def _delete_bucket(self, bucket: str) -> None:
        s3 = self.session.resource("s3").Bucket(bucket)
        s3.object_versions.delete()
        s3.delete()

    def _delete_namespace(self, namespace: str) -> None:
        api = self.client("redshift-serverless")
        for _ in range(60):  # its workgroup's deletion may not have ended
            try:
                api.delete_namespace(namespaceName=namespace)
            except ClientError as error:
                if error.response["Error"]["Code"] != "ConflictException":
                    raise
                time.sleep(10)
            else:
                return
        raise TimeoutError("it was busy for ten minutes")


def folder() -> tempfile.TemporaryDirectory[str]:
    """Return a folder for the copied project, which is deleted after the block."""
    return tempfile.TemporaryDirectory(prefix="tributary-first-day-")
