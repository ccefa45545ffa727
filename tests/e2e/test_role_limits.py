"""Who may do what: each cell of the table in docs/security.md, by the policies that are deployed."""

from __future__ import annotations

import re
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from local.aws.clients import client
from local.aws.function import ACCOUNT, REGION
from local.aws.lambdas import access_key
from local.aws.template import STACK_NAME
from local.iam.calls import workgroup_arn

from .company import Company

PAGE = (Path(__file__).parents[2] / "docs/security.md").read_text()
ROW = re.compile(r"^\| `([\w-]+:\w+)`( [^|]+)? \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
ROWS = [tuple(cell.strip() for cell in row) for row in ROW.findall(PAGE)]
FUNCTIONS = ("Plan", "Extract", "Load", "Report", "Schedules", "Warehouse", "Access")


def arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


ANOTHER_KEY = arn("kms", "key/0d2f8f32-5f1f-4d7e-bea1-de2a026f4d89")
# The words after a call's name, as context keys.
CONTEXTS: dict[str, dict[str, str]] = {
    "": {},
    "under another key": {
        "s3:x-amz-server-side-encryption": "aws:kms",
        "s3:x-amz-server-side-encryption-aws-kms-key-id": ANOTHER_KEY,
    },
    "under AWS's key": {"s3:x-amz-server-side-encryption": "aws:kms"},
    "under a key of the caller's": {"s3:x-amz-server-side-encryption-customer-algorithm": "AES256"},
    "without TLS": {"aws:SecureTransport": "false"},
    "of a source's secret": {
        "kms:ViaService": f"secretsmanager.{REGION}.amazonaws.com",
        "kms:EncryptionContext:SecretARN": arn("secretsmanager", "secret:tributary/shop-a1b2c3"),
    },
    "of another secret": {
        "kms:ViaService": f"secretsmanager.{REGION}.amazonaws.com",
        "kms:EncryptionContext:SecretARN": arn("secretsmanager", "secret:payroll-a1b2c3"),
    },
    "to Scheduler": {"iam:PassedToService": "scheduler.amazonaws.com"},
    "to Lambda": {"iam:PassedToService": "lambda.amazonaws.com"},
}


def resources(company: Company) -> dict[str, str]:
    """Return the ARNs of what the table's second column names."""
    outputs = company.stack.outputs
    raw = f"arn:aws:s3:::{outputs['RawBucketName']}"
    roles = {name: f"arn:aws:iam::{ACCOUNT}:role/{STACK_NAME}-{name}" for name in roles_of(company)}
    return {
        **roles,
        "everything": "*",
        "`raw`": raw,
        "a chunk": f"{raw}/shop/2026/12/01/orders/orders_20261201_000000_0_000001.parquet",
        "the access logs": f"arn:aws:s3:::{outputs['AccessLogBucketName']}/raw/2026-12-01",
        "another bucket": "arn:aws:s3:::payroll/2026.csv",
        "the raw layer's key": outputs["DataKeyArn"],
        "the topic's key": topic_key(company),
        "another key": str(company.client("kms").create_key()["KeyMetadata"]["Arn"]),
        "a source's secret": arn("secretsmanager", "secret:tributary/shop-a1b2c3"),
        "another stage's secret": arn("secretsmanager", "secret:tributary-prod/shop-a1b2c3"),
        "the administrator's secret": administrators_secret(company),
        "another secret": arn("secretsmanager", "secret:payroll-a1b2c3"),
        "the workgroup": workgroup_arn(outputs["WarehouseWorkgroup"]),
        "another workgroup": workgroup_arn("finance"),
        **{name: arn("lambda", f"function:{company.function(f'{name}Function')}") for name in FUNCTIONS},
        **{f"{name}'s log": log_stream(company, name) for name in FUNCTIONS},
        "Schedules' log": log_stream(company, "Schedules"),
        "the state machine": outputs["StateMachineArn"],
        "another state machine": arn("states", "stateMachine:payroll"),
        "an execution": arn("states", f"execution:{STACK_NAME}:x"),
        "a schedule": arn("scheduler", f"schedule/{outputs['ScheduleGroupName']}/shop"),
        "a schedule of another group": arn("scheduler", "schedule/default/backup"),
        "the topic": outputs["TopicArn"],
        "another topic": arn("sns", "payroll"),
        "the queue of failed starts": arn("sqs", f"{STACK_NAME}-ScheduleDeadLetters"),
        "the queue of unreported ends": arn("sqs", f"{STACK_NAME}-ReportDeadLetters"),
        "an OpsItem": arn("ssm", "opsitem/oi-0123456789ab"),
        "a parameter": arn("ssm", "parameter/password"),
        "a table of Glue": arn("glue", "table/etl_raw_dev/orders"),
        "the stack": arn("cloudformation", f"stack/{STACK_NAME}/1"),
    }


def roles_of(company: Company) -> list[str]:
    """Return the roles of the stack by their names in the template."""
    pages = company.client("iam").get_paginator("list_roles").paginate()
    names = [role["RoleName"] for page in pages for role in page["Roles"]]
    return [name.removeprefix(f"{STACK_NAME}-") for name in names if name.startswith(f"{STACK_NAME}-")]


def topic_key(company: Company) -> str:
    topic = company.stack.outputs["TopicArn"]
    attributes = company.client("sns").get_topic_attributes(TopicArn=topic)["Attributes"]
    return arn("kms", f"key/{attributes['KmsMasterKeyId'].rpartition('/')[2]}")


def administrators_secret(company: Company) -> str:
    configuration = company.client("lambda").get_function_configuration(
        FunctionName=company.function("AccessFunction")
    )
    return str(configuration["Environment"]["Variables"]["ADMIN_SECRET"])


def log_stream(company: Company, function: str) -> str:
    pages = company.client("logs").get_paginator("describe_log_groups").paginate()
    groups = [group["logGroupName"] for page in pages for group in page["logGroups"]]
    group = next(name for name in groups if f"{function}LogGroup" in name)
    return arn("logs", f"log-group:{group}:log-stream:x")


@pytest.fixture(scope="session")
def places(company: Company) -> dict[str, str]:
    return resources(company)


@pytest.mark.parametrize("row", ROWS, ids=["-".join(row[:3]) for row in ROWS])
def test_only_the_listed_roles_may(company: Company, places: dict[str, str], row: tuple[str, ...]) -> None:
    call, words, on, roles = row
    key = on.strip("`").removeprefix("raw/")
    resource = places[on] if on in places else f"{places['`raw`']}/{key}"
    assert on in places or on.startswith("`raw/"), on
    allowed = [role for role in roles_of(company) if company.stack.may(role, call, resource, CONTEXTS[words])]
    assert sorted(allowed) == sorted(role for role in roles.split(", ") if role != "none")


def test_the_table_names_every_function_and_every_kind_of_document() -> None:
    assert len(ROWS) > 90
    cells = {row[2] for row in ROWS}
    assert cells >= {*FUNCTIONS, *(f"{name}'s log" for name in FUNCTIONS if name != "Schedules")}


def test_an_event_cannot_make_its_sender_a_loader_or_move_the_usage_limit(company: Company) -> None:
    forged = {
        "Loader": "IAMR:forged",
        "Database": "postgres",
        "AdminSecretArn": administrators_secret(company),
        "WorkgroupArn": workgroup_arn("finance"),
        "Amount": "1",
        "Action": "deactivate",
    }
    with closing(Answers()) as answers:
        for kind in ("Custom::Warehouse", "Custom::UsageLimit"):
            event = {"RequestType": "Update", "ResourceType": kind, "ResourceProperties": forged}
            ids = {"StackId": "s", "RequestId": "r", "LogicalResourceId": "l", "PhysicalResourceId": "p"}
            company.invoke("WarehouseFunction", {**event, **ids, "ResponseURL": answers.url})
    assert len(answers.received) == 2
    assert company.warehouse("SELECT 1 FROM pg_user WHERE usename = 'IAMR:forged'") == []
    limits = company.client("redshift-serverless").list_usage_limits()["usageLimits"]
    assert [limit for limit in limits if limit["resourceArn"] == workgroup_arn("finance")] == []


class Answers:
    """Where CloudFormation would take a custom resource's answer."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        received = self.received

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                received.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.mark.parametrize(
    ("service", "operation", "fields"),
    [
        ("s3", "put_object", {"Key": "_runs/shop/20261201_000000/items-0123456789ab/0.json", "Body": b"{}"}),
        ("s3", "put_object", {"Key": "_leases/shop.json", "Body": b"{}"}),
        ("lambda", "invoke", {"FunctionName": "AccessFunction", "Payload": b"{}"}),
        ("lambda", "invoke", {"FunctionName": "WarehouseFunction", "Payload": b"{}"}),
        ("redshift-data", "execute_statement", {"Sql": "SELECT 1", "WorkgroupName": "", "Database": "dev"}),
    ],
)
def test_a_taken_over_extract_is_refused(
    company: Company, service: str, operation: str, fields: dict[str, object]
) -> None:
    api = client(service, company.stack.endpoint_url, access_key(f"{STACK_NAME}-ExtractRole"))
    outputs = company.stack.outputs
    given = dict(fields)
    if service == "s3":
        given["Bucket"] = outputs["RawBucketName"]
    elif service == "lambda":
        given["FunctionName"] = company.function(str(fields["FunctionName"]))
    else:
        given["WorkgroupName"] = outputs["WarehouseWorkgroup"]
    with pytest.raises(ClientError, match="is not authorized to perform"):
        getattr(api, operation)(**given)
