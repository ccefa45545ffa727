"""What the warehouse cannot hold: refused by name, or treated as the file says and counted everywhere."""

from __future__ import annotations

import json

import pytest

from .company import Company
from .compare import SERVERS, failures, full_name


def test_a_table_fails_by_name_until_a_policy_says_what_to_do_and_then_every_value_is_counted(
    company: Company,
) -> None:
    source = company.source("postgresql")
    source.sql(
        "CREATE TABLE visits (id int PRIMARY KEY, until timestamp, note text, amount numeric, tags text[])",
        "INSERT INTO visits SELECT n, CASE WHEN n % 2 = 0 THEN 'infinity' ELSE '2026-01-01' END::timestamp, "
        "CASE WHEN n % 5 = 0 THEN repeat('é', 40000) ELSE 'short' END, "
        "CASE WHEN n % 10 = 0 THEN 'NaN' ELSE 1.5 END, ARRAY['a', NULL] FROM generate_series(1, 20) AS n",
        "CREATE TABLE fine (id int PRIMARY KEY)",
        "INSERT INTO fine VALUES (1)",
    )
    source.file("tables: [{include: '*', mode: replace, page_rows: 3}]")

    refused = source.run()
    failure = refused.table("public.visits")["failure"]
    assert refused.error == "Reported"
    assert failure["error"] == "ValueRefused"
    assert 'column "until" of public.visits (timestamp without time zone) holds' in failure["message"]
    assert 'set column_policies: {until: "null" or clamp or text}' in failure["message"]
    assert source.loaded("fine") != []

    source.file("""
        notify: all
        defaults: {policies: {date_out_of_range: clamp}}
        tables:
          - include: "*"
            mode: replace
            page_rows: 3
            policies: {too_long: truncate}
            column_policies: {amount: "null"}
            exclude: [fine]
          - {name: fine, mode: replace}
    """)
    ended = source.run()

    assert ended.status == "SUCCEEDED", failures(ended)
    assert ended.table("public.visits")["altered"] == [
        {"column": "amount", "fault": "not_a_number", "values": 2},
        {"column": "note", "fault": "too_long", "values": 4},
        {"column": "until", "fault": "date_out_of_range", "values": 10},
    ]
    assert ended.table("public.fine")["altered"] == []
    assert source.loaded("visits", "until, OCTET_LENGTH(note), amount, JSON_SERIALIZE(tags)", "id")[-1:] == [
        ("9999-12-31 23:59:59.999999", 65_534, None, '["a",null]')
    ]
    [expected] = company.mailbox.about(ended.arn)
    assert "public.visits.until: 10 values (date_out_of_range)" in expected["Message"]
    metrics = [
        json.loads(line)
        for log in company.stack.directory.rglob("*.log")
        for line in log.read_text(errors="replace").splitlines()
        if '"_aws"' in line and f'"source":"{source.name}"' in line
    ]
    assert [metric["ValuesAltered"] for metric in metrics] == [[0.0], [16.0]]


def test_a_decimal_that_arrow_would_misread_is_refused_and_never_another_number(company: Company) -> None:
    source = company.source("postgresql")
    source.sql(
        "CREATE TABLE amounts (id int PRIMARY KEY, amount numeric)",
        f"INSERT INTO amounts VALUES (1, {'1' * 30}), (2, {'9' * 28}.{'9' * 10})",
    )
    source.file("tables: [{name: amounts, mode: replace}]")
    message = source.run().table("public.amounts")["failure"]["message"]
    assert "holds a number, or an infinity, beyond its DECIMAL" in message
    source.file("tables: [{name: amounts, mode: replace, column_policies: {amount: text}}]")
    assert source.run().status == "SUCCEEDED"
    assert source.loaded("amounts", "amount", "id") == [("1" * 30,), (f"{'9' * 28}.{'9' * 10}",)]


@pytest.mark.parametrize("engine", SERVERS[1:])
def test_mysqls_zero_dates_and_a_boolean_that_is_none_follow_their_policies(
    company: Company, engine: str
) -> None:
    source = company.source(engine)
    source.sql(
        "SET sql_mode = ''",
        "CREATE TABLE visits (id int PRIMARY KEY, day date, at datetime, flag tinyint(1), bits bit(1))",
        "INSERT INTO visits VALUES (1, '0000-00-00', '2024-00-00', 1, 1), "
        "(2, '2024-02-29', '0000-01-01', 2, 0)",
    )
    source.file(f"""
        tables:
          - name: {full_name(source, "visits")}
            mode: replace
            booleans: [flag, bits]
            policies: {{impossible_date: "null", date_out_of_range: clamp, misfit: "null"}}
    """)
    ended = source.run()
    assert ended.status == "SUCCEEDED", failures(ended)
    assert source.loaded("visits", "day, at, flag, bits", "id") == [
        (None, None, True, True),
        ("2024-02-29", "0001-01-01 00:00:00", None, False),
    ]
    assert {
        (one["column"], one["fault"], one["values"])
        for one in ended.table(full_name(source, "visits"))["altered"]
    } == {
        ("day", "impossible_date", 1),
        ("at", "impossible_date", 1),
        ("at", "date_out_of_range", 1),
        ("flag", "misfit", 1),
    }
