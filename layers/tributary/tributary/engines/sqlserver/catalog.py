"""Queries on SQL Server's catalog, clock and transactions, and how their results become `SourceTable`s.

They are for SQL Server 2016 and newer, and for Azure SQL.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from tributary.engines.sqlserver.types import string
from tributary.model.source_catalog import SourceColumn, SourceTable, TableName

Row = tuple[str | None, ...]

_TABLES = """
SELECT s.name, o.name
FROM sys.objects AS o
JOIN sys.schemas AS s ON s.schema_id = o.schema_id
WHERE o.type IN ('U', 'V') AND o.is_ms_shipped = 0
  AND COALESCE(HAS_PERMS_BY_NAME(QUOTENAME(s.name) + N'.' + QUOTENAME(o.name), 'OBJECT', 'SELECT'), 0) = {}
"""
TABLES, HIDDEN_TABLES = _TABLES.format(1), _TABLES.format(0)

# An alias type has the id of its system type; a CLR type has only its own. A masked column returns its mask
# instead of its values, without an error, to a user who may not unmask it. Comments are extended properties
# with the name that Microsoft's tools use.
COLUMNS = """
SELECT s.name, o.name, c.name, COALESCE(b.name, t.name), c.max_length, c.precision, c.scale,
       c.collation_name, c.is_nullable,
       CASE WHEN c.encryption_type IS NOT NULL THEN 'encrypted'
            WHEN c.is_masked = 1 AND COALESCE(HAS_PERMS_BY_NAME(DB_NAME(), 'DATABASE', 'UNMASK'), 0) = 0
             AND COALESCE(HAS_PERMS_BY_NAME(QUOTENAME(s.name) + N'.' + QUOTENAME(o.name), 'OBJECT', 'UNMASK',
                                            QUOTENAME(c.name), 'COLUMN'), 0) = 0 THEN 'masked'
       END,
       CAST(x.value AS nvarchar(4000)), CAST(y.value AS nvarchar(4000))
FROM sys.columns AS c
JOIN sys.objects AS o ON o.object_id = c.object_id
JOIN sys.schemas AS s ON s.schema_id = o.schema_id
JOIN sys.types AS t ON t.user_type_id = c.user_type_id
LEFT JOIN sys.types AS b ON b.user_type_id = c.system_type_id
LEFT JOIN sys.extended_properties AS x
  ON x.class = 1 AND x.major_id = o.object_id AND x.minor_id = c.column_id AND x.name = N'MS_Description'
LEFT JOIN sys.extended_properties AS y
  ON y.class = 1 AND y.major_id = o.object_id AND y.minor_id = 0 AND y.name = N'MS_Description'
WHERE o.type IN ('U', 'V') AND c.is_hidden = 0 AND c.is_column_set = 0
  AND s.name IN ({schemas}) AND o.name IN ({tables})
ORDER BY s.name, o.name, c.column_id
"""

# Describes a statement without running it; a user-defined type has the id of its system type.
DESCRIBED = """
SELECT d.name, COALESCE(TYPE_NAME(d.system_type_id), d.user_type_name), d.max_length, d.precision,
       d.scale, d.collation_name
FROM sys.dm_exec_describe_first_result_set({statement}, NULL, 0) AS d
WHERE d.is_hidden = 0 AND d.error_number IS NULL
ORDER BY d.column_ordinal
"""

# Only indexes over the whole table. SQL Server indexes no expressions. A hash index (7) has no order.
INDEXES = """
SELECT s.name, o.name, i.name, i.is_primary_key, i.is_unique, c.name, c.is_nullable,
       CASE WHEN i.type IN (1, 2) AND k.is_descending_key = 0 THEN 1 ELSE 0 END
FROM sys.indexes AS i
JOIN sys.objects AS o ON o.object_id = i.object_id
JOIN sys.schemas AS s ON s.schema_id = o.schema_id
JOIN sys.index_columns AS k ON k.object_id = i.object_id AND k.index_id = i.index_id AND k.key_ordinal > 0
JOIN sys.columns AS c ON c.object_id = k.object_id AND c.column_id = k.column_id
WHERE o.type IN ('U', 'V') AND i.type IN (1, 2, 7) AND i.has_filter = 0 AND i.is_disabled = 0
  AND i.is_hypothetical = 0 AND s.name IN ({schemas}) AND o.name IN ({tables})
ORDER BY s.name, o.name, i.index_id, k.key_ordinal
"""

# The clock, the offset of the server's zone from UTC in minutes, and whether it is a read-only copy.
CLOCK = """
SELECT CONVERT(varchar(27), SYSUTCDATETIME(), 121), DATEPART(tzoffset, SYSDATETIMEOFFSET()),
       CONVERT(varchar(20), DATABASEPROPERTYEX(DB_NAME(), 'Updateability'))
