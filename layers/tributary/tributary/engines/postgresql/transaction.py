"""Runs each statement in a read-only transaction of its own, whose settings end with it.

A pooler may give every transaction another server connection, which applications use too. So nothing is set
for a session: BEGIN, the settings, the statement and ROLLBACK are sent together, as messages of the extended
protocol before one Sync. That costs one round trip, the server skips the rest after an error, and it accepts
one statement in a message, so that a user's SQL cannot end ours. ROLLBACK also undoes what a function of a
view may set. (https://www.postgresql.org/docs/current/protocol-flow.html, "Pipelining")
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from struct import Struct
from typing import Any

import pg8000.core
from pg8000.native import Connection, DatabaseError

from tributary.engines.network import ProtocolBroken
from tributary.engines.postgresql.settings import ROLLBACK
from tributary.errors import TableRefused

HEAD = Struct("!cI")  # of every message: its code, and its length without the code
BIND = HEAD.pack(b"B", 12) + bytes(8)  # no parameters, and every column as text
DESCRIBE = HEAD.pack(b"D", 6) + b"P\0"
EXECUTE = HEAD.pack(b"E", 9) + bytes(5)
SYNC = HEAD.pack(b"S", 4)
IDLE = b"I"
DRIVER_CODES = (b"E", b"N", b"S", b"A", b"Z")  # errors and notices: the driver handles them
# All that may come: also acceptances, columns and rows, completions, and the messages of COPY.
CODES = frozenset((*DRIVER_CODES, b"1", b"2", b"n", b"T", b"D", b"C", b"I", b"H", b"d", b"c"))
LENGTH_BYTES = 4  # of a message's length, which it counts in
ANSWER_AT_MOST = 256 << 20  # bytes of a small query's answer, which is kept whole


def usable(driver: Any) -> bool:
    """Return whether the driver has the internal parts that statements are sent and read through."""
    handlers = getattr(driver, "message_types", {})
    sock = getattr(driver, "_sock", None)
    return (
        all(code in handlers for code in (*DRIVER_CODES, b"C", b"D", b"T"))
        and all(hasattr(sock, part) for part in ("read", "read1", "write", "flush"))
        and hasattr(driver, "_transaction_status")
        and hasattr(pg8000.core, "Context")
    )


def send(driver: Any, opening: Sequence[str], sql: str) -> None:
    """Send the statement in its transaction; the responses to `opening`, which begins it, come first."""
    if "\0" in sql:
        raise TableRefused("a NUL character cannot be part of a statement; remove it from where or query")
    driver._sock.write(b"".join(map(_message, (*opening, sql, ROLLBACK))) + SYNC)
    driver._sock.flush()


def _message(sql: str) -> bytes:
    text = b"\0" + sql.encode() + b"\0\0\0"
    return HEAD.pack(b"P", 4 + len(text)) + text + BIND + DESCRIBE + EXECUTE


def run(driver: Any, opening: Sequence[str], sql: str) -> tuple[list[list[Any]], list[dict[str, Any]]]:
    """Return the statement's rows and its columns; raises what the driver would."""
    if not usable(driver):
        return _run_by_the_driver(driver, opening, sql)
    send(driver, opening, sql)
    context, done, size_bytes = pg8000.core.Context(sql), 0, 0  # statements that are complete
    while True:
        code, size = HEAD.unpack(_read(driver, HEAD.size))
        check(code, size)
        size_bytes += size
        if size_bytes > ANSWER_AT_MOST:
            raise ProtocolBroken
        message = _read(driver, size - LENGTH_BYTES)
        if code in DRIVER_CODES or (done == len(opening) and code in (b"T", b"D")):
            driver.message_types[code](message, context)
        done += code == b"C"
        if code == b"Z":
            end(driver, context)
            return context.rows or [], context.columns or []


def check(code: bytes, size: int) -> None:
    """Raise ProtocolBroken if no message of an answer has that head."""
    if code not in CODES or size < LENGTH_BYTES:
        raise ProtocolBroken


def _read(driver: Any, size: int) -> bytes:
    content: bytes = driver._sock.read(size)
    if len(content) < size:
        raise ConnectionError("the server closed the connection")
    return content


def end(driver: Any, context: Any) -> None:
    """Leave a transaction that failed, and raise the statement's error if it has one."""
    if driver._transaction_status != IDLE:
        driver.execute_simple(ROLLBACK)
    if context.error is not None:
        raise context.error


def _run_by_the_driver(
    driver: Connection, opening: Sequence[str], sql: str
) -> tuple[list[Any], list[dict[str, Any]]]:
    with by_the_driver(driver, opening):
        rows = driver.run(sql, stream=_Nothing())  # with a stream, the driver takes the extended protocol
        return list(rows or []), list(driver.columns or [])


@contextmanager
def by_the_driver(driver: Connection, opening: Sequence[str]) -> Iterator[None]:
    """Do the same by the driver's public interface: slower, a statement at a time."""
    try:
        for statement in opening:
            driver.run(statement)
        yield
    except DatabaseError:
        driver.run(ROLLBACK)
        raise
    driver.run(ROLLBACK)


class _Nothing:
    def write(self, content: bytes) -> int:
        """Ignore the content: no statement here is a COPY."""
        return len(content)
