"""How a table lies in the warehouse: distribution, sort order and encodings, where the file says them.

Where it says nothing, nothing is said to Redshift either: a table without keys is AUTO in all three, and
Redshift chooses by the queries that it sees, our own merges among them (c_ato-enabling-disabling-monitoring).
"""

from __future__ import annotations

from tributary.model.plan import Column, TablePlan
from tributary.model.types import staging, warehouse
from tributary.redshift.sql import comma, quote

ENCODINGS = ("raw", "az64", "lzo", "zstd")  # the others forbid a VARCHAR to grow, or are older than these
NUMBERS = ("SMALLINT", "INTEGER", "BIGINT", "DECIMAL", "DATE", "TIMESTAMP", "TIMESTAMPTZ")
FLOATS = ("BOOLEAN", "REAL", "DOUBLE PRECISION")


def encodings(type_name: str) -> tuple[str, ...]:
    """Return the encodings that a column of the type can have (c_Compression_encodings)."""
    word = type_name.partition("(")[0]
    unfit = {"az64"} if word not in NUMBERS else set()
    if word in FLOATS:
        unfit.add("lzo")
    return tuple(name for name in ENCODINGS if name not in unfit)


def type_of(table: TablePlan, column: Column) -> str:
    """Return the type that a column of the table is made with."""
    size_bytes = table.texts.sizes.get(column.target)
    return f"VARCHAR({size_bytes})" if size_bytes else warehouse(column.kind)


def declared(table: TablePlan) -> list[str]:
    """Return the declarations of the table's own columns, with the encodings that are asked for."""
    return [declaration(table, column.target, type_of(table, column)) for column in table.columns]


def declaration(table: TablePlan, target: str, type_name: str) -> str:
    """Return a column's declaration, with the encoding that is asked for where the type can have it.

    A type that stands in the warehouse may be a wider one than the source's.
    """
    asked = {table.column(name).target: encoding for name, encoding in table.design.encode.items()}.get(
        target
    )
    encoded = f" ENCODE {asked.upper()}" if asked and asked in encodings(type_name) else ""
    return f"{quote(target)} {type_name}{encoded}"


def attributes(table: TablePlan) -> str:
    """Return what stands behind the columns in CREATE TABLE, with a space before it, '' for AUTO."""
    distkey = _distkey(table)
    if table.design.sortkey:
        names = (quote(table.column(name).target) for name in table.design.sortkey)
        return f"{distkey} COMPOUND SORTKEY ({comma(names)})"
    return distkey


def staged(table: TablePlan) -> str:
    """Return the same for the staging table: rows of one key lie where the table's do.

    A merge then joins each node's rows with its own (c_best-practices-best-dist-key).
    """
    column = table.column(table.design.distkey) if table.design.distkey in table.key else None
    same = column is not None and staging(column.kind) == warehouse(column.kind)
    return _distkey(table) if same else ""


def _distkey(table: TablePlan) -> str:
    if table.design.distkey is None:
        return ""
    return f" DISTSTYLE KEY DISTKEY ({quote(table.column(table.design.distkey).target)})"
