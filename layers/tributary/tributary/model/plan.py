"""The plan of a run: everything it will do, frozen before the first row is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from pydantic import Field

from tributary.model.documents import FORMAT, Document, Format
from tributary.model.query import Query, ReadColumn
from tributary.model.source_catalog import TableName
from tributary.model.types import Kind
from tributary.model.value_policies import Fault, Policy

Mode = Literal["merge", "append", "replace", "history"]


RequestKind = Literal["full_refresh", "from", "window", "replay"]


MOVES_NOTHING: Final = ("window", "replay")  # what leaves a table no further than it was


class Column(Document):
    """A column to move: `name` and `type` in the source, `target` in the warehouse.

    `policies`: what is done about values that the warehouse cannot hold, `fail` where it says nothing.
    """

    name: str
    type: str
    kind: Kind
    nullable: bool
    target: str
    policies: dict[Fault, Policy] = Field(default_factory=dict)

    def read(self) -> ReadColumn:
        """Return what the engine needs to know of the column."""
        return ReadColumn(self.name, self.type, self.kind, self.policies, self.nullable)


class ReadRequest(Document):
    """What a person asked of a run: all rows, those of a part of the cursor's values, or the raw layer's.

    `from` reads every row from `since` on, `window` those of `since <= cursor < before` and no others.
    """

    what: RequestKind
    since: str | None = None
    before: str | None = None


class Range(Document):
    """A part of a table, read on its own as one chunk sequence.

    `order`: the columns to read by, () where the table has none and is read in one go.
    `nulls`: only the rows without a cursor value; otherwise `after < cursor <= up_to` and
    `since <= cursor < before`, where None means no bound. `begin` and `end` bound the order itself as
    `after` and `up_to` do the cursor: texts of its columns.
    `run_id`: the earlier run that froze the range, under whose name its chunks stand.
    """

    number: int
    order: tuple[str, ...]
    nulls: bool = False
    after: str | None = None
    up_to: str | None = None
    since: str | None = None
    before: str | None = None
    begin: tuple[str, ...] | None = None
    end: tuple[str, ...] | None = None
    run_id: str | None = None


class Access(Document):
    """What the analysts' role sees of a table, by targets.

    `columns`: None for all; `mask`: what stands in the place of a column's values; `rows`: a column and
    the values of the rows that it sees, None for all rows.
    """

    columns: tuple[str, ...] | None = None
    mask: dict[str, Literal["hash", "null"]] = Field(default_factory=dict)
    rows: tuple[str, tuple[str | int, ...]] | None = None


class TableAccess(Document):
    """A table of the warehouse with the access that it is to have; None: nobody but the pipeline's user."""

    schema_name: str
    table_name: str
    access: Access | None = None


class AccessEvent(Document):
    """What the keeper of the warehouse is asked: to give tables their access."""

    access: tuple[TableAccess, ...]


class DeepCopyColumn(Document):
    """A column of the table that takes the old one's place; `kept`: with the values that stand there."""

    name: str
    type: str
    kept: bool


class SchemaChange(Document):
    """What a publish changes of a column in the warehouse: its type before and after, where it has one."""

    column: str
    change: Literal["added", "returned", "dropped", "type_changed"]
    before: str | None = None
    after: str | None = None


class ReplayPlan(Document):
    """That a table is made anew from the raw layer: of how many runs, and what its control row said."""

    runs: int
    key: str | None = None
    columns_digest: str | None = None


class TargetTable(Document):
    """The warehouse's table, as it is when the run is planned."""

    schema_name: str
    table_name: str
    exists: bool
    owner: str | None = None  # the source whose rows are meant; None if no other source writes here
    repeated_keys: bool = False  # a key may occur more than once
    key_constraint: str | None = None  # the name of our PRIMARY KEY on it

    @property
    def name(self) -> str:
        """Return the table's full name: `shop.orders`."""
        return f"{self.schema_name}.{self.table_name}"


