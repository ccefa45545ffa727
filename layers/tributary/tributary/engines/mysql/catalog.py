"""Queries on MySQL's and MariaDB's catalog, and how their results become `SourceTable`s."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Protocol

from tributary.engines.mysql.sql import quote
from tributary.model.source_catalog import (
    CatalogFingerprint,
    CursorHazard,
    SourceColumn,
    SourceTable,
    TableName,
)

Row = tuple[str | None, ...]

TABLES = """
SELECT table_schema, table_name FROM information_schema.tables
WHERE table_type IN ('BASE TABLE', 'VIEW', 'SYSTEM VERSIONED')
  AND table_schema NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys')
"""

# The type names a character set that may hold bytes which are not characters.
COLUMNS = """
SELECT table_schema, table_name, column_name,
  CONCAT(column_type, IF(character_set_name IN ('utf8mb4', 'utf8mb3', 'utf8', 'latin1', 'ucs2', 'utf16',
    'utf16le', 'utf32', 'binary') OR character_set_name IS NULL,
    '', CONCAT(' character set ', character_set_name))), is_nullable, column_comment,
  (SELECT table_comment FROM information_schema.tables AS t
   WHERE t.table_schema = columns.table_schema AND t.table_name = columns.table_name
     AND t.table_type <> 'VIEW'),
  FIND_IN_SET('select', privileges) > 0, character_set_name, generation_expression
FROM information_schema.columns
WHERE table_schema IN ({schemas}) AND table_name IN ({tables})
ORDER BY table_schema, table_name, ordinal_position
"""

# Engines that enforce a declared key on every row that they return. A MERGE table's rows come from several
# tables, a FEDERATED one's from another server.
ENFORCING = ("InnoDB", "MyISAM", "Aria", "MEMORY", "ROCKSDB", "ndbcluster", "TokuDB", "ARCHIVE")

RELATIONS = """
SELECT table_schema, table_name, table_type, engine FROM information_schema.tables
WHERE table_schema IN ({schemas}) AND table_name IN ({tables})
"""

# A view's body and the names of partitions, as far as the user may see them.
SHAPES = """
SELECT table_schema, table_name, 'view', view_definition
FROM information_schema.views
WHERE table_schema IN ({schemas}) AND table_name IN ({tables}) AND view_definition <> ''
UNION ALL
SELECT DISTINCT table_schema, table_name, 'partition', partition_name
FROM information_schema.partitions
WHERE table_schema IN ({schemas}) AND table_name IN ({tables}) AND partition_name IS NOT NULL
"""

# A referential action fires no trigger and no ON UPDATE CURRENT_TIMESTAMP. Several servers that write to one
# table hand out values in steps, so a lower value may be committed after a higher one. A view's body names
# the tables that it reads as `schema`.`table`.
HAZARDS = """
SELECT constraint_schema, table_name, NULL,
       CONCAT('foreign key ', constraint_name, ' changes rows by itself, and moves no cursor')
FROM information_schema.referential_constraints
WHERE (update_rule IN ('CASCADE', 'SET NULL', 'SET DEFAULT') OR delete_rule IN ('SET NULL', 'SET DEFAULT'))
  AND constraint_schema IN ({schemas}) AND table_name IN ({tables})
UNION ALL
SELECT DISTINCT v.table_schema, v.table_name, NULL,
       CONCAT('foreign key ', r.constraint_name, ' of ', r.table_name,
              ' changes rows by itself, and moves no cursor')
FROM information_schema.views AS v
JOIN information_schema.referential_constraints AS r
  ON LOCATE(CONCAT('`', r.constraint_schema, '`.`', r.table_name, '`'), v.view_definition) > 0
WHERE (r.update_rule IN ('CASCADE', 'SET NULL', 'SET DEFAULT')
       OR r.delete_rule IN ('SET NULL', 'SET DEFAULT'))
  AND v.table_schema IN ({schemas}) AND v.table_name IN ({tables})
UNION ALL
SELECT table_schema, table_name, column_name,
       CONCAT('several servers hand out its values (auto_increment_increment is ',
              @@global.auto_increment_increment, ')')
FROM information_schema.columns
WHERE extra LIKE '%auto_increment%' AND @@global.auto_increment_increment > 1
  AND table_schema IN ({schemas}) AND table_name IN ({tables})
ORDER BY 1, 2, 3, 4
"""


def hazards(rows: Iterable[Row]) -> dict[TableName, tuple[CursorHazard, ...]]:
    """Return the cursor hazards that the result of HAZARDS describes."""
    by_table: dict[TableName, tuple[CursorHazard, ...]] = {}
    for schema, table, column, reason in rows:
        name = TableName(str(schema), str(table))
        by_table[name] = (*by_table.get(name, ()), CursorHazard(column, str(reason)))
    return by_table


# Only whole, ascending columns of a B-tree order rows as ORDER BY does.
INDEXES = """
SELECT table_schema, table_name, index_name, non_unique, nullable, column_name,
       sub_part IS NULL AND collation = 'A' AND index_type = 'BTREE'
