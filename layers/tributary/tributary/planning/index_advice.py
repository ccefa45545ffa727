"""Which indexes a table's pages need, and the statement that creates a missing one.

Only the catalog is asked. Without such an index each page sorts, or scans, the whole table: that is
slow here, and a load on the source.
"""

from __future__ import annotations

from tributary.engines.protocol import Engine
from tributary.planning.table_spec import TableSpec

NAME_AT_MOST = 60  # characters: PostgreSQL takes 63 bytes, MySQL 64 characters


def advice(engine: Engine, spec: TableSpec) -> tuple[str, ...]:
    """Return a note for each order that the table's pages are read by and that no index serves.

    A table without any key or index of its own may be a view, which can have none.
    """
    table = spec.table
    if not (table.primary_key or table.unique_keys or table.indexes):
        return ()
    missing = [order for order in orders(spec) if not served(engine, spec, order)]
    return tuple(
        f"no index serves reading by {', '.join(order)}, so each page costs a scan or a sort: "
        f"{create(engine, spec, order)} would help"
        for order in missing
    )


def orders(spec: TableSpec) -> list[tuple[str, ...]]:
    """Return the orders of whole and incremental reads; a table may have only one of them."""
    by_key = [spec.key] if spec.key else []
    by_cursor = [spec.cursor_order] if spec.cursor else []
    return list(dict.fromkeys([*by_key, *by_cursor]))


def served(engine: Engine, spec: TableSpec, order: tuple[str, ...]) -> bool:
    """Return whether an index of the table is in that order."""
    key = spec.table.primary_key if engine.INDEX_ENDS_WITH_KEY else ()
    indexes = ((*index, *(name for name in key if name not in index)) for index in spec.table.indexes)
    return any(index[: len(order)] == order for index in indexes)


def create(engine: Engine, spec: TableSpec, order: tuple[str, ...]) -> str:
    """Return the statement that creates the index."""
    name = "_".join((spec.table.name.table, *order))[:NAME_AT_MOST]
    return engine.create_index(name, spec.table.name, order)
