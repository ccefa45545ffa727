"""The demo: its comparison tells equal tables from others, it ends well, and it leaves nothing behind."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.databases import mariadb as mariadb_server
from local.databases.mariadb import MariaDB
from local.databases.postgres import Postgres
from local.demo import compare, crm
from local.demo.compare import Fingerprint

COLUMNS = {"k": "INTEGER", "amount": "DECIMAL(15,2)", "day": "DATE", "remark": "VARCHAR(40)"}
DDL = "CREATE TABLE t (k INTEGER, amount DECIMAL(15,2), day DATE, remark VARCHAR(40))"
ROWS = (
    "(1, 0.50, '2024-02-29', 'plain')",
    "(2, -1234567.89, '1999-12-31', '')",
    "(3, NULL, NULL, NULL)",
    "(4, 7.00, '2024-02-29', 'é|~= 😀 ')",
)
SERVERS = ["postgresql", *(["mariadb"] if mariadb_server.available() else []), "sqlite"]
ENVIRONMENT = {"PATH": os.defpath, "PYTHONUNBUFFERED": "1"}


class Servers:
    """Takes the same rows on any of the servers and returns their fingerprint."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._request = request

    def fingerprint(self, server: str, rows: tuple[str, ...]) -> Fingerprint:
        insert = f"INSERT INTO t VALUES {', '.join(rows)}"
        return {"postgresql": self._postgresql, "mariadb": self._mariadb, "sqlite": self._sqlite}[server](
            insert
        )

    def _postgresql(self, insert: str) -> Fingerprint:
        postgres: Postgres = self._request.getfixturevalue("postgres")
        session = postgres.connect()
        for sql in ("BEGIN", DDL, insert):
            session.run(sql)
        row = session.run(compare.query(compare.POSTGRESQL, "t", COLUMNS))[0]
        session.run("ROLLBACK")
        session.close()
        return compare.fingerprint(tuple(row))

    def _mariadb(self, insert: str) -> Fingerprint:
        server: MariaDB = self._request.getfixturevalue("mariadb")
        name = f"demo_{uuid.uuid4().hex[:8]}"
        with server.connect() as session, session.cursor() as cursor:
            for sql in (f"CREATE DATABASE {name} CHARACTER SET utf8mb4", f"USE {name}", DDL, insert):
                cursor.execute(sql)
            cursor.execute(compare.query(compare.MARIADB, "t", COLUMNS))
            row = cursor.fetchone()
            cursor.execute(f"DROP DATABASE {name}")
        assert row is not None
        return compare.fingerprint(row)

    def _sqlite(self, insert: str) -> Fingerprint:
        session = sqlite3.connect(":memory:")
        session.create_function("DIGEST", 1, crm.digest)
        session.execute(DDL)
        session.execute(insert)
        row = session.execute(compare.query(compare.SQLITE, "t", COLUMNS)).fetchone()
        session.close()
        return compare.fingerprint(row)


@pytest.fixture
def servers(request: pytest.FixtureRequest) -> Servers:
    return Servers(request)


def test_equal_rows_have_one_fingerprint_on_every_server_in_any_order(servers: Servers) -> None:
    fingerprints = {servers.fingerprint(server, rows) for server in SERVERS for rows in (ROWS, ROWS[::-1])}
    assert len(fingerprints) == 1
    assert fingerprints.pop().rows == len(ROWS)


@pytest.mark.parametrize(
    "changed",
    [
        "(2, -1234567.89, '1999-12-31', NULL)",
        "(2, -1234567.88, '1999-12-31', '')",
        "(2, -1234567.89, '1999-12-30', '')",
        "(2, -1234567.89, '1999-12-31', ' ')",
    ],
)
@pytest.mark.parametrize("server", SERVERS)
def test_one_changed_value_changes_the_checksum(servers: Servers, server: str, changed: str) -> None:
    other = servers.fingerprint(server, (ROWS[0], changed, *ROWS[2:]))
    assert other.rows == len(ROWS)
    assert other.checksum != servers.fingerprint(server, ROWS).checksum


def demo(directory: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start the demo with its temporary directory inside the given one."""
    return subprocess.Popen(
        [sys.executable, "-m", "local.demo", "--scale", "0.01", *arguments],
        env={**ENVIRONMENT, "TMPDIR": str(directory)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def processes_of(directory: Path) -> Iterator[str]:
    """Yield the commands of processes that were given the directory."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            given = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
        except OSError:
            continue
        if str(directory).encode() in given and process.name != str(os.getpid()):
            yield (process / "cmdline").read_text().replace("\0", " ")


def test_demo_ends_with_0_and_leaves_nothing_behind(tmp_path: Path) -> None:
    process = demo(tmp_path, "--crm", "sqlite")
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert output.count(" same\n") == 18  # nine tables after each of two runs
    assert "DIFFERENT" not in output
    assert "older than the first run: 10 of 10" in output
    assert "new column's default, most with an old updated_at: 1,500 of 1,500" in output
    assert list(tmp_path.iterdir()) == []
    assert list(processes_of(tmp_path)) == []


def test_demo_leaves_nothing_behind_when_it_is_interrupted_in_a_run(tmp_path: Path) -> None:
    process = demo(tmp_path)
    assert process.stdout is not None
    for line in process.stdout:
        if "planned" in line:
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole foreground group
            break
    rest = process.stdout.read()
    assert process.wait() == 130, rest
    assert "the temporary directory is gone" in rest
    assert list(tmp_path.iterdir()) == []
    assert list(processes_of(tmp_path)) == []
