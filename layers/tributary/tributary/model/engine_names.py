"""The names that `engine:` may have in a source's file."""

from __future__ import annotations

import re

ENGINES = ("mysql", "postgresql", "sqlite", "sqlserver")  # those with a folder of their own
GENERIC = "sqlalchemy"  # any other database, by the dialect that the file names
DIALECTS = {  # databases with a name of their own -> SQLAlchemy's names of dialect and driver
    "clickhouse": "clickhousedb+connect",
    "cockroachdb": "cockroachdb+psycopg2",
    "db2": "db2+ibm_db",
    "duckdb": "duckdb+duckdb_engine",
    "firebird": "firebird+firebird",
    "hana": "hana+hdbcli",
    "oracle": "oracle+oracledb",
    "redshift": "redshift+psycopg2",
    "snowflake": "snowflake+snowflake",
    "teradata": "teradatasql+teradatasql",
    "trino": "trino+rest",
}
NAMES = (*ENGINES, *DIALECTS, GENERIC)
DIALECT = re.compile(r"[a-z][a-z0-9_]{0,39}\+[a-z][a-z0-9_]{0,39}")  # name+driver


def reader(engine: str, dialect: str | None) -> str:
    """Return the name by which an engine is looked up: that of the file, or with the dialect's added."""
    return f"{GENERIC}:{dialect}" if dialect else engine


def is_generic(name: str) -> bool:
    """Return whether an engine's name means a database that is read through SQLAlchemy."""
    return name in DIALECTS or name.startswith(f"{GENERIC}:")
