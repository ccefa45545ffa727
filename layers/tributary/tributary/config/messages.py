"""Messages for the problems of a source file: file, line, field, and what to write instead.

A value is shown as it is written, except that of `secret`, which may be the secret itself.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from tributary.config import models
from tributary.config.choices import either
from tributary.config.schedule import EXAMPLES, Schedule
from tributary.config.yaml_positions import Marked, Path, Problem
from tributary.model.engine_names import NAMES
from tributary.visible_text import visible

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails

NOUNS = {"mode": "a mode", "notify": "a choice of notifications"}


EXPECTED = {
    "engine": f"the kind of database: {either(NAMES)}",
    "dialect": "SQLAlchemy's names of dialect and driver: informix+ifxpy",
    "secret": 'the name of a secret, such as "tributary/shop"',
    "host": 'the host that the secret leaves out, such as "db.example.com"',
    "port": "the port that the secret leaves out, such as 5432",
    "dbname": 'the database that the secret leaves out, such as "shop"',
    "schedule": EXAMPLES,
    "cron": '"0 7 * * ? *"',
    "rate": "1 hour",
    "timezone": "a name such as Europe/Madrid",
    "window": "15 minutes",
    "max_connections": "a whole number from 1 to 1000",
    "target_schema": "the name of a schema in the warehouse",
    "defaults": "settings for every table, such as {mode: merge, cursor: updated_at}",
    "tables": "a list of tables: - name: public.orders",
    "pause_after": "a whole number from 1",
    "page_rows": "a whole number from 1",
    "max_row_megabytes": "a whole number from 1 to 1024",
    "name": "the name of a table, such as public.orders",
    "query": "a SELECT of the source's own SQL",
    "where": "a condition of the source's own SQL: region = 'EU'",
    "rename": "names in the source and in the warehouse: {old: new}",
    "target": "schema and table in the warehouse: company.orders",
    "include": 'a pattern such as public.* or "*"',
    "exclude": "a list of names or patterns: [public.audit_*]",
    "cursor": "the name of a column, such as updated_at",
    "cursor_time_zone": "a name such as Europe/Madrid, UTC, or an offset such as +01:00",
    "key": "the name of a column, or a list of them: [region, id]",
    "columns": "a list of column names, or {exclude: [names]}",
    "policies": "faults with their policies: {too_long: truncate}",
    "column_policies": "columns with their policies: {valid_until: clamp}",
    "distkey": "the name of a column",
    "sortkey": "the name of a column, or a list of them: [updated_at, id]",
    "encode": "columns with their compressions: {note: zstd}",
    "comments": "true or false",
    "access": "none, or what analysts see: {columns: [id, name], mask: {email: hash}}",
    "mask": "columns with what is shown for their values: {email: hash}",
    "rows": "one column with the values that may be seen: {region: [EU, US]}",
    "new_columns": "hide or show",
    "booleans": "the name of a column, or a list of them: [is_active]",
    "take": "a list of column names",
    "may_vanish": "a share of the table: 50%",
    "overlap": "a duration such as 1 hour for a time cursor, or a whole number for an integer one",
}


def problems(error: ValidationError, marked: Marked) -> list[Problem]:
    """Return the validation's errors as problems at their lines, except at places with a known problem."""
    problems = []
    for detail in error.errors(include_url=False):
        path = _path(detail["loc"], marked.value)
        follows = any(_within(path, known.path) or _within(known.path, path) for known in marked.problems)
        if not follows and not _consequence(detail):
            problems.append(Problem(marked.line(path), path, _message(detail, path, marked)))
    return problems


def _consequence(detail: ErrorDetails) -> bool:
    """Say whether the error only follows from another one: pydantic counts a list without its wrong items."""
    return detail["type"] == "default_factory_not_called" or (
        detail["type"] == "too_short" and bool(detail["input"])
    )


def _within(path: Path, outer: Path) -> bool:
    return bool(outer) and path[: len(outer)] == outer


def lines(file: str, problems: Iterable[Problem]) -> list[str]:
    """Return the problems as text, in the order of their lines."""
    ordered = sorted(dict.fromkeys(problems), key=lambda problem: problem.line)
    return [
        visible(f"{file}, line {problem.line}{_dotted(problem.path)}: {problem.message}")
        for problem in ordered
    ]


