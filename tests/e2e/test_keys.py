"""Keys of every type: pages lose none, a merge finds each row's own, and touches no other."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from .company import Company, Source
from .compare import (
    ENGINES,
    MICROSECONDS,
    SERVERS,
    STAMP,
    failures,
    full_name,
    in_source,
    in_warehouse,
    only_table,
)

FIRST, SECOND = "2026-01-01 10:00:00", "2026-01-01 10:00:01"
TRICKY = ["a", "B", "c", "D", " a", "o'brien", 'say "hi"', "back\\slash", "🦊", "🦊🦊", "ü", "Z", "z1"]
TRICKY += [
    "NULL",
    "null ?",
    "",
    "comma,",
    "two\nlines",
    "tab\t",
    "%_",
    "--",
    "1",
    "01",
    "日本",
    "\\N",
    "e\u0301x",
]
BLANKS = ["a", "a ", "a  ", "A", "A ", "b ", "", " "]


def text(engine: str, value: str) -> str:
    """Return the literal of a text in the engine's own default mode."""
    doubled = value.replace("'", "''")
    return "'" + (doubled.replace("\\", "\\\\") if engine == "mysql" else doubled) + "'"


@dataclass(frozen=True)
class Keys:
    """A type of key, with keys as literals of the engine; how source and warehouse show them alike."""

    engine: str
    type: str
    values: list[str]
    shown: str = "k"
    arrived: str = "k"


def texts(engine: str, type: str, values: list[str]) -> Keys:
    return Keys(engine, type, [text(engine, value) for value in dict.fromkeys(values)])


def others(engine: str, type: str, values: list[str]) -> Keys:
    as_text = {"postgresql": "k::text", "mysql": "CAST(k AS CHAR)"}[engine]
    if type == "char(4)":  # PostgreSQL pads to the width, MariaDB takes the blanks away
        return Keys(engine, type, values, "rpad(k, 4, ' ')", "rpad(k, 4, ' ')")
    return Keys(engine, type, values, as_text, "k::varchar")


def times(engine: str, type: str) -> Keys:
    shown = MICROSECONDS[engine].format("k")
    values = [f"'2026-01-01 00:00:00.00000{n}'" for n in range(5)]
    return Keys(engine, type, values, shown, MICROSECONDS["postgresql"].format("k"))


def bytes_of(engine: str, type: str) -> Keys:
    written = ["000000", "616220", "612020", "ff00ff", "27225c", "0a0d09", "80ffff"]
    if type != "binary(3)":
        written += ["61", "6120", "6100"]
    values = [f"'\\x{value}'::bytea" if engine == "postgresql" else f"x'{value}'" for value in written]
    shown = "encode(k, 'hex')" if engine == "postgresql" else "LOWER(HEX(k))"
    return Keys(engine, type, values, shown)


UUIDS = [f"'{n}0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1{n}'" for n in "fa3901c"]
KEYS = [
    texts("postgresql", "text", TRICKY + BLANKS[1:3]),
    others("postgresql", "uuid", UUIDS),
    others("postgresql", "numeric(38,0)", ["-1", "0", "9", "10", "99999999999999999999999999999999999999"]),
    others("postgresql", "bigint", ["-9223372036854775808", "-1", "0", "2", "10", "9223372036854775807"]),
    times("postgresql", "timestamp"),
    others("postgresql", "date", ["'0001-01-01'", "'1969-12-31'", "'1970-01-01'", "'9999-12-31'"]),
    others("postgresql", "char(4)", ["'a'", "'ab'", "'b'", "'abcd'", "''"]),
    bytes_of("postgresql", "bytea"),
    texts("mysql", "varchar(40) COLLATE utf8mb4_bin", TRICKY),
    texts("mysql", "varchar(40) COLLATE utf8mb4_general_ci", [t for t in TRICKY if t != "🦊"]),
    texts("mysql", "varchar(40) COLLATE utf8mb4_unicode_ci", TRICKY),
    texts("mysql", "varchar(40) COLLATE utf8mb4_nopad_bin", TRICKY + BLANKS[1:]),
    texts("mysql", "varchar(40) CHARACTER SET latin1", ["a", "B", "ü", "z", "é'", "ß", "c\\"]),
    others("mysql", "uuid", UUIDS),
    others("mysql", "bigint unsigned", ["0", "2", "10", "9223372036854775808", "18446744073709551615"]),
    others("mysql", "decimal(10,2)", ["-1.50", "-1.49", "0.00", "10.00", "9.00"]),
    times("mysql", "datetime(6)"),
    others("mysql", "char(4)", ["'a'", "'ab'", "'b'", "'abcd'", "''"]),
    bytes_of("mysql", "varbinary(16)"),
    bytes_of("mysql", "binary(3)"),
    texts("sqlite", "text", TRICKY + BLANKS[1:3]),
    texts("sqlite", "varchar(40) COLLATE NOCASE", TRICKY),
    bytes_of("sqlite", "blob"),
]


