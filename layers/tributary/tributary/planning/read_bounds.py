"""From where to where a run reads a table, and how far its watermark may move.

A read begins after the committed watermark. The next watermark is a value that exists in the source
and that the source selects: the highest one below the horizon, under which nothing can still be
committed. Rows above it are read as well and read again by the next run, which a merge absorbs. An
append would keep both, so it reads up to the next watermark and no further.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from datetime import timedelta

from tributary.errors import TableRefused
from tributary.model.plan import Column, Range
from tributary.model.run_id import started_at
from tributary.model.source_catalog import NEVER, Clock, TableName
from tributary.model.time_zone import parse_time_zone
from tributary.planning.horizon import clock_text, fraction_digits, unknown_zone_note, watermark_limit
from tributary.planning.source_probe import SourceProbe
from tributary.planning.table_spec import TableSpec

FOREIGN = (
    "its rows come from a foreign or materialized table, and the transactions that write there cannot be seen"
)
LAG = timedelta(minutes=2)  # of a copy that is reported
LONG_TRANSACTION = timedelta(minutes=10)  # one that has been open for longer is reported


@dataclass(frozen=True, slots=True)
class ReadBounds:
    """The ranges to read, and the watermarks before and after."""

    ranges: tuple[Range, ...]
    watermark: str | None = None  # the committed one, in the source's own text
    next_watermark: str | None = None  # what the publish commits with the rows
    future_rows: int = 0  # rows dated beyond the source's clock
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceClock:
    """What is known of a source at plan time about values that may still be committed."""

    clock: Clock
    integer_horizons: Mapping[str, str]  # by table name; a table is missing if its horizon is unknown
    unchanged: Set[TableName] = frozenset()  # tables without a row above their watermark
    foreign: Set[TableName] = frozenset()  # tables whose writers the source does not list

    def of(self, name: TableName) -> Clock:
        """Return the clock as it counts for the table."""
        if name not in self.foreign or self.clock.hidden is not None:
            return self.clock
        return replace(self.clock, hidden=FOREIGN)


def whole_range(spec: TableSpec) -> tuple[Range, ...]:
    """Return the one range that reads every row: by the key, which does not move while it is read."""
    return (Range(number=0, order=spec.key),)


def read_bounds(
    probe: SourceProbe, spec: TableSpec, now: SourceClock, watermark: str | None, *, whole_read: bool
) -> ReadBounds:
    """Return the bounds of an incremental table; without a watermark every row is read."""
    after = None if whole_read else watermark
    notes = _notes(spec, now)
    if after is not None and spec.table.name in now.unchanged:
        ranges = () if spec.mode == "append" else _new_ranges(spec, after, None, None)
        return ReadBounds(ranges, watermark, watermark, notes=notes)
    highest = probe.highest(spec, _cursor(spec), after=watermark)
    _check_integer(spec, highest)
    committed = None if highest is None else _next_watermark(probe, spec, now, watermark)
    next_watermark = committed or watermark
    future = _future_rows(probe, spec, now.clock)
    if spec.mode == "append":
        ranges = _append_ranges(spec, after, next_watermark)
        return ReadBounds(ranges, watermark, next_watermark, notes=(*notes, *_rows_that_wait(future)))
    up_to = highest if future else _clock_as_cursor(probe, spec, now.clock)
    ranges = whole_range(spec) if after is None else _new_ranges(spec, after, up_to, highest)
    return ReadBounds(ranges, watermark, next_watermark, future, notes)


def _check_integer(spec: TableSpec, highest: str | None) -> None:
    """Raise TableRefused for NaN, which is above every number: a watermark there would hide all new rows."""
    cursor = _cursor(spec)
    if cursor.kind.name == "decimal" and highest is not None and not re.fullmatch(r"-?\d+", highest):
        raise TableRefused(
            f'cursor column "{cursor.name}" of {spec.name} holds a value that is no integer, such as NaN; '
            "correct the row, leave it out with where, or choose another cursor"
        )


def _append_ranges(spec: TableSpec, after: str | None, up_to: str | None) -> tuple[Range, ...]:
    """Return the rows up to the next watermark, none if it does not move; without a key in one go."""
    if up_to is None or up_to == after:
        return ()
    if after is None:
        return (Range(number=0, order=spec.key, up_to=up_to),)
    order = spec.cursor_order if spec.key else ()
    return (Range(number=0, order=order, after=after, up_to=up_to),)


def _new_ranges(spec: TableSpec, after: str, up_to: str | None, highest: str | None) -> tuple[Range, ...]:
    """Return the ranges of new rows.

    Rows without a cursor come first: one that gets a value while the run reads is then read again.
    """
    nulls = [Range(number=0, order=spec.key, nulls=True)] if spec.settings.nulls == "include" else []
    new = Range(number=1, order=spec.cursor_order, after=after, up_to=up_to)
    return (*nulls, *([] if highest is None else [new]))


def _next_watermark(
    probe: SourceProbe, spec: TableSpec, now: SourceClock, watermark: str | None
) -> str | None:
    """Return the highest value below the horizon, None if there is none or the horizon is unknown."""
    cursor, engine = _cursor(spec), probe.engine
    name = engine.quote(cursor.name)
    if cursor.kind.orders_time:
        limit = watermark_limit(
            now.of(spec.table.name),
            cursor.kind,
            zone=spec.settings.cursor_time_zone,
            digits=fraction_digits(cursor.type, default=engine.FRACTION_DIGITS),
            overlap=_time_overlap(spec),
        )
        condition = f"{name} < {engine.literal(limit, cursor.type)}"
    else:
        horizon = engine.counter_horizon(probe.connection, cursor.type)
        if horizon is None:
            horizon = _integer_horizon(probe, spec, now)
        if horizon is None:
            return None
        condition = f"{name} <= {engine.literal(horizon, cursor.type)}"
    return probe.highest(spec, cursor, after=watermark, condition=condition)


def _integer_horizon(probe: SourceProbe, spec: TableSpec, now: SourceClock) -> str | None:
    cursor, overlap, hidden = _cursor(spec), spec.overlap, now.of(spec.table.name).hidden
    if isinstance(overlap, timedelta):
        raise TableRefused(
            f'overlap of {spec.name} is a duration, and cursor "{cursor.name}" an integer; write an integer'
        )
    if hidden is None and overlap is None:
        return now.integer_horizons.get(spec.name)
    if spec.mode == "append":
        raise TableRefused(
            f"{spec.name}: the source hides its open transactions ({hidden}), so it is unknown up "
            "to which value an integer cursor is complete; let the user see them, choose a time cursor, or "
            "use mode: merge with an overlap"
        )
    if overlap is None:
        raise TableRefused(
            f"{spec.name}: the source hides its open transactions ({hidden}), so an integer "
            f'cursor needs an overlap: set overlap to how far below the newest "{cursor.name}" '
            "a transaction may still write"
        )
    highest = probe.highest(spec, cursor, after=None)
    return None if highest is None else str(int(highest) - overlap)


def _future_rows(probe: SourceProbe, spec: TableSpec, clock: Clock) -> int:
    """Count the rows dated beyond the source's clock; 0 if the cursor cannot be compared with it."""
    up_to = _clock_as_cursor(probe, spec, clock)
    return 0 if up_to is None else probe.count_above(spec, _cursor(spec), up_to)


