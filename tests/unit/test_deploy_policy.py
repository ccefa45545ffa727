"""docs/deploy.md has the policies that a deploying person needs, as they follow from the templates."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from docs import deploy_policy


def test_the_page_is_what_the_templates_give() -> None:
    text = deploy_policy.PAGE.read_text()
    assert text == deploy_policy.page(text), "run make policy"


def test_the_policies_fit_into_iam() -> None:
    texts = re.findall(r"```json\n(.*?)```", deploy_policy.PAGE.read_text(), re.DOTALL)
    policies = [json.loads(text) for text in texts if "Statement" in text]
    assert policies == deploy_policy.policies()
    assert all(len(json.dumps(policy, separators=(",", ":"))) <= 6_144 for policy in policies)


def test_roles_and_policies_can_be_changed_only_by_the_stacks_names() -> None:
    for statement in statements():
        if any(action.startswith("iam:") for action in statement["Action"]):
            changing = [name for name in statement["Action"] if not name.startswith(("iam:Get", "iam:List"))]
            assert not changing or statement["Resource"] != "*"


def test_what_the_templates_resources_need_is_allowed() -> None:
    allowed = {action for statement in statements() for action in statement["Action"]}
    assert {
        "cloudformation:ExecuteChangeSet",
        "iam:PassRole",
        "kms:CreateKey",
        "lambda:CreateFunction",
        "lambda:InvokeFunction",
        "redshift-serverless:CreateWorkgroup",
        "s3:PutBucketPolicy",
        "scheduler:CreateScheduleGroup",
        "sns:CreateTopic",
        "states:CreateStateMachine",
    } <= allowed


def statements() -> Iterator[dict[str, Any]]:
    for policy in deploy_policy.policies():
        for statement in policy["Statement"]:
            actions = statement["Action"]
            yield {**statement, "Action": actions if isinstance(actions, list) else [actions]}
