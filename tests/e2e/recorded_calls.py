"""Calls that a stack has allowed, decided again by the role's policies without one permission."""

from __future__ import annotations

import json
from typing import Any

from local.aws.template import STACK_NAME
from local.iam.evaluator import Documents, Evaluator, Question

from .role_permissions import Permission

Calls = list[tuple[Documents, Question]]


def needs(evaluator: Evaluator, calls: Calls, permission: Permission) -> bool:
    """Say whether one of the calls is refused if the role lacks the permission, and nothing else."""
    role, sid, action = permission
    return any(
        not evaluator.decide(without(documents, sid, action), question).allowed
        for documents, question in calls
        if question.action == action and f":assumed-role/{STACK_NAME}-{role}/" in question.principal
    )


def without(documents: Documents, sid: str, action: str) -> Documents:
    """Return a role's policies without an action of one statement."""
    return tuple(
        (name, json.dumps(without_action(json.loads(text), sid, action))) for name, text in documents
    )


def without_action(document: dict[str, Any], sid: str, action: str) -> dict[str, Any]:
    """Return a policy without an action of one statement; a statement without actions allows nothing."""
    statements = []
    for statement in document["Statement"]:
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        if statement["Sid"] == sid:
            actions = [one for one in actions if one != action]
        statements.append({**statement, "Action": actions or ["sts:GetCallerIdentity"]})
    return {**document, "Statement": statements}
