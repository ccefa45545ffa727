"""Names in the warehouse: what Redshift makes of a source's names, and which of them collide.

Redshift folds ASCII letters to lower case even in quotes, takes 1 to 127 bytes of UTF-8 and
printable characters only (Database Developer Guide, "Names and identifiers"), and cuts a longer
name silently. So every name is folded and checked before the first row is read. If two names collide,
neither is taken: which one a person meant is never guessed.
"""

from __future__ import annotations

import string
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from tributary.errors import ConfigError, TableRefused
from tributary.model.own_columns import ADDED, PREFIX
from tributary.model.plan import Failure
from tributary.model.source_catalog import TableName

LIMIT_BYTES = 127
OWN_COLUMNS = frozenset(ADDED)
SYSTEM_COLUMNS = frozenset({"oid", "tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"})
STAGING_SCHEMA = "etl_staging"
OWN_SCHEMAS = frozenset({STAGING_SCHEMA})
RAW_SCHEMA_PREFIX = "etl_raw_"  # of the schema of a stack's external tables
SYSTEM_SCHEMAS = frozenset({"information_schema", "catalog_history", "sys"})
CONTROL_SCHEMA, CONTROL_PREFIX = "public", "etl_"  # of our control tables

_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


@dataclass(frozen=True, slots=True)
class Target:
    """A table's name in the warehouse; `shared`: other sources write to it too."""

    schema: str
    table: str
    shared: bool = False

    def __str__(self) -> str:
        return f"{self.schema}.{self.table}"


@dataclass(frozen=True, slots=True)
class Targets:
    """The name in the warehouse of each table that can have one, and a failure for each that cannot."""

    names: dict[TableName, Target] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()

    def of(self, tables: Collection[TableName]) -> Targets:
        """Return the names and failures of these tables alone."""
        named = {str(table) for table in tables}
        return Targets(
            {table: name for table, name in self.names.items() if table in tables},
            tuple(failure for failure in self.failures if failure.table in named),
        )


def fold(name: str) -> str:
    """Return the name as Redshift keeps it: ASCII letters in lower case, all others as they are."""
    return name.translate(_LOWER)


def column_names(
    names: Sequence[str],
    own: Collection[str] = OWN_COLUMNS,
    renamed: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the warehouse's name of each column; raises TableRefused for the first that has none.

    `own`: the columns that the table has in the warehouse beside those of the source. `renamed`: the
    names that were chosen for columns.
    """
    taken: dict[str, str] = {}
    for name in names:
        chosen = (renamed or {}).get(name, name)
        folded = fold(chosen)
        wrong = _wrong(chosen) or _reserved(folded, own)
        if wrong:
            raise TableRefused(
                f'column "{name}" {wrong}; leave it out (columns: exclude) or give it another name (rename)'
            )
        if folded in taken:
            raise TableRefused(
                f'columns "{taken[folded]}" and "{name}" are both "{folded}" in the warehouse, which knows '
                "no upper case; leave one out (columns: exclude) or give it another name (rename)"
            )
        taken[folded] = name
    return {name: folded for folded, name in taken.items()}


def table_names(
    target_schema: str, tables: Sequence[TableName], shared: Mapping[TableName, Target] | None = None
) -> Targets:
    """Return the names of a source's tables: in its target schema, or as `shared` has them.

    All tables that would share a name fail, not only the later ones: a table that appears in the
    source must never take over the rows of another.
    """
    meeting: dict[Target, list[TableName]] = defaultdict(list)
    failures: list[Failure] = []
    for table in tables:
        target = (shared or {}).get(table) or Target(target_schema, fold(table.table))
        wrong = None if target.shared else _wrong(table.table) or _own_table(target.schema, target.table)
        if wrong:
            failures.append(
                _failure(table, f'table "{table}" {wrong}; exclude it, or read it through a view')
            )
        else:
            meeting[target].append(table)
    for target, sharing in meeting.items():
        if len(sharing) > 1:
            failures += [_failure(table, _meeting(target, sharing)) for table in sharing]
    names = {sharing[0]: target for target, sharing in meeting.items() if len(sharing) == 1}
    return Targets(names, tuple(failures))


def shared_target(text: str) -> Target:
    """Return the table that several sources write to; raises ConfigError for an impossible name."""
    schema, dot, table = text.partition(".")
    if not schema or not dot or not table:
        raise ConfigError(f'"{text}" is no table of the warehouse; write schema and table: company.orders')
    target = Target(fold(schema), fold(table), shared=True)
    wrong = _wrong_schema(schema) or _wrong(table) or _own_table(target.schema, target.table)
    if wrong:
        raise ConfigError(f'"{text}" {wrong}; write another target')
    return target


def schema_name(name: str) -> str:
    """Return the warehouse's name of a target schema; raises ConfigError for an impossible one."""
    if wrong := _wrong_schema(name):
        raise ConfigError(f'"{name}" {wrong}; write another target_schema')
    return fold(name)


def _wrong_schema(name: str) -> str | None:
    if fold(name) in OWN_SCHEMAS or fold(name).startswith(RAW_SCHEMA_PREFIX):
        return "is a schema of Tributary's own"
    if fold(name) in SYSTEM_SCHEMAS or fold(name).startswith("pg_"):
        return "belongs to the warehouse itself"
    return _wrong(name)


def _wrong(name: str) -> str | None:
    """Return what makes the name impossible in Redshift, None if it is possible."""
    size_bytes = len(name.encode("utf-8", "surrogatepass"))
    if not name:
        return "has no name"
    if size_bytes > LIMIT_BYTES:
        return f"has a name of {size_bytes} bytes, and the warehouse takes {LIMIT_BYTES}"
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        return "has a character in its name that cannot be printed, and the warehouse takes none"
    return None


def _reserved(folded: str, own: Collection[str]) -> str | None:
    if folded in own or folded.startswith(PREFIX):
        return "has the name of a column that Tributary adds to the table"
    if folded in SYSTEM_COLUMNS:
        return "has the name of a system column of the warehouse"
    return None


def _own_table(target_schema: str, folded: str) -> str | None:
    if folded.startswith(PREFIX):  # the publish's statements use such names
        return f"has a name that begins with {PREFIX}, as only Tributary's own may"
    if target_schema == CONTROL_SCHEMA and folded.startswith(CONTROL_PREFIX):
        return f"would be among Tributary's own tables, {CONTROL_PREFIX}* in {CONTROL_SCHEMA}"
    return None


def _meeting(target: Target, tables: Sequence[TableName]) -> str:
    listed = " and ".join(f'"{table}"' for table in tables)
    schemas = {table.schema for table in tables}
    if target.shared:
        way = "its rows are identified by their source, so only one table of a source may have this target"
    elif len(schemas) == len(tables):
        way = "read each schema as a source of its own, with its own target_schema, or exclude all but one"
    else:
        way = "the warehouse knows no upper case: exclude all but one, or read the others through views"
    return f'tables {listed} are all "{target.schema}"."{target.table}" in the warehouse; {way}'


def _failure(table: TableName, message: str) -> Failure:
    return Failure(table=str(table), error=TableRefused.__name__, message=message)
