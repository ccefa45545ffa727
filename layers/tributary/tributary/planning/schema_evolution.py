"""What happens to a table in the warehouse when the columns of its source have changed.

No value in the warehouse is lost or altered. If the new type holds every value of the old one, a deep
copy keeps the values. If values of the new type fit into the existing column, nothing changes. In all
other cases the rows must be read again; if the source may no longer have them all, the change is
refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from tributary.errors import TableRefused
from tributary.model.own_columns import added
from tributary.model.plan import Column, DeepCopyColumn, SchemaChange, TablePlan
from tributary.model.types import warehouse as warehouse_type
from tributary.model.warehouse_names import Target
from tributary.planning.load_method import REFRESH, RENAME, CommittedLoad, LoadMethod
from tributary.planning.table_spec import TableSpec
from tributary.planning.type_widening import holds, is_own, is_text, stays
from tributary.redshift.control import ControlRow
from tributary.redshift.publish import NEW_COLUMNS_AT_MOST, publish
from tributary.redshift.sql import STATEMENT_BYTES_AT_MOST
from tributary.redshift.stage import stage
from tributary.redshift.text_sizes import with_sizes

COLUMNS_AT_MOST = 1_600  # of a table (c_redshift-limits)
STAGED_BESIDE = {"history": 3}  # columns of a staging table beside those of the source, 1 in other modes
WIDE = 200  # columns, below which no statement can be too long


@dataclass(frozen=True, slots=True)
class Retyped:
    """A column whose type in the warehouse differs from what its source now needs."""

    column: Column
    before: str
    after: str
    widened: bool = False  # the new type holds every value of the old one
    sized: bool = False  # a VARCHAR whose size is set by its values, which are not read yet

    def __str__(self) -> str:
        return f"{self.column.name}: {self.before} → {'VARCHAR' if self.sized else self.after}"


@dataclass(frozen=True, slots=True)
class Evolution:
    """How a table's columns differ from those of the warehouse's table."""

    new: tuple[Column, ...] = ()
    returned: tuple[Column, ...] = ()  # the warehouse has them, the last run did not read them
    dropped: tuple[str, ...] = ()  # the last run still read them
    retyped: tuple[Retyped, ...] = ()
    kept: tuple[Retyped, ...] = ()  # their values still fit into the wider existing type
    ignored: tuple[Column, ...] = ()  # new, and left out by the file's settings

    @property
    def replaced(self) -> tuple[Retyped, ...]:
        """Return the columns whose values must be read from the source again."""
        return tuple(each for each in self.retyped if not each.widened)

    def changes(self, known: Mapping[str, str]) -> tuple[SchemaChange, ...]:
        """Return the changes of the warehouse's table, one entry for each column."""
        dropped = [SchemaChange(column=name, change="dropped", before=known[name]) for name in self.dropped]
        new = [
            SchemaChange(column=each.target, change="added", after=warehouse_type(each.kind))
            for each in self.new
        ]
        returned = [
            SchemaChange(column=each.target, change="returned", after=warehouse_type(each.kind))
            for each in self.returned
        ]
        retyped = [
            SchemaChange(
                column=each.column.target, change="type_changed", before=each.before, after=each.after
            )
            for each in self.retyped
        ]
        return (*dropped, *new, *returned, *retyped)

    def notes(self) -> Iterable[str]:
        """Yield the notes about types and about columns that are left out."""
        for each in self.retyped:
            effect = "existing values are kept" if each.widened else "its values are read again"
            yield f"column {each}; {effect}"
        for each in self.kept:
            yield (
                f"column {each.column.name} stays {each.before}, which holds every {each.after} of the source"
            )
        if self.ignored:
            names = ", ".join(column.name for column in self.ignored)
            yield f"new columns left out because of schema_changes: ignore_new: {names}"


def evolve(
    spec: TableSpec, target: Target, known: Mapping[str, str] | None, loaded: CommittedLoad | None
) -> tuple[TableSpec, Evolution]:
    """Return what is read of the table, and how that differs from the warehouse's columns (`known`).

    Raises TableRefused if anything differs and `schema_changes` is `freeze`.
    """
    if known is None:
        return spec, Evolution()
    evolution = _compare(spec, target, known, loaded)
    if spec.settings.schema_changes == "freeze":
        _check_frozen(spec, known, evolution)
    if spec.settings.schema_changes == "ignore_new":
        return _without_new_columns(spec, evolution)
    return spec, evolution


def _compare(
    spec: TableSpec, target: Target, known: Mapping[str, str], loaded: CommittedLoad | None
) -> Evolution:
    unread = loaded.unread if loaded else frozenset()
    current = {column.target for column in spec.columns} | set(added(spec.mode))
    dropped = tuple(name for name in known if name not in current and name not in unread)
    return Evolution(
        new=tuple(column for column in spec.columns if column.target not in known),
        returned=tuple(each for each in spec.columns if each.target in unread and each.target in known),
        dropped=() if target.shared else dropped,  # other sources may still have them
        retyped=tuple(_retyped(spec, known)),
        kept=tuple(_kept(spec, known)),
    )


def _without_new_columns(spec: TableSpec, evolution: Evolution) -> tuple[TableSpec, Evolution]:
    needed = {*spec.key, *([spec.cursor.name] if spec.cursor else [])}
    ignored = tuple(column for column in evolution.new if column.name not in needed)
    columns = tuple(column for column in spec.columns if column not in ignored)
    new = tuple(column for column in evolution.new if column not in ignored)
    return replace(spec, columns=columns), replace(evolution, new=new, ignored=ignored)


def sizes_texts(spec: TableSpec) -> bool:
    """Return whether texts that the source does not bound are sized by their values."""
    return spec.settings.texts != "widest" and any(each.kind.sized_by_values for each in spec.columns)


