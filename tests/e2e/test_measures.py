"""What runs measure of themselves arrives where the dashboard and the alarms look for it."""

from __future__ import annotations

import json
from typing import Any

from .company import Company, Source


def logged(company: Company, source: Source) -> list[dict[str, Any]]:
    """Return the functions' log lines about the source, oldest first within each function."""
    lines = [
        json.loads(line)
        for log in sorted(company.stack.directory.rglob("*.log"))
        for line in log.read_text(errors="replace").splitlines()
        if line.startswith("{") and f'"source":"{source.name}"' in line
    ]
    return [line for line in lines if line.get("source") == source.name]


def test_a_table_that_is_refused_counts_as_that_and_falls_behind_while_its_neighbour_does_not(
    company: Company,
) -> None:
    source = company.source("postgresql")
    source.sql(
        "CREATE TABLE fine (id int PRIMARY KEY)",
        "INSERT INTO fine VALUES (1), (2)",
        "CREATE TABLE spoilt (id int PRIMARY KEY, until timestamp)",
        "INSERT INTO spoilt VALUES (1, '2026-01-01')",
    )
    source.file("tables: [{include: 'public.*', mode: replace}]")
    assert source.run().status == "SUCCEEDED"
    source.sql("UPDATE spoilt SET until = 'infinity'")
    ended = source.run()
    assert ended.table("public.spoilt")["failure"]["error"] == "ValueRefused"

    lines = logged(company, source)
    first, second = [line for line in lines if "_aws" in line]
    [declared] = second["_aws"]["CloudWatchMetrics"]
    assert declared["Namespace"] == "Tributary/tributary"
    assert (first["RunsSucceeded"], first["TablesRefused"], first["RowsLoaded"]) == ([1], [0], [3])
    assert (second["RunsFailed"], second["TablesRefused"], second["RowsLoaded"]) == ([1], [1], [2])
    waking = 8 * 0.375 / 60  # a minute of the warehouse
    assert waking < first["EstimatedCostUsd"][0] < 2 * waking
    assert ended.report
    assert ended.report["cost_usd"] == second["EstimatedCostUsd"][0]
    assert ended.table("public.fine")["cost_usd"] > 0
    [expected] = company.mailbox.about(ended.arn)
    assert f"Estimated cost: {ended.report['cost_usd']:.4f} USD" in expected["Message"]
    assert second["WatermarkLagSeconds"][0] > second["DurationMs"][0] / 1000 >= 0

    by_message: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        by_message.setdefault(line.get("message", ""), []).append(line)
    assert [line["table"] for line in by_message["table behind"]][-2:] == ["public.spoilt", "public.fine"]
    assert all(line["lag_s"] >= 0 for line in by_message["table behind"])
    assert all(line["extract_s"] > 0 for line in by_message["table extracted"])
    assert all(line["load_ms"] > 0 for line in by_message["table loaded"])
