"""Which permissions a call of AWS needs: its actions, on which resources, with which context keys.

A call that is not in the tables here has no permission, so a new call of the product fails until it is
added. Sources: the Service Authorization Reference, and the pages named beside the rules.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote

from local.aws.function import ACCOUNT, REGION
from local.iam import deployed

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """A signed request: its service, method, path, query, headers (lower case) and body."""

    service: str
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @classmethod
    def of(cls, service: str, environ: Mapping[str, Any]) -> Call:
        """Return the call of a WSGI request, whose body is read and put back."""
        stream = environ["wsgi.input"]
        body = stream.read()
        stream.seek(0)
        query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        return cls(
            service=service,
            method=environ["REQUEST_METHOD"],
            path=environ["PATH_INFO"].encode("latin-1").decode(),
            query={name: values[0] for name, values in query.items()},
            headers={
                name.removeprefix("HTTP_").replace("_", "-").lower(): value
                for name, value in environ.items()
                if name.startswith("HTTP_")
            },
            body=body,
        )

    @property
    def operation(self) -> str:
        """Return the operation of a JSON or query protocol, "" for another."""
        target = self.headers.get("x-amz-target", "").rpartition(".")[2]
        return target or str(self.fields.get("Action", ""))

    @property
    def fields(self) -> Body:
        """Return the body's fields, of JSON or of a form."""
        if self.body.lstrip()[:1] == b"{":
            content: Body = json.loads(self.body)
            return content
        return {name: values[0] for name, values in parse_qs(self.body.decode(errors="replace")).items()}


@dataclass(frozen=True, slots=True)
class Permission:
    """An action on a resource; `policy` is the resource's own policy as JSON, None without one."""

    action: str
    resource: str
    context: tuple[tuple[str, str], ...] = ()
    policy: str | None = None


def permission(action: str, resource: str, context: Mapping[str, str]) -> Permission:
    """Return a permission with the policy of its KMS key or topic."""
    policy = {"kms": deployed.key_policy, "sns": deployed.topic_policy}.get(action.partition(":")[0])
    return Permission(action, resource, tuple(context.items()), policy(resource) if policy else None)


class UnknownCall(Exception):
    """The tables here do not say what the call needs."""


def needed(call: Call) -> list[Permission]:
    """Return the permissions that a call needs, all of them; raises UnknownCall."""
    rule = RULES.get(call.service)
    permissions = list(rule(call)) if rule else []
    if not permissions:
        name = call.operation or f"{call.method} {call.path}"
        raise UnknownCall(f"{call.service} {name}: add what it needs to local/iam/calls.py")
    return permissions


def _arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


# S3: docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html


def _s3(call: Call) -> Iterator[Permission]:
    bucket, _, key = call.path.lstrip("/").partition("/")
    if not bucket:
        yield Permission("s3:ListAllMyBuckets", "*")
    elif not key:
        yield from _bucket(call, f"arn:aws:s3:::{bucket}")
    elif call.method in ("GET", "HEAD"):
        yield from _read_object(call, bucket, key)
    elif call.method in ("PUT", "POST"):
        yield from _write_object(call, bucket, key)
    elif call.method == "DELETE":
        yield Permission("s3:DeleteObject", f"arn:aws:s3:::{bucket}/{key}")


def _bucket(call: Call, bucket: str) -> Iterator[Permission]:
    if call.method == "GET" and "location" in call.query:
        yield Permission("s3:GetBucketLocation", bucket)
    elif call.method == "HEAD" or (call.method == "GET" and not call.query.keys() - LISTING):
        keys = {"s3:prefix": "prefix", "s3:delimiter": "delimiter", "s3:max-keys": "max-keys"}
        context = tuple((key, call.query[name]) for key, name in keys.items() if name in call.query)
        yield Permission("s3:ListBucket", bucket, context)


LISTING = {
    *("list-type", "prefix", "delimiter", "max-keys", "encoding-type", "continuation-token"),
    *("start-after", "fetch-owner", "marker"),
}


