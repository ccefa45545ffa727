"""What is paused of a source, as one object on S3, written by compare-and-set."""

from __future__ import annotations

from collections.abc import Callable

from .documents import Document
from .errors import StorageUnavailable
from .storage import Bucket, body

ATTEMPTS = 5  # a lost race is read again


class Standing(Document):
    """`paused`: the source's schedule is; `tables`: those that runs leave out."""

    paused: bool = False
    tables: tuple[str, ...] = ()


def pause(bucket: Bucket, source: str, table: str | None) -> None:
    """Note that the source, or one of its tables, is paused."""
    _change(
        bucket,
        source,
        lambda old: Standing(
            paused=old.paused or table is None,
            tables=old.tables if table is None else tuple(sorted({*old.tables, table})),
        ),
    )


def resume(bucket: Bucket, source: str, table: str | None) -> None:
    """Forget what is paused of the source, or that the table is."""
    _change(
        bucket,
        source,
        lambda old: (
            Standing()
            if table is None
            else Standing(paused=old.paused, tables=tuple(name for name in old.tables if name != table))
        ),
    )


def _change(bucket: Bucket, source: str, act: Callable[[Standing], Standing]) -> None:
    key = f"_leases/{source}.standing.json"
    for _ in range(ATTEMPTS):
        found = bucket.read(key)
        new = act(Standing.model_validate_json(found[0]) if found else Standing())
        if bucket.replace(key, body(new), found[1]) if found else bucket.create(key, body(new)):
            return
    raise StorageUnavailable(f"the standing of {source} changed {ATTEMPTS} times while it was being written")
