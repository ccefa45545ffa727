"""Tables that a source does not show any more fail by name; those that never could be read are noted."""

from __future__ import annotations

import pytest

from .company import Company, Ended, Source
from .compare import STAMP, failures, full_name

USER = "gone_reader"
PASSWORD = "gone-reader-1"
TABLES = ("stays", "revoked", "dropped", "renamed")


def create(source: Source, engine: str) -> None:
    """Create the tables and a user who may read them, as whom the source is read."""
    for table in TABLES:
        source.sql(
            f"CREATE TABLE {table} (id int PRIMARY KEY, at {STAMP[engine]} NOT NULL)",
            f"INSERT INTO {table} VALUES (1, '2026-01-01 10:00:00')",
        )
    grants = [f"GRANT SELECT ON {table} TO {reader(source)}" for table in TABLES]
    if engine == "postgresql":
        source.sql(f"CREATE ROLE {reader(source)} LOGIN PASSWORD '{PASSWORD}'", *grants)
    else:
        source.sql(f"CREATE USER {reader(source)} IDENTIFIED BY '{PASSWORD}'", *grants)
    source.put_secret({**source.secret(), "username": reader(source), "password": PASSWORD})


def failed(ended: Ended) -> dict[str, str]:
    """Return the errors of the tables that failed."""
    assert ended.report is not None
    return {
        table["table"]: table["failure"]["error"] for table in ended.report["tables"] if table.get("failure")
    }


def reader(source: Source) -> str:
    return f"{source.name}_{USER}"


@pytest.mark.parametrize("engine", ["postgresql", "mysql"])
def test_a_table_that_was_loaded_and_is_revoked_dropped_or_renamed_fails_by_name(
    company: Company, engine: str
) -> None:
    source = company.source(engine)
    create(source, engine)
    schema = full_name(source, "stays").partition(".")[0]
    source.file(f"tables: [{{include: '{schema}.*', mode: merge, cursor: at, cursor_time_zone: UTC}}]")
    first = source.run()
    assert first.status == "SUCCEEDED", failures(first)
    source.sql(
        f"REVOKE SELECT ON revoked FROM {reader(source)}",
        "DROP TABLE dropped",
        "ALTER TABLE renamed RENAME TO has_other_name",
    )

    for _ in range(2):  # in each run, also if nothing else has new rows
        ended = source.run()
        assert failed(ended) == {full_name(source, name): "TableGone" for name in TABLES[1:]}
        assert ended.status == "FAILED"

    excluded = ", ".join(f"{schema}.{name}" for name in TABLES[1:])
    source.file(
        f"tables: [{{include: '{schema}.*', exclude: [{excluded}], mode: merge, cursor: at, "
        "cursor_time_zone: UTC}]"
    )
    assert source.run().status == "SUCCEEDED"


def test_a_table_without_a_cursor_is_missed_though_no_other_table_has_new_rows(company: Company) -> None:
    source = company.source("postgresql")
    create(source, "postgresql")
    source.file(
        "tables: [{name: public.dropped, mode: replace}, {include: 'public.s*', mode: merge, cursor: at, "
        "cursor_time_zone: UTC}]"
    )
    assert source.run().status == "SUCCEEDED"
    source.file(
        "tables: [{include: 'public.d*', mode: replace}, {include: 'public.s*', mode: merge, cursor: at, "
        "cursor_time_zone: UTC}]"
    )
    source.sql("DROP TABLE dropped")

    assert [failure["error"] for failure in failures(source.run())] == ["TableGone"]


def test_a_paused_table_that_is_gone_is_named_in_every_run(company: Company) -> None:
    source = company.source("postgresql")
    create(source, "postgresql")
    source.file("pause_after: 1\ntables: [{include: 'public.*', mode: replace}]")
    assert source.run().status == "SUCCEEDED"
    source.sql("DROP TABLE dropped")
    source.run()

    report = source.run().report

    assert report is not None
    assert [table["table"] for table in report["paused"]] == ["public.dropped"]


def test_tables_that_were_never_readable_are_one_note_and_a_granted_column_is_enough(
    company: Company,
) -> None:
    source = company.source("postgresql")
    create(source, "postgresql")
    source.sql(
        "CREATE TABLE secret_a (id int PRIMARY KEY)",
        "CREATE TABLE secret_b (id int PRIMARY KEY)",
        "CREATE TABLE partly (id int PRIMARY KEY, name text, card text)",
        "INSERT INTO partly VALUES (1, 'a', 'b')",
        f"GRANT SELECT (id, name) ON partly TO {reader(source)}",
    )
    source.file("tables: [{include: 'public.*', mode: replace}]")

    first = source.run()

    assert failed(first) == {"public.partly": "TableRefused"}
    [refused] = failures(first)
    assert "may not read card; grant SELECT on them, or list the columns" in refused["message"]
    assert first.report is not None
    hidden = [note for note in first.report["notes"] if "may not read" in note]
    assert len(hidden) == 1
    assert "2 tables match" in hidden[0]
    assert "public.secret_a, public.secret_b;" in hidden[0]

    source.file(
        "tables: [{name: public.partly, mode: replace, columns: [id, name]}, "
        "{include: 'public.*', exclude: ['public.secret*'], mode: replace}]"
    )
    assert source.run().status == "SUCCEEDED"
    assert source.loaded("partly", "id, name") == [(1, "a")]
