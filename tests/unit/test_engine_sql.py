"""The exact SQL that each engine sends."""

from __future__ import annotations

import inspect
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tributary.engines import protocol, registry
from tributary.engines.mysql import catalog as mysql_catalog
from tributary.engines.mysql import engine as mysql
from tributary.engines.mysql import session as mysql_session
from tributary.engines.mysql import sql as mysql_sql
from tributary.engines.postgresql import engine as postgresql
from tributary.engines.postgresql import settings as postgresql_settings
from tributary.engines.postgresql import sql as postgresql_sql
from tributary.engines.protocol import Engine
from tributary.engines.sqlite import engine as sqlite
from tributary.errors import ConfigError, InternalError
from tributary.model import engine_names
from tributary.model.query import Query, ReadColumn
from tributary.model.source_catalog import TableName
from tributary.model.types import Kind

QUERIES = {
    "postgresql": (
        ReadColumn("at", "timestamp(6) with time zone", Kind("timestamptz")),
        ReadColumn("id", "bigint", Kind("int64")),
        ReadColumn('da"ta', "bytea", Kind("binary")),
    ),
    "mysql": (
        ReadColumn("at", "timestamp(6)", Kind("timestamptz")),
        ReadColumn("id", "bigint(20)", Kind("int64")),
        ReadColumn("da`ta", "varbinary(9)", Kind("binary")),
        ReadColumn("name", "varchar(20)", Kind("text")),
        ReadColumn("f", "float", Kind("float32")),
    ),
    "sqlite": (ReadColumn("at", "DATETIME", Kind("timestamp")), ReadColumn("id", "INTEGER", Kind("int64"))),
}


def query(engine: str) -> Query:
    return Query(TableName("shop", "or ders"), QUERIES[engine], ("at", "id"), cursor="at", limit=100)


def test_postgresql_copies_a_select_with_row_values() -> None:
    later = replace(
        query("postgresql"),
        after="a",
        up_to="2024-02-01 00:00:00+00",
        position=("2024-01-01 00:00:00.1+00", "7"),
    )
    assert postgresql_sql.copy(later) == (
        """COPY (SELECT t."at", t."id", pg_catalog.encode(t."da""ta", 'hex') FROM "shop"."or ders" AS t """
        """WHERE t."at" <= '2024-02-01 00:00:00+00'::timestamp(6) with time zone AND (t."at", t."id") > """
        """('2024-01-01 00:00:00.1+00'::timestamp(6) with time zone, '7'::bigint) """
        """ORDER BY t."at", t."id" LIMIT 100) TO STDOUT (FORMAT csv)"""
    )


def test_postgresql_renders_what_copy_does_not_write_as_it_is_wanted() -> None:
    types = [
        "money",
        "array integer[]",
        "composite public.pair",
        "other public.hstore",
        "other public.citext",
    ]
    columns = tuple(ReadColumn(f"c{n}", type, Kind("text")) for n, type in enumerate(types))
    assert postgresql_sql.copy(Query(TableName("shop", "t"), columns)) == (
        'COPY (SELECT t."c0"::numeric, pg_catalog.to_json(t."c1"), pg_catalog.to_json(t."c2"), '
        'pg_catalog.to_json(t."c3"), t."c4" FROM "shop"."t" AS t) TO STDOUT (FORMAT csv)'
    )


def test_mysql_selects_bits_as_numbers_and_the_bytes_of_geometries() -> None:
    types = ["bit(3)", "point", "inet6", "time(6)"]
    columns = tuple(ReadColumn(f"c{n}", type, Kind("text")) for n, type in enumerate(types))
    query = Query(TableName("shop", "t"), columns)
    assert (
        mysql_sql.rows(query)
        == "SELECT t.`c0` + 0, t.`c1`, CAST(t.`c2` AS CHAR), t.`c3` FROM `shop`.`t` AS t"
    )


def test_mysql_selects_with_alternatives() -> None:
    later = replace(query("mysql"), after="a", position=("2024-01-01 00:00:00.100000Z", "7"))
    assert mysql_sql.rows(later) == (
        "SELECT CONCAT(t.`at`, 'Z'), t.`id`, t.`da``ta`, t.`name`, t.`f` * 1e0 FROM `shop`.`or ders` AS t "
        "WHERE (t.`at` > TIMESTAMP'2024-01-01 00:00:00.100000' "
        "OR (t.`at` = TIMESTAMP'2024-01-01 00:00:00.100000' AND t.`id` > 7)) "
        "ORDER BY t.`at`, t.`id` LIMIT 100"
    )


def test_sqlite_selects_with_row_values() -> None:
    assert sqlite.select(replace(query("sqlite"), position=("2024-01-01", "7"))) == (
        """SELECT t."at" AS c0, t."id" AS c1 FROM "shop"."or ders" AS t WHERE (t."at", t."id") > """
        """('2024-01-01', 7) ORDER BY t."at", t."id" LIMIT 100"""
    )


