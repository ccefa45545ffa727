"""An event of EventBridge about an execution becomes a report in our own words, and no foreign ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tributary.reporting import execution_end
from tributary.reporting.execution_end import ExecutionEnd

EXAMPLE: dict[str, Any] = json.loads((Path(__file__).parents[2] / "events" / "stopped.json").read_text())


def parse(**changed: Any) -> ExecutionEnd:
    return execution_end.parse({**EXAMPLE, "detail": {**EXAMPLE["detail"], **changed}})


@pytest.mark.parametrize(("status", "name"), [("ABORTED", "Aborted"), ("TIMED_OUT", "TimedOut")])
def test_an_end_without_an_error_of_ours_gets_a_name_and_words(status: str, name: str) -> None:
    failure = parse(status=status, error="mine", cause="PLANTED").error
    assert failure is not None
    assert failure["Error"] == name
    assert json.loads(failure["Cause"])["errorMessage"].startswith("the execution was ")


def test_an_error_that_no_state_caught_is_handed_on_as_a_state_would_have_had_it() -> None:
    caught = {"error": "InternalError", "cause": '{"errorMessage": "KeyError at report.py:1"}'}
    assert parse(status="FAILED", **caught).error == {"Error": caught["error"], "Cause": caught["cause"]}
    assert parse(status="FAILED").error == {"Error": "Unknown", "Cause": ""}


@pytest.mark.parametrize(
    ("given", "source"),
    [
        ('{"source": "shop", "tables": ["a"]}', "shop"),
        ('{"source": 1}', None),
        ('["shop"]', None),
        ("shop", None),
        (None, None),
    ],
)
def test_the_source_is_the_inputs_where_it_names_one(given: str | None, source: str | None) -> None:
    assert parse(input=given).source == source
