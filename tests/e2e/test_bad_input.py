"""Bad input: a clear error that says what, where and what to do; nothing lost; then it runs again."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from typing import Any

import pytest

from .company import Company, Ended, Source
from .compare import SERVERS

TABLES = "tables: [{name: things, mode: replace}]\n"
HOUR = "2026-01-01 10:00:00"


def shop(company: Company, engine: str = "sqlite") -> Source:
    """Return a source of one table, with a file that is right."""
    source = company.source(engine)
    source.sql("CREATE TABLE things (id int NOT NULL PRIMARY KEY)", "INSERT INTO things VALUES (1), (2)")
    source.file(TABLES)
    return source


def message_of(company: Company, ended: Ended) -> str:
    """Return the one message that was sent about a failed execution."""
    assert (ended.status, ended.error) == ("FAILED", "Reported")
    [message] = company.mailbox.about(ended.arn)
    return str(message["Message"])


def is_free(source: Source) -> bool:
    """Return whether the source's lease is free."""
    key = f"_leases/{source.name}.json"
    return key not in source.company.keys(key) or source.company.document(key).get("execution_arn") is None


FILES = {
    "an unknown key": (
        "sekret: x\n" + TABLES,
        'line 3, sekret: unknown key "sekret"; did you mean "secret"?',
    ),
    "a key that is written twice": (
        TABLES + "max_connections: 2\nmax_connections: 3\n",
        "max_connections: ",
    ),
    "an unquoted no": ("tables: [{name: no}]\n", 'tables[0].name: no is read as true or false; write "no"'),
    "an unquoted on": ("tables: [{name: things, key: on}]\n", "tables[0].key: on is read as true or false"),
    "an unknown mode": ("tables: [{name: things, mode: merg}]\n", "use merge, append, replace or history"),
    "no tables": ("notify: all\n", "tables: is missing"),
}


@pytest.mark.parametrize("fault", FILES)
def test_a_faulty_file_is_refused_by_line_and_field(company: Company, fault: str) -> None:
    source = shop(company)
    assert source.run().status == "SUCCEEDED"
    text, expected = FILES[fault]
    source.file(text)

    message = message_of(company, source.run())

    assert "ConfigError" in message
    assert f"{source.name}.yaml, line" in message
    assert expected in message
    assert source.loaded("things", "id") == [(1,), (2,)]
    assert is_free(source)


def test_an_empty_folder_of_sources_says_what_to_copy(company: Company) -> None:
    aside = company.sources.rename(company.directory / "aside")
    company.sources.mkdir()
    try:
        message = message_of(company, company.wait(company.start("shop")))
    finally:
        company.sources.rmdir()
        aside.rename(company.sources)

    assert (
        "ConfigError: there is no source file in sources/; copy shop.yaml.example to <name>.yaml" in message
    )


INPUTS: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown table": (
        {"tables": ["thing"]},
        '"thing" is not selected by the source; did you mean main.things?',
    ),
    "no table": ({"tables": []}, "the input's tables is an empty list"),
    "a table that is no list": ({"tables": "things"}, "execution input, tables: "),
    "a full refresh in words": ({"full_refresh": "yes"}, "execution input, full_refresh: "),
    "an unknown field": ({"fullrefresh": True}, "execution input, fullrefresh: "),
}


@pytest.mark.parametrize("fault", INPUTS)
def test_a_faulty_input_is_refused_by_field(company: Company, fault: str) -> None:
    source = shop(company)
    given, expected = INPUTS[fault]

    message = message_of(company, source.run(**given))

    assert "ConfigError" in message
    assert expected in message
    assert is_free(source)
    assert source.run().status == "SUCCEEDED"


@pytest.mark.parametrize("given", [{}, {"source": 7}, {"source": None}, {"source": "shopp"}])
def test_an_input_without_a_known_source_is_reported(company: Company, given: dict[str, Any]) -> None:
    known = shop(company)
    arn = company.client("stepfunctions").start_execution(
        stateMachineArn=company.stack.outputs["StateMachineArn"], input=json.dumps(given)
    )["executionArn"]

    message = message_of(company, company.wait(arn))

    assert "ConfigError" in message
    assert (
        'source "shopp" is not known' if "shopp" in given.values() else "execution input, source: "
    ) in message
    if "shopp" in given.values():
        assert known.name in message


@dataclass(frozen=True)
class Fault:
    """What is done to a good secret, the error's name, and what the message says."""

    change: dict[str, Any] | str | None
    error: str
    expected: str


