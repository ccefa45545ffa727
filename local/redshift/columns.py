"""Column types of Redshift: their grammar, their limits and their types in PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from local.redshift.errors import Refused
from local.redshift.lexer import Reader

VARCHAR_BYTES = 65_535
VARBYTE_BYTES = 16_777_216
VARBYTE_DEFAULT_BYTES = 64_000
CHAR_BYTES = 4_096
PLAIN = {
    "SMALLINT": "smallint",
    "INT2": "smallint",
    "INTEGER": "integer",
    "INT": "integer",
    "INT4": "integer",
    "BIGINT": "bigint",
    "INT8": "bigint",
    "REAL": "real",
    "FLOAT4": "real",
    "FLOAT8": "double precision",
    "FLOAT": "double precision",
    "BOOLEAN": "boolean",
    "BOOL": "boolean",
    "DATE": "date",
    "DATETIME": "timestamp",
    "TIMESTAMPTZ": "timestamptz",
    "TIMETZ": "timetz",
    "SUPER": "jsonb",
}


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A type as PostgreSQL stores it; `varbyte` is the bound in bytes that a CHECK must hold."""

    sql: str
    varbyte: int | None = None

    @property
    def is_varchar(self) -> bool:
        """Say whether this is a VARCHAR, the only type whose size may change later."""
        return self.sql.startswith("varchar(")


def read(reader: Reader) -> ColumnType:
    """Read a column's type; raises Refused for a type or a size that Redshift does not have."""
    first = reader.next()
    word = first.word
    if word in ("CHARACTER", "BINARY") and reader.take("VARYING"):
        word = "VARCHAR" if word == "CHARACTER" else "VARBYTE"
    if word == "DOUBLE" and reader.take("PRECISION"):
        word = "FLOAT8"
    sized = SIZED.get(word)
    if sized:
        return sized(reader)
    if word in ("TIMESTAMP", "TIME"):
        return ColumnType(word.lower() + _zone(reader))
    if word not in PLAIN:
        raise Refused(f'type "{first.name if first.is_name else first.text}" does not exist')
    return ColumnType(PLAIN[word])


def _varchar(reader: Reader) -> ColumnType:
    return ColumnType(f"varchar({_size(reader, 256, VARCHAR_BYTES, 'varchar')})")


def _char(reader: Reader, default: int = 1) -> ColumnType:
    return ColumnType(f"char({_size(reader, default, CHAR_BYTES, 'char')})")


def _varbyte(reader: Reader) -> ColumnType:
    return ColumnType("bytea", varbyte=_size(reader, VARBYTE_DEFAULT_BYTES, VARBYTE_BYTES, "varbyte"))


def _size(reader: Reader, default: int, most: int, name: str) -> int:
    if not reader.take("("):
        return default
    size = most if reader.take("MAX") else reader.number()
    reader.expect(")")
    if size > most:
        raise Refused(f"length for type {name} cannot exceed {most}")
    if size < 1:
        raise Refused(f"length for type {name} must be at least 1")
    return size


def _decimal(reader: Reader) -> ColumnType:
    precision, scale = 18, 0
    if reader.take("("):
        precision = reader.number()
        scale = reader.number() if reader.take(",") else 0
        reader.expect(")")
    if not 1 <= precision <= 38:
        raise Refused(f"DECIMAL precision {precision} must be between 1 and 38")
    if not 0 <= scale <= min(precision, 37):
        raise Refused(f"DECIMAL scale {scale} must be between 0 and {min(precision, 37)}")
    return ColumnType(f"numeric({precision},{scale})")


def _zone(reader: Reader) -> str:
    if reader.take("WITH", "TIME", "ZONE"):
        return "tz"
    reader.take("WITHOUT", "TIME", "ZONE")
    return ""


SIZED: dict[str, Callable[[Reader], ColumnType]] = {
    "VARCHAR": _varchar,
    "NVARCHAR": _varchar,
    "TEXT": lambda reader: ColumnType("varchar(256)"),
    "VARBYTE": _varbyte,
    "VARBINARY": _varbyte,
    "CHAR": _char,
    "CHARACTER": _char,
    "NCHAR": _char,
    "BPCHAR": lambda reader: _char(reader, 256),
    "DECIMAL": _decimal,
    "NUMERIC": _decimal,
}
