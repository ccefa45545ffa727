"""Keys that no server enforces for every row: the data is asked, and no row is lost."""

from __future__ import annotations

import pytest

from .company import Company, Source
from .compare import ENGINES, failures, full_name


def loaded_or_failed(source: Source, table: str) -> tuple[list[str], int | None]:
    """Run the source; return the errors, or how many rows the warehouse has."""
    ended = source.run()
    errors = [failure["error"] for failure in failures(ended)]
    return errors, None if errors else len(source.loaded(table, "id"))


@pytest.mark.parametrize("mode", ["merge, cursor: at, cursor_time_zone: UTC", "replace"])
def test_an_inheritance_parents_key_is_asked_of_the_data(company: Company, mode: str) -> None:
    source = company.source("postgresql")
    source.sql(
        "CREATE TABLE p (id int PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())",
        "CREATE TABLE c () INHERITS (p)",
        "INSERT INTO p SELECT generate_series(1, 10)",
        "INSERT INTO c SELECT generate_series(5, 14)",
    )
    source.file(f"tables: [{{name: public.p, mode: {mode}, page_rows: 3}}]")
    assert loaded_or_failed(source, "p") == (["KeyNotUnique"], None)
    source.sql("UPDATE c SET id = id + 100")

    assert loaded_or_failed(source, "p") == ([], 20)


def test_a_merge_tables_key_is_asked_of_the_data(company: Company) -> None:
    source = company.source("mysql")
    source.sql(
        "CREATE TABLE one (id int PRIMARY KEY) ENGINE = MyISAM",
        "CREATE TABLE two (id int PRIMARY KEY) ENGINE = MyISAM",
        "CREATE TABLE m (id int PRIMARY KEY) ENGINE = MERGE UNION = (one, two)",
        "INSERT INTO one VALUES (1), (2), (3), (4)",
        "INSERT INTO two VALUES (3), (4), (5)",
    )
    source.file(f"tables: [{{name: {full_name(source, 'm')}, mode: replace, page_rows: 2}}]")
    assert loaded_or_failed(source, "m") == (["KeyNotUnique"], None)
    source.sql("UPDATE two SET id = id + 100 ORDER BY id DESC")

    assert loaded_or_failed(source, "m") == ([], 7)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_views_stated_key_is_accepted_and_asked_of_the_data(company: Company, engine: str) -> None:
    source = company.source(engine)
    source.sql(
        "CREATE TABLE t (id int, v int)",
        "INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)",
        "CREATE VIEW shown AS SELECT id, v FROM t",
    )
    source.file(f"tables: [{{name: {full_name(source, 'shown')}, mode: replace, key: id, page_rows: 2}}]")
    assert loaded_or_failed(source, "shown") == ([], 3)

    source.sql("INSERT INTO t VALUES (3, 4)")
    assert loaded_or_failed(source, "shown") == (["KeyNotUnique"], None)

    source.sql("UPDATE t SET id = NULL WHERE v = 4")
    assert loaded_or_failed(source, "shown") == (["TableRefused"], None)


def test_a_not_null_constraint_that_was_never_validated_proves_nothing(company: Company) -> None:
    source = company.source("postgresql")
    source.sql(
        "CREATE TABLE t (id int, v int)", "CREATE UNIQUE INDEX ON t (id)", "INSERT INTO t VALUES (NULL, 1)"
    )
    source.sql("ALTER TABLE t ADD CONSTRAINT filled NOT NULL id NOT VALID", "INSERT INTO t VALUES (1, 2)")
    source.file("tables: [{name: public.t, mode: merge, cursor: v, key: id}]")

    [failure] = failures(source.run())

    assert "nullable" in failure["message"]
