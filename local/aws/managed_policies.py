"""Managed policies of roles, which moto's CloudFormation leaves out: noted on moto's roles."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from typing import Any

from moto.iam.models import iam_backends

from local.aws.function import ACCOUNT

AWS = "arn:aws:iam::aws:policy/"
NOTE = "managed_policies_of_the_template"


def note(role: str, arns: Iterable[str]) -> None:
    """Note which policies the template attaches to the role."""
    for known in iam_backends[ACCOUNT]["aws"].roles.values():
        if known.name == role:
            vars(known)[NOTE] = tuple(arns)


def documents(role: Any) -> dict[str, Any]:
    """Return the documents of a moto role's managed policies by their names."""
    arns = {*role.managed_policies, *vars(role).get(NOTE, ())}
    return {arn.rpartition("/")[2]: _document(arn) for arn in sorted(arns)}


def _document(arn: str) -> Any:
    if arn.startswith(AWS):
        return _of_aws()[arn.rpartition("/")[2]]["Document"]
    versions = iam_backends[ACCOUNT]["aws"].managed_policies[arn].versions
    return next(version.document for version in versions if version.is_default)


@cache
def _of_aws() -> dict[str, Any]:
    from moto.iam.aws_managed_policies import aws_managed_policies_data  # 5 MB, needed by few templates

    policies: dict[str, Any] = json.loads(aws_managed_policies_data)
    return policies
