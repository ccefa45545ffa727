"""Queries on SQL Server's catalog and transactions, and how their results become `SourceTable`s.

They are for SQL Server 2016 and newer, and for Azure SQL.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from tributary.engines.sqlserver.types import string
from tributary.model.source_catalog import (
    CatalogFingerprint,
    CursorHazard,
    SourceColumn,
    SourceTable,
    TableName,
)

Row = tuple[str | None, ...]

# A table is readable with the right to select one of its columns. HAS_PERMS_BY_NAME takes the table's name in
# brackets, and a column's name without.
_TABLE = "QUOTENAME(s.name) + N'.' + QUOTENAME(o.name)"
TABLES = f"""
SELECT s.name, o.name,
       CASE WHEN HAS_PERMS_BY_NAME({_TABLE}, 'OBJECT', 'SELECT') = 1
              OR EXISTS (SELECT 1 FROM sys.columns AS c
                         WHERE c.object_id = o.object_id
                           AND HAS_PERMS_BY_NAME({_TABLE}, 'OBJECT', 'SELECT', c.name, 'COLUMN') = 1)
            THEN 1 ELSE 0 END
FROM sys.objects AS o
JOIN sys.schemas AS s ON s.schema_id = o.schema_id
WHERE o.type IN ('U', 'V') AND o.is_ms_shipped = 0
"""

# A row if the table is a view.
VIEW = """
SELECT 1 FROM sys.objects AS o JOIN sys.schemas AS s ON s.schema_id = o.schema_id
WHERE o.type = 'V' AND s.name IN ({schemas}) AND o.name IN ({tables})
"""

# An alias type has the id of its system type; a CLR type has only its own. A masked column returns its mask
# instead of its values, without an error, to a user who may not unmask it. Comments are extended properties
# with the name that Microsoft's tools use. A column that was dropped and added again has another id. Without
# the right to see definitions, the digest of a computed column is always the same.
COLUMNS = f"""
SELECT s.name, o.name, c.name, COALESCE(b.name, t.name), c.max_length, c.precision, c.scale,
       c.collation_name, c.is_nullable,
       CASE WHEN c.encryption_type IS NOT NULL THEN 'encrypted'
            WHEN c.is_masked = 1 AND COALESCE(HAS_PERMS_BY_NAME(DB_NAME(), 'DATABASE', 'UNMASK'), 0) = 0
             AND COALESCE(HAS_PERMS_BY_NAME({_TABLE}, 'OBJECT', 'UNMASK', c.name, 'COLUMN'), 0) = 0
              THEN 'masked'
       END,
       CAST(x.value AS nvarchar(4000)), CAST(y.value AS nvarchar(4000)),
       COALESCE(HAS_PERMS_BY_NAME({_TABLE}, 'OBJECT', 'SELECT', c.name, 'COLUMN'),
                HAS_PERMS_BY_NAME({_TABLE}, 'OBJECT', 'SELECT'), 0),
       CASE WHEN o.type = 'V' THEN 'view' WHEN u.is_external = 1 THEN 'external' ELSE 'table' END,
       o.object_id, c.column_id,
       CASE WHEN m.object_id IS NOT NULL THEN HASHBYTES('SHA2_256', COALESCE(m.definition, N'')) END,
       CASE WHEN b.name IN ('char', 'varchar', 'text')
            THEN CONVERT(int, COLLATIONPROPERTY(c.collation_name, 'CodePage')) END
FROM sys.columns AS c
JOIN sys.objects AS o ON o.object_id = c.object_id
JOIN sys.schemas AS s ON s.schema_id = o.schema_id
JOIN sys.types AS t ON t.user_type_id = c.user_type_id
LEFT JOIN sys.tables AS u ON u.object_id = o.object_id
LEFT JOIN sys.types AS b ON b.user_type_id = c.system_type_id
LEFT JOIN sys.computed_columns AS m ON m.object_id = c.object_id AND m.column_id = c.column_id
LEFT JOIN sys.extended_properties AS x
  ON x.class = 1 AND x.major_id = o.object_id AND x.minor_id = c.column_id AND x.name = N'MS_Description'
LEFT JOIN sys.extended_properties AS y
  ON y.class = 1 AND y.major_id = o.object_id AND y.minor_id = 0 AND y.name = N'MS_Description'
WHERE o.type IN ('U', 'V') AND c.is_hidden = 0 AND c.is_column_set = 0
  AND s.name IN ({{schemas}}) AND o.name IN ({{tables}})
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

# Only indexes over the whole table that are maintained: not filtered, disabled or hypothetical ones. SQL
# Server indexes no expressions. A hash index (7) has no order.
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

