"""The policies that are deployed: of roles, buckets, keys and topics, read from moto at each call."""

from __future__ import annotations

import json
import re
from typing import Any

from moto.iam.models import iam_backends
from moto.kms.models import kms_backends
from moto.s3.models import s3_backends
from moto.secretsmanager.models import secretsmanager_backends
from moto.sns.models import sns_backends

from local.aws import managed_policies
from local.aws.function import ACCOUNT, REGION
from local.iam.evaluator import Documents

LOG_GROUP = re.compile(r'(:log-group:[^":*]+)"')  # moto's Arn of a log group lacks the end that AWS gives it


def documents(role: str) -> Documents | None:
    """Return a role's inline and attached policies, None if there is no such role."""
    for known in tuple(iam_backends[ACCOUNT]["aws"].roles.values()):
        if known.name == role:
            attached = managed_policies.documents(known)
            return tuple((name, _text(policy)) for name, policy in {**known.policies, **attached}.items())
    return None


def _text(document: Any) -> str:
    text = document if isinstance(document, str) else json.dumps(document)  # moto has both
    return LOG_GROUP.sub(r'\1:*"', text)


def role_names() -> list[str]:
    """Return the names of all roles."""
    return [role.name for role in tuple(iam_backends[ACCOUNT]["aws"].roles.values())]


def bucket_key(bucket: str) -> str | None:
    """Return the ARN of the KMS key that encrypts a bucket's objects by default, None without one."""
    known = _buckets().get(bucket)
    rules = ((known and known.encryption) or {}).get("Rule", [])
    rules = rules if isinstance(rules, list) else [rules]
    for rule in rules:
        key = rule.get("ApplyServerSideEncryptionByDefault", {}).get("KMSMasterKeyID")
        if key:
            return key_arn(key)
    return None


def has_object(bucket: str, key: str) -> bool:
    """Say whether the bucket has an object of that key."""
    known = _buckets().get(bucket)
    return bool(known and key in known.keys)


def _buckets() -> Any:
    return s3_backends[ACCOUNT]["aws"].buckets


def key_arn(key: str) -> str:
    """Return a KMS key's ARN from its id or ARN."""
    return key if key.startswith("arn:") else f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{key}"


def key_policy(arn: str) -> str | None:
    """Return a KMS key's policy."""
    key = kms_backends[ACCOUNT][REGION].keys.get(arn.rpartition("/")[2])
    return _text(key.policy) if key else None


def topic_key(arn: str) -> str | None:
    """Return the ARN of the KMS key that encrypts a topic's messages, None without one."""
    topic = sns_backends[ACCOUNT][REGION].topics.get(arn)
    return key_arn(topic.kms_master_key_id) if topic and topic.kms_master_key_id else None


def topic_policy(arn: str) -> str | None:
    """Return a topic's policy."""
    topic = sns_backends[ACCOUNT][REGION].topics.get(arn)
    return _text(topic.policy) if topic else None


def secret_arn(identifier: str) -> str:
    """Return a secret's ARN from its name or ARN; a name without a secret gets no suffix."""
    if identifier.startswith("arn:"):
        return identifier
    secret = secretsmanager_backends[ACCOUNT][REGION].secrets.get(identifier)
    return str(secret.arn) if secret else f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{identifier}"


def secret_key(arn: str) -> str | None:
    """Return the ARN of the KMS key that encrypts a secret, None for AWS's own key, which needs no right."""
    secret = secretsmanager_backends[ACCOUNT][REGION].secrets.get(arn)
    key = getattr(secret, "kms_key_id", None)
    return key_arn(key) if key and not key.startswith("alias/aws/") else None
