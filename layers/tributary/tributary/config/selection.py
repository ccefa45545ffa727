"""Which of a source's tables are read, and with which settings: the first matching entry decides.

Names and patterns are matched as they are written first, and without regard to case if that matches no
table. One without a dot is matched against the table's name alone, in any schema.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from tributary.config.models import Source, TableEntry, TableSettings
from tributary.errors import ConfigError
from tributary.model.plan import Failure
from tributary.model.source_catalog import TableName
from tributary.model.warehouse_names import Target, shared_target


@dataclass(frozen=True, slots=True)
class Resolution:
    """The tables to read with their settings, the entries that failed, and notes for the plan."""

    selected: dict[TableName, TableSettings]
    failures: tuple[Failure, ...] = ()
    notes: tuple[str, ...] = ()
    targets: dict[TableName, Target] = field(default_factory=dict)  # that other sources write to as well
    queries: dict[TableName, str] = field(default_factory=dict)  # read as a table of that name


def resolve(source: Source, tables: Sequence[TableName], *, home: str | None = None) -> Resolution:
    """Return what the source's entries select among the tables that the source has.

    `home` is the schema of names and patterns without one, None for any. MySQL's user may see databases
    that have nothing to do with the one that the secret names.

    An entry that matches no table is a failure, named as it is written. An exact name that an earlier entry
    has already, and an exclude without effect, are notes.
    """
    selected: dict[TableName, TableSettings] = {}
    failures: list[Failure] = []
    notes: list[str] = []
    targets: dict[TableName, Target] = {}
    queries: dict[TableName, str] = {}
    for number, entry in enumerate(source.tables):
        where = f"{source.name}.yaml, tables[{number}]"
        meant = tables if home is None or "." in str(entry.name or entry.include) else _of(home, tables)
        matches = _named(entry, where, meant) if entry.name else _included(entry, where, meant)
        if isinstance(matches, Failure):
            failures.append(matches)
            continue
        notes += [
            f'{where}.exclude: "{pattern}" excludes no table'
            for pattern in entry.exclude
            if not matching(pattern, tables)
        ]
        if entry.query:
            queries.setdefault(matches[0], entry.query)
        if entry.name and matches[0] in selected:
            notes.append(f"{where}: an earlier entry selects {matches[0]}; move this one above it")
        elif entry.target:
            targets[matches[0]] = shared_target(entry.target)
        for table in matches:
            selected.setdefault(table, entry.over(source.defaults))
    return Resolution(selected, tuple(failures), tuple(notes), targets, queries)


def _of(home: str, tables: Sequence[TableName]) -> list[TableName]:
    return [table for table in tables if table.schema == home]


def only(resolution: Resolution, names: Sequence[str]) -> Resolution:
    """Return the part of the resolution about the tables that an execution's input names.

    Raises ConfigError for a name that the resolution lacks.
    """
    if not names:
        raise ConfigError("the input's tables is an empty list; name tables, or leave it out to run all")
    failed = {failure.table for failure in resolution.failures}
    tables = list(resolution.selected)
    wanted: set[TableName] = set()
    for name in names:
        matches = matching(name, tables, pattern=False)
        if len(matches) > 1:
            raise ConfigError(f'the input\'s tables: "{name}" is one of {_listed(matches)}; write which')
        if not matches and name not in failed:
            raise ConfigError(
                f'the input\'s tables: "{name}" is not selected by the source; {_near(name, tables)}'
            )
        wanted.update(matches)
    return replace(
        resolution,
        selected={table: settings for table, settings in resolution.selected.items() if table in wanted},
        failures=tuple(failure for failure in resolution.failures if failure.table in names),
    )


def selecting_entry(source: Source, table: TableName, *, home: str | None = None) -> TableEntry | None:
    """Return the entry that a table of that name is read by, None if the file does not select it.

    `home` is the schema of names and patterns without one, as in `resolve`.
    """
    return next(
        (
            entry
            for entry in source.tables
            if (home in (None, table.schema) or entry.query or "." in str(entry.name or entry.include))
            and _selects(entry, table)
        ),
        None,
    )


def _selects(entry: TableEntry, table: TableName) -> bool:
    if entry.query:
        return table == TableName("", str(entry.name))
    if entry.name:
        return bool(matching(entry.name, [table], pattern=False))
    excluded = any(matching(pattern, [table]) for pattern in entry.exclude)
    return not excluded and bool(matching(str(entry.include), [table]))


def matching(text: str, tables: Iterable[TableName], *, pattern: bool = True) -> list[TableName]:
    """Return the tables of that name, or of that pattern, in which `*` and `?` are wildcards."""
    expression = _wildcards(text) if pattern else re.escape(text)
    whole = [(table, str(table)) for table in tables]
    bare = [(table, table.table) for table, _ in whole]
    tries = [whole, bare] if not pattern or "." not in text else [whole]
    for flags in (re.DOTALL, re.DOTALL | re.IGNORECASE):
        wild = re.compile(expression, flags)
        for candidates in tries:
            matches = [table for table, name in candidates if wild.fullmatch(name)]
            if matches:
                return matches
    return []


def _wildcards(pattern: str) -> str:
    """Return the pattern as a regular expression.

    Each part between two `*` matches at its first place, which is never a worse one, and the match there is
    final: with `.*` alone, seven stars take seconds.
    """
    first, *parts = [re.escape(part).replace(r"\?", ".") for part in pattern.split("*")]
    if not parts:
        return first
    *middle, last = parts
    return first + "".join(f"(?>.*?{part})" for part in middle) + f".*{last}"


def _named(entry: TableEntry, where: str, tables: Sequence[TableName]) -> list[TableName] | Failure:
    name = entry.name or ""
    if entry.query:
        return [TableName("", name)]
    matches = matching(name, tables, pattern=False)
    if len(matches) == 1:
        return matches
    if matches:
        message = f'"{name}" is one of {_listed(matches)}; write which'
    else:
        message = f'table "{name}" is not in the source, or its user may not read it; {_near(name, tables)}'
    return Failure(table=name, error="TableRefused", message=f"{where}.name: {message}")


def _included(entry: TableEntry, where: str, tables: Sequence[TableName]) -> list[TableName] | Failure:
    pattern = entry.include or ""
    matches = matching(pattern, tables)
    out = {table for exclude in entry.exclude for table in matching(exclude, tables)}
    kept = [table for table in matches if table not in out]
    if kept:
        return kept
    if matches:
        message = f'every table of the pattern "{pattern}" is excluded; remove the entry, or exclude less'
    else:
        schemas = sorted({table.schema for table in tables})
        known = (
            f"the user sees the schemas {', '.join(schemas)}" if schemas else "the user sees no table at all"
        )
        message = f'the pattern "{pattern}" matches no table; {known}'
    return Failure(table=pattern, error="ConfigError", message=f"{where}.include: {message}")


def _near(name: str, tables: Sequence[TableName]) -> str:
    """Return what the name may have been meant to be."""
    known = {str(table).lower(): str(table) for table in tables}
    known |= {table.table.lower(): str(table) for table in tables if "." not in name}
    close = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.8)
    if close:
        return f"did you mean {' or '.join(dict.fromkeys(known[match] for match in close))}?"
    return f"there are {len(tables)} tables, such as {_listed(tables[:3])}" if tables else "there are none"


def _listed(tables: Sequence[TableName]) -> str:
    return ", ".join(str(table) for table in tables)