SECRETS = {
    "is missing": Fault(None, "SecretError", "create it in Secrets Manager"),
    "is not JSON": Fault("host=db PLANTED-password", "SecretError", "is not JSON; write {"),
    "is a list": Fault('["PLANTED-password"]', "SecretError", "is not a JSON object"),
    "has a port in words": Fault({"port": "PLANTED-port"}, "SecretError", 'field "port"'),
    "has an unknown user": Fault({"username": "nobody", "password": "PLANTED-p"}, "SourceRefused", "user"),
    "asks for TLS that is not there": Fault({"sslmode": "verify-full"}, "SourceRefused", "offers no TLS"),
    "names another database": Fault({"dbname": "elsewhere"}, "SourceRefused", "database"),
}


@pytest.mark.parametrize("engine", SERVERS)
@pytest.mark.parametrize("fault", SECRETS)
def test_a_secret_that_cannot_be_used_says_so(company: Company, engine: str, fault: str) -> None:
    source, wrong = shop(company, engine), SECRETS[fault]
    if wrong.change is None:
        company.client("secretsmanager").delete_secret(
            SecretId=source.secret_name, ForceDeleteWithoutRecovery=True
        )
    else:
        source.put_secret(
            {**source.secret(), **wrong.change} if isinstance(wrong.change, dict) else wrong.change
        )
    if engine == "mysql" and "TLS" in fault and _mariadb_has_tls(source):
        wrong = Fault(None, "SourceRefused", "could not be verified")

    ended = source.run()

    message = message_of(company, ended)
    assert wrong.error in message
    assert wrong.expected in message
    assert ended.report is not None
    assert ended.report["failure"]["error"] == wrong.error
    assert is_free(source)


def _mariadb_has_tls(source: Source) -> bool:
    [(_, value)] = source.sql("SHOW VARIABLES LIKE 'have_ssl'")
    return bool(value == "YES")


@pytest.mark.parametrize("engine", SERVERS)
def test_a_wrong_password_is_refused_and_the_right_one_runs(company: Company, engine: str) -> None:
    source = shop(company, engine)
    user = f"u{source.name}"
    if engine == "postgresql":
        source.sql(f"CREATE ROLE {user} LOGIN PASSWORD 'PLANTED-right'", f"GRANT SELECT ON things TO {user}")
    else:
        source.sql(
            f"CREATE USER {user}@'%' IDENTIFIED BY 'PLANTED-right'",
            f"GRANT SELECT ON {source.name}.* TO {user}@'%'",
        )
    login = {**source.secret(), "username": user}
    source.put_secret({**login, "password": "PLANTED-wrong"})

    message = message_of(company, source.run())

    assert "SourceRefused" in message
    assert "password" in message
    source.put_secret({**login, "password": "PLANTED-right"})
    assert source.run().status == "SUCCEEDED"
    assert source.loaded("things", "id") == [(1,), (2,)]


def test_a_host_that_does_not_answer_is_tried_again_and_then_reported(company: Company) -> None:
    source = shop(company, "postgresql")
    with socket.create_server(("127.0.0.1", 0)) as door:
        closed = door.getsockname()[1]
    source.put_secret({**source.secret(), "port": closed})

    ended = source.run()

    message = message_of(company, ended)
    assert f"SourceUnavailable: 127.0.0.1:{closed} cannot be reached" in message
    assert "check host and port" in message
    tries = [event for event in company.stack.history(ended.arn) if event["type"].endswith("Failed")]
    assert len(tries) >= 4, "three further tries were made"
    source.put_secret(source.secret())
    assert source.run().status == "SUCCEEDED"


