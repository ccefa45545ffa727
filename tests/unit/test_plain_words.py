"""The check of words that `make lint` runs."""

from __future__ import annotations

import pytest

from tests.lint import plain_words


def check(name: str, text: str) -> list[str]:
    return list(plain_words.check(name, text))


@pytest.mark.parametrize(
    "text",
    [
        '"""The table is made anew."""\n',
        "x = 1  # what nobody asked for\n",
        'raise ValueError("the value stands there twice")\n',
        'raise ValueError(f"{x} is put in the place of {y}")\n',
        '"""Return None where\nit is missing."""\n'.replace("\n", " ", 1),
    ],
)
def test_an_archaic_phrase_is_found_in_docstrings_comments_and_messages(text: str) -> None:
    assert len(check("a.py", text)) == 1


def test_a_phrase_is_reported_with_its_line_and_a_plain_one() -> None:
    assert check("a.py", 'X = 1\n\n"""One line.\n\nIt is begun anew.\n"""\n')[0].startswith(
        'a.py:5: "anew"; write again'
    )


@pytest.mark.parametrize(
    "text",
    [
        '"""Recreate the table if it is missing."""\n',
        'sql = "SELECT id FROM t WHERE id > 1"\n',
        'name = "told"\n',  # one word is a name
        '"""The field `said` keeps its name."""\n',
        "for row in rows: pass\n",
        "class Report:\n    asked: str\n",  # a field that is stored under that name
    ],
)
def test_plain_text_names_and_code_pass(text: str) -> None:
    assert check("a.py", text) == []


@pytest.mark.parametrize(
    "text", ["found = 1\n", "def f(told): ...\n", "for asked in x: ...\n", "if (said := 1): ...\n"]
)
def test_a_variable_that_does_not_say_what_it_holds_is_found(text: str) -> None:
    assert len(check("a.py", text)) == 1


def test_only_comments_and_descriptions_of_yaml_are_read() -> None:
    text = "Description: a table made anew\n# what nobody reads\nValue: anew\n"
    assert [line.split(":")[1] for line in check("a.yaml", text)] == ["1", "2"]


def test_documents_are_read_but_for_code() -> None:
    assert len(check("docs/a.md", "made anew, `made anew`\n")) == 1
