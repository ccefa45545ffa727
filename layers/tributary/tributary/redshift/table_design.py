"""The physical design of a table: distribution, sort order and encodings from the source's file.

Without settings the table is AUTO in all three, and Redshift chooses by the queries that it sees, our
own merges among them (c_ato-enabling-disabling-monitoring).
"""

from __future__ import annotations

from tributary.model.plan import Column, TablePlan
from tributary.model.types import WIDE_VARBYTE_BYTES, staging, warehouse
from tributary.redshift.sql import comma, quote

ENCODINGS = ("raw", "az64", "lzo", "zstd")  # with others a VARCHAR cannot be widened, or these replaced them
NUMBERS = ("SMALLINT", "INTEGER", "BIGINT", "DECIMAL", "DATE", "TIMESTAMP", "TIMESTAMPTZ")
UNKNOWN_VARBYTE = "binary varying"  # format_type without a size
FLOATS = ("BOOLEAN", "REAL", "DOUBLE PRECISION")


def encodings(type_name: str) -> tuple[str, ...]:
    """Return the encodings that a column of the type can have (c_Compression_encodings)."""
    word = type_name.partition("(")[0]
    unfit = {"az64"} if word not in NUMBERS else set()
    if word in FLOATS:
        unfit.add("lzo")
    return tuple(name for name in ENCODINGS if name not in unfit)


def type_of(table: TablePlan, column: Column) -> str:
    """Return the type of a new column of the table."""
    size_bytes = table.texts.sizes.get(column.target)
    return f"VARCHAR({size_bytes})" if size_bytes else warehouse(column.kind)


def declared(table: TablePlan) -> list[str]:
    """Return the declarations of the table's own columns, with the configured encodings."""
    return [declaration(table, column.target, type_of(table, column)) for column in table.columns]


def declaration(table: TablePlan, target: str, type_name: str) -> str:
    """Return a column's declaration, with the configured encoding if the type allows it.

    An existing column may have a wider type than the source's, with fewer encodings. Redshift's catalog
    does not tell the size of a VARBYTE: the widest one narrows no column of a deep copy.
    """
    if type_name == UNKNOWN_VARBYTE:
        type_name = f"VARBYTE({WIDE_VARBYTE_BYTES})"
    configured = {table.column(name).target: encoding for name, encoding in table.design.encode.items()}.get(
        target
    )
    encoded = f" ENCODE {configured.upper()}" if configured and configured in encodings(type_name) else ""
    return f"{quote(target)} {type_name}{encoded}"


def attributes(table: TablePlan) -> str:
    """Return the clause behind the columns of CREATE TABLE, with a space before it, '' for AUTO."""
    distkey = _distkey(table)
    if table.design.sortkey:
        names = (quote(table.column(name).target) for name in table.design.sortkey)
        return f"{distkey} COMPOUND SORTKEY ({comma(names)})"
    return distkey


def staged(table: TablePlan) -> str:
    """Return the same clause for the staging table, so that a merge joins rows of one node.

    (c_best-practices-best-dist-key)
    """
    column = table.column(table.design.distkey) if table.design.distkey in table.key else None
    same = column is not None and staging(column.kind) == warehouse(column.kind)
    return _distkey(table) if same else ""


def _distkey(table: TablePlan) -> str:
    if table.design.distkey is None:
        return ""
    return f" DISTSTYLE KEY DISTKEY ({quote(table.column(table.design.distkey).target)})"
