"""What a file's `access` comes to for a table: its own columns, and nothing that Redshift could not do.

A column that is no longer read stays in the warehouse with its values. So its mask, and that it is not
seen, may stay in the file, and hold.
"""

from __future__ import annotations

from typing import Literal

from tributary.config import models
from tributary.errors import TableRefused
from tributary.model.own_columns import added
from tributary.model.plan import Access, Column, TableAccess, TablePlan
from tributary.model.warehouse_names import fold

HASH_BYTES = 64  # of a SHA-256 in hexadecimal digits


def access(table: TablePlan, said: models.AccessSettings | None) -> TableAccess | None:
    """Return the access that the table is to have, None where the file says nothing of it.

    Raises TableRefused where it names what the table does not have.
    """
    if said is None:
        return None
    if table.target.owner is not None:
        if not said.given:
            return None
        raise TableRefused(
            f"access: {table.name} is written to {table.target.name}, where other "
            "sources may write too, and none of them can speak for all; write access: none for it, and let "
            "an administrator grant it"
        )
    given = Access(columns=_seen(table, said), mask=_masks(table, said), rows=_rows(table, said))
    return TableAccess(
        schema_name=table.target.schema_name,
        table_name=table.target.table_name,
        access=given if said.given else None,
    )


def _seen(table: TablePlan, said: models.AccessSettings) -> tuple[str, ...] | None:
    if said.columns is None:
        return None
    names = [column.name for column in _read(table)]
    for name in said.columns.absent(names):
        if said.columns.exclude is None or fold(name) not in table.schema_changes.unread_columns:
            _find(table, name, "access.columns")
    seen = (table.column(name).target for name in said.columns.choose(names))
    return (*seen, *added(table.mode))


def _masks(table: TablePlan, said: models.AccessSettings) -> dict[str, Literal["hash", "null"]]:
    masks = {}
    for name, mask in said.mask.items():
        if fold(name) in table.schema_changes.unread_columns:
            masks[fold(name)] = mask
            continue
        column = _find(table, name, "access.mask")
        if mask == "hash" and (column.kind.name != "text" or (column.kind.limit_bytes or 0) < HASH_BYTES):
            raise TableRefused(
                f'access.mask: column "{name}" of {table.name} is {column.type}, and a hash is a text of '
                f'{HASH_BYTES} bytes; write "null"'
            )
        masks[column.target] = mask
    return masks


def _rows(table: TablePlan, said: models.AccessSettings) -> tuple[str, tuple[str | int, ...]] | None:
    for name, values in (said.rows or {}).items():
        column = _find(table, name, "access.rows")
        if not all(isinstance(value, _like(column)) for value in values):
            raise TableRefused(
                f'access.rows: column "{name}" of {table.name} is {column.type}, and the values written are '
                "not of that kind; rows are told by texts and by integers"
            )
        return column.target, values
    return None


def _read(table: TablePlan) -> list[Column]:
    """Return the columns without those that only a replay brings back."""
    return [column for column in table.columns if column.target not in table.schema_changes.unread_columns]


def _like(column: Column) -> type | tuple[type, ...]:
    if column.kind.orders_serials:
        return int
    return str if column.kind.name in ("text", "uuid") else ()


def _find(table: TablePlan, name: str, field: str) -> Column:
    columns = {column.name: column for column in _read(table)}
    if name not in columns:
        raise TableRefused(
            f'{field}: {table.name} has no column "{name}" that is read; it has {", ".join(columns)}'
        )
    return columns[name]
