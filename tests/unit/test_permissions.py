"""Each permission in template.yaml is taken away by a test, or is listed with a reason."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from local.aws.template import read
from local.iam import evaluator
from tests.e2e.role_permissions import TAKEN_AWAY, listed, used_against_the_list

ROOT = Path(__file__).parents[2]
LISTED: dict[str, list[dict[str, Any]]] = yaml.safe_load((ROOT / "tests/permissions.yaml").read_text())


def test_the_evaluator_is_installed() -> None:
    assert evaluator.available(), "run make setup: without it the local stack enforces nothing"


def test_each_permission_is_taken_away_by_a_test_or_listed() -> None:
    taken = {"/".join(permission) for permission in TAKEN_AWAY}
    assert sorted(taken - permissions()) == []
    assert sorted(name for name in permissions() - taken if not is_listed(name)) == []


def test_no_listed_permission_is_taken_away() -> None:
    assert sorted(name for name in map("/".join, TAKEN_AWAY) if is_listed(name)) == []


def test_a_use_that_the_list_rules_out_is_found() -> None:
    uses = [
        ("tributary-PlanRole", "p", "Sid", "a:B"),
        ("tributary-ReportRole", "t", "SendTraces", "xray:PutTraceSegments"),
    ]
    assert used_against_the_list(uses) == ["ReportRole/SendTraces/xray:PutTraceSegments"]


def test_each_entry_of_the_list_is_of_the_template_and_has_a_reason() -> None:
    for entries in LISTED.values():
        for entry in entries:
            assert entry["reason"]
            for pattern in entry["permissions"]:
                assert any(fnmatchcase(name, pattern) for name in permissions()), pattern


def is_listed(name: str) -> bool:
    return any(fnmatchcase(name, one) for kind in ("never_used", "only_used") for one in listed(kind))


def permissions() -> set[str]:
    """Return all permissions as role/Sid/action; for a managed policy, its name is the role."""
    return set(_permissions(read(ROOT / "template.yaml")["Resources"]))


def _permissions(resources: dict[str, Any]) -> Iterator[str]:
    for name, resource in resources.items():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::IAM::Role":
            for policy in properties.get("Policies", []):
                yield from _of_document(name, policy["PolicyDocument"])
        elif resource["Type"] == "AWS::IAM::Policy":
            for role in properties["Roles"]:
                yield from _of_document(role["Ref"], properties["PolicyDocument"])
        elif resource["Type"] == "AWS::IAM::ManagedPolicy":
            yield from _of_document(name, properties["PolicyDocument"])


def _of_document(role: str, tree: Any) -> Iterator[str]:
    """Yield the permissions of every statement that allows, those under conditions too."""
    if isinstance(tree, list):
        for item in tree:
            yield from _of_document(role, item)
    elif isinstance(tree, dict) and tree.get("Effect") == "Deny":
        return
    elif isinstance(tree, dict) and "Effect" in tree:
        actions = tree["Action"] if isinstance(tree["Action"], list) else [tree["Action"]]
        yield from (f"{role}/{tree.get('Sid', '')}/{action}" for action in actions)
    elif isinstance(tree, dict):
        for item in tree.values():
            yield from _of_document(role, item)
