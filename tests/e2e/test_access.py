"""Who sees what of a table, from the source's file to the warehouse's grants and policies."""

from __future__ import annotations

from typing import Any

from tributary.names import OWN_COLUMNS

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
    return [name for (name,) in rows if name not in OWN_COLUMNS]


def protected(source: Source) -> list[str]:
    """Return the columns with a mask, and '' where a policy on rows is attached."""
    there = f"relation = '\"{source.name}\".\"people\"'::regclass AND grantee = '{ANALYST}'"
    rows = source.company.warehouse(
        f"SELECT column_name FROM stand_in.attached_policy WHERE {there} ORDER BY 1"
    )
    return [name for (name,) in rows]


def is_bare(source: Source, masked: str) -> bool:
    """Say whether the role may select the column that the file masks, and no mask is attached to it."""
    table = f'"{source.name}"."people"'
    rows = source.company.warehouse(
        f"SELECT 1 FROM svv_columns AS c WHERE table_schema = '{source.name}' AND table_name = 'people' "
        f"AND column_name = '{masked}' "
        f"AND has_column_privilege('{ANALYST}', '{table}', column_name, 'SELECT') "
        f"AND NOT EXISTS (SELECT 1 FROM stand_in.attached_policy AS p WHERE p.column_name = c.column_name "
        f"AND relation = '{table}'::regclass AND grantee = '{ANALYST}')"
    )
    return bool(rows)


def run_and_watch(source: Source, masked: str, then: list[str]) -> dict[str, Any]:
    """Run until the role may select these columns; the masked one is never seen without its mask."""
    company = source.company
    arn = company.start(source.name)

    def is_over() -> bool:
        # Rights are newer than a query's snapshot: what a second query does not see was never so.
        assert not (is_bare(source, masked) and is_bare(source, masked))
        return company.report(arn) is not None and seen(source) == then

    company.wait_until(is_over)
    return only_table(company.wait(arn))


def read(source: Source, access: str | None) -> None:
    said = f", access: {access}" if access else ""
    source.file(f"tables: [{{name: public.people, mode: replace{said}}}]")


def test_access_is_given_after_the_load_changed_with_the_file_and_taken_back(company: Company) -> None:
    source = company.source("postgresql")
    source.sql(
        "CREATE TABLE people (id int PRIMARY KEY, email varchar(80), born date, region varchar(2))",
        "INSERT INTO people VALUES (1, 'ann@example.com', '1990-01-01', 'EU')",
    )
    read(source, None)
    only_table(source.run())
    assert seen(source) == []  # what a file says nothing of is granted to nobody

    read(source, "{columns: {exclude: [region]}, mask: {email: hash, born: 'null'}, rows: {region: [EU]}}")
    only_table(source.run())
    company.wait_until(lambda: seen(source) == ["id", "email", "born"])
    assert protected(source) == ["", "born", "email"]
    assert seen(source, "tributary_admin") == list(COLUMNS)

    source.sql("INSERT INTO people VALUES (2, 'bob@example.com', '1991-01-01', 'US')")
    only_table(source.run())  # a swap of all rows keeps the table, and so its grants and masks
    assert (seen(source), protected(source)) == (["id", "email", "born"], ["", "born", "email"])

    company.warehouse(f'DROP TABLE "{source.name}"."people"')
    only_table(source.run())
    company.wait_until(lambda: seen(source) == ["id", "email", "born"])
    assert protected(source) == ["", "born", "email"]

    source.sql("ALTER TABLE people ALTER id TYPE bigint")  # the table is made anew, and nothing stays on it
    changed = run_and_watch(source, "email", ["id", "email", "born"])
    assert "id: INTEGER → BIGINT" in str(changed["notes"])
    assert protected(source) == ["", "born", "email"]

    read(source, "{mask: {email: 'null'}}")
    only_table(source.run())
    company.wait_until(lambda: seen(source) == list(COLUMNS))
    assert protected(source) == ["email"]

    source.sql("ALTER TABLE people DROP email", "ALTER TABLE people ADD phone varchar(80) DEFAULT '12345'")
    read(source, "{mask: {email: 'null', phone: hash}}")
    run_and_watch(source, "phone", [*COLUMNS, "phone"])
    assert protected(source) == ["email", "phone"]  # the old addresses still stand there

    read(source, "none")
    only_table(source.run())
    company.wait_until(lambda: seen(source) == [])
    assert (protected(source), seen(source, "tributary_admin")) == ([], [])
