"""No secret and no value of a row appears anywhere but in the raw bucket's data and the warehouse."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from .company import Company, Ended, Source
from .compare import SERVERS, STAMP
from .written_output import PLANTED, PLANTED_OTHERWISE, planted

NUMBER, TIME = PLANTED_OTHERWISE[0] + "01", "2019-08-07 06:05:04.321987"
TABLES = "tables: [{name: letters, mode: merge, cursor: at, cursor_time_zone: UTC, page_rows: 2}]"
LETTERS = (
    "CREATE TABLE letters (k varchar(40) NOT NULL, n bigint NOT NULL, at {} NOT NULL, PRIMARY KEY (k, n))"
)


@pytest.fixture(autouse=True)
def _told(company: Company) -> Iterator[None]:
    """Search, after each test, for what was planted in it, everywhere."""
    yield
    assert planted(company.output.new()) == []


def letters(company: Company, engine: str) -> Source:
    """Return a source whose keys, cursors, texts and password are all planted, read by a user of its own."""
    source = company.source(engine)
    user, password = f"u{source.name}", "PLANTED-password"
    source.sql(
        LETTERS.format(STAMP[engine]),
        *(f"INSERT INTO letters VALUES ('PLANTED-key-{n}', {NUMBER}{n}, '{TIME}')" for n in range(5)),
    )
    if engine == "postgresql":
        source.sql(
            f"CREATE ROLE {user} LOGIN PASSWORD '{password}'",
            f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO {user}",
            f"GRANT SELECT ON letters TO {user}",
        )
    if engine == "mysql":
        source.sql(
            f"CREATE USER {user}@'%' IDENTIFIED BY '{password}'",
            f"GRANT SELECT ON {source.name}.* TO {user}@'%'",
        )
    source.put_secret({**source.secret(), "username": user, "password": password})
    source.file(TABLES)
    return source


def failed(source: Source, table: str, error: str) -> Ended:
    """Run the source, in which the table must fail with that error."""
    ended = source.run()
    assert ended.table(table)["failure"]["error"] == error
    return ended


@pytest.mark.parametrize("engine", [*SERVERS, "sqlite"])
def test_runs_that_pass_tell_no_value(company: Company, engine: str) -> None:
    source = letters(company, engine)

    assert source.run().status == "SUCCEEDED"
    source.sql(f"INSERT INTO letters VALUES ('PLANTED-key-9', {NUMBER}9, '2019-08-07 06:05:05.321987')")
    assert source.run().status == "SUCCEEDED"
    assert source.run(full_refresh=True).status == "SUCCEEDED"

    assert source.loaded("letters", "k")[-1] == ("PLANTED-key-9",)


def test_a_value_that_cannot_be_held_is_not_told(company: Company) -> None:
    source = letters(company, "postgresql")
    source.sql(
        "CREATE TABLE long (k text PRIMARY KEY, v text)",
        "INSERT INTO long VALUES ('PLANTED-1', repeat('PLANTED-', 8193))",
        "CREATE TABLE forever (k text PRIMARY KEY, v timestamp)",
        "INSERT INTO forever VALUES ('PLANTED-1', 'infinity')",
    )
    source.file("tables: [{include: '*', mode: replace}]")

    failed(source, "public.long", "ValueRefused")
    failed(source, "public.forever", "ValueRefused")


def test_a_key_that_is_not_unique_is_not_told(company: Company) -> None:
    source = letters(company, "postgresql")
    source.sql(
        "CREATE TABLE twice (k text NOT NULL)",
        "INSERT INTO twice VALUES ('PLANTED-twice'), ('PLANTED-twice')",
    )
    source.file("tables: [{name: twice, mode: replace, key: k}]")

    failed(source, "public.twice", "KeyNotUnique")


def test_a_text_in_a_column_of_numbers_is_not_told(company: Company) -> None:
    source = letters(company, "sqlite")
    source.sql(
        "CREATE TABLE numbers (id integer PRIMARY KEY, n int, d decimal(9,2), at timestamp)",
        "INSERT INTO numbers VALUES (1, 'PLANTED-number', 'PLANTED-decimal', 'PLANTED-time')",
    )
    source.file("tables: [{name: numbers, mode: replace}]")

    failed(source, "main.numbers", "ValueRefused")


def test_a_server_that_tells_a_value_in_its_error_is_not_repeated(company: Company) -> None:
    source = letters(company, "postgresql")
    source.sql(
        "CREATE VIEW cast_wrong AS SELECT k::int AS v FROM letters",
        "CREATE FUNCTION shout(v text) RETURNS text LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '%', v USING DETAIL = v, HINT = v; END $$",
        "CREATE VIEW shouts AS SELECT shout(k) AS v FROM letters",
    )
    source.file("tables: [{name: cast_wrong, mode: replace}, {name: shouts, mode: replace}]")

    ended = source.run()

    assert ended.report is not None
    assert {table["status"] for table in ended.report["tables"]} == {"failed"}


def test_a_source_that_is_cut_off_tells_no_value(company: Company) -> None:
    source = letters(company, "postgresql")
    source.sql(
        "CREATE VIEW cut AS SELECT k, CASE WHEN n % 5 = 3 "
        "THEN pg_terminate_backend(pg_backend_pid()) END AS v FROM letters",
    )
    source.file("tables: [{name: cut, mode: replace}]")

    failed(source, "public.cut", "SourceUnavailable")


def test_a_publish_that_fails_on_a_row_does_not_tell_it(company: Company) -> None:
    source = letters(company, "postgresql")
    assert source.run().status == "SUCCEEDED"
    warehouse = company.warehouse_server()
    warehouse.run(f"ALTER TABLE \"{source.name}\".letters ADD CHECK (k <> 'PLANTED-key-9')")
    warehouse.close()
    source.sql(f"INSERT INTO letters VALUES ('PLANTED-key-9', {NUMBER}9, '2019-08-07 06:05:05.321987')")

    failed(source, "public.letters", "LoadFailed")

    assert len(source.loaded("letters", "k")) == 5
    assert len(source.control("public.letters")) == 1


@pytest.mark.parametrize("engine", SERVERS)
def test_a_password_is_not_told_however_wrong_it_is(company: Company, engine: str) -> None:
    source = letters(company, engine)
    secrets: list[dict[str, Any] | str] = [
        {**source.secret(), "username": f"u{source.name}", "password": "PLANTED-wrong"},
        {**source.secret(), "sslrootcert": "PLANTED-certificate", "sslmode": "verify-ca"},
        {**source.secret(), "port": "PLANTED-port"},
        '{"password": "PLANTED-broken',
    ]
    for secret in secrets:
        source.put_secret(secret)
        ended = source.run()
        assert ended.report is not None
        assert ended.report["failure"]["error"] in {"SourceRefused", "SecretError"}


def test_the_search_sees_logs_metrics_payloads_reports_and_messages(company: Company) -> None:
    source = letters(company, "sqlite")
    source.file("tables: [{name: letters, mode: replace}, {name: missing}]")
    arn = source.run().arn

    output = list(company.output.new())

    assert planted(output) == []
    places = {where for where, text in output if source.name in text}
    assert {"a message", arn} <= places
    for function in ("extract", "load", "report"):  # Plan tells of failures only
        assert any(where.endswith(".log") and function in where.lower() for where in places)
    assert any(where.endswith("/report.json") for where in places)
    assert any('"_aws"' in text and "RowsLoaded" in text for where, text in output if where.endswith(".log"))
    assert "stack.log" in dict(output)


def test_the_search_finds_what_is_told() -> None:
    assert planted([("a log", f"key {PLANTED}-1")]) == [f"a log: ...key {PLANTED}-1..."]
    assert planted([("a log", f"number {NUMBER}7"), ("a log", "nothing")]) != []


def test_the_search_finds_a_value_that_was_being_written_when_it_last_looked(company: Company) -> None:
    log = company.stack.logs / "slow.log"
    log.write_text(f"key {PLANTED[:4]}")
    assert planted(company.output.new()) == []

    with log.open("a") as further:
        further.write(f"{PLANTED[4:]}-1\n")

    assert planted(company.output.new()) == [f"slow.log: ...key {PLANTED}-1\n..."]
