"""Tables of a database behind SQLAlchemy: from its own catalog, or by reflection.

Names are the database's own, as its catalog has them: SQLAlchemy shows upper-case names of some databases in
lower case, and that is undone here.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import DOMAIN
from sqlalchemy.engine.reflection import ObjectKind, ObjectScope
from sqlalchemy.sql import quoted_name

from tributary.engines.generic.dialects import Dialect
from tributary.model.source_catalog import SourceColumn, SourceTable, TableName

NO_SCHEMA = "main"  # of tables in a database without schemas
UNKNOWN = "unknown"  # a type that SQLAlchemy does not reflect


@dataclass(slots=True)
class _Described:
    """What the catalog's rows say of one table so far."""

    columns: list[SourceColumn] = field(default_factory=list)
    is_view: bool = False
    primary_key: tuple[str, ...] = ()
    unique_keys: list[tuple[str, ...]] = field(default_factory=list)
    indexes: list[tuple[str, ...]] = field(default_factory=list)
    comment: str | None = None


# --- by the database's own catalog --------------------------------------------------------------


def from_rows(
    dialect: Dialect, columns: Iterable[Sequence[Any]], keys: Iterable[Sequence[Any]]
) -> dict[TableName, SourceTable]:
    """Return every table that the rows of the dialect's `columns` and `keys` describe."""
    described: dict[TableName, _Described] = {}
    for schema, table, column, type, nullable, is_view, comment in columns:
        if str(schema) in dialect.system_schemas:
            continue
        one = described.setdefault(TableName(str(schema), str(table)), _Described())
        one.columns.append(SourceColumn(str(column), str(type), bool(nullable), comment or None))
        one.is_view = bool(is_view)
    constraints: dict[tuple[TableName, str, bool], list[str]] = {}
    for schema, table, name, is_primary, column in keys:
        constraint = (TableName(str(schema), str(table)), str(name), bool(is_primary))
        constraints.setdefault(constraint, []).append(str(column))
    for (table, _, is_primary), names in constraints.items():
        keyed = described.get(table, _Described())  # a table of the system has constraints too
        if is_primary:
            keyed.primary_key = tuple(names)
        else:
            keyed.unique_keys.append(tuple(names))
        keyed.indexes.append(tuple(names))
    return {name: _table(name, one, dialect) for name, one in described.items()}


def _table(name: TableName, one: _Described, dialect: Dialect) -> SourceTable:
    nullable = {column.name for column in one.columns if column.nullable}
    return SourceTable(
        name,
        tuple(one.columns),
        one.primary_key,
        tuple(dict.fromkeys(key for key in one.unique_keys if not nullable & {*key})),
        tuple(dict.fromkeys(one.indexes)),
        one.comment,
        is_view=one.is_view,
        keys_enforced=dialect.keys_enforced,
        nulls_enforced=not one.is_view and not dialect.stores_any,
    )


# --- by reflection ------------------------------------------------------------------------------


def list_tables(connection: sa.Connection, dialect: Dialect) -> list[TableName]:
    """Return every table and view outside the system's schemas, in name order."""
    inspector = sa.inspect(connection)
    if not dialect.has_schemas:
        names = [*inspector.get_table_names(), *inspector.get_view_names()]
        return sorted(TableName(NO_SCHEMA, _real(connection, name)) for name in names)
    tables = []
    for schema in inspector.get_schema_names():
        shown = _real(connection, schema)
        if shown in dialect.system_schemas:
            continue
        names = [*inspector.get_table_names(schema), *_views(inspector, schema)]
        tables += [TableName(shown, _real(connection, name)) for name in names]
    return sorted(set(tables))


def _views(inspector: sa.Inspector, schema: str) -> list[str]:
    views: list[str] = []
    for names in (inspector.get_view_names, inspector.get_materialized_view_names):
        with suppress(NotImplementedError):  # each alone: most dialects have no materialized views
            views += names(schema)
    return views


def reflected(
    connection: sa.Connection, dialect: Dialect, names: Collection[TableName]
) -> dict[TableName, SourceTable]:
    """Return the named tables as SQLAlchemy reflects them; missing ones are left out."""
    described: dict[TableName, SourceTable] = {}
    inspector = sa.inspect(connection)
    for schema in sorted({name.schema for name in names}):
        wanted = [name.table for name in names if name.schema == schema]
        try:
            described |= _of_schema(connection, inspector, dialect, schema, wanted)
        except (sa.exc.DBAPIError, sa.exc.NoSuchTableError):  # of a broken view, which hides the others
            connection.rollback()
            for table in wanted:
                with suppress(sa.exc.DBAPIError, sa.exc.NoSuchTableError):
                    described |= _of_schema(connection, sa.inspect(connection), dialect, schema, [table])
                connection.rollback()
    return described


