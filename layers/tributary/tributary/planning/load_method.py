"""How a run continues from what the warehouse has of a table, also after its settings have changed.

The warehouse's rows are kept if that is exact, and read again if the source can give them. Rows that
only the warehouse may still have (those of `append` and `history`) are never removed because a file
was edited: such a change is refused, and the message says what to do.
"""

from __future__ import annotations

from dataclasses import dataclass

from tributary.errors import TableRefused
from tributary.planning.table_spec import KEYED, TableSpec

RENAME = (
    "rename the warehouse's table (ALTER TABLE … RENAME TO …) or drop it, and run again: the run creates it"
)
REFRESH = (
    'start one run with "full_refresh": true, which reads the whole table and replaces the warehouse\'s rows'
)


@dataclass(frozen=True, slots=True)
class CommittedLoad:
    """What a table's newest control row records: which run loaded it, in what mode, up to which value."""

    run_id: str
    mode: str
    target: str  # the warehouse's `schema.table`
    cursor: str | None = None
    value: str | None = None  # the watermark, of `cursor`
    key: tuple[str, ...] | None = None  # the columns that identified a row, None if unknown
    unread: frozenset[str] = frozenset()  # columns of the target that the run did not read
    columns: str | None = None  # a digest of the names of the columns that it read

    @property
    def style(self) -> str:
        """Return the mode, with `snapshots` for an append without a cursor."""
        return "snapshots" if self.mode == "append" and self.cursor is None else self.mode


@dataclass(frozen=True, slots=True)
class LoadMethod:
    """How a run continues a table."""

    watermark: str | None = None  # None: from the start
    whole_read: bool = False  # every row is read
    full_refresh: bool = False  # the rows read replace the warehouse's
    convert_to_history: bool = False  # the existing table is no history; empty it and start one
    repeated_keys: bool = False  # the warehouse may hold a key more than once: replace by key, no merge
    note: str | None = None  # why, if settings changed


def choose_load_method(
    loaded: CommittedLoad | None, spec: TableSpec, *, refresh_requested: bool
) -> LoadMethod:
    """Return how the run continues; raises TableRefused if a change in the settings forbids it."""
    now = style(spec)
    always_whole = now == "replace" or (now == "history" and spec.cursor is None)
    full_refresh = always_whole or (refresh_requested and now != "snapshots")
    if loaded is None:  # an append begins with an empty table, also if one with rows exists
        return LoadMethod(full_refresh=full_refresh or now == "append")
    if loaded.style != now:
        return _other_mode(loaded, spec, refresh_requested=refresh_requested)
    cursor = spec.cursor.name if spec.cursor else None
    if now == "append" and cursor != loaded.cursor and not refresh_requested:
        raise TableRefused(
            f'cursor of {spec.name} was "{loaded.cursor}" and is now "{cursor}", so it is unknown which '
            f"rows were appended already; {REFRESH}"
        )
    if now in KEYED and loaded.key is not None and set(loaded.key) != set(spec.key):
        return _other_key(loaded, spec)
    return LoadMethod(_watermark(loaded, spec), full_refresh=full_refresh)


def style(spec: TableSpec) -> str:
    """Return the mode, with `snapshots` for an append without a cursor."""
    return "snapshots" if spec.mode == "append" and spec.cursor is None else spec.mode


def _watermark(loaded: CommittedLoad, spec: TableSpec) -> str | None:
    """Return the watermark if it belongs to the same cursor: one of another cursor means nothing."""
    same = spec.cursor is not None and loaded.cursor == spec.cursor.name
    return loaded.value if same else None


def _other_key(loaded: CommittedLoad, spec: TableSpec) -> LoadMethod:
    change = f"key of {spec.name} was {', '.join(loaded.key or ())} and is now {', '.join(spec.key)}"
    if spec.mode == "history":
        raise TableRefused(f"{change}, so its versions belong to other rows; {RENAME}")
    note = f"{change}: the whole table is read and replaced"
    return LoadMethod(_watermark(loaded, spec), whole_read=True, full_refresh=True, note=note)


def _other_mode(loaded: CommittedLoad, spec: TableSpec, *, refresh_requested: bool) -> LoadMethod:
    before, now = loaded.style, style(spec)
    change = f"mode of {spec.name} was {before} and is now {now}"
    if (before, now) == ("replace", "snapshots"):  # the rows of the last replace are the first snapshot
        return LoadMethod()
    if "snapshots" in (before, now) or before == "history":
        raise TableRefused(f"{change}; {RENAME}")
    watermark = _watermark(loaded, spec)
    if before == "append" and now == "merge" and not refresh_requested:
        # No full refresh: rows that the source no longer has stay.
        note = f"{change}: the whole table is read again"
        return LoadMethod(watermark, whole_read=True, repeated_keys=True, note=note)
    if before == "append" and not refresh_requested:
        raise TableRefused(f"{change}, and it may hold rows that the source no longer has; {REFRESH}")
    return LoadMethod(
        watermark,
        whole_read=True,
        full_refresh=True,
        convert_to_history=now == "history",
        note=f"{change}: the whole table is read and replaced" if now != "replace" else None,
    )
