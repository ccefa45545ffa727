"""Several sources in one table: each meets its own rows there and no others."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import uuid4

import pytest

from tributary.errors import LoadFailed
from tributary.model.own_columns import added

from .company import Company, Row, Source
from .compare import SERVERS, full_name, only_table
from .failure_points import FailurePoint
from .steps import Steps
from .under_way import load_again

NAIVE = {"postgresql": "timestamp(6)", "mysql": "datetime(6)"}
HOUR = "2026-01-01 10:00:00"


def sources(company: Company, mode: str, extra: str = "") -> tuple[list[Source], str]:
    """Return two sources whose table `orders` has the same keys, and the target that they share."""
    target = f"company.t{uuid4().hex[:8]}"
    made = []
    for number, engine in enumerate([SERVERS[0], SERVERS[-1]]):
        source = company.source(engine)
        fill(source, "orders", number)
        source.file(
            f"tables: [{{name: {full_name(source)}, target: {target}, mode: {mode}, cursor: at, "
            f"cursor_time_zone: UTC{extra}}}]"
        )
        made.append(source)
    return made, target


def fill(source: Source, table: str, number: int) -> None:
    """Make a table with two rows of the source of that number."""
    source.sql(
        f"CREATE TABLE {table} (id int NOT NULL PRIMARY KEY, note varchar(9), "
        f"at {NAIVE[source.engine]} NOT NULL)",
        f"INSERT INTO {table} VALUES (1, 'of {number}', '{HOUR}'), (2, 'of {number}', '{HOUR}')",
    )


def run(*made: Source) -> None:
    """Run the sources at the same time."""
    started = [source.start() for source in made]
    for source, arn in zip(made, started, strict=True):
        only_table(source.company.wait(arn))


def rows(
    made: Sequence[Source], target: str, columns: str = "id, note", where: str = "TRUE = TRUE"
) -> list[Row]:
    """Return the rows of the target, with the number of their source."""
    names = [source.name for source in made]
    versions = made[0].company.warehouse(
        f"SELECT source_system, {columns} FROM {target} WHERE {where} ORDER BY 1, 2, 3"
    )
    return sorted((names.index(name), *rest) for name, *rest in versions)


def test_equal_keys_of_two_sources_are_two_rows_in_every_mode(company: Company) -> None:
    made, place = sources(company, "merge")
    (one, other), modes = made, ("merge", "replace", "append", "history")
    for number, source in enumerate(made):
        for mode in modes:
            fill(source, f"by_{mode}", number)
        entries = (
            f"{{name: {full_name(source, f'by_{mode}')}, target: {place}_{mode}, mode: {mode}, cursor: at, "
            "cursor_time_zone: UTC}"
            for mode in modes
        )
        source.file(f"tables: [{', '.join(entries)}]")

    def landed(mode: str) -> list[Row]:
        """Return the rows that hold now."""
        return rows(made, f"{place}_{mode}", where="is_current = TRUE" if mode == "history" else "1 = 1")

    assert [one.run().status, other.run().status] == ["SUCCEEDED", "SUCCEEDED"]
    both = [(0, 1, "of 0"), (0, 2, "of 0"), (1, 1, "of 1"), (1, 2, "of 1")]
    assert [landed(mode) for mode in modes] == [both] * 4

    for mode in modes:
        one.sql(f"UPDATE by_{mode} SET note = 'new', at = '2026-01-01 11:00:00' WHERE id = 1")
    started = [source.start() for source in made]  # at the same time
    assert [company.wait(arn).status for arn in started] == ["SUCCEEDED"] * 2
    changed = [(0, 1, "new"), *both[1:]]
    assert {mode: landed(mode) for mode in modes} == {
        "merge": changed,
        "replace": changed,
        "append": sorted([both[0], *changed]),
        "history": changed,
    }

    for mode in modes:
        one.sql(f"DELETE FROM by_{mode} WHERE id = 2")
    assert one.run(full_refresh=True).status == "SUCCEEDED"
    assert [landed(mode) for mode in modes] == [[(0, 1, "new"), *both[2:]]] * 4


def test_a_column_that_another_source_brought_before_is_read_in_every_row(company: Company) -> None:
    (one, other), target = sources(company, "merge")
    run(one)
    run(other)
    one.sql("ALTER TABLE orders ADD COLUMN colour varchar(9) NOT NULL DEFAULT 'red'")
    run(one)
    other.sql("ALTER TABLE orders ADD COLUMN colour varchar(9) NOT NULL DEFAULT 'blue'")

    run(other)

    colours = rows((one, other), target, "id, colour")
    assert colours == [(0, 1, "red"), (0, 2, "red"), (1, 1, "blue"), (1, 2, "blue")]
    assert only_table(other.run())["rows_read"] == 0

    one.sql("ALTER TABLE orders ALTER note TYPE varchar(30)")
    one.sql("UPDATE orders SET note = 'of 0, at length', at = '2026-01-01 11:00:00' WHERE id = 1")
    run(one)
    with pytest.raises(LoadFailed):  # its plan saw the narrower column: as if another source had been faster
        load_again(company, one)
    other.sql("UPDATE orders SET at = '2026-01-01 11:00:00' WHERE id = 1")
    table = only_table(other.run())
    both = [(0, 1, "of 0, at length"), (0, 2, "of 0"), (1, 1, "of 1"), (1, 2, "of 1")]
    assert rows((one, other), target) == both
    assert any(note.startswith("column note stays VARCHAR(") for note in table["notes"])  # it stays wide


def test_first_runs_that_are_planned_before_either_loads_share_a_new_target(company: Company) -> None:
    (one, other), target = sources(company, "merge")
    other.sql("ALTER TABLE orders ADD COLUMN colour varchar(9) NOT NULL DEFAULT 'blue'")
    one.sql("ALTER TABLE orders ADD COLUMN size decimal(9,4) NOT NULL DEFAULT 1.2345")
    begun = []
    for source in (one, other):
        steps = Steps(company, source)
        arn = steps.execution()
        steps.running.add(arn)
        begun.append((steps, steps.plan(arn, FailurePoint()).plan))
    for steps, plan in begun:
        assert plan is not None
        for item in range(plan.items):
            while not steps.extract(plan.run_id, item, FailurePoint()):
                pass
        while not steps.load(plan.run_id, FailurePoint()).done:
            pass

    assert rows((one, other), target, "id, colour, size") == [
        (0, 1, None, "1.2345"),
        (0, 2, None, "1.2345"),
        (1, 1, "blue", None),
        (1, 2, "blue", None),
    ]


def test_a_table_of_another_user_is_refused_by_name(company: Company) -> None:
    (one, _), target = sources(company, "merge")
    schema = target.partition(".")[0]
    company.warehouse(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    own = ", ".join(f"{name} {type}" for name, type in added("merge").items())
    company.warehouse(f"CREATE TABLE {target} (id int, note varchar(9), at timestamp, {own})")
    company.warehouse(f"GRANT ALL ON {target} TO PUBLIC")
    failure = one.run().table(full_name(one))["failure"]
    assert failure["error"] == "TableRefused"
    assert f"table {target} of the warehouse belongs to user" in failure["message"]
    assert company.warehouse(f"SELECT id FROM {target}") == []


def test_a_table_that_gets_another_target_is_read_whole_into_it(company: Company) -> None:
    (one, _), target = sources(company, "merge")
    shared = one.path.read_text()
    one.file(f"tables: [{{name: {full_name(one)}, mode: merge, cursor: at, cursor_time_zone: UTC}}]")
    run(one)
    one.path.write_text(shared)

    table = only_table(one.run())

    assert (table["whole"], table["target"]) == (True, target)
    assert rows((one,), target) == [(0, 1, "of 0"), (0, 2, "of 0")]


def test_sources_that_share_a_target_keep_it_in_one_form(company: Company) -> None:
    (one, other), target = sources(company, "merge")
    run(one)
    other.path.write_text(other.path.read_text().replace("mode: merge", "mode: history"))

    failure = other.run().table(full_name(other))["failure"]

    assert failure["error"] == "TableRefused"
    assert f"is in mode history, but its target {target} is no history; use one mode" in failure["message"]