@pytest.mark.parametrize(
    ("engine", "text", "type", "expected"),
    [
        (postgresql, "it's \\", "character varying(20)", "'it''s \\'::character varying(20)"),
        (postgresql, "00ff", "bytea", "'\\x00ff'::bytea"),
        (postgresql, "sad", 'enum public."Mood"', "'sad'::public.\"Mood\""),
        (postgresql, "-1.50", "numeric(10,2)", "'-1.50'::numeric(10,2)"),
        (postgresql, "1", "other public.citext", "'1'::public.citext"),
        (postgresql, "101", "bit(3)", "'101'::bit(3)"),
        (mysql, "-838:59:59.5", "time(1)", "TIME'-838:59:59.5'"),
        (mysql, "18446744073709551615", "bit(64)", "18446744073709551615"),
        (mysql, "2024", "year(4)", "2024"),
        (mysql, "::1", "inet6", "'::1'"),
        (mysql, "it's", "varchar(20)", "'it''s'"),
        (mysql, "it's \\", "varchar(20)", "_utf8mb4 x'69742773205c'"),
        (mysql, "00ff", "varbinary(9)", "x'00ff'"),
        (mysql, "-1.50", "decimal(10,2)", "-1.50"),
        (mysql, "00042", "int(5) unsigned zerofill", "00042"),
        (mysql, "2024-01-01", "date", "DATE'2024-01-01'"),
        (mysql, "2024-01-01 00:00:00", "datetime", "TIMESTAMP'2024-01-01 00:00:00'"),
        (mysql, "2024-01-01 00:00:00.1+00:00", "timestamp(1)", "TIMESTAMP'2024-01-01 00:00:00.1'"),
        (sqlite, "it's", "VARCHAR(20)", "'it''s'"),
        (sqlite, "12", "INTEGER", "12"),
        (sqlite, "1.5", "decimal(5,2)", "1.5"),
        (sqlite, "00ff", "BLOB", "x'00ff'"),
    ],
)
def test_a_literal_has_its_columns_exact_type(engine: Engine, text: str, type: str, expected: str) -> None:
    assert engine.literal(text, type) == expected


@pytest.mark.parametrize(
    ("engine", "text", "type"),
    [
        (mysql, "1 OR 1=1", "int(11)"),
        (mysql, "2024-01-01' OR '", "datetime"),
        (mysql, "2024-01-01' OR '1", "date"),
        (mysql, "00' OR '", "blob"),
        (mysql, "00:00:00' OR '", "time"),
        (postgresql, "00' OR '", "bytea"),
        (sqlite, "1; DROP TABLE t", "INTEGER"),
        (sqlite, "00' OR '", "BLOB"),
    ],
)
def test_a_text_that_is_no_value_of_its_type_makes_no_sql(engine: Engine, text: str, type: str) -> None:
    with pytest.raises(InternalError) as caught:
        engine.literal(text, type)
    assert text not in str(caught.value)


@pytest.mark.parametrize("engine", [postgresql, mysql, sqlite])
def test_a_users_query_and_condition_are_on_lines_of_their_own(engine: Any) -> None:
    name = engine.__name__.split(".")[-2]
    own = replace(
        query(name), sql="SELECT * FROM a -- all", where="x = 1 OR y = 2 -- some", after=None, up_to=None
    )

    at, key = engine.quote("at"), engine.quote("id")
    assert engine.select(own).partition(" FROM ")[2] == (
        f"(\nSELECT * FROM a -- all\n) AS t WHERE (\nx = 1 OR y = 2 -- some\n) AND t.{at} IS NOT NULL "
        f"ORDER BY t.{at}, t.{key} LIMIT 100"
    )


def test_mysql_tells_an_answers_types_in_the_words_of_a_declaration() -> None:
    def answered(type_code: int, length: int, *, scale: int = 0, flags: int = 0, charset: int = 63) -> str:
        field = SimpleNamespace(
            type_code=type_code, length=length, scale=scale, flags=flags, charsetnr=charset
        )
        return mysql_catalog.answered(field)

    assert [
        answered(8, 20, flags=32),
        answered(246, 12, scale=2),
        answered(246, 10, flags=32),
        answered(7, 19, scale=6),
        answered(253, 80, charset=45),
        answered(253, 16),
        answered(254, 12, flags=256, charset=45),
        answered(252, 262_140, charset=45),
        answered(252, 65_535),
        answered(16, 3),
        answered(245, 4, charset=45),
    ] == [
        "bigint unsigned",
        "decimal(10,2)",
        "decimal(10,0) unsigned",
        "timestamp(6)",
        "varchar(20)",
        "varbinary(16)",
        "enum('xxx')",
        "longtext",
        "longblob",
        "bit(3)",
        "json",
    ]


