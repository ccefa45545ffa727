"""A decimal arrives as the number that it is, or is refused, however it comes and whatever was planned."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Context, Decimal, localcontext

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tributary.errors import ValueRefused
from tributary.model.query import Query, ReadColumn
from tributary.model.source_catalog import TableName
from tributary.model.types import Kind, decimal
from tributary.reading import csv_pages, values
from tributary.reading.csv_blocks import Block

PLANNED = st.integers(1, 38).flatmap(
    lambda precision: st.tuples(st.just(precision), st.integers(0, min(precision, 37)))
)
NUMBERS = st.integers(1, 38).flatmap(lambda digits: st.integers(1 - 10**digits, 10**digits - 1))
Way = Callable[[Decimal, int, Query], pa.Table]


def as_csv(value: Decimal, scale: int, query: Query) -> pa.Table:
    line = f"{value:f}\n".encode()
    return csv_pages.parse(Block(line, 1, line), query)[0]


def as_text(value: Decimal, scale: int, query: Query) -> pa.Table:
    return values.parse(query, [pa.array([f"{value:f}".encode()], pa.binary())])[0]


def as_decimal(value: Decimal, scale: int, query: Query) -> pa.Table:
    return values.parse(query, [pa.array([value], pa.decimal128(38, scale))])[0]


@pytest.mark.parametrize("way", [as_csv, as_text, as_decimal])
@given(PLANNED, NUMBERS, st.integers(0, 37))
@example((38, 10), 35 * 10**27, 0)
@example((38, 10), -35 * 10**27, 7)
@example((38, 37), 10**37, 0)
def test_a_decimal_is_the_number_that_it_was_or_is_refused(
    way: Way, planned: tuple[int, int], number: int, scale: int
) -> None:
    kind: Kind = decimal(*planned)
    query = Query(TableName("s", "t"), (ReadColumn("d", "a type", kind),))
    with localcontext(Context(prec=200)):
        value = Decimal(number).scaleb(-scale)
        shifted = value.scaleb(planned[1])
        fits = shifted == shifted.to_integral_value() and abs(shifted) < 10 ** planned[0]
    if fits:
        assert way(value, scale, query).column(0).to_pylist() == [value]
    else:
        with pytest.raises(ValueRefused, match='column "d"'):
            way(value, scale, query)
