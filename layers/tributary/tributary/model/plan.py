"""The plan of a run: everything it will do, frozen before the first row is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from pydantic import Field

from tributary.model.documents import FORMAT, Document, Format, Lasting
from tributary.model.query import Query, ReadColumn
from tributary.model.source_catalog import CatalogFingerprint, TableName
from tributary.model.types import Kind
from tributary.model.value_policies import Fault, Policy

Mode = Literal["merge", "append", "replace", "history"]


RequestKind = Literal["full_refresh", "from", "window", "replay"]


MOVES_NOTHING: Final = ("window", "replay")  # requests that leave the watermark as it was


RawName = tuple[str, ...]  # of a table in the raw layer: (table,), or (schema, table) of a shared target


class Column(Document):
    """A column to move."""

    name: str  # in the source
    type: str  # in the source
    kind: Kind
    nullable: bool
    target: str  # its name in the warehouse
    policies: dict[Fault, Policy] = Field(default_factory=dict)  # for values that it cannot hold; else `fail`

    def read(self) -> ReadColumn:
        """Return the column as the engine reads it."""
        return ReadColumn(self.name, self.type, self.kind, self.policies, self.nullable)


class ReadRequest(Document):
    """What a person asked of a run: all rows, those of some values of the cursor, or the raw layer's."""

    what: RequestKind
    since: str | None = None  # `from` and `window` read the rows from this value on
    before: str | None = None  # and `window` those below this one


class Range(Document):
    """A part of a table's key space, read on its own as one chunk sequence; None means no bound."""

    number: int
    order: tuple[str, ...]  # the columns to read by; () if the table is read in one go
    nulls: bool = False  # only the rows without a cursor value; the bounds of the cursor do not apply
    after: str | None = None  # after < cursor
    up_to: str | None = None  # cursor <= up_to
    since: str | None = None  # since <= cursor
    before: str | None = None  # cursor < before
    begin: tuple[str, ...] | None = None  # begin < order columns: their texts in the row before
    end: tuple[str, ...] | None = None  # order columns <= end
    run_id: str | None = None  # the earlier run that froze the range: its chunks carry that run's name
    folder: str | None = None  # of its chunks, if format 3 named it; their footers name no table then


class Access(Document):
    """What the analysts' role sees of a table; columns by their names in the warehouse."""

    columns: tuple[str, ...] | None = None  # None: all
    mask: dict[str, Literal["hash", "null"]] = Field(default_factory=dict)  # shown instead of the values
    rows: tuple[str, tuple[str | int, ...]] | None = None  # a column, and its values in visible rows
    hide_new: bool = False  # columns that the table gets later are hidden, unless they are named
    named: tuple[str, ...] = ()  # columns that the file names, and those that Tributary adds


class TableAccess(Document):
    """A table of the warehouse with the access to grant; None: none but the pipeline's user has any."""

    schema_name: str
    table_name: str
    access: Access | None = None


class AccessEvent(Document):
    """The input of the warehouse function: tables with the access to grant."""

    access: tuple[TableAccess, ...]


class AccessResult(Lasting):
    """What Access did with the tables of one call; tables by `schema.table`."""

    tables: int
    changed: int
    left: int = 0  # tables that the call had no time for
    hidden: dict[str, tuple[str, ...]] = Field(default_factory=dict)  # new columns that analysts do not see
    failures: dict[str, str] = Field(default_factory=dict)  # why the access of a table could not be set


class DeepCopyColumn(Document):
    """A column of the table that replaces the old one in a deep copy."""

    name: str
    type: str
    kept: bool  # its values are copied from the old table


class SchemaChange(Document):
    """A column of the warehouse that a publish changes, with its types before and after, if it has them."""

    column: str
    change: Literal["added", "returned", "dropped", "type_changed"]
    before: str | None = None
    after: str | None = None


class ReplayPlan(Document):
    """A table is rebuilt from the raw layer; the control row keeps its key and columns."""

    runs: int  # how many of them are loaded again
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
    longest_row_bytes: int = 64 << 20  # of text; a longer row fails the table before it takes memory
    ranges: tuple[Range, ...]
    range_index: int = 0  # which of the table's ranges this item reads, if it has several
    range_count: int = 1  # more than 1: each of the table's ranges is read by an item of its own
    future_rows: int = 0  # rows dated beyond the source's clock
    fingerprint: CatalogFingerprint | None = None  # the source's catalog before the rows are read


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
    def raw_name(self) -> RawName:
        """Return the table's name in the raw layer, unique within its source."""
        target = self.target
        return (target.table_name,) if target.owner is None else (target.schema_name, target.table_name)

    @property
    def identity(self) -> tuple[str, ...]:
        """Return what the table's chunks say of it: its names in the source and in the warehouse."""
        return (self.source.schema, self.source.table, self.target.schema_name, self.target.table_name)

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
            longest_bytes=self.read.longest_row_bytes,
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
    """A table that runs leave out."""

    table: str
    failures: int  # in a row
    run_id: str  # of the last one
    error: str  # its class name


class UnchangedTable(Document):
    """A table without changes in the source, so that there was nothing to plan."""

    table: str
    target: str
    mode: Mode


class Plan(Document):
    """The head of a run's plan; its tables are in items."""

    format: Format = FORMAT
    version: str
    source: str
    engine: str
    secret: str
    address: dict[str, str | int] = Field(
        default_factory=dict
    )  # what the secret leaves out: host, port, dbname
    run_id: str
    generation: int
    execution_arn: str
    started_at: str
    prefix: str  # of the keys of its items: each attempt to plan has its own
    items: int
    max_connections: int
    statement_timeout_s: int
    rows: Literal["all", "visible"] = "all"  # visible: what the user may see under row-level security
    notify: Literal["failures", "all"]
    warehouse: str = ""  # the name of the one that the run was planned for
    partial: bool = False  # the execution's input named its tables
    replay: bool = False  # tables are rebuilt from the raw layer, and the source is not read
    failures: tuple[Failure, ...] = ()  # of tables that could not be planned
    paused: tuple[PausedTable, ...] = ()  # left out
    unchanged: tuple[UnchangedTable, ...] = ()  # all tables, if none has changes: there is no item then
    notes: tuple[str, ...] = ()


class Item(Document):
    """The tables of one Map item, extracted one after the other."""

    format: Format = FORMAT
    tables: tuple[TablePlan, ...]


def columns_digest(targets: Iterable[str]) -> str:
    """Return a digest of the names of columns; their order does not matter."""
    return hashlib.sha256(json.dumps(sorted(targets)).encode()).hexdigest()[:32]
