"""Backfill: rows that were read before, read again because a person asked for it.

`from` reads every row whose cursor is not below it and goes on as any run does. `from` with `to` reads
that window alone. The rule: neither takes the watermark back, nor past a row that was not read. A
window leaves it as it was, and a `from` above it begins at it.

What is asked for comes from outside: so the source's own text of it is what is read by, and kept.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from tributary.errors import ConfigError, InternalError, TableRefused
from tributary.model.plan import Column, Range, ReadRequest
from tributary.planning.load_method import LoadMethod
from tributary.planning.read_bounds import ReadBounds, SourceClock, SourceProbe
from tributary.planning.table_spec import TableSpec

DATE, CLOCK = r"\d{4}-\d\d-\d\d", r"[ T]\d\d:\d\d:\d\d(\.\d{1,9})?"
INTEGER = r"-?\d{1,20}"
FORMS = {  # of what a person may write, with an example
    "date": (DATE, "2026-01-31"),
    "timestamp": (DATE + CLOCK, "2026-01-31 00:00:00"),
    "timestamptz": (DATE + CLOCK + r"(Z|\+00(:?00)?)?", "2026-01-31 00:00:00, which is UTC"),
}
INSTEAD = 'start a run with "full_refresh": true, or leave the table out'


def check(asked: ReadRequest | None, tables: Sequence[str] | None, *, full_refresh: bool) -> None:
    """Raise ConfigError where an execution's input asks for bounds in a way that can mean nothing."""
    if asked is None:
        return
    if asked.what == "replay":
        if full_refresh or asked.since is not None or asked.before is not None:
            raise ConfigError(
                'the input has "replay" beside "full_refresh", "from" or "to"; a replay reads no source and '
                "takes all that the raw layer has: leave the others out"
            )
        return
    if asked.since is None:
        raise ConfigError('the input has "to" without "from"; write both, "to" is the first value left out')
    if tables is None:
        raise ConfigError(
            'the input has "from" without "tables"; name the tables whose cursors it is a value of: '
            '"tables": ["public.orders"]'
        )
    if full_refresh:
        raise ConfigError(
            'the input has "from" and "full_refresh"; a full refresh reads all rows: leave one out'
        )


def normalized(reader: SourceProbe, choice: TableSpec, asked: ReadRequest) -> ReadRequest:
    """Return what is asked in the source's own text; raises ConfigError where it makes no sense there."""
    cursor = choice.cursor
    if cursor is None:
        raise ConfigError(
            f"from: {choice.name} is in mode {choice.mode} and has no cursor, so no part of it can be read "
            f"again; {INSTEAD}"
        )
    if choice.mode == "append" and not choice.key:
        raise ConfigError(
            f"from: {choice.name} is appended to and has no key, so a row that is read again could not be "
            f"told from the one that stands there; {INSTEAD}"
        )
    since = _as_the_source_has_it(reader, choice, cursor, "from", asked.since or "")
    if asked.before is None:
        return asked.model_copy(update={"since": since})
    before = _as_the_source_has_it(reader, choice, cursor, "to", asked.before)
    if not _is_below(reader, cursor, since, before):
        raise ConfigError(
            f'to: it is not above "from" in the order of cursor "{cursor.name}" of {choice.name}; "from" is '
            'the first value that is read, "to" the first one that is not'
        )
    return asked.model_copy(update={"since": since, "before": before})


def check_way(choice: TableSpec, way: LoadMethod, *, loaded: bool, reread: bool) -> None:
    """Raise ConfigError where the table must first be read whole: a part of it would hide that."""
    if way.all_rows or reread or way.swap or way.rebuild or not loaded or way.watermark is None:
        changed = loaded and way.watermark is not None
        why = "its settings or columns have changed" if changed else "nothing of it has been loaded yet"
        raise ConfigError(
            f"from: {choice.name} is to be read whole, since {why}; start a run without from first"
        )


def bounds(
    reader: SourceProbe, choice: TableSpec, now: SourceClock, watermark: str, asked: ReadRequest
) -> ReadBounds:
    """Return what is read again, and where the watermark goes; `asked` is settled."""
    cursor, since = choice.cursor, asked.since
    assert cursor is not None
    assert since is not None
    order = tuple(dict.fromkeys([cursor.name, *choice.key]))
    if asked.what == "window":
        # What an append has not come to yet arrives with its next run, and must not stand there before.
        up_to = watermark if choice.mode == "append" else None
        part = Range(number=1, order=order, since=since, before=asked.before, up_to=up_to)
        return ReadBounds(ranges=(part,), watermark=watermark, next_watermark=watermark)
    usual = reader.bounds(choice, now, watermark, all_rows=False)
    if _is_below(reader, cursor, watermark, since):
        said = "from is above the watermark, so the run reads what is new and nothing again"
        return replace(usual, notes=(*usual.notes, said))
    nulls = [part for part in usual.ranges if part.nulls]
    news = next((part for part in usual.ranges if not part.nulls), None)
    up_to = news.up_to if news else watermark
    again = Range(number=1, order=order, since=since, up_to=up_to)
    return replace(usual, ranges=(*nulls, again))


def _as_the_source_has_it(
    reader: SourceProbe, choice: TableSpec, cursor: Column, field: str, text: str
) -> str:
    """Return the text of the value that the source makes of what somebody wrote."""
    form, example = FORMS.get(cursor.kind.name, (INTEGER, "41"))
    engine, name = reader.engine, cursor.name
    found = None
    if re.fullmatch(form, text, re.ASCII):
        try:
            value = f"SELECT {engine.literal(text, cursor.type)} AS {engine.quote(name)}"
            shown = engine.rendered(name, cursor.type)
            row = engine.ask(reader.connection, f"SELECT {shown} FROM ({value}) AS asked")
            found = row[0] if row else None
        except (InternalError, TableRefused):
            found = None
    if found is None:
        raise ConfigError(
            f'{field}: it is no value of cursor "{name}" of {choice.name}, which is {cursor.type}; write one '
            f"such as {example}"
        )
    return found


def _is_below(reader: SourceProbe, cursor: Column, one: str, other: str) -> bool:
    """Say whether one value is below the other, as the source compares them."""
    low, high = (reader.engine.literal(text, cursor.type) for text in (one, other))
    row = reader.engine.ask(reader.connection, f"SELECT CASE WHEN {low} < {high} THEN 1 END")
    return row is not None and row[0] is not None
