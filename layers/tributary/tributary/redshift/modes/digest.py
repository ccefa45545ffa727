"""The digest of a row: 32 hexadecimal digits that differ if any value of the row differs.

It is the MD5 of one MD5 per column that is not NULL, `MD5('name=' || MD5(value))`, in the order of
the names. So NULL and '' differ, one value never equals the parts of two, and neither a reordered
column nor a new NULL column changes the digest of a row. Every value is rendered in full, in a
form that does not depend on session settings.
"""

from __future__ import annotations

from collections.abc import Callable

from tributary.model.own_columns import DIGEST, FROM
from tributary.model.plan import Column, TablePlan
from tributary.model.types import VARBYTE_BYTES, staging
from tributary.model.warehouse_names import STAGING_SCHEMA
from tributary.redshift.sql import STATEMENT_BYTES_AT_MOST, literal, quote

PIECE_BYTES = 32_000  # hexadecimal digits of more would be too long a VARCHAR
INSTANT = "YYYY-MM-DD HH24:MI:SS.US BC"


def mark(table: TablePlan, name: str) -> list[str]:
    """Return the statements that set the digest and valid-from time of each staged row.

    If a table is too wide for one statement, several build the digest.
    """
    staged, digest = quote(STAGING_SCHEMA, name), quote(DIGEST)
    since = f"{quote(FROM)} = {_valid_from(table)}"
    first, *further = _groups(parts(table.columns))
    if not further:
        return [f"UPDATE {staged} SET {digest} = MD5({first}), {since}"]
    return [
        f"UPDATE {staged} SET {digest} = {first}",
        *(f"UPDATE {staged} SET {digest} = {digest} || {group}" for group in further),
        f"UPDATE {staged} SET {digest} = MD5({digest}), {since}",
    ]


def _groups(expressions: list[str]) -> list[str]:
    groups = [expressions[0]]
    for expression in expressions[1:]:
        longer = f"{groups[-1]} || {expression}"
        if len(longer.encode()) < STATEMENT_BYTES_AT_MOST - 1_000:
            groups[-1] = longer
        else:
            groups.append(expression)
    return groups


def _valid_from(table: TablePlan) -> str:
    """Return the expression of a staged row's valid-from: its time cursor, else the start of the run."""
    start = f"CAST({literal(table.publish.opens_at)} AS TIMESTAMP)"
    cursor = table.column(table.read.cursor) if table.read.cursor else None
    if cursor is None or not cursor.kind.orders_time:
        return start
    value = quote(cursor.target)
    zoned = f"{value} AT TIME ZONE 'UTC'" if cursor.kind.name == "timestamptz" else value
    return f"COALESCE(CAST({zoned} AS TIMESTAMP), {start})"


def parts(columns: tuple[Column, ...]) -> list[str]:
    """Return one expression per column: its 32 digits, '' if it is NULL."""
    ordered = sorted(columns, key=lambda column: column.target)
    return [
        f"COALESCE(MD5({literal(f'{column.target}=')} || MD5({_text(column)})), '')" for column in ordered
    ]


def _text(column: Column) -> str:
    """Return the text of a staged value: different values have different texts; NULL is NULL."""
    value = quote(column.target)
    if column.kind.name == "binary":
        return _binary(value, column.kind.limit_bytes or VARBYTE_BYTES)
    type_name = staging(column.kind).partition("(")[0]
    return TEXTS.get(type_name, _cast)(value)


def _cast(value: str) -> str:
    return f"CAST({value} AS VARCHAR)"


def _float(value: str) -> str:
    """Return a float's text and its rounding error: 15 digits alone do not distinguish all floats."""
    text = f"CAST({value} AS VARCHAR)"
    rest = f"{value} - CAST({text} AS DOUBLE PRECISION)"
    return f"{text} || '+' || CAST({rest} AS VARCHAR)"


def _binary(value: str, limit_bytes: int) -> str:
    """Return the digests of a binary's pieces; only a long value needs all of them."""
    pieces = [
        f"MD5(TO_HEX(SUBSTRING({value}, {first}, {PIECE_BYTES})))"
        for first in range(1, limit_bytes, PIECE_BYTES)
    ]
    short = " || ".join(pieces[:2])
    if len(pieces) == 2:
        return short
    return f"CASE WHEN OCTET_LENGTH({value}) <= {2 * PIECE_BYTES} THEN {short} ELSE {' || '.join(pieces)} END"


TEXTS: dict[str, Callable[[str], str]] = {
    "VARCHAR": lambda value: value,
    "BOOLEAN": lambda value: f"CASE WHEN {value} = TRUE THEN 't' WHEN {value} = FALSE THEN 'f' END",
    "REAL": _float,
    "DOUBLE PRECISION": _float,
    "DATE": lambda value: f"TO_CHAR({value}, 'YYYY-MM-DD BC')",
    "TIMESTAMP": lambda value: f"TO_CHAR({value}, '{INSTANT}')",
    "TIMESTAMPTZ": lambda value: f"TO_CHAR({value} AT TIME ZONE 'UTC', '{INSTANT}')",
}
