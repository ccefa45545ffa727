"""Which of a source's tables are read, and with which settings: the first entry that matches holds.

Names and patterns are matched as they are written; only where that finds nothing, without regard
to case. One without a dot is about the table's name alone, in any schema.
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
    """The tables to read with their settings, the entries that failed, and notes for the plan.

    `targets`: where in the warehouse tables stand that share their place with other sources'; `queries`:
    what is read in the place of a table that the source does not have.
    """

    selected: dict[TableName, TableSettings]
    failures: tuple[Failure, ...] = ()
    notes: tuple[str, ...] = ()
    targets: dict[TableName, Target] = field(default_factory=dict)
    queries: dict[TableName, str] = field(default_factory=dict)


def resolve(source: Source, tables: Sequence[TableName]) -> Resolution:
    """Return what the source's entries select among the tables that the source has.

    An entry that finds no table is a failure, named as it is written; an exact name that an
    earlier entry has taken already, and an exclude that excludes nothing, are notes.
    """
    selected: dict[TableName, TableSettings] = {}
    failures: list[Failure] = []
    notes: list[str] = []
    targets: dict[TableName, Target] = {}
    queries: dict[TableName, str] = {}
    for number, entry in enumerate(source.tables):
        where = f"{source.name}.yaml, tables[{number}]"
        found = _named(entry, where, tables) if entry.name else _included(entry, where, tables)
        if isinstance(found, Failure):
            failures.append(found)
            continue
        notes += [
            f'{where}.exclude: "{pattern}" excludes no table'
            for pattern in entry.exclude
            if not matching(pattern, tables)
        ]
        if entry.query:
            queries.setdefault(found[0], entry.query)
        if entry.name and found[0] in selected:
            notes.append(f"{where}: an earlier entry holds for {found[0]}; move this one above it")
        elif entry.target:
            targets[found[0]] = shared_target(entry.target)
        for table in found:
            selected.setdefault(table, entry.over(source.defaults))
    return Resolution(selected, tuple(failures), tuple(notes), targets, queries)


def only(resolution: Resolution, names: Sequence[str]) -> Resolution:
    """Return the part of the resolution about the tables that an execution's input names.

    Raises ConfigError for a name that is not among them.
    """
    if not names:
        raise ConfigError("the input's tables is an empty list; name tables, or leave it out to run all")
    failed = {failure.table for failure in resolution.failures}
    tables = list(resolution.selected)
    wanted: set[TableName] = set()
    for name in names:
        found = matching(name, tables, pattern=False)
        if len(found) > 1:
            raise ConfigError(f'the input\'s tables: "{name}" is one of {_listed(found)}; write which')
        if not found and name not in failed:
            raise ConfigError(
                f'the input\'s tables: "{name}" is not selected by the source; {_near(name, tables)}'
            )
        wanted.update(found)
    return replace(
        resolution,
        selected={table: settings for table, settings in resolution.selected.items() if table in wanted},
        failures=tuple(failure for failure in resolution.failures if failure.table in names),
    )


def matching(text: str, tables: Iterable[TableName], *, pattern: bool = True) -> list[TableName]:
    """Return the tables of that name, or of that pattern, in which `*` and `?` are wild."""
    expression = re.escape(text)
    if pattern:
        expression = expression.replace(r"\*", ".*").replace(r"\?", ".")
    whole = [(table, str(table)) for table in tables]
    bare = [(table, table.table) for table, _ in whole]
    tries = [whole, bare] if not pattern or "." not in text else [whole]
    for flags in (re.DOTALL, re.DOTALL | re.IGNORECASE):
        wild = re.compile(expression, flags)
        for candidates in tries:
            found = [table for table, name in candidates if wild.fullmatch(name)]
            if found:
                return found
    return []


def _named(entry: TableEntry, where: str, tables: Sequence[TableName]) -> list[TableName] | Failure:
    name = entry.name or ""
    if entry.query:
        return [TableName("", name)]
    found = matching(name, tables, pattern=False)
    if len(found) == 1:
        return found
    if found:
        said = f'"{name}" is one of {_listed(found)}; write which'
    else:
        said = f'table "{name}" is not in the source, or its user may not read it; {_near(name, tables)}'
    return Failure(table=name, error="TableRefused", message=f"{where}.name: {said}")


def _included(entry: TableEntry, where: str, tables: Sequence[TableName]) -> list[TableName] | Failure:
    pattern = entry.include or ""
    found = matching(pattern, tables)
    out = {table for exclude in entry.exclude for table in matching(exclude, tables)}
    kept = [table for table in found if table not in out]
    if kept:
        return kept
    if found:
        said = f'every table of the pattern "{pattern}" is excluded; take the entry out, or exclude less'
    else:
        schemas = sorted({table.schema for table in tables})
        known = (
            f"the user sees the schemas {', '.join(schemas)}" if schemas else "the user sees no table at all"
        )
        said = f'the pattern "{pattern}" matches no table; {known}'
    return Failure(table=pattern, error="ConfigError", message=f"{where}.include: {said}")


def _near(name: str, tables: Sequence[TableName]) -> str:
    """Return what somebody who wrote the name may have meant."""
    known = {str(table).lower(): str(table) for table in tables}
    known |= {table.table.lower(): str(table) for table in tables if "." not in name}
    close = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.8)
    if close:
        return f"did you mean {' or '.join(dict.fromkeys(known[match] for match in close))}?"
    return f"there are {len(tables)} tables, such as {_listed(tables[:3])}" if tables else "there are none"


def _listed(tables: Sequence[TableName]) -> str:
    return ", ".join(str(table) for table in tables)
