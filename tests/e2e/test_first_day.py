"""The script of the first day on AWS, against the stand-in: it runs, and every question gets an answer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from infra.first_day import __main__ as first_day
from infra.first_day import questions

ROOT = Path(__file__).parents[2]
# What the stand-in refuses as documents say that Redshift does, and the failures that are asked for.
REFUSED = {
    "copy_decimal",
    "copy_milliseconds",
    "copy_too_long",
    "copy_wrong_size",
    "delete_using_subquery",
    "merge_one_branch",
    "merge_with_an_alias",
    "parts_of_a_failed_batch",
    "widen_in_a_batch",
    "missing_table",
    "mask_detached",
    "rows_detached",
}


def test_every_question_is_answered_by_the_stand_in(tmp_path: Path) -> None:
    output = tmp_path / "answers.json"
    command = [sys.executable, "-m", "infra.first_day", "--local", "--output", str(output)]
    ended = subprocess.run(
        command, cwd=ROOT, env={"PYTHONPATH": "layers/tributary", "PATH": "/usr/bin:/bin"}, check=False
    )
    answers = json.loads(output.read_text())
    assert first_day.whole(answers)
    assert ended.returncode == 0
    failed = {name for name, answer in answers["answers"].items() if answer["status"] != "FINISHED"}
    assert failed == REFUSED
    assert answers["answers"]["failed_batch_left"]["rows"] == [[0]]


def test_the_answers_name_no_account_and_no_resource() -> None:
    text = 'IAM_ROLE "arn:aws:iam::123456789012:role/copy" of 123456789012'
    assert first_day.without_names(text) == 'IAM_ROLE "<arn>" of <account>'


def test_every_question_has_a_row_in_the_page() -> None:
    page = (ROOT / "docs/first-day-on-aws.md").read_text()
    names = [question.name for question in questions.questions(first_day._nowhere())]
    assert [name for name in names if f"`{name}`" not in page] == []
