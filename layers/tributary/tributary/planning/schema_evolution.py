"""What becomes of a table in the warehouse where the columns of its source have changed.

The rule: no value that stands there is lost or altered. A type that holds every value of the old one
takes its place with the values kept; one whose values still fit into what stands there changes
nothing; for all others the rows must come from the source again, and where it may not have them all
any more, the change is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from tributary.errors import TableRefused
from tributary.model.own_columns import added
from tributary.model.plan import Column, DeepCopyColumn, SchemaChange, TablePlan
from tributary.model.types import VARBYTE_BYTES
from tributary.model.types import warehouse as warehouse_type
from tributary.model.warehouse_names import Target
from tributary.planning.load_method import REFRESH, RENAME, CommittedLoad, LoadMethod
from tributary.planning.table_spec import TableSpec
from tributary.redshift.control import ControlRow
from tributary.redshift.publish import NEW_COLUMNS_AT_MOST, publish
from tributary.redshift.sql import STATEMENT_BYTES_AT_MOST
from tributary.redshift.stage import stage
from tributary.redshift.text_sizes import with_sizes

DIGITS = {"SMALLINT": 5, "INTEGER": 10, "BIGINT": 19}  # that the largest value has
DIGITS_AT_MOST = 38  # of a DECIMAL
COLUMNS_AT_MOST = 1_600  # of a table (c_redshift-limits)
STAGED_BESIDE = {"history": 3}  # columns of a staging table beside those of the source, 1 in other modes
WIDE = 200  # columns, below which no statement can be too long


@dataclass(frozen=True, slots=True)
class Retyped:
    """A column whose type in the warehouse is another than its source's now gives.

    `widened`: the new type holds every value of the old one. `sized`: a VARCHAR whose size is that of its
    values, which are not read yet.
    """

    column: Column
    before: str
    after: str
    widened: bool = False
    sized: bool = False

    def __str__(self) -> str:
        return f"{self.column.name}: {self.before} → {'VARCHAR' if self.sized else self.after}"


@dataclass(frozen=True, slots=True)
class Evolution:
    """How a table's columns differ from those that the warehouse has.

    `dropped`: those that the last run still read; `returned`: those that it did not and this one does;
    `kept`: those whose values still fit into the wider type that stands there; `ignored`: new ones
    that are left out.
    """

    new: tuple[Column, ...] = ()
    returned: tuple[Column, ...] = ()
    dropped: tuple[str, ...] = ()
    retyped: tuple[Retyped, ...] = ()
    kept: tuple[Retyped, ...] = ()
    ignored: tuple[Column, ...] = ()

    @property
    def replaced(self) -> tuple[Retyped, ...]:
        """Return the columns whose values must come from the source again."""
        return tuple(one for one in self.retyped if not one.widened)

    def changes(self, known: Mapping[str, str]) -> tuple[SchemaChange, ...]:
        """Return what is done to the warehouse's table, one entry for each column."""
        named = [SchemaChange(column=name, change="dropped", before=known[name]) for name in self.dropped]
        named += [
            SchemaChange(column=one.target, change="added", after=warehouse_type(one.kind))
            for one in self.new
        ]
        named += [
            SchemaChange(column=one.target, change="returned", after=warehouse_type(one.kind))
            for one in self.returned
        ]
        named += [
            SchemaChange(column=one.column.target, change="type_changed", before=one.before, after=one.after)
            for one in self.retyped
        ]
        return tuple(named)

    def notes(self) -> Iterable[str]:
        """Yield what there is to say of types and of what is left out."""
        for one in self.retyped:
            way = "the values that stand there are kept" if one.widened else "they are read again"
            yield f"column {one}; {way}"
        for one in self.kept:
            yield f"column {one.column.name}: {one.before} stays, which holds every {one.after} of the source"
        if self.ignored:
            names = ", ".join(column.name for column in self.ignored)
            yield f"new columns left out, as schema_changes says: {names}"


