"""Now, as a plan sees it: the source's clock, the horizons of integer cursors, the tables without news.

A counter has no clock. So each plan keeps the maxima that it saw, and one is settled once every
transaction that is still open began after it was read: whoever holds a value not above it had begun
by then.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tributary.model.source_catalog import Clock, TableName
from tributary.planning import new_rows
from tributary.planning.read_bounds import SourceClock, SourceProbe
from tributary.planning.table_spec import TableSpec
from tributary.storage import object_keys
from tributary.storage.bucket import Bucket

PLANS_KEPT = 10  # whose maxima may still become a horizon


def now(
    reader: SourceProbe,
    bucket: Bucket,
    source: str,
    chosen: Mapping[TableName, TableSpec],
    watermarks: Mapping[TableName, str],
) -> SourceClock:
    """Read the clock, after what the horizons of integer cursors rest on; then ask for news."""
    counted = {
        choice.name: f"({reader.top(choice, choice.cursor)})"
        for choice in chosen.values()
        if choice.cursor and choice.cursor.kind.orders_serials
    }
    highest = new_rows.ask(reader.engine, reader.connection, counted)
    maxima = {name: value for name, value in highest.items() if value is not None}
    clock = reader.engine.clock(reader.connection)
    settled = _settled(bucket, source, clock, maxima) if counted else {}
    questions = {
        name: reader.is_news(choice, choice.cursor, watermarks[name])
        for name, choice in chosen.items()
        if choice.cursor and name in watermarks
    }
    return SourceClock(clock, settled, new_rows.still(reader.engine, reader.connection, questions))


def _settled(bucket: Bucket, source: str, clock: Clock, maxima: dict[str, str]) -> dict[str, str]:
    """Keep the maxima for later plans; return for each table the newest one that is settled by now."""
    found = bucket.read(object_keys.serials(source))
    earlier: list[dict[str, Any]] = json.loads(found[0]) if found else []
    plans = [*earlier, {"read": clock.now.isoformat(), "maxima": maxima}][-PLANS_KEPT:]
    bucket.put(object_keys.serials(source), json.dumps(plans).encode())
    settled: dict[str, str] = {}
    for plan in plans:  # oldest first: the newest that qualifies holds
        if clock.oldest is None or datetime.fromisoformat(plan["read"]) < clock.oldest:
            settled.update(plan["maxima"])
    return settled
