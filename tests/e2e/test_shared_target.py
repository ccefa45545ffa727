"""Several sources in one table: each meets its own rows there and no others."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import uuid4

import pytest

from .company import Company, Row, Source
from .compare import SERVERS, full_name, only_table
from .under_way import load_again

NAIVE = {"postgresql": "timestamp(6)", "mysql": "datetime(6)"}
HOUR = "2026-01-01 10:00:00"


def sources(company: Company, mode: str, extra: str = "") -> tuple[list[Source], str]:
    """Return two sources whose table `orders` has the same keys, and the target that they share."""
    target = f"company.t{uuid4().hex[:8]}"
    made = []
    for number, engine in enumerate([SERVERS[0], SERVERS[-1]]):
        source = company.source(engine)
        source.sql(
            "CREATE TABLE orders (id int NOT NULL PRIMARY KEY, note varchar(9), "
            f"at {NAIVE[engine]} NOT NULL)",
            f"INSERT INTO orders VALUES (1, 'of {number}', '{HOUR}'), (2, 'of {number}', '{HOUR}')",
        )
        source.file(
            f"tables: [{{name: {full_name(source)}, target: {target}, mode: {mode}, cursor: at, "
            f"cursor_time_zone: UTC{extra}}}]"
        )
        made.append(source)
    return made, target


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
    found = made[0].company.warehouse(
        f"SELECT source_system, {columns} FROM {target} WHERE {where} ORDER BY 1, 2, 3"
    )
    return sorted((names.index(name), *rest) for name, *rest in found)


@pytest.mark.parametrize("mode", ["merge", "replace", "append", "history"])
def test_equal_keys_of_two_sources_are_two_rows_in_every_mode(company: Company, mode: str) -> None:
    (one, other), target = sources(company, mode)
    run(one)
    run(other)
    both = [(0, 1, "of 0"), (0, 2, "of 0"), (1, 1, "of 1"), (1, 2, "of 1")]
    assert rows((one, other), target) == both

    one.sql("UPDATE orders SET note = 'new', at = '2026-01-01 11:00:00' WHERE id = 1")
    run(one, other)
    load_again(company, one)
    current = "is_current" if mode == "history" else "TRUE"
    changed = [(0, 1, "new"), *both[1:]]
    if mode == "append":
        changed = [both[0], *changed]
    assert rows((one, other), target, where=f"{current} = TRUE") == sorted(changed)

    one.sql("DELETE FROM orders WHERE id = 2")
    run_whole = one.run(full_refresh=True)
    only_table(run_whole)
    assert rows((one, other), target, where=f"{current} = TRUE") == [(0, 1, "new"), *both[2:]]


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


def test_a_table_that_gets_another_target_is_read_whole_into_it(company: Company) -> None:
    (one, _), target = sources(company, "merge")
    shared = one.path.read_text()
    one.file(f"tables: [{{name: {full_name(one)}, mode: merge, cursor: at, cursor_time_zone: UTC}}]")
    run(one)
    one.path.write_text(shared)

    told = only_table(one.run())

    assert (told["whole"], told["target"]) == (True, target)
    assert rows((one,), target) == [(0, 1, "of 0"), (0, 2, "of 0")]


def test_sources_that_share_a_target_keep_it_in_one_form(company: Company) -> None:
    (one, other), target = sources(company, "merge")
    run(one)
    other.path.write_text(other.path.read_text().replace("mode: merge", "mode: history"))

    failure = other.run().table(full_name(other))["failure"]

    assert failure["error"] == "TableRefused"
    assert f"is in mode history, and its target {target} is none; use one mode" in failure["message"]
