"""Who sees what of a table, as its `access` says: columns by grant, values by mask, rows by policy.

A table's statements are one transaction, or several where 40 do not hold them: what was granted is taken
back first, and what is granted comes last, so nobody sees a table before its masks are on. They are run
by the administrator, since only one who may also take protection away can put it on (sys:secadmin), and
that is not the one who loads.

`etl_access` says what was done for which columns, so that nothing is done twice, and all of it again for a
table or a column that was made anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from tributary.model.plan import Access, TableAccess
from tributary.redshift.data_api import Row, Warehouse
from tributary.redshift.roles import ADMIN, ANALYST
from tributary.redshift.sql import ACCESS, comma, literal, quote

TABLES_AT_ONCE = 40  # asked for by one query
STATEMENTS_AT_MOST = 40  # of a batch


@dataclass(frozen=True, slots=True)
class Known:
    """A table as the warehouse has it: its number, and of each column its place and its type."""

    oid: str
    columns: dict[str, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Done:
    """What `etl_access` says of a table: a digest, and by column (None: the rows) place and policy."""

    digest: str
    oid: str
    attached: tuple[tuple[str | None, str, str], ...]


def apply(warehouse: Warehouse, tables: Sequence[TableAccess]) -> int:
    """Give each table the access that it is to have, where it has another; return how many had.

    Repeatable. Raises LoadFailed where the caller is no administrator, or Redshift refuses a statement.
    """
    name, changed = "tributary/access", 0
    for first in range(0, len(tables), TABLES_AT_ONCE):
        asked = tables[first : first + TABLES_AT_ONCE]
        rows, stored, masks, policies = warehouse.run([columns(asked), done(), *there()], name)
        known, before = _known(rows), _done(stored)
        exist = {str(row[0]) for row in [*masks, *policies]}
        for table in asked:
            found = known.get((table.schema_name, table.table_name))
            was = before.get((table.schema_name, table.table_name))
            if found and (was is None or was.digest != digest(table, found)):
                steps = statements(table, found, was, exist)
                for at in range(0, len(steps), STATEMENTS_AT_MOST):
                    warehouse.run(steps[at : at + STATEMENTS_AT_MOST], name)
                exist |= {policy for _, policy, _ in _policies(table, found)}
                changed += 1
    return changed


def create() -> str:
    """Return the statement that creates `etl_access`, which is the administrator's alone."""
    return (
        f"CREATE TABLE IF NOT EXISTS {ACCESS} (schema_name VARCHAR(127) NOT NULL, "
        "table_name VARCHAR(127) NOT NULL, digest VARCHAR(64) NOT NULL, table_oid VARCHAR(20) NOT NULL, "
        "attached VARCHAR(65535) NOT NULL, applied_at TIMESTAMP NOT NULL)"
    )


def columns(tables: Iterable[TableAccess]) -> str:
    """Return the query of the tables' columns: catalog tables alone tell a column that was made anew."""
    pairs = " OR ".join(
        f"(n.nspname = {literal(table.schema_name)} AND c.relname = {literal(table.table_name)})"
        for table in tables
    )
    return (
        "SELECT n.nspname, c.relname, a.attname, a.attnum, c.oid, format_type(a.atttypid, a.atttypmod) "
        "FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
        "JOIN pg_attribute AS a ON a.attrelid = c.oid "
        f"WHERE a.attnum > 0 AND NOT a.attisdropped AND ({pairs}) ORDER BY 1, 2, 4"
    )


def done() -> str:
    """Return the query of what was done so far."""
    return f"SELECT schema_name, table_name, digest, table_oid, attached FROM {ACCESS}"


def there() -> list[str]:
    """Return the queries of the policies that exist (SVV_MASKING_POLICY, SVV_RLS_POLICY)."""
    return [
        "SELECT policy_name FROM svv_masking_policy WHERE policy_name LIKE 'tributary_%'",
        "SELECT polname FROM svv_rls_policy WHERE polname LIKE 'tributary_%'",
    ]


def digest(table: TableAccess, found: Known) -> str:
    """Return what tells this access of this very table from any other."""
    told = [table.model_dump(), found.oid, found.columns]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def statements(table: TableAccess, found: Known, was: Done | None, exist: Collection[str]) -> list[str]:
    """Return the transaction that gives the table its access in the place of what it had.

    `exist`: the names of the policies that are there.
    """
    name, analyst = quote(table.schema_name, table.table_name), f"ROLE {quote(ANALYST)}"
    wanted = _policies(table, found)
    attached = [(column, found.columns[column][0] if column else "", policy) for column, policy, _ in wanted]
    rows = any(column is None for column, *_ in wanted)
    had_rows = was is not None and was.oid == found.oid and any(column is None for column, *_ in was.attached)
    return [
        f"REVOKE ALL ON {name} FROM {analyst}",
        f"REVOKE ALL ({comma(map(quote, found.columns))}) ON {name} FROM {analyst}",
        *_detached(name, found, was),
        *(create for _, policy, create in _once(wanted) if policy not in exist),
        *(_attach(name, column, policy) for column, policy, _ in wanted),
        *([f"ALTER TABLE {name} ROW LEVEL SECURITY {'ON' if rows else 'OFF'}"] if rows or had_rows else []),
        *_grants(table, name, found),
        *_noted(table, found, attached),
    ]


