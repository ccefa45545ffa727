"""What is read of a table: the columns, one SELECT over them, and a page of its rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tributary.model.source_catalog import TableName
from tributary.model.types import Kind
from tributary.model.value_policies import Fault, Policies

if TYPE_CHECKING:
    import pyarrow


@dataclass(frozen=True, slots=True)
class ReadColumn:
    """A column to read."""

    name: str
    type: str  # in the source
    kind: Kind
    policies: Policies = field(default_factory=dict)  # for values that the kind cannot hold; else refused
    nullable: bool = True  # False if the source declares that it holds no NULL


@dataclass(frozen=True, slots=True)
class Query:
    """One SELECT over a table; None means no bound."""

    table: TableName
    columns: tuple[ReadColumn, ...]
    order: tuple[str, ...] = ()  # names of columns to read by; () means one unordered read of everything
    cursor: str | None = None  # bounded by the next four
    after: str | None = None  # after < cursor, of an incremental read
    up_to: str | None = None  # cursor <= up_to
    since: str | None = None  # since <= cursor, of a read that a person asked for
    before: str | None = None  # cursor < before
    nulls: bool = False  # the rows whose cursor is NULL instead
    position: tuple[str, ...] | None = None  # texts of the order columns: only rows strictly after them
    end: tuple[str, ...] | None = None  # the same of the last row to read
    limit: int | None = None  # rows
    sql: str | None = None  # the user's query that is read instead of the table
    where: str | None = None  # the user's condition on rows, in which the table is called `t`
    longest_bytes: int = 64 << 20  # of a row's text; a longer one is refused before it takes memory


@dataclass(frozen=True, slots=True)
class Page:
    """Rows in reading order, parsed on request: so one thread can read on while another parses.

    `parse` returns the Arrow columns in the query's order and types (`types.arrow`), and how many of
    their values a policy altered, by column and fault. It raises ValueRefused for a value that does not
    fit its kind.
    """

    rows: int
    position: tuple[str, ...] | None  # the source's own text of the order columns in the last row
    size_bytes: int  # of the text that the source sent
    parse: Callable[[], tuple[pyarrow.Table, Mapping[tuple[str, Fault], int]]]

    @property
    def table(self) -> pyarrow.Table:
        """Return the rows; each call parses them again."""
        return self.parse()[0]
