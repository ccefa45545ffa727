"""The plan of a run: everything it will do, frozen before the first row is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Final, Literal

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


class TablePlan(Document):
    """All that a run decided about one table, frozen before the first row is read.

    `sql` is the user's query that is read in the place of a table, `where` the user's condition on rows.
    `owner` is the source whose rows are meant where others' stand in the same table, None where none do.
    `exists` says that the warehouse has the table already. `swap` says that the rows read are the
    whole new image of the table: it is replaced, not merged into; of a history, that rows which are not
    among them are closed. `repeated_keys` says that a key may stand there more than once. `last_run`,
    of a table that is appended to by its cursor, is the run whose watermark holds. `rebuild` says that
    what stands there is no history yet and gives way to one; `opens_at` is the instant from which a
    version holds that has no time of its own.
    `asked`: what a person asked beside the usual, None for nothing; `rebuilt`: nothing is read, and the
    table is made anew of what earlier runs read.
    `may_vanish`: the percentage of what stands there that a whole image may take away.
    `watermark` is the committed one, `next_watermark` what the publish commits with the rows; both
    are the source's own text, None where there is none. `whole` says that every row is read.
    `new_columns` (targets) are added to the warehouse's table in the publish; `unread_columns` are
    those that it has and the source no longer gives. `remade`: all columns of a new table that takes its
    place, () where it stays the same table; `form`, of a shared one, is that of the old table: its number
    of columns, and sums over their names and types, and over their sizes. `changes`: what is new of them.
    `sized_texts` says that texts which the source does not bound are as wide as their values ask; the
    sizes, `sized`, by target, are known when rows have been read, and so is `widened`, those of them that
    columns get before the publish. `standing`: all columns of the warehouse's table with their types, {}
    where none of these texts may have to be widened.
    `distkey`, `sortkey` and `encode` are said of a table that is made, by source names; `comments`, by
    target (None: the table's own), are those that the warehouse lacks, `comments_there` those that are said
    again where only another table is wider; `unique` names the constraint of ours that its table has;
    `access` is given after the run, None where the file says nothing of it.
    `future_rows` counts rows dated beyond the source's clock; `notes` say in words what was taken
    without being told, and why.
    A big table's plan stands in several items, one per part: each has the part's `ranges` and all else.
    """

    number: int
    schema_name: str
    table_name: str
    target_schema: str
    target_table: str
    owner: str | None = None
    sql: str | None = None
    where: str | None = None
    mode: Mode
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    cursor: str | None = None
    ranges: tuple[Range, ...]
    part: int = 0
    parts: int = 1
    page_rows: int | None = None
    watermark: str | None = None
    next_watermark: str | None = None
    whole: bool
    swap: bool
    repeated_keys: bool = False
    last_run: str | None = None
    rebuild: bool = False
    opens_at: str | None = None
    asked: ReadRequest | None = None
    rebuilt: ReplayPlan | None = None
    may_vanish: int = 100
    exists: bool
    future_rows: int = 0
    new_columns: tuple[str, ...] = ()
    unread_columns: tuple[str, ...] = ()
    distkey: str | None = None
    sortkey: tuple[str, ...] = ()
    encode: dict[str, str] = Field(default_factory=dict)
    comments: tuple[tuple[str | None, str], ...] = ()
    comments_there: tuple[tuple[str | None, str], ...] = ()
    unique: str | None = None
    access: TableAccess | None = None
    sized_texts: bool = False
    sized: dict[str, int] = Field(default_factory=dict)
    widened: dict[str, int] = Field(default_factory=dict)
    standing: dict[str, str] = Field(default_factory=dict)
    remade: tuple[DeepCopyColumn, ...] = ()
    form: tuple[int, int, int] | None = None
    changes: tuple[SchemaChange, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def source_table(self) -> TableName:
        """Return the table's name in the source."""
        return TableName(self.schema_name, self.table_name)

    @property
    def name(self) -> str:
        """Return the table's name as people say it: `public.orders`."""
        return str(self.source_table)

    @property
    def raw_name(self) -> str:
        """Return the name that the table has in the raw layer, which no other of its source shares."""
        return self.target_table if self.owner is None else f"{self.target_schema}!{self.target_table}"

    @property
    def is_image(self) -> bool:
        """Say whether the rows read are all that the source's part of the table has after the load."""
        return (self.swap and self.mode != "history") or self.rebuild or not self.exists

    def column(self, name: str) -> Column:
        """Return the column of that source name."""
        return next(column for column in self.columns if column.name == name)

    def query(self, part: Range, position: tuple[str, ...] | None, limit: int | None) -> Query:
        """Return the query that reads the range after the position."""
        bounds = (part.after, part.up_to, part.since, part.before)
        return Query(
            table=self.source_table,
            columns=tuple(column.read() for column in self.columns),
            order=part.order,
            cursor=self.cursor if part.nulls or any(bounds) else None,
            after=part.after,
            up_to=part.up_to,
            since=part.since,
            before=part.before,
            nulls=part.nulls,
            position=position or part.begin,
            end=part.end,
            limit=limit,
            sql=self.sql,
            where=self.where,
        )


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
    quiet: tuple[UnchangedTable, ...] = ()
    notes: tuple[str, ...] = ()


class Item(Document):
    """The tables of one Map item, extracted one after the other."""

    format: Format = FORMAT
    tables: tuple[TablePlan, ...]


def columns_digest(targets: Iterable[str]) -> str:
    """Return a digest of the names of columns, in whatever order."""
    return hashlib.sha256(json.dumps(sorted(targets)).encode()).hexdigest()[:32]