FROM information_schema.statistics
WHERE table_schema IN ({schemas}) AND table_name IN ({tables})
ORDER BY table_schema, table_name, index_name <> 'PRIMARY', index_name, seq_in_index
"""

# InnoDB refreshes this list only after 100 ms without a reader, so a busy monitor can keep it stale. It is
# current if it shows our own transaction running this query, by a token in the query. trx_started is in the
# operating system's zone, whatever the session's. If that clock goes back one hour, a local time happens
# twice, and the start is taken as the earlier one. A prepared transaction that has left its session has no
# thread, and after a restart no true start either.
OLDEST_TRANSACTION = """
SELECT /* {token} */
  MAX(trx_mysql_thread_id = CONNECTION_ID() AND LOCATE('{token}', trx_query) > 0),
  SUM(trx_mysql_thread_id = 0),
  MIN(IF(trx_mysql_thread_id = CONNECTION_ID(), NULL, LEAST(
    CONVERT_TZ(trx_started, 'SYSTEM', '+00:00'),
    CONVERT_TZ(trx_started - INTERVAL 1 HOUR, 'SYSTEM', '+00:00') + INTERVAL 1 HOUR)))
FROM information_schema.innodb_trx
"""

# A running statement may have its timestamp but no transaction yet. TIME is in whole seconds. The threads of
# replication and of the event scheduler run as long as the server, and write in transactions that are listed.
OLDEST_STATEMENT = """
SELECT UTC_TIMESTAMP(6) - INTERVAL (MAX(time) + 1) SECOND
FROM information_schema.processlist
WHERE id <> CONNECTION_ID() AND time >= 0
  AND command NOT IN ('Sleep', 'Daemon', 'Binlog Dump', 'Binlog Dump GTID')
  AND user NOT IN ('system user', 'event_scheduler')
"""

# What tells that other servers write too, without a privilege: a replica that is configured as one, a node of
# a cluster. `read_only` alone proves nothing, but managed replicas show little else.
COPY = """
SHOW GLOBAL VARIABLES
WHERE Variable_name IN ('read_only', 'super_read_only', 'innodb_read_only', 'wsrep_on', 'gtid_slave_pos',
                        'group_replication_group_name')
  AND Value NOT IN ('OFF', '0', '', 'NO_LOCK')
"""

# Replication's own threads, which the user sees with PROCESS.
REPLICATION_THREADS = """
SELECT COUNT(*) FROM information_schema.processlist
WHERE user = 'system user'
  AND (command LIKE 'Slave%' OR command LIKE 'Replica%' OR command IN ('Connect', 'Query'))
"""

# MariaDB's, MySQL 8.0.22's and what came before; each needs REPLICA MONITOR, REPLICATION CLIENT or the like.
REPLICA_STATUS = ("SHOW ALL SLAVES STATUS", "SHOW REPLICA STATUS", "SHOW SLAVE STATUS")

# Tables whose rows are elsewhere; a view may read any of them, which no catalog of MariaDB tells.
FOREIGN = """
SELECT table_schema, table_name,
       table_type = 'VIEW' AND EXISTS (SELECT 1 FROM information_schema.tables AS f
                                       WHERE f.engine IN ('FEDERATED', 'CONNECT', 'SPIDER'))
         OR engine IN ('FEDERATED', 'CONNECT', 'SPIDER')
