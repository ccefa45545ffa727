"""A table in another form: a new table with the rows of the old one takes its place and its name.

All of it stands in the publish, so a run that breaks off leaves the old table as it was, and doing
it again does the same. Late-binding views find the new table by its name; a view that is bound to
the old one stops the DROP, and with it the publish. (performing-a-deep-copy)
"""

from __future__ import annotations

from ..documents import TablePlan
from .sql import comma, quote
from .stage import target

PREFIX = "_tributary_"  # of the new table's name until it has the old one's: no table of a source has it


def remake(table: TablePlan, name: str) -> list[str]:
    """Return the statements that give the table its new columns; `name` is its staging table's."""
    made = quote(table.target_schema, f"{PREFIX}{name}")
    declared = comma(f"{quote(column.name)} {column.type}" for column in table.remade)
    return [
        f"CREATE TABLE {made} ({declared})",
        *([] if _gives_way(table) else [_copy(table, made)]),
        f"DROP TABLE {target(table)}",
        f"ALTER TABLE {made} RENAME TO {quote(table.target_table)}",
    ]


def _gives_way(table: TablePlan) -> bool:
    """Say whether no row of the old table stays: a whole image takes their place."""
    return table.swap and table.owner is None and (table.mode != "history" or table.rebuild)


def _copy(table: TablePlan, made: str) -> str:
    kept = [column for column in table.remade if column.kept]
    changed = {change.column for change in table.changes if change.change == "type_changed"}
    values = comma(
        f"CAST({quote(column.name)} AS {column.type})" if column.name in changed else quote(column.name)
        for column in kept
    )
    names = comma(quote(column.name) for column in kept)
    return f"INSERT INTO {made} ({names}) SELECT {values} FROM {target(table)}"
