"""What the warehouse has of a source: how far each table is, and its columns."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tributary.model.own_columns import added
from tributary.model.source_catalog import TableName
from tributary.model.warehouse_names import Target
from tributary.planning.load_method import CommittedLoad
from tributary.planning.table_spec import TableSpec
from tributary.redshift import comments, control, key_constraint
from tributary.redshift.comments import Comments
from tributary.redshift.data_api import Row, Warehouse
from tributary.redshift.stage import drop

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
    "super": "SUPER",
}
VARBYTES = {"64000": "VARBYTE", "16777216": "VARBYTE(16777216)"}  # those that Tributary makes

SCHEMAS_AT_ONCE = 30  # made by one batch


@dataclass(frozen=True, slots=True)
class WarehouseState:
    """What the warehouse has of a source: how far each table is, by its source name, columns by target.

    `columns`: schema and table -> column -> type, in the words of `types.warehouse`; a type that
    SVV_COLUMNS calls otherwise stands as it calls it. `forms`: see `documents.TablePlan.form`. `unique`: the
    name of a table's constraint of ours.
    """

    tables: Mapping[str, CommittedLoad] = field(default_factory=dict)
    columns: Mapping[tuple[str, str], Mapping[str, str]] = field(default_factory=dict)
    forms: Mapping[tuple[str, str], tuple[int, int, int]] = field(default_factory=dict)
    comments: Comments = field(default_factory=Comments)
    unique: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def known(self, target: Target) -> Mapping[str, str] | None:
        """Return the types of the target's columns by their names, None where there is no such table."""
        return self.columns.get((target.schema, target.table))

    def loaded(self, choice: TableSpec, target: Target) -> CommittedLoad | None:
        """Return how far the table is; None where it is to begin anew.

        A control row says nothing about another target, nor about a table that somebody dropped.
        """
        found = self.tables.get(choice.name)
        return found if found and found.target == str(target) and self.known(target) is not None else None

    def watermarks(
        self, chosen: Mapping[TableName, TableSpec], targets: Mapping[TableName, Target]
    ) -> dict[TableName, str]:
        """Return the committed watermarks of the tables' cursors, where there are such."""
        found: dict[TableName, str] = {}
        for name, choice in chosen.items():
            loaded = self.loaded(choice, targets[name])
            if loaded and loaded.value is not None and choice.cursor and loaded.cursor == choice.cursor.name:
                found[name] = loaded.value
        return found

    def missing_own_columns(self, choice: TableSpec, target: Target) -> tuple[str, ...]:
        """Return the columns of a history that a table which was none does not have."""
        known = self.known(target)
        return () if known is None else tuple(name for name in added(choice.mode) if name not in known)

    def dropped_columns(self, choice: TableSpec, target: Target) -> tuple[str, ...]:
        """Return the warehouse's columns that the source no longer gives: their values stay."""
        given = {column.target for column in choice.columns} | set(added(choice.mode))
        return tuple(name for name in (self.known(target) or {}) if name not in given)


def read_warehouse_state(
    warehouse: Warehouse, source: str, schemas: Sequence[str], run_id: str
) -> WarehouseState:
    """Read what the warehouse has of the source; makes its schemas and clears what broken runs left.

    Raises LoadFailed where the database user may not.
    """
    name = f"tributary/{source}/{run_id}/plan"
    making = [control.create_schema(schema) for schema in schemas]
    while len(making) > SCHEMAS_AT_ONCE:
        warehouse.run([making.pop() for _ in range(SCHEMAS_AT_ONCE)], name)
    *_, watermarks, columns, staged, said, constraints = warehouse.run(
        [
            *making,
            control.watermarks(source),
            control.columns(schemas),
            control.staging_tables(),
            comments.existing(schemas),
            key_constraint.existing(schemas),
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
    return WarehouseState(
        _loaded(watermarks),
        _columns(columns),
        _forms(columns),
        Comments.of(said),
        {(str(schema), str(table)): str(name) for schema, table, name in constraints},
    )


def fence_off(warehouse: Warehouse, source: str, generation: int, run_id: str) -> None:
    """Make sure that nothing an older run still has under way can be published any more.

    The fence is committed first; what began before it is cancelled or awaited; only after that do
    watermarks tell the truth.
    """
    warehouse.run([control.raise_fence(source, generation, run_id)], "tributary/fence")
    for identifier in warehouse.under_way(f"tributary/{source}/"):
        warehouse.cancel(identifier)
        warehouse.wait(identifier, wait_s=120)


def _loaded(rows: Sequence[Row]) -> dict[str, CommittedLoad]:
    return {
        str(table): CommittedLoad(
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
    for schema, table, column, word, *sizes in rows:
        columns.setdefault((str(schema), str(table)), {})[str(column)] = _type(str(word), *sizes)
    return columns


def _forms(rows: Sequence[Row]) -> dict[tuple[str, str], tuple[int, int, int]]:
    forms: dict[tuple[str, str], tuple[int, int, int]] = {}
    for schema, table, column, word, *sizes in rows:
        count, words, size = forms.get((str(schema), str(table)), (0, 0, 0))
        words, size = words + len(str(column)) + len(str(word)), size + sum(int(one or 0) for one in sizes)
        forms[str(schema), str(table)] = (count + 1, words, size)
    return forms


def _type(word: str, precision: str | None, scale: str | None, size_bytes: str | None) -> str:
    if word == "numeric":
        return f"DECIMAL({precision},{scale})"
    if word == "character varying" and size_bytes:
        return f"VARCHAR({size_bytes})"
    if word == "character" and size_bytes:  # never ours: a table that is made anew needs the size
        return f"character({size_bytes})"
    if word == "binary varying":
        return VARBYTES.get(str(size_bytes), word)
    return WORDS.get(word, word)
