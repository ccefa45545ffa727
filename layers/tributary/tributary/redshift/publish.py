"""Publish: the one short transaction that makes a table's rows visible and moves its watermark.

Its statements are always the lock of a table that is made anew, fence, the table's new form, the rows
in the way of their mode, what the planner may know of the key, the end of the staging table, what changed
of columns, and last the control row. The staging table goes with the transaction, so a publish that is
sent twice finds it gone and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from tributary.model.plan import TablePlan
from tributary.model.warehouse_names import STAGING_SCHEMA
from tributary.redshift import control, key_constraint
from tributary.redshift.control import ControlRow
from tributary.redshift.deep_copy import lock, remake
from tributary.redshift.modes.append import append
from tributary.redshift.modes.history import open_versions
from tributary.redshift.modes.merge import merge, replace_keys
from tributary.redshift.modes.replace import replace_rows
from tributary.redshift.replay_image import new_columns, put_in_place
from tributary.redshift.rows import deduplicate
from tributary.redshift.sql import quote
from tributary.redshift.stage import target

NEW_COLUMNS_AT_MOST = 20  # added one by one: a batch has 40 statements at most


def publish(table: TablePlan, name: str, control_row: ControlRow) -> list[str]:
    """Return the publish batch of a staged table."""
    return [
        *([lock(table)] if table.schema_changes.deep_copy else []),
        control.fence(control_row.source, control_row.generation),
        *(remake(table, name) if table.schema_changes.deep_copy else _add_columns(table)),
        *key_constraint.drop(table),
        *rows(table, name, control_row),
        *key_constraint.add(table),
        f"DROP TABLE {quote(STAGING_SCHEMA, name)}",
        *control.note_changes(control_row, table.schema_changes.changes),
        control.commit([control_row]),
    ]


def fenced_at(table: TablePlan) -> int:
    """Return the 0-based place of the fence in the table's publish."""
    return 1 if table.schema_changes.deep_copy else 0


def rows(table: TablePlan, name: str, control_row: ControlRow) -> list[str]:
    """Return the statements that do with the staged rows what the table's mode says."""
    if table.replay:
        return put_in_place(table, name, control_row)
    if table.mode == "history":
        return open_versions(table, name, control_row)
    way = _way(table)
    return [*([deduplicate(table, name)] if table.key else []), *way(table, name, control_row)]


def _way(table: TablePlan) -> Callable[[TablePlan, str, ControlRow], list[str]]:
    if table.publish.full_refresh:
        return replace_rows
    if table.mode == "append":
        return append
    return replace_keys if table.target.repeated_keys else merge


def commit_only(control_rows: list[ControlRow]) -> list[str]:
    """Return the batch that records tables of which nothing was new: their watermarks stay as they are."""
    first = control_rows[0]
    return [control.fence(first.source, first.generation), control.commit(control_rows)]


def _add_columns(table: TablePlan) -> list[str]:
    # In the publish, not before it: a run that breaks off must leave the column new, so that the
    # next run reads the table whole again.
    return [
        f"ALTER TABLE {target(table)} ADD COLUMN {quote(name)} {type}" for name, type in new_columns(table)
    ]
