"""Reads a query's rows as one COPY: off the driver's socket, or through the driver if it has changed."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import pg8000.native

from tributary.engines.network import abort_connection
from tributary.engines.postgresql import copy_frames, settings, transaction, types
from tributary.engines.postgresql.errors import sqlstate
from tributary.engines.postgresql.session import Session, fetch, queries
from tributary.engines.postgresql.sql import copy, copy_columns, qualified
from tributary.model.query import Page, Query
from tributary.reading import csv_pages, keyset
from tributary.reading.csv_blocks import Block, Write, pumped


def ask(session: Session, sql: str) -> tuple[str | None, ...] | None:
    """Return the first row of a small query as texts, None without a row."""
    rows = fetch(session, sql, path=settings.USERS_PATH if keyset.has_user_sql(sql) else settings.NO_PATH)
    return rows[0] if rows else None


def _path(query: Query) -> str:
    """Return the search_path of a read: a user's SQL means what it means in the user's own sessions."""
    if query.sql is not None or query.where is not None:
        return settings.USERS_PATH
    return settings.path_of(query.table)


def read(session: Session, query: Query) -> Generator[Page]:
    """Run the query as one COPY and yield its rows; see the Protocol."""
    direct = copy_frames.usable(session.driver)
    return csv_pages.pages(query, (_off_the_socket if direct else _through_the_driver)(session, query))


def _off_the_socket(session: Session, query: Query) -> Generator[Block]:
    try:
        with queries(session, query.table):
            try:
                opening, longest = session.opening(_path(query)), query.longest_bytes
                yield from copy_frames.blocks(session.driver, opening, copy(query), longest_bytes=longest)
            except pg8000.native.DatabaseError as error:
                with queries(session, query.table, _failing_column(session, query, error)):
                    raise
    except GeneratorExit:
        abort_connection(session.spare)  # the server is still sending
        raise


def _failing_column(session: Session, query: Query, error: pg8000.native.DatabaseError) -> str | None:
    """Return the column whose values of this page fail with the same data exception, None if not known."""
    if not sqlstate(error).startswith("22") or query.limit is None:
        return None
    for column in query.columns:
        alone = copy_columns(query, [types.field(qualified(column.name), column.type)])
        try:
            for _ in copy_frames.blocks(session.driver, session.opening(_path(query)), alone):
                pass
        except pg8000.native.DatabaseError as failure:
            return column.name if sqlstate(failure) == sqlstate(error) else None
    return None


def _through_the_driver(session: Session, query: Query) -> Generator[Block]:
    """Read by the driver's public interface alone: slower, but independent of its internals."""

    def fill(write: Write) -> int:
        with (
            queries(session, query.table),
            transaction.by_the_driver(session.driver, session.opening(_path(query))),
        ):
            session.driver.run(copy(query), stream=_Records(write))
            return int(session.driver.row_count)

    return pumped(fill, abort=lambda: abort_connection(session.spare))


@dataclass(frozen=True, slots=True)
class _Records:
    """The stream that pg8000 copies into: it calls `write` once per CopyData message, so per row."""

    write: Write
