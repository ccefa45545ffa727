"""What SQL Server knows about transactions that may still commit, and whether other servers write too.

The list of transactions shows the writers of this instance only. A secondary replica, a copy made by log
shipping, a snapshot and a subscriber have their writers elsewhere, and what these committed arrives later.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

from tributary.errors import TableRefused
from tributary.model.source_catalog import NEVER, Clock

Row = Sequence[str | None]
Ask = Callable[[str], Row | None]

# The clock, the offset of the server's zone from UTC in minutes, whether the database can be written, the
# product, what kind of copy it is and since when, and whether replication writes into it. A subscriber has a
# table of its subscriptions, and so has a database under merge replication.
CLOCK = """
SELECT CONVERT(varchar(27), SYSUTCDATETIME(), 121), DATEPART(tzoffset, SYSDATETIMEOFFSET()),
       CONVERT(varchar(20), DATABASEPROPERTYEX(DB_NAME(), 'Updateability')),
       CONVERT(int, SERVERPROPERTY('EngineEdition')),
       CASE WHEN d.source_database_id IS NOT NULL THEN 'snapshot' WHEN d.is_in_standby = 1 THEN 'standby' END,
       CONVERT(varchar(23), d.create_date, 121),
       CASE WHEN OBJECT_ID(N'dbo.MSreplication_subscriptions') IS NOT NULL
              OR OBJECT_ID(N'dbo.sysmergesubscriptions') IS NOT NULL THEN 1 ELSE 0 END
