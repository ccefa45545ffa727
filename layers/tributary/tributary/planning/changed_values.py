"""Changes in a source that alter values and move no cursor, as far as its catalog shows them.

A whole read makes such a table right again. A rewrite of a table's file alone (VACUUM FULL, OPTIMIZE TABLE)
alters no value, so it does not count.
"""

from __future__ import annotations

from tributary.errors import PermanentError
from tributary.model.source_catalog import CatalogFingerprint
from tributary.planning.source_probe import SourceProbe
from tributary.planning.table_spec import TableSpec


def changed_values(before: CatalogFingerprint, now: CatalogFingerprint) -> str | None:
    """Return why values may have changed since the fingerprint before, None if the catalog shows nothing."""
    if before.identity and now.identity and before.identity != now.identity:
        return "the table was dropped and created again, or restored"
    relabelled = [
        column
        for column, labels in before.labels.items()
        if column in now.labels and any(now.labels[column].get(key) != label for key, label in labels.items())
    ]
    if relabelled:
        return f"labels of column {', '.join(sorted(relabelled))} were renamed or removed"
    recoded = _changed(before.character_sets, now.character_sets)
    if recoded:
        return f"the character set of column {', '.join(recoded)} has changed"
    reformed = _changed(before.formulas, now.formulas)
    if reformed:
        return f"column {', '.join(reformed)} was dropped and added again, or its expression has changed"
    redefined = [
        column
        for column in _changed(before.definitions, now.definitions)
        # Another type is a change of the table's columns, which schema evolution compares.
        if _type(before.definitions[column]) == _type(now.definitions[column])
    ]
    if redefined and _changed(before.files, now.files):
        return f"column {', '.join(redefined)} was altered, and the table's rows were written again"
    return None


def may_have_changed(stored: CatalogFingerprint | None, spec: TableSpec) -> bool:
    """Return whether the catalog shows any change that matters, before the source is asked for rows."""
    if stored is None or spec.cursor is None:
        return False
    now = spec.table.fingerprint
    return bool(now.partitions.keys() - stored.partitions.keys()) or changed_values(stored, now) is not None


def _type(definition: str) -> str:
    return definition.partition(" ")[2]


def _changed(before: dict[str, str], now: dict[str, str]) -> list[str]:
    return sorted(name for name in before.keys() & now.keys() if before[name] != now[name])


def attached_rows(
    probe: SourceProbe, spec: TableSpec, before: CatalogFingerprint, watermark: str | None
) -> str | None:
    """Return why a new partition has rows that no incremental read finds, None if there is none."""
    partitions, cursor = spec.table.fingerprint.partitions, spec.cursor
    new = sorted(partitions[key] for key in partitions.keys() - before.partitions.keys())
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