STATED = {  # a table each, next to one that is right: how it is made, how it is configured, the message
    "without_key": (
        "id int, at timestamp NOT NULL",
        "mode: merge, cursor: at",
        "TableRefused",
        "no primary key",
    ),
    "without_cursor": ("id int PRIMARY KEY", "mode: merge, cursor: at", "TableRefused", 'no column "at"'),
    "empty_cursor": ("id int PRIMARY KEY, at timestamp", "cursor: at", "TableRefused", "set nulls: include"),
    "text_cursor": ("id int PRIMARY KEY, at text NOT NULL", "cursor: at", "TableRefused", "must be a date"),
    "twice": ("code int NOT NULL", "mode: replace, key: code", "KeyNotUnique", "set key to columns that"),
    "empty_key": ("code int", "mode: replace, key: code", "TableRefused", "choose NOT NULL columns as key"),
    "float_key": (
        "x float PRIMARY KEY",
        "mode: replace, key: x",
        "TableRefused",
        "cannot be compared exactly",
    ),
    "cased": (
        '"Id" int PRIMARY KEY, "ID" int',
        "mode: replace",
        "TableRefused",
        'both "id" in the warehouse',
    ),
    "trees": ("id int PRIMARY KEY, v pg_node_tree", "mode: replace", "UnsupportedType", "exclude: [v]"),
    "counts": ("id int PRIMARY KEY, v pg_ndistinct", "mode: replace", "UnsupportedType", "type pg_ndistinct"),
    "long": ("id int PRIMARY KEY, v text", "mode: replace", "ValueRefused", '"v"'),
    "forever": ("id int PRIMARY KEY, v timestamp", "mode: replace", "ValueRefused", '"v"'),
    "no_number": ("id int PRIMARY KEY, v numeric(9,2)", "mode: replace", "ValueRefused", '"v"'),
}
ROWS = {
    "twice": "(1), (1)",
    "long": "(1, repeat('PLANTED-', 8192) || '-')",
    "forever": "(1, 'infinity')",
    "no_number": "(1, 'NaN')",
}
ENTRIES = {  # entries that find no table of their own
    "missing": ("{name: missing, mode: replace}", "TableRefused", 'table "missing" is not in the source'),
    "nothing.*": ('{include: "nothing.*"}', "ConfigError", "matches no table; the user sees the schemas"),
    "public.Folded": ("{name: Folded, mode: replace}", "TableRefused", "exclude all but one"),
    "public.folded": ("{name: folded, mode: replace}", "TableRefused", "exclude all but one"),
}


@pytest.fixture(scope="module")
def faulty(company: Company) -> tuple[Source, Ended, Ended]:
    """Return a source of one good table and all the bad ones, run before and after the bad ones came."""
    source = shop(company, "postgresql")
    before = source.run()
    source.sql(
        'CREATE TABLE "Folded" (id int PRIMARY KEY)',
        "CREATE TABLE folded (id int PRIMARY KEY)",
        *(f"CREATE TABLE {name} ({columns})" for name, (columns, *_) in STATED.items()),
        *(f"INSERT INTO {name} VALUES {rows}" for name, rows in ROWS.items()),
        "INSERT INTO things VALUES (3)",
    )
    entries = [f"{{name: {name}, {settings}}}" for name, (_, settings, *_) in STATED.items()]
    entries += [entry for entry, *_ in ENTRIES.values()]
    source.file(
        "tables:\n" + "".join(f"  - {entry}\n" for entry in ["{name: things, mode: replace}", *entries])
    )
    return source, before, source.run()


@pytest.mark.parametrize("table", [*STATED, *ENTRIES])
def test_a_table_that_cannot_be_read_fails_by_name(
    company: Company, faulty: tuple[Source, Ended, Ended], table: str
) -> None:
    _, _, ended = faulty
    error, expected = STATED[table][2:] if table in STATED else ENTRIES[table][1:]
    name = f"public.{table}" if table in STATED else table

    failure = ended.table(name)["failure"]

    assert failure["error"] == error
    assert expected in failure["message"]
    assert f"{name}: {error}: {failure['message']}" in message_of(company, ended)


def test_the_other_tables_of_a_faulty_source_load_and_it_can_be_corrected(
    faulty: tuple[Source, Ended, Ended],
) -> None:
    source, before, after = faulty
    assert (before.status, after.error) == ("SUCCEEDED", "Reported")
    assert after.table("public.things")["status"] == "loaded"
    assert source.loaded("things", "id") == [(1,), (2,), (3,)]
    assert is_free(source)

    source.file(TABLES)
    assert source.run().status == "SUCCEEDED"


@pytest.mark.parametrize("engine", SERVERS[1:])
def test_an_enum_is_no_key(company: Company, engine: str) -> None:
    source = company.source(engine)
    source.sql(
        "CREATE TABLE sizes (size ENUM('S', 'M', 'L') NOT NULL PRIMARY KEY, at datetime(6) NOT NULL)",
        f"INSERT INTO sizes VALUES ('M', '{HOUR}'), ('S', '{HOUR}'), ('L', '{HOUR}')",
    )
    source.file("tables: [{name: sizes, mode: merge, cursor: at, cursor_time_zone: UTC}]")

    refused = source.run()

    assert refused.report is not None
    [table] = refused.report["tables"]
    assert table["failure"]["error"] == "TableRefused"
    assert 'key column "size"' in table["failure"]["message"]
    assert "mode: replace without a key" in table["failure"]["message"]

    source.file("tables: [{name: sizes, mode: replace}]")
    assert source.run().status == "SUCCEEDED"
    assert source.loaded("sizes", "size") == [("L",), ("M",), ("S",)]
