"""What PostgreSQL knows about transactions that may still commit: the clock, the oldest one, what is hidden.

The list of sessions shows the writers of this server only. On a standby and in a subscriber's database
the writers are elsewhere, and what they committed arrives later.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from tributary.model.source_catalog import NEVER, Clock

# A walsender only reads and autovacuum writes no rows, but the workers that apply a subscription do. Without
# pg_read_all_stats the xact_start of other users is NULL, without an error. A prepared transaction has left
# its session, and its `prepared` is later than the now() that its rows may hold.
OLDEST = """
SELECT pg_catalog.min(a.xact_start),
       CASE WHEN pg_catalog.pg_is_in_recovery() THEN 'a standby does not show the primary''s transactions'
            WHEN EXISTS (SELECT FROM pg_catalog.pg_subscription AS s
                         JOIN pg_catalog.pg_database AS d ON d.oid = s.subdbid
                         WHERE d.datname = pg_catalog.current_database())
              THEN 'a subscription fills this database, and its publisher''s transactions cannot be seen'
            WHEN EXISTS (SELECT FROM pg_catalog.pg_replication_origin)
              THEN 'the server has a replication origin, and transactions at the origin cannot be seen'
            WHEN NOT pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')
              THEN 'the user lacks pg_read_all_stats, so other users'' transactions cannot be seen'
            WHEN pg_catalog.current_setting('track_activities') <> 'on'
              THEN 'track_activities is off, so transactions cannot be seen'
            WHEN EXISTS (SELECT FROM pg_catalog.pg_prepared_xacts AS p
                         WHERE p.database = pg_catalog.current_database())
              THEN 'a prepared transaction is open, and its start cannot be seen'
       END
FROM pg_catalog.pg_stat_activity AS a
WHERE a.datname = pg_catalog.current_database()
  AND a.pid <> pg_catalog.pg_backend_pid()
  AND a.backend_type NOT IN ('autovacuum worker', 'walsender')
"""

# The clock, and up to when the commits of writers elsewhere are here. On a standby that is the last replayed
# commit's time, or the time of the checkpoint that it last restarted from. So that an idle primary's rows do
# not wait, it is also the sender's time of a moment when all that it had announced was replayed; an upstream
# that is a standby itself may lag without saying so, hence the hour. A receiver that has just started states
# its own clock before it has heard anything.
#
# A subscription's time is the publisher's in the last message that was no change. The publisher sends one
# when it has sent all changes; but also one at the start of a worker, before any change, and some while it
# sends changes. So it counts only if no change came after it, and its worker had been running for a while.
NOW = """
SELECT pg_catalog.clock_timestamp(),
       CASE WHEN pg_catalog.pg_is_in_recovery() THEN GREATEST(
         pg_catalog.pg_last_xact_replay_timestamp(),
         (SELECT c.checkpoint_time FROM pg_catalog.pg_control_checkpoint() AS c),
         (SELECT r.last_msg_send_time - interval '1 hour' FROM pg_catalog.pg_stat_wal_receiver AS r
          JOIN pg_catalog.pg_stat_activity AS b ON b.pid = r.pid
          WHERE r.status = 'streaming' AND r.latest_end_lsn <= pg_catalog.pg_last_wal_replay_lsn()
            AND r.last_msg_receipt_time > b.backend_start + interval '5 seconds'))
       END,
       pg_catalog.pg_is_in_recovery(),
       s.known, s.running, s.caught_up, s.applied
FROM (SELECT pg_catalog.count(*) AS known, pg_catalog.count(w.running) AS running,
             pg_catalog.count(w.heard) AS caught_up, pg_catalog.min(w.heard) AS applied
      FROM pg_catalog.pg_subscription AS s
      JOIN pg_catalog.pg_database AS d ON d.oid = s.subdbid
      LEFT JOIN LATERAL (
        SELECT pg_catalog.max(a.pid) AS running,
               pg_catalog.max(a.latest_end_time) FILTER (
                 WHERE a.received_lsn = a.latest_end_lsn
                   AND a.last_msg_receipt_time > COALESCE(b.backend_start, '-infinity') + interval '5 seconds'
               ) AS heard
        FROM pg_catalog.pg_stat_subscription AS a
        LEFT JOIN pg_catalog.pg_stat_activity AS b ON b.pid = a.pid
        WHERE a.subid = s.oid AND a.relid IS NULL) AS w ON true
      WHERE d.datname = pg_catalog.current_database()) AS s
"""

# Tables and views whose rows another server or a REFRESH writes, however many views lie between.
FOREIGN = """
WITH RECURSIVE reached (root, oid) AS (
  SELECT c.oid, c.oid FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  WHERE (n.nspname, c.relname) IN ({names})
  UNION
  SELECT r.root, e.oid FROM reached AS r, LATERAL (
    SELECT d.refobjid AS oid FROM pg_catalog.pg_rewrite AS w
    JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
      AND d.objid = w.oid AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
    WHERE w.ev_class = r.oid
    UNION ALL
    SELECT i.inhrelid FROM pg_catalog.pg_inherits AS i WHERE i.inhparent = r.oid) AS e)
SELECT DISTINCT n.nspname, c.relname
FROM reached AS r
JOIN pg_catalog.pg_class AS c ON c.oid = r.root
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class AS m ON m.oid = r.oid
WHERE m.relkind IN ('f', 'm')
   OR EXISTS (SELECT FROM pg_catalog.pg_rewrite AS w
              JOIN pg_catalog.pg_depend AS f ON f.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
                AND f.objid = w.oid AND f.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
              JOIN pg_catalog.pg_depend AS e ON e.classid = f.refclassid AND e.objid = f.refobjid
                AND e.deptype = 'e'
              JOIN pg_catalog.pg_extension AS x ON x.oid = e.refobjid AND x.extname = 'dblink'
              WHERE w.ev_class = r.oid)
"""


ATTEMPTS, RETRY_AFTER_S = 15, 0.1  # to find a subscription between two changes

STANDBY_IS_EMPTY = "the standby has not replayed anything yet, so the watermark waits"
SUBSCRIPTION_STOPPED = (
    "a subscription of this database is not running, so the watermark waits for it; enable the subscription, "
    "or drop it if nothing more will come from it"
)

SUBSCRIPTION_BEHIND = (
    "a subscription of this database has changes left to apply, or its worker has only just started, so the "
    "watermark waits for it; if that lasts, look for its errors in the server's log"
)


def is_applying(answer: Sequence[str | None]) -> bool:
    """Return whether subscriptions run and may be up to date in a moment: changes keep coming."""
    _, _, _, known, running, caught_up, _ = answer
    return known == running != caught_up


def clock_of(answer: Sequence[str | None], oldest: str | None, hidden: str | None) -> Clock:
    """Return the clock that the answers to NOW and OLDEST describe."""
    at, replayed, in_recovery, known, running, caught_up, applied = answer
    now, data_at, note = _time(str(at)), None, None
    if in_recovery == "t":
        data_at, note = (_time(replayed), None) if replayed else (NEVER, STANDBY_IS_EMPTY)
    elif known != running:
        data_at, note = NEVER, SUBSCRIPTION_STOPPED
    elif known != caught_up:
        data_at, note = NEVER, SUBSCRIPTION_BEHIND
    elif applied:
        data_at = min(now, _time(applied))
    began = _time(oldest) if oldest else None
    return Clock(now, began, hidden, notes=(note,) if note else (), data_at=data_at)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
