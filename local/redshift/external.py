"""Redshift Spectrum: external schemas and tables, partitions, and Parquet read by the names of columns.

Redshift reads the files at each query; the stand-in reads them once, when a partition is added. So a fault
of a file or a type shows then, and a file deleted later is not missed. Locations are manifests; a folder is
not part of the stand-in. A user of the schema may read its tables; no user may write to them.
(r_CREATE_EXTERNAL_SCHEMA, r_CREATE_EXTERNAL_TABLE, r_ALTER_TABLE)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from local.redshift import loading, parquet, tables
from local.redshift.copy_command import ROLE
from local.redshift.errors import Refused, SqlError
from local.redshift.lexer import Reader, split
from local.redshift.names import quote
from local.redshift.parquet import Target
from local.redshift.rewrite import identifier, literal
from local.redshift.session import Session
from local.redshift.translation import Change, Partition, Statement, Translated

IN_BLOCK = "{} cannot run inside a transaction block"
TYPES = (
    *("smallint", "integer", "bigint", "numeric", "real", "double", "boolean"),
    *("char", "varchar", "bytea", "date", "timestamp"),
)
MOST_COLUMNS = 1_598  # with the pseudocolumns, which exist unless a session turns them off
MOST_PARTITIONS = 100  # of one statement, in the Glue catalog
WRITE = "INSERT, UPDATE, DELETE, TRUNCATE"


def create(statement: Statement) -> Translated:
    """Return the translation of a CREATE EXTERNAL; the reader is after these words."""
    if statement.reader.take("SCHEMA"):
        return _create_schema(statement)
    statement.reader.expect("TABLE")
    return _create_table(statement)


def _create_schema(statement: Statement) -> Translated:
    reader = statement.reader
    missing_only = "IF NOT EXISTS " if reader.take("IF", "NOT", "EXISTS") else ""
    token = reader.name()
    reader.expect("FROM", "DATA", "CATALOG", "DATABASE")
    database = reader.string().string
    if reader.take("REGION"):
        reader.string()
    reader.expect("IAM_ROLE")
    role = reader.string().string
    if not ROLE.fullmatch(role):
        raise Refused(f"Invalid IAM role ARN: {role}")
    reader.end()
    noted = ", ".join(map(literal, (statement.names.stored(token.name), database, role)))
    name = identifier(token, statement.names)
    return Translated(
        f"CREATE SCHEMA {missing_only}{name}", after=(f"SELECT stand_in.note_external_schema({noted})",)
    )


def _create_table(statement: Statement) -> Translated:
    reader, names = statement.reader, statement.names
    if statement.in_block:
        raise Refused(IN_BLOCK.format("CREATE EXTERNAL TABLE"))
    parts = reader.dotted()
    if len(parts) < 2:
        raise Refused("external tables must be created in an external schema")
    table = ".".join(identifier(part, names) for part in parts)
    columns = list(_declared(reader))
    reader.expect("PARTITIONED", "BY")
    keys = list(_declared(reader))
    reader.expect("STORED", "AS", "PARQUET", "LOCATION")
    location = _location(reader)
    reader.end()
    if keys and any(column.type.varbyte for column in columns):
        raise Refused("VARBYTE is not supported in partitioned external tables")
    if len(columns) + len(keys) > MOST_COLUMNS:
        raise Refused(f"external tables can have at most {MOST_COLUMNS} columns")
    listed = ", ".join(literal(names.stored(key.name.name)) for key in keys)
    noted = f"{literal(table)}::regclass, {literal(location)}, ARRAY[{listed}]::text[]"
    return Translated(
        f"CREATE TABLE {table} ({', '.join(column.sql(names) for column in [*columns, *keys])})",
        after=(
            f"SELECT stand_in.note_external_table({noted})",
            f"GRANT SELECT ON {table} TO PUBLIC",  # a right on its schema decides
            f"REVOKE {WRITE} ON {table} FROM CURRENT_USER",
        ),
    )


def _declared(reader: Reader) -> Iterator[tables.Declared]:
    for part in split(reader.parens()):
        column = tables.declared(inside := Reader(part))
        inside.end()
        if column.type.sql.partition("(")[0].split(" ")[0] not in TYPES:
            raise Refused(f'column "{column.name.name}" has a type that external tables do not support')
        if column.default or column.not_null or column.key or column.placed or column.identity:
            raise Refused(f'column "{column.name.name}" of an external table has more than a type')
        yield column


def _location(reader: Reader) -> str:
    location = reader.string().string
    if not location.startswith("s3://"):
        raise Refused(f"{location} is no location in S3")
    return location


def partitions(statement: Statement) -> Translated | None:
    """Return the translation of an ALTER TABLE on partitions, else None; the reader is before the name."""
    reader = statement.reader.ahead()
    table = replace(statement, reader=reader).dotted()
    adds = reader.take("ADD")
    if not adds and not reader.take("DROP"):
        return None
    missing_only = adds and reader.take("IF", "NOT", "EXISTS")
    if not reader.sees("PARTITION"):
        return None
    if statement.in_block:
        raise Refused(IN_BLOCK.format("ALTER EXTERNAL TABLE"))
    listed = []
    while reader.take("PARTITION"):
        values = tuple(_value(part) for part in split(reader.parens()))
        listed.append(Partition(values, _at(reader) if adds else ""))
    reader.end()
    if len(listed) > (MOST_PARTITIONS if adds else 1):
        raise Refused("too many partitions in one statement")
    statement.reader.rest()
    return Translated(change=Change(table, tuple(listed), adds=adds, missing_only=missing_only))


def _value(part: list[Any]) -> tuple[str, str]:
    reader = Reader(part)
    name = reader.name().name
    reader.expect("=")
    value = reader.string().string
    reader.end()
    return name, value


def _at(reader: Reader) -> str:
    reader.expect("LOCATION")
    return _location(reader)


def change(wanted: Change, session: Session, reads_as: Callable[[str | None], Any], query: int) -> None:
    """Add or drop partitions; raises SqlError. The schema's role reads the files."""
    s3 = reads_as(_role(wanted.table, session))
    session.run(f"GRANT {WRITE} ON {wanted.table} TO CURRENT_USER")
    for partition in wanted.partitions:
        keys = [row[0] for row in session.run(_keys(wanted.table)).rows]
        if [name for name, _ in partition.values] != keys:
            raise SqlError(f"the partition's columns are {', '.join(map(str, keys))}")
        values = literal(json.dumps([value for _, value in partition.values], separators=(",", ":")))
        if not wanted.adds:
            session.run(f"SELECT stand_in.forget_partition({literal(wanted.table)}::regclass, {values})")
            same = " AND ".join(f"{quote(name)} = {literal(value)}" for name, value in partition.values)
            session.run(f"DELETE FROM {wanted.table} WHERE {same}")
            continue
        noted = f"{literal(wanted.table)}::regclass, {values}, {literal(partition.location)}"
        [[new]] = session.run(f"SELECT stand_in.note_partition({noted})").rows
        if new == "t":
            _read(wanted.table, partition, session, s3, query)
        elif not wanted.missing_only:
            raise SqlError(f"partition {values} already exists")
    session.run(f"REVOKE {WRITE} ON {wanted.table} FROM CURRENT_USER")


