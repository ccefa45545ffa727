"""The local stack refuses requests that services refuse by rules which botocore's clients do not check."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.session import get_session

from local.aws import request_limits

LONG = "x" * 70_000


def environ(target: str, fields: dict[str, Any]) -> dict[str, Any]:
    body = json.dumps(fields).encode()
    return {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/",
        "HTTP_X_AMZ_TARGET": target,
        "wsgi.input": io.BytesIO(body),
    }


def rest(method: str, path: str, fields: dict[str, Any], query: str = "") -> dict[str, Any]:
    body = io.BytesIO(json.dumps(fields).encode())
    return {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query, "wsgi.input": body}


def form(**fields: str) -> dict[str, Any]:
    body = io.BytesIO(urlencode(fields).encode())
    return {"REQUEST_METHOD": "POST", "PATH_INFO": "/", "wsgi.input": body}


def put(path: str, **headers: str) -> dict[str, Any]:
    return {"REQUEST_METHOD": "PUT", "PATH_INFO": path, "wsgi.input": io.BytesIO(), **headers}


def message(service: str, request: dict[str, Any]) -> str:
    answer = request_limits.refusal(service, request)
    return answer[2].decode() if answer else ""


BATCH = "RedshiftData.BatchExecuteStatement"
START, SECRET = "AWSStepFunctions.StartExecution", "secretsmanager.CreateSecret"
TARGET = {"Arn": "arn:aws:states:eu-west-1:1:stateMachine:m", "RoleArn": "arn:aws:iam::123456789012:role/r"}
SCHEDULE = {"ScheduleExpression": "rate(1 hour)", "FlexibleTimeWindow": {"Mode": "OFF"}, "Target": TARGET}


@pytest.mark.parametrize(
    ("service", "request_", "fault"),
    [
        (
            "redshift-data",
            environ(BATCH, {"Sqls": ["SELECT 1"], "StatementName": "n" * 2_049}),
            "statementName",
        ),
        ("redshift-data", environ(BATCH, {"Sqls": ["SELECT 1"], "ClientToken": "t" * 65}), "equal to 64"),
        ("redshift-data", environ(BATCH, {"Sqls": ["SELECT 1"] * 41}), "'sqls' failed"),
        ("redshift-data", environ(BATCH, {"Sqls": ["SELECT 1"], "WaitTimeSeconds": 31}), "equal to 30"),
        ("redshift-data", environ("RedshiftData.DescribeStatement", {"Id": "no uuid"}), "pattern"),
        ("redshift-data", environ("RedshiftData.ListStatements", {"Status": "RUNNING"}), "enum value set"),
        ("scheduler", rest("POST", "/schedules/a%20b", SCHEDULE), "'name' failed"),
        ("scheduler", rest("PUT", f"/schedules/{'s' * 65}", SCHEDULE), "equal to 64"),
        ("scheduler", rest("POST", "/schedules/s", {**SCHEDULE, "Description": "d" * 513}), "equal to 512"),
        (
            "scheduler",
            rest("POST", "/schedules/s", {"Target": {"RetryPolicy": {"MaximumRetryAttempts": 186}}}),
            "'target.RetryPolicy.MaximumRetryAttempts'",
        ),
        ("scheduler", rest("GET", "/schedules", {}, f"ScheduleGroup={'g' * 65}"), "'groupName'"),
        ("states", environ(START, {"name": "n" * 81}), "equal to 80"),
        ("states", environ(START, {"name": "2026-01-01T00:00"}), "'name' failed"),
        ("states", environ(START, {"input": "x" * 262_145}), "equal to 262144"),
        ("secretsmanager", environ(SECRET, {"Name": "s", "SecretString": LONG}), "65536"),
        (
            "ssm",
            environ("AmazonSSM.CreateOpsItem", {"Description": "d", "Title": "t" * 1_025}),
            "equal to 1024",
        ),
        ("redshift-serverless", environ("RedshiftServerless.CreateUsageLimit", {"period": "yearly"}), "enum"),
        ("lambda", rest("POST", "/2015-03-31/functions/a%20name/invocations", {}), "'functionName'"),
        ("sns", form(Action="Publish", Message="m", Subject="s" * 101), "1 to 100"),
        ("sns", form(Action="Publish", Message="m", Subject="año"), "ASCII"),
        ("sns", form(Action="Publish", Message="m" * 262_145, Subject="s"), "262144"),
        ("s3", put("/Upper/key"), "lower-case"),
        ("s3", put(f"/bucket/{'é' * 513}"), "1024 bytes"),
        ("s3", put("/bucket/key", HTTP_X_AMZ_TAGGING="&".join(f"t{n}=v" for n in range(11))), "10 tags"),
        ("s3", put("/bucket/key", HTTP_X_AMZ_TAGGING=f"layer={'v' * 257}"), "256"),
    ],
)
def test_what_a_service_refuses_is_refused(service: str, request_: dict[str, Any], fault: str) -> None:
    assert fault in message(service, request_)


@pytest.mark.parametrize(
    ("service", "request_"),
    [
        (
            "redshift-data",
            environ(BATCH, {"Sqls": ["SELECT 1"] * 40, "StatementName": "shop/1"}),
        ),
        ("scheduler", rest("POST", "/schedules/shop_1-a.b", SCHEDULE)),
        (
            "states",
            environ(START, {"name": "shop-2026", "input": '{"source": "shop"}'}),
        ),
        ("sns", form(Action="Publish", Message="ü" * 100_000, Subject="Tributary: shop failed")),
        ("s3", put("/bucket/shop/2026/12/01/t/t_1.parquet", HTTP_X_AMZ_TAGGING="layer=raw")),
        ("s3", put("/")),
        ("a-service-without-a-model", put("/")),
    ],
)
def test_what_it_takes_is_passed_on_with_its_body(service: str, request_: dict[str, Any]) -> None:
    assert message(service, request_) == ""
    assert request_["wsgi.input"].tell() == 0


def test_no_pattern_of_a_service_that_the_pipeline_calls_is_left_out() -> None:
    assert list(_unreadable()) == []


def _unreadable() -> Iterator[str]:
    for service in (
        "redshift-data",
        "scheduler",
        "stepfunctions",
        "secretsmanager",
        "sns",
        "redshift-serverless",
    ):
        model = get_session().get_service_model(service)
        for name in model.shape_names:
            pattern = request_limits._rules(model.shape_for(name)).get("pattern")
            if pattern is not None and request_limits._compiled(pattern) is None:
                yield f"{service} {name}: {pattern}"
