"""The lengths of texts that their source does not bound, measured as rows are read.

The lengths travel with the rows, in the footers of their chunks. So they are right however often an
attempt was broken off, and when another attempt takes its chunks over.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

from tributary.model.plan import Column

if TYPE_CHECKING:
    import pyarrow

# Bytes of the longest value of each text that is sized by its values, in the order of the columns; () before
# there is a row, None if an earlier version read some of the rows.
Longest = tuple[int, ...] | None


def places(columns: Sequence[Column]) -> tuple[int, ...]:
    """Return which of the columns are measured."""
    return tuple(place for place, column in enumerate(columns) if column.kind.sized_by_values)


def measured(rows: pyarrow.Table, of: Sequence[int]) -> tuple[int, ...]:
    """Return the bytes of the longest value in each of the columns at these places."""
    import pyarrow.compute as pc

    return tuple(pc.max(pc.binary_length(rows.column(place))).as_py() or 0 for place in of)


def longer(one: Longest, other: Longest) -> Longest:
    """Return the longest of both; None, which is unknown, if either is unknown."""
    if one is None or other is None:
        return None
    return tuple(max(pair) for pair in zip_longest(one, other, fillvalue=0))