def _read_object(call: Call, bucket: str, key: str) -> Iterator[Permission]:
    action = "s3:GetObjectTagging" if "tagging" in call.query else "s3:GetObject"
    yield Permission(action, f"arn:aws:s3:::{bucket}/{key}")
    if not deployed.has_object(bucket, key):  # without the right to list, S3 does not say that it is missing
        yield Permission("s3:ListBucket", f"arn:aws:s3:::{bucket}")
    elif action == "s3:GetObject":
        yield from _kms(
            ["Decrypt"], deployed.bucket_key(bucket), "s3", ("aws:s3:arn", f"arn:aws:s3:::{bucket}")
        )


def _write_object(call: Call, bucket: str, key: str) -> Iterator[Permission]:
    resource = f"arn:aws:s3:::{bucket}/{key}"
    if "tagging" in call.query:
        yield Permission("s3:PutObjectTagging", resource)
        return
    encryption = ("", "-aws-kms-key-id", "-customer-algorithm")
    names = {
        **{
            f"s3:x-amz-server-side-encryption{end}": f"x-amz-server-side-encryption{end}"
            for end in encryption
        },
        "s3:if-match": "if-match",
        "s3:if-none-match": "if-none-match",
    }
    context = tuple((name, call.headers[header]) for name, header in names.items() if header in call.headers)
    yield Permission("s3:PutObject", resource, context)
    if "if-match" in call.headers:  # it tells what the object is
        yield Permission("s3:GetObject", resource)
    if tags := call.headers.get("x-amz-tagging"):
        tagged = tuple((f"s3:RequestObjectTag/{name}", values[0]) for name, values in parse_qs(tags).items())
        yield Permission("s3:PutObjectTagging", resource, tagged)
    if source := call.headers.get("x-amz-copy-source"):
        yield Permission("s3:GetObject", f"arn:aws:s3:::{unquote(source).lstrip('/')}")
    key_arn = call.headers.get("x-amz-server-side-encryption-aws-kms-key-id") or deployed.bucket_key(bucket)
    in_parts = "uploadId" in call.query or "uploads" in call.query  # parts that exist are decrypted
    actions = ["GenerateDataKey", "Decrypt"] if in_parts else ["GenerateDataKey"]
    yield from _kms(actions, key_arn, "s3", ("aws:s3:arn", f"arn:aws:s3:::{bucket}"))


def _kms(actions: list[str], key: str | None, via: str, encrypts: tuple[str, str]) -> Iterator[Permission]:
    """Yield what a service needs of a KMS key on behalf of its caller (kms:ViaService)."""
    if key is None:
        return
    arn = deployed.key_arn(key)
    name, value = encrypts
    context = (
        ("kms:ViaService", f"{via}.{REGION}.amazonaws.com"),
        ("kms:CallerAccount", ACCOUNT),
        (f"kms:EncryptionContext:{name}", value),
    )
    for action in actions:
        yield Permission(f"kms:{action}", arn, context, deployed.key_policy(arn))


# SNS: docs.aws.amazon.com/sns/latest/dg/sns-key-management.html


def _sns(call: Call) -> Iterator[Permission]:
    if call.operation == "Publish":
        topic = str(call.fields.get("TopicArn") or call.fields.get("TargetArn"))
        yield Permission("sns:Publish", topic, policy=deployed.topic_policy(topic))
        actions = ["GenerateDataKey", "Decrypt"]
        yield from _kms(actions, deployed.topic_key(topic), "sns", ("aws:sns:topicArn", topic))


# The Data API: docs.aws.amazon.com/redshift/latest/mgmt/data-api-access.html


def _redshift_data(call: Call) -> Iterator[Permission]:
    if call.operation in ("ExecuteStatement", "BatchExecuteStatement"):
        yield Permission(f"redshift-data:{call.operation}", _warehouse(call.fields))
        yield from _credentials(call.fields)
    elif call.operation in ("DescribeStatement", "GetStatementResult", "CancelStatement", "ListStatements"):
        yield Permission(f"redshift-data:{call.operation}", "*")


def _warehouse(fields: Body) -> str:
    if "ClusterIdentifier" in fields:
        return _arn("redshift", f"cluster:{fields['ClusterIdentifier']}")
    return workgroup_arn(str(fields.get("WorkgroupName")))


