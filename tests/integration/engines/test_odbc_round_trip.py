"""Values drawn by property, written by the servers' own drivers and moved by ODBC into the warehouse."""

from __future__ import annotations

from tests.integration.engines.drawn_values import check
from tests.integration.engines.source import Source
from tests.integration.redshift_warehouse import Warehouse


def test_any_value_that_the_driver_wrote_arrives_by_odbc(odbc_source: Source, warehouse: Warehouse) -> None:
    check(odbc_source, warehouse, seed=2)
