"""The private servers: reachable, bounded, and gone with the process that started them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pg8000.exceptions
import pytest

from local.databases import mariadb as mariadb_server
from local.databases.mariadb import MariaDB
from local.databases.postgres import Postgres
from local.databases.server import ServerError, free_port

ROOT = Path(__file__).parents[2]
SERVERS = ["postgres.Postgres", *(["mariadb.MariaDB"] if mariadb_server.available() else [])]


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def _closes_within(port: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not _listens(port):
            return True
        time.sleep(0.05)
    return False


def test_the_superuser_needs_no_password_and_everyone_else_does(postgres: Postgres) -> None:
    admin = postgres.connect()
    admin.run("DROP ROLE IF EXISTS guest")
    admin.run("CREATE ROLE guest LOGIN PASSWORD 'right'")
    assert postgres.connect(user="guest", password="right").run("SELECT current_user") == [["guest"]]
    with pytest.raises(pg8000.exceptions.DatabaseError, match="28P01"):
        postgres.connect(user="guest", password="wrong")


def test_postgres_can_prepare_transactions_and_merge(postgres: Postgres) -> None:
    (version,) = postgres.connect().run("SHOW server_version_num")[0]
    assert int(version) >= 150000
    assert postgres.connect().run("SHOW max_prepared_transactions") == [["10"]]


def test_mariadb_answers_root_without_a_password(mariadb: MariaDB) -> None:
    with mariadb.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT CURRENT_USER(), @@version_comment LIKE '%Debian%' IS NOT NULL")
        row = cursor.fetchone()
    assert row == ("root@127.0.0.1", 1)


def test_mariadb_keeps_its_temporary_tables_where_no_other_server_deletes_them(mariadb: MariaDB) -> None:
    with mariadb.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT @@tmpdir")
        assert cursor.fetchone() == (str(mariadb.directory / "tmp"),)


@pytest.mark.parametrize("engine", SERVERS)
def test_a_server_dies_with_its_owner_even_when_the_owner_is_killed(engine: str, tmp_path: Path) -> None:
    module, name = engine.split(".")
    script = (
        f"from local.databases.{module} import {name}; from pathlib import Path; import time\n"
        f"server = {name}.start(Path({str(tmp_path)!r}))\n"
        "print(server.port, flush=True); time.sleep(600)"
    )
    owner = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert owner.stdout
    port = int(owner.stdout.readline())
    assert _listens(port)
    os.kill(owner.pid, signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    assert _closes_within(port, 15)


def test_a_server_that_cannot_start_says_why_from_its_log(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="no_such_setting"):
        Postgres.start(tmp_path, settings={"no_such_setting": "1"})


def test_a_stopped_server_starts_again_on_its_files(tmp_path: Path) -> None:
    with Postgres.start(tmp_path) as first:
        first.connect().run("CREATE TABLE kept (n int)")
    with Postgres.start(tmp_path) as second:
        assert second.connect().run("SELECT count(*) FROM kept") == [[0]]


def test_a_free_port_is_not_in_use() -> None:
    assert not _listens(free_port())