def _clock_as_cursor(probe: SourceProbe, spec: TableSpec, clock: Clock) -> str | None:
    """Return the source's clock as text of the cursor's type, None if the two cannot be compared."""
    cursor, zone = _cursor(spec), spec.settings.cursor_time_zone
    if not cursor.kind.orders_time or unknown_zone_note(cursor.kind, zone, cursor.name):
        return None
    digits = fraction_digits(cursor.type, default=probe.engine.FRACTION_DIGITS)
    return clock_text(clock, cursor.kind, zone=zone, digits=digits)


def _cursor(spec: TableSpec) -> Column:
    assert spec.cursor is not None  # an incremental mode has one
    return spec.cursor


def opens_at(run_id: str, spec: TableSpec) -> str:
    """Return the start of the run in the cursor's zone: versions without a time of their own open then."""
    started = started_at(run_id)
    cursor, zone = spec.cursor, spec.settings.cursor_time_zone
    if cursor and zone and cursor.kind.name in ("timestamp", "date"):
        started = started.astimezone(parse_time_zone(zone))
    return started.replace(tzinfo=None).isoformat(sep=" ")


def _time_overlap(spec: TableSpec) -> timedelta | None:
    overlap = spec.overlap
    if isinstance(overlap, int):
        raise TableRefused(
            f'overlap of {spec.name} is an integer, and its cursor a time; write a duration such as "1 hour"'
        )
    return overlap


def _notes(spec: TableSpec, now: SourceClock) -> tuple[str, ...]:
    cursor, appends, clock = _cursor(spec), spec.mode == "append", now.of(spec.table.name)
    notes = [
        unknown_zone_note(cursor.kind, spec.settings.cursor_time_zone, cursor.name, waits=appends),
        *clock.notes,
        _hidden_note(spec, clock) if cursor.kind.orders_time else None,
    ]
    if clock.data_at and clock.data_at > NEVER and (behind := clock.now - clock.data_at) > LAG:
        minutes = int(behind.total_seconds() // 60)
        notes.append(f"the source is a copy whose data are of {minutes} minutes ago, so the watermark is too")
    if clock.oldest and (age := clock.now - clock.oldest) > LONG_TRANSACTION:
        minutes = int(age.total_seconds() // 60)
        notes.append(f"the watermark is held back by a transaction that has been open for {minutes} minutes")
    return tuple(note for note in notes if note)


def _hidden_note(spec: TableSpec, clock: Clock) -> str | None:
    """Return what it means for the table that open transactions are hidden, None if they are not."""
    if clock.hidden is None:
        return None
    if spec.overlap is not None:
        return f"{clock.hidden}: rows that are committed later than the overlap are missed"
    late, again = "rows arrive an hour late", "every run reads the last hour again"
    return f"{clock.hidden}: {late if spec.mode == 'append' else again}"


def _rows_that_wait(future_rows: int) -> tuple[str, ...]:
    """Return the note about rows dated beyond the source's clock, which an append leaves for later."""
    if not future_rows:
        return ()
    return (
        f"{future_rows} rows are dated beyond the source's clock; they are appended when it reaches them",
    )
