"""The engines: one module per kind of database, stated as a Protocol, imported when first needed.

An engine reads and never writes, in sessions whose settings are pinned, and it alone renders and
compares values: cursor and key values leave the source as its own text (`Page.position`) and go
back as literals of the column's exact type (`literal`). Python never orders or re-zones them.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, cast

from tributary.errors import ConfigError, InternalError, UnsupportedType
from tributary.model.source_catalog import Clock, Size, SourceColumn, SourceTable, TableName
from tributary.model.types import Kind
from tributary.model.value_policies import Fault, Policies
from tributary.secret import Secret

if TYPE_CHECKING:
    import pyarrow

HEX = re.compile(r"(?:[0-9A-Fa-f]{2})*")
MODULES = {"postgresql": "postgresql", "mysql": "mysql", "sqlite": "sqlite", "sqlserver": "sqlserver"}


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


class Engine(Protocol):
    """What each module of this folder offers, as functions.

    `FRACTION_DIGITS`: the decimals of a second of a time type that does not say how many it has.
    `INDEX_ENDS_WITH_KEY`: whether the primary key orders what is equal in an index.
    """

    FRACTION_DIGITS: int
    INDEX_ENDS_WITH_KEY: bool

    def connect(self, secret: Secret, *, statement_timeout_s: int) -> Any:
        """Open a read-only, pinned session, TLS verified unless the secret says otherwise.

        Raises SourceUnavailable where nothing answers, SourceRefused where the source says no.
        """

    def close(self, connection: Any) -> None:
        """Close the session; never raises."""

    def list_tables(self, connection: Any) -> list[TableName]:
        """Return every table and view the user may read, system ones left out, in name order."""

    def describe(self, connection: Any, names: Collection[TableName]) -> dict[TableName, SourceTable]:
        """Return the catalog's word on the named tables, in a bounded number of queries."""

    def describe_query(self, connection: Any, name: TableName, sql: str) -> SourceTable:
        """Return what the server itself says of a query's columns; none is known to be NOT NULL."""

    def kind(self, column: SourceColumn) -> Kind:
        """Return the kind of the column's values; raises UnsupportedType by the type's name."""

    def orders(self, type: str) -> bool:
        """Say whether a column of that type can be a key or a cursor: compared exactly, in its own order."""

    def quote(self, *names: str) -> str:
        """Return the dotted, quoted identifier."""

    def literal(self, text: str, type: str) -> str:
        """Return the SQL literal for a value's own text, of the column's exact type."""

    def create_index(self, name: str, table: TableName, columns: Sequence[str]) -> str:
        """Return the statement that makes an index, for a person to run."""

    def select(self, query: Query) -> str:
        """Return the SELECT of the query, its columns as they are (not rendered): what EXPLAIN takes."""

    def ask(self, connection: Any, sql: str) -> tuple[str | None, ...] | None:
        """Return the first row of a small query as the source's own texts, None where there is none."""

    def rendered(self, name: str, type: str) -> str:
        """Return the expression of a column's exact text, as `Page.position` carries it."""

    def clock(self, connection: Any) -> Clock:
        """Read the source's clock, then its open transactions."""

    def settled(self, connection: Any, type: str) -> str | None:
        """Return the highest value of such a column under which nothing can be committed any more.

        None where the server does not know: that is every type but a counter of its own.
        """

    def sizes(self, connection: Any, names: Collection[TableName]) -> dict[TableName, Size]:
        """Return how large the catalog takes the tables to be, in one query; unknown ones are left out."""

    def split(
        self, connection: Any, table: TableName, key: Sequence[ReadColumn], count: int
    ) -> list[tuple[str, ...]]:
        """Return keys of the table, in its own order, that cut it into about `count` equal parts.

        A part ends with its key; the last one has none, so there are fewer than `count`. They come
        from statistics or samples of the table: reading all of it would cost what it is to save.
        [] where the table cannot be cut.
        """

    def read(self, connection: Any, query: Query) -> Generator[Page]:
        """Run the query as one statement and yield its rows in pages of bounded bytes.

        The rows yielded together are exactly the rows that the server sent, or it raises:
        QueryCancelled where the server cut the query short, SourceUnavailable where the connection
        broke, TableRefused where a column that orders the rows holds NULL. Leaving the iterator early
        may cost the connection.
        """


def get(name: str) -> Engine:
    """Return the engine of that name; its driver is imported with it."""
    if name not in MODULES:
        raise ConfigError(f'engine "{name}" is not known; use one of {", ".join(sorted(MODULES))}')
    return cast(Engine, importlib.import_module(f"tributary.engines.{MODULES[name]}.engine"))


def names() -> Sequence[str]:
    """Return the names that `engine:` may have."""
    return sorted(MODULES)


def relation(table: TableName, sql: str | None, quote: Callable[..., str]) -> str:
    """Return what rows are selected from: the table, or the user's query as a derived table.

    The query stands on lines of its own, so that a comment at its end ends there.
    """
    return quote(table.schema, table.table) if sql is None else f"(\n{sql}\n)"


def hex_digits(text: str) -> str:
    """Return the text of a binary value, which must be hex since it goes into SQL between quotes."""
    if not HEX.fullmatch(text):
        raise InternalError("a position in a binary column is not hex")
    return text


def unsupported(column: SourceColumn, what: str | None = None) -> UnsupportedType:
    """Return the error for a column whose type has no kind."""
    return UnsupportedType(
        f'column "{column.name}" has type {what or column.type}, which the warehouse has no form for; '
        f"leave it out with columns: {{exclude: [{column.name}]}}, or take its text with column_policies: "
        f"{{{column.name}: text}}"
    )