class ReadPlan(Document):
    """What is read of the source. Watermarks and bounds are the source's own texts."""

    sql: str | None = None  # the user's query that is read instead of a table
    where: str | None = None  # the user's condition on rows
    cursor: str | None = None
    watermark: str | None = None  # the committed one
    whole_read: bool  # every row is read
    page_rows: int | None = None
    ranges: tuple[Range, ...]
    range_index: int = 0  # which of the table's ranges this item reads, if it has several
    range_count: int = 1  # more than 1: each of the table's ranges is read by an item of its own
    future_rows: int = 0  # rows dated beyond the source's clock


class PublishPlan(Document):
    """How the rows read go into the warehouse's table."""

    full_refresh: bool  # they replace all rows of the source; in a history, close versions of other keys
    convert_to_history: bool = False  # the existing table is not a history: empty it and start one
    may_vanish: int = 100  # percentage of the existing rows that a full refresh may remove
    next_watermark: str | None = None  # committed with the rows
    last_run: str | None = None  # of an append by cursor: the run that committed the watermark
    opens_at: str | None = None  # the start of a version that has no time of its own


class TableDesign(Document):
    """What a CREATE TABLE or COMMENT says of the table; columns by their source names, comments by target."""

    distkey: str | None = None
    sortkey: tuple[str, ...] = ()
    encode: dict[str, str] = Field(default_factory=dict)
    comments: tuple[tuple[str | None, str], ...] = ()  # those that the warehouse lacks; None: the table's
    comments_of_copy: tuple[tuple[str | None, str], ...] = ()  # and those that only a deep copy would lack


class TextSizes(Document):
    """The sizes of texts that the source does not bound, by target: see `redshift.text_sizes`."""

    sized_by_values: bool = False  # texts are as wide as their values need
    sizes: dict[str, int] = Field(default_factory=dict)  # set after the rows are read
    widened: dict[str, int] = Field(default_factory=dict)  # those that columns get before the publish
    existing_columns: dict[str, str] = Field(default_factory=dict)  # all, with types; {} if none can widen


class SchemaChanges(Document):
    """How the warehouse's table changes in the publish; columns by target."""

    new_columns: tuple[str, ...] = ()  # added to it
    unread_columns: tuple[str, ...] = ()  # it has them, and the source no longer
    changes: tuple[SchemaChange, ...] = ()  # as recorded in etl_schema_changes
    deep_copy: tuple[DeepCopyColumn, ...] = ()  # all columns of the table that replaces it; () if none does
    copied_form: tuple[int, int, int] | None = None  # of a shared one: its columns, sums of names and sizes


class TablePlan(Document):
    """All that a run decided about one table.

    A big table's plan is in several items, one per range: each has one of the `ranges` and all else.
    """

    number: int
    source: TableName
    target: TargetTable
    mode: Mode
    columns: tuple[Column, ...]
    key: tuple[str, ...]  # source names; () if the table has none
    read: ReadPlan
    publish: PublishPlan
    design: TableDesign = TableDesign()
    texts: TextSizes = TextSizes()
    schema_changes: SchemaChanges = SchemaChanges()
    request: ReadRequest | None = None  # what a person asked beyond the usual
    replay: ReplayPlan | None = None  # nothing is read: the table is rebuilt from the raw layer
    access: TableAccess | None = None  # granted after the run; None if the source's file has no access
    notes: tuple[str, ...] = ()  # what was decided without being configured, and why

    @classmethod
    def from_fields(cls, **fields: Any) -> TablePlan:
        """Return the plan of these fields, each by its own name whichever group has it."""
        grouped = {name: value for name, value in fields.items() if name in cls.model_fields}
        for group, values in _by_group(fields).items():
            grouped[group] = values
        return cls.model_validate(grouped)

    def with_changes(self, **changes: Any) -> TablePlan:
        """Return a copy with these fields, each by its own name whichever group has it."""
        update = {name: value for name, value in changes.items() if name in TablePlan.model_fields}
        for group, values in _by_group(changes).items():
            update[group] = getattr(self, group).model_copy(update=values)
        return self.model_copy(update=update)

    @property
    def name(self) -> str:
        """Return the table's name in the source, as people write it: `public.orders`."""
        return str(self.source)

    @property
    def raw_name(self) -> str:
        """Return the table's name in the raw layer, unique within its source."""
        target = self.target
        return target.table_name if target.owner is None else f"{target.schema_name}!{target.table_name}"

    @property
    def is_full_load(self) -> bool:
        """Return whether the table has none of the source's rows after the load but those read."""
        replaced = self.publish.full_refresh and self.mode != "history"
        return replaced or self.publish.convert_to_history or not self.target.exists

    def column(self, name: str) -> Column:
        """Return the column of that source name."""
        return next(column for column in self.columns if column.name == name)

    def query(self, part: Range, position: tuple[str, ...] | None, limit: int | None) -> Query:
        """Return the query that reads the range after the position."""
        bounds = (part.after, part.up_to, part.since, part.before)
        return Query(
            table=self.source,
            columns=tuple(column.read() for column in self.columns),
            order=part.order,
            cursor=self.read.cursor if part.nulls or any(bounds) else None,
            after=part.after,
            up_to=part.up_to,
            since=part.since,
            before=part.before,
            nulls=part.nulls,
            position=position or part.begin,
            end=part.end,
            limit=limit,
            sql=self.read.sql,
            where=self.read.where,
        )


