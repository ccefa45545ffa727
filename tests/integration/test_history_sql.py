"""What the statements of mode `history` make of states that are read again, late, twice or never."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest

from local.databases.postgres import Postgres
from tests.builders import column, table_plan
from tests.integration.redshift_warehouse import Row, Warehouse, serve
from tributary.model.plan import Column, Range, TablePlan
from tributary.model.source_catalog import TableName
from tributary.model.types import Kind
from tributary.redshift import control
from tributary.redshift.control import ControlRow
from tributary.redshift.modes.digest import mark
from tributary.redshift.publish import publish
from tributary.redshift.sql import literal
from tributary.redshift.stage import stage

COLUMNS = (
    column("code", Kind("text", size_bytes=40)),
    column("note", Kind("text", size_bytes=40), nullable=True),
    column("at", Kind("timestamp"), nullable=True),
)
MINUTES = range(60)
State = tuple[str, str | None, str | None]


@pytest.fixture(scope="module")
def warehouse(postgres: Postgres) -> Iterator[Warehouse]:
    with serve(postgres) as served:
        served.run(*control.create(), "CREATE SCHEMA shop")
        yield served


@dataclass
class History:
    """A table in mode `history`, to which runs are loaded."""

    warehouse: Warehouse
    name: str
    columns: tuple[Column, ...] = COLUMNS
    cursor: str | None = "at"
    runs: list[str] = field(default_factory=list)

    def plan(self, *, minute: int, whole: bool = False) -> TablePlan:
        """Return the plan of a run that starts at the minute."""
        return table_plan(
            source=TableName("public", self.name),
            table_name=self.name,
            mode="history",
            columns=self.columns,
            key=("code",),
            cursor=self.cursor,
            ranges=(Range(number=0, order=("code",)),),
            whole_read=whole,
            full_refresh=whole,
            exists=bool(self.runs),
            opens_at=instant(minute),
        )

    def load(self, states: Sequence[Sequence[Any]], *, minute: int, whole: bool = False) -> list[Row]:
        """Load states in the order that they were read, twice, and return the versions."""
        plan = self.plan(minute=minute, whole=whole)
        self.runs.append(f"20260101_10{minute:02}00")
        committed = ControlRow(
            "shop", self.name, self.runs[-1], 1, "history", f"shop.{self.name}", "at", None, 0, 0, 0
        )
        name = f"shop__{self.runs[-1]}_0"
        rows = ", ".join(
            f"({', '.join(map(literal, [*state, place]))})" for place, state in enumerate(states)
        )
        names = ", ".join(f'"{column.target}"' for column in self.columns)
        insert = f'INSERT INTO etl_staging."{name}" ({names}, "_tributary_seq") VALUES {rows}'
        *before, count = stage(plan, name, None, "role")
        states_after = []
        for _ in range(2):
            self.warehouse.run(*before, *([insert] if states else []), *mark(plan, name), count)
            self.warehouse.run(*publish(plan, name, committed))
            states_after.append(self.versions())
        assert states_after[0] == states_after[1]  # loading a run again changes nothing
        return states_after[0]

    def versions(self) -> list[Row]:
        """Return key, note, first and last minute of every version, None if it is open."""
        rows = self.warehouse.run(
            "SELECT code, note, TO_CHAR(valid_from, 'MI'), TO_CHAR(valid_to, 'MI'), is_current "
            f'FROM shop."{self.name}" ORDER BY code, OCTET_LENGTH(code), valid_from'
        )
        assert all(current == (until is None) for *_, until, current in rows)
        return [row[:4] for row in rows]


def instant(minute: int | str) -> str:
    return f"2026-01-01 10:{int(minute):02}:00"


def state(key: str, note: str | None, minute: int | None) -> State:
    return key, note, None if minute is None else instant(minute)


@pytest.fixture
def history(warehouse: Warehouse, request: pytest.FixtureRequest) -> History:
    return History(warehouse, str(request.node.name))


def test_a_version_opens_where_a_state_differs_and_closes_the_one_before(history: History) -> None:
    assert history.load([state("a", "1", 5), state("b", "1", 6)], minute=9) == [
        ("a", "1", "05", None),
        ("b", "1", "06", None),
    ]
    assert history.load([state("b", "1", 6), state("a", "2", 10)], minute=11) == [
        ("a", "1", "05", "10"),
        ("a", "2", "10", None),
        ("b", "1", "06", None),
    ]


def test_states_of_one_key_in_one_run_are_versions_in_the_order_they_were_read(history: History) -> None:
    history.load([state("a", "0", 1)], minute=2)
    assert history.load(
        [state("a", "0", 1), state("a", "1", 5), state("a", "1", 5), state("a", "2", 6), state("a", "1", 7)],
        minute=9,
    ) == [("a", "0", "01", "05"), ("a", "1", "05", "06"), ("a", "2", "06", "07"), ("a", "1", "07", None)]


def test_of_changes_at_one_instant_the_last_one_read_is_kept(history: History) -> None:
    history.load([state("a", "0", 1), state("a", "1", 5), state("a", "2", 5)], minute=6)
    assert history.load([state("a", "3", 5)], minute=8) == [("a", "0", "01", "05"), ("a", "3", "05", None)]


def test_a_state_read_later_takes_the_place_of_versions_that_do_not_begin_before_it(history: History) -> None:
    history.load([state("a", "0", 1)], minute=2)
    history.load([state("a", "1", 5)], minute=6)
    history.load([state("a", "2", 58)], minute=8)  # dated in the future
    assert history.load([state("a", "3", 4)], minute=10) == [
        ("a", "0", "01", "04"),
        ("a", "3", "04", None),
    ]


def test_null_and_nothing_and_trailing_blanks_are_told_apart(history: History) -> None:
    history.load([state("a", None, 1), state("a ", "", 1)], minute=2)
    assert history.load([state("a", "", 3), state("a ", " ", 3), state("a  ", None, 3)], minute=4) == [
        ("a", None, "01", "03"),
        ("a", "", "03", None),
        ("a ", "", "01", "03"),
        ("a ", " ", "03", None),
        ("a  ", None, "03", None),
    ]


def test_rows_missing_from_a_whole_image_are_closed_and_open_again_when_they_return(history: History) -> None:
    history.load([state("a", "1", 1), state("b", "1", 1), state("c", "1", 58)], minute=2)
    assert history.load([state("b", "1", 1)], minute=5, whole=True) == [
        ("a", "1", "01", "05"),
        ("b", "1", "01", None),
        ("c", "1", "58", "58"),
    ]
    assert history.load([], minute=6) == history.versions()
    assert history.load([state("a", "1", 7), state("c", "1", 58)], minute=8) == [
        ("a", "1", "01", "05"),
        ("a", "1", "07", None),
        ("b", "1", "01", None),
        ("c", "1", "58", None),
    ]


def test_without_a_time_of_its_own_a_version_holds_from_the_start_of_its_run(history: History) -> None:
    history.load([state("a", "1", None)], minute=2)
    history.load([state("a", "1", None)], minute=3)
    assert history.load([state("a", "2", None), state("a", "3", 5)], minute=4) == [
        ("a", "1", "02", "04"),
        ("a", "2", "04", "05"),
        ("a", "3", "05", None),
    ]
    history.cursor = None
    assert history.load([state("a", "4", 6), state("a", "5", 7)], minute=9, whole=True)[-2:] == [
        ("a", "3", "05", "09"),
        ("a", "5", "09", None),
    ]


def test_a_digest_tells_every_value_of_every_kind_from_every_other(warehouse: Warehouse) -> None:
    kinds = {
        "int16": (Kind("int16"), "7", "8"),
        "decimal": (Kind("decimal", precision=38, scale=4), "1.0000", "1.0001"),
        "float32": (Kind("float32"), "0.1", "0.10000001"),
        "float64": (Kind("float64"), "0.1", "0.10000000000000002"),
        "boolean": (Kind("boolean"), "t", "f"),
        "date": (Kind("date"), "2026-01-01", "2026-01-02"),
        "timestamptz": (Kind("timestamptz"), f"{instant(1)}.000001+00", f"{instant(1)}.000002+00"),
        "binary": (Kind("binary", size_bytes=255), "x" * 40, "x" * 39 + "y"),
        "blob": (Kind("binary"), "x" * 40, "x" * 39 + "y"),
        "json": (Kind("json"), "{}", "[]"),
        "other": (Kind("json"), "[]", "{}"),
    }
    columns = tuple(
        Column(name=name, type="?", kind=kind, nullable=True, target=name)
        for name, (kind, *_) in kinds.items()
    )
    plain = [one for _, one, _ in kinds.values()]
    rows: list[list[str | None]] = [[*plain]]
    for place, (_, _, other) in enumerate(kinds.values()):
        rows += [[*plain[:place], value, *plain[place + 1 :]] for value in (other, None)]
    table = History(warehouse, "kinds", columns, cursor=None).plan(minute=1)
    values = ", ".join(f"({', '.join(map(literal, [*row, place]))})" for place, row in enumerate(rows * 2))

    names = ", ".join(f'"{name}"' for name in kinds)

    *before, _ = stage(table, "kinds", None, "role")
    digests = warehouse.run(
        *before,
        f'INSERT INTO etl_staging.kinds ({names}, "_tributary_seq") VALUES {values}',
        *mark(table, "kinds"),
        'SELECT COUNT(DISTINCT "_tributary_digest"), MAX(LEN("_tributary_digest")) FROM etl_staging.kinds',
    )

    assert digests == [(len(rows), 32)]


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_read_versions_follow_each_other_and_the_last_state_stands_open(
    warehouse: Warehouse, seed: int
) -> None:
    chance = random.Random(seed)
    history = History(warehouse, f"random_{seed}")
    last: dict[str, tuple[str | None, int | None]] = {}
    for minute in range(10, 50, 10):
        whole = chance.random() < 0.3
        states = [
            (chance.choice(["a", "a ", "b"]), chance.choice([None, "", "1"]), chance.choice([None, *MINUTES]))
            for _ in range(chance.randrange(8))
        ]
        versions = history.load([state(*one) for one in states], minute=minute, whole=whole)
        last = {} if whole else last
        last |= {key: (note, at) for key, note, at in states}
        assert {key: note for key, note, _, until in versions if until is None} == {
            key: note for key, (note, _) in last.items()
        }
        for (key, _, since, until), (next_key, _, next_since, _) in pairwise(versions):
            assert key != next_key or since <= until <= next_since, (seed, versions)
