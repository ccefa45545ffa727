"""Source and warehouse side by side: whole tables, as values that both give in the same form."""

from __future__ import annotations

from typing import Any

from local.databases import mariadb

from .company import Ended, Row, Source

SERVERS = ["postgresql"] + (["mysql"] if mariadb.available() else [])
ENGINES = [*SERVERS, "sqlite"]
STAMP = {"postgresql": "timestamptz(6)", "mysql": "datetime(6)", "sqlite": "timestamp"}
NAIVE = {"postgresql": "timestamp(6)", "mysql": "datetime(6)"}  # without a zone
NOW = {"postgresql": "now()", "mysql": "NOW(6)", "sqlite": "strftime('%Y-%m-%d %H:%M:%f', 'now')"}
MICROSECONDS = {
    "postgresql": "to_char({}, 'YYYY-MM-DD HH24:MI:SS.US')",
    "mysql": "DATE_FORMAT({}, '%Y-%m-%d %H:%i:%s.%f')",
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f', {}) || '000'",
}


def ago(engine: str, interval: str) -> str:
    """Return the expression of a time before now: `ago(engine, "2 HOUR")`."""
    amount, unit = interval.split()
    return {
        "postgresql": f"now() - interval '{interval}'",
        "mysql": f"NOW(6) - INTERVAL {interval}",
        "sqlite": f"strftime('%Y-%m-%d %H:%M:%f', 'now', '-{amount} {unit.lower()}')",
    }[engine]


def in_source(source: Source, table: str, columns: str, times: str = "") -> list[Row]:
    """Return all rows of the source, `times` in microseconds, in an order of Python's."""
    shown = ", ".join([columns, *(MICROSECONDS[source.engine].format(name) for name in times.split())])
    return sorted(source.sql(f"SELECT {shown} FROM {table}"), key=repr)


def in_warehouse(source: Source, table: str, columns: str, times: str = "") -> list[Row]:
    """Return all rows of the warehouse, in the form and order of `in_source`."""
    shown = ", ".join([columns, *(MICROSECONDS["postgresql"].format(name) for name in times.split())])
    return sorted(source.loaded(table, shown), key=repr)


def full_name(source: Source, table: str = "orders") -> str:
    """Return the table's name with its schema, as reports and the control table say it."""
    schema = {"postgresql": "public", "sqlite": "main", "mysql": source.name}[source.engine]
    return f"{schema}.{table}"


def failures(ended: Ended) -> list[Any]:
    """Return what failed, for the message of an assertion."""
    parts = [ended.report or {}, *(ended.report or {}).get("tables", [])]
    return [one["failure"] for one in parts if one.get("failure")]


def only_table(ended: Ended) -> dict[str, Any]:
    """Return what the report says of the run's one table; the run must have succeeded."""
    assert ended.report is not None
    failures = [table.get("failure") for table in ended.report["tables"]]
    assert (ended.status, ended.report.get("failure"), failures) == ("SUCCEEDED", None, [None])
    return dict(ended.report["tables"][0])
