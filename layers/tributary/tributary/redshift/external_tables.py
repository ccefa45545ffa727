"""SQL of the external tables over the raw layer: a run's chunks are a partition, identified by its manifest.

A day's folder holds the chunks of several runs, so it cannot be a partition; a manifest names the
chunks of exactly one run. Every statement here that changes something runs alone, because Redshift
refuses it in a transaction (r_CREATE_EXTERNAL_TABLE, r_ALTER_TABLE).
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tributary.model.own_columns import KIND, RUN_ID, SEQUENCE
from tributary.model.plan import RawName, TablePlan
from tributary.model.types import VARCHAR_BYTES, Kind, staging
from tributary.redshift.sql import comma, literal, quote

RUN = RUN_ID  # a partition column, as KIND is; no source column can have these names
NAME_BYTES = 127
PARTITIONS_AT_ONCE = 100  # of a table in the Glue catalog (r_ALTER_TABLE)


@dataclass(frozen=True, slots=True)
class Partition:
    """A run's chunks of a table."""

    run_id: str
    kind: str  # `contents` of its control row: image, whole or changes
    manifest_url: str


def table_name(source: str, raw_name: RawName) -> str:
    """Return the external table's name, `shop__orders`; unusual and long names get a digest.

    No two tables have one name, whatever a source's tables are called: a usual name has one double
    underscore, and no underscore beside it, and one with a digest has a second.
    """
    full = "__".join((source, *raw_name))
    usual = re.sub(r"[^a-z0-9_]", "_", full)
    once = full.count("__") == 1 and "___" not in full and len(raw_name) == 1
    if usual == full and once and len(full) <= NAME_BYTES:
        return full
    digest = f"__{hashlib.sha256(json.dumps([source, *raw_name]).encode()).hexdigest()[:32]}"
    return usual[: NAME_BYTES - len(digest)] + digest


def table_name_of_format_3(source: str, raw_name: RawName) -> str:
    """Return the name that the first versions gave the external table."""
    name = "!".join(raw_name)
    full = f"{source}__{name}"
    usual = re.sub(r"[^a-z0-9_]", "_", full)
    if usual == full and full.count("__") == 1 and len(full) <= NAME_BYTES:
        return full
    checksum = f"_{zlib.crc32(f'{source}/{name}'.encode()):08x}"
    return usual[: NAME_BYTES - len(checksum)] + checksum


def columns(table: TablePlan) -> dict[str, str]:
    """Return the columns of the external table for the run's chunks, with their types.

    A partitioned table cannot have VARBYTE, so binary columns are left out. Text columns have the
    widest size, so a wider text needs no change. An instant is a TIMESTAMP in UTC
    (r_CREATE_EXTERNAL_TABLE).
    """
    shown = {column.target: _type(column.kind) for column in table.columns if column.kind.name != "binary"}
    return {**shown, SEQUENCE: "BIGINT"}


def _type(kind: Kind) -> str:
    if kind.name == "timestamptz":
        return "TIMESTAMP"
    if kind.name in ("text", "uuid"):
        return f"VARCHAR({VARCHAR_BYTES})"
    return staging(kind)


def create_schema(schema: str, database: str, role: str) -> str:
    """Return the statement that maps a database of the Glue catalog to a schema of the warehouse."""
    return (
        f"CREATE EXTERNAL SCHEMA IF NOT EXISTS {quote(schema)} FROM DATA CATALOG "
        f"DATABASE {literal(database)} IAM_ROLE {literal(role)}"
    )


def own_schema(schema: str, loader: str) -> str:
    """Return the statement that lets the pipeline create external tables: only the schema's owner can."""
    return f"ALTER SCHEMA {quote(schema)} OWNER TO {quote(loader)}"


def create_table(schema: str, name: str, columns: Mapping[str, str], folder_url: str) -> str:
    """Return the statement that creates an external table; without partitions it has no rows."""
    declared = comma(f"{quote(column)} {type}" for column, type in columns.items())
    return (
        f"CREATE EXTERNAL TABLE {quote(schema, name)} ({declared}) "
        f"PARTITIONED BY ({quote(RUN)} VARCHAR(15), {quote(KIND)} VARCHAR(16)) "
        f"STORED AS PARQUET LOCATION {literal(folder_url)}"
    )


def drop_table(schema: str, name: str) -> str:
    """Return the statement that drops an external table; its files stay on S3."""
    return f"DROP TABLE {quote(schema, name)}"


def add_column(schema: str, name: str, column: str, type: str) -> str:
    """Return the statement that adds a column: NULL in chunks without it."""
    return f"ALTER TABLE {quote(schema, name)} ADD COLUMN {quote(column)} {type}"


def add_partitions(schema: str, name: str, partitions: Sequence[Partition]) -> Iterator[str]:
    """Yield the statements that add runs as partitions; repeatable."""
    for first in range(0, len(partitions), PARTITIONS_AT_ONCE):
        some = partitions[first : first + PARTITIONS_AT_ONCE]
        added = " ".join(
            f"PARTITION ({_values(one.run_id, one.kind)}) LOCATION {literal(one.manifest_url)}"
            for one in some
        )
        yield f"ALTER TABLE {quote(schema, name)} ADD IF NOT EXISTS {added}"


def drop_partition(schema: str, name: str, run_id: str, kind: str) -> str:
    """Return the statement that removes a run's partition."""
    return f"ALTER TABLE {quote(schema, name)} DROP PARTITION ({_values(run_id, kind)})"


def _values(run_id: str, kind: str) -> str:
    return f"{quote(RUN)} = {literal(run_id)}, {quote(KIND)} = {literal(kind)}"


def existing(schema: str, names: Collection[str]) -> str:
    """Return the query for those of the external tables that exist (SVV_EXTERNAL_TABLES)."""
    return f"SELECT tablename FROM svv_external_tables WHERE {_of(schema, names)}"


def partition_counts(schema: str, names: Collection[str]) -> str:
    """Return the query for the number of partitions of each external table (SVV_EXTERNAL_PARTITIONS)."""
    return (
        f"SELECT tablename, COUNT(*) FROM svv_external_partitions WHERE {_of(schema, names)} "
        "GROUP BY tablename"
    )


def partitions(schema: str, name: str) -> str:
    """Return the query for an external table's partitions: their values, as a JSON array."""
    return f'SELECT "values" FROM svv_external_partitions WHERE {_of(schema, [name])}'


def _of(schema: str, names: Collection[str]) -> str:
    return f"schemaname = {literal(schema)} AND tablename IN ({comma(map(literal, names))})"


def partition_values(text: str) -> tuple[str, str]:
    """Return run and kind of a partition from SVV_EXTERNAL_PARTITIONS' text: `["2026…", "image"]`."""
    run_id, kind = json.loads(text)
    return run_id, kind