def _of_schema(
    connection: sa.Connection, inspector: sa.Inspector, dialect: Dialect, schema: str, tables: list[str]
) -> dict[TableName, SourceTable]:
    options: dict[str, Any] = {
        "schema": _shown(connection, schema) if dialect.has_schemas else None,
        "filter_names": [_shown(connection, table) for table in tables],
        "kind": ObjectKind.ANY,
        "scope": ObjectScope.DEFAULT,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sa.exc.SAWarning)  # about types that it does not know
        columns = inspector.get_multi_columns(**options)
        primary = inspector.get_multi_pk_constraint(**options)
        unique = _if_known(inspector.get_multi_unique_constraints, options)
        indexes = _if_known(inspector.get_multi_indexes, options)
        comments = _if_known(inspector.get_multi_table_comment, options)
        views = {_real(connection, name) for name in _view_names(inspector, options["schema"])}
    described: dict[TableName, SourceTable] = {}
    for place, listed in columns.items():
        table = _real(connection, place[1])
        one = _Described(is_view=table in views)
        one.columns = [_column(connection, column) for column in listed]
        real = {str(column["name"]): _real(connection, column["name"]) for column in listed}
        constraint: Any = primary.get(place) or {}
        one.primary_key = _names(real, constraint.get("constrained_columns"))
        one.unique_keys = [_names(real, key["column_names"]) for key in unique.get(place) or []]
        plain = [index for index in indexes.get(place) or [] if _is_plain(index)]
        one.unique_keys += [_names(real, index["column_names"]) for index in plain if index.get("unique")]
        one.indexes = [_names(real, index["column_names"]) for index in plain]
        one.indexes += [key for key in (one.primary_key, *one.unique_keys) if key]
        comment: Any = comments.get(place) or {}
        one.comment = comment.get("text")
        name = TableName(schema, table)
        described[name] = _table(name, one, dialect)
    return described


def _if_known(ask: Any, options: dict[str, Any]) -> dict[Any, Any]:
    """Return what the dialect reflects, {} if it does not reflect this."""
    try:
        return dict(ask(**options))
    except NotImplementedError:
        return {}


def _view_names(inspector: sa.Inspector, schema: str | None) -> list[str]:
    try:
        return inspector.get_view_names(schema)
    except NotImplementedError:
        return []


def _is_plain(index: Any) -> bool:
    """Return whether an index holds every row, ordered by columns alone."""
    options = index.get("dialect_options") or {}
    partial = any(name.endswith(("_where", "_prefix", "_length")) and options[name] for name in options)
    return not partial and not index.get("expressions") and None not in index["column_names"]


def _names(real: dict[str, str], names: Iterable[str] | None) -> tuple[str, ...]:
    return tuple(real.get(str(name), str(name)) for name in names or ())


def _column(connection: sa.Connection, column: Any) -> SourceColumn:
    return SourceColumn(
        _real(connection, column["name"]),
        type_text(connection, column["type"]),
        bool(column.get("nullable", True)),
        column.get("comment") or None,
    )


def type_text(connection: sa.Connection, type: Any) -> str:
    """Return a reflected type as the dialect writes it."""
    if isinstance(type, sa.types.NullType):
        return UNKNOWN
    if isinstance(type, DOMAIN):
        return type_text(connection, type.data_type)
    enum = isinstance(type, sa.Enum) and "ENUM"
    try:
        return enum or str(type.compile(dialect=connection.dialect))
    except sa.exc.CompileError:
        return UNKNOWN


def _shown(connection: sa.Connection, name: str) -> str:
    """Return the name as SQLAlchemy shows it: usual names of some databases in lower case."""
    if not connection.dialect.requires_name_normalize:
        return quoted_name(name, True)
    return str(connection.dialect.normalize_name(name))


def _real(connection: sa.Connection, name: str) -> str:
    """Return the name as the database has it."""
    if not connection.dialect.requires_name_normalize:
        return str(name)
    return str(connection.dialect.denormalize_name(name))
