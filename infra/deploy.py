"""`python -m infra.deploy ENV`, before anything is built: can this account be deployed to, and with what?

The first deploy of an environment asks five questions and writes the answers into samconfig.toml, where every
other parameter can be set too. Without a terminal, an answer is its default.
"""

from __future__ import annotations

import os
import re
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boto3.session import Session
from botocore.exceptions import BotoCoreError, ClientError

CONFIG = Path(__file__).parents[1] / "samconfig.toml"
NAME_AT_MOST = 64  # of a schedule group (API_CreateScheduleGroup), which has the stack's name
NEW_ACCOUNT = 100  # concurrent functions: an account with fewer is a new one, which has 10
UNUSABLE = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED")

Ask = Callable[[str, str], str]  # a question and its default; returns the answer


class DeployRefused(Exception):
    """A deploy would fail; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Environment:
    """An environment of samconfig.toml."""

    name: str
    stack_name: str
    region: str | None  # None before the first deploy
    parameters: dict[str, str]

    @classmethod
    def read(cls, name: str, text: str) -> Environment:
        """Return the environment; raises DeployRefused."""
        table = tomllib.loads(text).get(name)
        if table is None:
            raise DeployRefused(f"samconfig.toml has no environment {name}; it has default, dev and prod")
        everywhere, deploy = (table.get(part, {}).get("parameters", {}) for part in ("global", "deploy"))
        pairs = (pair.partition("=") for pair in deploy.get("parameter_overrides", "").split())
        return cls(
            name,
            everywhere["stack_name"],
            everywhere.get("region") or deploy.get("region"),
            {key: value.strip('"') for key, _, value in pairs},
        )


def identity(session: Any) -> str:
    """Return the account and the user that deploy; raises DeployRefused if there are no credentials."""
    try:
        caller = session.client("sts").get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        raise DeployRefused(
            f"no AWS account can be reached ({error}); run `aws configure`, or set AWS_PROFILE"
        ) from None
    return f"account {caller['Account']} as {caller['Arn']}"


def check_stack(session: Any, stack_name: str) -> None:
    """Raise DeployRefused if a stack of that name cannot be deployed."""
    if len(stack_name) > NAME_AT_MOST:
        raise DeployRefused(
            f"stack_name {stack_name} is too long: its schedule group takes {NAME_AT_MOST} characters; "
            "shorten it in samconfig.toml"
        )
    try:
        [stack] = session.client("cloudformation").describe_stacks(StackName=stack_name)["Stacks"]
    except ClientError as error:
        if "does not exist" in str(error):
            return
        raise
    if stack["StackStatus"] in UNUSABLE:
        raise DeployRefused(
            f"stack {stack_name} is in state {stack['StackStatus']} and takes no deploy; run "
            f"`aws cloudformation delete-stack --stack-name {stack_name}`, wait a minute, and deploy again"
        )


def answers(session: Any, ask: Ask) -> dict[str, str]:
    """Ask about warehouse, network and messages; return the parameters that follow."""
    given = {"NotifyEmail": ask("E-mail address for failed runs, empty for none", "")}
    workgroup = ask("Name of an existing Redshift Serverless workgroup, empty for a new one", "")
    if workgroup:
        known = existing_workgroup(session, workgroup)
        given |= {"WorkgroupName": workgroup, "WorkgroupId": known["workgroupId"]}
        given["AdminSecretName"] = ask(
            "Name of the secret of its administrator, empty to run the output WarehouseSql yourself", ""
        )
    network = "none" if workgroup or _has_default_vpc(session) else "create"
    given["Network"] = ask("Network: none for sources on public addresses, or create for a VPC", network)
    if concurrency(session) < NEW_ACCOUNT:
        given["MaxExtractions"] = "3"
    return {key: value for key, value in given.items() if value}


def existing_workgroup(session: Any, name: str) -> dict[str, Any]:
    """Return the workgroup of that name; raises DeployRefused if there is none."""
    api = session.client("redshift-serverless")
    try:
        workgroup: dict[str, Any] = api.get_workgroup(workgroupName=name)["workgroup"]
    except api.exceptions.ResourceNotFoundException:
        raise DeployRefused(
            f"there is no workgroup {name} in region {session.region_name}; "
            "`aws redshift-serverless list-workgroups` lists them"
        ) from None
    return workgroup


def concurrency(session: Any) -> int:
    """Return how many functions the account runs at once; enough if the caller may not ask."""
    try:
        limit = session.client("lambda").get_account_settings()["AccountLimit"]
    except ClientError:
        return NEW_ACCOUNT
    return int(limit["ConcurrentExecutions"])


def _has_default_vpc(session: Any) -> bool:
    """Return whether the region has a default VPC; yes if the caller may not ask."""
    filters = [{"Name": "is-default", "Values": ["true"]}]
    try:
        return bool(session.client("ec2").describe_vpcs(Filters=filters)["Vpcs"])
    except ClientError:
        return True


def configured(text: str, environment: Environment, region: str, given: Mapping[str, str]) -> str:
    """Return samconfig.toml's text with the region and the parameters of the environment."""
    overrides = " ".join(f"{key}={value}" for key, value in {**environment.parameters, **given}.items())
    text, regions = re.subn(
        rf"(?m)^(\[{environment.name}\.global\.parameters\]\n)", rf'\g<1>region = "{region}"\n', text
    )
    text, written = re.subn(
        rf'(?ms)^(\[{environment.name}\.deploy\.parameters\]\n[^\[]*?parameter_overrides = )"[^"\n]*"',
        lambda match: f'{match[1]}"{overrides}"',
        text,
    )
    if (regions, written) != (1, 1):
        raise DeployRefused(
            f"samconfig.toml has no [{environment.name}.global.parameters], or no parameter_overrides in "
            f"[{environment.name}.deploy.parameters]; take them from the original file"
        )
    return text