def evolve(
    choice: TableSpec, target: Target, known: Mapping[str, str] | None, loaded: CommittedLoad | None
) -> tuple[TableSpec, Evolution]:
    """Return what is read of the table, and how that differs from what the warehouse has (`known`).

    Raises TableRefused where `schema_changes` is `freeze` and anything differs.
    """
    if known is None:
        return choice, Evolution()
    unread = loaded.unread if loaded else frozenset()
    given = {column.target for column in choice.columns} | set(added(choice.mode))
    found = Evolution(
        new=tuple(column for column in choice.columns if column.target not in known),
        returned=tuple(c for c in choice.columns if c.target in unread and c.target in known),
        dropped=()
        if target.shared
        else tuple(name for name in known if name not in given and name not in unread),
        retyped=tuple(_retyped(choice, known)),
        kept=tuple(_kept(choice, known)),
    )
    if choice.settings.schema_changes == "freeze":
        _check_frozen(choice, known, found)
    if choice.settings.schema_changes != "ignore_new":
        return choice, found
    needed = {*choice.key, *([choice.cursor.name] if choice.cursor else [])}
    ignored = tuple(column for column in found.new if column.name not in needed)
    columns = tuple(column for column in choice.columns if column not in ignored)
    new = tuple(column for column in found.new if column not in ignored)
    return replace(choice, columns=columns), replace(found, new=new, ignored=ignored)


def sizes_texts(choice: TableSpec) -> bool:
    """Say whether there are texts that the source does not bound, and the file wants them sized."""
    return choice.settings.texts != "widest" and any(one.kind.sized_by_values for one in choice.columns)


def _wanted(choice: TableSpec, column: Column, has: str | None) -> str:
    """Return the type that the column is to have: of a text that its values size, the VARCHAR that it has."""
    sized = column.kind.sized_by_values and sizes_texts(choice)
    return has if has and sized and has.startswith("VARCHAR(") else warehouse_type(column.kind)


def _retyped(choice: TableSpec, known: Mapping[str, str]) -> Iterable[Retyped]:
    for column in choice.columns:
        has = known.get(column.target)
        wants = _wanted(choice, column, has)
        if has and _is_known(has) and not _stays(has, wants):
            sized = column.kind.sized_by_values and sizes_texts(choice)
            yield Retyped(column, has, wants, widened=holds(wants, has), sized=sized)


def _kept(choice: TableSpec, known: Mapping[str, str]) -> Iterable[Retyped]:
    for column in choice.columns:
        has = known.get(column.target)
        wants = _wanted(choice, column, has)
        if has and has != wants and _stays(has, wants) and not holds(wants, has):
            yield Retyped(column, has, wants)


def _is_known(type_name: str) -> bool:
    """Say whether a type is one that Tributary makes: of others nothing can be said."""
    return _parts(type_name)[0].isupper()


def _stays(has: str, wants: str) -> bool:
    """Say whether values of the type fit as they are into what stands there; a number is no text."""
    return holds(has, wants) and (not has.startswith("VARCHAR") or wants.startswith("VARCHAR"))


def holds(wide: str, narrow: str) -> bool:
    """Say whether every value of the narrow type is the same value in the wide one, by a plain CAST."""
    (to, *size), (of, *old) = _parts(wide), _parts(narrow)
    if of in DIGITS and of != to:
        return _holds_integers(to, size, of)
    if of == "DECIMAL":
        return _holds_decimals(to, size, *old)
    if to == of:
        return size >= old
    return (to, of) in (("DOUBLE PRECISION", "REAL"), ("TIMESTAMP", "DATE"))


def _holds_integers(to: str, size: list[int], of: str) -> bool:
    if to == "DECIMAL":
        return size[0] - size[1] >= DIGITS[of]
    if to == "VARCHAR":
        return size[0] > DIGITS[of]  # and a sign
    return DIGITS.get(to, 0) > DIGITS[of] or (to == "DOUBLE PRECISION" and of != "BIGINT")


def _holds_decimals(to: str, size: list[int], precision: int, scale: int) -> bool:
    if to == "DECIMAL":
        return size[1] >= scale and size[0] - size[1] >= precision - scale
    if to == "VARCHAR":
        # with a sign, a point and a 0 before it; the widest stands for numbers that state no digits
        return precision < DIGITS_AT_MOST and size[0] >= precision + 3
    return scale == 0 and DIGITS.get(to, 0) > precision


def _parts(type_name: str) -> tuple[str, *tuple[int, ...]]:
    """Return a type's word and its sizes: ``DECIMAL(10,2)`` is ``("DECIMAL", 10, 2)``."""
    word, _, sizes = type_name.partition("(")
    numbers = tuple(int(number) for number in re.findall(r"\d+", sizes))
    return (word, *(numbers or ((VARBYTE_BYTES,) if word == "VARBYTE" else ())))