def _noted(table: TableAccess, found: Known, attached: list[tuple[str | None, str, str]]) -> list[str]:
    schema, name = literal(table.schema_name), literal(table.table_name)
    values = comma(map(literal, (digest(table, found), found.oid, json.dumps(attached))))
    return [
        f"DELETE FROM {ACCESS} WHERE schema_name = {schema} AND table_name = {name}",
        (
            f"INSERT INTO {ACCESS} (schema_name, table_name, digest, table_oid, attached, applied_at) "
            f"VALUES ({schema}, {name}, {values}, GETDATE())"
        ),
    ]


def _policies(table: TableAccess, found: Known) -> list[tuple[str | None, str, str]]:
    """Return by column (None: the rows) the policy's name and the statement that creates it.

    A policy is of a type and a rule, whatever it is attached to; its name is their digest.
    """
    if table.access is None:
        return []
    made: list[tuple[str | None, str, str]] = []
    for column, mask in table.access.mask.items():
        if column in found.columns:
            rule = (
                f"WITH (value {found.columns[column][1]}) USING ({_masked(mask, found.columns[column][1])})"
            )
            policy = _name("mask", rule)
            made.append((column, policy, f"CREATE MASKING POLICY {quote(policy)} {rule}"))
    if table.access.rows:
        column, values = table.access.rows
        listed = comma(literal(value) for value in values)
        rule = f"WITH ({quote(column)} {found.columns[column][1]}) USING ({quote(column)} IN ({listed}))"
        policy = _name("rows", rule)
        made.append((None, policy, f"CREATE RLS POLICY {quote(policy)} {rule}"))
    return made


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


def _detached(name: str, found: Known, was: Done | None) -> list[str]:
    """Return the statements that take the older policies off; what was made anew has none of them."""
    if was is None or was.oid != found.oid:
        return []
    role = f"ROLE {quote(ANALYST)}"
    taken = []
    for column, place, policy in was.attached:
        if column is None:
            taken.append(f"DETACH RLS POLICY {quote(policy)} ON {name} FROM {role}")
        elif found.columns.get(column, ("",))[0] == place:
            taken.append(f"DETACH MASKING POLICY {quote(policy)} ON {name} ({quote(column)}) FROM {role}")
    return taken


def _grants(table: TableAccess, name: str, found: Known) -> list[str]:
    if table.access is None:
        return [f"REVOKE ALL ON {name} FROM ROLE {quote(ADMIN)}"]
    seen = _seen(table.access, found)
    listed = "" if seen is None else f" ({comma(map(quote, seen))})"
    return [
        f"GRANT USAGE ON SCHEMA {quote(table.schema_name)} TO ROLE {quote(ADMIN)}",
        f"GRANT USAGE ON SCHEMA {quote(table.schema_name)} TO ROLE {quote(ANALYST)}",
        f"GRANT SELECT ON {name} TO ROLE {quote(ADMIN)}",
        f"GRANT SELECT{listed} ON {name} TO ROLE {quote(ANALYST)}",
    ]


def _seen(access: Access, found: Known) -> list[str] | None:
    """Return the columns to grant, None for the table as a whole.

    Where any is masked they are granted one by one: a column that is added later is not seen before its
    mask is on.
    """
    if access.columns is None:
        return list(found.columns) if access.mask else None
    return [name for name in found.columns if name in access.columns]


def _known(rows: Iterable[Row]) -> dict[tuple[str, str], Known]:
    tables: dict[tuple[str, str], Known] = {}
    for schema, table, column, place, oid, type in rows:
        key = (str(schema), str(table))
        tables.setdefault(key, Known(str(oid), {})).columns[str(column)] = (str(place), str(type))
    return tables


def _done(rows: Iterable[Row]) -> dict[tuple[str, str], Done]:
    return {
        (str(schema), str(table)): Done(
            str(digest),
            str(oid),
            tuple((column, place, policy) for column, place, policy in json.loads(str(told))),
        )
        for schema, table, digest, oid, told in rows
    }
