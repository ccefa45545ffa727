"""The engines: one module per kind of database, stated as a Protocol, imported when first needed.

An engine reads and never writes, in sessions whose settings are pinned, and it alone renders and
compares values: cursor and key values leave the source as its own text (`Page.position`) and go
back as literals of the column's exact type (`literal`). Python never orders or re-zones them.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from tributary.errors import UnsupportedType
from tributary.model.query import Page, Query, ReadColumn
from tributary.model.source_catalog import Clock, Size, SourceColumn, SourceTable, TableName
from tributary.model.types import Kind
from tributary.secret import Secret

if TYPE_CHECKING:
    pass


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

    def counter_horizon(self, connection: Any, type: str) -> str | None:
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


def unsupported(column: SourceColumn, what: str | None = None) -> UnsupportedType:
    """Return the error for a column whose type has no kind."""
    return UnsupportedType(
        f'column "{column.name}" has type {what or column.type}, which the warehouse has no form for; '
        f"leave it out with columns: {{exclude: [{column.name}]}}, or take its text with column_policies: "
        f"{{{column.name}: text}}"
    )