GROUPS: Final[dict[str, type[Document]]] = {
    "target": TargetTable,
    "read": ReadPlan,
    "publish": PublishPlan,
    "design": TableDesign,
    "texts": TextSizes,
    "schema_changes": SchemaChanges,
}
GROUP_OF: Final = {field: group for group, model in GROUPS.items() for field in model.model_fields}


def _by_group(fields: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the fields that belong to groups, by group; raises TypeError for an unknown name."""
    groups: dict[str, dict[str, Any]] = {}
    for name, value in fields.items():
        if name in GROUP_OF:
            groups.setdefault(GROUP_OF[name], {})[name] = value
        elif name not in TablePlan.model_fields:
            raise TypeError(f"a table's plan has no field {name}")
    return groups


class Failure(Document):
    """Why a table is not in the warehouse: the error's class name and its message."""

    table: str
    error: str
    message: str


class PausedTable(Document):
    """A table that runs leave out: it failed that often in a row, last in that run, by that error."""

    table: str
    failures: int
    run_id: str
    error: str


class UnchangedTable(Document):
    """A table of which the source had nothing new, so that there was nothing to plan."""

    table: str
    target: str
    mode: Mode


class Plan(Document):
    """The head of a run's plan; its tables stand in `items` objects of TablePlans.

    `prefix` is where the items of the attempt that won stand; `partial`: the execution's input named
    its tables; `warehouse` names the one that the run was planned for.
    `failures` are the tables that could not be planned, `paused` those that the run leaves out;
    `quiet` are all of a run's tables where none had anything new, and there is no item then.
    `replay`: the tables are made anew from the raw layer, and none is read.
    """

    format: Format = FORMAT
    version: str
    source: str
    engine: str
    secret: str
    run_id: str
    generation: int
    execution_arn: str
    started_at: str
    prefix: str
    items: int
    max_connections: int
    statement_timeout_s: int
    notify: Literal["failures", "all"]
    warehouse: str = ""
    partial: bool = False
    replay: bool = False
    failures: tuple[Failure, ...] = ()
    paused: tuple[PausedTable, ...] = ()
    unchanged: tuple[UnchangedTable, ...] = ()
    notes: tuple[str, ...] = ()


class Item(Document):
    """The tables of one Map item, extracted one after the other."""

    format: Format = FORMAT
    tables: tuple[TablePlan, ...]


def columns_digest(targets: Iterable[str]) -> str:
    """Return a digest of the names of columns, in whatever order."""
    return hashlib.sha256(json.dumps(sorted(targets)).encode()).hexdigest()[:32]
