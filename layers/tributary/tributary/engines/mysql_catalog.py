"""MySQL's and MariaDB's word on their tables, and every type's family: how its values are written.

One row of FAMILIES per kind of text form; a type belongs to one family or is not supported.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from ..catalog import SourceColumn, SourceTable, TableName
from ..types import Kind
from . import unsupported

Row = tuple[str | None, ...]
FamilyName = Literal["number", "float", "date", "datetime", "timestamp", "text", "binary"]

# --- questions ----------------------------------------------------------------------------------

TABLES = """
SELECT table_schema, table_name FROM information_schema.tables
WHERE table_type IN ('BASE TABLE', 'VIEW', 'SYSTEM VERSIONED')
  AND table_schema NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys')
"""

COLUMNS = """
SELECT table_schema, table_name, column_name, column_type, is_nullable
FROM information_schema.columns
WHERE table_schema IN ({schemas}) AND table_name IN ({tables})
ORDER BY table_schema, table_name, ordinal_position
"""

# Only whole columns, ascending, in a B-tree order rows as ORDER BY does.
INDEXES = """
SELECT table_schema, table_name, index_name, non_unique, nullable, column_name,
       sub_part IS NULL AND collation = 'A' AND index_type = 'BTREE'
FROM information_schema.statistics
WHERE table_schema IN ({schemas}) AND table_name IN ({tables})
ORDER BY table_schema, table_name, index_name <> 'PRIMARY', index_name, seq_in_index
"""

# InnoDB renews this list only when nobody has read it for 100 ms, so a busy monitor can keep it old:
# it is as new as our question if it shows our own transaction asking it, by a token in the question.
# trx_started is in the operating system's zone, whatever the session's. Where its clock goes back one
# hour, a local time happens twice: the start is then taken as the earlier one. A prepared transaction
# that has left its session has no thread, and after a restart no true start either.
OLDEST_TRANSACTION = """
SELECT /* {token} */
  MAX(trx_mysql_thread_id = CONNECTION_ID() AND LOCATE('{token}', trx_query) > 0),
  SUM(trx_mysql_thread_id = 0),
  MIN(IF(trx_mysql_thread_id = CONNECTION_ID(), NULL, LEAST(
    CONVERT_TZ(trx_started, 'SYSTEM', '+00:00'),
    CONVERT_TZ(trx_started - INTERVAL 1 HOUR, 'SYSTEM', '+00:00') + INTERVAL 1 HOUR)))
FROM information_schema.innodb_trx
"""

# A statement that runs may have its timestamp already and no transaction yet; TIME is in whole seconds.
OLDEST_STATEMENT = """
SELECT UTC_TIMESTAMP(6) - INTERVAL (MAX(time) + 1) SECOND
FROM information_schema.processlist
WHERE id <> CONNECTION_ID() AND time >= 0
  AND command NOT IN ('Sleep', 'Daemon', 'Binlog Dump', 'Binlog Dump GTID')
