"""What a run takes of a table: its columns, key, cursor and mode, from the settings and the catalog.

Nothing is guessed silently: each choice that the file does not make is reported in `notes`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

from tributary.config.models import TableSettings
from tributary.engines.protocol import Engine
from tributary.errors import TableRefused, UnsupportedType
from tributary.model import value_policies, warehouse_names
from tributary.model.own_columns import added
from tributary.model.plan import Column, Mode
from tributary.model.source_catalog import SourceColumn, SourceTable
from tributary.model.types import Kind
from tributary.model.types import warehouse as warehouse_type
from tributary.model.value_policies import Fault, Policy
from tributary.redshift import table_design

CURSORS = (  # usual names of a column with the time of a row's last change
    "updated_at",
    "modified_at",
    "changed_at",
    "last_updated_at",
    "last_modified_at",
    "last_updated",
    "last_modified",
    "last_update",
    "updated_on",
    "modified_on",
    "update_time",
    "modified_time",
    "date_updated",
    "date_modified",
    "modifieddate",
)
KEYED = ("merge", "history")  # modes that identify rows by their key
ADVICE = "set cursor, or use mode: replace"
SNAPSHOTS = "set cursor, or append: snapshots, which adds the whole table in every run"


@dataclass(frozen=True, slots=True)
class TableSpec:
    """What is read of a table and how, decided from the settings and the catalog alone."""

    table: SourceTable
    settings: TableSettings
    mode: Mode
    columns: tuple[Column, ...]
    key: tuple[str, ...]  # () if the table is read in one go
    key_proven: bool  # the source itself keeps the key unique and not null
    cursor: Column | None  # of incremental modes
    notes: tuple[str, ...]
    sql: str | None = None  # the user's query that is read instead of a table; its catalog is empty

    @property
    def name(self) -> str:
        """Return the table's name as reports and messages show it: `public.orders`."""
        return str(self.table.name)

    @property
    def comments(self) -> dict[str | None, str]:
        """Return the source's comments on the columns, by target, and under None the table's own."""
        if self.settings.comments is False:
            return {}
        of_columns = {column.name: column.comment for column in self.table.columns}
        read = [(column.target, of_columns[column.name]) for column in self.columns]
        return {target: text for target, text in [(None, self.table.comment), *read] if text}

    @property
    def distkey(self) -> str | None:
        """Return the file's distribution key if that column is read, else None."""
        return next((name for name in self._read([self.settings.distkey])), None)

    @property
    def sortkey(self) -> tuple[str, ...]:
        """Return the columns of the file's sort key that are read."""
        return tuple(self._read(self.settings.sortkey or ()))

    @property
    def encode(self) -> dict[str, str]:
        """Return the file's encodings of columns that are read."""
        encodings = self.settings.encode or {}
        return {name: encodings[name] for name in self._read(encodings)}

    def _read(self, names: Iterable[str | None]) -> list[str]:
        read = {column.name for column in self.columns}
        return [name for name in names if name in read]

    @property
    def overlap(self) -> timedelta | int | None:
        """Return how much is read again, None if the source's clock decides; an append repeats nothing."""
        return None if self.mode == "append" else self.settings.overlap

    @property
    def cursor_order(self) -> tuple[str, ...]:
        """Return the order of incremental reads: by the cursor, then by the key."""
        return tuple(dict.fromkeys([*([self.cursor.name] if self.cursor else []), *self.key]))


def specify(engine: Engine, table: SourceTable, settings: TableSettings, sql: str | None = None) -> TableSpec:
    """Decide what is read of the table, and how.

    Raises TableRefused if the settings do not fit the table, UnsupportedType with each type's name.
    """
    notes: list[str] = []
    if sql is not None or not table.nulls_enforced:
        table = _with_promised_columns(table, settings)
    columns = _columns(engine, table, settings)
    key = _key(engine, table, settings, columns, notes)
    mode, cursor = _mode(engine, table, settings, columns, key=key, notes=notes)
    if mode in KEYED and not key:
        raise TableRefused(
            f"{table.name} has no primary key: set key to columns that are unique and not null, "
            "or use mode: replace"
        )
    _check_overlap(engine, table, settings, mode, cursor)
    _check_physical(table, settings, columns)
    proven = _is_proven(table, key)
    columns = _with_policies(table, settings, columns, {*key, *([cursor.name] if cursor else [])})
    return TableSpec(table, settings, mode, columns, key, proven, cursor, tuple(notes), sql)


