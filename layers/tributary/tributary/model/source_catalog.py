"""What a source says of itself: tables, columns, keys, indexes and its clock, as plain values.

Engines fill these from their own catalogs; nothing here is guessed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True, order=True)
class TableName:
    """A table's name in its source: schema (database for MySQL, `main` for SQLite) and table.

    A query of the source's file that is read as a table has no schema.
    """

    schema: str
    table: str

    @classmethod
    def parse(cls, text: str) -> TableName:
        """Return the name that a report or a control row has; a query's has no schema."""
        schema, dot, table = text.partition(".")
        return cls(schema, table) if dot else cls("", text)

    def __str__(self) -> str:
        return f"{self.schema}.{self.table}" if self.schema else self.table


@dataclass(frozen=True, slots=True)
class SourceColumn:
    """A column as the source's catalog has it; `type` is the engine's own full type text."""

    name: str
    type: str
    nullable: bool
    comment: str | None = None
    readable: bool = True  # whether the user has the right to select it


@dataclass(frozen=True, slots=True)
class CatalogFingerprint:
    """What a catalog shows of changes that alter values and move no cursor. Empty if it shows nothing."""

    labels: dict[str, dict[str, str]] = field(default_factory=dict)  # of enums: column -> member -> digest
    character_sets: dict[str, str] = field(default_factory=dict)  # by column
    definitions: dict[str, str] = field(
        default_factory=dict
    )  # column -> version of its catalog row, and its type
    files: dict[str, str] = field(default_factory=dict)  # the table or its partitions -> file of its rows
    partitions: dict[str, str] = field(default_factory=dict)  # id -> quoted name
    identity: str | None = None  # of the table: another one after DROP and CREATE; of a view: its definition
    attached: dict[str, str] = field(default_factory=dict)  # id of a partition -> version of its attachment
    formulas: dict[str, str] = field(default_factory=dict)  # column -> its id, and a digest of its expression
    subscriptions: dict[str, str] | None = None  # ids of the subscriptions that fill it; None: not known


@dataclass(frozen=True, slots=True)
class CursorHazard:
    """Why a cursor may not move with a change of a row, or not in order, as the catalog shows."""

    column: str | None  # None: any cursor that the source's own triggers or defaults are to move
    reason: str


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
    keys_enforced: bool = True  # the keys cover every row that a SELECT of the table returns
    nulls_enforced: bool = True  # NOT NULL holds in every row: not so of a view or a foreign table
    fingerprint: CatalogFingerprint = CatalogFingerprint()
    cursor_hazards: tuple[CursorHazard, ...] = ()
    filtered_by: str | None = None  # the policy that may leave rows out, as far as the catalog shows one

    def column(self, name: str) -> SourceColumn | None:
        """Return the column of that exact name, None if it is missing."""
        return next((column for column in self.columns if column.name == name), None)


@dataclass(frozen=True, slots=True)
class Size:
    """A table's size by the source's catalog: an estimate, 0 rows if the catalog has none."""

    rows: int
    size_bytes: int


NEVER = datetime(1970, 1, 1, tzinfo=UTC)  # as `Clock.data_at`: nothing is known to have arrived


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
    data_at: datetime | None = None  # up to when all commits of writers elsewhere are here; None: until now
