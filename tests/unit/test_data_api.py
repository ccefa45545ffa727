"""The state of a Data API statement: which failures it tells apart."""

import pytest

from tributary.redshift.data_api import StatementState


@pytest.mark.parametrize("message", ["ERROR: division by zero", "Query #2 failed with ERROR: Divide by zero"])
def test_a_guard_that_stopped_a_batch_is_found_by_its_place(message: str) -> None:
    assert StatementState("FAILED", message, failed_at=1).failed_guard_at == 1


@pytest.mark.parametrize(
    "message", ["", "ERROR: column zero does not exist", "ERROR: relation divide_by_zeros does not exist"]
)
def test_a_failure_that_only_mentions_zero_is_no_guard(message: str) -> None:
    assert StatementState("FAILED", message, failed_at=0).failed_guard_at is None
