"""The gateway's HTTP: connections are kept, and end with it."""

from __future__ import annotations

from collections.abc import Iterator
from http.client import HTTPConnection

import pytest
from botocore.exceptions import ClientError

from local.aws.clients import client
from local.aws.function import REGION
from local.aws.gateway import Gateway

BODY = b"a body"
SIGNED = {
    "Host": "s3.amazonaws.com",
    "Authorization": f"AWS4-HMAC-SHA256 Credential=test/20260101/{REGION}/s3/aws4_request, Signature=",
}


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    made = Gateway()
    client("s3", made.url).create_bucket(Bucket="kept")
    yield made
    made.stop()


@pytest.fixture
def connection(gateway: Gateway) -> Iterator[HTTPConnection]:
    made = HTTPConnection("127.0.0.1", gateway.port, timeout=10)
    yield made
    made.close()


def request(connection: HTTPConnection, method: str, key: str, **more: object) -> tuple[int, bytes]:
    connection.request(method, f"/kept/{key}", headers=SIGNED, **more)  # type: ignore[arg-type]
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_one_connection_serves_requests_with_and_without_bodies(connection: HTTPConnection) -> None:
    assert request(connection, "PUT", "plain", body=BODY)[0] == 200
    used = connection.sock
    assert request(connection, "PUT", "chunked", body=iter([BODY, BODY]), encode_chunked=True)[0] == 200
    assert request(connection, "GET", "chunked") == (200, BODY * 2)
    assert request(connection, "HEAD", "plain") == (200, b"")
    assert request(connection, "GET", "missing")[0] == 404
    assert request(connection, "DELETE", "plain") == (204, b"")
    assert request(connection, "GET", "chunked") == (200, BODY * 2)
    assert connection.sock is used


def test_a_client_that_waits_to_be_asked_for_its_body_is_asked(gateway: Gateway) -> None:
    s3 = client("s3", gateway.url)  # boto3 sends `Expect: 100-continue`
    for number in range(2):
        s3.put_object(Bucket="kept", Key=str(number), Body=BODY)
    assert s3.get_object(Bucket="kept", Key="1")["Body"].read() == BODY


def test_a_kept_connection_ends_with_the_gateway() -> None:
    gateway = Gateway()
    connection = HTTPConnection("127.0.0.1", gateway.port, timeout=10)
    request(connection, "GET", "anything")
    used = connection.sock
    assert used is not None
    gateway.stop()
    assert used.recv(1) == b""


def test_what_a_service_refuses_is_refused_here_too(gateway: Gateway) -> None:
    scheduler, sns = client("scheduler", gateway.url), client("sns", gateway.url)
    with pytest.raises(ClientError, match=r"ValidationException.*'name' failed.*less than or equal to 64"):
        scheduler.create_schedule_group(Name="g" * 65)
    with pytest.raises(ClientError, match=r"InvalidParameter.*1 to 100 characters"):
        sns.publish(TopicArn=sns.create_topic(Name="t")["TopicArn"], Subject="s" * 101, Message="m")
    with pytest.raises(ClientError, match=r"InvalidArgument.*1024 bytes"):
        client("s3", gateway.url).put_object(Bucket="kept", Key="k" * 1025, Body=BODY)
