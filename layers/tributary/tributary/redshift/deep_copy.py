"""A table in another form: a new table with the rows of the old one takes its place and its name.

All of it stands in the publish, so a run that breaks off leaves the old table as it was, and doing
it again does the same. The old table is locked first: no row that another source commits meanwhile
may stay behind in it. Late-binding views find the new table by its name; a view that is bound to
the old one stops the DROP, and with it the publish. (performing-a-deep-copy)
"""

from __future__ import annotations

from tributary.model.plan import TablePlan
from tributary.redshift import table_design
from tributary.redshift.sql import comma, literal, quote
from tributary.redshift.stage import target

PREFIX = "_tributary_"  # of the new table's name until it has the old one's: no table of a source has it


def lock(table: TablePlan) -> str:
    """Return the statement that keeps everybody else out of the table until the transaction ends.

    It takes no snapshot (c_serial_isolation): as the first one it lets the copy see all that was
    committed before.
    """
    return f"LOCK {target(table)}"


def same_form(table: TablePlan) -> str:
    """Return the statement that fails where the table's columns are not those that the plan saw.

    Its source alone changes a table of its own; in a shared one another source may have done so since.
    """
    columns, words, sizes = table.schema_changes.copied_form or (0, 0, 0)
    return (
        f"SELECT 1 / CASE WHEN COUNT(*) = {columns} AND SUM(LEN(column_name) + LEN(data_type)) = {words} AND "
        "SUM(COALESCE(numeric_precision, 0) + COALESCE(numeric_scale, 0) + "
        f"COALESCE(character_maximum_length, 0)) = {sizes} THEN 1 ELSE 0 END AS same_form FROM svv_columns "
        f"WHERE table_schema = {literal(table.target.schema_name)} "
        f"AND table_name = {literal(table.target.table_name)}"
    )


def remake(table: TablePlan, name: str) -> list[str]:
    """Return the statements that give the table its new columns; `name` is its staging table's."""
    made = quote(table.target.schema_name, f"{PREFIX}{name}")
    declared = comma(
        table_design.declaration(table, column.name, column.type) for column in table.schema_changes.deep_copy
    )
    return [
        *([same_form(table)] if table.schema_changes.copied_form else []),
        f"CREATE TABLE {made} ({declared}){table_design.attributes(table)}",
        *([] if _gives_way(table) else [_copy(table, made)]),
        f"DROP TABLE {target(table)}",
        f"ALTER TABLE {made} RENAME TO {quote(table.target.table_name)}",
    ]


def _gives_way(table: TablePlan) -> bool:
    """Say whether no row of the old table stays: a whole image takes their place."""
    return (
        table.publish.full_refresh
        and table.target.owner is None
        and (table.mode != "history" or table.publish.convert_to_history)
    )


def _copy(table: TablePlan, made: str) -> str:
    kept = [column for column in table.schema_changes.deep_copy if column.kept]
    changed = {change.column for change in table.schema_changes.changes if change.change == "type_changed"}
    values = comma(
        f"CAST({quote(column.name)} AS {column.type})" if column.name in changed else quote(column.name)
        for column in kept
    )
    names = comma(quote(column.name) for column in kept)
    return f"INSERT INTO {made} ({names}) SELECT {values} FROM {target(table)}"
