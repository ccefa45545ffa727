"""The roles of the warehouse: who loads, who queries, who administers.

Their names have our prefix, so a warehouse that already has a role `analyst` keeps it unchanged. No role
has the name of a user that the stack creates: Redshift allows no role and user of one name
(r_CREATE_ROLE, r_role-usage-notes).
"""

from __future__ import annotations

from collections.abc import Collection

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

LOADER, ANALYST, ADMIN = "tributary_loader_role", "tributary_analyst", "tributary_admin_role"
ROLES = (LOADER, ANALYST, ADMIN)
FORMER = {"tributary_loader": LOADER, "tributary_admin": ADMIN}  # names that earlier versions used


def existing() -> str:
    """Return the query for those of our roles that exist, under former names too (SVV_ROLES)."""
    return f"SELECT role_name FROM svv_roles WHERE role_name IN ({comma(map(literal, (*ROLES, *FORMER)))})"


def rename(existing: Collection[str]) -> list[str]:
    """Return the statements that rename roles of earlier versions, which keep members and grants."""
    return [
        f"ALTER ROLE {quote(former)} RENAME TO {quote(role)}"
        for former, role in FORMER.items()
        if former in existing and role not in existing
    ]


def create(existing: Collection[str]) -> list[str]:
    """Return the statements that create the missing roles, after `rename`: no IF NOT EXISTS in Redshift."""
    known = {FORMER.get(role, role) for role in existing}
    return [f"CREATE ROLE {quote(role)}" for role in ROLES if role not in known]


def reserve_copy_role(copy_role: str, loader: str) -> list[str]:
    """Return the statements that let the loader alone COPY by the IAM role, each to be run alone.

    By default PUBLIC has ASSUMEROLE on every role of the warehouse: any database user could read the raw
    layer past masks and policies. The REVOKE also begins to enforce such grants (r_GRANT-usage-notes).
    """
    return [
        "REVOKE ASSUMEROLE ON ALL FROM PUBLIC FOR ALL",
        f"GRANT ASSUMEROLE ON {literal(copy_role)} TO {quote(loader)} FOR COPY",
    ]


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
