"""Changes of a source that move no cursor and that its catalog shows: every row arrives as it is now."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.e2e.company import Company
from tests.e2e.compare import SERVERS, failures, full_name

OLD = {"postgresql": "'2026-01-01 10:00:00+00'", "mysql": "'2026-01-01 10:00:00'"}
STAMPED = {"postgresql": f"at timestamptz NOT NULL DEFAULT {OLD['postgresql']}"}
STAMPED["mysql"] = f"at datetime NOT NULL DEFAULT {OLD['mysql']}"


@dataclass(frozen=True)
class Case:
    """A table or view of the case's name, what is done after it was loaded, and the reason for a re-read."""

    engine: str
    name: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    reason: str
    shown: str = ""  # the text of its column `v`


def postgresql(name: str, *before: str, after: tuple[str, ...], reason: str, shown: str = "v::text") -> Case:
    return Case("postgresql", name, before, after, reason, shown)


def mysql(name: str, *before: str, after: tuple[str, ...], reason: str) -> Case:
    return Case("mysql", name, before, after, reason, "CAST(v AS char)")


AT = "{at}"
CASES = [
    postgresql(
        "reattached",
        f"CREATE TABLE reattached (id int PRIMARY KEY, v int, {AT}) PARTITION BY RANGE (id)",
        "CREATE TABLE reattached_1 PARTITION OF reattached FOR VALUES FROM (0) TO (10)",
        "INSERT INTO reattached VALUES (1, 1)",
        after=(
            "ALTER TABLE reattached DETACH PARTITION reattached_1",
            "INSERT INTO reattached_1 VALUES (2, 2)",
            "ALTER TABLE reattached ATTACH PARTITION reattached_1 FOR VALUES FROM (0) TO (10)",
        ),
        reason="partition public.reattached_1 was attached",
    ),
    postgresql(
        "inherited",
        f"CREATE TABLE inherited (id int PRIMARY KEY, v int, {AT})",
        "CREATE TABLE inherited_1 (PRIMARY KEY (id)) INHERITS (inherited)",
        "INSERT INTO inherited_1 VALUES (1, 1)",
        after=(
            "ALTER TABLE inherited_1 NO INHERIT inherited",
            "INSERT INTO inherited_1 VALUES (2, 2)",
            "ALTER TABLE inherited_1 INHERIT inherited",
        ),
        reason="partition public.inherited_1 was attached",
    ),
    postgresql(
        "swapped",
        f"CREATE TABLE swapped (id int PRIMARY KEY, v int, {AT})",
        f"CREATE TABLE swapped_next (id int PRIMARY KEY, v int, {AT})",
        "INSERT INTO swapped VALUES (1, 1)",
        "INSERT INTO swapped_next VALUES (1, 10), (2, 20)",
        after=(
            "ALTER TABLE swapped RENAME TO swapped_last",
            "ALTER TABLE swapped_next RENAME TO swapped",
        ),
        reason="the table was dropped and created again",
    ),
    postgresql(
        "computed",
        f"CREATE TABLE computed (id int PRIMARY KEY, v int GENERATED ALWAYS AS (id * 2) STORED, {AT})",
        "INSERT INTO computed VALUES (1)",
        after=("ALTER TABLE computed ALTER v SET EXPRESSION AS (id * 3)",),
        reason="column v was dropped and added again, or its expression has changed",
    ),
    postgresql(
        "virtual",
        f"CREATE TABLE virtual (id int PRIMARY KEY, v int GENERATED ALWAYS AS (id * 2) VIRTUAL, {AT})",
        "INSERT INTO virtual VALUES (1)",
        after=("ALTER TABLE virtual ALTER v SET EXPRESSION AS (id * 3)",),
        reason="column v was dropped and added again, or its expression has changed",
    ),
    postgresql(
        "nested_domain",
        "CREATE TYPE in_domain AS ENUM ('new', 'paid')",
        "CREATE DOMAIN one AS in_domain",
        "CREATE DOMAIN two AS one",
        f"CREATE TABLE nested_domain (id int PRIMARY KEY, v two, {AT})",
        "INSERT INTO nested_domain VALUES (1, 'paid')",
        after=("ALTER TYPE in_domain RENAME VALUE 'paid' TO 'settled'",),
        reason="labels of column v were renamed",
    ),
    postgresql(
        "of_parts",
        "CREATE TYPE in_parts AS ENUM ('new', 'paid')",
        "CREATE TYPE parts AS (a int, b in_parts[])",
        f"CREATE TABLE of_parts (id int PRIMARY KEY, v parts, {AT})",
        "INSERT INTO of_parts VALUES (1, '(1,{{paid}})')",
        after=("ALTER TYPE in_parts RENAME VALUE 'paid' TO 'settled'",),
        reason="labels of column v were renamed",
        shown="to_json(v)::text",
    ),
    postgresql(
        "redefined",
        f"CREATE TABLE beneath (id int PRIMARY KEY, v int, {AT})",
        "INSERT INTO beneath VALUES (1, 1)",
        "CREATE VIEW redefined AS SELECT id, v, at FROM beneath",
        after=("CREATE OR REPLACE VIEW redefined AS SELECT id, v * 100 AS v, at FROM beneath",),
        reason="the view's definition has changed",
    ),
    postgresql(
        "over_view",
        f"CREATE TABLE under (id int PRIMARY KEY, v int, {AT})",
        "INSERT INTO under VALUES (1, 1)",
        "CREATE VIEW inner_view AS SELECT id, v, at FROM under",
        "CREATE VIEW over_view AS SELECT id, v, at FROM inner_view",
        after=("CREATE OR REPLACE VIEW inner_view AS SELECT id, v * 100 AS v, at FROM under",),
        reason="the view's definition has changed",
    ),
    postgresql(
        "over_partitions",
        f"CREATE TABLE ranged (id int PRIMARY KEY, v int, {AT}) PARTITION BY RANGE (id)",
        "CREATE TABLE ranged_1 PARTITION OF ranged FOR VALUES FROM (0) TO (10)",
        "INSERT INTO ranged VALUES (1, 1)",
        "CREATE VIEW over_partitions AS SELECT id, v, at FROM ranged",
        f"CREATE TABLE ranged_2 (id int NOT NULL, v int, {AT})",
        "INSERT INTO ranged_2 VALUES (11, 11)",
        after=("ALTER TABLE ranged ATTACH PARTITION ranged_2 FOR VALUES FROM (10) TO (20)",),
        reason="partition public.ranged_2 was attached",
    ),
    postgresql(
        "now_a_view",
        f"CREATE TABLE now_a_view (id int PRIMARY KEY, v int, {AT})",
        "INSERT INTO now_a_view VALUES (1, 1)",
        after=(
            "ALTER TABLE now_a_view RENAME TO was_a_table",
            "CREATE VIEW now_a_view AS SELECT id, v * 100 AS v, at FROM was_a_table",
        ),
        reason="the view's definition has changed",
    ),
    mysql(
        "exchanged",
        f"CREATE TABLE exchanged (id int PRIMARY KEY, v int, {AT}) PARTITION BY RANGE (id) "
        "(PARTITION p1 VALUES LESS THAN (10))",
        f"CREATE TABLE exchanged_next (id int PRIMARY KEY, v int, {AT})",
        "INSERT INTO exchanged (id, v) VALUES (1, 1)",
        "INSERT INTO exchanged_next (id, v) VALUES (11, 11)",
        after=(
            "SET autocommit = 1",
            "ALTER TABLE exchanged ADD PARTITION (PARTITION p2 VALUES LESS THAN (20))",
            "ALTER TABLE exchanged EXCHANGE PARTITION p2 WITH TABLE exchanged_next",
        ),
        reason="was attached with rows up to the watermark",
    ),
    mysql(
        "computed",
        f"CREATE TABLE computed (id int PRIMARY KEY, v int AS (id * 2) STORED, {AT})",
        "INSERT INTO computed (id) VALUES (1)",
        after=("ALTER TABLE computed MODIFY v int AS (id * 3) STORED",),
        reason="column v was dropped and added again, or its expression has changed",
    ),
    mysql(
        "virtual_column",
        f"CREATE TABLE virtual_column (id int PRIMARY KEY, v int AS (id * 2) VIRTUAL INVISIBLE, {AT})",
        "INSERT INTO virtual_column (id) VALUES (1)",
        after=("ALTER TABLE virtual_column MODIFY v int AS (id * 3) VIRTUAL INVISIBLE",),
        reason="column v was dropped and added again, or its expression has changed",
    ),
    mysql(
        "redefined",
        f"CREATE TABLE beneath (id int PRIMARY KEY, v int, {AT})",
        "INSERT INTO beneath (id, v) VALUES (1, 1)",
        "CREATE VIEW redefined AS SELECT id, v, at FROM beneath",
        after=("CREATE OR REPLACE VIEW redefined AS SELECT id, v + 99 AS v, at FROM beneath",),
        reason="the view's definition has changed",
    ),
    mysql(
        "choices",
        f"CREATE TABLE choices (id int PRIMARY KEY, v set('a', 'b') NOT NULL, {AT})",
        "INSERT INTO choices (id, v) VALUES (1, 'a,b')",
        after=(
            "ALTER TABLE choices MODIFY v set('a', 'b', 'c') NOT NULL",
            "UPDATE choices SET v = 'a,c'",
            "ALTER TABLE choices MODIFY v set('a', 'c') NOT NULL",
        ),
        reason="labels of column v were renamed or removed",
    ),
]


