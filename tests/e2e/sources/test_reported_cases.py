"""What bug reports of other tools describe, through the whole pipeline; docs/source-evidence.md lists all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.e2e.company import Company, Source
from tests.e2e.compare import SERVERS

# Settings of a server that every session begins with, and that a reader may not depend on.
ODD = {
    "tx_isolation": "'READ-UNCOMMITTED'",
    "autocommit": "0",
    "sql_select_limit": "50",
    "sql_mode": "'ANSI_QUOTES'",
    "completion_type": "'RELEASE'",
}


@pytest.fixture(params=SERVERS[1:])  # none if MariaDB is not here
def odd_source(company: Company, request: pytest.FixtureRequest) -> Iterator[Source]:
    """Return a source on MariaDB while the server gives odd settings to every new session."""
    source = company.source(request.param)
    names = ", ".join(f"@@GLOBAL.{name}" for name in ODD)
    (before,) = source.sql(f"SELECT {names}")
    source.sql(
        "CREATE TABLE t (id int PRIMARY KEY, status varchar(20) NOT NULL, note varchar(20) NOT NULL)",
        "INSERT INTO t SELECT seq, 'open', 'a\\\\b' FROM seq_1_to_500",
        "CREATE TABLE beneath (id int PRIMARY KEY)",
        "CREATE VIEW broken AS SELECT id FROM beneath",
        "DROP TABLE beneath",
    )
    source.sql(*(f"SET GLOBAL {name} = {value}" for name, value in ODD.items()))
    yield source
    with closing(source.connect()) as admin, admin.cursor() as cursor:
        for name, value in zip(ODD, before, strict=True):
            cursor.execute(f"SET GLOBAL {name} = %s", (value,))


def test_a_server_of_odd_settings_gives_every_committed_row_and_names_a_broken_view(
    odd_source: Source,
) -> None:
    source = odd_source
    schema = source.name
    source.file(
        f"""\
        tables:
        - {{name: {schema}.t, mode: replace, where: '"status" = ''open'' AND note = ''a\\b'''}}
        - {{name: {schema}.broken, mode: replace, key: id}}
        """.replace("a\\b", "a\\\\b")
    )
    with closing(source.connect()) as writer, writer.cursor() as cursor:
        cursor.execute("INSERT INTO t VALUES (501, 'open', 'a\\\\b')")
        cursor.execute("UPDATE t SET note = 'not committed' WHERE id = 1")

        ended = source.run()

        writer.rollback()
    assert ended.table(f"{schema}.t").get("failure") is None, ended.report
    assert source.loaded("t", "count(*), min(note), max(note)") == [(500, "a\\b", "a\\b")]
    failure = ended.table(f"{schema}.broken")["failure"]
    assert failure["error"] == "TableRefused"
    assert "1356" in failure["message"]


def test_a_condition_has_the_users_operators_and_a_failing_view_is_refused_by_its_code(
    company: Company,
) -> None:
    source = company.source("postgresql")
    source.sql(
        "CREATE EXTENSION citext",
        "CREATE TABLE people (id int PRIMARY KEY, email citext)",
        "INSERT INTO people VALUES (1, 'Ann@Example.com'), (2, 'bob@example.com')",
        "CREATE VIEW divided AS SELECT id, 1 / (id - 2) AS x FROM people",
    )
    source.file(
        """\
        tables:
        - {name: public.people, mode: replace, where: email = 'ann@example.com'}
        - {name: public.divided, mode: replace, key: id}
        """
    )

    ended = source.run()

    assert source.loaded("people", "id, email") == [(1, "Ann@Example.com")]
    failure = ended.table("public.divided")["failure"]
    assert failure["error"] == "TableRefused"
    assert "22012" in failure["message"]
