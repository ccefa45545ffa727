"""What a source says of itself: tables, columns, keys, indexes and its clock, as plain values.

Engines fill these from their own catalogs; nothing here is guessed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True, order=True)
class TableName:
    """A table's name in its source: schema (database for MySQL, `main` for SQLite) and table.

    A query of the source's file that is read as a table has no schema.
    """

    schema: str
    table: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.table}" if self.schema else self.table


@dataclass(frozen=True, slots=True)
class SourceColumn:
    """A column as the source's catalog has it; `type` is the engine's own full type text."""

    name: str
    type: str
    nullable: bool
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class SourceTable:
    """A table as the source's catalog has it.

    `columns` in the source's order; `primary_key` in key order, () if it has none;
    `unique_keys`: further column tuples that the source keeps unique (whole-table, no expression);
    `indexes`: column tuples of every usable index, the primary key's included.
    """

    name: TableName
    columns: tuple[SourceColumn, ...]
    primary_key: tuple[str, ...] = ()
    unique_keys: tuple[tuple[str, ...], ...] = ()
    indexes: tuple[tuple[str, ...], ...] = field(default=())
    comment: str | None = None
    is_view: bool = False  # whose functions depend on a session's search_path

    def column(self, name: str) -> SourceColumn | None:
        """Return the column of that exact name, None if it is missing."""
        return next((column for column in self.columns if column.name == name), None)


@dataclass(frozen=True, slots=True)
class Size:
    """A table's size by the source's catalog: an estimate, 0 rows if the catalog has none."""

    rows: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Clock:
    """The source's clock, read before its list of transactions.

    `now` and `oldest` (start of the oldest transaction or statement still open in this database,
    writing yet or not, without ours; None if there is none) are aware UTC datetimes.
    `hidden` says why the open transactions cannot all be seen; None if they can.
    """

    now: datetime
    oldest: datetime | None
    hidden: str | None = None
    notes: tuple[str, ...] = ()  # what else the report says about it
