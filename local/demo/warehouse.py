"""Queries of a person through the Redshift Data API."""

from __future__ import annotations

import time

from local.demo import compare
from local.demo.compare import Fingerprint
from local.demo.tables import Table
from local.pipeline import Pipeline

Row = tuple[str | None, ...]
UNDER_WAY = ("SUBMITTED", "PICKED", "STARTED")


class QueryFailed(Exception):
    """The warehouse rejected a query; the message is the warehouse's."""


def ask(pipeline: Pipeline, sql: str) -> list[Row]:
    """Return the query's rows as texts."""
    api = pipeline.client("redshift-data")
    identifier = api.execute_statement(
        Sql=sql,
        WorkgroupName=pipeline.outputs["WarehouseWorkgroup"],
        Database=pipeline.outputs["WarehouseDatabase"],
    )["Id"]
    while (statement := api.describe_statement(Id=identifier))["Status"] in (
        "SUBMITTED",
        "PICKED",
        "STARTED",
    ):
        time.sleep(0.05)
    if statement["Status"] != "FINISHED":
        raise QueryFailed(str(statement.get("Error", statement["Status"])))
    pages = api.get_paginator("get_statement_result").paginate(Id=identifier)
    return [tuple(map(_text, record)) for page in pages for record in page["Records"]]


def _text(field: dict[str, object]) -> str | None:
    return None if field.get("isNull") else str(next(iter(field.values())))


def watermarks(pipeline: Pipeline, source: str) -> dict[str, str | None]:
    """Return the committed watermark of each of the source's tables, by its name in the warehouse."""
    sql = (
        "SELECT target_table, watermark FROM ("
        "SELECT target_table, watermark, "
        "ROW_NUMBER() OVER (PARTITION BY table_name ORDER BY generation DESC, run_id DESC) AS newest "
        f"FROM public.etl_control WHERE source_name = '{source}') AS runs WHERE newest = 1"
    )
    return {str(table): watermark for table, watermark in ask(pipeline, sql)}


def fingerprint(pipeline: Pipeline, schema: str, table: Table, columns: dict[str, str]) -> Fingerprint | None:
    """Return the fingerprint of the table's rows in the warehouse, None if it lacks the columns."""
    try:
        [row] = ask(pipeline, compare.query(compare.REDSHIFT, f"{schema}.{table.name}", columns))
    except QueryFailed:
        return None
    return compare.fingerprint(row)


def count(pipeline: Pipeline, table: str, where: str) -> int:
    """Return how many rows of the table match the condition; 0 if the query fails."""
    try:
        [(counted,)] = ask(pipeline, f"SELECT COUNT(*) FROM {table} WHERE {where}")
    except QueryFailed:
        return 0
    return int(str(counted))
