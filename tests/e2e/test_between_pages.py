"""Tables that are altered, emptied or recreated between two pages of one read: no row is lost or wrong."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

import pytest

from tributary.model.plan import Item

from .company import Company, Row, Source
from .compare import SERVERS, full_name
from .failure_points import FailurePoint
from .steps import Steps, Turn
from .under_way import warehouse_session

STAMP = {"postgresql": "timestamp(6)", "mysql": "datetime(6)"}
RETYPE = {"postgresql": "ALTER amount TYPE", "mysql": "MODIFY amount"}
HOUR, LATER, LAST = (f"2026-01-01 {hour}:00:00" for hour in (10, 11, 12))
ROWS = [(number, Decimal(f"{number}.25"), f"note {number}") for number in range(1, 6)]


@dataclass(frozen=True)
class Change:
    """What happens to a table of which the first three rows are read, and what becomes of the run's table.

    `error` is the one it fails with, None if it is loaded; `columns` are those that it has afterwards.
    """

    statements: tuple[str, ...]
    error: str | None = None
    columns: str = "id, amount, note"
    emptied: bool = False


CHANGES = {
    "added": Change(
        ("ALTER TABLE {table} ADD colour varchar(9) DEFAULT 'red'",), columns="id, amount, note, colour"
    ),
    "dropped": Change(("ALTER TABLE {table} DROP COLUMN amount",), "TableRefused", "id, note"),
    "renamed": Change(
        ("ALTER TABLE {table} RENAME COLUMN note TO remark",), "TableRefused", "id, amount, remark"
    ),
    "retyped": Change(
        (
            "ALTER TABLE {table} {retype} varchar(20)",
            "UPDATE {table} SET amount = 'four', at = '{at}' WHERE id = 4",
        ),
        "ValueRefused",
    ),
    "widened": Change(
        (
            "ALTER TABLE {table} {retype} numeric(14,4)",
            "UPDATE {table} SET amount = 1.2345, at = '{at}' WHERE id IN (1, 4)",
        ),
        "ValueRefused",
    ),
    "emptied": Change(
        ("TRUNCATE TABLE {table}", "INSERT INTO {table} VALUES (2, 2.5, 'two', '{at}')"), emptied=True
    ),
    "remade": Change(  # with the same columns, but for their order and a type
        (
            "DROP TABLE {table}",
            "CREATE TABLE {table} (note int, at {stamp} NOT NULL, amount numeric(10,2), id int PRIMARY KEY)",
            "INSERT INTO {table} VALUES (77, '{at}', 7.5, 1), (NULL, '{at}', 8.5, 4), (99, '{at}', 9.5, 9)",
        ),
        emptied=True,
    ),
    "vanished": Change(("DROP TABLE {table}",), "TableRefused", emptied=True),
}
MERGED = "mode: merge, cursor: at, cursor_time_zone: UTC"
KINDS = {"image": "mode: replace", "first": MERGED, "later": MERGED}
FIRST = ("dropped", "remade", "vanished")


@dataclass
class Tables:
    """A table for each change and kind: an image, a merge's first rows, and a merge's later ones."""

    source: Source
    steps: Steps
    failed: dict[str, str] = field(default_factory=dict)  # of the last run

    @classmethod
    def make(cls, source: Source) -> Tables:
        """Make the tables and the source's file."""
        made = cls(source, Steps(source.company, source))
        for name in made.names(*KINDS):
            made.create(name)
        listed = ", ".join(
            f"{{name: {full_name(source, name)}, {KINDS[name.partition('_')[0]]}, page_rows: 3}}"
            for name in made.names(*KINDS)
        )
        source.file(f"defaults: {{may_vanish: 100%}}\ntables: [{listed}]")
        return made

    def names(self, *kinds: str) -> list[str]:
        """Return the names of the tables of these kinds."""
        return [f"{kind}_{change}" for kind in kinds for change in (FIRST if kind == "first" else CHANGES)]

    def create(self, name: str, at: str = HOUR) -> None:
        """Make a table with its rows, all of that time."""
        stamp = STAMP[self.source.engine]
        rows = ", ".join(f"({number}, {amount}, '{note}', '{at}')" for number, amount, note in ROWS)
        self.source.sql(
            f"CREATE TABLE {name} (id int PRIMARY KEY, amount numeric(10,2), note varchar(20), "
            f"at {stamp} NOT NULL)",
            f"INSERT INTO {name} VALUES {rows}",
        )

    def change(self, name: str) -> None:
        """Change a table as its name says."""
        engine = self.source.engine
        at = LAST if name.startswith("later") else LATER
        words = {"table": name, "at": at, "stamp": STAMP[engine], "retype": RETYPE[engine]}
        lock = {"postgresql": "SET lock_timeout = '5s'", "mysql": "SET lock_wait_timeout = 5"}[engine]
        statements = CHANGES[name.partition("_")[2]].statements
        self.source.sql(lock, *(statement.format(**words) for statement in statements))

    def run(self, *, changed: Iterable[str] = (), tables: Iterable[str] | None = None) -> None:
        """Run the source, or some tables; those that are `changed` are so before their second page."""
        company, steps = self.source.company, self.steps
        arn = steps.execution()
        names = None if tables is None else tuple(full_name(self.source, name) for name in tables)
        plan = steps.plan(arn, FailurePoint(), tables=names).plan
        assert plan is not None
        for number in range(plan.items):
            [table] = Item.model_validate(company.document(f"{plan.prefix}{number}.json")).tables
            name = table.source.table
            turn = Turn(2, lambda name=name: self.change(name)) if name in changed else None  # type: ignore[misc]
            assert steps.extract(plan.run_id, number, FailurePoint(), turn)
        while not steps.load(plan.run_id, FailurePoint()).done:
            time.sleep(0.05)
        steps.report(arn, plan.run_id)
        reported = company.document(f"_runs/{plan.source}/{plan.run_id}/report.json")["tables"]
        self.failed = {one["table"]: one["failure"]["error"] for one in reported if one.get("failure")}

    def check_failures(self, changed: Iterable[str]) -> None:
        """Assert that those tables failed which could not be read on, and no other."""
        errors = {name: CHANGES[name.partition("_")[2]].error for name in changed}
        assert self.failed == {full_name(self.source, name): error for name, error in errors.items() if error}

    def loaded(self, name: str, columns: str) -> list[Row]:
        """Return the rows of the warehouse, None if it has no such table."""
        with warehouse_session(self.source.company) as session:
            return [tuple(row) for row in session.run(f'SELECT {columns} FROM "{self.source.name}".{name}')]

    def check(self, name: str) -> None:
        """Assert that the warehouse has the source's rows, and no other but those that a merge keeps."""
        change = CHANGES[name.partition("_")[2]]
        there = self.source.sql(f"SELECT {change.columns} FROM {name}")
        loaded_rows = self.loaded(name, change.columns)
        assert len({row[0] for row in loaded_rows}) == len(loaded_rows), name
        assert set(there) <= set(loaded_rows), name
        others = set(loaded_rows) - set(there)
        if change.emptied and not name.startswith("image"):
            assert others <= {*ROWS, *((number, amount, "again") for number, amount, _ in ROWS)}, name
            assert not {row[0] for row in others} & {row[0] for row in there}, name
        else:
            assert others == set(), name


@pytest.mark.parametrize("engine", SERVERS)
def test_a_table_that_changes_between_two_pages_fails_or_goes_on_and_is_right_after_the_next_run(
    company: Company, engine: str
) -> None:
    tables = Tables.make(company.source(engine))
    now = tables.names("image", "first")
    tables.run(changed=now)
    tables.check_failures(now)
    for name in now:
        if name.endswith("vanished"):
            tables.create(name, LATER)
    for name in tables.names("later"):
        tables.source.sql(f"UPDATE {name} SET note = 'again', at = '{LATER}'")

    later = tables.names("later")
    tables.run(changed=later)
    tables.check_failures(later)
    for name in now:
        tables.check(name)
    tables.create("later_vanished", LAST)

    tables.run(tables=later)
    assert tables.failed == {}
    for name in later:
        tables.check(name)
