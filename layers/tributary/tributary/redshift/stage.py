"""Stage: create a staging table for this run with the Parquet schema, and fill it by one COPY.

A failure here leaves the table that people read unchanged, so the stage can be repeated.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from tributary.model.own_columns import DIGEST, FROM, IS_CURRENT, SEQUENCE, SOURCE_SYSTEM, added
from tributary.model.plan import TablePlan
from tributary.model.result import Chunk
from tributary.model.types import staging
from tributary.model.warehouse_names import STAGING_SCHEMA
from tributary.redshift import table_design
from tributary.redshift.modes.digest import mark
from tributary.redshift.sql import comma, literal, quote


def staging_name(source: str, run_id: str, number: int) -> str:
    """Return the name of a table's staging table in one run."""
    return f"{source}__{run_id}_{number}"


def target(table: TablePlan) -> str:
    """Return the table's name in the warehouse, quoted."""
    return quote(table.target.schema_name, table.target.table_name)


def create_target(table: TablePlan) -> str:
    """Return the statement that creates the table that people read if it is missing."""
    own = [f"{quote(name)} {type}" for name, type in added(table.mode).items()]
    columns = comma([*table_design.declared(table), *own])
    return f"CREATE TABLE IF NOT EXISTS {target(table)} ({columns}){table_design.attributes(table)}"


def stage(table: TablePlan, name: str, manifest_url: str | None, copy_role: str) -> list[str]:
    """Return the stage batch; without a manifest (no rows) the staging table stays empty.

    The last statement counts the staged rows and, for a full refresh, the rows that they would replace.
    """
    staged = quote(STAGING_SCHEMA, name)
    declared = [f"{quote(column.target)} {staging(column.kind)}" for column in table.columns]
    declared.append(f"{quote(SEQUENCE)} BIGINT")
    statements = [
        create_target(table),
        f"DROP TABLE IF EXISTS {staged}",
        f"CREATE TABLE {staged} ({comma(declared)}){table_design.staged(table)}",
    ]
    if manifest_url:
        names = comma(quote(column) for column in [*(column.target for column in table.columns), SEQUENCE])
        statements.append(
            f"COPY {staged} ({names}) FROM {literal(manifest_url)} IAM_ROLE {literal(copy_role)} "
            "FORMAT AS PARQUET MANIFEST"
        )
    if table.mode == "history":  # after COPY, so that the table has exactly the columns of the chunks
        statements += [
            f"ALTER TABLE {staged} ADD COLUMN {quote(DIGEST)} VARCHAR(65535)",  # the digests of all columns
            f"ALTER TABLE {staged} ADD COLUMN {quote(FROM)} TIMESTAMP",
        ]
        statements += mark(table, name) if manifest_url else []
    return [*statements, _count(table, staged)]


def _count(table: TablePlan, staged: str) -> str:
    if not table.publish.full_refresh:
        return f"SELECT COUNT(*) FROM {staged}"
    current = (
        [f"{quote(IS_CURRENT)} = TRUE"]
        if table.mode == "history" and not table.publish.convert_to_history
        else []
    )
    ours = [f"{quote(SOURCE_SYSTEM)} = {literal(table.target.owner)}"] if table.target.owner else []
    conditions = " AND ".join([*current, *ours])
    existing = f"SELECT COUNT(*) AS existing FROM {target(table)}"
    existing += f" WHERE {conditions}" if conditions else ""
    arrived = f"SELECT COUNT(*) AS arrived FROM {staged}"
    return f"SELECT arrived, existing FROM ({arrived}) AS a CROSS JOIN ({existing}) AS e"


def manifest(bucket: str, chunks: Sequence[Chunk]) -> bytes:
    """Return COPY's manifest. For Parquet `meta.content_length` is required and must be exact.

    (copy-parameters-data-source-s3)
    """
    entries = [
        {
            "url": f"s3://{bucket}/{chunk.key}",
            "mandatory": True,
            "meta": {"content_length": chunk.size_bytes},
        }
        for chunk in chunks
    ]
    return json.dumps({"entries": entries}).encode()


def drop(names: Sequence[str]) -> list[str]:
    """Return the statements that drop staging tables of interrupted runs."""
    return [f"DROP TABLE IF EXISTS {quote(STAGING_SCHEMA, name)}" for name in names]
