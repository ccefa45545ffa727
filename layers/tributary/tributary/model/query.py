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
    """A column to read: its name and type in the source, and the kind that its values have.

    `policies`: what is done about values that the kind does not hold; they are refused where it says
    nothing. `nullable`: False where the source declares that it holds no NULL.
    """

    name: str
    type: str
    kind: Kind
    policies: Policies = field(default_factory=dict)
    nullable: bool = True


@dataclass(frozen=True, slots=True)
class Query:
    """One SELECT over a table.

    `order`: names of the columns to read by, all of them among `columns`; () means one unordered
    read of everything. `cursor` with `after` (exclusive) and `up_to` (inclusive) bounds an
    incremental read, `since` (inclusive) and `before` (exclusive) one that a person asked for;
    `nulls` asks for the rows whose cursor is NULL instead.
    `position`: the texts of the `order` columns in the last row read; only rows strictly after it.
    `end`: the same of the last row to read.
    `limit`: rows at most, None for no bound. `sql`: the user's query that is read in the table's place;
    `where`: the user's condition on its rows, in which the table is called `t`.
    """

    table: TableName
    columns: tuple[ReadColumn, ...]
    order: tuple[str, ...] = ()
    cursor: str | None = None
    after: str | None = None
    up_to: str | None = None
    since: str | None = None
    before: str | None = None
    nulls: bool = False
    position: tuple[str, ...] | None = None
    end: tuple[str, ...] | None = None
    limit: int | None = None
    sql: str | None = None
    where: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Rows in reading order, parsed when asked for: so one thread can read on while another parses.

    `position`: the source's own text of the `order` columns in the last row, None without order.
    `size_bytes`: of the text that the source sent.
    `parse` returns the Arrow columns in the query's order and types (`types.arrow`), and how many of
    their values a policy touched, by column and fault; it raises ValueRefused where a value does not
    fit its kind.
    """

    rows: int
    position: tuple[str, ...] | None
    size_bytes: int
    parse: Callable[[], tuple[pyarrow.Table, Mapping[tuple[str, Fault], int]]]

    @property
    def table(self) -> pyarrow.Table:
        """Return the rows, parsed anew at each call."""
        return self.parse()[0]