def _with_promised_columns(table: SourceTable, settings: TableSettings) -> SourceTable:
    """Return a query or a view with its key and cursor columns NOT NULL, as the file promises.

    No server enforces this, so `SourceProbe.check_no_nulls` looks for NULLs before rows are read.
    """
    promised = {*(settings.key or ()), *([] if settings.nulls == "include" else [settings.cursor])}
    columns = (
        replace(column, nullable=False) if column.name in promised else column for column in table.columns
    )
    return replace(table, columns=tuple(columns))


def _columns(engine: Engine, table: SourceTable, settings: TableSettings) -> tuple[Column, ...]:
    taken = _taken(table, settings)
    _check_readable(table, taken)
    kinds: dict[str, Kind] = {}
    unsupported = []
    for column in taken:
        try:
            kinds[column.name] = _kind(engine, table, settings, column)
        except UnsupportedType as error:
            unsupported.append(str(error))
    if unsupported:
        raise UnsupportedType(f"{table.name}: {'; '.join(unsupported)}")
    own = added(settings.mode or "merge")
    for name in settings.rename or ():
        _existing(table, name, "rename")
    targets = warehouse_names.column_names([column.name for column in taken], own, settings.rename)
    return tuple(
        Column(
            name=column.name,
            type=column.type,
            kind=kinds[column.name],
            nullable=column.nullable,
            target=targets[column.name],
        )
        for column in taken
    )


def _kind(engine: Engine, table: SourceTable, settings: TableSettings, column: SourceColumn) -> Kind:
    if (settings.column_policies or {}).get(column.name) == "text":
        try:
            return engine.kind(column)
        except UnsupportedType:
            return Kind("text")  # any value can be read as its text
    kind = engine.kind(column)
    if column.name not in (settings.booleans or ()):
        return kind
    if not kind.is_integer:
        raise TableRefused(
            f'booleans: column "{column.name}" of {table.name} is of type {column.type}; '
            "only integers can be read as true and false"
        )
    return Kind("boolean")


def _with_policies(
    table: SourceTable, settings: TableSettings, columns: tuple[Column, ...], untouched: set[str]
) -> tuple[Column, ...]:
    """Return the columns with their value policies; `untouched` ones order or identify rows."""
    for field, names in (("column_policies", settings.column_policies), ("booleans", settings.booleans)):
        for name in names or ():
            _existing(table, name, field)
    return tuple(
        _untouched(table, settings, column) if column.name in untouched else _treated(table, settings, column)
        for column in columns
    )


def _untouched(table: SourceTable, settings: TableSettings, column: Column) -> Column:
    if set(_own_policies(table, settings, column).values()) - {"fail"}:
        raise TableRefused(
            f'column_policies: column "{column.name}" of {table.name} belongs to its key or cursor, '
            "whose values must arrive unchanged; choose other columns, or leave it out of column_policies"
        )
    return column


def _treated(table: SourceTable, settings: TableSettings, column: Column) -> Column:
    """Return the column with its policies; the policy `text` turns the column into a text."""
    policies_set = {**(settings.policies or {}), **_own_policies(table, settings, column)}
    policies = value_policies.meant(column.kind, policies_set)
    if "text" not in policies.values():
        return column.model_copy(update={"policies": policies})
    text = Kind("text")
    return column.model_copy(update={"kind": text, "policies": value_policies.meant(text, policies_set)})


def _check_physical(table: SourceTable, settings: TableSettings, columns: tuple[Column, ...]) -> None:
    """Raise TableRefused if distkey, sortkey or encode ask for what Redshift cannot do."""
    taken = {column.name: column for column in columns}
    columns_named = [
        *(("distkey", name) for name in [settings.distkey] if name),
        *(("sortkey", name) for name in settings.sortkey or ()),
        *(("encode", name) for name in settings.encode or ()),
    ]
    for field, name in columns_named:
        _existing(table, name, field)
        if name not in taken:
            raise TableRefused(
                f'{field}: column "{name}" of {table.name} is left out by columns; include it there'
            )
        if field != "encode" and taken[name].kind.name in ("json", "binary"):
            raise TableRefused(
                f'{field}: column "{name}" of {table.name} is {taken[name].type}, which Redshift can neither '
                "distribute nor sort by; choose another"
            )
    for name, encoding in (settings.encode or {}).items():
        possible = table_design.encodings(warehouse_type(taken[name].kind))
        if encoding not in possible:
            raise TableRefused(
                f'encode: column "{name}" of {table.name} is {taken[name].type} and cannot be {encoding}; '
                f"use {', '.join(possible)}"
            )


