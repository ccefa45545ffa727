"""No name that a statement introduces is a reserved word of the vendor whose server runs it."""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.reserved_words import WORDS
from tributary.config.models import TableSettings
from tributary.engines import registry
from tributary.engines.mysql import ranges as mysql_ranges
from tributary.engines.mysql import sql as mysql_sql
from tributary.engines.postgresql import catalog as postgresql_catalog
from tributary.engines.postgresql import ranges as postgresql_ranges
from tributary.engines.postgresql import sql as postgresql_sql
from tributary.engines.sqlserver import engine as sqlserver
from tributary.engines.sqlserver.types import binding
from tributary.model.query import Query, ReadColumn
from tributary.model.source_catalog import Clock, SourceColumn, SourceTable, TableName
from tributary.planning.read_bounds import SourceClock, read_bounds
from tributary.planning.source_probe import SourceProbe
from tributary.planning.table_spec import specify

TYPES = {
    "sqlserver": ("datetime2(7)", "bigint"),
    "mysql": ("datetime(6)", "bigint(20)"),
    "postgresql": ("timestamp without time zone", "bigint"),
    "sqlite": ("DATETIME", "INTEGER"),
}
WATERMARK = "2024-01-01 10:00:00.000000"
NOON = Clock(datetime(2024, 1, 1, 12, tzinfo=UTC), None)
QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`(?:[^`]|``)*`|\[(?:[^\]]|\]\])*\]")
NAMED = re.compile(
    r"\bAS\s+(\w+)|(?:\bWITH(?:\s+RECURSIVE)?|,)\s+(\w+)(?:\s*\([^()]*\))?\s+AS\s*\(", re.IGNORECASE
)
COLUMN_NAMES = re.compile(r"\b(?:AS|RECURSIVE)\s+\w+\s*\(([\w\s,]+)\)", re.IGNORECASE)


def names(sql: str) -> set[str]:
    """Return the names that a statement introduces: of columns, derived tables and common expressions."""
    bare = QUOTED.sub("''", sql)
    lists = {name.strip() for listed in COLUMN_NAMES.findall(bare) for name in listed.split(",")}
    aliases = {name for pair in NAMED.findall(_without_casts(bare)) for name in pair if name}
    return {name.lower() for name in aliases | lists if not name.isdigit()}


def _without_casts(sql: str) -> str:
    """Return the statement without the types of its casts, which follow AS too."""
    parts, opened = [], [False]
    for token in re.findall(r"\bCAST\s*\(|\w+|\(|\)|[^\w()]+", sql, re.IGNORECASE):
        if token.endswith("("):
            opened.append(token[0] in "cC")
        elif token == ")" and len(opened) > 1:
            opened.pop()
        parts.append("TYPE" if token.upper() == "AS" and opened[-1] else token)
    return "".join(parts)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT a FROM (SELECT MAX([a]) AS [a] FROM t) AS top", {"top"}),
        ("SELECT CAST(a AS char(3)) AS b FROM t AS u", {"b", "u"}),
        ("SELECT CAST((SELECT x AS y) AS int)", {"y"}),
        (
            "WITH RECURSIVE made(oid, mod) AS (SELECT 1), other AS (SELECT 2) SELECT 'AS x'",
            {"made", "oid", "mod", "other"},
        ),
        ("SELECT 1 FROM (VALUES (1)) AS v(place, row)", {"v", "place", "row"}),
    ],
)
def test_the_names_that_a_statement_introduces_are_found(sql: str, expected: set[str]) -> None:
    assert names(sql) == expected


def statements_of_a_plan(name: str) -> Iterator[str]:
    """Yield what a plan of an incremental table sends, with and without a condition and a proven key."""
    engine, sent = registry.get(name), list[str]()

    def ask(connection: object, sql: str) -> tuple[str, ...] | None:
        sent.append(sql)
        return (WATERMARK,) if "MAX" in sql else None

    recorder: Any = SimpleNamespace(**{**{part: getattr(engine, part) for part in dir(engine)}, "ask": ask})
    time_type, key_type = TYPES[name]
    columns = (SourceColumn("at", time_type, False), SourceColumn("id", key_type, False))
    table = SourceTable(TableName("s", "t"), columns)
    for where in (None, "1 = 1"):
        settings = TableSettings(mode="merge", cursor="at", key=("id",), cursor_time_zone="UTC", where=where)
        spec, probe = specify(recorder, table, settings), SourceProbe(recorder, None)
        read_bounds(probe, spec, SourceClock(NOON, {}), WATERMARK, whole_read=False)
        probe.check_unique(spec, WATERMARK)
        probe.check_user_sql(spec)
        probe.has_values(spec, "at")
    assert len(sent) > 8
    yield from sent


def statements_of_reads(name: str) -> Iterator[str]:
    engine = registry.get(name)
    types = dict(zip(("at", "id"), TYPES[name], strict=True))
    columns = tuple(
        ReadColumn(column, type, engine.kind(SourceColumn(column, type, False)))
        for column, type in types.items()
    )
    for sql, where in ((None, None), ("SELECT 1", "1 = 1")):
        query = Query(
            TableName("s", "t"), columns, ("at", "id"), "at", WATERMARK, limit=9, sql=sql, where=where
        )
        yield engine.select(query)
        if renderer := {"mysql": mysql_sql.rows, "postgresql": postgresql_sql.copy}.get(name):
            yield renderer(query)
        if name == "sqlserver":
            yield sqlserver._select(query, [f"{binding(column).sql} AS c0" for column in columns])


def statements_of_the_engine(name: str) -> Iterator[str]:
    """Yield the queries on the catalog, and others that the engine's modules hold as constants."""
    package = import_module(f"tributary.engines.{name}")
    for part in pkgutil.iter_modules(package.__path__):
        for value in vars(import_module(f"{package.__name__}.{part.name}")).values():
            if isinstance(value, str) and re.search(r"\bSELECT\b", value):
                yield value
    if name == "postgresql":
        yield postgresql_ranges.range_ends('"s"."t"', ["t.a"], ["t.a::text"], 1, 8)
        yield postgresql_catalog.described([(23, -1)])
    if name == "mysql":
        table = mysql_ranges.KeyedTable("`t`", ("t.a",), ("t.a",), ("int",), registry.get("mysql").literal)
        yield table.edge(descending=True)
        yield table.estimate(("1",), ("2",))


@pytest.mark.parametrize("name", WORDS)
def test_no_statement_gives_anything_a_reserved_word_as_its_name(name: str) -> None:
    statements = [*statements_of_a_plan(name), *statements_of_reads(name), *statements_of_the_engine(name)]
    reserved = {(word, sql) for sql in statements for word in names(sql) & WORDS[name]}
    assert reserved == set()
