"""A source of very many tables: every one arrives, and Step Functions' own bounds stay far away."""

from __future__ import annotations

import os
from typing import Any

from .company import Company, Source

SOAK = bool(os.environ.get("TRIBUTARY_SOAK_SECONDS"))
TABLES = 5_000 if SOAK else 130  # more than items, so that these are shared
MADE_AT_ONCE = 250  # a server keeps locks for some thousands of tables
ITEMS_AT_MOST = 100
PAYLOAD_BYTES_AT_MOST = 32 * 1024  # Step Functions takes 256 KB
EVENTS_AT_MOST = 10_000  # Step Functions takes 25,000


def make(source: Source) -> list[str]:
    """Make the tables, each with two rows, and return their names."""
    for start in range(0, TABLES, MADE_AT_ONCE):
        source.sql(
            f"""DO $$ BEGIN FOR i IN {start}..{min(start + MADE_AT_ONCE, TABLES) - 1} LOOP
            EXECUTE format('CREATE TABLE table_%s (id int PRIMARY KEY, note text)', to_char(i, 'FM0000'));
            EXECUTE format('INSERT INTO table_%1$s VALUES (1, %2$L), (2, NULL)', to_char(i, 'FM0000'),
                           'table_' || to_char(i, 'FM0000'));
            END LOOP; END $$"""
        )
    return [f"table_{number:04d}" for number in range(TABLES)]


def notes(company: Company, source: Source, names: list[str]) -> list[str]:
    """Return the note of the first row of each table in the warehouse."""
    table_notes: list[str] = []
    for start in range(0, len(names), MADE_AT_ONCE):
        some = (
            f'SELECT note FROM "{source.name}"."{name}" WHERE id = 1' for name in names[start:][:MADE_AT_ONCE]
        )
        table_notes += [note for (note,) in company.warehouse(" UNION ALL ".join(some))]
    return sorted(table_notes)


def test_a_source_of_very_many_tables_arrives_within_the_bounds_of_one_execution(company: Company) -> None:
    source = company.source("postgresql")
    names = make(source)
    source.file("tables: [{include: 'public.table_*', mode: replace}]\nmax_connections: 8\n")

    ended = company.wait(source.start(), seconds=7200 if SOAK else 290)

    assert ended.status == "SUCCEEDED", ended.report
    assert ended.report is not None
    outcomes = {table["table"]: (table["status"], table["rows_loaded"]) for table in ended.report["tables"]}
    assert outcomes == {f"public.{name}": ("loaded", 2) for name in names}
    assert notes(company, source, names) == names
    events = history(company, ended.arn)
    assert max(len(text.encode()) for event in events for text in payloads(event)) < PAYLOAD_BYTES_AT_MOST
    assert len(events) < EVENTS_AT_MOST
    assert sum(event["type"] == "MapIterationStarted" for event in events) == ITEMS_AT_MOST
    # Tables share items, so what may grow with them is how often Extract and Load are called again.
    starts = sum(event["type"] == "TaskScheduled" for event in events)
    assert starts < ITEMS_AT_MOST + 20 + TABLES / 20


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
