"""Mode `history`: versions of a row (SCD type 2), each valid until the next one begins.

A version opens if a staged row's digest differs from the one before it, and closes the one before.
Its `valid_from` is the cursor's value, so the versions of a key are in order. A row that was read later
with a cursor value that is not higher replaces versions: of two changes at one instant the last one read
is kept. So reading a row again changes nothing, nor does loading a run again.
"""

from __future__ import annotations

from tributary.model.own_columns import DIGEST, FROM, IS_CURRENT, ROW_DIGEST, SEQUENCE, VALID_FROM, VALID_TO
from tributary.model.plan import TablePlan
from tributary.model.warehouse_names import STAGING_SCHEMA
from tributary.redshift.control import ControlRow
from tributary.redshift.rows import ALIAS, keys, ours, same_key, text_keys, values, where
from tributary.redshift.sql import comma, literal, quote
from tributary.redshift.stage import target


def open_versions(table: TablePlan, name: str, control_row: ControlRow) -> list[str]:
    """Return the statements that open and close versions for the staged rows."""
    begin = []
    if table.publish.convert_to_history:
        begin = [f"DELETE FROM {target(table)}{where(ours(table))}"]
    elif table.publish.full_refresh:
        begin = [_close_vanished(table, name)]
    return [
        *begin,
        _drop_superseded(table, name),
        _drop_repeated(table, name),
        _drop_unchanged(table, name),
        _delete_superseded(table, name),
        _close(table, name),
        _open(table, name, control_row),
    ]


def _close_vanished(table: TablePlan, name: str) -> str:
    """Return the statement that closes current versions whose keys the full refresh did not read."""
    staged = quote(STAGING_SCHEMA, name)
    shown = comma(f"existing.{quote(key)} AS {quote(key)}" for key in keys(table))
    same = [f"existing.{quote(key)} = staged.{quote(key)}" for key in keys(table)]
    same += [
        f"OCTET_LENGTH(existing.{quote(key)}) = OCTET_LENGTH(staged.{quote(key)})" for key in text_keys(table)
    ]
    gone = [
        f"existing.{quote(IS_CURRENT)} = TRUE",
        f"staged.{quote(SEQUENCE)} IS NULL",
        *ours(table, "existing"),
    ]
    table_name = quote(table.target.table_name)
    return (
        f"UPDATE {target(table)} SET {quote(VALID_TO)} = GREATEST({table_name}.{quote(VALID_FROM)}, "
        f"CAST({literal(table.publish.opens_at)} AS TIMESTAMP)), {quote(IS_CURRENT)} = FALSE "
        f"FROM (SELECT {shown} FROM {target(table)} AS existing LEFT JOIN {staged} AS staged "
        f"ON {' AND '.join(same)}{where(gone)}) AS vanished "
        f"WHERE {' AND '.join(same_key(table, 'vanished'))} AND {table_name}.{quote(IS_CURRENT)} = TRUE"
    )


def _drop_superseded(table: TablePlan, name: str) -> str:
    """Return the statement that drops staged rows if a row of the key read later does not begin later."""
    later = (
        f"MIN({quote(FROM)}) OVER (PARTITION BY {_key(table)} ORDER BY {quote(SEQUENCE)} "
        "ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING)"
    )
    return _drop(name, f"{quote(FROM)} AS since, {later} AS later", "since >= followed.later")


def _drop_repeated(table: TablePlan, name: str) -> str:
    """Return the statement that drops staged rows that equal the one before them in this run."""
    before = f"LAG({quote(DIGEST)}) OVER (PARTITION BY {_key(table)} ORDER BY {quote(SEQUENCE)})"
    return _drop(name, f"{quote(DIGEST)} AS digest, {before} AS before", "digest = followed.before")


def _drop(name: str, shown: str, condition: str) -> str:
    staged, sequence = quote(STAGING_SCHEMA, name), quote(SEQUENCE)
    return (
        f"DELETE FROM {staged} WHERE {sequence} IN (SELECT place FROM "
        f"(SELECT {sequence} AS place, {shown} FROM {staged}) AS followed WHERE followed.{condition})"
    )


def _drop_unchanged(table: TablePlan, name: str) -> str:
    """Return the statement that drops each key's first staged row if it equals the current version."""
    staged, sequence, table_name = (
        quote(STAGING_SCHEMA, name),
        quote(SEQUENCE),
        quote(table.target.table_name),
    )
    return (
        f"DELETE FROM {staged} USING {target(table)} "
        f"WHERE {quote(name)}.{sequence} IN (SELECT MIN({sequence}) FROM {staged} GROUP BY {_key(table)}) "
        f"AND {' AND '.join(same_key(table, quote(name)))} AND {table_name}.{quote(IS_CURRENT)} = TRUE "
        f"AND {table_name}.{quote(ROW_DIGEST)} = {quote(name)}.{quote(DIGEST)}"
    )


def _opened(table: TablePlan, name: str) -> str:
    shown = comma(quote(key) for key in keys(table))
    return (
        f"(SELECT {shown}, MIN({quote(FROM)}) AS since FROM {quote(STAGING_SCHEMA, name)} "
        f"GROUP BY {_key(table)}) AS opened"
    )


def _delete_superseded(table: TablePlan, name: str) -> str:
    """Return the statement that deletes versions that do not begin before the first new one."""
    staged = quote(name)
    return (
        f"DELETE FROM {target(table)} USING {quote(STAGING_SCHEMA, name)} "
        f"WHERE {' AND '.join(same_key(table, staged))} "
        f"AND {quote(table.target.table_name)}.{quote(VALID_FROM)} >= {staged}.{quote(FROM)}"
    )


def _close(table: TablePlan, name: str) -> str:
    """Return the statement that closes versions at the begin of the first new one."""
    table_name = quote(table.target.table_name)
    return (
        f"UPDATE {target(table)} SET {quote(VALID_TO)} = opened.since, {quote(IS_CURRENT)} = FALSE "
        f"FROM {_opened(table, name)} WHERE {' AND '.join(same_key(table, 'opened'))} "
        f"AND ({table_name}.{quote(VALID_TO)} IS NULL OR {table_name}.{quote(VALID_TO)} > opened.since)"
    )


def _open(table: TablePlan, name: str, control_row: ControlRow) -> str:
    key = _key(table, f"{ALIAS}.")
    since = f"{ALIAS}.{quote(FROM)}"
    until = f"LEAD({since}) OVER (PARTITION BY {key} ORDER BY {ALIAS}.{quote(SEQUENCE)})"
    pairs = [
        *values(table, control_row),
        (quote(VALID_FROM), since),
        (quote(VALID_TO), until),
        (quote(IS_CURRENT), f"CASE WHEN {until} IS NULL THEN TRUE ELSE FALSE END"),
        (quote(ROW_DIGEST), f"{ALIAS}.{quote(DIGEST)}"),
    ]
    return (
        f"INSERT INTO {target(table)} ({comma(column for column, _ in pairs)}) "
        f"SELECT {comma(value for _, value in pairs)} FROM {quote(STAGING_SCHEMA, name)} AS {ALIAS}"
    )


def _key(table: TablePlan, prefix: str = "") -> str:
    """Return the expressions that distinguish keys, trailing blanks included."""
    lengths = [f"OCTET_LENGTH({prefix}{quote(key)})" for key in text_keys(table)]
    return comma([*(f"{prefix}{quote(key)}" for key in keys(table)), *lengths])
