"""Changes in a source that alter values and move no cursor, as far as its catalog shows them.

A whole read makes such a table right again. A rewrite of a table's file alone (VACUUM FULL, OPTIMIZE TABLE)
alters no value, so it does not count.
"""

from __future__ import annotations

from tributary.errors import PermanentError
from tributary.model.source_catalog import CatalogFingerprint
from tributary.planning.source_probe import SourceProbe
from tributary.planning.table_spec import TableSpec

VIEW = "view "  # an identity that is the digest of a view's definition


def changed_values(before: CatalogFingerprint, now: CatalogFingerprint) -> str | None:
    """Return why values may have changed since the fingerprint before, None if the catalog shows nothing."""
    reasons = (reason(before, now) for reason in REASONS)
    return next((reason for reason in reasons if reason), None)


def _recreated(before: CatalogFingerprint, now: CatalogFingerprint) -> str | None:
    if not before.identity or not now.identity or before.identity == now.identity:
        return None
    if now.identity.startswith(VIEW):
        return "the view's definition has changed, or a table that it reads was dropped and created again"
    return "the table was dropped and created again, or restored"


def _relabelled(before: CatalogFingerprint, now: CatalogFingerprint) -> str | None:
    relabelled = [
        column
        for column, labels in before.labels.items()
        if column in now.labels and any(now.labels[column].get(key) != label for key, label in labels.items())
    ]
    return f"labels of column {', '.join(sorted(relabelled))} were renamed or removed" if relabelled else None


def _recoded(before: CatalogFingerprint, now: CatalogFingerprint) -> str | None:
    recoded = _changed(before.character_sets, now.character_sets)
    return f"the character set of column {', '.join(recoded)} has changed" if recoded else None


def _recomputed(before: CatalogFingerprint, now: CatalogFingerprint) -> str | None:
    columns = ", ".join(_changed(before.formulas, now.formulas))
    return f"column {columns} was dropped and added again, or its expression has changed" if columns else None


def _subscribed(before: CatalogFingerprint, now: CatalogFingerprint) -> str | None:
    if before.subscriptions is None or not (now.subscriptions or {}).keys() - before.subscriptions.keys():
        return None
    return "another subscription has begun to fill the table, with rows of any age"


def _redefined(before: CatalogFingerprint, now: CatalogFingerprint) -> str | None:
    redefined = [
        column
        for column in _changed(before.definitions, now.definitions)
        # Another type is a change of the table's columns, which schema evolution compares.
        if _type(before.definitions[column]) == _type(now.definitions[column])
    ]
    if not redefined or not _changed(before.files, now.files):
        return None
    return f"column {', '.join(redefined)} was altered, and the table's rows were written again"


REASONS = (_recreated, _relabelled, _recoded, _recomputed, _subscribed, _redefined)


def may_have_changed(stored: CatalogFingerprint | None, spec: TableSpec) -> bool:
    """Return whether the catalog shows any change that matters, before the source is asked for rows."""
    if stored is None or spec.cursor is None:
        return False
    now = spec.table.fingerprint
    return bool(_attached(stored, now)) or changed_values(stored, now) is not None


def _attached(before: CatalogFingerprint, now: CatalogFingerprint) -> set[str]:
    """Return the ids of the partitions that were attached since: new ones, and old ones a second time."""
    return {*(now.partitions.keys() - before.partitions.keys()), *_changed(before.attached, now.attached)}


def _type(definition: str) -> str:
    return definition.partition(" ")[2]


def _changed(before: dict[str, str], now: dict[str, str]) -> list[str]:
    return sorted(name for name in before.keys() & now.keys() if before[name] != now[name])


def attached_rows(
    probe: SourceProbe, spec: TableSpec, before: CatalogFingerprint, watermark: str | None
) -> str | None:
    """Return why a new partition has rows that no incremental read finds, None if there is none."""
    partitions, cursor = spec.table.fingerprint.partitions, spec.cursor
    new = sorted(partitions[key] for key in _attached(before, spec.table.fingerprint) & partitions.keys())
    if watermark is None or cursor is None:
        return None
    for name in new:
        condition = f"{probe.engine.quote(cursor.name)} <= {probe.engine.literal(watermark, cursor.type)}"
        try:
            older = probe.exists(f"SELECT 1 FROM {name} WHERE {condition}")
        except PermanentError:  # the user may read the partition through its table only
            older = True
        if older:
            return f"partition {name} was attached with rows up to the watermark"
    return None
