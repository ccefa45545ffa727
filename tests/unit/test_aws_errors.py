"""An AWS service that is busy or cannot be reached is an error of ours that names it, and is tried again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.stub import Stubber

from statemachine import check
from tributary import secret
from tributary.environment import clients
from tributary.errors import (
    SecretError,
    ServiceUnavailable,
    StorageUnavailable,
    TransientError,
    WarehouseUnavailable,
)
from tributary.planning.executions import is_running
from tributary.redshift.data_api import Warehouse
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


@pytest.mark.parametrize(
    ("service", "call", "error"),
    [
        (
            "Secrets Manager",
            lambda: secret.fetch(clients.client("secretsmanager"), "s"),
            ServiceUnavailable,
        ),
        ("Step Functions", lambda: is_running(clients.client("stepfunctions"), ARN), ServiceUnavailable),
        ("S3", lambda: Bucket(clients.client("s3"), "raw").read("key"), StorageUnavailable),
        (
            "the Redshift Data API",
            lambda: Warehouse(clients.client("redshift-data"), {"Database": "w"}).submit(["x"], "n"),
            WarehouseUnavailable,
        ),
    ],
)
def test_a_service_without_an_endpoint_is_named_with_its_address(
    service: str, call: Callable[[], Any], error: type[TransientError]
) -> None:
    with pytest.raises(error, match=f"{service} could not be reached at {NOWHERE}.*VPC endpoint"):
        call()


@pytest.mark.parametrize("code", ["ThrottlingException", "InternalServiceError", "TooManyRequestsException"])
def test_a_busy_secrets_manager_is_tried_again(code: str) -> None:
    client = clients.client("secretsmanager")
    with Stubber(client) as stub:
        stub.add_client_error("get_secret_value", code)
        with pytest.raises(ServiceUnavailable, match=f'Secrets Manager answered {code} for secret "s"'):
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
