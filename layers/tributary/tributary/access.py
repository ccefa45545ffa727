"""What a file's `access` comes to for a table: its own columns, and nothing that Redshift could not do."""

from __future__ import annotations

from .choice import Choice
from .documents import Access, Column, TableAccess
from .errors import TableRefused
from .names import Target
from .redshift.stage import added

HASH_BYTES = 64  # of a SHA-256 in hexadecimal digits


def access(choice: Choice, target: Target) -> TableAccess | None:
    """Return the access that the table is to have, None where the file says nothing of it.

    Raises TableRefused where it names what the table does not have.
    """
    said = choice.settings.access
    if said is None:
        return None
    if target.shared:
        if not said.given:
            return None
        raise TableRefused(
            f"access: {choice.name} is written to {target}, where other sources may write too, and none of "
            "them can speak for all; write access: none for it, and let an administrator grant it"
        )
    if not said.given:
        return TableAccess(schema_name=target.schema, table_name=target.table, access=None)
    columns = {column.name: column for column in choice.columns}
    seen = None
    if said.columns:
        for name in said.columns.absent(list(columns)):
            _find(choice, columns, name, "access.columns")
        seen = tuple(columns[name].target for name in said.columns.choose(list(columns)))
        seen += tuple(added(choice.mode))
    masks = {}
    for name, mask in said.mask.items():
        column = _find(choice, columns, name, "access.mask")
        if mask == "hash" and (column.kind.name != "text" or (column.kind.limit_bytes or 0) < HASH_BYTES):
            raise TableRefused(
                f'access.mask: column "{name}" of {choice.name} is {column.type}, and a hash is a text of '
                f'{HASH_BYTES} bytes; write "null"'
            )
        masks[column.target] = mask
    rows = None
    for name, values in (said.rows or {}).items():
        column = _find(choice, columns, name, "access.rows")
        if not all(isinstance(value, _like(column)) for value in values):
            raise TableRefused(
                f'access.rows: column "{name}" of {choice.name} is {column.type}, and the values written are '
                "not of that kind; rows are told by texts and by integers"
            )
        rows = (column.target, values)
    return TableAccess(
        schema_name=target.schema,
        table_name=target.table,
        access=Access(columns=seen, mask=masks, rows=rows),
    )


def _like(column: Column) -> type | tuple[type, ...]:
    if column.kind.orders_serials:
        return int
    return str if column.kind.name in ("text", "uuid") else ()


def _find(choice: Choice, columns: dict[str, Column], name: str, field: str) -> Column:
    if name not in columns:
        raise TableRefused(
            f'{field}: {choice.name} has no column "{name}" that is read; it has {", ".join(columns)}'
        )
    return columns[name]
