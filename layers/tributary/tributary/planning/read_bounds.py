"""From where to where a run reads a table, and how far its watermark may move.

A read begins after the committed watermark. The next watermark is a value that the source holds,
chosen by the source: the highest one below the horizon, under which nothing can be committed any
more. Rows above it are read all the same and read again by the next run, which a merge absorbs; an
append, which would keep both, reads up to the next watermark and no further.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from tributary.engines.protocol import Engine
from tributary.errors import InternalError, KeyNotUnique, TableRefused
from tributary.model.plan import Column, Range
from tributary.model.run_id import started_at
from tributary.model.source_catalog import Clock, SourceTable, TableName
from tributary.model.time_zone import parse_time_zone
from tributary.planning.horizon import clock_text, digits, limit, unknown_zone
from tributary.planning.table_spec import TableSpec
from tributary.reading.keyset import relation, user_condition


@dataclass(frozen=True, slots=True)
class ReadBounds:
    """The ranges to read and the watermarks before and after; see `documents.TablePlan`."""

    ranges: tuple[Range, ...]
    watermark: str | None = None
    next_watermark: str | None = None
    future_rows: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceClock:
    """The source at plan time: its clock, and for each table with an integer cursor the exact horizon.

    `serials`: table name -> the highest value under which nothing can be committed any more; a
    table is missing where that is not known. `still`: the tables without a row above their watermark.
    """

    clock: Clock
    serials: Mapping[str, str]
    still: Set[TableName] = frozenset()


def whole(choice: TableSpec) -> tuple[Range, ...]:
    """Return the one range that reads every row: by the key, which does not move while it is read."""
    return (Range(number=0, order=choice.key),)


@dataclass(frozen=True, slots=True)
class SourceProbe:
    """Asks a source the few small questions that bounds rest on."""

    engine: Engine
    connection: Any

    def bounds(
        self, choice: TableSpec, now: SourceClock, watermark: str | None, *, all_rows: bool
    ) -> ReadBounds:
        """Return the bounds of an incremental table; without a watermark every row is read."""
        cursor = choice.cursor
        assert cursor is not None  # an incremental mode has one
        begun = None if all_rows else watermark
        if begun is not None and choice.table.name in now.still:
            return ReadBounds(
                ranges=() if choice.mode == "append" else self._ranges(choice, begun, None, None),
                watermark=watermark,
                next_watermark=watermark,
                notes=_notes(choice, cursor, now),
            )
        highest = self.highest(choice, cursor, after=watermark)
        committed = self._next_watermark(choice, now, watermark) if highest is not None else None
        future = self._future_rows(choice, now.clock)
        if choice.mode == "append":
            return ReadBounds(
                ranges=self._settled(choice, begun, committed or watermark),
                watermark=watermark,
                next_watermark=committed or watermark,
                notes=(*_notes(choice, cursor, now), *_waiting(future)),
            )
        up_to = highest if future else self._clock(choice, now.clock)
        return ReadBounds(
            ranges=whole(choice) if begun is None else self._ranges(choice, begun, up_to, highest),
            watermark=watermark,
            next_watermark=committed or watermark,
            future_rows=future,
            notes=_notes(choice, cursor, now),
        )

    def _settled(self, choice: TableSpec, after: str | None, up_to: str | None) -> tuple[Range, ...]:
        """Return the rows up to the next watermark, none where it stays; without a key in one go."""
        if up_to is None or up_to == after:
            return ()
        if after is None:
            return (Range(number=0, order=choice.key, up_to=up_to),)
        return (Range(number=0, order=_by_cursor(choice) if choice.key else (), after=after, up_to=up_to),)

    def _ranges(
        self, choice: TableSpec, after: str, up_to: str | None, highest: str | None
    ) -> tuple[Range, ...]:
        """Return the rows without a cursor first: one that gets a value meanwhile is then read again."""
        nulls = [Range(number=0, order=choice.key, nulls=True)] if choice.settings.nulls == "include" else []
        news = Range(number=1, order=_by_cursor(choice), after=after, up_to=up_to)
        return (*nulls, *([] if highest is None else [news]))

    def highest(self, choice: TableSpec, cursor: Column, *, after: str | None, below: str = "") -> str | None:
        """Return the cursor's highest value after the watermark (and `below`, a condition), None for none."""
        row = self.engine.ask(self.connection, self.top(choice, cursor, after=after, below=below))
        return row[0] if row else None

    def top(self, choice: TableSpec, cursor: Column, *, after: str | None = None, below: str = "") -> str:
        """Return the query of the highest value, which is one row and one column."""
        name, table = self.engine.quote(cursor.name), self._named_rows(choice, cursor.name)
        conditions = [f"{name} > {self.engine.literal(after, cursor.type)}"] if after is not None else []
        conditions += [below] if below else []
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        shown = self.engine.rendered(cursor.name, cursor.type)
        return f"SELECT {shown} FROM (SELECT MAX({name}) AS {name} FROM {table}{where}) AS top"

    def is_news(self, choice: TableSpec, cursor: Column, watermark: str) -> str:
        """Return the expression that is 1 where a row is above the watermark, else 0."""
        beyond = f"{self.engine.quote(cursor.name)} > {self.engine.literal(watermark, cursor.type)}"
        found = f"SELECT 1 FROM {self._named_rows(choice, cursor.name)} WHERE {beyond}"
        return f"CASE WHEN EXISTS ({found}) THEN 1 ELSE 0 END"

    def _next_watermark(self, choice: TableSpec, now: SourceClock, watermark: str | None) -> str | None:
        cursor = choice.cursor
        if cursor is None:
            return None
        name = self.engine.quote(cursor.name)
        if cursor.kind.orders_time:
            text = limit(
                now.clock,
                cursor.kind,
                zone=choice.settings.cursor_time_zone,
                digits=digits(cursor.type, default=self.engine.FRACTION_DIGITS),
                overlap=_time_overlap(choice),
            )
            below = f"{name} < {self.engine.literal(text, cursor.type)}"
        else:
            serial = self.engine.counter_horizon(self.connection, cursor.type)
            if serial is None:
                serial = self._serial_horizon(choice, cursor, now)
            if serial is None:
                return None
            below = f"{name} <= {self.engine.literal(serial, cursor.type)}"
        return self.highest(choice, cursor, after=watermark, below=below)

    def _serial_horizon(self, choice: TableSpec, cursor: Column, now: SourceClock) -> str | None:
        overlap = choice.overlap
        if isinstance(overlap, timedelta):
            raise TableRefused(
                f'overlap of {choice.name}: cursor "{cursor.name}" is an integer, so is overlap'
            )
        if now.clock.hidden is None and overlap is None:
            return now.serials.get(choice.name)
        if choice.mode == "append":
            raise TableRefused(
                f"{choice.name}: the source hides its open transactions ({now.clock.hidden}), so nothing "
                "says up to where an integer cursor is settled; let the user see them, choose a time "
                "cursor, or use mode: merge with an overlap"
            )
        if overlap is None:
            raise TableRefused(
                f"{choice.name}: the source hides its open transactions ({now.clock.hidden}), so an integer "
                f'cursor needs an overlap: set overlap to how far below the newest "{cursor.name}" '
                "a transaction may still write"
            )
        highest = self.highest(choice, cursor, after=None)
        return None if highest is None else str(int(highest) - overlap)

    def _future_rows(self, choice: TableSpec, clock: Clock) -> int:
        """Count the rows dated beyond the source's clock; none where the clock cannot tell."""
        up_to, cursor = self._clock(choice, clock), choice.cursor
        if up_to is None or cursor is None:
            return 0
        beyond = f"{self.engine.quote(cursor.name)} > {self.engine.literal(up_to, cursor.type)}"
        rows = self._named_rows(choice, cursor.name)
        row = self.engine.ask(self.connection, f"SELECT COUNT(*) FROM {rows} WHERE {beyond}")
        return int(row[0] or 0) if row else 0

    def _clock(self, choice: TableSpec, clock: Clock) -> str | None:
        """Return the source's clock as the cursor would have it, None where it cannot be held against it."""
        cursor, zone = choice.cursor, choice.settings.cursor_time_zone
        if cursor is None or not cursor.kind.orders_time or unknown_zone(cursor.kind, zone, cursor.name):
            return None
        fraction = digits(cursor.type, default=self.engine.FRACTION_DIGITS)
        return clock_text(clock, cursor.kind, zone=zone, digits=fraction)

    def check_unique(self, choice: TableSpec, watermark: str | None) -> None:
        """Raise KeyNotUnique where rows to be read share their key with another row.

        Asked only of a key that the source does not keep unique itself.
        """
        if choice.key_proven or not choice.key:
            return
        names = [self.engine.quote(name) for name in choice.key]
        counted = [choice.cursor.name] if choice.cursor else []
        table = self._rows(choice, *dict.fromkeys([*choice.key, *counted]))
        key = ", ".join(f"one.{name}" for name in names)
        among = ""
        if watermark is not None and choice.cursor is not None:
            cursor = choice.cursor
            same = " AND ".join(f"new.{name} = one.{name}" for name in names)
            after = f"new.{self.engine.quote(cursor.name)} > {self.engine.literal(watermark, cursor.type)}"
            among = f" WHERE EXISTS (SELECT 1 FROM {table} AS new WHERE {same} AND {after})"
        if self._any(f"SELECT {key} FROM {table} AS one{among} GROUP BY {key} HAVING COUNT(*) > 1"):
            raise KeyNotUnique(
                f"key {', '.join(choice.key)} of {choice.name} is not unique: several rows share one; "
                "set key to columns that identify a row, or use mode: replace without a key"
            )

    def has_values(self, choice: TableSpec, column: str) -> bool:
        """Say whether the column is not NULL in at least one row."""
        name = self.engine.quote(column)
        return self._any(f"SELECT 1 FROM {self._named_rows(choice, column)} WHERE {name} IS NOT NULL")

    def described(self, name: TableName, sql: str) -> SourceTable:
        """Return what the source says of a query; raises TableRefused where it refuses it."""
        try:
            return self.engine.describe_query(self.connection, name, sql)
        except (InternalError, TableRefused) as error:
            raise TableRefused(f"query {name} is refused by the source; try it there. {error}") from None

    def check_own_sql(self, choice: TableSpec) -> None:
        """Raise TableRefused where the source refuses the user's condition, or a query breaks its promise.

        What the file calls key and cursor of a query may not be NULL: no page could go on after it.
        """
        if choice.settings.where is not None:
            condition = user_condition(choice.settings.where)
            try:
                self._any(f"SELECT 1 FROM {self._relation(choice)} AS t WHERE {condition} AND 1 = 0")
            except (InternalError, TableRefused) as error:
                raise TableRefused(
                    f"where of {choice.name} is refused by the source; try it there. {error}"
                ) from None
        if choice.sql is None:
            return
        counted = [choice.cursor.name] if choice.cursor and choice.settings.nulls != "include" else []
        for column in dict.fromkeys([*choice.key, *counted]):
            name = self.engine.quote(column)
            if self._any(f"SELECT 1 FROM {self._named_rows(choice, column)} WHERE {name} IS NULL"):
                raise TableRefused(
                    f'column "{column}" of {choice.name} is NULL in some rows, and neither a key nor a '
                    "cursor may be; leave these rows out in the query, choose other columns, or set nulls: "
                    "include for a cursor"
                )

    def _any(self, sql: str) -> bool:
        """Say whether the query has a row; in words that every engine has."""
        row = self.engine.ask(self.connection, f"SELECT CASE WHEN EXISTS ({sql}) THEN 1 END")
        return row is not None and row[0] is not None

    def _relation(self, choice: TableSpec) -> str:
        return relation(choice.table.name, choice.sql, self.engine.quote)

    def _rows(self, choice: TableSpec, *columns: str) -> str:
        """Return what the table's rows are selected from, without those that `where` leaves out."""
        if choice.settings.where is None:
            return self._relation(choice)
        shown = ", ".join(f"t.{self.engine.quote(column)}" for column in columns)
        condition = user_condition(choice.settings.where)
        return f"(SELECT {shown} FROM {self._relation(choice)} AS t WHERE {condition})"

    def _named_rows(self, choice: TableSpec, *columns: str) -> str:
        """Return the same with the name that a derived table must have."""
        rows = self._rows(choice, *columns)
        return f"{rows} AS t" if rows.startswith("(") else rows


