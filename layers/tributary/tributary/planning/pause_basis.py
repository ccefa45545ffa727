"""Try a paused table again once its settings, its columns or the user's rights have changed.

Each plan stores a digest of what every table's plan rested on. A paused table keeps the digest of its last
try; if it differs now, a person has changed something, and the table is read in this run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from pydantic import Field

from tributary.config.models import TableSettings
from tributary.model.documents import Lasting
from tributary.model.source_catalog import SourceTable
from tributary.storage import object_keys
from tributary.storage.bucket import Bucket, body


class PauseBases(Lasting):
    """The digests by table name."""

    tables: dict[str, str] = Field(default_factory=dict)


def basis(settings: TableSettings | None, sql: str | None, table: SourceTable | None) -> str:
    """Return the digest of what a table's plan rests on; `table` is None if the source does not show it."""
    columns = (
        [(each.name, each.type, each.nullable, each.readable) for each in table.columns] if table else None
    )
    keys = (table.primary_key, table.unique_keys, table.keys_enforced) if table else None
    written = settings.model_dump(mode="json") if settings else None
    return hashlib.sha256(json.dumps([written, sql, columns, keys]).encode()).hexdigest()[:32]


def find(bucket: Bucket, source: str) -> PauseBases:
    """Return the digests of the tables' last tries."""
    return bucket.document(object_keys.pause_bases(source), PauseBases) or PauseBases()


def remember(bucket: Bucket, source: str, before: PauseBases, tried: Mapping[str, str]) -> None:
    """Store the digests of the tables that this run tries."""
    after = PauseBases(tables={**before.tables, **tried})
    if after != before:
        bucket.put(object_keys.pause_bases(source), body(after))