def _check_frozen(choice: TableSpec, known: Mapping[str, str], found: Evolution) -> None:
    """Raise TableRefused with every column that differs, before and after."""
    lines = [f"{change.column}: {_shown(change)}" for change in found.changes(known)]
    if lines:
        raise TableRefused(
            f"the columns of {choice.name} have changed, and schema_changes is freeze: {'; '.join(lines)}. "
            "Undo that in the source, or set schema_changes to evolve for one run, which takes it over"
        )


def _shown(change: SchemaChange) -> str:
    return f"{change.before or 'not read'} → {change.after or 'dropped'}"


def with_evolution(
    way: LoadMethod, choice: TableSpec, target: Target, found: Evolution, *, full_refresh: bool
) -> LoadMethod:
    """Return the way, with all rows read again and replaced where a type holds none of the old values.

    Raises TableRefused where rows stand there that the source may not have any more.
    """
    if not found.replaced:
        return way
    said = f"{choice.name} has other types now: " + "; ".join(map(str, found.replaced))
    if target.shared:
        raise TableRefused(
            f"{said}; {target} holds rows of other sources too: give the column the same type in every "
            "source that writes there, leave it out (columns: exclude), or write to another target"
        )
    if choice.mode == "history" or (choice.mode == "append" and choice.cursor is None):
        raise TableRefused(f"{said}, and what stands there cannot be read again; {RENAME}")
    if choice.mode == "append" and not (full_refresh or way.full_refresh):
        raise TableRefused(f"{said}, and rows may stand there that the source no longer has; {REFRESH}")
    note = None if way.full_refresh else f"{said}: the whole table is read and replaced"
    return replace(way, whole_read=True, full_refresh=True, repeated_keys=False, note=way.note or note)


def deep_copy_columns(
    choice: TableSpec, known: Mapping[str, str] | None, found: Evolution, own: Iterable[str]
) -> tuple[DeepCopyColumn, ...]:
    """Return the columns of the table that takes the old one's place, () where it needs no other.

    A new table stands for types that changed, since ALTER TABLE can change none but a VARCHAR's, and
    that in no transaction (r_ALTER_TABLE); and for more new columns than one publish can add.
    """
    missing = {name: added(choice.mode)[name] for name in own}
    if known is None or (not found.retyped and len(found.new) + len(missing) <= NEW_COLUMNS_AT_MOST):
        return ()
    retyped = {one.column.target: one for one in found.retyped}
    lost = {one.column.target for one in found.replaced}
    columns = [
        DeepCopyColumn(
            name=name, type=retyped[name].after if name in retyped else type_name, kept=name not in lost
        )
        for name, type_name in known.items()
    ]
    new = {column.target: warehouse_type(column.kind) for column in found.new} | missing
    return (
        *columns,
        *(DeepCopyColumn(name=name, type=type_name, kept=False) for name, type_name in new.items()),
    )


def check_width(table: TablePlan, known: Mapping[str, str] | None) -> None:
    """Raise TableRefused where the table has more columns, or longer names, than a load can have."""
    stands = dict.fromkeys([*(known or ()), *(column.target for column in table.columns)])
    own = [name for name in added(table.mode) if name not in stands]
    beside = len(stands) + len(own) - len(table.columns)
    most = COLUMNS_AT_MOST - max(beside, STAGED_BESIDE.get(table.mode, 1))
    way = "leave some out with columns: exclude, or read the table in two parts, each by a query of its own"
    if len(table.columns) > most:
        raise TableRefused(
            f"{table.name} has {len(table.columns)} columns to read, and {most} can be loaded beside the "
            f"{COLUMNS_AT_MOST - most} that the warehouse's table has besides; {way}"
        )
    if len(table.columns) <= WIDE:
        return
    widened = with_sizes(table, None, copy=True)  # the most that a load may have to do
    longest = max(len(sql.encode()) for sql in (*_load(table), *_load(widened)))
    if longest > STATEMENT_BYTES_AT_MOST:
        raise TableRefused(
            f"{table.name} has {len(table.columns)} columns whose names make a statement of {longest} bytes, "
            f"and the warehouse takes {STATEMENT_BYTES_AT_MOST}; give them shorter names (rename), or {way}"
        )


def _load(table: TablePlan) -> list[str]:
    """Return the statements of the table's load, with names that are as long as they can be."""
    name, url = "s" * 80, "s" * 600
    said = (table.name, "0" * 15, 0, table.mode, "t" * 255, table.read.cursor, None, 0, 0, 0)
    return [*stage(table, name, url, "s" * 200), *publish(table, name, ControlRow("s" * 50, *said))]
