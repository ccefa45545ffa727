"""`python -m docs.deploy_policy`: the policies that a deploying person needs, written into docs/deploy.md.

They follow from the templates: CloudFormation calls AWS with the person's own rights, and the schema of each
resource type lists the actions of its handlers. cfn-lint ships these schemas.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "deploy.md"
STACK = "tributary"  # the name in samconfig.toml, with a stage for others
CHARACTERS_AT_MOST = 6_144  # of a managed policy, blanks not counted
BLOCK = re.compile(r"(<!-- policies: .*? -->\n).*(<!-- end of policies -->)", re.DOTALL)

# Services of handlers' optional features, none of which the templates use.
UNUSED = frozenset(
    {
        *("autoscaling", "elasticfilesystem", "firehose", "lakeformation", "organizations"),
        *("s3files", "s3tables", "vpc-lattice", "vpce"),
    }
)
# What `sam deploy`, `sam delete` and custom resources need beside the handlers.
OWN = {
    "cloudformation:CreateChangeSet",
    "cloudformation:CreateStack",
    "cloudformation:DeleteChangeSet",
    "cloudformation:DeleteStack",
    "cloudformation:DescribeChangeSet",
    "cloudformation:DescribeStackEvents",
    "cloudformation:DescribeStackResources",
    "cloudformation:DescribeStacks",
    "cloudformation:ExecuteChangeSet",
    "cloudformation:GetTemplate",
    "cloudformation:GetTemplateSummary",
    "cloudformation:ListStackResources",
    "cloudformation:UpdateStack",
    "iam:CreateServiceLinkedRole",  # the first of an account's Redshift, Lambda in a VPC and NAT gateways
    "lambda:InvokeFunction",  # the custom resources
    "s3:GetObject",  # the bucket of artifacts
    "s3:PutObject",
}
READING = ("Get", "List")


def main() -> int:
    """Write the policies into the page."""
    PAGE.write_text(page(PAGE.read_text()))
    return 0


def page(text: str) -> str:
    """Return the page's text with the policies as they follow from the templates."""
    blocks = "\n\n".join(f"```json\n{_shown(policy)}\n```" for policy in policies())
    return BLOCK.sub(lambda match: f"{match[1]}{blocks}\n{match[2]}", text)


def policies(stack: str = STACK) -> list[dict[str, Any]]:
    """Return the policies, each of at most the characters that IAM takes."""
    documents: list[dict[str, Any]] = []
    for statement in statements(actions(resource_types()), stack):
        if (
            documents
            and _size({**documents[-1], "Statement": [*documents[-1]["Statement"], statement]})
            <= CHARACTERS_AT_MOST
        ):
            documents[-1]["Statement"].append(statement)
        else:
            documents.append({"Version": "2012-10-17", "Statement": [statement]})
    return documents


def statements(allowed: Iterable[str], stack: str) -> Iterator[dict[str, Any]]:
    """Yield a statement per service; roles and policies can be changed only by the stack's names."""
    by_service: dict[str, list[str]] = {}
    for action in sorted(allowed):
        by_service.setdefault(action.partition(":")[0], []).append(action)
    for service, names in by_service.items():
        sid = re.sub(r"[^a-z]", "", service).capitalize()
        if service != "iam":
            yield {"Sid": sid, "Effect": "Allow", "Action": names, "Resource": "*"}
            continue
        reading = [name for name in names if name.partition(":")[2].startswith(READING)]
        linked = "iam:CreateServiceLinkedRole"
        own = [f"arn:aws:iam::*:{kind}/{stack}-*" for kind in ("role", "policy")]
        changing = [name for name in names if name not in reading and name != linked]
        yield {"Sid": "IamRead", "Effect": "Allow", "Action": reading, "Resource": "*"}
        yield {"Sid": "IamChange", "Effect": "Allow", "Action": changing, "Resource": own}
        yield {
            "Sid": "IamServiceLinkedRoles",
            "Effect": "Allow",
            "Action": linked,
            "Resource": "arn:aws:iam::*:role/aws-service-role/*",
        }


def actions(kinds: Iterable[str]) -> set[str]:
    """Return the actions of the handlers of these resource types, and what the deploy itself needs."""
    needed = {action for kind in kinds for action in _handlers(kind)} | OWN
    return {action for action in needed if action.partition(":")[0] not in UNUSED}


@cache
def resource_types() -> frozenset[str]:
    """Return the types of all resources in the templates, as SAM transforms them."""
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    from local.aws.template import read, take_apart

    parts = take_apart(ROOT / "template.yaml", {})
    trees = [parts.template["Resources"], parts.custom, parts.named]
    trees += [read(path)["Resources"] for path in sorted((ROOT / "infra").glob("*.yaml"))]
    kinds = {resource["Type"] for tree in trees for resource in tree.values()}
    return frozenset(kind for kind in kinds if not kind.startswith("Custom::"))


@cache
def _schemas() -> tuple[Path, dict[str, str]]:
    """Return the folder of the schemas, and their names by resource type."""
    [package] = importlib.util.find_spec("cfnlint").submodule_search_locations  # type: ignore[union-attr, misc]
    folder = Path(package) / "data" / "schemas"
    return folder / "resources", json.loads((folder / "providers" / "us-east-1.json").read_text())


def _handlers(kind: str) -> Iterator[str]:
    folder, names = _schemas()
    schema = json.loads((folder / f"{names[kind]}.json").read_text())
    for handler in schema["handlers"].values():
        for action in handler.get("permissions", ()):
            service, _, operation = action.partition(":")
            yield f"{service.lower()}:{operation}"


def _size(policy: dict[str, Any]) -> int:
    return len(json.dumps(policy, separators=(",", ":")))


def _shown(policy: dict[str, Any]) -> str:
    """Return the policy as JSON with a line per statement."""
    lines = ",\n".join(f"    {json.dumps(statement)}" for statement in policy["Statement"])
    return f'{{\n  "Version": "{policy["Version"]}",\n  "Statement": [\n{lines}\n  ]\n}}'


if __name__ == "__main__":
    sys.exit(main())
