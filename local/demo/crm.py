"""The source `crm`: customers and suppliers, in MariaDB if its server is installed, else in SQLite."""

from __future__ import annotations

import csv
import hashlib
import secrets
import sqlite3
from pathlib import Path

from local.databases import mariadb
from local.demo import compare
from local.demo.compare import Fingerprint
from local.demo.source import Source
from local.demo.tables import CHANGED_AT, CUSTOMER, NATION, REGION, SUPPLIER, Table

TABLES: tuple[Table, ...] = (NATION, REGION, CUSTOMER, SUPPLIER)
LOYALTY = {"loyalty": "VARCHAR(10)"}
NEW_KEYS = 10_000_000

YAML = """\
engine: {engine}
secret: tributary/crm
defaults: {{mode: merge, cursor: updated_at{zone}}}
tables:
  - {{name: {schema}.nation, mode: replace}}
  - {{name: {schema}.region, mode: replace}}
  - include: {schema}.*
"""

CHANGES = (
    (
        "customer gets a column loyalty with a default, which touches no updated_at",
        f"ALTER TABLE customer ADD COLUMN loyalty {LOYALTY['loyalty']} NOT NULL DEFAULT 'bronze'",
    ),
    (
        "every tenth customer's balance changes",
        (
            "UPDATE customer SET c_acctbal = ROUND(c_acctbal + 100.50, 2), updated_at = {now} "
            "WHERE c_custkey % 10 = 0"
        ),
    ),
    (
        "new suppliers come",
        SUPPLIER.copies({"s_suppkey": f"s_suppkey + {NEW_KEYS}", "s_comment": "NULL"}, "s_suppkey % 25 = 0"),
    ),
    ("a region is deleted,", "DELETE FROM region WHERE r_regionkey = 4"),
    (
        "and inserted again under another name",
        "INSERT INTO region (r_regionkey, r_name, r_comment) VALUES (4, 'WEST ASIA', NULL)",
    ),
)


def start(directory: Path, engine: str | None = None) -> Source:
    """Start the crm on that engine, mariadb or sqlite; by default on the one that this machine has."""
    chosen = engine or ("mariadb" if mariadb.available() else "sqlite")
    return MariaDBCrm(directory) if chosen == "mariadb" else SQLiteCrm(directory)


class MariaDBCrm:
    """A private MariaDB server with the database `crm`."""

    name = "crm"
    yaml = YAML.format(engine="mysql", schema="crm", zone="")
    tables = TABLES

    def __init__(self, directory: Path) -> None:
        self._server = mariadb.MariaDB.start(directory)
        self._password = secrets.token_hex(12)
        self._added: dict[str, str] = {}
        admin = self._server.connect()
        with admin.cursor() as cursor:
            cursor.execute("CREATE DATABASE crm")
        admin.close()
        self._session = self._server.connect("crm")
        self._session.autocommit(True)
        self._run("SET time_zone = '+00:00'")
        self.kind = "MariaDB " + self._run("SELECT VERSION()")[0].split("-")[0]

    @property
    def secret(self) -> dict[str, object]:
        """Return the source's secret for Secrets Manager."""
        return {
            "host": self._server.host,
            "port": self._server.port,
            "username": "tributary",
            "password": self._password,
            "dbname": "crm",
            "sslmode": "disable",
        }

    def columns(self, table: Table) -> dict[str, str]:
        """Return the table's current columns."""
        return _columns(table, self._added)

    def fill(self, rows: Path) -> None:
        """Create the tables, load their rows from CSV, and create the user that may read them."""
        for table in self.tables:
            key = ", ".join(table.key)
            tracked = (
                f", {CHANGED_AT} TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) "
                f"ON UPDATE CURRENT_TIMESTAMP(6), KEY ({CHANGED_AT}, {key})"
            )
            self._run(
                f"CREATE TABLE {table.name} ({table.definition}, PRIMARY KEY ({key})"
                f"{tracked if table.tracked else ''})"
            )
            with (rows / f"{table.name}.csv").open(newline="") as file:
                lines = csv.reader(file)
                next(lines)
                history = ", NOW() - INTERVAL 2 HOUR - INTERVAL FLOOR(RAND() * 43200) MINUTE"
                places = ", ".join(["%s"] * len(table.columns)) + (history if table.tracked else "")
                names = table.names + (f", {CHANGED_AT}" if table.tracked else "")
                with self._session.cursor() as cursor:
                    cursor.executemany(f"INSERT INTO {table.name} ({names}) VALUES ({places})", list(lines))
        self._run(f"CREATE USER tributary@'%' IDENTIFIED BY '{self._password}'")
        self._run("GRANT SELECT ON crm.* TO tributary@'%'")
        self._run("GRANT PROCESS ON *.* TO tributary@'%'")

    def change(self) -> list[str]:
        """Make changes as a company would; return them as text."""
        for _, sql in CHANGES:
            self._run(sql.format(now="CURRENT_TIMESTAMP(6)"))
        self._added = LOYALTY
        return [description for description, _ in CHANGES]

    def fingerprint(self, table: Table) -> Fingerprint:
        """Return the table's fingerprint."""
        return compare.fingerprint(self._run(compare.query(compare.MARIADB, table.name, self.columns(table))))

    def stop(self) -> None:
        """End the server."""
        self._server.stop()

    def _run(self, sql: str) -> tuple[str, ...]:
        """Run the statement and return its first row as texts."""
        with self._session.cursor() as cursor:
            cursor.execute(sql)
            row = cursor.fetchone() if cursor.description else None
        return tuple(map(str, row or ()))


