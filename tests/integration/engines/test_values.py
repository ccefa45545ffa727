"""Every type at its limits arrives as it is, and as a key its pages touch without a gap."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.integration.engines.source import Source, create_every_type
from tributary.engines import registry
from tributary.errors import UnsupportedType, ValueRefused
from tributary.model import types
from tributary.model.source_catalog import SourceColumn


def test_every_type_arrives_as_it_was_written(source: Source) -> None:
    columns = create_every_type(source)
    query = source.query("t", order=("id",))
    kinds = {column.name: column.kind.name for column in query.columns}

    rows = source.read(query)

    for name, type in columns.items():
        kind, values = source.types[type]
        expected = [value for _, value in values] + [None] * (6 - len(values))
        assert (type, kinds[name]) == (type, kind)
        assert (type, [row[name] for row in rows]) == (type, expected)
    with source.session() as connection:
        (page,) = source.engine.read(connection, query)
    assert [field.type for field in page.table.schema] == [
        types.arrow(column.kind) for column in query.columns
    ]


def test_every_type_that_can_be_a_key_pages_by_it(source: Source) -> None:
    create_every_type(source)
    query = source.query("t", order=("id",))
    for place, (_, values) in enumerate(source.types.values()):
        column = query.columns[place + 1]
        if not source.engine.orders(column.type):
            continue
        keyed = replace(query, order=(column.name, "id"), cursor=column.name)
        assert (column.type, sorted(row["id"] for row in source.read_in_pages(keyed, 1))) == (
            column.type,
            list(range(len(values))),
        )


def test_rendered_texts_are_the_positions_of_pages(source: Source) -> None:
    """What Plan asks for and what Extract carries are the same texts, or the same value at least."""
    create_every_type(source)
    engine, query = source.engine, source.query("t", order=("id",))
    with source.session() as connection:
        for column in query.columns[1:]:
            if not engine.orders(column.type):
                continue
            text = engine.rendered(column.name, column.type)
            table = engine.quote(source.schema, "t")
            row = engine.ask(connection, f"SELECT {text} FROM {table} WHERE id = 0")
            assert row is not None
            assert row[0] is not None
            same = f"{engine.quote(column.name)} = {engine.literal(row[0], column.type)}"
            assert engine.ask(connection, f"SELECT 1 FROM {table} WHERE id = 0 AND {same}") == ("1",), (
                column.type
            )
            keyed = replace(query, order=(column.name,), cursor=column.name)
            (page,) = engine.read(connection, keyed)
            assert page.position is not None


@pytest.mark.parametrize("text", ["", "x", None])
def test_null_and_the_empty_text_stay_apart_in_a_table_of_one_column(
    source: Source, text: str | None
) -> None:
    source.execute("CREATE TABLE t (x VARCHAR(10))")
    source.execute(f"INSERT INTO t VALUES (NULL), ({'NULL' if text is None else repr(text)}), (''), (NULL)")
    assert [row["x"] for row in source.read(source.query("t"))] == [None, text, "", None]


REFUSED_VALUES: dict[str, list[tuple[str, str]]] = {
    "sqlserver": [
        ("nvarchar(9)", "N'a' + NCHAR(0)"),
        ("nvarchar(9)", "N'a' + NCHAR(55296) + N'b'"),
        ("nvarchar(max)", "REPLICATE(CAST(N'x' AS nvarchar(max)), 65536)"),
        ("decimal(38,38)", "0." + "0" * 37 + "1"),
    ],
    "postgresql": [
        ("date", "'infinity'"),
        ("date", "'0044-03-15 BC'"),
        ("date", "'10000-01-01'"),
        ("timestamp", "'-infinity'"),
        ("timestamptz", "'infinity'"),
        ("timestamp", "'0001-12-31 BC'"),
        ("numeric(5,2)", "'NaN'"),
        ("text", "repeat('x', 65536)"),
        ("jsonb", "to_jsonb(repeat('x', 65536))"),
        ("bytea", "decode(repeat('00', 16777217), 'hex')"),
        ("numeric", "'NaN'"),
        ("numeric", "'-Infinity'"),
        ("numeric", "1" + "0" * 29),
        ("numeric", "0.00000000001"),
        ("json", '\'{"a": 1, "a": 2}\''),
        ("json", "'\"\\u0000\"'"),
        ("json", "'\"\\ud800 alone\"'"),
        ("jsonb", "(repeat('[', 1001) || repeat(']', 1001))::jsonb"),
    ],
    "mysql": [
        ("date", "'0000-00-00'"),
        ("date", "'2024-00-00'"),
        ("datetime", "'0000-00-00'"),
        ("timestamp", "'0000-00-00'"),
        ("date", "'0000-01-01'"),
        ("text", "concat('a', char(0))"),
        ("mediumtext", "repeat('x', 65536)"),
        ("varchar(60000) character set latin1", "repeat('é', 40000)"),
        ("decimal(65,0)", "1" + "0" * 39),
    ],
    "duckdb": [
        ("DATE", "'infinity'"),
        ("DATE", "'0044-03-15 (BC)'"),
        ("DATE", "'10000-01-01'"),
        ("TIMESTAMP", "'-infinity'"),
        ("TIMESTAMP", "'10000-01-01'"),
        ("TIMESTAMP WITH TIME ZONE", "'infinity'"),
        ("TIMESTAMP_NS", "'2024-01-01 00:00:00.123456789'"),
        ("HUGEINT", "1" + "0" * 38),
        ("VARCHAR", "repeat('x', 65536)"),
        ("VARCHAR", "'a' || chr(0)"),
    ],
    "sqlite": [
        ("INTEGER", "'wrong'"),
        ("INTEGER", "1.5"),
        ("DECIMAL(5,2)", "1.005"),
        ("DECIMAL(5,2)", "123456"),
        ("DECIMAL(5,2)", "12345"),
        ("DECIMAL(5,2)", "'abc'"),
        ("TEXT", "x'00'"),
        ("TEXT", "CAST(x'ff' AS TEXT)"),
        ("TEXT", "'a' || char(0)"),
        ("VARCHAR(2)", "'too long, even in bytes'"),
        ("DATE", "20240101"),
        ("DATE", "'soon'"),
        ("DATE", "'0000-05-05'"),
        ("DATETIME", "'2024-01-01 00:00:00Z'"),
        ("DATETIME", "1704067200"),
        ("BOOLEAN", "2"),
        ("BOOLEAN", "'t'"),
        ("BLOB", "'wrong'"),
        ("REAL", "'wrong'"),
        ("NUMERIC", "1e30"),
        ("NUMERIC", "9e999"),
        ("JSON", "'{'"),
        ("JSON", "'NaN'"),
    ],
}


def test_what_the_warehouse_cannot_hold_is_refused_by_column_and_without_the_value(source: Source) -> None:
    if source.name == "mysql":
        source.execute("SET sql_mode = ''")
    for number, (type, literal) in enumerate(REFUSED_VALUES[source.name]):
        source.execute(f"CREATE TABLE t{number} (id INTEGER NOT NULL PRIMARY KEY, odd {type})")
        source.execute(f"INSERT INTO t{number} VALUES (1, NULL), (2, {literal})")
        with pytest.raises(ValueRefused) as caught:
            source.read(source.query(f"t{number}", order=("id",)))
        message = str(caught.value)
        assert message.startswith(f'column "odd" of {source.schema}.t{number}'), (type, literal)
        assert len(literal) < 4 or literal.strip("'") not in message
        assert "exclude: [odd]" in message


def test_rows_of_many_columns_are_read(source: Source) -> None:
    names = [f"c{number}" for number in range(300)]
    source.execute(f"CREATE TABLE t ({', '.join(f'{name} VARCHAR(5)' for name in names)})")
    texts = ["" if n % 3 == 0 else None if n % 3 == 1 else f"{n}" for n in range(300)]
    literals = ["NULL" if text is None else repr(text) for text in texts]
    source.execute(f"INSERT INTO t VALUES ({', '.join(literals)})")
    assert source.read(source.query("t")) == [dict(zip(names, texts, strict=True))]


def test_a_value_larger_than_a_block_is_refused_like_any_other(source: Source) -> None:
    source.execute(f"CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, x {source.facts.text})")
    source.execute(f"INSERT INTO t VALUES (1, 'y'), (2, {source.facts.large})")
    assert source.read(source.query("t", order=("id",), limit=1)) == [{"id": 1, "x": "y"}]
    with pytest.raises(ValueRefused, match='column "x"'):
        source.read(source.query("t", order=("id",)))


UNSUPPORTED: dict[str, list[str]] = {
    "sqlserver": ["sql_variant", "dbo.point"],
    "postgresql": ["pg_node_tree", "gtsvector"],
    "sqlite": ["", "ANY", "MONEY", "DECIMAL(0,0)", "DECIMAL(2,3)"],
    "duckdb": ["GEOMETRY", "unknown"],
}


@pytest.mark.parametrize("engine", sorted(UNSUPPORTED))
def test_a_type_that_has_no_form_is_refused_by_name(engine: str) -> None:
    for type in UNSUPPORTED[engine]:
        with pytest.raises(UnsupportedType) as caught:
            registry.get(engine).kind(SourceColumn("odd", type, True))
        assert str(caught.value) == (
            f'column "odd" has type {type or "no type"}, which the warehouse cannot store; '
            "leave it out with columns: {exclude: [odd]}, or take its text with column_policies: {odd: text}"
        )