def _needed_type(spec: TableSpec, column: Column, existing: str | None) -> str:
    """Return the type that the column needs; a text sized by its values needs no other VARCHAR."""
    sized = column.kind.sized_by_values and sizes_texts(spec)
    return existing if existing and sized and is_text(existing) else warehouse_type(column.kind)


def _retyped(spec: TableSpec, known: Mapping[str, str]) -> Iterable[Retyped]:
    for column in spec.columns:
        existing = known.get(column.target)
        needed = _needed_type(spec, column, existing)
        if existing and is_own(existing) and not stays(existing, needed):
            sized = column.kind.sized_by_values and sizes_texts(spec)
            yield Retyped(column, existing, needed, widened=holds(needed, existing), sized=sized)


def _kept(spec: TableSpec, known: Mapping[str, str]) -> Iterable[Retyped]:
    for column in spec.columns:
        existing = known.get(column.target)
        needed = _needed_type(spec, column, existing)
        if existing and existing != needed and stays(existing, needed) and not holds(needed, existing):
            yield Retyped(column, existing, needed)


def _check_frozen(spec: TableSpec, known: Mapping[str, str], evolution: Evolution) -> None:
    """Raise TableRefused with every column that differs, before and after."""
    lines = [
        f"{change.column}: {change.before or 'not read'} → {change.after or 'dropped'}"
        for change in evolution.changes(known)
    ]
    if lines:
        raise TableRefused(
            f"the columns of {spec.name} have changed, and schema_changes is freeze: {'; '.join(lines)}. "
            "Undo the change in the source, or set schema_changes: evolve for one run to accept it"
        )


def with_evolution(
    method: LoadMethod, spec: TableSpec, target: Target, evolution: Evolution, *, refresh_requested: bool
) -> LoadMethod:
    """Return the method, with a full refresh if a new type does not hold the old values.

    Raises TableRefused if the warehouse may hold rows that the source no longer has.
    """
    if not evolution.replaced:
        return method
    change = f"columns of {spec.name} have other types now: " + "; ".join(map(str, evolution.replaced))
    if target.shared:
        raise TableRefused(
            f"{change}; {target} also holds rows of other sources: give the column the same type in every "
            "source that writes there, leave it out (columns: exclude), or write to another target"
        )
    if spec.mode == "history" or (spec.mode == "append" and spec.cursor is None):
        raise TableRefused(f"{change}, and the rows in the warehouse cannot be read again; {RENAME}")
    if spec.mode == "append" and not (refresh_requested or method.full_refresh):
        raise TableRefused(
            f"{change}, and the warehouse may hold rows that the source no longer has; {REFRESH}"
        )
    note = None if method.full_refresh else f"{change}: the whole table is read and replaced"
    return replace(method, whole_read=True, full_refresh=True, repeated_keys=False, note=method.note or note)


def deep_copy_columns(
    spec: TableSpec, known: Mapping[str, str] | None, evolution: Evolution, own: Iterable[str]
) -> tuple[DeepCopyColumn, ...]:
    """Return the columns of the deep copy that the table needs, () if it needs none.

    ALTER TABLE can change no type but a VARCHAR's size, and not in a transaction (r_ALTER_TABLE). One
    publish can add only some columns.
    """
    missing = {name: added(spec.mode)[name] for name in own}
    many = len(evolution.new) + len(missing) > NEW_COLUMNS_AT_MOST
    if known is None or not (evolution.retyped or many):
        return ()
    retyped = {each.column.target: each for each in evolution.retyped}
    lost = {each.column.target for each in evolution.replaced}
    columns = [
        DeepCopyColumn(
            name=name, type=retyped[name].after if name in retyped else type_name, kept=name not in lost
        )
        for name, type_name in known.items()
    ]
    new = {column.target: warehouse_type(column.kind) for column in evolution.new} | missing
    return (
        *columns,
        *(DeepCopyColumn(name=name, type=type_name, kept=False) for name, type_name in new.items()),
    )


def check_width(table: TablePlan, known: Mapping[str, str] | None) -> None:
    """Raise TableRefused if the table has more columns, or longer names, than one load can have."""
    existing = dict.fromkeys([*(known or ()), *(column.target for column in table.columns)])
    own = [name for name in added(table.mode) if name not in existing]
    other = len(existing) + len(own) - len(table.columns)
    most = COLUMNS_AT_MOST - max(other, STAGED_BESIDE.get(table.mode, 1))
    remedy = "leave some out with columns: exclude, or read the table as two, each by a query of its own"
    if len(table.columns) > most:
        raise TableRefused(
            f"{table.name} has {len(table.columns)} columns to read, and {most} can be loaded beside the "
            f"{COLUMNS_AT_MOST - most} other columns of the warehouse's table; {remedy}"
        )
    if len(table.columns) <= WIDE:
        return
    widened = with_sizes(table, None, copy=True)  # the most that a load may have to do
    longest = max(len(sql.encode()) for sql in (*_load(table), *_load(widened)))
    if longest > STATEMENT_BYTES_AT_MOST:
        raise TableRefused(
            f"{table.name} has {len(table.columns)} columns whose names make a statement of {longest} bytes, "
            f"and the warehouse accepts {STATEMENT_BYTES_AT_MOST}; give them shorter names (rename), or "
            f"{remedy}"
        )


def _load(table: TablePlan) -> list[str]:
    """Return the statements of the table's load, with names of the greatest length."""
    name, url = "s" * 80, "s" * 600
    row = (table.name, "0" * 15, 0, table.mode, "t" * 255, table.read.cursor, None, 0, 0, 0)
    return [*stage(table, name, url, "s" * 200), *publish(table, name, ControlRow("s" * 50, *row))]
