"""SQL that the modes share: a staged row's values, how rows match by key, how they are inserted."""

from __future__ import annotations

from tributary.model.own_columns import LOAD_TIMESTAMP, PREFIX, RUN_ID, SEQUENCE, SOURCE_SYSTEM
from tributary.model.plan import TablePlan
from tributary.model.types import published
from tributary.model.warehouse_names import STAGING_SCHEMA
from tributary.redshift.control import ControlRow
from tributary.redshift.sql import comma, literal, quote
from tributary.redshift.stage import target

ALIAS = f"{PREFIX}_stage"  # of the staging table; no source table can have this name


def insert(table: TablePlan, name: str, control_row: ControlRow) -> str:
    """Return the statement that adds every staged row to the table."""
    pairs = values(table, control_row)
    return (
        f"INSERT INTO {target(table)} ({comma(column for column, _ in pairs)}) "
        f"SELECT {comma(value for _, value in pairs)} FROM {quote(STAGING_SCHEMA, name)} AS {ALIAS}"
    )


def values(table: TablePlan, control_row: ControlRow) -> list[tuple[str, str]]:
    """Return each warehouse column, quoted, with the expression of its value."""
    read = [
        (quote(column.target), published(column.kind, f"{ALIAS}.{quote(column.target)}"))
        for column in table.columns
    ]
    return [
        *read,
        (quote(SOURCE_SYSTEM), literal(control_row.source)),
        (quote(LOAD_TIMESTAMP), "GETDATE()"),
        (quote(RUN_ID), literal(control_row.run_id)),
    ]


def keys(table: TablePlan) -> list[str]:
    """Return the key columns' names in the warehouse."""
    return [table.column(name).target for name in table.key]


def text_keys(table: TablePlan) -> list[str]:
    """Return the key columns that are texts.

    Redshift ignores trailing blanks when it compares VARCHARs (r_Character_types), so texts must also
    match in their length in bytes.
    """
    return [column.target for column in map(table.column, table.key) if column.kind.name == "text"]


def same_key(table: TablePlan, other: str = ALIAS) -> list[str]:
    """Return the conditions that match a row of the table to one of `other` by its key."""
    name = quote(table.target.table_name)
    same = [f"{name}.{quote(key)} = {other}.{quote(key)}" for key in keys(table)]
    lengths = [
        f"OCTET_LENGTH({name}.{quote(key)}) = OCTET_LENGTH({other}.{quote(key)})" for key in text_keys(table)
    ]
    return [*same, *lengths, *ours(table)]


def ours(table: TablePlan, name: str | None = None) -> list[str]:
    """Return the condition for the rows of this source, [] if the table has no others."""
    if table.target.owner is None:
        return []
    owner = literal(table.target.owner)
    return [f"{name or quote(table.target.table_name)}.{quote(SOURCE_SYSTEM)} = {owner}"]


def where(conditions: list[str]) -> str:
    """Return the WHERE clause of the conditions with a space before it, '' if there are none."""
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def deduplicate(table: TablePlan, name: str) -> str:
    """Return the statement that keeps only the row read last of each key.

    A row that changes while its table is read may be read twice. By the sequence, which no two staged
    rows share: USING takes tables only, no subquery (r_DELETE).
    """
    staged = quote(STAGING_SCHEMA, name)
    texts = [f"OCTET_LENGTH({quote(key)})" for key in text_keys(table)]
    groups = [*(quote(key) for key in keys(table)), *texts]
    names = [*(quote(key) for key in keys(table)), *(quote(f"{key}__bytes") for key in text_keys(table))]
    chosen = comma(f"{group} AS {alias}" for group, alias in zip(groups, names, strict=True))
    same = [f"staged.{quote(key)} = repeated.{quote(key)}" for key in keys(table)]
    lengths = [
        f"OCTET_LENGTH(staged.{quote(key)}) = repeated.{quote(f'{key}__bytes')}" for key in text_keys(table)
    ]
    sequence = quote(SEQUENCE)
    return (
        f"DELETE FROM {staged} WHERE {sequence} IN (SELECT staged.{sequence} FROM {staged} AS staged "
        f"JOIN (SELECT {chosen}, MAX({sequence}) AS newest FROM {staged} GROUP BY {comma(groups)} "
        f"HAVING COUNT(*) > 1) AS repeated ON {' AND '.join([*same, *lengths])} "
        f"WHERE staged.{sequence} < repeated.newest)"
    )
