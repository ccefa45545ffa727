"""The data: TPC-H's lineitem by tpchgen-cli, in a private PostgreSQL and a private MariaDB.

Servers keep their files under `bench/.data`, one folder per server and size: the first run fills them.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pg8000.native
import pymysql

from local.databases.mariadb import MariaDB
from local.databases.postgres import Postgres
from local.demo.tables import LINEITEM

FOLDER = Path(__file__).with_name(".data")
ROWS_OF_SCALE_1 = 6_001_215
KEY = ", ".join(LINEITEM.key)
POSTGRES_SETTINGS = {"max_wal_size": "4GB", "shared_buffers": "1GB", "maintenance_work_mem": "512MB"}
MARIADB_SETTINGS = {"innodb-buffer-pool-size": "2G", "local-infile": "1", "max-allowed-packet": "64M"}
GROWN_AT_ONCE = 1_000_000  # a transaction of more is work for the server's log alone
GROWTH_COLUMNS = (
    "id bigint NOT NULL PRIMARY KEY, number integer NOT NULL, price decimal(15,2) NOT NULL, "
    "tax decimal(15,2), day date NOT NULL, stamp timestamp NOT NULL, status varchar(10) NOT NULL, "
    "note varchar(40) NOT NULL"
)
GROWTH = {
    "postgresql": "INSERT INTO growth SELECT n, n % 100000, n % 1000000 / 100.0, n % 100 / 100.0, "
    "date '2000-01-01' + n % 9000, timestamp '2020-01-01' + n % 100000000 * interval '1 second', "
    "'status ' || n % 7, md5(n::text) FROM generate_series({first}, {last}) AS n",
    "mariadb": "INSERT INTO growth SELECT seq, seq % 100000, seq % 1000000 / 100.0, seq % 100 / 100.0, "
    "date '2000-01-01' + INTERVAL seq % 9000 DAY, timestamp '2020-01-01 00:00:00' + INTERVAL seq SECOND, "
    "CONCAT('status ', seq % 7), md5(seq) FROM seq_{first}_to_{last}",
}
WIDTHS = {"wide_20_b": (1_500_000, 1), "wide_10_kb": (10_000, 1), "wide_5_mb": (60, 80)}  # rows, columns


@contextmanager
def generated(rows: int) -> Iterator[IO[bytes]]:
    """Yield about that many rows of lineitem as CSV without a header."""
    program = Path(sys.executable).with_name("tpchgen-cli")
    scale = f"{rows / ROWS_OF_SCALE_1:.6f}"
    command = [str(program), "csv", "--quiet", "--scale-factor", scale, "--tables", "lineitem", "--stdout"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.stdout


@contextmanager
def postgresql(rows: int) -> Iterator[int]:
    """Run a PostgreSQL that holds the table, warm; give its port."""
    with Postgres.start(_folder("postgresql", rows), settings=POSTGRES_SETTINGS) as server:
        admin = server.connect()
        if not admin.run("SELECT FROM pg_database WHERE datname = 'bench'"):
            admin.run("CREATE DATABASE bench")
        session = server.connect("bench")

        _once(_folder("postgresql", rows) / "filled", lambda: fill_postgresql(session, rows))
        session.run("SELECT sum(length(l_comment)) FROM lineitem")
        session.close()
        admin.close()
        yield server.port


def fill_postgresql(session: pg8000.native.Connection, rows: int) -> None:
    """Create lineitem with about that many rows."""
    session.run("DROP TABLE IF EXISTS lineitem")
    session.run(f"CREATE TABLE lineitem ({LINEITEM.definition})")
    with generated(rows) as csv:
        session.run(f"COPY lineitem ({LINEITEM.names}) FROM STDIN (FORMAT csv)", stream=csv)
    session.run(f"ALTER TABLE lineitem ADD PRIMARY KEY ({KEY})")
    session.run("VACUUM ANALYZE lineitem")
    session.run("CHECKPOINT")


@dataclass(frozen=True)
class Growing:
    """A table `growth` (key, number, decimals, dates, texts) in a server of its own, which is to grow."""

    port: int
    execute: Callable[[str], Any]
    engine: str

    def grow(self, rows: int) -> None:
        """Grow the table to that many rows; keys count up from 1."""
        [[there]] = self.execute("SELECT coalesce(max(id), 0) FROM growth")
        for start in range(int(there), rows, GROWN_AT_ONCE):
            self.execute(GROWTH[self.engine].format(first=start + 1, last=min(start + GROWN_AT_ONCE, rows)))
        self.execute({"postgresql": "VACUUM ANALYZE growth", "mariadb": "ANALYZE TABLE growth"}[self.engine])
        self.execute("SELECT sum(length(note)) FROM growth")


@contextmanager
def growing(engine: str) -> Iterator[Growing]:
    """Run a server with an empty table that is to grow; its files are gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix=f"{engine}-growth-", dir=FOLDER))
    try:
        with _server(engine, folder) as server:
            table = Growing(server.port, _executing(engine, server), engine)
            table.execute(f"CREATE TABLE growth ({GROWTH_COLUMNS})")
            yield table
    finally:
        shutil.rmtree(folder)