@pytest.mark.parametrize("engine", SERVERS)
def test_what_a_catalog_shows_of_changed_values_is_read_again(company: Company, engine: str) -> None:
    cases = [case for case in CASES if case.engine == engine]
    source = company.source(engine)
    source.sql(*(sql.format(at=STAMPED[engine]) for case in cases for sql in case.before))
    entries = (
        f"{{name: {full_name(source, case.name)}, mode: merge, key: id, cursor: at, cursor_time_zone: UTC}}"
        for case in cases
    )
    source.file(f"tables: [{', '.join(entries)}]")
    first = source.run()
    assert failures(first) == []
    assert failures(source.run()) == []
    source.sql(*(sql for case in cases for sql in case.after))

    ended = source.run()

    assert failures(ended) == []
    for case in cases:
        now = {int(key): value for key, value in source.sql(f"SELECT id, {case.shown} FROM {case.name}")}
        loaded = {int(key): str(value) for key, value in source.loaded(case.name, "id, v")}
        assert (case.name, loaded) == (case.name, now)
        notes = " ".join(ended.table(full_name(source, case.name))["notes"])
        assert case.reason in notes, (case.name, notes)
    again = source.run()  # once is enough
    assert [
        note
        for case in cases
        for note in again.table(full_name(source, case.name))["notes"]
        if "is read again" in note
    ] == []