def opens_at(run_id: str, choice: TableSpec) -> str:
    """Return the start of the run, in the zone of the cursor: from then a version without a time holds."""
    started = started_at(run_id)
    cursor, zone = choice.cursor, choice.settings.cursor_time_zone
    if cursor and zone and cursor.kind.name in ("timestamp", "date"):
        started = started.astimezone(parse_time_zone(zone))
    return started.replace(tzinfo=None).isoformat(sep=" ")


def _by_cursor(choice: TableSpec) -> tuple[str, ...]:
    cursor = choice.cursor.name if choice.cursor else ""
    return (cursor, *(name for name in choice.key if name != cursor))


def _time_overlap(choice: TableSpec) -> timedelta | None:
    overlap = choice.overlap
    if isinstance(overlap, int):
        raise TableRefused(
            f'overlap of {choice.name}: its cursor is a time, so write a duration such as "1 hour"'
        )
    return overlap


def _notes(choice: TableSpec, cursor: Column, now: SourceClock) -> tuple[str, ...]:
    appends = choice.mode == "append"
    notes = [unknown_zone(cursor.kind, choice.settings.cursor_time_zone, cursor.name, waits=appends)]
    if now.clock.hidden and choice.overlap is None and cursor.kind.orders_time:
        what = "rows arrive an hour late" if appends else "every run reads the last hour again"
        notes.append(f"{now.clock.hidden}: {what}")
    oldest = now.clock.oldest
    if oldest and (age := now.clock.now - oldest) > timedelta(minutes=10):
        held = int(age.total_seconds() // 60)
        notes.append(f"the watermark is held back by a transaction that has been open for {held} minutes")
    return tuple(note for note in notes if note)


def _waiting(future_rows: int) -> tuple[str, ...]:
    """Return the note about rows dated beyond the source's clock, which an append leaves for later."""
    if not future_rows:
        return ()
    return (f"{future_rows} rows are dated beyond the source's clock; they are appended once it gets there",)
