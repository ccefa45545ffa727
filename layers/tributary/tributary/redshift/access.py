"""Apply the `access` of a table: columns by grants, values by masking policies, rows by RLS policies.

A table's statements are one transaction, or several of 40 statements, each of which records what it attached.
So the next call continues access that broke off. They revoke first and grant
last, so a table is never visible before its masks are attached. The administrator runs them:
attaching a policy needs a right that also allows detaching it (sys:secadmin), and the loader has
no such right.

`etl_access` records what was applied to which columns. So access that is current is not applied again,
and a recreated table or column gets it again. It also records which columns the table had, by digests of
their names. So a column that comes later is not granted if the access hides new columns: a mask that was
set for a column would not follow it to a new name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from tributary.errors import LoadFailed
from tributary.model.plan import Access, AccessResult, TableAccess
from tributary.observability import logger
from tributary.redshift.data_api import Row, Warehouse
from tributary.redshift.roles import ADMIN, ANALYST
from tributary.redshift.sql import ACCESS, CONTROL, comma, literal, quote

NAME = "tributary/access"  # of its statements
TABLES_AT_ONCE = 40  # in one query
STATEMENTS_AT_MOST = 40  # in a batch
UNFINISHED = ""  # the digest of access of which only the first transactions are committed
DIGITS = 20  # of a column name's digest: those of 1,600 columns fit into one VARCHAR
COLUMNS = {
    "schema_name": "VARCHAR(127) NOT NULL",
    "table_name": "VARCHAR(127) NOT NULL",
    "digest": "VARCHAR(64) NOT NULL",
    "table_oid": "VARCHAR(20) NOT NULL",
    "attached": "VARCHAR(65535) NOT NULL",
    "applied_at": "TIMESTAMP NOT NULL",
    "known_columns": "VARCHAR(65535)",  # added later, so nullable and last
}


@dataclass(frozen=True, slots=True)
class CatalogTable:
    """A table in the warehouse's catalog."""

    oid: str
    columns: dict[str, tuple[str, str]]  # attnum and type by name


@dataclass(frozen=True, slots=True)
class AppliedAccess:
    """A table's row of `etl_access`: the access that it was given last."""

    digest: str
    oid: str
    attached: tuple[tuple[str | None, str, str], ...]  # column (None: the rows), attnum, policy
    known: frozenset[str] | None = None  # digests of the names of columns that are not new; None: never set

    def is_new(self, column: str) -> bool:
        """Return whether the table got the column after its access was set first."""
        return self.known is not None and _digits(column) not in self.known


def apply(
    warehouse: Warehouse,
    tables: Sequence[TableAccess],
    *,
    owner: str,
    in_time: Callable[[], bool] = lambda: True,
) -> AccessResult:
    """Give each table its access if it has a different one; return what was done, and what failed.

    Tables that `owner`, the pipeline's database user, does not own, or has never loaded, are left alone:
    the list comes from a caller that has no rights of its own in the warehouse. Repeatable. A table that
    fails does not stop the others. No table is begun once `in_time` is false. Raises LoadFailed if the
    caller is not an administrator.
    """
    application = _Application(warehouse, owner, in_time, hidden={}, failures={})
    for first in range(0, len(tables), TABLES_AT_ONCE):
        application.apply(tables[first : first + TABLES_AT_ONCE])
    return AccessResult(
        tables=len(tables),
        changed=application.changed,
        left=application.left,
        hidden=application.hidden,
        failures=application.failures,
    )


@dataclass(slots=True)
class _Application:
    """One call's work on its tables."""

    warehouse: Warehouse
    owner: str
    in_time: Callable[[], bool]
    hidden: dict[str, tuple[str, ...]]
    failures: dict[str, str]
    changed: int = 0
    left: int = 0

    def apply(self, tables: Sequence[TableAccess]) -> None:
        if not self.in_time():
            self.left += len(tables)
            return
        rows, targets, stored, masks, policies = self.warehouse.run(
            [columns(tables, self.owner), loaded(tables), applied(), *existing_policies()], NAME
        )
        own = {str(target) for (target,) in targets}
        catalog = {key: table for key, table in _catalog(rows).items() if ".".join(key) in own}
        records = _applied(stored)
        existing = {str(row[0]) for row in [*masks, *policies]}
        for table in tables:
            key = (table.schema_name, table.table_name)
            if key in catalog:
                self._apply_one(table, catalog[key], records.get(key), existing)

    def _apply_one(
        self, table: TableAccess, current: CatalogTable, before: AppliedAccess | None, existing: set[str]
    ) -> None:
        name = f"{table.schema_name}.{table.table_name}"
        if new := hidden(table, current, before):
            self.hidden[name] = new
        if before and before.digest == digest(table, current):
            return
        if not self.in_time():
            self.left += 1
            return
        try:
            for batch in transactions(table, current, before, existing):
                self.warehouse.run(batch, NAME)
        except (LoadFailed, KeyError) as error:  # KeyError: a column of `rows` does not exist any more
            self.failures[name] = str(error) if isinstance(error, LoadFailed) else "a column does not exist"
            logger.error("access not applied", extra={"table": name, "reason": self.failures[name]})
            return
        existing |= {policy for _, policy, _ in _policies(table, current)}
        self.changed += 1


