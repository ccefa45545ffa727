"""Refuses calls of functions, of the state machine and of COPY that their roles do not allow.

A caller's role is known by its access key. A person's own keys may do everything.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from typing import Any
from xml.sax.saxutils import escape

from local.aws.function import ACCOUNT, NO_ROLE, REGION, Function
from local.aws.lambdas import ROLE_KEY, access_key
from local.iam import deployed
from local.iam.calls import Call, Permission, UnknownCall, needed
from local.iam.evaluator import Decision, Documents, Evaluator, EvaluatorError, Question

ALWAYS = (("aws:SecureTransport", "true"), ("aws:RequestedRegion", REGION))  # nothing here speaks TLS


@dataclass(frozen=True, slots=True, order=True)
class Use:
    """A statement that allowed an action to a role."""

    role: str
    policy: str
    sid: str
    action: str


class Guard:
    """Decides on calls by the policies that are deployed, and remembers which statements were needed."""

    def __init__(self, bucket_policies: Mapping[str, str]) -> None:
        self._evaluator = Evaluator()
        self._bucket_policies = bucket_policies
        self._lock = threading.Lock()
        self._uses: set[Use] = set()

    @property
    def uses(self) -> list[Use]:
        """Return the statements that allowed something so far."""
        with self._lock:
            return sorted(self._uses)

    def calls(self) -> dict[str, Any]:
        """Return what was allowed so far as JSON: sets of policies, and questions, each by its set."""
        numbers: dict[Documents, int] = {}
        calls = [
            [numbers.setdefault(policies, len(numbers)), *astuple(question)]
            for policies, question in self._evaluator.allowed()
        ]
        return {"policies": list(numbers), "calls": calls}

    def __call__(
        self, key: str, service: str, environ: dict[str, Any], start_response: Any
    ) -> Iterable[bytes] | None:
        """Answer a call that its caller may not make; return None for another."""
        message = self.refusal(key, service, environ)
        return None if message is None else answer(service, environ, message, start_response)

    def may_log(self, function: Function) -> bool:
        """Say whether a function may write its log."""
        if function.role == NO_ROLE:
            return True
        group = function.log_group or f"/aws/lambda/{function.name}"
        stream = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}:log-stream:local"
        needs = [Permission(action, stream) for action in ("logs:CreateLogStream", "logs:PutLogEvents")]
        return not any(self.denial(function.role, permission) for permission in needs)

    def refusal(self, key: str, service: str, environ: dict[str, Any]) -> str | None:
        """Return why the owner of an access key may not make the call, None if it may."""
        role = _role(key)
        if role is None:
            return None
        try:
            permissions = needed(Call.of(service, environ))
        except UnknownCall as error:
            return f"the local stack does not know what this call needs: {error}"
        return next(filter(None, (self.denial(role, permission) for permission in permissions)), None)

    def denial(self, role: str, permission: Permission) -> str | None:
        """Return AWS's message if the role lacks the permission; if it has it, remember the use."""
        decision = self.decision(role, permission)
        if isinstance(decision, str):
            return decision
        with self._lock:
            self._uses |= {
                Use(role, name, sid, permission.action) for name, sid in decision.allowed_by if name
            }
        return None

    def decision(self, role: str, permission: Permission) -> Decision | str:
        """Return the decision that allows it, or AWS's message; nothing is remembered."""
        policies = deployed.documents(role)
        if policies is None:
            return f"role {role} does not exist"
        principal = f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/local"
        question = Question(
            principal=principal,
            action=permission.action,
            resource=permission.resource,
            context=(*ALWAYS, ("aws:PrincipalAccount", ACCOUNT), *permission.context),
            resource_policy=permission.policy or self._bucket_policy(permission.resource),
        )
        try:
            decision = self._evaluator.decide(policies, question)
        except EvaluatorError as error:
            return f"the local stack cannot evaluate this call: {error}"
        if decision.allowed:
            return decision
        why = "with an explicit deny" if decision.explicit else _no_allow(permission)
        return (
            f"User: {principal} is not authorized to perform: {permission.action} "
            f"on resource: {permission.resource} {why}"
        )

    def close(self) -> None:
        """End the evaluator."""
        self._evaluator.close()

    def _bucket_policy(self, resource: str) -> str | None:
        if not resource.startswith("arn:aws:s3:::"):
            return None
        return self._bucket_policies.get(resource.removeprefix("arn:aws:s3:::").partition("/")[0])


def _role(key: str) -> str | None:
    """Return the role of an access key, None for a person's and the self-test's."""
    if not key.startswith(ROLE_KEY) or key == access_key(NO_ROLE):
        return None
    return next((name for name in deployed.role_names() if access_key(name) == key), key)


def _no_allow(permission: Permission) -> str:
    return f"because no identity-based policy allows the {permission.action} action"


def answer(service: str, environ: dict[str, Any], message: str, start_response: Any) -> Iterable[bytes]:
    """Answer a refused call in its service's own protocol."""
    status, kind, code = "403 Forbidden", "application/xml", "AccessDenied"
    if service == "s3":
        body = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    elif service == "sns":
        code = "KMSAccessDenied" if "perform: kms:" in message else "AuthorizationError"
        body = (
            f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code>"
            f"<Message>{escape(message)}</Message></Error></ErrorResponse>"
        )
    else:
        code, kind = "AccessDeniedException", "application/x-amz-json-1.1"
        status = "400 Bad Request" if "HTTP_X_AMZ_TARGET" in environ else status
        body = json.dumps({"__type": code, "Message": message, "message": message})
    content = b"" if environ["REQUEST_METHOD"] == "HEAD" else body.encode()
    headers = [("Content-Type", kind), ("Content-Length", str(len(content)))]
    start_response(status, [*headers, ("x-amzn-ErrorType", code), ("x-amzn-RequestId", "local")])
    return [content]
