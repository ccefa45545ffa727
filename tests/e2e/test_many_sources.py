"""Many sources at once, in a new account whose other users take a third of the Data API's quotas."""

from __future__ import annotations

import json
import os
from pathlib import Path

from local.databases.postgres import Postgres
from local.stack import spawn
from tests.e2e.company import Company
from tests.e2e.written_output import Mailbox, WrittenOutput

# Forty sources and a new account's ten functions at once take minutes, most of them waits between retries.
SOURCES, ROOM = (40, 10) if os.environ.get("TRIBUTARY_SOAK_SECONDS") else (12, 6)
CALLS_AT_MOST = 40  # of one run of two tables, whatever the others do


def test_many_sources_at_once_all_load_though_calls_are_throttled_and_functions_refused(
    postgres: Postgres, tmp_path: Path
) -> None:
    (tmp_path / "sources").mkdir()
    with spawn(
        tmp_path / "stack",
        sources=tmp_path / "sources",
        concurrency=ROOM,
        account_concurrency=ROOM,
        refuse_every=3,
    ) as stack:
        mailbox = Mailbox.open(stack)
        output = WrittenOutput(stack, mailbox)
        company = Company(stack, tmp_path / "sources", postgres, None, tmp_path, mailbox, output)
        sources = [company.source("sqlite") for _ in range(SOURCES)]
        for source in sources:
            source.sql(
                "CREATE TABLE a (id INTEGER PRIMARY KEY)",
                "CREATE TABLE b (id INTEGER PRIMARY KEY)",
                "INSERT INTO a VALUES (1), (2)",
                "INSERT INTO b VALUES (3)",
            )
            source.file("tables: [{name: a, mode: replace}, {name: b, mode: replace}]")

        executions = [company.start(source.name) for source in sources]
        ended = [company.wait(arn, seconds=600) for arn in executions]

        assert [one.status for one in ended] == ["SUCCEEDED"] * SOURCES
        assert all(source.loaded("a", "id") == [(1,), (2,)] for source in sources)
    calls = json.loads((tmp_path / "stack" / "data-api-calls.json").read_text())
    assert sum(calls["accepted"].values()) <= CALLS_AT_MOST * SOURCES
    assert sum(calls["refused"].values()) > SOURCES
