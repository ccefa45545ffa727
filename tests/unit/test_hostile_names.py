"""Who may create a table in a source chooses its name, and a person's input may hold anything."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from aws_lambda_powertools import Logger

from tributary import observability
from tributary.config.selection import matching
from tributary.engines.mysql import catalog as mysql
from tributary.engines.sqlserver import catalog as sqlserver
from tributary.model.plan import Failure
from tributary.model.report import RunReport, TableReport
from tributary.model.source_catalog import TableName
from tributary.reading import repair
from tributary.redshift.data_api import StatementState
from tributary.reporting import execution_end, message
from tributary.visible_text import visible

FORGED = "public.x\nFailed, 0 of 1 tables:\u202e\u2066\x1b[2J\u2028"


def report(**fields: Any) -> RunReport:
    return RunReport(version="1", source="shop", execution_arn="arn", status="failed", **fields)


def test_a_tables_name_makes_no_line_of_a_message_and_moves_no_character() -> None:
    failure = Failure(table=FORGED, error="TableRefused", message=f'column "{FORGED}" is odd')
    table = TableReport(table=FORGED, target=FORGED, status="failed", failure=failure, notes=(FORGED,))
    loaded = TableReport(table=FORGED, target=FORGED, status="loaded")
    run = Failure(table="shop", error="ConfigError", message="line one\nline \u202etwo")
    text = message.message(report(tables=(table, loaded), failure=run))
    lines = text.splitlines()
    assert not [line for line in lines if line.startswith("Failed, 0 of 1")]
    assert not {"\u202e", "\u2066", "\x1b", "\u2028"} & set(text)
    assert "ConfigError: line one\n  line \\u202etwo" in text


def test_a_note_of_many_tables_is_written_once_with_their_number() -> None:
    tables = tuple(
        TableReport(table=f"public.t{number}", status="loaded", notes=("is re-read",)) for number in range(40)
    )
    other = TableReport(table="public.x", status="loaded", notes=("has no key",))
    names = ", ".join(f"public.t{number}" for number in range(5))
    assert list(message.notes(report(tables=(*tables, other)))) == [
        f"40 tables: is re-read ({names}, ...)",
        "public.x: has no key",
    ]


@pytest.mark.parametrize("source", ["shop\nx", "sh\u202eop", "", "s" * 51, "../x", "tienda_ñ"])
def test_a_source_that_cannot_exist_is_reported_without_its_name(source: str) -> None:
    event = {"source": source, "run_id": None, "status": "failed", "execution_arn": "arn", "error": None}
    assert execution_end.parse(event).source is None
    stopped = {"executionArn": "arn", "status": "ABORTED", "input": json.dumps({"source": source})}
    assert execution_end.parse({"detail": stopped}).source is None


def test_a_subject_is_ascii_in_one_line() -> None:
    odd = RunReport(version="1", source="sh\nöp", execution_arn="arn", status="failed")
    assert message.subject(odd) == "Tributary sh\\n\\xf6p: run failed"


def test_a_log_line_shows_what_a_name_hides() -> None:
    stream = io.StringIO()
    logger = Logger(service="t", stream=stream, json_serializer=observability.log_line)
    logger.info("table failed", extra={"table": FORGED})
    [line] = stream.getvalue().splitlines()
    assert json.loads(line)["table"] == FORGED
    assert not {"\u202e", "\u2066", "\u2028"} & set(line)


def test_every_character_that_hides_or_moves_others_is_shown() -> None:
    assert visible("a\tb\u200bc\ufeffd\u202ee\U000e0041é日") == (
        "a\\tb\\u200bc\\ufeffd\\u202ee\\U000e0041é日"
    )


def test_a_pattern_of_many_stars_is_decided_at_once() -> None:
    """With backtracking, this would take days."""
    tables = [TableName("a" * 60, "a" * 127)]
    assert matching("*a" * 12 + "*b", tables) == []
    assert matching("*a" * 12 + "*", tables) == tables


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*a?", ["s.aab", "s.ab"]),
        ("s.a*b", ["s.aab", "s.ab", "s.axbb"]),
        ("*x*b", ["s.axbb"]),
        ("s.?b", ["s.ab"]),
        ("s.a*b*b", ["s.axbb"]),
        ("s.*.c", []),
    ],
)
def test_stars_and_question_marks_match_as_they_did(pattern: str, names: list[str]) -> None:
    tables = [TableName("s", name) for name in ("aab", "ab", "axbb")]
    assert [str(table) for table in matching(pattern, tables)] == names


def test_json_with_a_string_that_never_ends_is_decided_at_once() -> None:
    """Looking for the end from each quote, this would take an hour."""
    assert repair.json_fault(b"[" * 1_001 + b'"\\' * 32_000) is not None
    assert repair.json_fault(b'["' + b"[" * 1_001 + b'"]') is None


def test_an_error_of_the_warehouse_full_of_blanks_is_decided_at_once() -> None:
    assert StatementState("FAILED", "ERROR:" + " " * 1_000_000 + "x").reason.startswith(
        "the warehouse gave no known"
    )
    assert StatementState("FAILED", "ERROR: SQL state: 1023 x").reason == "code 1023"


@pytest.mark.parametrize(("catalog", "prefix"), [(mysql, ""), (sqlserver, "N")])
def test_a_schema_named_like_a_placeholder_stays_a_text(catalog: Any, prefix: str) -> None:
    names = [TableName("{tables}", "x) OR 1=1 --"), TableName("{schemas}", "y")]
    query = catalog.named("s IN ({schemas}) AND t IN ({tables})", names)
    schemas = f"{prefix}'{{schemas}}', {prefix}'{{tables}}'"
    assert query == f"s IN ({schemas}) AND t IN ({prefix}'x) OR 1=1 --', {prefix}'y')"
