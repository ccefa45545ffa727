"""The data: TPC-H's lineitem by tpchgen-cli, in a private PostgreSQL and a private MariaDB.

Servers keep their files under `bench/.data`, one folder per server and size: the first run fills them.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pg8000.native
import pymysql

from local.databases.mariadb import MariaDB
from local.databases.postgres import Postgres
from local.demo.tables import LINEITEM

FOLDER = Path(__file__).with_name(".data")
ROWS_OF_SCALE_1 = 6_001_215
KEY = ", ".join(LINEITEM.key)
WIDTHS = {"wide_20_b": (1_500_000, 1), "wide_10_kb": (10_000, 1), "wide_5_mb": (60, 80)}  # rows, columns


@contextmanager
def generated(rows: int) -> Iterator[IO[bytes]]:
    """Give about so many rows of lineitem as CSV without a header."""
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
    settings = {"max_wal_size": "4GB", "shared_buffers": "1GB", "maintenance_work_mem": "512MB"}
    with Postgres.start(_folder("postgresql", rows), settings=settings) as server:
        admin = server.connect()
        if not admin.run("SELECT FROM pg_database WHERE datname = 'bench'"):
            admin.run("CREATE DATABASE bench")
        session = server.connect("bench")

        def fill() -> None:
            session.run("DROP TABLE IF EXISTS lineitem")
            session.run(f"CREATE TABLE lineitem ({LINEITEM.definition})")
            with generated(rows) as csv:
                session.run(f"COPY lineitem ({LINEITEM.names}) FROM STDIN (FORMAT csv)", stream=csv)
            session.run(f"ALTER TABLE lineitem ADD PRIMARY KEY ({KEY})")
            session.run("VACUUM ANALYZE lineitem")
            session.run("CHECKPOINT")

        _once(_folder("postgresql", rows) / "filled", fill)
        session.run("SELECT sum(length(l_comment)) FROM lineitem")
        session.close()
        admin.close()
        yield server.port


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
    settings = {"innodb-buffer-pool-size": "2G", "local-infile": "1", "max-allowed-packet": "64M"}
    with MariaDB.start(_folder("mariadb", rows), settings=settings) as server:
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
