"""Databases that are read through SQLAlchemy here: those of the native engines, and DuckDB."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.integration.engines import conftest
from tests.integration.engines.source import Source
from tributary.engines import registry
from tributary.secret import Secret

FIREBIRD = Path(__file__).parents[3] / ".firebird"  # which `make firebird` fills
ENGINE_OF = {
    "postgresql": "sqlalchemy:postgresql+pg8000",
    "mysql": "sqlalchemy:mysql+pymysql",
    "sqlite": "sqlalchemy:sqlite+pysqlite",
}
# Types that the native engine reads and the generic one does not, with the reason.
UNREFLECTED = "SQLAlchemy reflects no type for it, so its column is refused"
EXCLUDED: dict[str, dict[str, str]] = {
    "postgresql": dict.fromkeys(
        (
            *("bpchar", "point", "line", "lseg", "box", "path", "polygon", "circle", "jsonpath", "pair"),
            *("ltree", "regrole", "xid", "xid8", "tid", "pg_lsn", "pg_snapshot", "aclitem", "int2vector"),
        ),
        UNREFLECTED,
    ),
    "mysql": dict.fromkeys(("geometry", "point", "inet4", "inet6"), UNREFLECTED),
    "sqlite": {},
}


@contextmanager
def duck(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Source]:
    """Open a database whose statements each open the file, since DuckDB lets one process have it alone."""
    file = tmp_path / "odd name.duckdb"

    def execute(sql: str) -> Any:
        with duckdb.connect(str(file), config={"access_mode": "READ_WRITE"}) as admin:
            admin.execute("SET TimeZone = 'UTC'")
            return admin.execute(sql).fetchall()

    def insert(sql: str, rows: list[list[Any]]) -> None:
        with duckdb.connect(str(file)) as admin:
            admin.executemany(sql, rows)

    execute("SELECT 1")
    yield Source("duckdb", registry.get("duckdb"), Secret(dbname=str(file)), "main", execute, insert=insert)


@contextmanager
def generic(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Source]:
    """Open the database of a native engine, to be read by the generic one."""
    with conftest.OPEN[name](request, tmp_path) as opened:
        yield replace(opened, engine=registry.get(ENGINE_OF[name]), lacks=frozenset(EXCLUDED[name]))


Opener = Callable[[pytest.FixtureRequest, Path], AbstractContextManager[Source]]
OPEN: dict[str, Opener] = {"duckdb": duck}


def _opener(name: str) -> Opener:
    def open_one(request: pytest.FixtureRequest, tmp_path: Path) -> AbstractContextManager[Source]:
        return generic(name, request, tmp_path)

    return open_one


OPEN |= {f"{name} by SQLAlchemy": _opener(name) for name in ENGINE_OF if name in conftest.HERE}
