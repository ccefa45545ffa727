"""How wide a VARCHAR is whose text the source does not bound: as its values ask, with room to grow.

Redshift's guide warns of the widest size taken for convenience (c_best-practices-smallest-column-size):
what a query keeps between its steps takes memory by the declared sizes of columns.

The rule: no size cuts a value, and none stops a load, but where bound views forbid both ways to widen. A
staging column is as wide as can be, so COPY takes whatever was read, and the longest value is known before a
publish is sent. A column that is too narrow for it is widened before, where it stands; and where Redshift
refuses that, in the publish, by the new table that any other type would get. None is made narrower.

A target that sources share has two sizes only, the smallest and the widest. No source knows what the others
make of it meanwhile; so, whoever is first or late, each only ever widens it to the same end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Set

from tributary.model.plan import Column, DeepCopyColumn, SchemaChange, TablePlan
from tributary.model.text_lengths import Longest
from tributary.model.types import VARCHAR_BYTES
from tributary.redshift.replay_image import new_columns

SIZES = (256, 1_024, 4_096, 16_384, VARCHAR_BYTES)  # few and far apart: a column is seldom widened
ROOM = 2  # times the longest value seen
WIDEST = f"VARCHAR({VARCHAR_BYTES})"


def size_for(longest_bytes: int, *, shared: bool = False) -> int:
    """Return the size of a new column whose longest value has so many bytes."""
    sizes = SIZES[:1] if shared else SIZES
    return next((size for size in sizes if size >= ROOM * longest_bytes), VARCHAR_BYTES)


def existing_columns(columns: Iterable[Column], known: Mapping[str, str] | None) -> dict[str, str]:
    """Return the columns that the warehouse's table has (`known`), {} where no text can be too narrow."""
    texts = [column.target for column in columns if column.kind.sized_by_values]
    return dict(known) if known and any(known.get(text, WIDEST) != WIDEST for text in texts) else {}


def with_sizes(table: TablePlan, longest: Longest, *, remake: bool = False) -> TablePlan:
    """Return the frozen plan with a size for each text that its values size, by the longest of them.

    A new column gets room to grow. One that stands stays as it is while values fit; where one does not, it
    is widened: by a new table where one is made anyway, or must be (`remake`). As plan and lengths are
    frozen, whoever asks gets the same.
    """
    if not table.texts.sized_by_values:
        return table
    needed = _needed(table, longest)
    made = _made(table) if table.target.exists else needed.keys()
    stands = {name: size for name in needed if name not in made and (size := _size(table, name))}
    grown = {name: size for name, size in stands.items() if size < needed[name]}
    shared = table.target.owner is not None
    sized = stands | {
        name: size_for(most, shared=shared) for name, most in needed.items() if name in made or name in grown
    }
    # What another source has made meanwhile may have the smallest size.
    doubtful = [
        name for name, most in needed.items() if shared and not table.target.exists and most > SIZES[0]
    ]
    types = {target: _varchar(size) for target, size in sized.items()}
    widened = [
        SchemaChange(column=target, change="type_changed", before=_varchar(size), after=types[target])
        for target, size in grown.items()
    ]
    recreated = remake or table.schema_changes.deep_copy
    plan = table.with_changes(
        sizes=sized,
        widened={} if recreated else {name: sized[name] for name in (*grown, *doubtful)},
        deep_copy=tuple(_retyped(column, types) for column in table.schema_changes.deep_copy),
        changes=(*(_resized(change, types) for change in table.schema_changes.changes), *widened),
        notes=(*table.notes, *(_note(table, change) for change in widened)),
    )
    return _remade(plan, types) if grown and remake and not table.schema_changes.deep_copy else plan


def of_runs(
    runs: Iterable[tuple[TablePlan, Longest]], targets: Iterable[str], *, shared: bool
) -> dict[str, int]:
    """Return the sizes of new columns for all that the runs read; a bound stands for the values it bounds."""
    most = dict.fromkeys(targets, 0)
    for table, longest in runs:
        needed = _needed(table, longest)
        for column in table.columns:
            if column.target in most:
                read = needed.get(column.target, column.kind.limit_bytes or 0)
                most[column.target] = max(most[column.target], read)
    return {target: size_for(longest_bytes, shared=shared) for target, longest_bytes in most.items()}


def _needed(table: TablePlan, longest: Longest) -> dict[str, int]:
    """Return the bytes of the longest value by target; what is not known is as long as can be."""
    texts = [column.target for column in table.columns if column.kind.sized_by_values]
    if longest == ():
        return dict.fromkeys(texts, 0)
    if longest is None or len(longest) != len(texts):
        return dict.fromkeys(texts, VARCHAR_BYTES)
    return dict(zip(texts, longest, strict=True))


def _made(table: TablePlan) -> Set[str]:
    """Return the columns that are new, or become texts, in a table that stands."""
    return {
        *table.schema_changes.new_columns,
        *(one.column for one in table.schema_changes.changes if one.change == "type_changed"),
    }


def _size(table: TablePlan, target: str) -> int | None:
    """Return the size of a VARCHAR that stands, None where the column is none."""
    found = re.fullmatch(r"VARCHAR\((\d+)\)", table.texts.existing_columns.get(target, WIDEST))
    return int(found[1]) if found else None


def _retyped(column: DeepCopyColumn, types: Mapping[str, str]) -> DeepCopyColumn:
    return column.model_copy(update={"type": types.get(column.name, column.type)})


def _resized(change: SchemaChange, types: Mapping[str, str]) -> SchemaChange:
    return change.model_copy(update={"after": change.after and types.get(change.column, change.after)})


def _note(table: TablePlan, change: SchemaChange) -> str:
    name = next(column.name for column in table.columns if column.target == change.column)
    return f"column {name}: {change.before} → {change.after}; a longer value has come"


def _remade(table: TablePlan, types: Mapping[str, str]) -> TablePlan:
    """Return the plan with a new table in the place of the one that stands, new columns among its own."""
    stands = (
        DeepCopyColumn(name=name, type=type, kept=True) for name, type in table.texts.existing_columns.items()
    )
    new = (DeepCopyColumn(name=name, type=type, kept=False) for name, type in new_columns(table))
    return table.with_changes(
        deep_copy=(*(_retyped(column, types) for column in stands), *new),
        comments=(*table.design.comments, *table.design.comments_of_copy),
    )


def _varchar(size_bytes: int) -> str:
    return f"VARCHAR({size_bytes})"
