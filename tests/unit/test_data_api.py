"""The state of a Data API statement: which failures it tells apart."""

from typing import Any

import pytest

from local.redshift.quotas import PER_SECOND, Quotas
from tributary.redshift.data_api import StatementState, Warehouse, column_of_scan_error


@pytest.mark.parametrize("message", ["ERROR: division by zero", "Query #2 failed with ERROR: Divide by zero"])
def test_a_guard_that_stopped_a_batch_is_found_by_its_place(message: str) -> None:
    assert StatementState("FAILED", message, failed_at=1).failed_guard_at == 1


@pytest.mark.parametrize(
    "message", ["", "ERROR: column zero does not exist", "ERROR: relation divide_by_zeros does not exist"]
)
def test_a_failure_that_only_mentions_zero_is_no_guard(message: str) -> None:
    assert StatementState("FAILED", message, failed_at=0).failed_guard_at is None


class Described:
    """A client whose DescribeStatement has this answer."""

    def __init__(self, *statuses: str) -> None:
        self.statuses = statuses

    def describe_statement(self, **request: Any) -> dict[str, Any]:
        parts = [
            {"Id": f"x:{n}", "Status": status, "RedshiftQueryId": n}
            for n, status in enumerate(self.statuses, 1)
        ]
        return {"Status": "FAILED", "Error": "ERROR: Divide by zero", "SubStatements": parts}


@pytest.mark.parametrize(
    ("statuses", "failed_at"),
    [
        (("FINISHED", "FAILED", "ABORTED"), 1),
        (("ABORTED", "ABORTED", "FAILED"), 2),  # those that were rolled back may be ABORTED as well
        (("ABORTED", "ABORTED"), 0),
    ],
)
def test_the_failed_statement_of_a_batch_is_the_one_that_says_so(
    statuses: tuple[str, ...], failed_at: int
) -> None:
    state = Warehouse(Described(*statuses)).state("x")
    assert (state.failed_at, state.failed_query) == (failed_at, failed_at + 1)


def test_a_quota_refuses_what_a_second_cannot_hold() -> None:
    quotas = Quotas()
    answers = [quotas.throttle("GetStatementResult") for _ in range(60)]
    assert answers[: int(PER_SECOND["GetStatementResult"])] == [None] * 20
    assert "ThrottlingException" in answers
    assert quotas.throttle("DescribeStatement") is None
    assert quotas.throttle("AnotherOperation") is None


def test_calls_can_be_throttled_in_turn_whatever_their_pace() -> None:
    quotas = Quotas(refuse_every=3)
    answers = [quotas.throttle("DescribeStatement") is None for _ in range(6)]
    assert answers == [True, True, False, True, True, False]


@pytest.mark.parametrize(
    ("message", "column"),
    [
        (
            "The length of the data column note is longer than the length defined in the table. Table: 20",
            "note",
        ),
        (
            "File 'a' has an incompatible Parquet schema for column 's3://raw/a.parquet.size'. Column type:",
            "size",
        ),
        ("File not found", None),
    ],
)
def test_a_spectrum_scan_error_names_its_column_in_the_text(message: str, column: str | None) -> None:
    assert column_of_scan_error(message) == column
