"""The documents of commit 52fccad in the middle of a schedule: the present code goes on from there."""

from __future__ import annotations

import json
from typing import Any

from tests.recorded_documents import Recording
from tributary.redshift.data_api import Warehouse

from .company import Company, PostgresSource, Row
from .steps import role_client

MERGED = ("merge", "shared", "replaced", "big")  # hold the source's rows
APPENDED = ("append", "counted")  # hold every row that was ever inserted, once
VERSIONED = ("history", "images")  # their current versions are the source's rows
WITH_CURSOR = ("merge", "append", "history", "shared", "counted")
ONCE_READ = "id, note, more"
OUT_OF_REACH = {"host": "127.0.0.1", "port": 1, "username": "none", "password": "", "dbname": "none"}


def upgraded(company: Company, *, broken: bool = False) -> PostgresSource:
    """Return a source as the old version left it: its database, its file, its documents, its tables."""
    source = company.source("postgresql")
    assert isinstance(source, PostgresSource)
    recording = Recording(source.name)
    source.sql(*recording.statements(source.name, broken=broken))
    source.file(recording.file(source.name, broken=broken))
    outputs = company.stack.outputs
    where = {"Database": outputs["WarehouseDatabase"], "WorkgroupName": outputs["WarehouseWorkgroup"]}
    Warehouse(role_client(company, "redshift-data", "LoadFunction"), where).run(
        recording.warehouse(), "recorded"
    )
    s3, bucket = company.client("s3"), company.stack.outputs["RawBucketName"]
    for key, content in recording.objects(broken=broken).items():
        s3.put_object(Bucket=bucket, Key=key, Body=content)
    return source


def target(source: PostgresSource, table: str) -> str:
    return "recorded_company.shared" if table == "shared" else f'"{source.name}"."{table}"'


def loaded(source: PostgresSource, table: str) -> list[Row]:
    current = " AND is_current" if table in VERSIONED else ""
    return source.company.warehouse(
        f"SELECT {ONCE_READ} FROM {target(source, table)} WHERE source_system = '{source.name}'{current} "
        "ORDER BY id"
    )


def in_source(source: PostgresSource, table: str) -> list[Row]:
    return source.sql(f"SELECT {ONCE_READ} FROM {table} ORDER BY id")


def assert_exact(source: PostgresSource) -> None:
    for table in (*MERGED, *APPENDED, *VERSIONED):
        assert loaded(source, table) == in_source(source, table), table


def everything(source: PostgresSource) -> dict[str, list[Row]]:
    """Return all rows of all tables, with the run of each."""
    more = dict.fromkeys(VERSIONED, ", valid_from, valid_to, is_current, row_digest")
    return {
        table: sorted(
            source.company.warehouse(
                f"SELECT {ONCE_READ}, run_id{more.get(table, '')} FROM {target(source, table)} "
                f"WHERE source_system = '{source.name}'"
            ),
            key=repr,
        )
        for table in (*MERGED, *APPENDED, *VERSIONED, "snapshots")
    }


def succeeded(source: PostgresSource, **fields: Any) -> dict[str, dict[str, Any]]:
    """Run the source; return what the report says of each table."""
    ended = source.run(**fields)
    assert ended.status == "SUCCEEDED", json.dumps(ended.report)
    assert ended.report is not None
    return {table["table"].removeprefix("public."): table for table in ended.report["tables"]}


def test_a_schedule_goes_on_after_an_upgrade_and_reads_nothing_again(company: Company) -> None:
    source = upgraded(company)

    first = succeeded(source)

    assert [(name, first[name]["rows_read"], first[name]["whole"]) for name in WITH_CURSOR] == [
        (name, 0, False) for name in WITH_CURSOR
    ]
    assert_exact(source)

    for table in (*MERGED, *APPENDED, *VERSIONED):
        source.sql(
            f"INSERT INTO {table} (id, note, at, more) VALUES (30, 5, '2026-01-05 10:00:00+00', 'new')"
        )
    second = succeeded(source)
    assert [second[name]["rows_read"] for name in WITH_CURSOR] == [1] * len(WITH_CURSOR)
    assert_exact(source)


def test_a_replay_over_runs_of_both_versions_is_exact(company: Company) -> None:
    source = upgraded(company)
    for table in (*MERGED, *APPENDED, *VERSIONED):
        source.sql(
            f"INSERT INTO {table} (id, note, at, more) VALUES (30, 5, '2026-01-05 10:00:00+00', 'new')"
        )
    succeeded(source)
    before = everything(source)
    for table in before:
        company.warehouse(
            f"DELETE FROM {target(source, table)} WHERE id IN (1, 2) AND source_system = '{source.name}'"
        )
    source.put_secret(OUT_OF_REACH)

    replayed = succeeded(source, replay=True, may_vanish="100%")

    assert everything(source) == before
    assert {name for name, table in replayed.items() if table["status"] == "loaded"} == set(before)


def test_a_broken_run_of_the_old_version_is_taken_over_with_what_it_had_read(company: Company) -> None:
    source = upgraded(company, broken=True)
    old = company.document(f"_leases/{source.name}.json")

    tables = succeeded(source)

    new = company.document(f"_leases/{source.name}.json")
    assert (new["generation"], new.get("execution_arn")) == (old["generation"] + 1, None)
    assert_exact(source)
    late = company.warehouse(f'SELECT id, note FROM "{source.name}".late ORDER BY id')
    assert late == source.sql("SELECT id, note FROM late ORDER BY id")
    note = f"resumed from run {old['run_id']}, which had begun to read the table"
    carried = {name for name, table in tables.items() if any(one.startswith(note) for one in table["notes"])}
    assert carried == {"append", "counted", "history", "late", "shared"}
    chunks = [key for key in company.keys(f"{source.name}/") if "/late_" in key]
    assert [new["run_id"] in key for key in chunks].count(True) == 0
    assert len(chunks) == 6  # twelve rows in pages of two, none of them read twice


def test_a_paused_table_stays_paused_until_it_is_asked_for_by_name(company: Company) -> None:
    main = company.source("postgresql")
    recording, name = Recording(main.name), f"{main.name}_failing"
    source = PostgresSource(company, name)
    source.create()
    source.put_secret(source.secret())
    source.sql(*recording.statements(name))
    source.file(recording.file(name))
    s3, bucket = company.client("s3"), company.stack.outputs["RawBucketName"]
    for key, content in recording.objects().items():
        if name in key:
            s3.put_object(Bucket=bucket, Key=key, Body=content)

    left_out = source.run().report

    assert left_out is not None
    assert [table["table"] for table in left_out["paused"]] == ["public.never"]
    source.sql("UPDATE never SET day = '2026-01-01'")
    assert source.run(tables=["public.never"]).status == "SUCCEEDED"
    assert company.document(f"_leases/{name}.health.json")["tables"] == {}
    assert company.document(f"_leases/{name}.standing.json")["tables"] != {}  # no longer written
    assert source.run().table("public.never")["status"] == "loaded"
