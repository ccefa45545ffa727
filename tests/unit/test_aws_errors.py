"""An AWS service that is busy or cannot be reached is an error of ours that names it, and is tried again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from botocore.stub import Stubber

from statemachine import check
from tributary import aws_errors, secret
from tributary.environment import clients
from tributary.errors import (
    SchedulerUnavailable,
    SecretError,
    ServiceUnavailable,
    StorageUnavailable,
    TransientError,
    WarehouseUnavailable,
)
from tributary.planning.executions import is_running
from tributary.redshift import data_api
from tributary.redshift.data_api import Warehouse
from tributary.reporting.channels import publisher
from tributary.stack import usage_limit
from tributary.stack.scheduler import Schedules
from tributary.storage.bucket import Bucket

NOWHERE = "http://127.0.0.1:9"  # discard: nothing listens there
ARN = "arn:aws:states:eu-west-1:123456789012:execution:tributary:x"


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", NOWHERE)
    monkeypatch.setattr(clients, "ATTEMPTS", 1)
    clients.client.cache_clear()
    yield
    clients.client.cache_clear()


class Service(NamedTuple):
    """A service as messages name it, with a call of ours that uses one operation of it."""

    name: str
    client: str
    operation: str
    call: Callable[[Any], Any]
    error: type[TransientError]


SERVICES = (
    Service(
        "Secrets Manager",
        "secretsmanager",
        "get_secret_value",
        lambda client: secret.fetch(client, "s"),
        ServiceUnavailable,
    ),
    Service(
        "Step Functions",
        "stepfunctions",
        "describe_execution",
        lambda client: is_running(client, ARN),
        ServiceUnavailable,
    ),
    Service("S3", "s3", "get_object", lambda client: Bucket(client, "raw").read("key"), StorageUnavailable),
    Service(
        "the Redshift Data API",
        "redshift-data",
        "get_statement_result",
        lambda client: Warehouse(client).rows("0" * 36),
        WarehouseUnavailable,
    ),
    Service(
        "EventBridge Scheduler",
        "scheduler",
        "get_schedule",
        lambda client: Schedules(client, "group").state("shop"),
        SchedulerUnavailable,
    ),
    Service(
        "Redshift Serverless",
        "redshift-serverless",
        "list_usage_limits",
        lambda client: usage_limit.remove(client, "arn:aws:redshift-serverless:eu-west-1:1:workgroup/w"),
        WarehouseUnavailable,
    ),
    Service(
        "SNS",
        "sns",
        "publish",
        lambda client: publisher(client, "arn:aws:sns:eu-west-1:123456789012:t")("subject", "message", {}),
        ServiceUnavailable,
    ),
)


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.client)
def test_a_service_without_an_endpoint_is_named_with_its_address(service: Service) -> None:
    with pytest.raises(
        service.error, match=f"{service.name} could not be reached at {NOWHERE}.*VPC endpoint"
    ):
        service.call(clients.client(service.client))


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.client)
def test_every_code_of_a_busy_service_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, service: Service
) -> None:
    monkeypatch.setattr(data_api, "PATIENCE_S", -1.0)
    client = clients.client(service.client)
    for code in aws_errors.BUSY:
        with Stubber(client) as stub:
            stub.add_client_error(service.operation, code)
            with pytest.raises(service.error, match=f"answered {code}"):
                service.call(client)


def test_a_secret_that_is_binary_says_so() -> None:
    client = clients.client("secretsmanager")
    with Stubber(client) as stub:
        stub.add_response("get_secret_value", {"SecretBinary": b'{"host": "db"}'})
        with pytest.raises(SecretError, match=r'secret "s" is binary \(SecretBinary\); store it as text'):
            secret.fetch(client, "s")


def test_connecting_is_given_up_long_before_a_function_is() -> None:
    config = clients.client("s3").meta.config
    assert config.connect_timeout * 4 < 60


def test_the_state_machine_tries_again_what_a_service_could_not_answer() -> None:
    assert "ServiceUnavailable" in json.dumps(check.read())


def test_verify_ca_is_refused_without_an_authority_and_never_advised() -> None:
    fields = {"host": "db", "username": "u", "password": "p", "sslmode": "verify-ca"}
    with pytest.raises(SecretError, match=r"would accept any certificate.*or write verify-full"):
        secret.parse(json.dumps(fields), "tributary/shop")
    assert secret.parse(json.dumps({**fields, "sslrootcert": "PEM"}), "s").sslmode == "verify-ca"
    with pytest.raises(SecretError) as refused:
        secret.parse("{", "s")
    assert "verify-ca" not in str(refused.value)