def _dotted(path: Path) -> str:
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in path]
    return f", {''.join(parts).removeprefix('.')}" if path else ""


def _path(loc: tuple[int | str, ...], value: Any) -> Path:
    """Return the path in the file for pydantic's path in the models.

    The models have parts that the file lacks: a union's members, and the long form of a short one.
    """
    path: list[int | str] = []
    for number, part in enumerate(loc):
        last = number == len(loc) - 1
        if isinstance(value, dict) and (part in value or (last and isinstance(part, str))):
            path.append(part)
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            path.append(part)
            value = value[part]
    return tuple(path)


def _field(path: Path) -> str:
    return next((part for part in reversed(path) if isinstance(part, str)), "")


def _message(detail: ErrorDetails, path: Path, marked: Marked) -> str:
    return MESSAGES.get(detail["type"], _misplaced)(detail, path, marked)


def _unknown(detail: ErrorDetails, path: Path, marked: Marked) -> str:
    containers: dict[str, type[BaseModel]] = {
        "defaults": models.TableSettings,
        "tables": models.TableEntry,
        "columns": models.Columns,
        "access": models.AccessSettings,
        "schedule": Schedule,
    }
    container = _field(path[:-1])
    known = [
        key
        for key, field in containers.get(container, models.Source).model_fields.items()
        if (container or key != "name") and not field.exclude
    ]
    key = str(path[-1])
    if not container and key in models.TableEntry.model_fields:
        return f'"{key}" belongs to tables; write it under defaults, or in an entry of tables'
    if container == "defaults" and key in models.TableEntry.model_fields:
        return f'"{key}" belongs to an entry of tables; defaults are for all'
    if container and key in models.Source.model_fields:
        return f'"{key}" belongs to the source; write it at the left margin'
    close = difflib.get_close_matches(key.lower(), known, n=1, cutoff=0.5)
    hint = f'did you mean "{close[0]}"?' if close else f"use {either(known)}"
    return f'unknown key "{key}"; {hint}'


def _missing(detail: ErrorDetails, path: Path, marked: Marked) -> str:
    return f"is missing; write {EXPECTED.get(_field(path), 'it')}"


def _choice(detail: ErrorDetails, path: Path, marked: Marked) -> str:
    choices = detail["ctx"]["expected"].replace("'", "")
    noun = NOUNS.get(_field(path), "a choice")
    return f"{_shown(path, marked, detail['input'])} is not {noun}; use {choices}"


def _own(detail: ErrorDetails, path: Path, marked: Marked) -> str:
    return str(detail["ctx"]["error"])


def _text(detail: ErrorDetails, path: Path, marked: Marked) -> str:
    written = marked.texts.get(path)
    if isinstance(detail["input"], bool | int) and written is not None and _field(path) != "secret":
        return f'{written} is not read as text; write "{written}" in quotes'
    return _misplaced(detail, path, marked)


def _number(detail: ErrorDetails, path: Path, marked: Marked) -> str:
    if isinstance(detail["input"], str) and detail["input"].isdecimal():
        return f'"{detail["input"]}" in quotes is a text; write {detail["input"]}'
    return _misplaced(detail, path, marked)


def _short(detail: ErrorDetails, path: Path, marked: Marked) -> str:
    return f"is empty; write {EXPECTED.get(_field(path), 'a value')}, or remove the line"


def _misplaced(detail: ErrorDetails, path: Path, marked: Marked) -> str:
    expected = EXPECTED.get(_field(path), "a text")
    return f"{_shown(path, marked, detail['input'])} is not valid here; write {expected}"


def _shown(path: Path, marked: Marked, value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if _field(path) == "secret":
        return "this"
    return f'"{value}"' if isinstance(value, str) else marked.texts.get(path, str(value))


MESSAGES: dict[str, Callable[[ErrorDetails, Path, Marked], str]] = {
    "extra_forbidden": _unknown,
    "missing": _missing,
    "literal_error": _choice,
    "value_error": _own,
    "string_type": _text,
    "int_type": _number,
    "string_too_short": _short,
    "too_short": _short,
}
