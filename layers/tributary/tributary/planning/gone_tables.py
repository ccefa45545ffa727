"""Tables that the user expects to be read and that the source does not show.

A green run means: every table that was ever loaded and is still configured was looked at. So a table that
was loaded before and is missing, or may not be read any more, fails by name. A table that the file's
patterns match and that was never readable is reported in one note.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from tributary.config.models import Source
from tributary.config.selection import matching, selecting_entry
from tributary.errors import TableGone
from tributary.model.plan import Failure
from tributary.model.source_catalog import TableName

NAMED_AT_MOST = 10


def gone_tables(
    source: Source, loaded: Iterable[str], present: Collection[TableName], *, home: str | None = None
) -> list[str]:
    """Return the tables that were loaded before, that the file still selects, and that are not present."""
    names = {str(table) for table in present}
    missing = [name for name in sorted(loaded) if name not in names]
    return [name for name in missing if selecting_entry(source, TableName.parse(name), home=home) is not None]


def gone_failure(source: Source, name: str, hidden: Collection[TableName]) -> Failure:
    """Return the failure of a table that was loaded before; `hidden` tables exist but may not be read."""
    if name in {str(table) for table in hidden}:
        message = (
            f"{name} was loaded before, and the user may not read it any more; grant SELECT on it. To stop "
            f"reading it, exclude it in {source.name}.yaml: its rows stay in the warehouse"
        )
    else:
        message = (
            f"{name} was loaded before, and the source does not have it any more, or hides it from the user: "
            "it was dropped, renamed or moved, or a right was revoked. If that was intended, exclude it in "
            f"{source.name}.yaml: its rows stay in the warehouse"
        )
    return Failure(table=name, error=TableGone.__name__, message=message)


def without_entries_of(failures: Iterable[Failure], gone: Iterable[str]) -> list[Failure]:
    """Return the failures without those of entries that found no table because theirs is gone."""
    tables = [TableName.parse(name) for name in gone]
    return [failure for failure in failures if not matching(failure.table, tables)]


def hidden_note(source: Source, hidden: Iterable[TableName], loaded: Collection[str]) -> tuple[str, ...]:
    """Return the note about tables that patterns match and the user may not read, () if there are none."""
    names = [str(table) for table in hidden if _matches_pattern(source, table) and str(table) not in loaded]
    if not names:
        return ()
    more = f" and {len(names) - NAMED_AT_MOST} more" if len(names) > NAMED_AT_MOST else ""
    listed = ", ".join(names[:NAMED_AT_MOST])
    note = f"{len(names)} tables match the file's patterns, and the user may not read them: {listed}{more}"
    return (f"{note}; grant SELECT on them, or exclude them",)


def _matches_pattern(source: Source, table: TableName) -> bool:
    entry = selecting_entry(source, table)
    return entry is not None and entry.include is not None