def prepare(name: str, config: Path, ask: Ask, session_of: Callable[[str | None], Any]) -> None:
    """Check the account and the stack; ask and write down what a first deploy needs."""
    text = config.read_text()
    environment = Environment.read(name, text)
    session = session_of(environment.region)
    print(f"Deploying {environment.stack_name}: {identity(session)}")
    region = environment.region or ask("Region", session.region_name or "us-east-1")
    if region != session.region_name:
        session = session_of(region)
    check_stack(session, environment.stack_name)
    if environment.region is None:
        config.write_text(configured(text, environment, region, answers(session, ask)))
        print(f"The answers are in {config.name}, and docs/deploy.md has every other parameter.")


def at_the_terminal(question: str, default: str) -> str:
    """Return the answer, or the default if there is none, or no terminal."""
    if not sys.stdin.isatty():
        return default
    shown = f" [{default}]" if default else ""
    return input(f"{question}{shown}: ").strip() or default


def check_endpoints(variables: Mapping[str, str]) -> None:
    """Raise DeployRefused if the shell points to other endpoints than AWS's, such as the local stack's."""
    for name in sorted(name for name in variables if name.startswith("AWS_ENDPOINT_URL")):
        raise DeployRefused(
            f"{name} is set to {variables[name]}, so this deploy would not reach AWS; run `unset {name}`, "
            "and `unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY` if they are the local stack's. "
            "The local stack is deployed to by `.venv/bin/python -m local deploy`"
        )


def main() -> int:
    """Prepare the environment that is named; return the exit code."""
    try:
        check_endpoints(os.environ)
        prepare(sys.argv[1], CONFIG, at_the_terminal, lambda region: Session(region_name=region))
    except DeployRefused as error:
        print(error, file=sys.stderr)
    except (BotoCoreError, ClientError) as error:
        print(f"AWS did not answer what a deploy asks first: {error}", file=sys.stderr)
    except (KeyboardInterrupt, EOFError):
        print("nothing was changed", file=sys.stderr)
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