FROM (SELECT 1 AS one) AS x LEFT JOIN sys.databases AS d ON d.name = DB_NAME()
"""

# A secondary's last commit, as its primary dated it, and whether data movement is suspended. Without
# VIEW SERVER STATE this is an error. Azure SQL has the same under another name.
AVAILABILITY = """
SELECT CONVERT(varchar(23), r.last_commit_time, 121), CONVERT(int, r.is_suspended)
FROM {view} AS r
WHERE r.database_id = DB_ID() AND r.is_local = 1 AND r.is_primary_replica = 0
"""
AZURE_SQL = "5"  # SERVERPROPERTY('EngineEdition')
VIEWS = {AZURE_SQL: "sys.dm_database_replica_states"}
VIEW = "sys.dm_hadr_database_replica_states"

# The backup that was restored last holds what was committed before it began. Times are local to the server
# that made it; its zone counts in quarters of an hour, and 127 means that it is unknown.
RESTORED = """
SELECT TOP (1) CONVERT(varchar(23), b.backup_start_date, 121), b.time_zone
FROM msdb.dbo.restorehistory AS r
JOIN msdb.dbo.backupset AS b ON b.backup_set_id = r.backup_set_id
WHERE r.destination_database_name = DB_NAME()
ORDER BY r.restore_date DESC, r.restore_history_id DESC
"""
UNKNOWN_ZONE = 127

SNAPSHOT = "a database snapshot does not show the transactions that were open when it was made"
REPLICA = "a replica does not show its primary's transactions"
STANDBY = "a copy by log shipping does not show its primary's transactions"
READ_ONLY = "the database is read-only, and a copy does not show its origin's transactions"
SUBSCRIBER = "replication writes into this database, and the publisher's transactions cannot be seen"
LACKS_VIEW = "the user lacks VIEW SERVER STATE, so open transactions cannot be seen"
SUSPENDED = "data movement to this replica is suspended, so the watermark waits for it"
NO_COMMIT = "the replica has not received a commit yet, so the watermark waits"
LAG_UNKNOWN = (
    "how far this copy is behind cannot be seen (grant VIEW SERVER STATE for an availability group, SELECT "
    "on msdb.dbo.restorehistory and msdb.dbo.backupset for log shipping), so rows that arrive later than the "
    "overlap are missed"
)
SUBSCRIPTION_LAG = (
    "how far the subscription is behind cannot be seen, so rows that arrive later than the overlap are missed"
)


@dataclass(frozen=True, slots=True)
class Copy:
    """Why other servers may write these rows too (None: none do), and up to when their commits are here."""

    hidden: str | None = None
    data_at: datetime | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Now:
    """The answer to CLOCK."""

    at: datetime
    ahead: timedelta  # of the server's zone before UTC
    can_be_written: bool
    edition: str
    kind: str | None  # snapshot or standby
    created: str | None
    is_subscriber: bool


def now_of(row: Row) -> Now:
    """Return what a row of CLOCK says."""
    at, ahead, updateability, edition, kind, created, subscribes = row
    return Now(
        time_of(str(at)).replace(tzinfo=UTC),
        timedelta(minutes=int(str(ahead))),
        updateability != "READ_ONLY",
        str(edition),
        kind,
        created,
        subscribes == "1",
    )


def copy_of(now: Now, ask: Ask) -> Copy:
    """Return what the server says about writers elsewhere; `ask` gives the first row of a small query."""
    if now.can_be_written:
        return Copy(SUBSCRIBER, notes=(SUBSCRIPTION_LAG,)) if now.is_subscriber else Copy()
    if now.kind == "snapshot":
        return Copy(SNAPSHOT, _instant(str(now.created), now))
    if now.kind is None and (replica := _replica(now, ask)) is not None:
        return replica
    return _restored(STANDBY if now.kind == "standby" else READ_ONLY, now, ask)


def _replica(now: Now, ask: Ask) -> Copy | None:
    """Return the state of a secondary replica, None if the database is none."""
    try:
        row = ask(AVAILABILITY.replace("{view}", VIEWS.get(now.edition, VIEW)))
    except TableRefused:
        return Copy(REPLICA, notes=(LAG_UNKNOWN,))
    if row is None:
        return None
    committed, suspended = row
    notes = (*((SUSPENDED,) if suspended == "1" else ()), *(() if committed else (NO_COMMIT,)))
    return Copy(REPLICA, _instant(committed, now) if committed else NEVER, notes)


def _restored(hidden: str, now: Now, ask: Ask) -> Copy:
    try:
        row = ask(RESTORED)
    except TableRefused:
        row = None
    if row is None or row[0] is None:
        return Copy(hidden, notes=(LAG_UNKNOWN,))
    quarters = int(row[1] or UNKNOWN_ZONE)
    if quarters == UNKNOWN_ZONE:
        return Copy(hidden, _instant(row[0], now))
    began = time_of(row[0]).replace(tzinfo=UTC) - timedelta(minutes=15 * quarters)
    return Copy(hidden, min(now.at, began))


def _instant(local: str, now: Now) -> datetime:
    return min(now.at, earliest(time_of(local), now.at, now.ahead))


def time_of(text: str) -> datetime:
    """Return the time of a text, cut to microseconds."""
    return datetime.fromisoformat(text[:26])


def clock_of(now: Now, copy: Copy, oldest: Row | None, minutes: int) -> Clock:
    """Return the clock that the answers describe; `minutes`: for how long a request is waited for."""
    begun, passed_over = oldest if oldest else (None, None)
    return Clock(
        now.at,
        earliest(time_of(begun), now.at, now.ahead) if begun else None,
        copy.hidden,
        notes=(*copy.notes, *_passed_over(int(passed_over or 0), minutes)),
        data_at=copy.data_at,
    )


def _passed_over(requests: int, minutes: int) -> tuple[str, ...]:
    """Return the note about requests that run without a transaction for longer than is waited for."""
    if not requests:
        return ()
    count = "1 request runs" if requests == 1 else f"{requests} requests run"
    note = (
        f"{count} on the server for more than {minutes} minutes without a transaction, and "
        "the watermark does not wait for them: a row that they write with an earlier time is not read"
    )
    return (note,)


def earliest(begun: datetime, now: datetime, ahead: timedelta) -> datetime:
    """Return the earliest instant at which the server's clock may have shown the local time `begun`.

    The server reports its zone's offset from UTC now, not at that time. Of all zones with that offset now,
    the one that was farthest ahead then is used.
    """
    if not ahead:
        return begun.replace(tzinfo=UTC)
    alike = (
        zone
        for zone in map(ZoneInfo, sorted(available_timezones()))
        if now.astimezone(zone).utcoffset() == ahead
    )
    instants = (begun.replace(tzinfo=zone, fold=fold).astimezone(UTC) for zone in alike for fold in (0, 1))
    return min(instants, default=begun.replace(tzinfo=UTC) - ahead - timedelta(hours=1))
