"""What leaves a handler: errors of ours, and of others only what holds no value."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from tributary.observability import reduced


def test_a_call_that_aws_refuses_is_named_with_what_to_check() -> None:
    answer: Any = {
        "Error": {"Code": "AuthorizationError", "Message": "User: arn:aws:sts::1:x is not authorized"}
    }
    assert str(reduced(ClientError(answer, "Publish"))) == (
        "AWS refused Publish: AuthorizationError; check the function's role"
    )


def test_another_error_is_reduced_to_its_type_and_place() -> None:
    answer: Any = {"Error": {"Code": "InvalidParameter", "Message": "a value"}}
    for error in (ClientError(answer, "Publish"), ValueError("a value")):
        assert str(reduced(error)) == f"{type(error).__name__} at ; this is a bug, please report it"