"""

# For the whole instance, because a transaction that began in another database may still write here. A
# distributed transaction may have left its session. A running batch may hold a time that it has not written
# yet, with or without a transaction. Without VIEW SERVER STATE this is an error. Times are local.
# Some requests never end: diagnostics of a cluster, change data capture, a WAITFOR of Service Broker. Without
# a transaction, a request counts for REQUEST_MINUTES; the second column is how many run for longer.
REQUEST_MINUTES = 60
OLDEST = f"""
SELECT CONVERT(varchar(23), MIN(CASE WHEN running.counts = 1 THEN running.begun END), 121),
       COALESCE(SUM(1 - running.counts), 0)
FROM (
  SELECT a.transaction_begin_time AS begun, 1 AS counts
  FROM sys.dm_tran_active_transactions AS a
  LEFT JOIN sys.dm_tran_session_transactions AS s ON s.transaction_id = a.transaction_id
  WHERE s.session_id <> @@SPID OR (s.session_id IS NULL AND a.transaction_type = 4)
  UNION ALL
  SELECT r.start_time,
         CASE WHEN r.open_transaction_count > 0
                OR r.start_time > DATEADD(minute, -{REQUEST_MINUTES}, GETDATE())
                OR EXISTS (SELECT 1 FROM sys.dm_tran_session_transactions AS x
                           WHERE x.session_id = r.session_id) THEN 1 ELSE 0 END
  FROM sys.dm_exec_requests AS r
  JOIN sys.dm_exec_sessions AS e ON e.session_id = r.session_id
  WHERE e.is_user_process = 1 AND r.session_id <> @@SPID
) AS running
"""

# Every rowversion up to it is committed or rolled back. A read-only copy learns the values of its primary's
# open transactions only when they arrive.
ROWVERSION_HORIZON = """
SELECT CASE WHEN DATABASEPROPERTYEX(DB_NAME(), 'Updateability') = 'READ_WRITE'
            THEN CONVERT(bigint, MIN_ACTIVE_ROWVERSION()) - 1 END
"""


PLACEHOLDER = re.compile(r"\{(?:schemas|tables)\}")


def named(query: str, names: Collection[TableName]) -> str:
    """Return the query with the names in it; its result may have further tables, since it may ignore case."""
    listed = {
        "{schemas}": ", ".join(sorted({string(name.schema) for name in names})),
        "{tables}": ", ".join(sorted({string(name.table) for name in names})),
    }
    return PLACEHOLDER.sub(lambda match: listed[match[0]], query)  # in one pass: a name may be a placeholder


def tables(
    columns: Iterable[Row], indexes: Iterable[Row], names: Collection[TableName]
) -> dict[TableName, SourceTable]:
    """Return the named tables as the results of COLUMNS and INDEXES describe them."""
    described: dict[TableName, list[SourceColumn]] = {}
    comments: dict[TableName, str | None] = {}
    for schema, table, column, *about in columns:
        if (name := TableName(str(schema), str(table))) in names:
            *declared, nullable, concealed, comment, comments[name] = about
            type = type_text(*declared) if concealed is None else f"{concealed} {declared[0]}"
            described.setdefault(name, []).append(SourceColumn(str(column), type, nullable == "1", comment))
    parts: dict[TableName, dict[str, list[Row]]] = {name: {} for name in described}
    for row in indexes:
        if (name := TableName(str(row[0]), str(row[1]))) in parts:
            parts[name].setdefault(str(row[2]), []).append(row)
    return {name: _table(name, listed, parts[name], comments[name]) for name, listed in described.items()}


def _table(
    name: TableName, columns: list[SourceColumn], indexes: dict[str, list[Row]], comment: str | None
) -> SourceTable:
    primary: tuple[str, ...] = ()
    unique, usable = [], []
    for rows in indexes.values():
        index = tuple(str(row[5]) for row in rows)
        if rows[0][3] == "1":
            primary = index
        elif rows[0][4] == "1" and all(row[6] == "0" for row in rows):
            unique.append(index)
        if all(row[7] == "1" for row in rows):
            usable.append(index)
    return SourceTable(name, tuple(columns), primary, tuple(unique), tuple(usable), comment)


def type_text(
    name: str | None, max_length: str | None, precision: str | None, scale: str | None, collation: str | None
) -> str:
    """Return the type as a declaration has it, with its collation, which a literal must share.

    ``varchar(20) COLLATE Latin1_General_CI_AS``, ``nvarchar(max)``, ``datetime2(7)``, ``rowversion``.
    """
    length = int(max_length or 0)
    if name in ("nvarchar", "nchar", "varchar", "char", "varbinary", "binary"):
        size = "max" if length == -1 else str(length // 2 if name.startswith("n") else length)
        return f"{name}({size})" + (f" COLLATE {collation}" if name in ("varchar", "char") else "")
    if name in ("decimal", "numeric"):
        return f"{name}({precision},{scale})"
    if name in ("datetime2", "datetimeoffset", "time"):
        return f"{name}({scale})"
    return "rowversion" if name == "timestamp" else str(name)
