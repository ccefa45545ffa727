"""A source of very many tables: every one arrives, and Step Functions' own bounds stay far away."""

from __future__ import annotations

import os
from typing import Any

from .company import Company

TABLES = 2_000 if os.environ.get("TRIBUTARY_SOAK_SECONDS") else 200
PAYLOAD_BYTES_AT_MOST = 32 * 1024  # Step Functions takes 256 KB
EVENTS_AT_MOST = 20_000  # Step Functions takes 25,000


def test_a_source_of_very_many_tables_arrives_within_the_bounds_of_one_execution(company: Company) -> None:
    source = company.source("sqlite")
    names = [f"table_{number:04d}" for number in range(TABLES)]
    source.sql(*[f"CREATE TABLE {name} (id integer PRIMARY KEY, note varchar(20))" for name in names])
    source.sql(*[f"INSERT INTO {name} VALUES (1, '{name}'), (2, NULL)" for name in names])
    source.file("tables: [{include: 'table_*', mode: replace}]\nmax_connections: 8\n")

    ended = company.wait(source.start(), seconds=290)

    assert ended.status == "SUCCEEDED", ended.report
    assert ended.report is not None
    told = {table["table"]: (table["status"], table["rows_loaded"]) for table in ended.report["tables"]}
    assert told == {f"main.{name}": ("loaded", 2) for name in names}
    everywhere = " UNION ALL ".join(
        f'SELECT note FROM "{source.name}"."{name}" WHERE id = 1' for name in names
    )
    assert sorted(note for (note,) in company.warehouse(everywhere)) == names
    events = history(company, ended.arn)
    assert max(len(text.encode()) for event in events for text in payloads(event)) < PAYLOAD_BYTES_AT_MOST
    assert len(events) < EVENTS_AT_MOST
    # Items are capped at 100: what may grow with the tables is how often Load is called.
    assert sum(event["type"] == "MapIterationStarted" for event in events) == 100


def history(company: Company, arn: str) -> list[dict[str, Any]]:
    """Return the execution's events."""
    pages = company.client("stepfunctions").get_paginator("get_execution_history").paginate(executionArn=arn)
    return [event for page in pages for event in page["events"]]


def payloads(event: dict[str, Any]) -> list[str]:
    """Return what an event carries of inputs, outputs and results."""
    details = [value for value in event.values() if isinstance(value, dict)]
    return [
        text for detail in details for name in ("input", "output", "parameters") if (text := detail.get(name))
    ]
