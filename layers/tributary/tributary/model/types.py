"""The one mapper of values: kind -> Arrow and Parquet -> staging column -> warehouse column.

An engine turns each source type into a `Kind`; from there every mode and both reading paths share
the rows of this table, so that a full load and an incremental one can never disagree.
Redshift's COPY from Parquet maps columns by position and checks types strictly: a staging column
is exactly what the Parquet file holds, and the cast to the warehouse column happens in the publish.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pyarrow

KindName = Literal[
    "boolean",
    "int16",
    "int32",
    "int64",
    "decimal",
    "float32",
    "float64",
    "date",
    "timestamp",
    "timestamptz",
    "text",
    "binary",
    "uuid",
    "json",
]

VARCHAR_BYTES = 65_535  # the widest VARCHAR (r_Character_types)
VARBYTE_BYTES = 64_000  # plain VARBYTE (r_VARBYTE_type)
UUID_BYTES = 36
WIDE_VARBYTE_BYTES = 16_777_216  # the widest, which Parquet may fill (r_VARBYTE_type, limitations)


@dataclass(frozen=True, slots=True)
class Kind:
    """What a column's values are, whatever the engine.

    `precision` and `scale` belong to decimals (at most 38 digits, scale at most 37);
    `size_bytes` bounds texts and binaries in UTF-8 bytes, None if they are unbounded.
    `loose`: the source's type holds more than the kind does (a decimal's digits, JSON's syntax), so
    that every value is checked.
    """

    name: KindName
    precision: int | None = None
    scale: int | None = None
    size_bytes: int | None = None
    loose: bool = False

    @property
    def orders_time(self) -> bool:
        """Return whether values of this kind are dates or times, and so comparable with a clock."""
        return self.name in ("date", "timestamp", "timestamptz")

    @property
    def orders_serials(self) -> bool:
        """Return whether values are integers; a decimal without a scale holds those above 64 bits."""
        return self.is_integer or (self.name == "decimal" and self.scale == 0 and not self.loose)

    @property
    def is_integer(self) -> bool:
        """Return whether values are integers of at most 64 bits."""
        return self.name in ("int16", "int32", "int64")

    @property
    def sized_by_values(self) -> bool:
        """Return whether this is a text that the source does not bound closer than the widest VARCHAR."""
        return self.name == "text" and self.limit_bytes == VARCHAR_BYTES

    @property
    def limit_bytes(self) -> int | None:
        """Return the most bytes one value may have in the warehouse, None if its type bounds it."""
        if self.name in ("text", "json"):
            return min(self.size_bytes or VARCHAR_BYTES, VARCHAR_BYTES)
        if self.name == "uuid":
            return UUID_BYTES
        if self.name == "binary":
            return (
                VARBYTE_BYTES
                if (self.size_bytes or WIDE_VARBYTE_BYTES) <= VARBYTE_BYTES
                else WIDE_VARBYTE_BYTES
            )
        return None


def arrow(kind: Kind) -> pyarrow.DataType:
    """Return the Arrow type that carries the kind, and with it the Parquet type.

    Timestamps are in microseconds: Redshift reads nanoseconds as garbage without an error.
    """
    import pyarrow as pa  # heavy: only extraction needs it

    if kind.name == "decimal":
        return pa.decimal128(kind.precision or 38, kind.scale or 0)
    plain = {
        "boolean": pa.bool_(),
        "int16": pa.int32(),  # a plain INT32: a staged SMALLINT refuses it (facts of COPY)
        "int32": pa.int32(),
        "int64": pa.int64(),
        "float32": pa.float32(),
        "float64": pa.float64(),
        "date": pa.date32(),
        "timestamp": pa.timestamp("us"),
        "timestamptz": pa.timestamp("us", tz="UTC"),
        "text": pa.string(),
        "binary": pa.binary(),
        "uuid": pa.string(),
        "json": pa.string(),
    }
    return plain[kind.name]


def staging(kind: Kind) -> str:
    """Return the type of the staging column that COPY fills from the kind's Parquet column."""
    if kind.name == "int16":
        return "INTEGER"
    if kind.name == "json":
        return f"VARCHAR({VARCHAR_BYTES})"
    return warehouse(kind)


def warehouse(kind: Kind) -> str:
    """Return the type of the warehouse column, in Redshift's words."""
    if kind.name == "decimal":
        return f"DECIMAL({kind.precision},{kind.scale})"
    if kind.name == "text":
        return f"VARCHAR({kind.limit_bytes})"
    if kind.name == "binary":
        return "VARBYTE" if kind.limit_bytes == VARBYTE_BYTES else f"VARBYTE({WIDE_VARBYTE_BYTES})"
    plain = {
        "boolean": "BOOLEAN",
        "int16": "SMALLINT",
        "int32": "INTEGER",
        "int64": "BIGINT",
        "float32": "REAL",
        "float64": "DOUBLE PRECISION",
        "date": "DATE",
        "timestamp": "TIMESTAMP",
        "timestamptz": "TIMESTAMPTZ",
        "uuid": "VARCHAR(36)",
        "json": "SUPER",
    }
    return plain[kind.name]


def decimal(precision: int, scale: int) -> Kind:
    """Return the decimal of that precision and scale; if Redshift's has fewer digits, a loose one of its 38.

    The digits behind the point are kept at the cost of those before it: numeric(50,10) is a DECIMAL(38,10).
    """
    if precision <= 38 and scale <= 37:
        return Kind("decimal", precision=precision, scale=scale)
    return Kind("decimal", precision=38, scale=min(scale, 37), loose=True)


ANY_DECIMAL = Kind("decimal", precision=38, scale=10, loose=True)  # of a type that names no digits


def published(kind: Kind, staged: str) -> str:
    """Return the expression that turns the staged column (already quoted) into the warehouse value."""
    return f"JSON_PARSE({staged})" if kind.name == "json" else staged
