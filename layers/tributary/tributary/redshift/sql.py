"""Identifiers and literals of Redshift: the only way a name or a value gets into a statement."""

from __future__ import annotations

from collections.abc import Iterable

STAGING_SCHEMA = "etl_staging"
CONTROL = "public.etl_control"
WATERMARKS = "public.etl_watermarks"
STATUS = "public.etl_status"
FRESHNESS = "public.etl_freshness"
FENCE = "public.etl_fence"
ACCESS = "public.etl_access"
CHANGES = "public.etl_schema_change"
STATEMENT_BYTES_AT_MOST = 95_000  # the Data API refuses 100 KB (data-api limits)


def quote(*names: str) -> str:
    """Return the dotted identifier, every part quoted: ``"shop"."orders"``."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def literal(value: str | int | None) -> str:
    """Return the value as a literal; None is NULL.

    A backslash is written as CHR(92): whether Redshift takes it as an escape depends on its
    settings, and QUOTE_LITERAL doubles it (r_QUOTE_LITERAL).
    """
    if value is None:
        return "NULL"
    if isinstance(value, int):
        return str(value)
    quoted = ("'" + part.replace("'", "''") + "'" for part in value.split("\\"))
    return " || CHR(92) || ".join(quoted)


def comma(parts: Iterable[str]) -> str:
    """Return the parts as a list of SQL."""
    return ", ".join(parts)
