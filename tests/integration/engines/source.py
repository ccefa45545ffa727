"""A database to read in a test, with a session of its administrator beside the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from tests.integration.engines.facts import FACTS, Facts
from tests.integration.engines.types_of import FIRST_STATEMENTS, TYPES, Values
from tributary.engines.protocol import Engine
from tributary.model.query import Query, ReadColumn
from tributary.model.source_catalog import SourceTable, TableName
from tributary.secret import Secret


@dataclass(frozen=True)
class Source:
    """A database of its own, an administrator's session in it and the engine that reads it.

    `insert` runs a statement once for each row, with the row as the driver's own parameters.
    """

    name: str
    engine: Engine
    secret: Secret
    schema: str
    execute: Callable[[str], Any]
    server: Any = None
    insert: Callable[[str, list[list[Any]]], Any] = lambda sql, rows: None

    lacks: frozenset[str] = frozenset()

    @property
    def facts(self) -> Facts:
        return FACTS[self.name]

    @property
    def types(self) -> dict[str, tuple[str, Values]]:
        """Return the engine's types, without those that this server lacks."""
        return {type: known for type, known in TYPES[self.name].items() if type not in self.lacks}

    @contextmanager
    def session(
        self, *, timeout_s: int = 60, secret: Secret | None = None, visible_rows: bool = False
    ) -> Iterator[Any]:
        connection = self.engine.connect(
            secret or self.secret, statement_timeout_s=timeout_s, visible_rows=visible_rows
        )
        try:
            yield connection
        finally:
            self.engine.close(connection)

    def describe(self, table: str) -> SourceTable:
        name = TableName(self.schema, table)
        with self.session() as connection:
            return self.engine.describe(connection, {name})[name]

    def query(self, table: str, **parts: Any) -> Query:
        return self.query_of(self.describe(table), **parts)

    def query_of(self, described: SourceTable, **parts: Any) -> Query:
        columns = tuple(
            ReadColumn(c.name, c.type, self.engine.kind(c), nullable=c.nullable) for c in described.columns
        )
        return Query(described.name, columns, **parts)

    def read(self, query: Query) -> list[dict[str, Any]]:
        """Return the rows of one query."""
        with self.session() as connection, closing(self.engine.read(connection, query)) as pages:
            return [row for page in pages for row in page.table.to_pylist()]

    def read_in_pages(self, query: Query, page_rows: int) -> list[dict[str, Any]]:
        """Return the rows of all pages, each begun at the last position of the one before."""
        rows: list[dict[str, Any]] = []
        position = query.position
        with self.session() as connection:
            while True:
                page = replace(query, position=position, limit=page_rows)
                pages = list(self.engine.read(connection, page))
                rows += [row for page in pages for row in page.table.to_pylist()]
                if sum(page.rows for page in pages) < page_rows:
                    return rows
                position = pages[-1].position


def session_ids(source: Source, *, running: bool = False) -> list[int]:
    """Return the server's ids of the sessions that the engine has open, or only of those running a query."""
    condition = source.facts.running if running else ""
    sql = source.facts.sessions.format(schema=source.schema) + condition
    return [int(row[0]) for row in source.execute(sql)]


def create_every_type(source: Source) -> dict[str, str]:
    """Create a table `t` with a column per type; return the types by column name."""
    for statement in FIRST_STATEMENTS[source.name]:
        source.execute(statement)
    columns = {f"c{number}": type for number, type in enumerate(source.types)}
    definitions = ", ".join(f"{name} {type} NULL" for name, type in columns.items())
    source.execute(f"CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, {definitions})")
    for row in range(6):
        literals = [values[row][0] if row < len(values) else "NULL" for _, values in source.types.values()]
        source.execute(f"INSERT INTO t VALUES ({row}, {', '.join(literals)})")
    return columns
