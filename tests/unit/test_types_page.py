"""docs/types.md says what the code does, of every type that there is a row for."""

from __future__ import annotations

from docs import types_page
from tributary.engines.mysql import types as mysql_types
from tributary.engines.postgresql import types as postgresql_types
from tributary.engines.sqlite import types as sqlite_types
from tributary.engines.sqlserver import types as sqlserver_types


def test_the_page_is_what_the_code_gives() -> None:
    assert types_page.PAGE.read_text() == types_page.page(), "run make types"
    assert types_page.GENERIC_PAGE.read_text() == types_page.generic_page(), "run make types"


def test_every_type_with_a_row_is_on_the_page() -> None:
    listed = {
        name: {type for chapter in chapters.values() for type in chapter.values()}
        for name, (_, chapters) in types_page.ENGINES.items()
    }
    assert {id(row) for type in listed["PostgreSQL"] if (row := postgresql_types.find(type))} >= {
        id(row) for row in postgresql_types.TYPES.values()
    } - {id(postgresql_types.TYPES[name]) for name in ("character varying",)}
    words = {type.partition("(")[0].split(" ")[0] for type in listed["MySQL and MariaDB"]}
    assert set(mysql_types.TYPES) - words == {"geomcollection"}
    notes = {sqlite_types.note(type) for type in listed["SQLite"]}
    assert {row.note for row in sqlite_types.TYPES.values()} <= notes
    words = {sqlserver_types.declared(type).word for type in listed["SQL Server"]}
    assert set(sqlserver_types.TYPES) - words == {"numeric"}
