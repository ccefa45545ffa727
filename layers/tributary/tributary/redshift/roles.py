"""The roles of the warehouse: who loads, who asks, who looks after it.

Their names are ours, so that a warehouse which has an `analyst` of its own keeps it as it is.
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


def ask() -> str:
    """Return the query of those of our roles that are there (SVV_ROLES)."""
    return f"SELECT role_name FROM svv_roles WHERE role_name IN ({comma(map(literal, ROLES))})"


def create(there: Iterable[str]) -> list[str]:
    """Return the statements that create the roles that are not there: CREATE ROLE cannot ask by itself."""
    known = set(there)
    return [f"CREATE ROLE {quote(role)}" for role in ROLES if role not in known]


def grant(loader: str) -> list[str]:
    """Return the statements that give the roles what they have of themselves.

    A policy on rows holds for a table's owner too: the pipeline would merge into a table that it sees
    as empty. So the role that loads is not subject to any (t_rls_ownership), nor is the administrators'.
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
