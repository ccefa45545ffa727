"""Publish: the one short transaction that makes a table's rows visible and moves its watermark.

Its statements are always fence, new columns, de-duplication, the rows themselves, the end of the
staging table, and last the control row. The staging table goes with the transaction, so a publish
that is sent twice finds it gone and changes nothing.
"""

from __future__ import annotations

from ..chunks import SEQUENCE
from ..documents import Column, TablePlan
from ..types import published, warehouse
from . import control
from .control import Committed
from .sql import STAGING_SCHEMA, comma, literal, quote
from .stage import target

STATEMENT_BYTES_AT_MOST = 95_000  # the Data API refuses 100 KB (data-api limits)
STATEMENTS_AT_MOST = 40  # of a batch
ALIAS = "_tributary_stage"  # of the staging table: no table of a source may hide it


def publish(table: TablePlan, name: str, committed: Committed) -> list[str]:
    """Return the publish batch of a staged table."""
    rows = _swap(table, name, committed) if table.swap else _merge(table, name, committed)
    return [
        control.fence(committed.source, committed.generation),
        *(_add_column(table, column) for column in table.columns if column.target in table.new_columns),
        *([_deduplicate(table, name)] if table.key else []),
        *rows,
        f"DROP TABLE {quote(STAGING_SCHEMA, name)}",
        control.commit([committed]),
    ]


def quiet(committed: list[Committed]) -> list[str]:
    """Return the batch that records tables of which nothing was new: their watermarks stay as they are."""
    first = committed[0]
    return [control.fence(first.source, first.generation), control.commit(committed)]


def _add_column(table: TablePlan, column: Column) -> str:
    # In the publish, not before it: a run that breaks off must leave the column new, so that the
    # next run reads the table whole again.
    return f"ALTER TABLE {target(table)} ADD COLUMN {quote(column.target)} {warehouse(column.kind)}"


def _deduplicate(table: TablePlan, name: str) -> str:
    """Return the statement that leaves of each key the row read last.

    A row that changes while its table is read may be read twice.
    """
    staged = quote(STAGING_SCHEMA, name)
    texts = [f"OCTET_LENGTH({quote(key)})" for key in _text_keys(table)]
    groups = [*(quote(key) for key in _keys(table)), *texts]
    names = [*(quote(key) for key in _keys(table)), *(quote(f"{key}__bytes") for key in _text_keys(table))]
    chosen = comma(f"{group} AS {alias}" for group, alias in zip(groups, names, strict=True))
    same = [f"{quote(name)}.{quote(key)} = repeated.{quote(key)}" for key in _keys(table)]
    lengths = [
        f"OCTET_LENGTH({quote(name)}.{quote(key)}) = repeated.{quote(f'{key}__bytes')}"
        for key in _text_keys(table)
    ]
    sequence = quote(SEQUENCE)
    return (
        f"DELETE FROM {staged} USING (SELECT {chosen}, MAX({sequence}) AS newest FROM {staged} "
        f"GROUP BY {comma(groups)} HAVING COUNT(*) > 1) AS repeated "
        f"WHERE {' AND '.join([*same, *lengths])} AND {quote(name)}.{sequence} < repeated.newest"
    )


def _swap(table: TablePlan, name: str, committed: Committed) -> list[str]:
    # DELETE, not TRUNCATE: TRUNCATE would commit the transaction it stands in (r_TRUNCATE).
    return [f"DELETE FROM {target(table)}", _insert(table, name, committed)]


def _merge(table: TablePlan, name: str, committed: Committed) -> list[str]:
    merge = _merge_statement(table, name, committed)
    if len(merge.encode()) <= STATEMENT_BYTES_AT_MOST:
        return [merge]
    delete = (
        f"DELETE FROM {target(table)} USING {quote(STAGING_SCHEMA, name)} AS {ALIAS} "
        f"WHERE {' AND '.join(_same_key(table))}"
    )
    return [delete, _insert(table, name, committed)]


def _merge_statement(table: TablePlan, name: str, committed: Committed) -> str:
    """Return the MERGE: no target alias, unqualified SET, both WHEN clauses (r_MERGE)."""
    values = _values(table, committed)
    updates = comma(
        f"{column} = {value}" for column, value in values if column not in map(quote, _keys(table))
    )
    inserted = f"({comma(column for column, _ in values)}) VALUES ({comma(value for _, value in values)})"
    return (
        f"MERGE INTO {target(table)} USING {quote(STAGING_SCHEMA, name)} AS {ALIAS} "
        f"ON {' AND '.join(_same_key(table))} "
        f"WHEN MATCHED THEN UPDATE SET {updates} WHEN NOT MATCHED THEN INSERT {inserted}"
    )


def _insert(table: TablePlan, name: str, committed: Committed) -> str:
    values = _values(table, committed)
    return (
        f"INSERT INTO {target(table)} ({comma(column for column, _ in values)}) "
        f"SELECT {comma(value for _, value in values)} FROM {quote(STAGING_SCHEMA, name)} AS {ALIAS}"
    )


def _values(table: TablePlan, committed: Committed) -> list[tuple[str, str]]:
    """Return each warehouse column, quoted, with the expression of its value."""
    read = [
        (quote(column.target), published(column.kind, f"{ALIAS}.{quote(column.target)}"))
        for column in table.columns
    ]
    return [
        *read,
        ('"source_system"', literal(committed.source)),
        ('"load_timestamp"', "GETDATE()"),
        ('"run_id"', literal(committed.run_id)),
    ]


def _keys(table: TablePlan) -> list[str]:
    return [table.column(name).target for name in table.key]


def _text_keys(table: TablePlan) -> list[str]:
    return [column.target for column in map(table.column, table.key) if column.kind.name == "text"]


def _same_key(table: TablePlan) -> list[str]:
    """Return the conditions that match a staged row to its target row.

    Redshift ignores trailing blanks when it compares VARCHARs (r_Character_types): texts match on
    their length in bytes as well.
    """
    name = quote(table.target_table)
    same = [f"{name}.{quote(key)} = {ALIAS}.{quote(key)}" for key in _keys(table)]
    lengths = [
        f"OCTET_LENGTH({name}.{quote(key)}) = OCTET_LENGTH({ALIAS}.{quote(key)})" for key in _text_keys(table)
    ]
    return [*same, *lengths]