def things(company: Company, engine: str, *keys: Keys) -> Source:
    """Return a source with a table for each type, `things_0` and on, and a row in it for each key."""
    source = company.source(engine)
    tables = []
    for number, kind in enumerate(keys):
        source.sql(
            f"CREATE TABLE things_{number} (k {kind.type} NOT NULL PRIMARY KEY, note varchar(20), "
            f"stamp {STAMP[engine]} NOT NULL)",
            *(f"INSERT INTO things_{number} VALUES ({value}, 'one', '{FIRST}')" for value in kind.values),
        )
        tables.append(f"{{name: {full_name(source, f'things_{number}')}}}")
    source.file(
        "defaults: {mode: merge, cursor: stamp, cursor_time_zone: UTC, page_rows: 3}\n"
        f"tables: [{', '.join(tables)}]\n"
    )
    return source


@pytest.mark.parametrize("engine", ENGINES)
def test_keys_of_any_type_page_and_merge(company: Company, engine: str) -> None:
    """Run thrice: all rows arrive, all rows change at one time, one row of each table changes alone."""
    keys = [kind for kind in KEYS if kind.engine == engine]
    source = things(company, engine, *keys)
    for note, stamp, changes in [
        ("one", FIRST, slice(0)),
        ("two", SECOND, slice(None)),
        ("three", "2026-01-01 10:00:02", slice(1)),
    ]:
        for number, kind in enumerate(keys):
            source.sql(
                "SELECT 1",
                *(
                    f"UPDATE things_{number} SET note = '{note}', stamp = '{stamp}' WHERE k = {value}"
                    for value in kind.values[changes]
                ),
            )
        ended = source.run()
        assert ended.status == "SUCCEEDED", failures(ended)
        for number, kind in enumerate(keys):
            name = f"things_{number}"
            table_report = ended.table(full_name(source, name))
            assert table_report["rows_read"] == len(kind.values[changes] or kind.values), kind
            assert in_warehouse(source, name, f"{kind.arrived}, note", "stamp") == in_source(
                source, name, f"{kind.shown}, note", "stamp"
            ), kind


@pytest.mark.parametrize("engine", ["postgresql", "sqlite"])
def test_a_key_with_a_trailing_blank_is_another_rows_key(company: Company, engine: str) -> None:
    source = things(company, engine, texts(engine, "text", BLANKS))
    only_table(source.run())
    source.sql(f"UPDATE things_0 SET note = 'mine', stamp = '{SECOND}' WHERE k = 'a '")

    assert only_table(source.run())["rows_read"] == 1

    assert in_warehouse(source, "things_0", "k, note") == sorted(
        [(value, "mine" if value == "a " else "one") for value in BLANKS], key=repr
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_keys_of_several_columns_page_and_merge(company: Company, engine: str) -> None:
    source = company.source(engine)
    source.sql(
        f"CREATE TABLE parts (b varchar(9) NOT NULL, note varchar(20), stamp {STAMP[engine]} NOT NULL, "
        "c date NOT NULL, a int NOT NULL, PRIMARY KEY (a, b, c))"
    )
    for a in (2, 10, -1):
        for b in ("x", "Y", "y'"):
            source.sql(
                f"INSERT INTO parts VALUES ({text(engine, b)}, 'one', '{FIRST}', '2026-01-01', {a}), "
                f"({text(engine, b)}, 'one', '{FIRST}', '2025-12-31', {a})"
            )
    source.file(
        f"tables: [{{name: {full_name(source, 'parts')}, mode: merge, cursor: stamp, cursor_time_zone: UTC, "
        "page_rows: 2}]"
    )
    only_table(source.run())
    source.sql(
        f"UPDATE parts SET note = 'two', stamp = '{SECOND}' WHERE a = 2 OR b = 'x'",
        f"INSERT INTO parts VALUES ('x', 'new', '{SECOND}', '2026-01-02', 2)",
    )
    second = only_table(source.run())

    assert second["rows_read"] == 11
    assert in_warehouse(source, "parts", "a, b, note", "c") == in_source(source, "parts", "a, b, note", "c")


@pytest.mark.parametrize(
    ("engine", "key_type"),
    [("postgresql", "size"), ("mysql", "enum('small', 'large', 'huge', 'tiny')")][: len(SERVERS)],
)
def test_labels_as_keys_lose_no_row(company: Company, engine: str, key_type: str) -> None:
    """An enum has an order of its own: PostgreSQL compares by it, MySQL compares the texts."""
    source = company.source(engine)
    if engine == "postgresql":
        source.sql("CREATE TYPE size AS ENUM ('small', 'large', 'huge', 'tiny')")
    source.sql(
        f"CREATE TABLE things (k {key_type} NOT NULL PRIMARY KEY, note varchar(20))",
        "INSERT INTO things VALUES ('small', 'a'), ('large', 'b'), ('huge', 'c'), ('tiny', 'd')",
    )
    source.file(f"tables: [{{name: {full_name(source, 'things')}, mode: replace, page_rows: 1}}]")

    assert only_table(source.run())["rows_read"] == 4
    shown = {"postgresql": "k::text", "mysql": "k"}[engine]
    assert in_warehouse(source, "things", "k, note") == in_source(source, "things", f"{shown}, note")


@pytest.mark.parametrize("engine", SERVERS[1:])
def test_a_merge_by_a_key_that_cannot_be_ordered_is_refused(company: Company, engine: str) -> None:
    source = things(company, engine, Keys(engine, "enum('small', 'large')", ["'small'", "'large'"]))

    ended = source.run()

    failure = ended.table(full_name(source, "things_0"))["failure"]
    assert failure["error"] == "TableRefused"
    assert "cannot be compared exactly" in failure["message"]
