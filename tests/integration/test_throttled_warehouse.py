"""The pipeline's client of a Data API that throttles, or that has faults of its own."""

from __future__ import annotations

import pytest

from local.databases.postgres import Postgres
from local.redshift.errors import ApiError
from tests.integration.redshift_warehouse import serve
from tributary.errors import WarehouseUnavailable
from tributary.redshift.data_api import Warehouse as Pipeline


class Refusals:
    """Refuses the first calls of an operation."""

    def __init__(self, operation: str, kind: str, times: int) -> None:
        self.operation, self.kind, self.left = operation, kind, times

    def __call__(self, operation: str) -> str | None:
        if operation != self.operation or not self.left:
            return None
        self.left -= 1
        return self.kind


@pytest.mark.parametrize("operation", ["BatchExecuteStatement", "DescribeStatement", "GetStatementResult"])
def test_a_throttled_call_is_made_again_and_fails_nothing(postgres: Postgres, operation: str) -> None:
    refusals = Refusals(operation, "ThrottlingException", 3)
    with serve(postgres, throttle=refusals) as warehouse:
        pipeline = Pipeline(warehouse.client(), {"Database": warehouse.api.database, "WorkgroupName": "any"})
        assert pipeline.run(["SELECT 1", "SELECT 1 WHERE FALSE"], "throttled") == [[("1",)], []]
    assert refusals.left == 0


@pytest.mark.parametrize("operation", ["ListStatements", "CancelStatement"])
def test_a_take_over_waits_for_calls_of_which_there_are_three_a_second(
    postgres: Postgres, operation: str
) -> None:
    refusals = Refusals(operation, "ThrottlingException", 4)
    with serve(postgres, throttle=refusals) as warehouse:
        pipeline = Pipeline(warehouse.client(), {"Database": warehouse.api.database, "WorkgroupName": "any"})
        identifier = pipeline.submit(["SELECT pg_sleep(30)"], "left/shop")
        assert pipeline.under_way("left/") == [identifier]
        pipeline.cancel(identifier)
        assert pipeline.wait(identifier, wait_s=30).status == "ABORTED"
    assert refusals.left == 0


def test_a_fault_of_the_service_is_transient(postgres: Postgres) -> None:
    refusals = Refusals("BatchExecuteStatement", "BatchExecuteStatementException", 9)
    assert ApiError(refusals.kind, "").status == 500
    with serve(postgres, throttle=refusals) as warehouse:
        pipeline = Pipeline(warehouse.client(), {"Database": warehouse.api.database, "WorkgroupName": "any"})
        with pytest.raises(WarehouseUnavailable, match="BatchExecuteStatementException"):
            pipeline.run(["SELECT 1"], "faulty")
