"""Backfill: rows that were read before are read again because a person asked for it.

`from` reads every row whose cursor is not below it and then continues as any run does. `from` with
`to` reads that window alone. Neither moves the watermark back, nor past a row that was not read: a
window leaves it unchanged, and a `from` above the watermark begins at the watermark.

The request comes from a person, so the source converts each value. The text that it returns bounds the read,
and is what is stored.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from tributary.errors import ConfigError, InternalError, TableRefused
from tributary.model.plan import Column, Range, ReadRequest
from tributary.planning.load_method import LoadMethod
from tributary.planning.read_bounds import ReadBounds, SourceClock, read_bounds
from tributary.planning.source_probe import SourceProbe
from tributary.planning.table_spec import TableSpec

DATE, CLOCK = r"\d{4}-\d\d-\d\d", r"[ T]\d\d:\d\d:\d\d(\.\d{1,9})?"
INTEGER = r"-?\d{1,20}"
FORMS = {  # that a person may write, with an example
    "date": (DATE, "2026-01-31"),
    "timestamp": (DATE + CLOCK, "2026-01-31 00:00:00"),
    "timestamptz": (DATE + CLOCK + r"(Z|\+00(:?00)?)?", "2026-01-31 00:00:00, which is UTC"),
}
INSTEAD = 'start a run with "full_refresh": true, or leave the table out'


def check_request(request: ReadRequest | None, tables: Sequence[str] | None, *, full_refresh: bool) -> None:
    """Raise ConfigError if the fields of an execution's input contradict each other."""
    if request is None:
        return
    if request.what == "replay":
        if full_refresh or request.since is not None or request.before is not None:
            raise ConfigError(
                'the input has "replay" together with "full_refresh", "from" or "to"; a replay reads no '
                "source and takes all that the raw layer has: leave the others out"
            )
        return
    if request.since is None:
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


def normalize(probe: SourceProbe, spec: TableSpec, request: ReadRequest) -> ReadRequest:
    """Return the request in the source's own texts; raises ConfigError if it fits the table not at all."""
    cursor = spec.cursor
    if cursor is None:
        raise ConfigError(
            f"from: {spec.name} is in mode {spec.mode} and has no cursor, so no part of it can be read "
            f"again; {INSTEAD}"
        )
    if spec.mode == "append" and not spec.key:
        raise ConfigError(
            f"from: {spec.name} is in mode append and has no key, so a row that is read again could not be "
            f"recognized in the warehouse; {INSTEAD}"
        )
    since = _as_source_text(probe, spec, cursor, "from", request.since or "")
    if request.before is None:
        return request.model_copy(update={"since": since})
    before = _as_source_text(probe, spec, cursor, "to", request.before)
    if not _is_below(probe, cursor, since, before):
        raise ConfigError(
            f'to: it is not above "from" in the order of cursor "{cursor.name}" of {spec.name}; "from" is '
            'the first value that is read, "to" the first one that is not'
        )
    return request.model_copy(update={"since": since, "before": before})


def check_method(spec: TableSpec, method: LoadMethod, *, loaded: bool, reread: bool) -> None:
    """Raise ConfigError if the table must first be read whole: a backfill would hide that."""
    read_whole = method.whole_read or method.full_refresh or method.convert_to_history or reread
    if read_whole or not loaded or method.watermark is None:
        changed = loaded and method.watermark is not None
        why = "its settings or columns have changed" if changed else "nothing of it has been loaded yet"
        raise ConfigError(
            f"from: {spec.name} must be read whole, since {why}; start a run without from first"
        )


def backfill_bounds(
    probe: SourceProbe, spec: TableSpec, now: SourceClock, watermark: str, request: ReadRequest
) -> ReadBounds:
    """Return what a normalized request reads again, and where the watermark moves."""
    cursor, since = spec.cursor, request.since
    assert cursor is not None
    assert since is not None
    if request.what == "window":
        return _window(spec, watermark, request)
    usual = read_bounds(probe, spec, now, watermark, whole_read=False)
    if _is_below(probe, cursor, watermark, since):
        note = "from is above the watermark, so the run reads what is new and nothing again"
        return replace(usual, notes=(*usual.notes, note))
    nulls = [each for each in usual.ranges if each.nulls]
    new = next((each for each in usual.ranges if not each.nulls), None)
    again = Range(number=1, order=spec.cursor_order, since=since, up_to=new.up_to if new else watermark)
    return replace(usual, ranges=(*nulls, again))


def _window(spec: TableSpec, watermark: str, request: ReadRequest) -> ReadBounds:
    # Rows above the watermark arrive with the next append, and would then be in the warehouse twice.
    up_to = watermark if spec.mode == "append" else None
    window = Range(number=1, order=spec.cursor_order, since=request.since, before=request.before, up_to=up_to)
    return ReadBounds(ranges=(window,), watermark=watermark, next_watermark=watermark)


def _as_source_text(probe: SourceProbe, spec: TableSpec, cursor: Column, field: str, text: str) -> str:
    """Return the source's own text of a value that a person wrote; raises ConfigError if it is none."""
    form, example = FORMS.get(cursor.kind.name, (INTEGER, "41"))
    converted = _converted(probe, cursor, text) if re.fullmatch(form, text, re.ASCII) else None
    if converted is None:
        raise ConfigError(
            f'{field}: it is no value of cursor "{cursor.name}" of {spec.name}, which is {cursor.type}; '
            f"write one such as {example}"
        )
    return converted


def _converted(probe: SourceProbe, cursor: Column, text: str) -> str | None:
    engine = probe.engine
    value = f"SELECT {engine.literal(text, cursor.type)} AS {engine.quote(cursor.name)}{engine.ONE_ROW}"
    try:
        row = engine.ask(
            probe.connection, f"SELECT {engine.rendered(cursor.name, cursor.type)} FROM ({value}) request"
        )
    except (InternalError, TableRefused):
        return None
    return row[0] if row else None


def _is_below(probe: SourceProbe, cursor: Column, one: str, other: str) -> bool:
    """Return whether one value is below the other, as the source compares them."""
    low, high = (probe.engine.literal(text, cursor.type) for text in (one, other))
    row = probe.engine.ask(
        probe.connection, f"SELECT CASE WHEN {low} < {high} THEN 1 END{probe.engine.ONE_ROW}"
    )
    return row is not None and row[0] is not None
