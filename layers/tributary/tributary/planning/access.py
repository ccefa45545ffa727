"""Check a file's `access` against a table's columns and against what Redshift can do.

A column that is no longer read stays in the warehouse with its values. So its mask, and its exclusion,
may stay in the file and still apply.
"""

from __future__ import annotations

from typing import Literal

from tributary.config import models
from tributary.errors import TableRefused
from tributary.model.own_columns import added
from tributary.model.plan import Access, Column, TableAccess, TablePlan
from tributary.model.warehouse_names import fold

HASH_BYTES = 64  # of a SHA-256 in hexadecimal digits


def access(table: TablePlan, settings: models.AccessSettings | None) -> TableAccess | None:
    """Return the access that the table gets, None if the file does not set it.

    Raises TableRefused if the settings name columns that the table does not have.
    """
    if settings is None:
        return None
    if table.target.owner is not None:
        if not settings.given:
            return None
        raise TableRefused(
            f"access: {table.name} is written to {table.target.name}, where other "
            "sources may write too, so no single source can set its access; write access: none for it, and "
            "let an administrator grant it"
        )
    given = Access(
        columns=_visible_columns(table, settings),
        mask=_masks(table, settings),
        rows=_rows(table, settings),
        hide_new=settings.hides_new_columns,
        named=_named(table, settings) if settings.hides_new_columns else (),
    )
    return TableAccess(
        schema_name=table.target.schema_name,
        table_name=table.target.table_name,
        access=given if settings.given else None,
    )


def _visible_columns(table: TablePlan, settings: models.AccessSettings) -> tuple[str, ...] | None:
    if settings.columns is None:
        return None
    names = [column.name for column in _read(table)]
    for name in settings.columns.absent(names):
        if settings.columns.exclude is None or fold(name) not in table.schema_changes.unread_columns:
            _read_column(table, name, "access.columns")
    visible = (table.column(name).target for name in settings.columns.choose(names))
    return (*visible, *added(table.mode))


def _named(table: TablePlan, settings: models.AccessSettings) -> tuple[str, ...]:
    """Return the columns that the file names, by target, and those that Tributary adds."""
    targets = {column.name: column.target for column in table.columns}
    columns = settings.columns
    listed = [
        *settings.mask,
        *(settings.rows or ()),
        *((columns.take or columns.exclude or ()) if columns else ()),
    ]
    return (*dict.fromkeys(targets.get(name, fold(name)) for name in listed), *added(table.mode))


def _masks(table: TablePlan, settings: models.AccessSettings) -> dict[str, Literal["hash", "null"]]:
    masks: dict[str, Literal["hash", "null"]] = {}
    for name, mask in settings.mask.items():
        if fold(name) in table.schema_changes.unread_columns:
            if mask != "clear":
                masks[fold(name)] = mask
            continue
        column = _read_column(table, name, "access.mask")
        if mask == "clear":
            continue
        if mask == "hash" and (column.kind.name != "text" or (column.kind.limit_bytes or 0) < HASH_BYTES):
            raise TableRefused(
                f'access.mask: column "{name}" of {table.name} is {column.type}, and a hash is a text of '
                f'{HASH_BYTES} bytes; write "null" instead'
            )
        masks[column.target] = mask
    return masks


def _rows(table: TablePlan, settings: models.AccessSettings) -> tuple[str, tuple[str | int, ...]] | None:
    for name, values in (settings.rows or {}).items():
        column = _read_column(table, name, "access.rows")
        if not all(isinstance(value, _value_type(column)) for value in values):
            raise TableRefused(
                f'access.rows: column "{name}" of {table.name} is {column.type}, and the values written are '
                "not of that kind; rows can be chosen by texts and by integers"
            )
        return column.target, values
    return None


def _read(table: TablePlan) -> list[Column]:
    """Return the columns that the source still has, without those that only a replay restores."""
    return [column for column in table.columns if column.target not in table.schema_changes.unread_columns]


def _value_type(column: Column) -> type | tuple[type, ...]:
    if column.kind.orders_serials:
        return int
    return str if column.kind.name in ("text", "uuid") else ()


def _read_column(table: TablePlan, name: str, field: str) -> Column:
    columns = {column.name: column for column in _read(table)}
    if name not in columns:
        raise TableRefused(
            f'{field}: {table.name} has no column "{name}" that is read; it has {", ".join(columns)}'
        )
    return columns[name]