def _own_policies(table: SourceTable, settings: TableSettings, column: Column) -> dict[Fault, Policy]:
    """Return the column's own policies; raises TableRefused for one that its type cannot have."""
    own = (settings.column_policies or {}).get(column.name, {})
    possible = value_policies.OF_KIND[column.kind.name]
    if isinstance(own, str):
        faults = value_policies.choices(column.kind, own)
        if faults:
            return dict.fromkeys(faults, own)
        useful = sorted({spec for fault in possible for spec in value_policies.CHOICES[fault]})
        raise TableRefused(
            f'column_policies: {own} can do nothing about column "{column.name}" of {table.name}, which is '
            f"{column.type}; use {', '.join(useful)}"
        )
    for fault in own:
        if fault not in possible and "text" not in own.values():
            raise TableRefused(
                f'column_policies: column "{column.name}" of {table.name} is {column.type} and cannot have '
                f"the fault {fault}; it can have {', '.join(possible)}"
            )
    return own


def _taken(table: SourceTable, settings: TableSettings) -> list[SourceColumn]:
    if settings.columns is None:
        return list(table.columns)
    available = [column.name for column in table.columns]
    for name in settings.columns.absent(available):
        _existing(table, name, "columns")
    taken = settings.columns.choose(available)
    return [column for column in table.columns if column.name in taken]


def _check_readable(table: SourceTable, taken: Iterable[SourceColumn]) -> None:
    if table.filtered_by is not None:
        raise TableRefused(
            f"the user may not see every row of {table.name}, because of security policy "
            f"{table.filtered_by}; set rows: visible in the source's file if the rows that the user sees are "
            "those that are meant"
        )
    hidden = [column.name for column in taken if not column.readable]
    if hidden:
        raise TableRefused(
            f"{table.name}: the user may not read {', '.join(hidden)}; grant SELECT on them, or list the "
            "columns to read in columns"
        )


def _existing(table: SourceTable, name: str, field: str) -> SourceColumn:
    column = table.column(name)
    if column is None:
        known = ", ".join(column.name for column in table.columns)
        raise TableRefused(f'{field}: {table.name} has no column "{name}"; it has {known}')
    return column


def _key(
    engine: Engine, table: SourceTable, settings: TableSettings, columns: tuple[Column, ...], notes: list[str]
) -> tuple[str, ...]:
    """Return the key to read by, () if there is none.

    If the catalog's key is unusable, only a mode that needs a key is refused.
    """
    if settings.key:
        key = settings.key
        for name in key:
            _existing(table, name, "key")
    elif table.primary_key:
        key = table.primary_key
    elif table.unique_keys:
        key = min(table.unique_keys, key=len)
        notes.append(f"no primary key: the unique columns {', '.join(key)} are used as the key")
    else:
        return ()
    reasons = (_unfit_for_key(engine, table, columns, name) for name in key)
    reason = next((reason for reason in reasons if reason), None)
    if reason is None:
        return key
    if settings.key or _needs_key(settings):
        raise TableRefused(reason)
    notes.append(f"the table is read in one go: {reason.partition(';')[0]}")
    return ()


def _unfit_for_key(engine: Engine, table: SourceTable, columns: tuple[Column, ...], name: str) -> str | None:
    """Return why the column cannot be part of a key, None if it can.

    A NULL has no place in the order of pages, so rows with one would be lost between pages.
    """
    column = next((column for column in columns if column.name == name), None)
    if column is None:
        return f'key column "{name}" of {table.name} is left out by columns; include it there'
    if column.kind.name == "json" or not engine.orders(column.type):
        return (
            f'key column "{name}" of {table.name} is of type {column.type}, which cannot be compared '
            f"exactly; {_convert(column)}set key to other columns, or use mode: replace without a key"
        )
    if column.nullable:
        return (
            f'key column "{name}" of {table.name} is nullable; choose NOT NULL columns as key, '
            "or use mode: replace without a key"
        )
    return None


def _convert(column: Column) -> str:
    """Return what to do about a character set in which two values have one text; '' for another type."""
    return "convert the column to utf8mb4, " if "character set" in column.type else ""


def _needs_key(settings: TableSettings) -> bool:
    return settings.mode in KEYED or (settings.mode is None and settings.cursor is not None)


