"""Cursors that the catalog shows not to move are not chosen by name, and noted if the file sets them."""

from __future__ import annotations

import pytest

from .company import Company
from .compare import SERVERS, STAMP, full_name, only_table


@pytest.mark.parametrize("engine", SERVERS)
def test_a_foreign_key_that_changes_rows_keeps_a_column_from_being_chosen(
    company: Company, engine: str
) -> None:
    source = company.source(engine)
    source.sql(
        "CREATE TABLE parent (id int PRIMARY KEY)",
        f"CREATE TABLE child (id int PRIMARY KEY, parent_id int, updated_at {STAMP[engine]} NOT NULL, "
        "FOREIGN KEY (parent_id) REFERENCES parent (id) ON UPDATE CASCADE)",
        "INSERT INTO parent VALUES (1)",
        "INSERT INTO child VALUES (1, 1, '2026-01-01 10:00:00')",
    )
    name = full_name(source, "child")
    source.file(f"tables: [{{name: {name}}}]")

    first = only_table(source.run())

    assert first["mode"] == "replace"
    assert any(
        note.startswith('"updated_at" was not chosen as cursor: foreign key') for note in first["notes"]
    )
    source.sql("UPDATE parent SET id = 2")
    assert source.run().status == "SUCCEEDED"
    assert source.loaded("child", "parent_id") == [(2,)]


def test_a_cursor_that_the_file_sets_is_used_with_a_note(company: Company) -> None:
    source = company.source("postgresql")
    source.sql(
        "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN NEW.updated_at := now(); RETURN NEW; END'",
        "CREATE TABLE t (id int PRIMARY KEY, updated_at timestamptz NOT NULL DEFAULT now())",
        "CREATE TRIGGER touched BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION touch()",
        "INSERT INTO t VALUES (1)",
        "CREATE TABLE counted (id int GENERATED ALWAYS AS IDENTITY (CACHE 20) PRIMARY KEY, v int)",
        "INSERT INTO counted (v) VALUES (1)",
    )
    source.file("tables: [{name: public.t}, {name: public.counted, mode: merge, cursor: id}]")
    first = source.run()
    assert first.table("public.t")["mode"] == "merge"  # its trigger moves the column
    assert any("block of 20 values (CACHE)" in note for note in first.table("public.counted")["notes"])
    source.sql("ALTER TABLE t DISABLE TRIGGER touched")
    source.file("tables: [{name: public.t, mode: merge, cursor: updated_at}]")

    notes = only_table(source.run())["notes"]

    assert 'cursor "updated_at" may miss changes: trigger touched is disabled' in notes
