"""Which indexes a table's pages want, and the statement that makes one where it is missing.

Only the catalog is asked. Without such an index each page sorts, or scans, the whole table: that is
slow here, and a load on the source.
"""

from __future__ import annotations

from tributary.engines.protocol import Engine
from tributary.planning.table_spec import TableSpec

NAME_AT_MOST = 60  # characters: PostgreSQL takes 63 bytes, MySQL 64 characters


def advice(engine: Engine, choice: TableSpec) -> tuple[str, ...]:
    """Return a note for each order that the table's pages are read by and no index serves.

    A table without any key or index of its own may be a view, which can have none.
    """
    table = choice.table
    if not (table.primary_key or table.unique_keys or table.indexes):
        return ()
    wanted = [order for order in orders(choice) if not served(engine, choice, order)]
    return tuple(
        f"no index serves reading by {', '.join(order)}, so each page costs a scan or a sort: "
        f"{create(engine, choice, order)} would help"
        for order in wanted
    )


def orders(choice: TableSpec) -> list[tuple[str, ...]]:
    """Return the orders that whole and incremental reads go by; a table may have only one of them."""
    found = [choice.key] if choice.key else []
    if choice.cursor and choice.key:
        cursor = choice.cursor.name
        found.append((cursor, *(name for name in choice.key if name != cursor)))
    elif choice.cursor:
        found.append((choice.cursor.name,))
    return list(dict.fromkeys(found))


def served(engine: Engine, choice: TableSpec, order: tuple[str, ...]) -> bool:
    """Say whether an index of the table is in that order."""
    key = choice.table.primary_key if engine.INDEX_ENDS_WITH_KEY else ()
    whole = ((*index, *(name for name in key if name not in index)) for index in choice.table.indexes)
    return any(index[: len(order)] == order for index in whole)


def create(engine: Engine, choice: TableSpec, order: tuple[str, ...]) -> str:
    """Return the statement that makes the index."""
    name = "_".join((choice.table.name.table, *order))[:NAME_AT_MOST]
    return engine.create_index(name, choice.table.name, order)
