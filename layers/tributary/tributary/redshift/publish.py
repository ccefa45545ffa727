"""Publish: the one short transaction that makes a table's rows visible and moves its watermark.

Its statements, in order: lock (deep copy only), fence, schema changes, rows by mode, key constraint, DROP of
the staging table, column changes, control row. The staging table is dropped in the same transaction, so
a publish that is sent twice fails at the missing staging table and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from tributary.model.plan import TablePlan
from tributary.model.warehouse_names import STAGING_SCHEMA
from tributary.redshift import control, key_constraint
from tributary.redshift.control import ControlRow
from tributary.redshift.deep_copy import deep_copy, lock
from tributary.redshift.modes.append import append
from tributary.redshift.modes.history import open_versions
from tributary.redshift.modes.merge import merge, replace_keys
from tributary.redshift.modes.replace import replace_rows
from tributary.redshift.replay_image import new_columns, replace_by_image
from tributary.redshift.rows import deduplicate
from tributary.redshift.sql import quote
from tributary.redshift.stage import target

NEW_COLUMNS_AT_MOST = 20  # each is a statement, and a batch has at most 40


def publish(table: TablePlan, name: str, control_row: ControlRow) -> list[str]:
    """Return the publish batch of a staged table."""
    return [
        *([lock(table)] if table.schema_changes.deep_copy else []),
        control.fence(control_row.source, control_row.generation),
        *(deep_copy(table, name) if table.schema_changes.deep_copy else _add_columns(table)),
        *key_constraint.drop(table),
        *rows(table, name, control_row),
        *key_constraint.add(table),
        f"DROP TABLE {quote(STAGING_SCHEMA, name)}",
        *control.note_changes(control_row, table.schema_changes.changes),
        control.commit([control_row]),
    ]


def fenced_at(table: TablePlan) -> int:
    """Return the 0-based place of the fence in the publish batch; `same_form` follows it."""
    return 1 if table.schema_changes.deep_copy else 0


def rows(table: TablePlan, name: str, control_row: ControlRow) -> list[str]:
    """Return the statements that apply the staged rows in the table's mode."""
    if table.replay:
        return replace_by_image(table, name, control_row)
    if table.mode == "history":
        return open_versions(table, name, control_row)
    apply = _apply(table)
    return [*([deduplicate(table, name)] if table.key else []), *apply(table, name, control_row)]


def _apply(table: TablePlan) -> Callable[[TablePlan, str, ControlRow], list[str]]:
    if table.publish.full_refresh:
        return replace_rows
    if table.mode == "append":
        return append
    return replace_keys if table.target.repeated_keys else merge


def commit_only(control_rows: list[ControlRow]) -> list[str]:
    """Return the batch that records tables without changes; their watermarks stay the same."""
    first = control_rows[0]
    return [control.fence(first.source, first.generation), control.commit(control_rows)]


def _add_columns(table: TablePlan) -> list[str]:
    # In the publish, not before it: after an interrupted run the column must still be new, so that
    # the next run reads the whole table again.
    return [
        f"ALTER TABLE {target(table)} ADD COLUMN {quote(name)} {type}" for name, type in new_columns(table)
    ]
