"""How a run goes on from what the warehouse has of a table, also where its settings have changed.

The rule: what stands in the warehouse is continued where that is exact, and read again where the
source can give it. Rows that only the warehouse may still have (those of `append` and `history`) are
never taken away because a file was edited: such a change is refused, and the message says what to do.
"""

from __future__ import annotations

from dataclasses import dataclass

from tributary.errors import TableRefused
from tributary.planning.table_spec import KEYED, TableSpec

RENAME = (
    "rename the warehouse's table (ALTER TABLE … RENAME TO …) or drop it, and run again: it is then made anew"
)
REFRESH = 'start one run with "full_refresh": true, which reads the table whole and replaces the warehouse\'s'


@dataclass(frozen=True, slots=True)
class CommittedLoad:
    """What a table's newest control row says: which run it is of, in what mode, up to where.

    `cursor` is the column that the watermark `value` belongs to; `key` the columns that rows were told
    by, None where that is not known; `target` the warehouse's `schema.table`; `unread` the columns
    there that the run did not read, `columns` a digest of the names of those that it did.
    """

    run_id: str
    mode: str
    target: str
    cursor: str | None = None
    value: str | None = None
    key: tuple[str, ...] | None = None
    unread: frozenset[str] = frozenset()
    columns: str | None = None

    @property
    def style(self) -> str:
        """Return the mode, with `snapshots` for an append without a cursor."""
        return "snapshots" if self.mode == "append" and self.cursor is None else self.mode


@dataclass(frozen=True, slots=True)
class LoadMethod:
    """How a run goes on: from which watermark (None: from the start), or with all rows.

    `swap`: the rows read are all that there are, and take the place of what stands there. `rebuild`:
    what stands there is no history and gives way to one. `repeated_keys`: a key may stand there more
    than once, so rows are replaced by key instead of merged. `note` says why, where settings changed.
    """

    watermark: str | None = None
    all_rows: bool = False
    swap: bool = False
    rebuild: bool = False
    repeated_keys: bool = False
    note: str | None = None


def choose_load_method(loaded: CommittedLoad | None, choice: TableSpec, *, full_refresh: bool) -> LoadMethod:
    """Return how the run goes on; raises TableRefused where a change in the settings forbids it."""
    now = style(choice)
    complete = now == "history" and choice.cursor is None
    swaps = now == "replace" or complete or (full_refresh and now != "snapshots")
    if loaded is None:  # an append begins with an empty table, whatever stands there
        return LoadMethod(swap=swaps or now == "append")
    if loaded.style != now:
        return _other_mode(loaded, choice, full_refresh=full_refresh)
    cursor = choice.cursor.name if choice.cursor else None
    if now == "append" and cursor != loaded.cursor and not full_refresh:
        raise TableRefused(
            f'cursor of {choice.name} was "{loaded.cursor}" and is "{cursor}" now, so what is new cannot '
            f"be told from what was appended; {REFRESH}"
        )
    if now in KEYED and loaded.key is not None and set(loaded.key) != set(choice.key):
        return _other_key(loaded, choice)
    return LoadMethod(_watermark(loaded, choice), swap=swaps)


def style(choice: TableSpec) -> str:
    """Return the choice's mode, with `snapshots` for an append without a cursor."""
    return "snapshots" if choice.mode == "append" and choice.cursor is None else choice.mode


def _watermark(loaded: CommittedLoad, choice: TableSpec) -> str | None:
    """Return the watermark where it is one of the same cursor: one of another says nothing."""
    same = choice.cursor is not None and loaded.cursor == choice.cursor.name
    return loaded.value if same else None


def _other_key(loaded: CommittedLoad, choice: TableSpec) -> LoadMethod:
    said = f"key of {choice.name} was {', '.join(loaded.key or ())} and is {', '.join(choice.key)} now"
    if choice.mode == "history":
        raise TableRefused(f"{said}, so its versions belong to other rows; {RENAME}")
    note = f"{said}: the table is read whole, and replaced"
    return LoadMethod(_watermark(loaded, choice), all_rows=True, swap=True, note=note)


def _other_mode(loaded: CommittedLoad, choice: TableSpec, *, full_refresh: bool) -> LoadMethod:
    before, now = loaded.style, style(choice)
    said = f"mode of {choice.name} was {before} and is {now} now"
    if (before, now) == ("replace", "snapshots"):  # the last image is the first of them
        return LoadMethod()
    if "snapshots" in (before, now) or before == "history":
        raise TableRefused(f"{said}; {RENAME}")
    watermark = _watermark(loaded, choice)
    if before == "append" and now == "merge" and not full_refresh:  # rows that the source lost stay
        return LoadMethod(
            watermark, all_rows=True, repeated_keys=True, note=f"{said}: the table is read whole again"
        )
    if before == "append" and not full_refresh:
        raise TableRefused(f"{said}, and it may hold rows that the source no longer has; {REFRESH}")
    note = f"{said}: the table is read whole, and replaced" if now != "replace" else None
    return LoadMethod(watermark, all_rows=True, swap=True, rebuild=now == "history", note=note)
