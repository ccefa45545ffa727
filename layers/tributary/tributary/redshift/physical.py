"""How a table lies in the warehouse: distribution, sort order and encodings, where the file says them.

Where it says nothing, nothing is said to Redshift either: a table without keys is AUTO in all three, and
Redshift chooses by the queries that it sees, our own merges among them (c_ato-enabling-disabling-monitoring).
"""

from __future__ import annotations

from ..documents import Column, TablePlan
from ..types import staging, warehouse
from .sql import comma, quote

ENCODINGS = ("raw", "az64", "lzo", "zstd")  # the others forbid a VARCHAR to grow, or are older than these
NUMBERS = ("int16", "int32", "int64", "decimal", "date", "timestamp", "timestamptz")
FLOATS = ("boolean", "float32", "float64")


def encodings(column: Column) -> tuple[str, ...]:
    """Return the encodings that a column of its kind can have (c_Compression_encodings)."""
    kind = column.kind.name
    unfit = {"az64"} if kind not in NUMBERS else set()
    if kind in FLOATS:
        unfit.add("lzo")
    return tuple(name for name in ENCODINGS if name not in unfit)


def declared(table: TablePlan) -> list[str]:
    """Return the declarations of the table's own columns, with the encodings that are asked for."""
    return [
        f"{quote(column.target)} {warehouse(column.kind)}{_encode(table, column)}" for column in table.columns
    ]


def attributes(table: TablePlan) -> str:
    """Return what stands behind the columns in CREATE TABLE, with a space before it, '' for AUTO."""
    distkey = _distkey(table)
    if table.sortkey:
        names = (quote(table.column(name).target) for name in table.sortkey)
        return f"{distkey} COMPOUND SORTKEY ({comma(names)})"
    return distkey


def staged(table: TablePlan) -> str:
    """Return the same for the staging table: rows of one key lie where the table's do.

    A merge then joins each node's rows with its own (c_best-practices-best-dist-key).
    """
    column = table.column(table.distkey) if table.distkey in table.key else None
    same = column is not None and staging(column.kind) == warehouse(column.kind)
    return _distkey(table) if same else ""


def _distkey(table: TablePlan) -> str:
    if table.distkey is None:
        return ""
    return f" DISTSTYLE KEY DISTKEY ({quote(table.column(table.distkey).target)})"


def _encode(table: TablePlan, column: Column) -> str:
    encoding = table.encode.get(column.name)
    return f" ENCODE {encoding.upper()}" if encoding else ""