def _server(engine: str, folder: Path) -> Postgres | MariaDB:
    if engine == "postgresql":
        return Postgres.start(folder, settings=POSTGRES_SETTINGS)
    return MariaDB.start(folder, settings=MARIADB_SETTINGS)


def _executing(engine: str, server: Postgres | MariaDB) -> Callable[[str], Any]:
    """Make the database `bench` and return what executes a statement in it and returns its rows."""
    if isinstance(server, Postgres):
        server.connect().run("CREATE DATABASE bench")
        run: Callable[[str], Any] = server.connect("bench").run
        return run
    session = server.connect()
    session.cursor().execute("CREATE DATABASE bench")
    session.select_db("bench")

    def execute(sql: str) -> Any:
        with session.cursor() as cursor:
            cursor.execute(sql)
            session.commit()
            return cursor.fetchall()

    return execute


def widen(port: int) -> None:
    """Make the tables of WIDTHS in PostgreSQL: rows of 20 bytes, of 10 KB and of 5 MB."""
    admin = pg8000.native.Connection(
        "postgres", host="127.0.0.1", port=port, database="bench", ssl_context=False
    )
    for name, (rows, columns) in WIDTHS.items():
        if admin.run(f"SELECT FROM pg_tables WHERE tablename = '{name}'"):
            continue
        value = {
            "wide_20_b": "lpad(n::text, 10, 'x')",
            "wide_10_kb": "repeat(md5(n::text), 320)",
            "wide_5_mb": "repeat(md5(n::text), 2040)",
        }[name]
        texts = ", ".join(f"{value} AS t{column}" for column in range(columns))
        admin.run(f"CREATE TABLE {name} AS SELECT n AS id, {texts} FROM generate_series(1, {rows}) AS n")
        admin.run(f"ALTER TABLE {name} ADD PRIMARY KEY (id)")
        admin.run(f"VACUUM ANALYZE {name}")
    admin.close()


@contextmanager
def mariadb(rows: int) -> Iterator[int]:
    """Run a MariaDB that holds the table, warm; give its port."""
    with MariaDB.start(_folder("mariadb", rows), settings=MARIADB_SETTINGS) as server:
        session = server.connect()
        session.cursor().execute("CREATE DATABASE IF NOT EXISTS bench")
        session.select_db("bench")

        def fill() -> None:
            session.cursor().execute("DROP TABLE IF EXISTS lineitem")
            session.cursor().execute(f"CREATE TABLE lineitem ({LINEITEM.definition}, PRIMARY KEY ({KEY}))")
            file = _folder("mariadb", rows) / "lineitem.csv"
            with generated(rows) as csv, file.open("wb") as copy:
                while part := csv.read(1 << 20):
                    copy.write(part)
            loader = pymysql.connect(
                host=server.host, port=server.port, user="root", database="bench", local_infile=True
            )
            loader.cursor().execute(
                f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE lineitem CHARACTER SET utf8mb4 "
                "FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' ESCAPED BY ''"
            )
            loader.commit()
            file.unlink()
            session.cursor().execute("ANALYZE TABLE lineitem")

        _once(_folder("mariadb", rows) / "filled", fill)
        session.cursor().execute("SELECT SUM(LENGTH(l_comment)) FROM lineitem")
        session.close()
        yield server.port


SERVERS = {"postgresql": postgresql, "mariadb": mariadb}


def _folder(engine: str, rows: int) -> Path:
    folder = FOLDER / f"{engine}-{rows}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _once(mark: Path, fill: Callable[[], None]) -> None:
    if not mark.exists():
        print(f"Filling {mark.parent.name}", flush=True)
        fill()
        mark.touch()