def workgroup_arn(name: str) -> str:
    """Return a workgroup's ARN; on AWS it ends with an id, here with the name."""
    return _arn("redshift-serverless", f"workgroup/{name}")


def _credentials(fields: Body) -> Iterator[Permission]:
    """Yield what makes the caller a database user: a secret, a workgroup's or a cluster's credentials."""
    if "SecretArn" in fields:
        yield from _read_secret(str(fields["SecretArn"]))
    elif "ClusterIdentifier" not in fields:
        yield Permission("redshift-serverless:GetCredentials", _warehouse(fields))
    elif "DbUser" in fields:
        cluster = fields["ClusterIdentifier"]
        for resource in (
            f"dbuser:{cluster}/{fields['DbUser']}",
            f"dbname:{cluster}/{fields.get('Database')}",
        ):
            yield Permission("redshift:GetClusterCredentials", _arn("redshift", resource))
    else:
        resource = f"dbname:{fields['ClusterIdentifier']}/{fields.get('Database')}"
        yield Permission("redshift:GetClusterCredentialsWithIAM", _arn("redshift", resource))


# Services with a resource per call, or with none


def _scheduler(call: Call) -> Iterator[Permission]:
    parts = call.path.strip("/").split("/")
    if parts == ["schedules"]:
        yield Permission("scheduler:ListSchedules", "*")
        return
    if parts[0] != "schedules" or call.method not in SCHEDULES:
        return
    group = call.query.get("groupName") or call.fields.get("GroupName") or "default"
    yield Permission(SCHEDULES[call.method], _arn("scheduler", f"schedule/{group}/{parts[1]}"))
    if call.method in ("POST", "PUT"):
        target = call.fields["Target"]["RoleArn"]
        yield Permission("iam:PassRole", target, (("iam:PassedToService", "scheduler.amazonaws.com"),))


SCHEDULES = {
    "GET": "scheduler:GetSchedule",
    "POST": "scheduler:CreateSchedule",
    "PUT": "scheduler:UpdateSchedule",
    "DELETE": "scheduler:DeleteSchedule",
}


def _lambda(call: Call) -> Iterator[Permission]:
    parts = call.path.strip("/").split("/")
    if call.method == "POST" and parts[1:2] == ["functions"] and parts[-1] == "invocations":
        name = unquote(parts[2]).rpartition(":")[2]
        yield Permission("lambda:InvokeFunction", _arn("lambda", f"function:{name}"))


def _secrets(call: Call) -> Iterator[Permission]:
    if call.operation == "GetSecretValue":
        yield from _read_secret(str(call.fields.get("SecretId")))


def _read_secret(identifier: str) -> Iterator[Permission]:
    secret = deployed.secret_arn(identifier)
    yield Permission("secretsmanager:GetSecretValue", secret)
    yield from _kms(["Decrypt"], deployed.secret_key(secret), "secretsmanager", ("SecretARN", secret))


def _ssm(call: Call) -> Iterator[Permission]:
    if call.operation in ("UpdateOpsItem", "GetOpsItem"):
        yield Permission(f"ssm:{call.operation}", _arn("ssm", f"opsitem/{call.fields.get('OpsItemId')}"))
    elif call.operation in ("CreateOpsItem", "DescribeOpsItems"):
        yield Permission(f"ssm:{call.operation}", "*")


def _states(call: Call) -> Iterator[Permission]:
    if call.operation == "DescribeExecution":
        yield Permission("states:DescribeExecution", str(call.fields.get("executionArn")))
    elif call.operation == "StartExecution":
        yield Permission("states:StartExecution", str(call.fields.get("stateMachineArn")))


def _redshift_serverless(call: Call) -> Iterator[Permission]:
    if call.operation.endswith(("UsageLimit", "UsageLimits")):
        yield Permission(f"redshift-serverless:{call.operation}", "*")


RULES: dict[str, Callable[[Call], Iterator[Permission]]] = {  # by the service in the signature
    "lambda": _lambda,
    "redshift-data": _redshift_data,
    "redshift-serverless": _redshift_serverless,
    "s3": _s3,
    "scheduler": _scheduler,
    "secretsmanager": _secrets,
    "sns": _sns,
    "ssm": _ssm,
    "states": _states,
}
