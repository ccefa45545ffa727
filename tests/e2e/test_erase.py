"""Rows and whole sources are erased by the steps in docs/operations.md."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jmespath  # type: ignore[import-untyped]
import pytest

from .company import Company, Source

PAGE = (Path(__file__).parents[2] / "docs/operations.md").read_text()
SECTION = PAGE[PAGE.index("## Erase rows or a source") : PAGE.index("## How fresh a table is")]
PERSON = "Ann Person"


def erase(company: Company, prefix: str, word: str) -> None:
    """Do what `erase` in the documentation does, with its own query."""
    match = re.search(r'"(\{Objects: .*\})"', SECTION)
    assert match is not None
    query, s3 = match[1].replace("$2", word), company.client("s3")
    bucket = company.stack.outputs["RawBucketName"]
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix)
    for page in pages:
        objects = jmespath.search(query, page)
        if objects["Objects"]:
            s3.delete_objects(Bucket=bucket, Delete=objects)


def stored(company: Company, source: Source, text: str) -> list[str]:
    """Return the keys of all versions of the source's objects that contain the text."""
    s3, bucket = company.client("s3"), company.stack.outputs["RawBucketName"]
    keys = []
    for prefix in (f"{source.name}/", f"_runs/{source.name}/", f"_leases/{source.name}."):
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
            for version in page.get("Versions", []):
                where = {"Bucket": bucket, "Key": version["Key"], "VersionId": version["VersionId"]}
                if text.encode() in s3.get_object(**where)["Body"].read():
                    keys.append(version["Key"])
    return keys


@pytest.fixture
def people(company: Company) -> Source:
    source = company.source("sqlite")
    source.sql(
        "CREATE TABLE people (name VARCHAR(20) NOT NULL PRIMARY KEY, at TIMESTAMP NOT NULL)",
        f"INSERT INTO people VALUES ('{PERSON}', '2026-01-01 10:00:00'), ('Bob', '2026-01-01 11:00:00')",
    )
    source.file("tables: [{name: people, mode: merge, cursor: at, cursor_time_zone: UTC, may_vanish: 100%}]")
    assert source.run().status == "SUCCEEDED"
    source.sql("UPDATE people SET at = '2026-01-02 10:00:00'")
    assert source.run().status == "SUCCEEDED"
    return source


def test_a_persons_rows_are_erased_from_every_version_and_later_replays(
    company: Company, people: Source
) -> None:
    assert len({key for key in stored(company, people, PERSON) if key.endswith(".parquet")}) >= 2
    people.sql(f"DELETE FROM people WHERE name = '{PERSON}'")
    ended = people.run(tables=["main.people"], full_refresh=True)
    run = report(ended.report)["run_id"]

    days = {key.rpartition("/")[0] + "/" for key in company.keys(f"{people.name}/")}
    assert all(re.fullmatch(rf"{people.name}/..../../../people/", day) for day in days)
    for prefix in (*days, f"_runs/{people.name}/"):
        erase(company, prefix, run)

    assert stored(company, people, PERSON) == []
    assert people.loaded("people", "name") == [("Bob",)]
    assert people.run(tables=["main.people"], replay=True).status == "SUCCEEDED"
    assert people.loaded("people", "name") == [("Bob",)]
    people.sql("INSERT INTO people VALUES ('Cid', '2026-01-03 10:00:00')")
    assert people.run().status == "SUCCEEDED"
    assert people.loaded("people", "name") == [("Bob",), ("Cid",)]


def report(document: dict[str, Any] | None) -> dict[str, Any]:
    assert document is not None
    return document


def test_a_source_is_erased_and_may_come_back(company: Company, people: Source) -> None:
    for prefix in (f"{people.name}/", f"_runs/{people.name}/", f"_leases/{people.name}."):
        erase(company, prefix, "none-is-kept")
        assert company.keys(prefix) == []
    statements = re.findall(r"^(?:DROP SCHEMA|DELETE FROM) .*;$", SECTION, re.MULTILINE)
    assert len(statements) == 5
    for statement in statements:
        company.warehouse(statement.replace("shop", people.name))

    assert stored(company, people, "") == []
    for table in ("etl_control", "etl_fence", "etl_schema_change"):
        assert company.warehouse(f"SELECT 1 FROM public.{table} WHERE source_name = '{people.name}'") == []
    assert people.run().status == "SUCCEEDED"
    assert people.loaded("people", "name") == [(PERSON,), ("Bob",)]