# Partitions that hold rows, each by its boundary: a number would shift with every split or merge, and the
# partition's own id changes when an index is rebuilt. The last column selects the partition's rows.
PARTITIONS = """
SELECT s.name, o.name, CONVERT(varbinary(256), v.value),
       N'(SELECT * FROM ' + QUOTENAME(s.name) + N'.' + QUOTENAME(o.name) + N' WHERE $PARTITION.'
         + QUOTENAME(f.name) + N'(' + QUOTENAME(c.name) + N') = ' + CONVERT(nvarchar(11), p.partition_number)
         + N') AS p'
FROM sys.partitions AS p
JOIN sys.objects AS o ON o.object_id = p.object_id
JOIN sys.schemas AS s ON s.schema_id = o.schema_id
JOIN sys.indexes AS i ON i.object_id = p.object_id AND i.index_id = p.index_id
JOIN sys.index_columns AS k
  ON k.object_id = i.object_id AND k.index_id = i.index_id AND k.partition_ordinal = 1
JOIN sys.columns AS c ON c.object_id = k.object_id AND c.column_id = k.column_id
JOIN sys.partition_schemes AS h ON h.data_space_id = i.data_space_id
JOIN sys.partition_functions AS f ON f.function_id = h.function_id
LEFT JOIN sys.partition_range_values AS v
  ON v.function_id = f.function_id
 AND v.boundary_id = p.partition_number - CASE WHEN f.boundary_value_on_right = 1 THEN 1 ELSE 0 END
WHERE o.type = 'U' AND p.index_id IN (0, 1) AND p.rows > 0
  AND s.name IN ({schemas}) AND o.name IN ({tables})
ORDER BY s.name, o.name, p.partition_number
"""

# A referential action fires the triggers of an update, but no default. The start of a temporal row's period
# moves with each change. IDENTITY and sequences hand out values in order, from one cache for all sessions.
# The definition of a default is shown to those who may see definitions, and a trigger perhaps to them too.
_NAMED = "s.name IN ({schemas}) AND o.name IN ({tables})"
_UPDATES = """sys.triggers AS g JOIN sys.trigger_events AS e ON e.object_id = g.object_id AND e.type = 2"""
_TIMES = """JOIN sys.columns AS c ON c.object_id = o.object_id AND c.generated_always_type = 0
JOIN sys.types AS b ON b.user_type_id = c.system_type_id
  AND b.name IN ('date', 'datetime', 'datetime2', 'datetimeoffset', 'smalldatetime')"""
HAZARDS = f"""
SELECT s.name, o.name, c.name,
       N'foreign key ' + k.name + N' changes rows by itself, and no trigger that the user sees moves a cursor'
FROM sys.foreign_keys AS k
JOIN sys.objects AS o ON o.object_id = k.parent_object_id
JOIN sys.schemas AS s ON s.schema_id = o.schema_id
{_TIMES}
WHERE k.is_disabled = 0 AND (k.update_referential_action > 0 OR k.delete_referential_action > 1)
  AND NOT EXISTS (SELECT 1 FROM {_UPDATES}
                  WHERE g.parent_id = o.object_id AND g.is_disabled = 0 AND g.is_instead_of_trigger = 0)
  AND {_NAMED}
UNION ALL
SELECT s.name, o.name, c.name, N'trigger ' + g.name + N' is disabled'
FROM {_UPDATES}
JOIN sys.objects AS o ON o.object_id = g.parent_id
JOIN sys.schemas AS s ON s.schema_id = o.schema_id
{_TIMES}
WHERE g.is_disabled = 1 AND {_NAMED}
UNION ALL
SELECT s.name, o.name, c.name, N'it ends the period of a row, and no change of the row moves it'
FROM sys.columns AS c
JOIN sys.objects AS o ON o.object_id = c.object_id
JOIN sys.schemas AS s ON s.schema_id = o.schema_id
WHERE c.generated_always_type = 2 AND {_NAMED}
UNION ALL
SELECT s.name, o.name, c.name,
       CASE WHEN CONVERT(decimal(38, 0), c.increment_value) < 0 THEN N'its values go down'
            ELSE N'it is NOT FOR REPLICATION: replication may write values that other servers handed out' END
FROM sys.identity_columns AS c
JOIN sys.objects AS o ON o.object_id = c.object_id
JOIN sys.schemas AS s ON s.schema_id = o.schema_id
WHERE (CONVERT(decimal(38, 0), c.increment_value) < 0 OR c.is_not_for_replication = 1) AND {_NAMED}
UNION ALL
SELECT s.name, o.name, c.name,
       CASE WHEN CONVERT(decimal(38, 0), q.increment) < 0 THEN N'its values go down'
            ELSE N'its sequence begins again after its end (CYCLE)' END
FROM sys.default_constraints AS d
JOIN sys.objects AS o ON o.object_id = d.parent_object_id
JOIN sys.schemas AS s ON s.schema_id = o.schema_id
JOIN sys.columns AS c ON c.object_id = o.object_id AND c.column_id = d.parent_column_id
JOIN sys.sequences AS q ON CHARINDEX(N'NEXT VALUE FOR ' + QUOTENAME(SCHEMA_NAME(q.schema_id)) + N'.'
                                     + QUOTENAME(q.name) + N')',
                                     d.definition COLLATE DATABASE_DEFAULT) > 0
WHERE (q.is_cycling = 1 OR CONVERT(decimal(38, 0), q.increment) < 0) AND {_NAMED}
ORDER BY 1, 2, 3, 4
"""

