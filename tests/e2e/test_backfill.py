"""Rows read again on request: from a value on, or within a window, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from .company import Company, Source
from .compare import SERVERS, STAMP, full_name, in_source, in_warehouse

MODES = ("merge", "append", "history")
DAY = "2026-01-0{} 10:00:00"


def tables(company: Company, engine: str) -> Source:
    """Return a source with a table of each incremental mode, loaded: a row a day, 1 to 5."""
    source = company.source(engine)
    for mode in MODES:
        source.sql(
            f"CREATE TABLE {mode} (id int NOT NULL PRIMARY KEY, note text, at {STAMP[engine]} NOT NULL)",
            *(f"INSERT INTO {mode} VALUES ({day}, 'old', '{DAY.format(day)}')" for day in range(1, 6)),
        )
    source.sql("CREATE TABLE plain (id int NOT NULL PRIMARY KEY)")
    listed = ", ".join(
        f"{{name: {full_name(source, mode)}, mode: {mode}, cursor: at, cursor_time_zone: UTC, page_rows: 1}}"
        for mode in MODES
    )
    more = f"{{name: {full_name(source, 'plain')}, mode: replace}}"
    source.file(f"tables: [{listed}, {more}]")
    source.run()
    return source


def again(source: Source, *modes: str, since: str, to: str | None = None) -> dict[str, int]:
    """Run a backfill of the tables; return how many rows each read."""
    fields = {"from": since} | ({"to": to} if to else {})
    ended = source.run(tables=[full_name(source, mode) for mode in modes], **fields)
    assert ended.status == "SUCCEEDED", ended.report
    return {mode: ended.table(full_name(source, mode))["rows_read"] for mode in modes}


def change_quietly(source: Source) -> None:
    """Change rows of days 2 and 4 without a word of their cursor, and add one of day 3."""
    for mode in MODES:
        source.sql(
            f"UPDATE {mode} SET note = 'new' WHERE id IN (2, 4)",
            f"INSERT INTO {mode} VALUES (33, 'late', '{DAY.format(3)}')",
        )


def notes(source: Source, mode: str) -> list[tuple[int, str]]:
    return [tuple(row) for row in source.loaded(mode, "id, note", order="id, note")]


def rows(*changes: tuple[int, str]) -> list[tuple[int, str]]:
    """Return the five rows of the days, with these instead of theirs or more than them."""
    return sorted({**dict.fromkeys(range(1, 6), "old"), **dict(changes)}.items())


def insert(source: Source, day: int, number: int | None = None) -> None:
    """Add a row of the day to every table."""
    for mode in MODES:
        source.sql(f"INSERT INTO {mode} VALUES ({number or day}, 'next', '{DAY.format(day)}')")


@pytest.fixture(params=SERVERS)
def source(company: Company, request: pytest.FixtureRequest) -> Source:
    return tables(company, request.param)


def watermarks(source: Source) -> dict[str, str | None]:
    return {mode: source.watermark(full_name(source, mode)) for mode in MODES}


def test_a_window_reads_its_rows_again_and_no_others(source: Source) -> None:
    change_quietly(source)

    for _ in range(2):  # the second one changes nothing
        assert again(source, *MODES, since=DAY.format(2), to=DAY.format(4)) == dict.fromkeys(MODES, 3)

    assert notes(source, "merge") == rows((2, "new"), (33, "late"))
    assert notes(source, "history") == rows((2, "new"), (33, "late"))
    assert notes(source, "append") == rows((33, "late"))


def test_a_window_leaves_the_watermark_and_is_recorded(company: Company, source: Source) -> None:
    before = watermarks(source)
    change_quietly(source)

    for _ in range(2):
        again(source, *MODES, since=DAY.format(2), to=DAY.format(4))

    assert watermarks(source) == before
    requests = company.warehouse(
        "SELECT asked_for, SUBSTRING(asked_from, 1, 10), SUBSTRING(asked_to, 1, 10), records_processed "
        f"FROM public.etl_control WHERE source_name = '{source.name}' "
        f"AND table_name = '{full_name(source, 'merge')}' ORDER BY run_id"
    )
    assert requests == [(None, None, None, 5), *[("window", "2026-01-02", "2026-01-04", 3)] * 2]


def test_a_window_ends_at_the_watermark_of_a_table_that_is_appended_to(source: Source) -> None:
    insert(source, 6)
    assert again(source, *MODES, since=DAY.format(4), to=DAY.format(9))["append"] == 2


def test_a_usual_run_after_a_window_reads_what_is_new(source: Source) -> None:
    change_quietly(source)
    again(source, *MODES, since=DAY.format(2), to=DAY.format(4))
    insert(source, 6)
    again(source, *MODES, since=DAY.format(4), to=DAY.format(9))

    names = [full_name(source, mode) for mode in MODES]
    usual = source.run(tables=names)

    assert [usual.table(name)["rows_read"] for name in names] == [1, 1, 1]
    for mode in MODES:
        assert [number for number, _ in notes(source, mode)] == [1, 2, 3, 4, 5, 6, 33]


def test_from_a_value_on_rows_are_read_again_and_the_watermark_goes_on(source: Source) -> None:
    change_quietly(source)
    again(source, *MODES, since=DAY.format(2), to=DAY.format(4))
    again(source, *MODES, since=DAY.format(4), to=DAY.format(9))
    insert(source, 6)
    source.run(tables=[full_name(source, mode) for mode in MODES])
    for mode in MODES:
        source.sql(f"UPDATE {mode} SET note = 'newest' WHERE id = 5")
    insert(source, 7)

    assert again(source, *MODES, since=DAY.format(5)) == dict.fromkeys(MODES, 3)
    assert again(source, *MODES, since=DAY.format(7)) == dict.fromkeys(MODES, 1)  # though nothing is new

    changes = ((2, "new"), (4, "new"), (5, "newest"), (6, "next"), (7, "next"), (33, "late"))
    assert notes(source, "merge") == notes(source, "history") == rows(*changes)
    assert [number for number, _ in notes(source, "append")] == [1, 2, 3, 4, 5, 6, 7, 33]
    assert {(watermark or "")[:10] for watermark in watermarks(source).values()} == {"2026-01-07"}


def test_from_above_the_watermark_reads_what_is_new_and_skips_nothing(source: Source) -> None:
    insert(source, 8)

    names = [full_name(source, mode) for mode in MODES]
    beyond = source.run(tables=names, **{"from": DAY.format(9)})

    assert beyond.status == "SUCCEEDED"
    for name in names:
        table = beyond.table(name)
        assert (table["rows_read"], table["asked"]) == (1, "from")
        assert "from is above the watermark, so the run reads what is new and nothing again" in table["notes"]
    assert [in_warehouse(source, mode, "id", "at") for mode in MODES] == [
        in_source(source, mode, "id", "at") for mode in MODES
    ]


def test_what_cannot_be_read_again_is_refused_before_anything_is(company: Company) -> None:
    source = tables(company, "postgresql")
    source.sql(
        "CREATE TABLE counted (id int NOT NULL PRIMARY KEY)", "CREATE TABLE keyless (at date NOT NULL)"
    )
    source.path.write_text(
        source.path.read_text().rstrip("]\n")
        + ", {name: counted, mode: merge, cursor: id}, {name: keyless, mode: append, cursor: at}]"
    )
    day, later = DAY.format(1), DAY.format(2)
    refusals: list[tuple[dict[str, Any], str]] = [
        ({"tables": ["merge"], "to": day}, 'the input has "to" without "from"'),
        ({"from": day}, 'the input has "from" without "tables"; name the tables'),
        ({"tables": ["merge"], "from": day, "full_refresh": True}, "a full refresh reads all rows"),
        (
            {"tables": ["merge"], "from": later, "to": day},
            'to: it is not above "from" in the order of cursor "at"',
        ),
        ({"tables": ["merge"], "from": day, "to": day}, 'to: it is not above "from"'),
        ({"tables": ["merge"], "from": "yesterday"}, 'from: it is no value of cursor "at" of public.merge'),
        ({"tables": ["merge"], "from": "2026-02-30 00:00:00"}, "write one such as 2026-01-31 00:00:00"),
        ({"tables": ["merge"], "from": 41}, "from: it is no value of cursor"),
        ({"tables": ["merge"], "since": day}, "execution input, since: Extra inputs are not permitted"),
        ({"tables": ["plain"], "from": day}, "public.plain is in mode replace and has no cursor"),
        ({"tables": ["keyless"], "from": "2026-01-01"}, "public.keyless is in mode append and has no key"),
        (
            {"tables": ["counted"], "from": 1},
            "public.counted must be read whole, since nothing of it has been loaded yet",
        ),
        ({"tables": ["counted"], "from": "1.5"}, "which is integer; write one such as 41"),
    ]
    for fields, expected in refusals:
        ended = source.run(**fields)
        assert ended.report is not None
        failure = ended.report["failure"]
        assert failure["error"] == "ConfigError", (fields, ended.report)
        assert expected in failure["message"]
        assert day not in failure["message"]
