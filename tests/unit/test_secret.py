"""What a person reads when a source's secret cannot be read."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from tributary.errors import SecretError
from tributary.secret import SHAPE, fetch, parse

NAME = "tributary-prod/shop"


def client() -> Any:
    return boto3.client(
        "secretsmanager", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x"
    )


@mock_aws
def test_a_missing_secret_is_answered_with_the_command_that_creates_it() -> None:
    command = f"aws secretsmanager create-secret --name {NAME} --secret-string file://secret.json"
    with pytest.raises(SecretError) as caught:
        fetch(client(), NAME)
    assert f"`{command}`" in str(caught.value)
    assert SHAPE in str(caught.value)


@mock_aws
def test_a_secret_that_is_scheduled_for_deletion_is_not_created_again() -> None:
    manager = client()
    manager.create_secret(Name=NAME, SecretString="{}")
    manager.delete_secret(SecretId=NAME)
    with pytest.raises(SecretError, match="scheduled for deletion") as caught:
        fetch(manager, NAME)
    assert "create" not in str(caught.value)


def test_a_right_that_is_missing_is_named() -> None:
    manager = client()
    with Stubber(manager) as stub:
        stub.add_client_error("get_secret_value", "AccessDeniedException")
        with pytest.raises(SecretError, match="policy, and give this function's role kms:Decrypt"):
            fetch(manager, NAME)


MANAGED = '{"username": "reader", "password": "pw"}'  # as RDS writes it for a master user


def test_the_file_gives_what_a_secret_leaves_out() -> None:
    secret = parse(MANAGED, NAME, {"host": "db.example.com", "port": 5433, "dbname": "shop"})
    assert (secret.host, secret.port, secret.dbname, secret.username) == (
        "db.example.com",
        5433,
        "shop",
        "reader",
    )


def test_what_a_secret_has_counts_before_the_file() -> None:
    text = '{"host": "own", "port": 1, "dbname": "", "username": "reader"}'
    secret = parse(text, NAME, {"host": "other", "port": 2, "dbname": "shop"})
    assert (secret.host, secret.port, secret.dbname) == ("own", 1, "shop")


def test_a_secret_with_a_url_takes_nothing_from_the_file() -> None:
    assert parse('{"url": "duckdb:///x"}', NAME, {"host": "other"}).host == ""
