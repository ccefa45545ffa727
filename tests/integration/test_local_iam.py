"""IAM in the local stack: what calls need, what policies say, and how a refusal looks to a client."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.aws.bucket_policies import BucketPolicies
from local.aws.clients import client
from local.aws.gateway import Gateway
from local.aws.lambdas import access_key
from local.iam.calls import Call, UnknownCall, needed
from local.iam.evaluator import Evaluator, Question
from local.iam.guard import Guard

ROLE = "arn:aws:sts::123456789012:assumed-role/reader/local"
OBJECT = "arn:aws:s3:::raw/a/b"
KEY = "arn:aws:kms:us-east-1:123456789012:key/0d2f"


@pytest.fixture(scope="module")
def evaluator() -> Iterator[Evaluator]:
    made = Evaluator()
    yield made
    made.close()


def statement(**fields: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "s3:GetObject", "Resource": OBJECT, **fields}


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


TLS = statement(
    Effect="Deny",
    Principal="*",
    Resource="arn:aws:s3:::raw/*",
    Condition={"Bool": {"aws:SecureTransport": "false"}},
)
OF_A_SECRET = statement(
    Action="kms:Decrypt",
    Resource=KEY,
    Condition={"StringLike": {"kms:EncryptionContext:SecretARN": "a/*"}},
)
ROOT = statement(Principal={"AWS": "arn:aws:iam::123456789012:root"}, Action="kms:Decrypt", Resource="*")


@pytest.mark.parametrize(
    ("statements", "question", "allowed"),
    [
        ([statement()], Question(ROLE, "s3:GetObject", OBJECT), True),
        ([statement()], Question(ROLE, "s3:PutObject", OBJECT), False),
        ([statement()], Question(ROLE, "s3:GetObject", "arn:aws:s3:::raw/a/c"), False),
        ([statement(Resource="arn:aws:s3:::raw/?/*")], Question(ROLE, "s3:GetObject", OBJECT), True),
        ([statement(Action="s3:Get*")], Question(ROLE, "s3:GetObject", OBJECT), True),
        (
            [{"Effect": "Allow", "NotAction": "s3:Put*", "Resource": "*"}],
            Question(ROLE, "s3:PutObject", OBJECT),
            False,
        ),
        ([statement(), statement(Effect="Deny")], Question(ROLE, "s3:GetObject", OBJECT), False),
        (
            [statement(Condition={"StringEquals": {"aws:RequestedRegion": "eu-west-1"}})],
            Question(ROLE, "s3:GetObject", OBJECT, (("aws:RequestedRegion", "us-east-1"),)),
            False,
        ),
        (
            [statement()],
            Question(ROLE, "s3:GetObject", OBJECT, (("aws:SecureTransport", "false"),), policy(TLS)),
            False,
        ),
        (
            [statement()],
            Question(ROLE, "s3:GetObject", OBJECT, (("aws:SecureTransport", "true"),), policy(TLS)),
            True,
        ),
        (
            [statement(Action="kms:Decrypt", Resource=KEY)],
            Question(ROLE, "kms:Decrypt", KEY, (), policy(ROOT)),
            True,
        ),
        (
            [statement(Action="kms:Decrypt", Resource=KEY)],
            Question(ROLE, "kms:Decrypt", KEY, (), policy({**ROOT, "Action": "kms:Encrypt"})),
            False,
        ),
        (
            [OF_A_SECRET],
            Question(ROLE, "kms:Decrypt", KEY, (("kms:EncryptionContext:SecretARN", "a/b"),), policy(ROOT)),
            True,
        ),
        (
            [OF_A_SECRET],
            Question(ROLE, "kms:Decrypt", KEY, (("kms:EncryptionContext:SecretARN", "b/a"),), policy(ROOT)),
            False,
        ),
        ([OF_A_SECRET], Question(ROLE, "kms:Decrypt", KEY, (), policy(ROOT)), False),
    ],
)
def test_a_decision_is_that_of_aws(
    evaluator: Evaluator, statements: list[dict[str, Any]], question: Question, *, allowed: bool
) -> None:
    assert evaluator.decide((("own", policy(*statements)),), question).allowed == allowed


def test_a_decision_names_the_statement_that_allows(evaluator: Evaluator) -> None:
    documents = (("own", policy(statement(Sid="Other", Action="s3:PutObject"), statement(Sid="Read"))),)
    decision = evaluator.decide(documents, Question(ROLE, "s3:GetObject", OBJECT))
    assert decision.allowed_by == (("own", "Read"),)


def call(
    service: str, method: str = "POST", path: str = "/", query: str = "", body: Any = "", **headers: str
) -> Call:
    environ = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    content = (body if isinstance(body, str) else json.dumps(body)).encode()
    environ |= {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query}
    return Call.of(service, {**environ, "wsgi.input": io.BytesIO(content)})


REGION = "us-east-1:123456789012"
WAREHOUSE = {"WorkgroupName": "dev", "Database": "warehouse"}
CLUSTER = {"ClusterIdentifier": "dw", "Database": "warehouse", "DbUser": "loader"}
SCHEDULE = {"GroupName": "tributary", "Target": {"RoleArn": "arn:aws:iam::123456789012:role/start"}}


@pytest.mark.parametrize(
    ("made", "permissions"),
    [
        (
            call("s3", "GET", "/raw", "list-type=2&prefix=a"),
            {("s3:ListBucket", "arn:aws:s3:::raw")},
        ),
        (
            call("s3", "GET", "/raw/a/b"),  # it is missing
            {("s3:GetObject", OBJECT), ("s3:ListBucket", "arn:aws:s3:::raw")},
        ),
        (
            call("s3", "PUT", "/raw/a/b", x_amz_tagging="layer=raw"),
            {("s3:PutObject", OBJECT), ("s3:PutObjectTagging", OBJECT)},
        ),
        (
            call("s3", "PUT", "/raw/a/b", if_match="etag"),
            {("s3:PutObject", OBJECT), ("s3:GetObject", OBJECT)},
        ),
        (call("s3", "DELETE", "/raw/a/b"), {("s3:DeleteObject", OBJECT)}),
        (
            call("redshift-data", body=WAREHOUSE, x_amz_target="RedshiftData.ExecuteStatement"),
            {
                ("redshift-data:ExecuteStatement", f"arn:aws:redshift-serverless:{REGION}:workgroup/dev"),
                ("redshift-serverless:GetCredentials", f"arn:aws:redshift-serverless:{REGION}:workgroup/dev"),
            },
        ),
        (
            call("redshift-data", body=CLUSTER, x_amz_target="RedshiftData.BatchExecuteStatement"),
            {
                ("redshift-data:BatchExecuteStatement", f"arn:aws:redshift:{REGION}:cluster:dw"),
                ("redshift:GetClusterCredentials", f"arn:aws:redshift:{REGION}:dbuser:dw/loader"),
                ("redshift:GetClusterCredentials", f"arn:aws:redshift:{REGION}:dbname:dw/warehouse"),
            },
        ),
        (
            call("scheduler", "PUT", "/schedules/shop", body=SCHEDULE),
            {
                ("scheduler:UpdateSchedule", f"arn:aws:scheduler:{REGION}:schedule/tributary/shop"),
                ("iam:PassRole", "arn:aws:iam::123456789012:role/start"),
            },
        ),
        (
            call("sns", body="Action=Publish&TopicArn=arn%3Aaws%3Asns%3Aus-east-1%3A123456789012%3Anews"),
            {("sns:Publish", f"arn:aws:sns:{REGION}:news")},
        ),
        (
            call("lambda", path=f"/2015-03-31/functions/arn:aws:lambda:{REGION}:function:plan/invocations"),
            {("lambda:InvokeFunction", f"arn:aws:lambda:{REGION}:function:plan")},
        ),
    ],
)
def test_what_a_call_needs(made: Call, permissions: set[tuple[str, str]]) -> None:
    assert {(one.action, one.resource) for one in needed(made)} == permissions


@pytest.mark.parametrize(
    "made",
    [call("dynamodb", x_amz_target="DynamoDB_20120810.GetItem"), call("s3", "GET", "/raw", "acl=")],
)
def test_a_call_that_is_in_no_table_is_refused(made: Call) -> None:
    with pytest.raises(UnknownCall, match=r"local/iam/calls\.py"):
        needed(made)


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    """A gateway that enforces IAM, with a role that may read what is under `a/` in a bucket."""
    made, policies = Gateway(), BucketPolicies()
    guard = Guard(policies.by_bucket)
    made.guard = guard
    made.route(policies.claims, policies)
    client("s3", made.url).create_bucket(Bucket="guarded")
    client("s3", made.url).put_object(Bucket="guarded", Key="a/b", Body=b"1")
    iam = client("iam", made.url)
    iam.create_role(RoleName="guarded-reader", AssumeRolePolicyDocument="{}")
    document = policy(statement(Resource="arn:aws:s3:::guarded/a/*"))
    iam.put_role_policy(RoleName="guarded-reader", PolicyName="own", PolicyDocument=document)
    yield made
    guard.close()
    made.stop()


def test_a_role_may_do_what_its_policies_allow_and_a_person_everything(gateway: Gateway) -> None:
    reader = client("s3", gateway.url, access_key("guarded-reader"))
    assert reader.get_object(Bucket="guarded", Key="a/b")["Body"].read() == b"1"
    with pytest.raises(ClientError, match=r"AccessDenied.*is not authorized to perform: s3:PutObject"):
        reader.put_object(Bucket="guarded", Key="a/b", Body=b"2")
    client("s3", gateway.url).put_object(Bucket="guarded", Key="a/b", Body=b"1")


def test_a_missing_object_is_not_told_from_one_that_is_not_allowed(gateway: Gateway) -> None:
    reader = client("s3", gateway.url, access_key("guarded-reader"))
    with pytest.raises(ClientError, match=r"AccessDenied.*s3:ListBucket"):
        reader.get_object(Bucket="guarded", Key="a/missing")
    with pytest.raises(ClientError, match="403"):
        reader.head_object(Bucket="guarded", Key="a/missing")


def test_a_buckets_policy_denies_what_the_role_allows(gateway: Gateway) -> None:
    person, reader = client("s3", gateway.url), client("s3", gateway.url, access_key("guarded-reader"))
    deny = statement(Effect="Deny", Principal="*", Resource="arn:aws:s3:::guarded/*")
    person.put_bucket_policy(Bucket="guarded", Policy=policy(deny))
    assert json.loads(person.get_bucket_policy(Bucket="guarded")["Policy"])["Statement"] == [deny]
    with pytest.raises(ClientError, match="with an explicit deny"):
        reader.get_object(Bucket="guarded", Key="a/b")
    person.delete_bucket_policy(Bucket="guarded")
    assert reader.get_object(Bucket="guarded", Key="a/b")["Body"].read() == b"1"


@pytest.mark.parametrize(
    ("service", "operation", "fields", "code"),
    [
        ("secretsmanager", "get_secret_value", {"SecretId": "x"}, "AccessDeniedException"),
        ("scheduler", "list_schedules", {}, "AccessDeniedException"),
        ("lambda", "invoke", {"FunctionName": "x"}, "AccessDeniedException"),
        (
            "sns",
            "publish",
            {"TopicArn": "arn:aws:sns:us-east-1:123456789012:x", "Message": "m"},
            "AuthorizationError",
        ),
        (
            "ssm",
            "create_ops_item",
            {"Title": "t", "Description": "d", "Source": "s"},
            "AccessDeniedException",
        ),
    ],
)
def test_each_service_refuses_in_its_own_protocol(
    gateway: Gateway, service: str, operation: str, fields: dict[str, str], code: str
) -> None:
    api = client(service, gateway.url, access_key("guarded-reader"))
    with pytest.raises(ClientError, match="is not authorized to perform") as refusal:
        getattr(api, operation)(**fields)
    assert refusal.value.response["Error"]["Code"] == code


def test_a_role_that_does_not_exist_may_do_nothing(gateway: Gateway) -> None:
    with pytest.raises(ClientError, match="does not exist"):
        client("s3", gateway.url, access_key("nothing")).get_object(Bucket="guarded", Key="a/b")
