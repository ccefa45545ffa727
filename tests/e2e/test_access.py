"""Who sees what of a table, from the source's file to the warehouse's grants and policies."""

from __future__ import annotations

from .company import Company, Source
from .compare import only_table

ANALYST = "tributary_analyst"
COLUMNS = ("id", "email", "born", "region")


def seen(source: Source, role: str = ANALYST) -> list[str]:
    """Return the columns of the table that the role may select."""
    table = f'"{source.name}"."people"'
    may = ", ".join(f"has_column_privilege('{role}', '{table}', '{name}', 'SELECT')" for name in COLUMNS)
    [row] = source.company.warehouse(f"SELECT {may}")
    return [name for name, allowed in zip(COLUMNS, row, strict=True) if allowed]


def protected(source: Source) -> list[str]:
    """Return the columns with a mask, and '' where a policy on rows is attached."""
    there = f"relation = '\"{source.name}\".\"people\"'::regclass AND grantee = '{ANALYST}'"
    rows = source.company.warehouse(
        f"SELECT column_name FROM stand_in.attached_policy WHERE {there} ORDER BY 1"
    )
    return [name for (name,) in rows]


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

    read(source, "{mask: {email: 'null'}}")
    only_table(source.run())
    company.wait_until(lambda: seen(source) == list(COLUMNS))
    assert protected(source) == ["email"]

    read(source, "none")
    only_table(source.run())
    company.wait_until(lambda: seen(source) == [])
    assert (protected(source), seen(source, "tributary_admin")) == ([], [])
