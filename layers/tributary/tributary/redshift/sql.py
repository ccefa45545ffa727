"""Identifiers and literals of Redshift: every name and value enters a statement through here."""

from __future__ import annotations

from collections.abc import Iterable

CONTROL = "public.etl_control"
WATERMARKS = "public.etl_watermarks"
STATUS = "public.etl_status"
FRESHNESS = "public.etl_freshness"
FENCE = "public.etl_fence"
ACCESS = "public.etl_access"
CHANGES = "public.etl_schema_change"
STATEMENT_BYTES_AT_MOST = 95_000  # the Data API refuses 100 KB (data-api limits)


def quote(*names: str) -> str:
    """Return the dotted identifier, every name quoted: ``"shop"."orders"``."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def literal(value: str | int | None) -> str:
    """Return the value as a literal; None is NULL.

    A backslash is written as CHR(92), because Redshift's settings decide whether it is an escape
    character (r_QUOTE_LITERAL).
    """
    if value is None:
        return "NULL"
    if isinstance(value, int):
        return str(value)
    quoted = ("'" + part.replace("'", "''") + "'" for part in value.split("\\"))
    return " || CHR(92) || ".join(quoted)


def comma(items: Iterable[str]) -> str:
    """Return the items as a comma-separated list."""
    return ", ".join(items)
