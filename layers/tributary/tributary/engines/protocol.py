"""What every engine offers: an engine is a module, and this Protocol lists its functions.

An engine only reads, in sessions whose settings are pinned. It alone renders and compares values: cursor and
key values leave the source as its own text (`Page.position`) and return as literals of the column's exact
type (`literal`). Python never orders them and never changes their time zone.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from typing import Any, Protocol

from tributary.errors import UnsupportedType
from tributary.model.query import Page, Query, ReadColumn
from tributary.model.source_catalog import Clock, Size, SourceColumn, SourceTable, TableName
from tributary.model.types import Kind
from tributary.secret import Secret


class Engine(Protocol):
    """The functions of an engine's module; a test checks each module against them."""

    FRACTION_DIGITS: int  # decimals of a second in a time type without an explicit precision
    INDEX_ENDS_WITH_KEY: bool  # whether the primary key orders equal entries of an index
    OVERLAP_REQUIRED: bool  # whether nothing is known of open transactions, so that a file must set overlap
    GRADE: str  # how far it was tested: exact, checked or best effort
    ONE_ROW: str  # FROM clause of a SELECT without a table, with a space before it; '' if it needs none

    def connect(self, secret: Secret, *, statement_timeout_s: int, visible_rows: bool = False) -> Any:
        """Open a read-only, pinned session; TLS is verified unless the secret turns that off.

        `visible_rows`: row-level security may leave rows out. Otherwise such a table is refused.

        Raises SourceUnavailable if nothing answers and SourceRefused if the source rejects the login.
        """

    def close(self, connection: Any) -> None:
        """Close the session; never raises."""

    def list_tables(self, connection: Any) -> list[TableName]:
        """Return every table and view that the user may read, without system tables, in name order."""

    def hidden_tables(self, connection: Any) -> list[TableName]:
        """Return the tables and views that the catalog shows and the user may not read, in name order."""

    def describe(self, connection: Any, names: Collection[TableName]) -> dict[TableName, SourceTable]:
        """Return the catalog's description of the named tables, in a bounded number of queries."""

    def describe_query(self, connection: Any, name: TableName, sql: str) -> SourceTable:
        """Return the columns of a query as the server describes them; none is known to be NOT NULL."""

    def kind(self, column: SourceColumn) -> Kind:
        """Return the kind of the column's values; raises UnsupportedType with the type's name."""

    def orders(self, type: str) -> bool:
        """Return whether a column of that type can be a key or a cursor: compared exactly and in order."""

    def quote(self, *names: str) -> str:
        """Return the dotted, quoted identifier."""

    def literal(self, text: str, type: str) -> str:
        """Return the SQL literal for a value's own text, of the column's exact type."""

    def create_index(self, name: str, table: TableName, columns: Sequence[str]) -> str:
        """Return the statement that creates an index, for a person to run."""

    def select(self, query: Query) -> str:
        """Return the SELECT of the query with plain columns, which are not rendered: for EXPLAIN."""

    def ask(self, connection: Any, sql: str) -> tuple[str | None, ...] | None:
        """Return the first row of a small query as the source's own texts, None without a row.

        A user's SQL in it (`keyset.has_user_sql`) means what it means in the user's own sessions.
        """

    def rendered(self, name: str, type: str) -> str:
        """Return the expression of a column's exact text, as `Page.position` carries it."""

    def clock(self, connection: Any) -> Clock:
        """Read the source's clock, then its open transactions."""

    def foreign(self, connection: Any, names: Collection[TableName]) -> set[TableName]:
        """Return those of the tables whose writers this server does not list, in one query at most."""

    def counter_horizon(self, connection: Any, type: str) -> str | None:
        """Return the highest value of such a column below which nothing can still be committed.

        None if the server does not know: it knows only for a counter of its own (SQL Server's rowversion).
        """

    def sizes(self, connection: Any, names: Collection[TableName]) -> dict[TableName, Size]:
        """Return the catalog's estimates of the tables' sizes, in one query; unknown tables are missing."""

    def key_range_ends(
        self, connection: Any, table: TableName, key: Sequence[ReadColumn], count: int
    ) -> list[tuple[str, ...]]:
        """Return the last keys of about `count` equal ranges of the table, in its own order.

        The last range has no end, so fewer than `count` keys are returned; [] if the table cannot be divided.
        They come from statistics or samples: a scan of the table would cost what ranges save.
        """

    def read(self, connection: Any, query: Query) -> Generator[Page]:
        """Run the query as one statement and yield its rows in pages of bounded bytes.

        The yielded rows are exactly the rows that the server sent, or it raises: QueryCancelled if the server
        cancelled the query, SourceUnavailable if the connection broke, TableRefused if a column that orders
        the rows holds NULL. Closing the iterator early may cost the connection.
        """


def unsupported(column: SourceColumn, what: str | None = None) -> UnsupportedType:
    """Return the error for a column whose type has no kind."""
    return UnsupportedType(
        f'column "{column.name}" has type {what or column.type}, which the warehouse cannot store; '
        f"leave it out with columns: {{exclude: [{column.name}]}}, or take its text with column_policies: "
        f"{{{column.name}: text}}"
    )
