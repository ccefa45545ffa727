"""What MySQL knows about transactions that may still commit, and whether other servers write its rows."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pymysql

from tributary.engines.mysql import catalog
from tributary.engines.mysql.errors import code_of, queries
from tributary.engines.mysql.login import Connection
from tributary.engines.mysql.session import Session, run
from tributary.model.source_catalog import NEVER, Clock

ATTEMPTS, RETRY_AFTER_S = 20, 0.12  # to read a current list, see `catalog.OLDEST_TRANSACTION`
REPLICA = "a replica does not show its primary's transactions"
CLUSTER = "a cluster does not show other nodes' transactions"
NOT_RUNNING = (
    "replication is configured and does not run, so the watermark waits for it; start it, or remove its "
    "configuration (RESET REPLICA ALL) if nothing more will come from there"
)
LAG_UNKNOWN = (
    "the user may not ask how far this replica is behind (grant it REPLICA MONITOR, on MySQL REPLICATION "
    "CLIENT), so rows that arrive later than the overlap are missed"
)


def clock(session: Session) -> Clock:
    """Read the source's clock, then its oldest transaction and statement, and whether it is a copy."""
    with queries(session.where):
        now = _time(run(session.driver, "SELECT UTC_TIMESTAMP(6)")[0][0])
        copy = _copy(session.driver, now)
        transaction, hidden = _oldest_transaction(session.driver)
        if hidden:
            return Clock(now, None, copy.hidden or hidden, copy.notes, copy.data_at)
        ((statement,),) = run(session.driver, catalog.OLDEST_STATEMENT)
    oldest = min((_time(start) for start in (transaction, statement) if start), default=None)
    return Clock(now, oldest, copy.hidden, copy.notes, copy.data_at)


@dataclass(frozen=True, slots=True)
class Copy:
    """Why other servers may write this one's rows too (None: none do), and up to when these are here."""

    hidden: str | None = None
    data_at: datetime | None = None
    notes: tuple[str, ...] = ()


def _copy(driver: Connection, now: datetime) -> Copy:
    names = {str(name).lower() for name, _ in run(driver, catalog.COPY)}
    if names & {"wsrep_on", "group_replication_group_name"}:
        return Copy(CLUSTER)
    channels = _channels(driver)
    if channels:
        behind_s = [_behind_s(channel) for channel in channels]
        if None in behind_s:
            return Copy(REPLICA, NEVER, (NOT_RUNNING,))
        return Copy(REPLICA, now - timedelta(seconds=max(each or 0 for each in behind_s)))
    if channels is None and (names or run(driver, catalog.REPLICATION_THREADS) != [("0",)]):
        return Copy(REPLICA, notes=(LAG_UNKNOWN,))
    return Copy(REPLICA if "innodb_read_only" in names else None)


def _channels(driver: Connection) -> list[dict[str, str | None]] | None:
    """Return the state of each primary that this server replicates, None without the right to ask."""
    for query in catalog.REPLICA_STATUS:
        try:
            return _named_rows(driver, query)
        except pymysql.Error as error:
            if code_of(error) not in (1064, 1227, 1235):  # in other servers' words, or without the right
                raise
    return None


def _behind_s(channel: dict[str, str | None]) -> int | None:
    """Return how far the replica may be behind that primary, None if replication does not run."""
    behind = channel.get("Seconds_Behind_Master", channel.get("Seconds_Behind_Source"))
    return None if behind is None else int(behind) + int(channel.get("SQL_Delay") or 0)


def _named_rows(driver: Connection, sql: str) -> list[dict[str, str | None]]:
    with driver.cursor() as cursor:
        cursor.execute(sql)
        names = [str(column[0]) for column in cursor.description or ()]
        rows: Any = cursor.fetchall()
    return [
        {name: None if value is None else value.decode() for name, value in zip(names, row, strict=True)}
        for row in rows
    ]


def _oldest_transaction(driver: Connection) -> tuple[str | None, str | None]:
    """Return the oldest transaction's start and what hides it; our own proves the list current."""
    run(driver, "START TRANSACTION WITH CONSISTENT SNAPSHOT")
    try:
        for _ in range(ATTEMPTS):
            query = catalog.OLDEST_TRANSACTION.replace("{token}", uuid4().hex)
            ((current, prepared, oldest),) = run(driver, query)
            if current == "1":
                held = "a prepared transaction is open, and its start cannot be seen"
                return oldest, held if prepared != "0" else None
            time.sleep(RETRY_AFTER_S)
    except pymysql.Error as error:
        if code_of(error) == 1227:
            return None, "the user lacks PROCESS, so open transactions cannot be seen"
        raise
    finally:
        run(driver, "ROLLBACK")
    return (
        None,
        "the server's list of transactions is out of date, because something reads it without a pause",
    )


def _time(text: str | None) -> datetime:
    return datetime.fromisoformat(text or "").replace(tzinfo=UTC)