def test_sessions_are_pinned() -> None:
    *opened, pins = postgresql_settings.opening(60, path=postgresql_settings.NO_PATH, watch=False)
    assert opened == [
        "BEGIN ISOLATION LEVEL READ COMMITTED, READ ONLY, NOT DEFERRABLE",
        "RESET SESSION AUTHORIZATION",
        "RESET ROLE",
        "RESET ALL",
    ]
    assert pins == (
        "SELECT pg_catalog.set_config('statement_timeout', '60s', true), "
        "pg_catalog.set_config('lock_timeout', '30s', true), "
        "pg_catalog.set_config('idle_in_transaction_session_timeout', '60s', true), "
        "pg_catalog.set_config('client_encoding', 'UTF8', true), "
        "pg_catalog.set_config('standard_conforming_strings', 'on', true), "
        "pg_catalog.set_config('DateStyle', 'ISO, YMD', true), "
        "pg_catalog.set_config('IntervalStyle', 'postgres', true), "
        "pg_catalog.set_config('TimeZone', 'UTC', true), "
        "pg_catalog.set_config('extra_float_digits', '3', true), "
        "pg_catalog.set_config('bytea_output', 'hex', true), "
        "pg_catalog.set_config('quote_all_identifiers', 'off', true), "
        "pg_catalog.set_config('row_security', 'off', true), "
        "pg_catalog.set_config('gin_fuzzy_search_limit', '0', true), "
        "CASE WHEN pg_catalog.current_setting('transaction_timeout', true) IS NOT NULL "
        "THEN pg_catalog.set_config('transaction_timeout', '0', true) END, "
        "CASE WHEN pg_catalog.current_setting('restrict_nonsystem_relation_kind', true) IS NOT NULL "
        "THEN pg_catalog.set_config('restrict_nonsystem_relation_kind', '', true) END, "
        "pg_catalog.set_config('search_path', '', true)"
    )
    shared = (
        "SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES', SESSION time_zone = '+00:00', "
        "SESSION autocommit = 1, SESSION completion_type = 'NO_CHAIN', SESSION sql_auto_is_null = 0, "
        "SESSION sql_select_limit = 18446744073709551615, SESSION max_join_size = 18446744073709551615, "
        "SESSION sql_big_selects = 1, SESSION max_sort_length = 1024, "
        "SESSION lock_wait_timeout = 20, SESSION net_write_timeout = 600, SESSION timestamp = DEFAULT"
    )
    assert mysql_session.pin(20, []) == shared
    assert mysql_session.pin(20, ["max_statement_time"]) == f"{shared}, SESSION max_statement_time = 20"
    assert mysql_session.pin(20, ["max_execution_time"]) == f"{shared}, SESSION max_execution_time = 20000"


FUNCTIONS = {name: part for name, part in vars(Engine).items() if inspect.isfunction(part) and name[0] != "_"}
CONSTANTS = inspect.get_annotations(Engine)


@pytest.mark.parametrize("name", [*engine_names.ENGINES, "duckdb", "sqlalchemy:postgresql+pg8000"])
def test_every_engine_has_the_protocols_constants_and_functions(name: str) -> None:
    engine = registry.get(name)
    assert {constant: type(getattr(engine, constant)).__name__ for constant in CONSTANTS} == CONSTANTS
    for function, stated in FUNCTIONS.items():
        parameters = list(inspect.signature(stated).parameters.values())[1:]  # without self
        offered = inspect.signature(getattr(engine, function)).parameters.values()
        assert [one.kind for one in offered] == [one.kind for one in parameters], function
        assert len(offered) == len(parameters), function


@pytest.mark.parametrize("name", engine_names.ENGINES)
def test_every_engine_quotes_each_name(name: str) -> None:
    assert registry.get(name).quote("a", 'b"`') in {'"a"."b""`"', '`a`.`b"```', '[a].[b"`]'}


def test_an_unknown_engine_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="use one of mysql, postgresql, sqlite, sqlserver, clickhouse"):
        registry.get("oracle9")


@pytest.mark.parametrize(
    ("name", "drivers"),
    [
        ("postgresql", ["pg8000"]),
        ("mysql", ["pymysql"]),
        ("sqlite", ["sqlite3"]),
        ("sqlserver", []),
        ("duckdb", []),
    ],
)
def test_an_engine_brings_its_own_driver_and_no_arrow(name: str, drivers: list[str]) -> None:
    code = (
        f"import sys; from tributary.engines import registry; registry.get({name!r}); "
        "drivers = {'pg8000', 'pymysql', 'sqlite3', 'pyarrow', 'pyodbc', 'arrow_odbc', 'sqlalchemy'}; "
        "print(*sorted(drivers & sys.modules.keys()))"
    )
    package = str(Path(protocol.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": package}, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == drivers
