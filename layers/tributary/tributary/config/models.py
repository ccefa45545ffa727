"""The fields of a source's file. A field that is added later has a default, so old files stay valid."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from tributary.config import durations
from tributary.config.choices import either
from tributary.config.durations import Duration
from tributary.config.schedule import Schedule
from tributary.errors import ConfigError
from tributary.model import time_zone, value_policies, warehouse_names
from tributary.model.engine_names import DIALECT, GENERIC, NAMES, reader
from tributary.model.plan import Mode
from tributary.model.value_policies import Fault, Policy

FROZEN = ConfigDict(frozen=True, extra="forbid", defer_build=True)  # built once, inside `Source`
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,49}")  # source_system is VARCHAR(50)
SECRET = re.compile(  # a name in Secrets Manager, or its ARN
    r"arn:aws[a-z-]{0,20}:secretsmanager:[a-z0-9-]{1,30}:\d{12}:secret:[A-Za-z0-9/_+=.@!-]{1,519}"
    r"|[A-Za-z0-9/_+=.@!-]{1,512}"
)
SHARE = re.compile(r"(100|\d{1,2})%")
RANGES_AT_MOST = 64  # of one table
MAX_ROW_MEGABYTES = 64  # the widest VARBYTE is 32 MiB of hex
LONGEST_STATEMENT = timedelta(minutes=15)  # no Lambda function runs longer


def _overlap(value: Any) -> Any:
    if isinstance(value, str):
        return durations.parse(value)
    if isinstance(value, bool | float) or (isinstance(value, int) and value < 0):
        raise ValueError(
            f"{value} is not an overlap; write a duration for a time cursor, 1000 for an integer one"
        )
    return value


def _share(value: Any) -> Any:
    if not isinstance(value, str) or not SHARE.fullmatch(value):
        raise ValueError(f"{value} is not a share; write 0% to 100%")
    return value


def _several(value: Any) -> Any:
    """Return a single name as a list of one."""
    return [value] if isinstance(value, str) else value


def _listed(value: Any) -> Any:
    """Return a single value as a list of one."""
    return value if isinstance(value, list | tuple) else [value]


def _distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    twice = next((value for value in values if values.count(value) > 1), None)
    if twice is not None:
        raise ValueError(f'"{twice}" is in the list twice; keep it once')
    return values


def _policies(value: Any) -> Any:
    """Refuse a policy that does not apply to its fault, and name those that do."""
    if not isinstance(value, dict):
        raise ValueError("write faults with their policies, such as {too_long: truncate}")
    for fault, policy in value.items():
        if fault not in value_policies.CHOICES:
            close = difflib.get_close_matches(str(fault), value_policies.CHOICES, n=1)
            hint = f'did you mean "{close[0]}"?' if close else f"use {either(list(value_policies.CHOICES))}"
            raise ValueError(f'"{fault}" is not a fault; {hint}')
        if policy not in value_policies.CHOICES[fault]:
            raise ValueError(
                f'"{policy}" does not apply to {fault}; use {_quoted(value_policies.CHOICES[fault])}'
            )
    return value


def _column_policies(value: Any) -> Any:
    if not isinstance(value, dict):
        raise ValueError("write columns with their policies, such as {valid_until: clamp}")
    for column, policy in value.items():
        if isinstance(policy, dict):
            _policies(policy)
        elif policy not in POLICIES:
            raise ValueError(f'"{policy}", for {column}, is not a policy; use {_quoted(POLICIES)}')
    return value


def _quoted(policies: Sequence[str]) -> str:
    return either([f'"{policy}"' if policy == "null" else policy for policy in policies])


POLICIES: tuple[Policy, ...] = get_args(Policy)


Text = Annotated[str, Field(min_length=1)]
ColumnPolicy = Policy | dict[Fault, Policy]
Share = Annotated[str, BeforeValidator(_share)]  # 50%
Encoding = Literal["raw", "az64", "lzo", "zstd"]  # those of redshift.table_design
Names = Annotated[tuple[Text, ...], Field(min_length=1), BeforeValidator(_several)]
Values = Annotated[tuple[StrictInt | StrictStr, ...], Field(min_length=1), BeforeValidator(_listed)]


class Columns(BaseModel):
    """Which columns are read: those in `take`, or all except those in `exclude`."""

    model_config = FROZEN

    take: Names | None = None
    exclude: Names | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_list(cls, value: Any) -> Any:
        return {"take": value} if isinstance(value, list | tuple | str) else value

    @model_validator(mode="after")
    def _one_of_both(self) -> Columns:
        if (self.take is None) == (self.exclude is None):
            raise ValueError("write a list of column names, or {exclude: [names]}")
        _distinct(self.take or self.exclude or ())
        return self

    def choose(self, available: Sequence[str]) -> tuple[str, ...]:
        """Return the columns to read, in the order of those available."""
        if self.take is not None:
            return tuple(name for name in available if name in self.take)
        return tuple(name for name in available if name not in (self.exclude or ()))

    def absent(self, available: Sequence[str]) -> tuple[str, ...]:
        """Return the names that the table does not have."""
        return tuple(name for name in self.take or self.exclude or () if name not in available)


class AccessSettings(BaseModel):
    """What the analysts' role may see of a table."""

    model_config = FROZEN

    given: Annotated[StrictBool, Field(exclude=True)] = True  # false for `none`: grants are revoked
    columns: Columns | None = None  # None for all
    mask: dict[Text, Literal["hash", "null", "clear"]] = {}  # clear: named, and seen as it is
    rows: dict[Text, Values] | None = None  # one column with the values that may be seen
    new_columns: Literal["hide", "show"] | None = None  # columns that the table gets later

    @property
    def hides_new_columns(self) -> bool:
        """Return whether analysts see a column that the table gets later only once the file names it.

        By default this is so if any column is masked or excluded: a column that the source renames would
        leave its protection behind.
        """
        if self.new_columns is not None:
            return self.new_columns == "hide"
        return bool(self.mask) or bool(self.columns and self.columns.exclude)

    @model_validator(mode="before")
    @classmethod
    def _none(cls, value: Any) -> Any:
        if isinstance(value, str):
            if value != "none":
                raise ValueError(
                    f'"{value}" is not an access; write none, or what may be seen: {{columns: [id]}}'
                )
            return {"given": False}
        if isinstance(value, dict) and "given" in value:
            raise ValueError("given is not a setting; write access: none")
        return value

    @field_validator("rows")
    @classmethod
    def _of_one_column(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        if value is not None and len(value) != 1:
            raise ValueError("write one column with the values that may be seen: {region: [EU, US]}")
        return value


class TableSettings(BaseModel):
    """How a table is read and loaded; a field without a value is None."""

    model_config = FROZEN

    mode: Mode | None = None
    append: Literal["rows", "snapshots"] | None = None  # what mode `append` adds

    # What is read. `where` is a condition of the source's SQL, `rename` from source to warehouse.
    cursor: Text | None = None
    cursor_time_zone: str | None = None
    key: Names | None = None  # the columns that identify a row, in order
    columns: Columns | None = None
    where: Text | None = None
    rename: Annotated[dict[Text, Text], Field(min_length=1)] | None = None
    booleans: Names | None = None  # integer columns that become BOOLEAN
    nulls: Literal["include", "refuse"] | None = None  # in the cursor
    overlap: Annotated[timedelta | int, BeforeValidator(_overlap)] | None = None  # a time, or an amount
    page_rows: Annotated[StrictInt, Field(ge=1)] | None = None
    max_row_megabytes: Annotated[StrictInt, Field(ge=1, le=1024)] | None = None  # of a row's text
    ranges: Literal["auto"] | Annotated[StrictInt, Field(ge=1, le=RANGES_AT_MOST)] | None = None

    # Values that the warehouse cannot hold: by fault; by column, for each fault that a policy applies to.
    policies: Annotated[dict[Fault, Policy], BeforeValidator(_policies)] | None = None
    column_policies: Annotated[dict[Text, ColumnPolicy], BeforeValidator(_column_policies)] | None = None

    # What a run may change of a table: its columns, and the share of rows that a full refresh may remove.
    on_new_column: Literal["reread", "null"] | None = None
    schema_changes: Literal["evolve", "freeze", "ignore_new"] | None = None
    may_vanish: Share | None = None

    # A new table's design in the warehouse, AUTO by default; `texts`: how wide unbounded ones are.
    distkey: Text | None = None
    sortkey: Names | None = None
    encode: Annotated[dict[Text, Encoding], Field(min_length=1)] | None = None
    texts: Literal["sized", "widest"] | None = None
    comments: StrictBool | None = None  # whether the source's comments are copied
    access: AccessSettings | None = None  # what analysts see; None changes no grants

    @field_validator("key", "sortkey")
    @classmethod
    def _key(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return _distinct(value) if value is not None else None

    @field_validator("cursor_time_zone")
    @classmethod
    def _zone(cls, value: str | None) -> str | None:
        if value is not None:
            time_zone.parse_time_zone(value)
        return value

    def over(self, defaults: TableSettings) -> TableSettings:
        """Return these settings, with the defaults for those that are None; policies are merged."""
        merged = {
            field: getattr(defaults if getattr(self, field) is None else self, field)
            for field in TableSettings.model_fields
        }
        for field in ("policies", "column_policies"):
            merged[field] = {**(getattr(defaults, field) or {}), **(getattr(self, field) or {})} or None
        return TableSettings(**merged)


class TableEntry(TableSettings):
    """An entry of `tables`: one table by `name`, or those of a pattern, `include` without `exclude`."""

    name: Text | None = None
    target: Text | None = None  # schema.table in the warehouse, which other sources may write to as well
    query: Text | None = None  # a SELECT that is read as a table of that name
    include: Text | None = None
    exclude: Annotated[tuple[Text, ...], BeforeValidator(_several)] = ()

    @model_validator(mode="after")
    def _one_of_both(self) -> TableEntry:
        if (self.name is None) == (self.include is None):
            raise ValueError("write exactly one of name (one table) and include (a pattern such as public.*)")
        if self.name is not None and self.exclude:
            raise ValueError("exclude belongs to include; an entry with a name is one table")
        if self.name is None and self.target is not None:
            raise ValueError(
                "target belongs to an entry with a name: one table of a source can be written there"
            )
        if self.name is None and self.query is not None:
            raise ValueError("query needs a name, by which the warehouse and reports know its rows")
        if self.name is not None and "*" in self.name:
            raise ValueError(f'"{self.name}" is a pattern; write it under include')
        return self

    @field_validator("query", "where")
    @classmethod
    def _alone(cls, value: str | None) -> str | None:
        if value is not None and value.rstrip().endswith(";"):
            raise ValueError("this becomes a part of a larger statement; remove the ; at its end")
        return value

    @field_validator("target")
    @classmethod
    def _target(cls, value: str | None) -> str | None:
        try:
            return value and str(warehouse_names.shared_target(value))
        except ConfigError as error:
            raise ValueError(str(error)) from None


def _default_schema(fields: dict[str, Any]) -> str:
    return str(fields["name"]).replace("-", "_")


def _shown(value: str) -> str:
    """Return the text in quotes; a lone surrogate, which no message can hold, is escaped."""
    return '"' + value.encode(errors="backslashreplace").decode() + '"'


class Source(BaseModel):
    """A source file."""

    model_config = FROZEN

    name: str  # the file's
    engine: str
    dialect: str | None = None  # of engine sqlalchemy: name+driver
    secret: str  # its name in Secrets Manager
    host: Text | None = None  # this and the next two: what the secret leaves out
    port: Annotated[StrictInt, Field(ge=1, le=65_535)] | None = None
    dbname: Text | None = None
    schedule: Schedule | None = None  # None for runs that are started by hand
    max_connections: Annotated[StrictInt, Field(ge=1, le=1000)] = 4
    target_schema: str = Field(default_factory=_default_schema, validate_default=True)
    statement_timeout: Duration = timedelta(minutes=5)
    defaults: TableSettings = TableSettings()
    tables: tuple[TableEntry, ...] = Field(min_length=1)
    rows: Literal["all", "visible"] = "all"  # visible: only what the user may see under row-level security
    notify: Literal["failures", "all"] = "failures"
    pause_after: Annotated[StrictInt, Field(ge=1)] = 3

    @property
    def reader(self) -> str:
        """Return the name by which `engines.registry` knows what reads this source."""
        return reader(self.engine, self.dialect)

    @property
    def address(self) -> dict[str, str | int]:
        """Return the fields that the file gives for what the secret leaves out."""
        return self.model_dump(include={"host", "port", "dbname"}, exclude_none=True)

    @property
    def schemas(self) -> list[str]:
        """Return the schemas of the warehouse that the source writes to, its own first."""
        shared = {warehouse_names.shared_target(entry.target).schema for entry in self.tables if entry.target}
        return [self.target_schema, *sorted(shared - {self.target_schema})]

    def may_read_secret(self, prefix: str) -> bool:
        """Say whether functions may read the secret, which is named or given by its ARN."""
        name = self.secret.split(":", 6)[6] if self.secret.startswith("arn:") else self.secret
        return name.startswith(prefix)

    @property
    def statement_timeout_s(self) -> int:
        """Return the statement time-out in whole seconds."""
        return self.statement_timeout // timedelta(seconds=1)

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        if not NAME.fullmatch(value):
            raise ValueError(
                f'"{value}" is not valid as a name; name the file with letters, digits, _ and -, '
                "beginning with a letter, 50 at most"
            )
        return value

    @field_validator("engine")
    @classmethod
    def _engine(cls, value: str) -> str:
        if value not in NAMES:
            raise ValueError(f"{_shown(value)} is not an engine; use {either(NAMES)}")
        return value

    @field_validator("dialect")
    @classmethod
    def _dialect(cls, value: str | None) -> str | None:
        if value is not None and not DIALECT.fullmatch(value):
            raise ValueError(
                f"{_shown(value)} is not a dialect; write SQLAlchemy's name+driver: informix+ifxpy"
            )
        return value

    @model_validator(mode="after")
    def _dialect_of_the_generic_engine(self) -> Source:
        if (self.engine == GENERIC) != (self.dialect is not None):
            raise ValueError(
                "engine: sqlalchemy needs dialect: name+driver"
                if self.dialect is None
                else f"dialect belongs to engine: {GENERIC}; remove it"
            )
        return self

    @field_validator("secret")
    @classmethod
    def _secret(cls, value: str) -> str:
        if not SECRET.fullmatch(value):  # which may be a password: not shown
            raise ValueError(
                'this is not a secret\'s name; write its name in Secrets Manager: "tributary/shop"'
            )
        return value

    @field_validator("target_schema")
    @classmethod
    def _schema(cls, value: str) -> str:
        try:
            return warehouse_names.schema_name(value)
        except ConfigError as error:
            raise ValueError(str(error)) from None

    @field_validator("tables")
    @classmethod
    def _own_schema(cls, value: tuple[TableEntry, ...], info: ValidationInfo) -> tuple[TableEntry, ...]:
        schema = info.data.get("target_schema")
        for entry in value:
            if entry.target and warehouse_names.shared_target(entry.target).schema == schema:
                raise ValueError(
                    f'target "{entry.target}" is in the target_schema, which is for the other tables of this '
                    "source; write a schema that is no source's target_schema"
                )
        return value

    @field_validator("statement_timeout")
    @classmethod
    def _timeout(cls, value: timedelta) -> timedelta:
        if not timedelta(seconds=1) <= value <= LONGEST_STATEMENT:
            raise ValueError("a statement's time-out is 1 second to 15 minutes; write 5 minutes")
        return value