"""

REPLICA = """
SHOW GLOBAL VARIABLES
WHERE Variable_name IN ('read_only', 'super_read_only', 'innodb_read_only') AND Value NOT IN ('OFF', '0')
"""


def named(question: str, names: Collection[TableName]) -> str:
    """Return the question with the names in it; the answer may say more, since it ignores case."""
    schemas = ", ".join(sorted({_string(name.schema) for name in names}))
    tables = ", ".join(sorted({_string(name.table) for name in names}))
    return question.replace("{schemas}", schemas).replace("{tables}", tables)


def _string(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def tables(
    columns: Iterable[Row], indexes: Iterable[Row], names: Collection[TableName]
) -> dict[TableName, SourceTable]:
    """Return the named tables as the answers to COLUMNS and INDEXES describe them."""
    found: dict[TableName, list[SourceColumn]] = {}
    for schema, table, column, type, nullable in columns:
        if (name := TableName(str(schema), str(table))) in names:
            found.setdefault(name, []).append(SourceColumn(str(column), str(type), nullable == "YES"))
    parts: dict[TableName, dict[str, list[Row]]] = {name: {} for name in found}
    for row in indexes:
        if (name := TableName(str(row[0]), str(row[1]))) in parts:
            parts[name].setdefault(str(row[2]), []).append(row)
    return {name: _table(name, listed, parts[name]) for name, listed in found.items()}


def _table(name: TableName, columns: list[SourceColumn], indexes: dict[str, list[Row]]) -> SourceTable:
    whole = {
        index: tuple(str(row[5]) for row in rows)
        for index, rows in indexes.items()
        if all(row[6] == "1" and row[5] is not None for row in rows)  # no column: an expression
    }
    keys = {
        index
        for index, rows in indexes.items()
        if all(row[3] == "0" and row[4] != "YES" for row in rows) and index != "PRIMARY"
    }
    return SourceTable(
        name,
        tuple(columns),
        whole.get("PRIMARY", ()),
        tuple(key for index, key in whole.items() if index in keys),
        tuple(whole.values()),
    )


# --- types --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Family:
    """How values are written: `text` exactly, `field` within a CSV line, `plain` as a column of a row.

    `dress` turns a plain column's bytes into the text.
    """

    text: str
    field: str
    plain: str
    dress: Callable[[bytes], bytes] = bytes


# FLOAT renders six digits, and as a DOUBLE, which the product is, all that it has.
# Text is converted, or one binary part would turn the line into raw bytes of each column's own
# character set; utf8mb4_bin, so that REPLACE compares characters and no language's equals.
TEXT = "CONVERT({0} USING utf8mb4)"
FAMILIES: dict[FamilyName, Family] = {
    "number": Family("CAST({0} AS CHAR)", "{0}", "{0}"),
    "float": Family("CAST({0} * 1e0 AS CHAR)", "{0} * 1e0", "{0} * 1e0"),
    "date": Family("CAST({0} AS CHAR)", "{0}", "{0}"),
    "datetime": Family("CAST({0} AS CHAR)", "{0}", "{0}"),
    "timestamp": Family("CONCAT({0}, 'Z')", "CONCAT({0}, 'Z')", "{0}", lambda value: value + b"Z"),
    "text": Family(
        TEXT, "CONCAT('\"', REPLACE(" + TEXT + " COLLATE utf8mb4_bin, '\"', '\"\"'), '\"')", "{0}"
    ),
    "binary": Family("HEX({0})", "CONCAT('\"', HEX({0}), '\"')", "{0}", lambda value: value.hex().encode()),
}

BITS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}
TEXT_BYTES = {"tinytext": 255, "text": 65_535, "mediumtext": None, "longtext": None}
WORDS: dict[FamilyName, tuple[str, ...]] = {
    "number": (*BITS, "decimal"),
    "float": ("float", "double"),
    "date": ("date",),
    "datetime": ("datetime",),
    "timestamp": ("timestamp",),
    "text": (*TEXT_BYTES, "char", "varchar", "enum", "set", "json", "uuid"),
    "binary": ("tinyblob", "blob", "mediumblob", "longblob", "binary", "varbinary"),
}
BY_WORD: dict[str, FamilyName] = {word: name for name, words in WORDS.items() for word in words}
TYPE = re.compile(r"(\w+)(?:\((.*)\))?([^)]*)", re.DOTALL)
LABEL = re.compile(r"'((?:[^']|'')*)'")


def _parsed(type: str) -> tuple[str, str, str]:
    """Return the type's word, what stands in its parentheses, and what follows."""
    match = TYPE.fullmatch(type)
    return (match[1].lower(), match[2] or "", match[3]) if match else (type, "", "")


def family(type: str) -> FamilyName:
    """Return how values of the type are written; raises LookupError for a type without a kind."""
    return BY_WORD[_parsed(type)[0]]


def kind(column: SourceColumn) -> Kind:
    """Return the kind of the column's values; raises UnsupportedType by the type's name."""
    word, arguments, rest = _parsed(column.type)
    if word not in BY_WORD:
        raise unsupported(column)
    if word in BITS:
        return _integer(BITS[word], unsigned="unsigned" in rest)
    if word == "decimal":
        precision, scale = (int(part) for part in arguments.split(","))
        if precision > 38 or scale > 37:
            raise unsupported(column)
        return Kind("decimal", precision=precision, scale=scale)
    if word in KINDS:
        return KINDS[word]
    return Kind("binary") if BY_WORD[word] == "binary" else _text(word, arguments)


KINDS = {
    "float": Kind("float32"),
    "double": Kind("float64"),
    "date": Kind("date"),
    "datetime": Kind("timestamp"),
    "timestamp": Kind("timestamptz"),
    "json": Kind("json"),
    "uuid": Kind("uuid"),
}


def _integer(bits: int, *, unsigned: bool) -> Kind:
    """Return the smallest kind that holds them all; tinyint(1) is a number, since 2 to 127 fit in it."""
    needed = bits + (1 if unsigned else 0)
    if needed > 64:
        return Kind("decimal", precision=20, scale=0)
    return Kind("int16" if needed <= 16 else "int32" if needed <= 32 else "int64")


def _text(word: str, arguments: str) -> Kind:
    """Return a text of at most so many bytes: a character has up to four in UTF-8."""
    characters: int | None
    if word in TEXT_BYTES:
        characters = TEXT_BYTES[word]
    elif word in ("enum", "set"):
        labels = [len(label) for label in LABEL.findall(arguments)]
        characters = max(labels) if word == "enum" else sum(labels) + len(labels)
    else:
        characters = int(arguments or 1)
    return Kind("text", size_bytes=4 * max(characters, 1) if characters is not None else None)


def orders(type: str) -> bool:
    """Say whether pages can be ordered by values of that type.

    ENUM and SET are ordered by their number and compared by their text, floats have no exact text,
    and a JSON value's order is not that of its text.
    """
    return _parsed(type)[0] not in ("enum", "set", "float", "double", "json")
