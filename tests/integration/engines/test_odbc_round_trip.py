"""Values drawn by property, written by the servers' own drivers and moved by ODBC into the warehouse."""

from __future__ import annotations

from tests.integration.engines.source import Source
from tests.integration.engines.test_round_trip import check, warehouse
from tests.integration.redshift_warehouse import Warehouse

__all__ = ["warehouse"]  # the fixture


def test_any_value_that_the_driver_wrote_arrives_by_odbc(odbc_source: Source, warehouse: Warehouse) -> None:
    check(odbc_source, warehouse, seed=2)
