"""Names of schemas, tables, columns, indexes and users are data, whatever characters they consist of."""

from __future__ import annotations

import pytest

from tests.integration.engines.source import Source
from tributary.model.source_catalog import TableName

# Every placeholder that the engines' modules use, and what quotes, comments and drivers treat specially.
NAMES = [
    *("{tables}", "{schemas}", "{names}", "{places}", "{statement}", "{token}", "{0}", "{n}", "{}"),
    *("it's", 'say "x"', "a`b", "a]b", "[a", "--", "/* a */", "# a", ";", "a;b", "\\", "\\'", "$$", "$1"),
    *("%s", "%(a)s", "%", "?", ":name", "::int", "@a", "a.b", " a ", "select", "größe", "日本", "😀"),
]


@pytest.mark.parametrize("place", ["table", "schema"])
def test_any_name_is_described_and_read(source: Source, place: str) -> None:
    quote = source.engine.quote
    for number, name in enumerate(NAMES):
        if place == "schema" and (source.name == "sqlite" or not _is_possible(source, name)):
            continue
        if place == "table" and not _is_possible(source, name):
            continue
        if place == "table" and source.name == "sqlserver" and name.startswith("#"):
            continue  # a temporary table
        schema, table = (name, f"t{number}") if place == "schema" else (source.schema, name)
        if place == "schema":
            source.execute(f"CREATE {'DATABASE' if source.name == 'mysql' else 'SCHEMA'} {quote(name)}")
        text = source.facts.text_key
        columns = f"id INTEGER NOT NULL PRIMARY KEY, {quote(name)} {text} NOT NULL"
        source.execute(f"CREATE TABLE {quote(schema, table)} ({columns})")
        on = quote(table) if source.name == "sqlite" else quote(schema, table)
        source.execute(f"CREATE UNIQUE INDEX {quote(f'i{number}{name}')} ON {on} ({quote(name)})")
        source.execute(f"INSERT INTO {quote(schema, table)} VALUES (1, 'x'), (2, 'y')")
        known = TableName(schema, table)
        with source.session() as connection:
            assert known in source.engine.list_tables(connection)
            described = source.engine.describe(connection, [known, TableName(source.schema, "none")])
            assert [column.name for column in described[known].columns] == ["id", name]
            assert described[known].unique_keys == (((name,),) if source.facts.indexes else ())
            if hasattr(source.engine, "sizes"):
                assert source.engine.sizes(connection, [known]).keys() <= {known}
        query = source.query_of(described[known], order=(name, "id"))
        assert [row[name] for row in source.read_in_pages(query, 1)] == ["x", "y"]
        source.execute(f"DROP TABLE {quote(schema, table)}")
        if place == "schema":
            source.execute(f"DROP {'DATABASE' if source.name == 'mysql' else 'SCHEMA'} {quote(name)}")


def _is_possible(source: Source, name: str) -> bool:
    """Return whether the server takes the name: MySQL has none beyond the BMP or with a space last."""
    if source.name == "mysql":
        return max(map(ord, name)) < 0x10000 and name == name.strip() and "\\" not in name
    return True
