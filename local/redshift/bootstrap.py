"""The warehouse's database and its users: created once, left unchanged if they exist."""

from __future__ import annotations

import threading
from pathlib import Path

import pg8000.native

from local.databases.postgres import Postgres
from local.redshift.names import LongNames, quote

ADMIN = "admin"
HERE = Path(__file__).parent
ROLES = threading.Lock()  # roles belong to the whole server; two requests may create one at once


def create(postgres: Postgres, database: str) -> LongNames:
    """Create what is missing in the warehouse and return its long names."""
    server = postgres.connect()
    try:
        ensure_user(server, ADMIN, "SUPERUSER")
        if not server.run("SELECT 1 FROM pg_database WHERE datname = :name", name=database):
            server.run(f"CREATE DATABASE {quote(database)} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'")
    finally:
        server.close()
    warehouse = postgres.connect(database)
    try:
        if not warehouse.run("SELECT to_regnamespace('stand_in') IS NOT NULL")[0][0]:
            _install(warehouse)
        return LongNames(dict(warehouse.run("SELECT short, full_name FROM stand_in.long_name")))
    finally:
        warehouse.close()


def ensure_user(session: pg8000.native.Connection, name: str, options: str = "") -> None:
    """Create a user without rights, unless it exists."""
    with ROLES:
        if not session.run("SELECT 1 FROM pg_roles WHERE rolname = :name", name=name):
            session.run(f"CREATE ROLE {quote(name)} LOGIN {options}")


def _install(warehouse: pg8000.native.Connection) -> None:
    warehouse.run("BEGIN")
    warehouse.run("SET LOCAL allow_system_table_mods = on")
    warehouse.run("SET LOCAL check_function_bodies = off")  # json_serialize calls itself
    for script in ("functions.sql", "catalog.sql"):
        warehouse.run((HERE / script).read_text())
    warehouse.run("COMMIT")
