"""Who sees what of a table, from the source's file to the warehouse's grants and policies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tributary.model.own_columns import added

from .company import Company, Source
from .compare import only_table

ANALYST = "tributary_analyst"
COLUMNS = ("id", "email", "born", "region")


def seen(source: Source, role: str = ANALYST) -> list[str]:
    """Return the columns of the table that the role may select."""
    table = f'"{source.name}"."people"'
    rows = source.company.warehouse(
        f"SELECT column_name FROM svv_columns WHERE table_schema = '{source.name}' AND table_name = 'people' "
        f"AND has_column_privilege('{role}', '{table}', column_name, 'SELECT') ORDER BY ordinal_position"
    )
    return [name for (name,) in rows if name not in added("history")]


def protected(source: Source) -> list[str]:
    """Return the columns with a mask, and '' where a policy on rows is attached."""
    there = f"relation = '\"{source.name}\".\"people\"'::regclass AND grantee = '{ANALYST}'"
    rows = source.company.warehouse(
        f"SELECT column_name FROM stand_in.attached_policy WHERE {there} ORDER BY 1"
    )
    return [name for (name,) in rows]


@contextmanager
def failing(company: Company) -> Iterator[None]:
    """Make the setting of access fail: what a run leaves behind can be looked at."""
    company.warehouse("ALTER TABLE public.etl_access RENAME TO etl_access_away")
    yield
    company.warehouse("ALTER TABLE public.etl_access_away RENAME TO etl_access")


def run_without_access(source: Source) -> dict[str, Any]:
    """Run the source; its table is loaded, and the run fails since access could not be set."""
    with failing(source.company):
        ended = source.run()
    assert ended.report is not None
    assert (ended.status, ended.report["failure"]["error"]) == ("FAILED", "AccessFailed")
    assert (
        "tables are loaded, but access was not set: its function failed" in ended.report["failure"]["message"]
    )
    [table] = ended.report["tables"]
    assert table["status"] == "loaded"
    return dict(table)


def read(source: Source, access: str | None) -> None:
    setting = f", access: {access}" if access else ""
    source.file(f"tables: [{{name: public.people, mode: replace{setting}}}]")


def test_access_is_given_after_the_load_changed_with_the_file_and_taken_back(company: Company) -> None:
    source = company.source("postgresql")
    source.sql(
        "CREATE TABLE people (id int PRIMARY KEY, email varchar(80), born date, region varchar(2))",
        "INSERT INTO people VALUES (1, 'ann@example.com', '1990-01-01', 'EU')",
    )
    read(source, None)
    only_table(source.run())
    assert seen(source) == []  # what a file says nothing of is granted to no one

    read(source, "{columns: {exclude: [region]}, mask: {email: hash, born: 'null'}, rows: {region: [EU]}}")
    only_table(source.run())
    assert seen(source) == ["id", "email", "born"]
    assert protected(source) == ["", "born", "email"]
    assert seen(source, "tributary_admin_role") == list(COLUMNS)

    source.sql("INSERT INTO people VALUES (2, 'bob@example.com', '1991-01-01', 'US')")
    only_table(source.run())  # a swap of all rows keeps the table, and so its grants and masks
    assert (seen(source), protected(source)) == (["id", "email", "born"], ["", "born", "email"])

    company.warehouse(f'DROP TABLE "{source.name}"."people"')
    only_table(source.run())
    assert seen(source) == ["id", "email", "born"]
    assert protected(source) == ["", "born", "email"]

    source.sql("ALTER TABLE people ALTER id TYPE bigint")  # the table is recreated, and nothing stays on it
    assert "id: INTEGER → BIGINT" in str(run_without_access(source)["notes"])
    assert seen(source) == []
    only_table(source.run())
    assert seen(source) == ["id", "email", "born"]
    assert protected(source) == ["", "born", "email"]

    read(source, "{mask: {email: 'null'}}")
    only_table(source.run())
    assert seen(source) == list(COLUMNS)
    assert protected(source) == ["email"]

    source.sql("ALTER TABLE people DROP email", "ALTER TABLE people ADD phone varchar(80) DEFAULT '12345'")
    read(source, "{mask: {email: 'null', phone: hash}}")
    run_without_access(source)
    assert seen(source) == list(COLUMNS)
    only_table(source.run())
    assert seen(source) == [*COLUMNS, "phone"]
    assert protected(source) == ["email", "phone"]  # the old addresses are still in the table

    read(source, "none")
    only_table(source.run())
    assert seen(source) == []
    assert (protected(source), seen(source, "tributary_admin_role")) == ([], [])


def test_a_column_renamed_in_the_source_is_hidden_until_the_file_names_it(company: Company) -> None:
    source = company.source("postgresql")
    source.sql(
        "CREATE TABLE people (id int PRIMARY KEY, email varchar(80), born date, region varchar(2))",
        "INSERT INTO people VALUES (1, 'ann@example.com', '1990-01-01', 'EU')",
    )
    masked = "{mask: {email: hash}}"
    read(source, masked)
    only_table(source.run())
    assert seen(source) == list(COLUMNS)

    def hidden() -> None:
        table = only_table(source.run())
        assert (table["hidden_columns"], seen(source)) == (["mail"], list(COLUMNS))
        assert any(
            "hidden from analysts: mail; name each under access.mask" in note for note in table["notes"]
        )

    source.sql("ALTER TABLE people RENAME email TO mail")
    hidden()
    source.sql("INSERT INTO people VALUES (2, 'bob@example.com', '1991-01-01', 'US')")
    hidden()  # each time
    source.sql("ALTER TABLE people ALTER id TYPE bigint")
    hidden()  # the table was recreated
    history = "tables: [{{name: public.people, mode: history, key: id, access: {}}}]"
    source.file(history.format(masked))
    hidden()
    company.warehouse(f'DROP TABLE "{source.name}"."people"')
    replayed = only_table(source.run(replay=True))
    assert (replayed["hidden_columns"], "id" in seen(source), "mail" in seen(source)) == (
        ["mail"],
        True,
        False,
    )

    source.file(history.format("{mask: {mail: hash}}"))
    table = only_table(source.run())
    assert (table["hidden_columns"], "mail" in seen(source)) == ([], True)
    assert protected(source) == ["mail"]


def test_a_call_changes_no_table_that_the_pipeline_has_not_loaded_or_does_not_own(company: Company) -> None:
    source = company.source("postgresql")
    source.sql(
        "CREATE TABLE people (id int PRIMARY KEY, email varchar(80))",
        "INSERT INTO people VALUES (1, 'ann@example.com')",
    )
    read(source, None)
    only_table(source.run())
    company.warehouse(f'CREATE TABLE "{source.name}"."wages" (id int)')  # by the administrator
    forged: list[dict[str, Any]] = [
        {"schema_name": source.name, "table_name": table, "access": {"columns": ["id"]}}
        for table in ("people", "wages")
    ]
    forged.append({"schema_name": "public", "table_name": "etl_control", "access": None})
    answer = company.invoke("AccessFunction", {"access": forged})
    assert answer == {"tables": 3, "changed": 1, "left": 0, "hidden": {}, "failures": {}}
    assert seen(source) == ["id"]
    refused = f"SELECT has_table_privilege('{ANALYST}', '\"{source.name}\".\"wages\"', 'SELECT')"
    assert company.warehouse(refused) == [(False,)]
