"""What the warehouse has of a source: what is committed of each table, and its columns."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tributary.errors import TableRefused
from tributary.model.own_columns import added
from tributary.model.source_catalog import TableName
from tributary.model.warehouse_names import Target
from tributary.planning.load_method import CommittedLoad
from tributary.planning.table_spec import TableSpec
from tributary.redshift import comments, control, key_constraint
from tributary.redshift.comments import Comments
from tributary.redshift.data_api import Row, Warehouse
from tributary.redshift.stage import drop

WORDS = {  # format_type's words for the types whose changes are recognized without doubt
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
VARBYTES = {"64000": "VARBYTE", "16777216": "VARBYTE(16777216)"}  # those that Tributary creates
SIZED = re.compile(r"([a-z ]+)\((\d+(?:,\d+)?)\)")

SCHEMAS_AT_ONCE = 30  # created by one batch


@dataclass(frozen=True, slots=True)
class WarehouseState:
    """What the warehouse has of a source. Keys are `(schema, table)`, unless stated otherwise."""

    tables: Mapping[str, CommittedLoad] = field(default_factory=dict)  # by source name
    # Column -> type, in the words of `types.warehouse`; a type without one has format_type's own.
    columns: Mapping[tuple[str, str], Mapping[str, str]] = field(default_factory=dict)
    # Number of columns, and sums over the lengths of their names and types, and over their type modifiers.
    forms: Mapping[tuple[str, str], tuple[int, int, int]] = field(default_factory=dict)
    comments: Comments = field(default_factory=Comments)
    unique: Mapping[tuple[str, str], str] = field(default_factory=dict)  # names of our own constraints
    owners: Mapping[tuple[str, str], str] = field(default_factory=dict)  # of tables that are not ours

    def known(self, target: Target) -> Mapping[str, str] | None:
        """Return the types of the target's columns by their names, None if the table does not exist."""
        return self.columns.get((target.schema, target.table))

    def check_owner(self, schema: str, table: str) -> None:
        """Raise TableRefused if the warehouse's table belongs to another user, who can read what it gets."""
        owner = self.owners.get((schema, table))
        if owner is not None:
            raise TableRefused(
                f'table {schema}.{table} of the warehouse belongs to user "{owner}" and not to the pipeline, '
                "so nothing is loaded into it; rename or drop it, make the pipeline's user its owner (ALTER "
                "TABLE ... OWNER TO ...), or choose another target_schema or target"
            )

    def loaded(self, spec: TableSpec, target: Target) -> CommittedLoad | None:
        """Return the table's last load, None if it must be loaded from the start.

        A control row of another target, or of a table that was dropped since, does not count.
        """
        load = self.tables.get(spec.name)
        return load if load and load.target == str(target) and self.known(target) is not None else None

    def watermarks(
        self, specs: Mapping[TableName, TableSpec], targets: Mapping[TableName, Target]
    ) -> dict[TableName, str]:
        """Return the committed watermarks of the tables' cursors."""
        watermarks: dict[TableName, str] = {}
        for name, spec in specs.items():
            loaded = self.loaded(spec, targets[name])
            if loaded and loaded.value is not None and spec.cursor and loaded.cursor == spec.cursor.name:
                watermarks[name] = loaded.value
        return watermarks

    def missing_own_columns(self, spec: TableSpec, target: Target) -> tuple[str, ...]:
        """Return the columns that Tributary adds in this mode and that the existing table lacks."""
        known = self.known(target)
        return () if known is None else tuple(name for name in added(spec.mode) if name not in known)

    def dropped_columns(self, spec: TableSpec, target: Target) -> tuple[str, ...]:
        """Return the warehouse's columns that the source no longer has: their values stay."""
        current = {column.target for column in spec.columns} | set(added(spec.mode))
        return tuple(name for name in (self.known(target) or {}) if name not in current)


def read_warehouse_state(
    warehouse: Warehouse, source: str, schemas: Sequence[str], run_id: str
) -> WarehouseState:
    """Read what the warehouse has of the source; create its schemas and drop what broken runs left.

    Raises LoadFailed if the database user may not do so.
    """
    name = f"tributary/{source}/{run_id}/plan"
    creating = [control.create_schema(schema) for schema in schemas]
    while len(creating) > SCHEMAS_AT_ONCE:
        warehouse.run([creating.pop() for _ in range(SCHEMAS_AT_ONCE)], name)
    *_, watermarks, columns, staged, comment_rows, constraints, others = warehouse.run(
        [
            *creating,
            control.watermarks(source),
            control.columns(schemas),
            control.staging_tables(),
            comments.existing(schemas),
            key_constraint.existing(schemas),
            control.tables_of_others(schemas),
        ],
        name,
    )
    abandoned = [
        str(row[0])
        for row in staged
        if re.fullmatch(rf"{re.escape(source.lower())}__\d{{8}}_\d{{6}}_\d+(_\d+)?", str(row[0]))
    ]
    if abandoned:
        warehouse.run(drop(abandoned[:40]), f"{name}/clear")
    return WarehouseState(
        _loaded(watermarks),
        _columns(columns),
        _forms(columns),
        Comments.of(comment_rows),
        {(str(schema), str(table)): str(name) for schema, table, name in constraints},
        {(str(schema), str(table)): str(owner) for schema, table, owner in others},
    )


def first_generation(warehouse: Warehouse, source: str) -> int:
    """Return the generation for a source without a lease: higher than all that the warehouse has seen.

    A new bucket on a kept warehouse has no lease: a lower generation would be fenced for ever, and
    older control rows would win over its own.
    """
    [[[highest]]] = warehouse.run([control.highest_generation(source)], f"tributary/{source}/generation")
    return int(highest or 0) + 1


def fence_off(warehouse: Warehouse, source: str, generation: int, run_id: str) -> None:
    """Make sure that an older run, though still active, can publish nothing more.

    The fence is committed first. Then statements that began before it are cancelled or awaited. Only
    after that are the watermarks reliable.
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
    for schema, table, column, type_name, _ in rows:
        columns.setdefault((str(schema), str(table)), {})[str(column)] = _type(str(type_name))
    return columns


def _forms(rows: Sequence[Row]) -> dict[tuple[str, str], tuple[int, int, int]]:
    forms: dict[tuple[str, str], tuple[int, int, int]] = {}
    for schema, table, column, type_name, modifier in rows:
        count, lengths, modifiers = forms.get((str(schema), str(table)), (0, 0, 0))
        lengths += len(str(column)) + len(str(type_name))
        forms[str(schema), str(table)] = (count + 1, lengths, modifiers + int(modifier or 0))
    return forms


def _type(name: str) -> str:
    """Return a type as `types.warehouse` words it, from format_type's text: `character varying(20)`."""
    match = SIZED.fullmatch(name)
    word, size = (match[1], match[2]) if match else (name, "")
    if word == "numeric" and size:
        return f"DECIMAL({size})"
    if word == "character varying" and size:
        return f"VARCHAR({size})"
    if word == "binary varying":  # the size may be missing: see `table_design.declaration`
        return VARBYTES.get(size, word)
    return WORDS.get(word, name)
