"""External tables over the raw layer: a run's chunks are a partition, by the manifest that COPY read.

A day's folder holds the chunks of several runs, so it is no partition: a manifest names exactly one
run's. Every statement here that changes something runs alone, since Redshift refuses it in a transaction
(r_CREATE_EXTERNAL_TABLE, r_ALTER_TABLE).
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tributary.model.own_columns import SEQUENCE
from tributary.model.plan import TablePlan
from tributary.model.types import VARCHAR_BYTES, Kind, staging
from tributary.redshift.sql import comma, literal, quote

RUN, KIND = "run_id", "_tributary_kind"  # the partition's columns: no column of a source has such a name
NAME_BYTES = 127
PARTITIONS_AT_ONCE = 100  # of a table in the Glue catalog (r_ALTER_TABLE)


@dataclass(frozen=True, slots=True)
class Partition:
    """A run's chunks of a table: what its rows are of the table, and where its manifest stands."""

    run_id: str
    kind: str
    manifest_url: str


def table_name(source: str, raw_name: str) -> str:
    """Return the external table's name, `shop__orders`; a mark keeps odd and long names apart."""
    told = f"{source}__{raw_name}"
    plain = re.sub(r"[^a-z0-9_]", "_", told)
    if plain == told and told.count("__") == 1 and len(told) <= NAME_BYTES:
        return told
    mark = f"_{zlib.crc32(f'{source}/{raw_name}'.encode()):08x}"
    return plain[: NAME_BYTES - len(mark)] + mark


def columns(table: TablePlan) -> dict[str, str]:
    """Return the columns, with their types, that an external table shows of the run's chunks.

    A partitioned table can have no VARBYTE, so binaries are left out; a text's size is the widest, so
    that one which grows changes nothing; an instant is a TIMESTAMP in UTC (r_CREATE_EXTERNAL_TABLE).
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
    """Return the statement that shows a database of the Glue catalog as a schema of the warehouse."""
    return (
        f"CREATE EXTERNAL SCHEMA IF NOT EXISTS {quote(schema)} FROM DATA CATALOG "
        f"DATABASE {literal(database)} IAM_ROLE {literal(role)}"
    )


def own_schema(schema: str, loader: str) -> str:
    """Return the statement that lets the pipeline make external tables: only the schema's owner may."""
    return f"ALTER SCHEMA {quote(schema)} OWNER TO {quote(loader)}"


def create_table(schema: str, name: str, columns: Mapping[str, str], folder_url: str) -> str:
    """Return the statement that makes an external table; without a partition it has no row."""
    declared = comma(f"{quote(column)} {type}" for column, type in columns.items())
    return (
        f"CREATE EXTERNAL TABLE {quote(schema, name)} ({declared}) "
        f"PARTITIONED BY ({quote(RUN)} VARCHAR(15), {quote(KIND)} VARCHAR(16)) "
        f"STORED AS PARQUET LOCATION {literal(folder_url)}"
    )


def drop_table(schema: str, name: str) -> str:
    """Return the statement that forgets an external table; what it shows stays on S3."""
    return f"DROP TABLE {quote(schema, name)}"


def add_column(schema: str, name: str, column: str, type: str) -> str:
    """Return the statement that shows another column: NULL in the chunks that have none of that name."""
    return f"ALTER TABLE {quote(schema, name)} ADD COLUMN {quote(column)} {type}"


def add_partitions(schema: str, name: str, partitions: Sequence[Partition]) -> Iterator[str]:
    """Yield the statements that show runs' chunks; repeatable."""
    for first in range(0, len(partitions), PARTITIONS_AT_ONCE):
        some = partitions[first : first + PARTITIONS_AT_ONCE]
        added = " ".join(
            f"PARTITION ({_values(one.run_id, one.kind)}) LOCATION {literal(one.manifest_url)}"
            for one in some
        )
        yield f"ALTER TABLE {quote(schema, name)} ADD IF NOT EXISTS {added}"


def drop_partition(schema: str, name: str, run_id: str, kind: str) -> str:
    """Return the statement that hides a run's chunks."""
    return f"ALTER TABLE {quote(schema, name)} DROP PARTITION ({_values(run_id, kind)})"


def _values(run_id: str, kind: str) -> str:
    return f"{quote(RUN)} = {literal(run_id)}, {quote(KIND)} = {literal(kind)}"


def standing(schema: str, names: Collection[str]) -> str:
    """Return the query of which of the external tables are there (SVV_EXTERNAL_TABLES)."""
    return f"SELECT tablename FROM svv_external_tables WHERE {_of(schema, names)}"


def counted(schema: str, names: Collection[str]) -> str:
    """Return the query of how many partitions each external table has (SVV_EXTERNAL_PARTITIONS)."""
    return (
        f"SELECT tablename, COUNT(*) FROM svv_external_partitions WHERE {_of(schema, names)} "
        "GROUP BY tablename"
    )


def partitions(schema: str, name: str) -> str:
    """Return the query of an external table's partitions: their values, as a JSON array."""
    return f'SELECT "values" FROM svv_external_partitions WHERE {_of(schema, [name])}'


def _of(schema: str, names: Collection[str]) -> str:
    return f"schemaname = {literal(schema)} AND tablename IN ({comma(map(literal, names))})"


def values(told: str) -> tuple[str, str]:
    """Return run and kind of a partition as SVV_EXTERNAL_PARTITIONS tells them: `["2026…", "image"]`."""
    run_id, kind = json.loads(told)
    return run_id, kind