class SQLiteCrm:
    """A file with the same tables; SQLite shows no open transactions, so a run reads the last hour again."""

    name = "crm"
    kind = f"SQLite {sqlite3.sqlite_version}"
    yaml = YAML.format(engine="sqlite", schema="main", zone=", cursor_time_zone: UTC")
    tables = TABLES

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._file = directory / "crm.sqlite"
        self._session = sqlite3.connect(self._file, isolation_level=None, check_same_thread=False)
        self._session.create_function("DIGEST", 1, digest, deterministic=True)
        self._added: dict[str, str] = {}

    @property
    def secret(self) -> dict[str, object]:
        """Return the source's secret for Secrets Manager."""
        return {"host": "localhost", "username": "", "password": "", "dbname": str(self._file)}

    def columns(self, table: Table) -> dict[str, str]:
        """Return the table's current columns."""
        return _columns(table, self._added)

    def fill(self, rows: Path) -> None:
        """Create the tables and load their rows from CSV."""
        history = "datetime('now', '-2 hours', (random() % 43200 - 43200) || ' minutes')"
        for table in self.tables:
            key = ", ".join(table.key)
            tracked = f", {CHANGED_AT} DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP" if table.tracked else ""
            self._session.execute(
                f"CREATE TABLE {table.name} ({table.definition}{tracked}, PRIMARY KEY ({key}))"
            )
            places = ", ".join("?" * len(table.columns)) + (f", {history}" if table.tracked else "")
            with (rows / f"{table.name}.csv").open(newline="") as file:
                lines = csv.reader(file)
                next(lines)
                self._session.execute("BEGIN")
                self._session.executemany(f"INSERT INTO {table.name} VALUES ({places})", lines)
                self._session.execute("COMMIT")
            if table.tracked:
                self._session.execute(
                    f"CREATE INDEX {table.name}_changed ON {table.name} ({CHANGED_AT}, {key})"
                )

    def change(self) -> list[str]:
        """Make changes as a company would; return them as text."""
        for _, sql in CHANGES:
            self._session.execute(sql.format(now="CURRENT_TIMESTAMP"))
        self._added = LOYALTY
        return [description for description, _ in CHANGES]

    def fingerprint(self, table: Table) -> Fingerprint:
        """Return the table's fingerprint."""
        sql = compare.query(compare.SQLITE, table.name, self.columns(table))
        return compare.fingerprint(self._session.execute(sql).fetchone())

    def stop(self) -> None:
        """Close the file."""
        self._session.close()


def _columns(table: Table, added: dict[str, str]) -> dict[str, str]:
    tracked = {CHANGED_AT: "TIMESTAMP"} if table.tracked else {}
    return {**table.columns, **tracked, **(added if table is CUSTOMER else {})}


def digest(text: str) -> int:
    """Return the first 32 bits of the text's MD5."""
    return int(hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:8], 16)
