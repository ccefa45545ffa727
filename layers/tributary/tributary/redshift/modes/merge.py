"""Mode `merge`: a staged row replaces the row with its key, or is added."""

from __future__ import annotations

from tributary.model.plan import TablePlan
from tributary.model.warehouse_names import STAGING_SCHEMA
from tributary.redshift.control import ControlRow
from tributary.redshift.rows import ALIAS, insert, keys, same_key, values
from tributary.redshift.sql import STATEMENT_BYTES_AT_MOST, comma, quote
from tributary.redshift.stage import target


def merge(table: TablePlan, name: str, control_row: ControlRow) -> list[str]:
    """Return the statements that merge the staged rows, one per key.

    DELETE and INSERT if the text of the MERGE is too long for the Data API.
    """
    statement = _merge(table, name, control_row)
    if len(statement.encode()) <= STATEMENT_BYTES_AT_MOST:
        return [statement]
    return replace_keys(table, name, control_row)


def replace_keys(table: TablePlan, name: str, control_row: ControlRow) -> list[str]:
    """Return the statements that replace all rows of each staged key by the staged row."""
    delete = (
        f"DELETE FROM {target(table)} USING {quote(STAGING_SCHEMA, name)} "
        f"WHERE {' AND '.join(same_key(table, quote(name)))}"
    )
    return [delete, insert(table, name, control_row)]


def _merge(table: TablePlan, name: str, control_row: ControlRow) -> str:
    """Return the MERGE: no target alias, unqualified SET, both WHEN clauses (r_MERGE)."""
    pairs = values(table, control_row)
    updates = comma(f"{column} = {value}" for column, value in pairs if column not in map(quote, keys(table)))
    inserted = f"({comma(column for column, _ in pairs)}) VALUES ({comma(value for _, value in pairs)})"
    return (
        f"MERGE INTO {target(table)} USING {quote(STAGING_SCHEMA, name)} AS {ALIAS} "
        f"ON {' AND '.join(same_key(table))} "
        f"WHEN MATCHED THEN UPDATE SET {updates} WHEN NOT MATCHED THEN INSERT {inserted}"
    )
