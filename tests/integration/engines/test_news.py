"""Questions about many tables in few statements, on every engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.integration.engines.source import Source
from tributary.config.models import TableSettings
from tributary.errors import QueryCancelled
from tributary.model.plan import Column
from tributary.model.source_catalog import SourceTable, TableName
from tributary.model.types import Kind
from tributary.planning import new_rows
from tributary.planning.source_probe import SourceProbe
from tributary.planning.table_spec import TableSpec

TYPES = {"postgresql": "integer", "mysql": "int(11)", "sqlite": "INTEGER", "sqlserver": "int"}


def choices(source: Source, *tables: str) -> list[TableSpec]:
    cursor = Column(name="n", type=TYPES[source.name], kind=Kind("int32"), nullable=False, target="n")
    return [
        TableSpec(
            SourceTable(TableName(source.schema, table), ()),
            TableSettings(),
            "merge",
            (cursor,),
            ("n",),
            True,
            cursor,
            (),
        )
        for table in tables
    ]


def questions(source: Source, *tables: str, watermark: str) -> dict[str, str]:
    """Return for each table the expression that looks for rows above the watermark."""
    probe = SourceProbe(source.engine, None)
    return {
        choice.table.name.table: probe.has_new_rows(choice, choice.columns[0], watermark)
        for choice in choices(source, *tables)
    }


@contextmanager
def counted(source: Source, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Record the statements that run in the block."""
    statements: list[str] = []
    ask = source.engine.ask

    def noting(connection: Any, sql: str) -> tuple[str | None, ...] | None:
        statements.append(sql)
        return ask(connection, sql)

    with monkeypatch.context() as patch:
        patch.setattr(source.engine, "ask", noting)
        yield statements


def test_a_hundred_tables_are_checked_by_one_statement_for_new_rows(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"t{number}" for number in range(101)]
    for name in names:
        source.execute(f"CREATE TABLE {name} (n INTEGER NOT NULL PRIMARY KEY)")
        source.execute(f"INSERT INTO {name} VALUES (7)")
    source.execute("INSERT INTO t5 VALUES (8)")
    source.execute("DELETE FROM t6")

    with source.session() as connection, counted(source, monkeypatch) as statements:
        still = new_rows.unchanged(source.engine, connection, questions(source, *names, watermark="7"))

    assert still == {*names} - {"t5"}
    assert len(statements) == 2

    with source.session() as connection, counted(source, monkeypatch) as statements:
        new_rows.unchanged(source.engine, connection, questions(source, *names, watermark="7"), stop=True)
    assert len(statements) == 1


def test_a_table_that_cannot_be_read_hides_no_other(source: Source) -> None:
    for name in ("a", "b", "c"):
        source.execute(f"CREATE TABLE {name} (n INTEGER NOT NULL PRIMARY KEY)")
        source.execute(f"INSERT INTO {name} VALUES (7)")
    tables = ("a", "gone", "b", "c")

    with source.session() as connection:
        expressions = questions(source, *tables, watermark="7")
        assert new_rows.unchanged(source.engine, connection, expressions) == {"a", "b", "c"}
        probe = SourceProbe(source.engine, connection)
        tops = {
            c.table.name.table: f"({probe.maximum_query(c, c.columns[0])})" for c in choices(source, *tables)
        }
        highest = new_rows.evaluate(source.engine, connection, tops)
    assert highest == {"a": "7", "b": "7", "c": "7"}


def test_a_batch_that_takes_too_long_is_split_in_halves(pg: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    naps = dict.fromkeys(range(4), "(SELECT 1 FROM pg_catalog.pg_sleep(0.8))")

    with pg.session(timeout_s=3) as connection, counted(pg, monkeypatch) as statements:
        assert new_rows.evaluate(pg.engine, connection, naps) == dict.fromkeys(range(4), "1")
    assert len(statements) == 3

    with pg.session(timeout_s=1) as connection, pytest.raises(QueryCancelled):
        pg.engine.ask(connection, f"SELECT {', '.join(naps.values())}")
