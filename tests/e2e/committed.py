"""What a source has committed, recorded by who wrote it: the measure of what the warehouse must hold.

Nothing here asks the source or knows how the product reads it. Times are `time.monotonic()`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

Values = dict[str, Any]
BASE = ("note", "amount")


@dataclass(frozen=True)
class Row:
    """A row as it is committed, and since when."""

    values: Values
    at: float

    @property
    def base(self) -> tuple[Any, ...]:
        """Return the values of the columns that it always has."""
        return tuple(self.values[name] for name in BASE)


@dataclass
class Change:
    """A row of a transaction: its new values, None if it is deleted."""

    table: str
    key: int
    values: Values | None


@dataclass
class Committed:
    """A table's rows, when deleted ones went, and every state that was ever committed."""

    columns: list[str] = field(default_factory=lambda: list(BASE))
    rows: dict[int, Row] = field(default_factory=dict)
    gone: dict[int, float] = field(default_factory=dict)
    ever: set[tuple[Any, ...]] = field(default_factory=set)
    defaults: Values = field(default_factory=dict)  # of the columns that were added
    dropped: set[str] = field(default_factory=set)
    missed: set[str] = field(default_factory=set)  # columns that are away, and no run has noticed it yet
    altered: float | None = None  # when its columns were

    def commit(self, change: Change) -> None:
        """Take a change that is committed now."""
        if change.values is None:
            self.rows.pop(change.key)
            self.gone[change.key] = time.monotonic()
            return
        row = Row(change.values, time.monotonic())
        self.rows[change.key] = row
        self.gone.pop(change.key, None)
        self.ever.add((change.key, *row.base))

    def add_column(self, name: str, value: Any) -> None:
        """Give every row a new column: each that gets another value by that has changed."""
        self.columns.append(name)
        self.altered = time.monotonic()
        self.defaults[name] = value
        for key, row in self.rows.items():
            known = value is None and name not in self.dropped
            at = row.at if known else time.monotonic()
            self.rows[key] = replace(row, values={**row.values, name: value}, at=at)

    def drop_column(self, name: str) -> None:
        """Take a column away: the others are as they were."""
        self.columns.remove(name)
        self.defaults.pop(name)
        self.dropped.add(name)
        self.missed.add(name)
        self.altered = time.monotonic()
        for key, row in self.rows.items():
            left = {column: value for column, value in row.values.items() if column != name}
            self.rows[key] = replace(row, values=left)

    def empty(self) -> None:
        """Take every row away, at once."""
        for key in list(self.rows):
            self.commit(Change("", key, None))

    def unchanged_since(self, moment: float) -> Iterator[tuple[int, Row]]:
        """Yield the rows that were committed before the moment and not changed after it."""
        return ((key, row) for key, row in self.rows.items() if row.at < moment)

    def gone_before(self, moment: float) -> set[int]:
        """Return the keys of rows that were deleted before the moment and are still away."""
        return {key for key, at in self.gone.items() if at < moment}
