"""What the warehouse says about a source's tables: comments, types, masks and recorded schema changes."""

from __future__ import annotations

from .company import Row, Source
from .compare import full_name


def comments_of(source: Source, table: str) -> dict[str | None, str]:
    """Return the comments that the warehouse has."""
    there = f"WHERE table_schema = '{source.name}' AND table_name = '{table}' AND remarks IS NOT NULL"
    of_columns = source.company.warehouse(f"SELECT column_name, remarks FROM svv_columns {there}")
    return dict(of_columns) | dict(source.company.warehouse(f"SELECT NULL, remarks FROM svv_tables {there}"))


def is_masked(source: Source, table: str) -> bool:
    """Say whether analysts may select the table, and do not see its values."""
    named = f"'\"{source.name}\".{table}'::regclass"
    [[masked]] = source.company.warehouse(
        f"SELECT has_column_privilege('tributary_analyst', {named}, 'note', 'SELECT') AND EXISTS "
        f"(SELECT 1 FROM stand_in.attached_policy WHERE relation = {named} AND column_name = 'note')"
    )
    return bool(masked)


def types_of(source: Source, table: str) -> dict[str, str]:
    """Return the types that the warehouse has of the table, with their lengths."""
    rows = source.company.warehouse(
        "SELECT column_name, data_type || COALESCE('(' || character_maximum_length || ')', "
        "'(' || numeric_precision || ',' || numeric_scale || ')', '') FROM svv_columns "
        f"WHERE table_schema = '{source.name}' AND table_name = '{table}'"
    )
    return dict(rows)


def recorded_changes(source: Source, table: str) -> list[Row]:
    """Return what the warehouse says was changed of the table."""
    return source.company.warehouse(
        "SELECT column_name, change, type_before, type_after FROM public.etl_schema_change "
        f"WHERE source_name = '{source.name}' AND table_name = '{full_name(source, table)}' ORDER BY 1, 2"
    )