def create() -> str:
    """Return the statement that creates `etl_access`, which only the administrator can use."""
    declared = comma(f"{name} {type}" for name, type in COLUMNS.items())
    return f"CREATE TABLE IF NOT EXISTS {ACCESS} ({declared})"


def upgrade(existing: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the statements that add what an earlier version's `etl_access` lacks.

    `existing`: the columns of tables by name.
    """
    if ACCESS not in existing:
        return []
    return [
        f"ALTER TABLE {ACCESS} ADD COLUMN {name} {type}"
        for name, type in COLUMNS.items()
        if name not in existing[ACCESS]
    ]


def loaded(tables: Iterable[TableAccess]) -> str:
    """Return the query for those of the tables that have been loaded, as `schema.table`.

    A query of its own: Redshift joins no catalog table of the leader node with a table of users.
    """
    targets = comma(literal(f"{table.schema_name}.{table.table_name}") for table in tables)
    return f"SELECT DISTINCT target_table FROM {CONTROL} WHERE target_table IN ({targets})"


def columns(tables: Iterable[TableAccess], owner: str) -> str:
    """Return the query for the columns of the tables that the user owns.

    Only pg_attribute shows that a column was recreated.
    """
    pairs = " OR ".join(
        f"(n.nspname = {literal(table.schema_name)} AND c.relname = {literal(table.table_name)})"
        for table in tables
    )
    return (
        "SELECT n.nspname, c.relname, a.attname, a.attnum, c.oid, format_type(a.atttypid, a.atttypmod) "
        "FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
        "JOIN pg_attribute AS a ON a.attrelid = c.oid "
        f"JOIN pg_user AS u ON u.usesysid = c.relowner AND u.usename = {literal(owner)} "
        f"WHERE a.attnum > 0 AND NOT a.attisdropped AND ({pairs}) ORDER BY 1, 2, 4"
    )


def applied() -> str:
    """Return the query for the access that was applied so far."""
    return f"SELECT schema_name, table_name, digest, table_oid, attached, known_columns FROM {ACCESS}"


def existing_policies() -> list[str]:
    """Return the queries for our policies that exist (SVV_MASKING_POLICY, SVV_RLS_POLICY)."""
    return [
        "SELECT policy_name FROM svv_masking_policy WHERE policy_name LIKE 'tributary_%'",
        "SELECT polname FROM svv_rls_policy WHERE polname LIKE 'tributary_%'",
    ]


def digest(table: TableAccess, current: CatalogTable) -> str:
    """Return a digest of the access and of the table and columns that it applies to."""
    identity = [table.model_dump(), current.oid, current.columns]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()


def statements(
    table: TableAccess, current: CatalogTable, before: AppliedAccess | None, existing: Collection[str]
) -> list[str]:
    """Return the transaction that replaces the table's access.

    `existing`: the names of the policies that exist.
    """
    name, analyst = quote(table.schema_name, table.table_name), f"ROLE {quote(ANALYST)}"
    wanted = _policies(table, current)
    attached = [
        (column, current.columns[column][0] if column else "", policy) for column, policy, _ in wanted
    ]
    rows = any(column is None for column, *_ in wanted)
    attached_before = before.attached if before is not None and before.oid == current.oid else ()
    had_rows = any(column is None for column, *_ in attached_before)
    changes_rows = rows or had_rows or (before is not None and before.digest == UNFINISHED)
    return [
        f"REVOKE ALL ON {name} FROM {analyst}",
        f"REVOKE ALL ({comma(map(quote, current.columns))}) ON {name} FROM {analyst}",
        *_detach(name, current, before),
        *(create for _, policy, create in _once(wanted) if policy not in existing),
        *(_attach(name, column, policy) for column, policy, _ in wanted),
        *([f"ALTER TABLE {name} ROW LEVEL SECURITY {'ON' if rows else 'OFF'}"] if changes_rows else []),
        *_grants(table, name, current, before),
        *_record(table, _known(table, current, before), digest(table, current), current.oid, attached),
    ]


def transactions(
    table: TableAccess, current: CatalogTable, before: AppliedAccess | None, existing: Collection[str]
) -> list[list[str]]:
    """Return the statements in transactions that are short enough for one batch.

    Each records what it attached: a policy cannot be attached twice, and a later one may fail.
    """
    steps = statements(table, current, before, existing)
    if len(steps) <= STATEMENTS_AT_MOST:
        return [steps]
    name = quote(table.schema_name, table.table_name)
    attaching = {
        _attach(name, column, policy): (column, current.columns[column][0] if column else "", policy)
        for column, policy, _ in _policies(table, current)
    }
    same_table = before is not None and before.oid == current.oid
    attached = list(before.attached) if before is not None and same_table else []
    detaching = {_detach_one(name, column, policy): (column, at, policy) for column, at, policy in attached}
    known = None if before is None or before.known is None else "".join(sorted(before.known))
    *work, forget, record = steps
    size = STATEMENTS_AT_MOST - 2
    batches = []
    for first in range(0, len(work), size):
        batch = work[first : first + size]
        for step in batch:
            if step in detaching:
                attached.remove(detaching[step])
            if step in attaching:
                attached.append(attaching[step])
        batches.append([*batch, *_record(table, known, UNFINISHED, current.oid, attached)])
    batches[-1][-2:] = [forget, record]
    return batches


def hidden(table: TableAccess, current: CatalogTable, before: AppliedAccess | None) -> tuple[str, ...]:
    """Return the columns that analysts do not see only because they are new."""
    if table.access is None:
        return ()
    new = _new_columns(table, current, before)
    return tuple(name for name in new if table.access.columns is None or name in table.access.columns)


def _new_columns(table: TableAccess, current: CatalogTable, before: AppliedAccess | None) -> tuple[str, ...]:
    """Return the columns that the table got after its access was set first and that the file does not name.

    None if the access shows new columns.
    """
    if table.access is None or not table.access.hide_new or before is None:
        return ()
    named = {*table.access.named, *table.access.mask}
    return tuple(name for name in current.columns if name not in named and before.is_new(name))


def _known(table: TableAccess, current: CatalogTable, before: AppliedAccess | None) -> str | None:
    """Return the digests of the columns that will not be new any more; None if no access was ever set."""
    if table.access is None:  # taken back: columns that come before it is set again are new
        names = [name for name in current.columns if before and not before.is_new(name)]
        return "".join(map(_digits, names)) if before and before.known is not None else None
    new = _new_columns(table, current, before)
    return "".join(_digits(name) for name in current.columns if name not in new)


def _digits(column: str) -> str:
    return hashlib.sha256(column.encode()).hexdigest()[:DIGITS]


def _record(
    table: TableAccess,
    known: str | None,
    digest: str,
    oid: str,
    attached: Sequence[tuple[str | None, str, str]],
) -> list[str]:
    schema, name = literal(table.schema_name), literal(table.table_name)
    values = comma(map(literal, (digest, oid, json.dumps(attached))))
    return [
        f"DELETE FROM {ACCESS} WHERE schema_name = {schema} AND table_name = {name}",
        (
            f"INSERT INTO {ACCESS} ({comma(COLUMNS)}) "
            f"VALUES ({schema}, {name}, {values}, GETDATE(), {literal(known)})"
        ),
    ]


def _policies(table: TableAccess, current: CatalogTable) -> list[tuple[str | None, str, str]]:
    """Return by column (None: the rows) the policy's name and the statement that creates it.

    A policy depends on a type and a rule only, not on the table; its name is the digest of both.
    """
    if table.access is None:
        return []
    policies: list[tuple[str | None, str, str]] = []
    for column, mask in table.access.mask.items():
        if column in current.columns:
            type = current.columns[column][1]
            rule = f"WITH (value {type}) USING ({_masked(mask, type)})"
            policy = _name("mask", rule)
            policies.append((column, policy, f"CREATE MASKING POLICY {quote(policy)} {rule}"))
    if table.access.rows:
        column, values = table.access.rows
        listed = comma(literal(value) for value in values)
        rule = f"WITH ({quote(column)} {current.columns[column][1]}) USING ({quote(column)} IN ({listed}))"
        policy = _name("rows", rule)
        policies.append((None, policy, f"CREATE RLS POLICY {quote(policy)} {rule}"))
    return policies


def _name(kind: str, rule: str) -> str:
    return f"tributary_{kind}_{hashlib.sha256(rule.encode()).hexdigest()[:16]}"


def _masked(mask: str, type: str) -> str:
    """Return the masked value, which must be of the column's own type (r_CREATE_MASKING_POLICY)."""
    return f"CAST(NULL AS {type})" if mask == "null" else f"CAST(SHA2(value, 256) AS {type})"


def _once(policies: list[tuple[str | None, str, str]]) -> list[tuple[str | None, str, str]]:
    return list({policy: (column, policy, create) for column, policy, create in policies}.values())


def _attach(name: str, column: str | None, policy: str) -> str:
    if column is None:
        return f"ATTACH RLS POLICY {quote(policy)} ON {name} TO ROLE {quote(ANALYST)}"
    return f"ATTACH MASKING POLICY {quote(policy)} ON {name} ({quote(column)}) TO ROLE {quote(ANALYST)}"


def _detach(name: str, current: CatalogTable, before: AppliedAccess | None) -> list[str]:
    """Return the statements that detach the older policies; a recreated table or column has none."""
    if before is None or before.oid != current.oid:
        return []
    return [
        _detach_one(name, column, policy)
        for column, attnum, policy in before.attached
        if column is None or current.columns.get(column, ("",))[0] == attnum
    ]


def _detach_one(name: str, column: str | None, policy: str) -> str:
    role = f"ROLE {quote(ANALYST)}"
    if column is None:
        return f"DETACH RLS POLICY {quote(policy)} ON {name} FROM {role}"
    return f"DETACH MASKING POLICY {quote(policy)} ON {name} ({quote(column)}) FROM {role}"


def _grants(table: TableAccess, name: str, current: CatalogTable, before: AppliedAccess | None) -> list[str]:
    if table.access is None:
        return [f"REVOKE ALL ON {name} FROM ROLE {quote(ADMIN)}"]
    visible = _visible(table.access, current, _new_columns(table, current, before))
    listed = "" if visible is None else f" ({comma(map(quote, visible))})"
    return [
        f"GRANT USAGE ON SCHEMA {quote(table.schema_name)} TO ROLE {quote(ADMIN)}",
        f"GRANT USAGE ON SCHEMA {quote(table.schema_name)} TO ROLE {quote(ANALYST)}",
        f"GRANT SELECT ON {name} TO ROLE {quote(ADMIN)}",
        f"GRANT SELECT{listed} ON {name} TO ROLE {quote(ANALYST)}",
    ]


def _visible(access: Access, current: CatalogTable, new: Collection[str]) -> list[str] | None:
    """Return the columns to grant, None for the whole table.

    If a column is masked, or new ones are hidden, columns are granted one by one, so a column that is
    added later is not visible before its mask is attached.
    """
    if access.columns is None:
        one_by_one = access.mask or access.hide_new
        return [name for name in current.columns if name not in new] if one_by_one else None
    return [name for name in current.columns if name in access.columns and name not in new]


def _catalog(rows: Iterable[Row]) -> dict[tuple[str, str], CatalogTable]:
    tables: dict[tuple[str, str], CatalogTable] = {}
    for schema, table, column, attnum, oid, type in rows:
        key = (str(schema), str(table))
        tables.setdefault(key, CatalogTable(str(oid), {})).columns[str(column)] = (str(attnum), str(type))
    return tables


def _applied(rows: Iterable[Row]) -> dict[tuple[str, str], AppliedAccess]:
    return {
        (str(schema), str(table)): AppliedAccess(
            str(digest),
            str(oid),
            tuple((column, attnum, policy) for column, attnum, policy in json.loads(str(attached))),
            _split(known),
        )
        for schema, table, digest, oid, attached, known in rows
    }


def _split(known: str | int | None) -> frozenset[str] | None:
    if known is None:
        return None
    digits = str(known)
    return frozenset(digits[at : at + DIGITS] for at in range(0, len(digits), DIGITS))
