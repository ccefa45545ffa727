"""Reads a query's rows: off the driver's socket, or through the driver if it has changed."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import TYPE_CHECKING, Any

from pymysql.cursors import SSCursor

from tributary.engines.mysql import packets
from tributary.engines.mysql.errors import queries
from tributary.engines.mysql.login import ANSWER_AT_MOST
from tributary.engines.mysql.session import Session, run, use_mode_of
from tributary.engines.mysql.sql import rows
from tributary.engines.mysql.types import FAMILIES, family
from tributary.engines.network import abort_connection
from tributary.model.query import Page, Query, ReadColumn
from tributary.reading import csv_pages, keyset, values
from tributary.reading.csv_blocks import Block, Write, pumped
from tributary.reading.receive_buffer import ColumnTooLong

if TYPE_CHECKING:
    import pyarrow


def ask(session: Session, sql: str) -> tuple[str | None, ...] | None:
    """Return the first row of a small query as texts, None without a row."""
    with queries(session.where):
        use_mode_of(session, sql)
        answer = run(session.driver, sql)
    return answer[0] if answer else None


def read(session: Session, query: Query) -> Generator[Page]:
    """Run the query and yield its rows; see the Protocol."""
    if packets.usable(session.driver):
        return _off_the_socket(session, query)
    return csv_pages.pages(query, _through_the_driver(session, query))


def _off_the_socket(session: Session, query: Query) -> Generator[Page]:
    answer = UnbufferedRows(session.driver)
    try:
        with queries(session.where, query.table):
            sql = rows(query)
            use_mode_of(session, sql)
            answer.execute(sql)
            for taken in packets.rows(session.driver, answer.result, longest_bytes=query.longest_bytes):
                yield _page(taken, query)
    except ColumnTooLong as error:
        abort_connection(session.spare)  # the server is still sending
        raise values.too_long(query, error.place) from None
    except GeneratorExit:
        abort_connection(session.spare)  # the server is still sending
        raise
    finally:
        answer.abandon()


def _page(taken: packets.Rows, query: Query) -> Page:
    position = None
    if query.order:
        last = zip(taken.last(), map(_is_raw, query.columns), strict=True)
        texts = (_text(value, raw) for value, raw in last)
        position = keyset.position(
            query, [None if text is None else text.decode(errors="surrogateescape") for text in texts]
        )
    return Page(len(taken), position, len(taken.content), partial(_parse, taken, query))


def _parse(taken: packets.Rows, query: Query) -> tuple[pyarrow.Table, values.Counts]:
    columns = zip(taken.columns(len(query.columns)), map(_is_raw, query.columns), strict=True)
    return values.parse(query, [values.hexed(column) if raw else column for column, raw in columns])


def _text(value: bytes | None, raw: bool) -> bytes | None:
    return value.hex().upper().encode() if raw and value is not None else value


def _is_raw(column: ReadColumn) -> bool:
    return FAMILIES[family(column.type)].raw


def _through_the_driver(session: Session, query: Query) -> Generator[Block]:
    """Read by the driver's public interface alone: slower, but independent of its internals."""
    raw = [_is_raw(column) for column in query.columns]

    def fill(write: Write) -> None:
        with queries(session.where, query.table):
            sql = rows(query)
            use_mode_of(session, sql)
            answer = UnbufferedRows(session.driver)
            try:
                answer.execute(sql)
                for row in answer.fetchall_unbuffered():
                    session.driver.room_bytes = max(ANSWER_AT_MOST, query.longest_bytes)  # of one row
                    write(csv_pages.line(map(_text, row, raw)))
            except BaseException:
                answer.abandon()
                raise

    return pumped(fill, abort=lambda: abort_connection(session.spare))


class UnbufferedRows(SSCursor):
    """An unbuffered cursor that can be closed early: PyMySQL's own would read to the end."""

    _result: Any

    @property
    def result(self) -> Any:
        """Return the driver's state of the result."""
        return self._result

    def abandon(self) -> None:
        """Drop the rest of the result; the connection is lost with it."""
        if self._result is not None:
            self._result.unbuffered_active = False