def _role(table: str, session: Session) -> str | None:
    """Return the ARN of the role of the table's external schema."""
    schema = literal(table.split('"')[1])
    rows = session.run(f"SELECT esoptions FROM svv_external_schemas WHERE schemaname = {schema}").rows
    return str(json.loads(str(rows[0][0]))["IAM_ROLE"]).split(",")[-1] if rows else None


def _keys(table: str) -> str:
    return (
        "SELECT columnname FROM svv_external_columns JOIN svv_external_tables USING (schemaname, tablename) "
        f"WHERE relation = {literal(table)}::regclass AND part_key > 0 ORDER BY part_key"
    )


def _read(table: str, partition: Partition, session: Session, s3: Any, query: int) -> None:
    keys = dict(partition.values)
    targets = [target for target in loading.columns(table, session) if target.name not in keys]
    for name, value in keys.items():
        session.run(f"ALTER TABLE {table} ALTER COLUMN {quote(name)} SET DEFAULT {literal(value)}")
    for rows, names in _files(partition.location, targets, s3, query):
        session.copy(f"COPY {table} ({', '.join(map(quote, names))}) FROM STDIN (FORMAT csv)", rows)
    for name in keys:
        session.run(f"ALTER TABLE {table} ALTER COLUMN {quote(name)} DROP DEFAULT")


def _files(
    location: str, targets: Sequence[Target], s3: Any, query: int
) -> Iterator[tuple[Iterator[bytes], list[str]]]:
    """Yield the rows of each file of the manifest, with the names of the columns that they fill."""
    bucket, _, key = location.removeprefix("s3://").partition("/")
    for item in loading.manifest(bucket, key, s3):
        object_read = loading.read(item, s3, query)
        if object_read is None:
            continue
        file = object_read[1]
        known = {target.name: target for target in targets}
        shown = [known[name] for name in file.schema_arrow.names if name in known]
        check = partial(parquet.check_columns, file, shown, item.url)
        loading.guarded(check, item, query)
        names = [target.name for target in shown]
        yield parquet.lines(file, shown, names), names
