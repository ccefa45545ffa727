"""Deep copy: a new table with other columns gets the rows and the name of the old one.

All of it is part of the publish, so an interrupted run leaves the old table unchanged, and a retry
does the same again. The old table is locked first, so no row that another source commits at the same
time stays behind in it. Late-binding views find the new table by its name. A view that is bound to
the old table makes the DROP fail, and the publish with it. (performing-a-deep-copy)
"""

from __future__ import annotations

from tributary.model.own_columns import PREFIX
from tributary.model.plan import TablePlan
from tributary.redshift import table_design
from tributary.redshift.sql import comma, literal, quote
from tributary.redshift.stage import target

COPY = f"{PREFIX}_"  # of the new table's name until it is renamed; no source table's name begins with it


def lock(table: TablePlan) -> str:
    """Return the statement that locks the table until the transaction ends.

    LOCK takes no snapshot (c_serial_isolation). As the first statement it lets the copy see all rows
    that were committed before the lock was granted.
    """
    return f"LOCK {target(table)}"


def same_form(table: TablePlan) -> str:
    """Return the guard that fails if the table's columns are not those that the plan saw.

    Only for a shared table: another source may have changed it after the plan was made.
    """
    columns, lengths, modifiers = table.schema_changes.copied_form or (0, 0, 0)
    return (
        f"SELECT 1 / CASE WHEN COUNT(*) = {columns} "
        "AND SUM(LENGTH(a.attname) + LENGTH(format_type(a.atttypid, a.atttypmod))) = "
        f"{lengths} AND SUM(a.atttypmod) = {modifiers} THEN 1 ELSE 0 END AS same_form "
        "FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
        "JOIN pg_attribute AS a ON a.attrelid = c.oid "
        f"WHERE n.nspname = {literal(table.target.schema_name)} "
        f"AND c.relname = {literal(table.target.table_name)} AND a.attnum > 0 AND NOT a.attisdropped"
    )


def deep_copy(table: TablePlan, name: str) -> list[str]:
    """Return the statements that replace the table by a deep copy; `name` is its staging table's name."""
    copy = quote(table.target.schema_name, f"{COPY}{name}")
    declared = comma(
        table_design.declaration(table, column.name, column.type) for column in table.schema_changes.deep_copy
    )
    return [
        *([same_form(table)] if table.schema_changes.copied_form else []),
        f"CREATE TABLE {copy} ({declared}){table_design.attributes(table)}",
        *([] if _starts_empty(table) else [_copy_rows(table, copy)]),
        f"DROP TABLE {target(table)}",
        f"ALTER TABLE {copy} RENAME TO {quote(table.target.table_name)}",
    ]


def _starts_empty(table: TablePlan) -> bool:
    """Return whether no row of the old table is kept, because a full refresh replaces all of them."""
    return (
        table.publish.full_refresh
        and table.target.owner is None
        and (table.mode != "history" or table.publish.convert_to_history)
    )


def _copy_rows(table: TablePlan, copy: str) -> str:
    kept = [column for column in table.schema_changes.deep_copy if column.kept]
    changed = {change.column for change in table.schema_changes.changes if change.change == "type_changed"}
    values = comma(
        f"CAST({quote(column.name)} AS {column.type})" if column.name in changed else quote(column.name)
        for column in kept
    )
    names = comma(quote(column.name) for column in kept)
    return f"INSERT INTO {copy} ({names}) SELECT {values} FROM {target(table)}"
