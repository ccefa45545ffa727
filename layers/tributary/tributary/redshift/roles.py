"""The roles of the warehouse: who loads, who queries, who administers.

Their names have our prefix, so a warehouse that already has a role `analyst` keeps it unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable

from tributary.redshift.sql import (
    CHANGES,
    CONTROL,
    FENCE,
    FRESHNESS,
    STATUS,
    WATERMARKS,
    comma,
    literal,
    quote,
)

LOADER, ANALYST, ADMIN = "tributary_loader", "tributary_analyst", "tributary_admin"
ROLES = (LOADER, ANALYST, ADMIN)


def existing() -> str:
    """Return the query for those of our roles that exist (SVV_ROLES)."""
    return f"SELECT role_name FROM svv_roles WHERE role_name IN ({comma(map(literal, ROLES))})"


def create(existing: Iterable[str]) -> list[str]:
    """Return the statements that create the missing roles: CREATE ROLE has no IF NOT EXISTS."""
    known = set(existing)
    return [f"CREATE ROLE {quote(role)}" for role in ROLES if role not in known]


def grant(loader: str) -> list[str]:
    """Return the statements that grant each role its own rights.

    Row-level security applies to a table's owner too (t_rls_ownership): without IGNORE RLS the
    pipeline would merge into a table that looks empty to it.
    """
    return [
        f"GRANT ROLE {quote(LOADER)} TO {quote(loader)}",
        f"GRANT IGNORE RLS TO ROLE {quote(LOADER)}",
        f"GRANT IGNORE RLS TO ROLE {quote(ADMIN)}",
        f"GRANT SELECT ON {STATUS} TO ROLE {quote(ANALYST)}",
        f"GRANT SELECT ON {FRESHNESS} TO ROLE {quote(ANALYST)}",
        *(
            f"GRANT SELECT ON {table} TO ROLE {quote(ADMIN)}"
            for table in (STATUS, FRESHNESS, WATERMARKS, CONTROL, FENCE, CHANGES)
        ),
    ]
