"""The catalog fingerprints that a source's tables had when they were last loaded.

`_leases/<source>.fingerprints.json` is written after loads. If a write is lost, an older fingerprint stays,
and a table may be read again that need not be; no change is missed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from pydantic import Field

from tributary.model.documents import Lasting
from tributary.model.plan import Plan, TablePlan
from tributary.model.source_catalog import CatalogFingerprint
from tributary.storage import object_keys
from tributary.storage.bucket import Bucket, body


class Fingerprints(Lasting):
    """The fingerprints by table name."""

    tables: dict[str, CatalogFingerprint] = Field(default_factory=dict)


def find(bucket: Bucket, source: str) -> Fingerprints:
    """Return the stored fingerprints, none before the first load."""
    return bucket.document(object_keys.fingerprints(source), Fingerprints) or Fingerprints()


def _is_whole(table: TablePlan) -> bool:
    """Return whether the table is now as the plan's catalog had it: not after a window or a replay."""
    return table.request is None or table.request.what == "full_refresh"


def remember(bucket: Bucket, plan: Plan, tables: Iterable[TablePlan], loaded: Collection[int]) -> None:
    """Store the fingerprints of the tables that the run loaded, by their numbers."""
    before = find(bucket, plan.source)
    new = {
        table.name: table.read.fingerprint
        for table in tables
        if table.number in loaded and table.read.fingerprint and _is_whole(table)
    }
    after = Fingerprints(tables={**before.tables, **new})
    if after != before:
        bucket.put(object_keys.fingerprints(plan.source), body(after))
