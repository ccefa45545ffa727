"""What the warehouse has of a source, and how a table has changed since.

A column that is new is added and its table read whole again, since adding a column with a default
touches no row's cursor; only where it is NULL in every row is there nothing to read again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .catalog import TableName
from .changes import Loaded
from .choice import Choice
from .documents import Column
from .errors import TableRefused
from .names import Target
from .redshift import control
from .redshift.data_api import Row, Warehouse
from .redshift.stage import added, drop
from .types import warehouse as warehouse_type

WORDS = {  # SVV_COLUMNS' words for the types whose change can be told without doubt
    "smallint": "SMALLINT",
    "integer": "INTEGER",
    "bigint": "BIGINT",
    "real": "REAL",
    "double precision": "DOUBLE PRECISION",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp without time zone": "TIMESTAMP",
    "timestamp with time zone": "TIMESTAMPTZ",
    "character varying": "VARCHAR",
}


SCHEMAS_AT_ONCE = 30  # made by one batch


@dataclass(frozen=True, slots=True)
class Landed:
    """What the warehouse has of a source: how far each table is, by its source name, columns by target.

    `columns`: schema and table -> column -> type, in the words of `types.warehouse`, a VARCHAR without its
    length; a type that SVV_COLUMNS calls otherwise stands as it calls it.
    """

    tables: Mapping[str, Loaded] = field(default_factory=dict)
    columns: Mapping[tuple[str, str], Mapping[str, str]] = field(default_factory=dict)

    def known(self, target: Target) -> Mapping[str, str] | None:
        """Return the types of the target's columns by their names, None where there is no such table."""
        return self.columns.get((target.schema, target.table))

    def loaded(self, choice: Choice, target: Target) -> Loaded | None:
        """Return how far the table is; None where it is to begin anew.

        A control row says nothing about another target, nor about a table that somebody dropped.
        """
        found = self.tables.get(choice.name)
        return found if found and found.target == str(target) and self.known(target) is not None else None

    def watermarks(
        self, chosen: Mapping[TableName, Choice], targets: Mapping[TableName, Target]
    ) -> dict[TableName, str]:
        """Return the committed watermarks of the tables' cursors, where there are such."""
        found: dict[TableName, str] = {}
        for name, choice in chosen.items():
            loaded = self.loaded(choice, targets[name])
            if loaded and loaded.value is not None and choice.cursor and loaded.cursor == choice.cursor.name:
                found[name] = loaded.value
        return found

    def new_columns(self, columns: Iterable[Column], target: Target) -> tuple[Column, ...]:
        """Return the columns that the warehouse's table does not have yet."""
        known = self.known(target)
        return () if known is None else tuple(column for column in columns if column.target not in known)

    def missing_own_columns(self, choice: Choice, target: Target) -> tuple[str, ...]:
        """Return the columns of a history that a table which was none does not have."""
        known = self.known(target)
        return () if known is None else tuple(name for name in added(choice.mode) if name not in known)

    def dropped_columns(self, choice: Choice, target: Target) -> tuple[str, ...]:
        """Return the warehouse's columns that the source no longer gives: their values stay."""
        given = {column.target for column in choice.columns} | set(added(choice.mode))
        return tuple(name for name in (self.known(target) or {}) if name not in given)

    def returned_columns(self, choice: Choice, target: Target) -> tuple[Column, ...]:
        """Return the columns that the warehouse has and the last run did not read: they are out of date."""
        found = self.tables.get(choice.name)
        known = self.known(target) or {}
        unread = found.unread if found else frozenset()
        return tuple(
            column for column in choice.columns if column.target in unread and column.target in known
        )

    def check_types(self, choice: Choice, target: Target) -> None:
        """Raise TableRefused where a column's type has changed since the table was made."""
        known = self.known(target) or {}
        for column in choice.columns:
            has = known.get(column.target, "")
            wants = re.sub(r"VARCHAR\(.*", "VARCHAR", warehouse_type(column.kind))
            comparable = has in WORDS.values() or has.startswith("DECIMAL")
            if comparable and wants.partition("(")[0] not in ("SUPER", "VARBYTE") and has != wants:
                way = "drop or rename the warehouse's table and run the source again, which reads it whole"
                if target.shared:
                    way = "give it the same type in every source that writes there, or another target"
                raise TableRefused(
                    f'column "{column.name}" of {choice.name} is {column.type} now, which is {wants} in the '
                    f"warehouse, where it stands as {has}; {way}"
                )


def look(warehouse: Warehouse, source: str, schemas: Sequence[str], run_id: str) -> Landed:
    """Read what the warehouse has of the source; makes its schemas and clears what broken runs left.

    Raises LoadFailed where the database user may not.
    """
    name = f"tributary/{source}/{run_id}/plan"
    making = [control.create_schema(schema) for schema in schemas]
    while len(making) > SCHEMAS_AT_ONCE:
        warehouse.run([making.pop() for _ in range(SCHEMAS_AT_ONCE)], name)
    *_, watermarks, columns, staged = warehouse.run(
        [
            *making,
            control.watermarks(source),
            control.columns(schemas),
            control.staging_tables(),
        ],
        name,
    )
    left = [
        str(row[0])
        for row in staged
        if re.fullmatch(rf"{re.escape(source.lower())}__\d{{8}}_\d{{6}}_\d+(_\d+)?", str(row[0]))
    ]
    if left:
        warehouse.run(drop(left[:40]), f"{name}/clear")
    return Landed(_loaded(watermarks), _columns(columns))


def shut_out(warehouse: Warehouse, source: str, generation: int, run_id: str) -> None:
    """Make sure that nothing an older run still has under way can be published any more.

    The fence is committed first; what began before it is cancelled or awaited; only after that do
    watermarks tell the truth.
    """
    warehouse.run([control.raise_fence(source, generation, run_id)], "tributary/fence")
    for identifier in warehouse.under_way(f"tributary/{source}/"):
        warehouse.cancel(identifier)
        warehouse.wait(identifier, wait_s=120)


def _loaded(rows: Sequence[Row]) -> dict[str, Loaded]:
    return {
        str(table): Loaded(
            run_id=str(run_id),
            mode=str(mode),
            target=str(target),
            cursor=cursor,
            value=value,
            key=tuple(json.loads(key)) if key else None,
            unread=frozenset(json.loads(unread or "[]")),
            columns=columns,
        )
        for table, run_id, mode, target, cursor, value, key, unread, columns in rows
    }


def _columns(rows: Sequence[Row]) -> dict[tuple[str, str], dict[str, str]]:
    columns: dict[tuple[str, str], dict[str, str]] = {}
    for schema, table, column, word, precision, scale in rows:
        type_name = f"DECIMAL({precision},{scale})" if word == "numeric" else WORDS.get(str(word), str(word))
        columns.setdefault((str(schema), str(table)), {})[str(column)] = type_name
    return columns
