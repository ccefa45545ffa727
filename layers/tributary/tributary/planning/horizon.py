"""How far the watermark of a time cursor may move: never past a value that can still be committed.

The limit is the horizon in the column's zone and precision. Rows that can still be committed have values at
or above the limit, so a watermark below the limit never skips one. Every rounding goes the safe way: the
limit down, the end of a read up. Cursor values themselves are never changed here.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from tributary.model.source_catalog import Clock
from tributary.model.time_zone import parse_time_zone
from tributary.model.types import Kind

OVERLAP = timedelta(hours=1)  # re-read if the source hides its open transactions
MARGIN = timedelta(seconds=1)  # a transaction may begin just before the clock is read and be listed after

_AHEAD, _BEHIND = timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))  # no zone goes further
_FALL_BACK = timedelta(hours=3)  # the farthest that a zone's clocks have gone back since 1995


def horizon(clock: Clock, *, margin: timedelta = MARGIN, overlap: timedelta | None = None) -> datetime:
    """Return the instant before which nothing can still be committed.

    That is the earlier of the clock and the oldest open transaction, minus the margin. If the source
    hides transactions (`clock.hidden`) or the file sets an overlap, it is the clock minus the overlap
    if that is earlier still. On a copy of another server, the clock is the time up to which it has
    everything (`clock.data_at`).
    """
    now = clock.now if clock.data_at is None else min(clock.now, clock.data_at)
    oldest = now if clock.oldest is None else min(now, clock.oldest)
    if overlap is None and clock.hidden is None:
        return oldest - margin
    return min(oldest - margin, now - (OVERLAP if overlap is None else overlap))


def watermark_limit(
    clock: Clock,
    kind: Kind,
    *,
    zone: str | None,
    digits: int = 6,
    margin: timedelta = MARGIN,
    overlap: timedelta | None = None,
) -> str:
    """Return the exclusive upper bound of the watermark, as text of the cursor's kind.

    `zone` is the one that naive times and dates are written in. If it is unknown (None), the zone
    furthest behind is taken, which re-reads up to 26 hours and loses nothing.
    `digits` are the column's decimals of a second. A date is passed only after its day has ended.
    """
    at = horizon(clock, margin=margin, overlap=overlap)
    return _text(_lowest(at, _zone(kind, zone, _BEHIND)), kind, digits)


def clock_text(clock: Clock, kind: Kind, *, zone: str | None, digits: int = 6) -> str:
    """Return the source's clock as text of the cursor's kind: the inclusive end of a read.

    It is not below any value written until now: it is rounded up to the column's precision, and after
    clocks went back it is the highest local time seen. An unknown zone (None) counts as the one
    furthest ahead.
    """
    # A date is rounded up too: MySQL rounds the last half second of a day to the next day.
    step = timedelta(microseconds=10 ** (6 - min(digits, 6)))
    local = _highest(clock.now, _zone(kind, zone, _AHEAD))
    return _text(local + (datetime.min - local) % step, kind, digits)


def unknown_zone_note(kind: Kind, zone: str | None, column: str, *, waits: bool = False) -> str | None:
    """Return the plan's note about a time cursor whose zone is unknown, None if it is known.

    `waits`: rows above the horizon are left for later runs instead of being read again.
    """
    if zone is not None or kind.name not in ("timestamp", "date"):
        return None
    unknown = f'the time zone of "{column}" is unknown'
    if waits:
        return f"{unknown}: rows arrive 12 to 26 hours late; set cursor_time_zone (such as UTC)"
    return (
        f"{unknown}: every run reads its last 12 to 26 hours "
        "again; set cursor_time_zone (such as Europe/Madrid or UTC) to read only what is new"
    )


def fraction_digits(type: str, *, default: int) -> int:
    """Return the decimals of a second in a column's type: 3 for `timestamp(3)`, else the default."""
    match = re.search(r"\((\d)\)", type)
    return int(match[1]) if match else default


def _zone(kind: Kind, zone: str | None, unknown: tzinfo) -> tzinfo:
    if kind.name == "timestamptz":
        return UTC
    return unknown if zone is None else parse_time_zone(zone)


def _local(at: datetime, zone: tzinfo) -> datetime:
    return at.astimezone(zone).replace(tzinfo=None, fold=0)


def _lowest(at: datetime, zone: tzinfo) -> datetime:
    """Return a local time that no later instant falls below, even if clocks go back soon."""
    return min(_local(at, zone), _local(at + _FALL_BACK, zone) - _FALL_BACK)


def _highest(at: datetime, zone: tzinfo) -> datetime:
    """Return a local time that no earlier instant rises above, even if clocks went back lately."""
    return max(_local(at, zone), _local(at - _FALL_BACK, zone) + _FALL_BACK)


def _text(local: datetime, kind: Kind, digits: int) -> str:
    """Return the time in the kind's form, rounded down to the digits."""
    if kind.name == "date":
        return local.date().isoformat()
    whole, _, fraction = local.isoformat(sep=" ", timespec="microseconds").partition(".")
    text = f"{whole}.{fraction[:digits]}" if digits else whole
    return f"{text}+00" if kind.name == "timestamptz" else text
