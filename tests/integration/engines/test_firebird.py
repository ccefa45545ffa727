"""Firebird through SQLAlchemy, on its embedded server: `make firebird` brings it."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.integration.engines.generic_engines import FIREBIRD
from tributary.engines import registry
from tributary.model.query import Query, ReadColumn
from tributary.model.source_catalog import TableName
from tributary.secret import Secret

T = TableName("main", "T")
TYPES: dict[str, tuple[str, Any]] = {  # a literal, and the value that must arrive
    "SMALLINT": ("-32768", -32768),
    "INTEGER": ("2147483647", 2**31 - 1),
    "BIGINT": ("9223372036854775807", 2**63 - 1),
    "INT128": ("9" * 38, Decimal("9" * 38)),
    "NUMERIC(10,2)": ("-12345678.99", Decimal("-12345678.99")),
    "DECIMAL(38,10)": ("0.0000000001", Decimal("0.0000000001")),
    "DECFLOAT(34)": ("1.5", Decimal("1.5")),
    "FLOAT": ("0.1", 0.10000000149011612),
    "DOUBLE PRECISION": ("0.1", 0.1),
    "BOOLEAN": ("TRUE", True),
    "DATE": ("DATE '0001-01-01'", date(1, 1, 1)),
    "TIME": ("TIME '12:00:00.5'", "12:00:00.5000"),
    "TIMESTAMP": ("TIMESTAMP '2024-02-29 12:00:00.1234'", datetime(2024, 2, 29, 12, 0, 0, 123_400)),
    "TIMESTAMP WITH TIME ZONE": (
        "TIMESTAMP '2024-02-29 12:00:00.1234 +02:00'",
        datetime(2024, 2, 29, 10, 0, 0, 123_400, tzinfo=UTC),
    ),
    "CHAR(5)": ("'ab'", "ab   "),
    "VARCHAR(20)": ("'é'", "é"),
    "BLOB SUB_TYPE TEXT": ("'long é'", "long é"),
    "BLOB": ("x'00ff'", b"\x00\xff"),
}


@dataclass(frozen=True)
class Database:
    secret: Secret
    execute: Any


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A database in a file, which this process serves itself."""
    runtime = FIREBIRD / "firebird" / "embedded" / "runtime"
    sys.path.append(str(FIREBIRD))
    os.environ["FIREBIRD"] = str(runtime)
    for library in ("libtommath.so.1", str(runtime / "libtomcrypt.so.1")):
        ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)
    driver: Any = __import__("firebird.driver").driver
    driver.driver_config.fb_client_library.value = str(runtime / "libfbclient.so.2")
    file = tmp_path_factory.mktemp("firebird") / "one.fdb"
    session = driver.create_database(str(file), user="SYSDBA", charset="UTF8")

    def execute(sql: str) -> None:
        session.execute_immediate(sql)
        session.commit()

    columns = ", ".join(f"C{number} {type}" for number, type in enumerate(TYPES))
    execute(f'CREATE TABLE T (ID INTEGER NOT NULL PRIMARY KEY, {columns}, "MiXed" INTEGER)')
    literals = ", ".join(literal for literal, _ in TYPES.values())
    execute(f"INSERT INTO T VALUES (1, {literals}, 7)")
    execute("INSERT INTO T (ID) VALUES (2)")
    execute("INSERT INTO T (ID, C12) VALUES (3, TIMESTAMP '2024-02-29 12:00:00.1234')")
    yield Database(Secret(dbname=str(file), username="SYSDBA"), execute)
    session.close()


def query(connection: Any, **parts: Any) -> Query:
    engine = registry.get("firebird")
    described = engine.describe(connection, {T})[T]
    assert described.primary_key == ("ID",)
    columns = tuple(ReadColumn(c.name, c.type, engine.kind(c)) for c in described.columns)
    return Query(T, columns, **parts)


def test_every_type_of_firebird_arrives_as_it_was_written(database: Database) -> None:
    engine = registry.get("firebird")
    connection = engine.connect(database.secret, statement_timeout_s=10)
    assert T in engine.list_tables(connection)
    (page,) = engine.read(connection, query(connection, order=("ID",), limit=2))
    full, empty = page.table.to_pylist()
    expected = {f"C{number}": value for number, (_, value) in enumerate(TYPES.values())}
    assert full == {"ID": 1, **expected, "MiXed": 7}
    assert empty == {"ID": 2, **dict.fromkeys(expected), "MiXed": None}
    engine.close(connection)


def test_pages_of_firebird_go_on_after_a_cursor_that_ties(database: Database) -> None:
    engine = registry.get("firebird")
    connection = engine.connect(database.secret, statement_timeout_s=10)
    read, position = [], None
    while True:
        page = query(connection, order=("C12", "ID"), cursor="C12", position=position, limit=1)
        pages = list(engine.read(connection, page))
        if not pages:
            break
        read += [row["ID"] for row in pages[0].table.to_pylist()]
        position = pages[0].position
    assert read == [1, 3]
    literal = engine.literal("2024-02-29 12:00:00.1234", "TIMESTAMP WITHOUT TIME ZONE")
    question = f'SELECT COUNT(*) FROM {engine.quote("main", "T")} t WHERE t."C12" = {literal}'
    assert engine.ask(connection, question) == ("2",)
    exists = f"SELECT CASE WHEN EXISTS (SELECT 1 FROM T t WHERE t.ID = 1) THEN 1 END{engine.ONE_ROW}"
    assert engine.ask(connection, exists) == ("1",)
    assert abs((engine.clock(connection).now - datetime.now(UTC)).total_seconds()) < 60
    engine.close(connection)