# Security policies that leave rows out, as far as the user sees them. Whether one concerns the user, only its
# function knows.
FILTERS = """
SELECT s.name, o.name, p.name
FROM sys.security_predicates AS f
JOIN sys.security_policies AS p ON p.object_id = f.object_id
JOIN sys.objects AS o ON o.object_id = f.target_object_id
JOIN sys.schemas AS s ON s.schema_id = o.schema_id
WHERE f.predicate_type = 0 AND p.is_enabled = 1 AND s.name IN ({schemas}) AND o.name IN ({tables})
ORDER BY s.name, o.name, p.name
"""

# Tables whose rows are elsewhere. A view may read any of them, and only an owner may ask which ones.
FOREIGN = """
SELECT s.name, o.name
FROM sys.objects AS o
JOIN sys.schemas AS s ON s.schema_id = o.schema_id
LEFT JOIN sys.tables AS u ON u.object_id = o.object_id
WHERE (u.is_external = 1
       OR (o.type = 'V'
           AND ({servers} > 0 OR EXISTS (SELECT 1 FROM sys.tables AS e WHERE e.is_external = 1))))
  AND s.name IN ({schemas}) AND o.name IN ({tables})
"""
LINKED_SERVERS = "SELECT COUNT(*) FROM sys.servers WHERE is_linked = 1"

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


def hazards(rows: Iterable[Row]) -> dict[TableName, tuple[CursorHazard, ...]]:
    """Return the cursor hazards that the result of HAZARDS describes."""
    by_table: dict[TableName, tuple[CursorHazard, ...]] = {}
    for schema, table, column, reason in rows:
        name = TableName(str(schema), str(table))
        by_table[name] = (*by_table.get(name, ()), CursorHazard(column, str(reason)))
    return by_table


OPEN = "open"  # a partition with no boundary on its side


def partitions(rows: Iterable[Row]) -> dict[TableName, dict[str, str]]:
    """Return the partitions that the result of PARTITIONS describes, by table and boundary."""
    by_table: dict[TableName, dict[str, str]] = {}
    for schema, table, boundary, rows_of in rows:
        by_table.setdefault(TableName(str(schema), str(table)), {})[boundary or OPEN] = str(rows_of)
    return by_table


def policies(rows: Iterable[Row]) -> dict[TableName, str]:
    """Return by table a policy that the result of FILTERS describes."""
    return {TableName(str(schema), str(table)): str(policy) for schema, table, policy in rows}


@dataclass(slots=True)
class _Described:
    """What the rows of COLUMNS say of one table."""

    kind: str
    identity: str
    comment: str | None
    columns: list[SourceColumn] = field(default_factory=list)
    formulas: dict[str, str] = field(default_factory=dict)
    code_pages: dict[str, str] = field(default_factory=dict)


def tables(
    columns: Iterable[Row], indexes: Iterable[Row], names: Collection[TableName]
) -> dict[TableName, SourceTable]:
    """Return the named tables as the results of COLUMNS and INDEXES describe them."""
    described: dict[TableName, _Described] = {}
    for schema, table, column, *about in columns:
        if (name := TableName(str(schema), str(table))) in names:
            declared, (nullable, concealed, comment, of_table, readable, kind, *prints) = about[:5], about[5:]
            identity, place, digest, code_page = prints
            type = type_text(*declared) if concealed is None else f"{concealed} {declared[0]}"
            one = described.setdefault(name, _Described(str(kind), str(identity), of_table))
            one.columns.append(SourceColumn(str(column), type, nullable == "1", comment, readable == "1"))
            one.formulas[str(column)] = f"{place} {digest}" if digest else str(place)
            if code_page is not None:
                one.code_pages[str(column)] = code_page
    parts: dict[TableName, dict[str, list[Row]]] = {name: {} for name in described}
    for row in indexes:
        if (name := TableName(str(row[0]), str(row[1]))) in parts:
            parts[name].setdefault(str(row[2]), []).append(row)
    return {name: _table(name, one, parts[name]) for name, one in described.items()}


def _table(name: TableName, described: _Described, indexes: dict[str, list[Row]]) -> SourceTable:
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
    return SourceTable(
        name,
        tuple(described.columns),
        primary,
        tuple(unique),
        tuple(usable),
        described.comment,
        keys_enforced=described.kind != "external",
        nulls_enforced=described.kind == "table",  # a view keeps what its tables were when it was created
        fingerprint=CatalogFingerprint(
            character_sets=described.code_pages,
            formulas=described.formulas if described.kind == "table" else {},
            identity=described.identity if described.kind == "table" else None,
        ),
    )


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