def _is_proven(table: SourceTable, key: tuple[str, ...]) -> bool:
    """Return whether the source keeps the key unique: it contains a whole primary or unique key."""
    if not table.keys_enforced:
        return False
    proofs = [table.primary_key] if table.primary_key else []
    return bool(key) and any(set(proof) <= set(key) for proof in [*proofs, *table.unique_keys])


def _mode(
    engine: Engine,
    table: SourceTable,
    settings: TableSettings,
    columns: tuple[Column, ...],
    *,
    key: tuple[str, ...],
    notes: list[str],
) -> tuple[Mode, Column | None]:
    if settings.mode == "replace" or (settings.mode == "append" and settings.append == "snapshots"):
        return settings.mode, None
    incremental: Mode = settings.mode or "merge"
    if incremental == "append" and settings.overlap:
        raise TableRefused(
            f"{table.name} has an overlap, but an append reads each row once; write overlap: 0, or use "
            "mode: merge, which accepts repeated rows"
        )
    if settings.cursor:
        cursor = _cursor(engine, table, settings, columns)
        notes.extend(
            f'cursor "{cursor.name}" may miss changes: {reason}' for reason in _hazards(table, cursor)
        )
        return incremental, cursor
    named = [column for column in columns if _may_be_taken(column) and column.name.lower() in CURSORS]
    usable = {column.name.lower(): column for column in named if not _hazards(table, column)}
    notes.extend(
        f'"{column.name}" was not chosen as cursor: {reason}; set cursor to choose it all the same'
        for column in named
        for reason in _hazards(table, column)
    )
    candidate = next((usable[name] for name in CURSORS if name in usable), None)
    if candidate and (key or settings.mode):
        notes.append(f'cursor: "{candidate.name}" was chosen by its name; set cursor to choose another')
        return incremental, candidate
    if incremental == "history":
        notes.append("no cursor: the whole table is read and compared in every run")
        return "history", None
    if settings.mode:
        advice = SNAPSHOTS if incremental == "append" else ADVICE
        raise TableRefused(f"{table.name} has no column with the usual name of a cursor; {advice}")
    notes.append("mode: replace was chosen, since no cursor is set and no column has a usual name of one")
    return "replace", None


def _check_overlap(
    engine: Engine, table: SourceTable, settings: TableSettings, mode: Mode, cursor: Column | None
) -> None:
    """Refuse to read new rows alone without an overlap if open transactions cannot be known."""
    if not engine.OVERLAP_REQUIRED or cursor is None or mode == "append" or settings.overlap is not None:
        return
    proposal = "1 hour" if cursor.kind.orders_time else "1000"
    raise TableRefused(
        f"{table.name} needs an overlap, since this engine does not see open transactions: set overlap to "
        f'how far below the newest "{cursor.name}" one may still write, such as {proposal}'
    )


def _hazards(table: SourceTable, cursor: Column) -> list[str]:
    """Return why the column may not move with each change of a row, as the catalog shows."""
    of_table = cursor.kind.orders_time  # an integer does not promise to move with a change
    return [
        each.reason
        for each in table.cursor_hazards
        if each.column == cursor.name or (each.column is None and of_table)
    ]


def _may_be_taken(column: Column) -> bool:
    return column.kind.orders_time and not column.nullable


def _cursor(
    engine: Engine, table: SourceTable, settings: TableSettings, columns: tuple[Column, ...]
) -> Column:
    name = settings.cursor or ""
    source = _existing(table, name, "cursor")
    column = next((column for column in columns if column.name == name), None)
    if column is None:
        raise TableRefused(f'cursor column "{name}" of {table.name} is left out by columns; include it there')
    if not (column.kind.orders_time or column.kind.orders_serials) or not engine.orders(column.type):
        raise TableRefused(
            f'cursor column "{name}" of {table.name} is of type {column.type}; a cursor must be a date, '
            f"a time or an integer: {ADVICE}"
        )
    if source.nullable and settings.mode == "append":
        raise TableRefused(
            f'cursor column "{name}" of {table.name} is nullable, and rows without a value would be appended '
            f"never or in every run; choose a NOT NULL column, or use append: snapshots"
        )
    if source.nullable and settings.nulls != "include":
        raise TableRefused(
            f'cursor column "{name}" of {table.name} is nullable; choose a NOT NULL column, '
            "set nulls: include, or use mode: replace"
        )
    return column