FROM information_schema.tables
WHERE table_schema IN ({schemas}) AND table_name IN ({tables})
"""


PLACEHOLDER = re.compile(r"\{(?:schemas|tables)\}")


def named(query: str, names: Collection[TableName]) -> str:
    """Return the query with the names in it; its result may have further tables, since it ignores case."""
    listed = {
        "{schemas}": ", ".join(sorted({_string(name.schema) for name in names})),
        "{tables}": ", ".join(sorted({_string(name.table) for name in names})),
    }
    return PLACEHOLDER.sub(lambda match: listed[match[0]], query)  # in one pass: a name may be a placeholder


def _string(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def tables(
    columns: Iterable[Row],
    indexes: Iterable[Row],
    relations: Iterable[Row],
    shapes: Iterable[Row],
    names: Collection[TableName],
) -> dict[TableName, SourceTable]:
    """Return the named tables as the results of COLUMNS, INDEXES, RELATIONS and SHAPES describe them."""
    described: dict[TableName, list[SourceColumn]] = {}
    comments: dict[TableName, str | None] = {}
    sets: dict[TableName, dict[str, str]] = {}
    expressions: dict[TableName, dict[str, str]] = {}
    views: dict[TableName, str] = {}
    partitions: dict[TableName, dict[str, str]] = {}
    for schema, table, column, type, nullable, comment, table_comment, readable, *of_values in columns:
        characters, expression = of_values
        if (name := TableName(str(schema), str(table))) in names:
            comments[name] = table_comment or None
            read = SourceColumn(str(column), str(type), nullable == "YES", comment or None, readable == "1")
            described.setdefault(name, []).append(read)
            if characters:
                sets.setdefault(name, {})[str(column)] = characters
            if expression:
                expressions.setdefault(name, {})[str(column)] = _digest(expression)
    for schema, table, what, text in shapes:
        name = TableName(str(schema), str(table))
        if what == "view":
            views[name] = f"view {_digest(str(text))}"
        else:
            partition = f"{quote(name.schema, name.table)} PARTITION ({quote(str(text))})"
            partitions.setdefault(name, {})[str(text)] = partition
    parts: dict[TableName, dict[str, list[Row]]] = {name: {} for name in described}
    for row in indexes:
        if (name := TableName(str(row[0]), str(row[1]))) in parts:
            parts[name].setdefault(str(row[2]), []).append(row)
    kinds = {TableName(str(schema), str(table)): (kind, engine) for schema, table, kind, engine in relations}
    return {
        name: replace(
            _table(name, listed, parts[name], comments[name]),
            fingerprint=CatalogFingerprint(
                _labels(listed),
                sets.get(name, {}),
                partitions=partitions.get(name, {}),
                identity=views.get(name),
                formulas=expressions.get(name, {}),
            ),
            keys_enforced=kinds.get(name, ("", ""))[1] in ENFORCING,
            nulls_enforced=kinds.get(name, ("", ""))[0] != "VIEW",
        )
        for name, listed in described.items()
    }


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _labels(columns: list[SourceColumn]) -> dict[str, dict[str, str]]:
    """Return digests of the labels of ENUM and SET columns; a label is its own member."""
    labels = {}
    for column in columns:
        if column.type.startswith(("enum(", "set(")):
            texts = re.findall(r"'(?:[^']|'')*'", column.type)
            digests = [_digest(text) for text in texts]
            labels[column.name] = dict(zip(digests, digests, strict=True))
    return labels


def _table(
    name: TableName, columns: list[SourceColumn], indexes: dict[str, list[Row]], comment: str | None
) -> SourceTable:
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
        comment,
    )


# --- types of a result --------------------------------------------------------------------------

BINARY = 63  # the character set of bytes
UNSIGNED, ENUM, SET = 32, 256, 2048  # flags of a column (page_protocol_com_query_response_text_resultset)
NUMBERS = {1: "tinyint", 2: "smallint", 3: "int", 8: "bigint", 9: "mediumint"}
PLAIN = {4: "float", 5: "double", 10: "date", 13: "year", 14: "date", 245: "json", 255: "geometry"}
TIMES = {7: "timestamp", 11: "time", 12: "datetime"}
BLOBS = (249, 250, 251, 252)


class Field(Protocol):
    """A column in a result's header, as PyMySQL has it; `length` in bytes, `scale` its decimals."""

    type_code: int
    length: int
    scale: int
    flags: int
    charsetnr: int


def answered(field: Field) -> str:
    """Return the type of a result's column as a declaration has it: `decimal(10,2)`.

    Characters have four bytes in the session's utf8mb4. A result does not name the labels of an ENUM or a
    SET, only their length: one label of that length represents them.
    """
    code, unsigned = field.type_code, " unsigned" if field.flags & UNSIGNED else ""
    if code in NUMBERS:
        return NUMBERS[code] + unsigned
    if code in PLAIN:
        return PLAIN[code]
    if code in TIMES:
        return f"{TIMES[code]}({field.scale})"
    if code in (0, 246):  # DECIMAL: its length includes a sign and a point
        digits = field.length - (0 if unsigned else 1) - (1 if field.scale else 0)
        return f"decimal({digits},{field.scale}){unsigned}"
    if code == 16:
        return f"bit({field.length})"
    return _answered_text(field)


def _answered_text(field: Field) -> str:
    binary, characters = field.charsetnr == BINARY, field.length // 4
    if field.flags & (ENUM | SET):
        return f"{'enum' if field.flags & ENUM else 'set'}('{'x' * characters}')"
    if field.type_code in BLOBS:
        return "longblob" if binary else "longtext"
    return f"varbinary({field.length})" if binary else f"varchar({characters})"
