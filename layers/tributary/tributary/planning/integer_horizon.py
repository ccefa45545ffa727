"""Safe upper bounds for integer cursors, and the tables that have no new rows.

A counter has no clock. So each plan stores the maxima that it saw. A maximum is safe once every
transaction that was open when it was read has ended: only those could still commit a lower value.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tributary.model.source_catalog import Clock, TableName
from tributary.planning import new_rows
from tributary.planning.read_bounds import SourceClock
from tributary.planning.source_probe import SourceProbe
from tributary.planning.table_spec import TableSpec
from tributary.storage import object_keys
from tributary.storage.bucket import Bucket

PLANS_KEPT = 10  # whose maxima may still become a horizon


def read_source_clock(
    probe: SourceProbe,
    bucket: Bucket,
    source: str,
    specs: Mapping[TableName, TableSpec],
    watermarks: Mapping[TableName, str],
) -> SourceClock:
    """Read the maxima of integer cursors, then the clock, then which tables have no new rows.

    The order matters: a maximum is safe only if it was read before the list of open transactions.
    """
    queries = {
        spec.name: f"({probe.maximum_query(spec, spec.cursor)})"
        for spec in specs.values()
        if spec.cursor and spec.cursor.kind.orders_serials
    }
    answers = new_rows.evaluate(probe.engine, probe.connection, queries)
    maxima = {name: value for name, value in answers.items() if value is not None}
    clock = probe.engine.clock(probe.connection)
    horizons = _horizons(bucket, source, clock, maxima) if queries else {}
    questions = {
        name: probe.has_new_rows(spec, spec.cursor, watermarks[name])
        for name, spec in specs.items()
        if spec.cursor and name in watermarks
    }
    unchanged = new_rows.unchanged(probe.engine, probe.connection, questions)
    incremental = {spec.table.name for spec in specs.values() if spec.cursor and spec.sql is None}
    foreign = probe.engine.foreign(probe.connection, incremental)
    return SourceClock(clock, horizons, unchanged, foreign)


def _horizons(bucket: Bucket, source: str, clock: Clock, maxima: dict[str, str]) -> dict[str, str]:
    """Store the maxima for later plans; return for each table the newest maximum that is safe."""
    document = bucket.read(object_keys.serials(source))
    earlier: list[dict[str, Any]] = json.loads(document[0]) if document else []
    plans = [*earlier, {"read": clock.now.isoformat(), "maxima": maxima}][-PLANS_KEPT:]
    bucket.put(object_keys.serials(source), json.dumps(plans).encode())
    horizons: dict[str, str] = {}
    for plan in plans:  # oldest first: the newest safe one wins
        if clock.oldest is None or datetime.fromisoformat(plan["read"]) < clock.oldest:
            horizons.update(plan["maxima"])
    return horizons
