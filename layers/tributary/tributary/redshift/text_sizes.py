"""Sizes of VARCHARs whose text the source does not bound: as wide as the values need, with room to grow.

Redshift's guide warns against the widest size as a default (c_best-practices-smallest-column-size):
intermediate results take memory by the declared sizes of columns.

No value is ever truncated. A staging column has the widest size, so COPY takes every value, and the longest
value is known before the publish. A column that is too narrow is widened in place before the publish; if
Redshift refuses that, the publish makes a deep copy, as for any other type change. The load fails only if a
view that is bound to the table prevents both. Columns never become narrower.

A shared target has two sizes only, the smallest and the widest. No source knows what the others do at
the same time, so concurrent sources converge on the same size.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Set

from tributary.model.plan import Column, DeepCopyColumn, SchemaChange, TablePlan
from tributary.model.text_lengths import Longest
from tributary.model.types import VARCHAR_BYTES
from tributary.redshift.replay_image import new_columns

SIZES = (256, 1_024, 4_096, 16_384, VARCHAR_BYTES)  # few and far apart, so that a column is seldom widened
ROOM = 2  # times the longest value seen
WIDEST = f"VARCHAR({VARCHAR_BYTES})"


def size_for(longest_bytes: int, *, shared: bool = False) -> int:
    """Return the size of a new column by the bytes of its longest value."""
    sizes = SIZES[:1] if shared else SIZES
    return next((size for size in sizes if size >= ROOM * longest_bytes), VARCHAR_BYTES)


def existing_columns(columns: Iterable[Column], known: Mapping[str, str] | None) -> dict[str, str]:
    """Return the columns of the warehouse's table (`known`), {} if no text can be too narrow."""
    texts = [column.target for column in columns if column.kind.sized_by_values]
    return dict(known) if known and any(known.get(text, WIDEST) != WIDEST for text in texts) else {}


def with_sizes(table: TablePlan, longest: Longest, *, copy: bool = False) -> TablePlan:
    """Return the plan with a size for each text that is sized by its longest value.

    A new column gets room to grow. An existing column keeps its size while the values fit, and is widened
    otherwise: by a deep copy if there is one anyway or Redshift refused to widen in place (`copy`). Plan
    and lengths are frozen, so every call returns the same.
    """
    if not table.texts.sized_by_values:
        return table
    needed = _needed(table, longest)
    created = _created(table) if table.target.exists else needed.keys()
    existing = {name: size for name in needed if name not in created and (size := _size(table, name))}
    grown = {name: size for name, size in existing.items() if size < needed[name]}
    shared = table.target.owner is not None
    sized = existing | {
        name: size_for(most, shared=shared)
        for name, most in needed.items()
        if name in created or name in grown
    }
    # Another source may have created the table since the plan, with the smallest size.
    doubtful = [
        name for name, most in needed.items() if shared and not table.target.exists and most > SIZES[0]
    ]
    types = {target: _varchar(size) for target, size in sized.items()}
    widened = [
        SchemaChange(column=target, change="type_changed", before=_varchar(size), after=types[target])
        for target, size in grown.items()
    ]
    recreated = copy or table.schema_changes.deep_copy
    plan = table.with_changes(
        sizes=sized,
        widened={} if recreated else {name: sized[name] for name in (*grown, *doubtful)},
        deep_copy=tuple(_retyped(column, types) for column in table.schema_changes.deep_copy),
        changes=(*(_resized(change, types) for change in table.schema_changes.changes), *widened),
        notes=(*table.notes, *(_note(table, change) for change in widened)),
    )
    return _with_deep_copy(plan, types) if grown and copy and not table.schema_changes.deep_copy else plan


def of_runs(
    runs: Iterable[tuple[TablePlan, Longest]], targets: Iterable[str], *, shared: bool
) -> dict[str, int]:
    """Return the sizes of new columns for all values of the runs; a column's bound counts as a value."""
    most = dict.fromkeys(targets, 0)
    for table, longest in runs:
        needed = _needed(table, longest)
        for column in table.columns:
            if column.target in most:
                read = needed.get(column.target, column.kind.limit_bytes or 0)
                most[column.target] = max(most[column.target], read)
    return {target: size_for(longest_bytes, shared=shared) for target, longest_bytes in most.items()}


def _needed(table: TablePlan, longest: Longest) -> dict[str, int]:
    """Return the bytes of the longest value by target, VARCHAR_BYTES if unknown."""
    texts = [column.target for column in table.columns if column.kind.sized_by_values]
    if longest == ():
        return dict.fromkeys(texts, 0)
    if longest is None or len(longest) != len(texts):
        return dict.fromkeys(texts, VARCHAR_BYTES)
    return dict(zip(texts, longest, strict=True))


def _created(table: TablePlan) -> Set[str]:
    """Return the columns of an existing table that are new, or get a new type."""
    return {
        *table.schema_changes.new_columns,
        *(one.column for one in table.schema_changes.changes if one.change == "type_changed"),
    }


def _size(table: TablePlan, target: str) -> int | None:
    """Return the size of an existing VARCHAR, None if the column is not one."""
    match = re.fullmatch(r"VARCHAR\((\d+)\)", table.texts.existing_columns.get(target, WIDEST))
    return int(match[1]) if match else None


def _retyped(column: DeepCopyColumn, types: Mapping[str, str]) -> DeepCopyColumn:
    return column.model_copy(update={"type": types.get(column.name, column.type)})


def _resized(change: SchemaChange, types: Mapping[str, str]) -> SchemaChange:
    return change.model_copy(update={"after": change.after and types.get(change.column, change.after)})


def _note(table: TablePlan, change: SchemaChange) -> str:
    name = next(column.name for column in table.columns if column.target == change.column)
    return f"column {name}: {change.before} → {change.after}; a value is longer than the column"


def _with_deep_copy(table: TablePlan, types: Mapping[str, str]) -> TablePlan:
    """Return the plan with a deep copy of the existing table, new columns included."""
    existing = (
        DeepCopyColumn(name=name, type=type, kept=True) for name, type in table.texts.existing_columns.items()
    )
    new = (DeepCopyColumn(name=name, type=type, kept=False) for name, type in new_columns(table))
    return table.with_changes(
        deep_copy=(*(_retyped(column, types) for column in existing), *new),
        comments=(*table.design.comments, *table.design.comments_of_copy),
    )


def _varchar(size_bytes: int) -> str:
    return f"VARCHAR({size_bytes})"
