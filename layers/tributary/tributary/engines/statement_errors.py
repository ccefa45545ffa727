"""Our errors for statements that a source rejects, the same for all engines: what, where, what to do.

A foreign error's text may hold values: only its code gets into a message, with what the code means.
"""

from __future__ import annotations

from tributary.errors import QueryCancelled, SourceUnavailable, TableRefused


def cancelled(where: str, table: str, code: str) -> QueryCancelled:
    """Return the error for a query that the server cut short."""
    return QueryCancelled(f"{where} cancelled a query on {table} ({code})")


def unavailable(where: str, table: str, code: str) -> SourceUnavailable:
    """Return the error for a query that failed for a reason that passes."""
    return SourceUnavailable(f"{where} could not finish a query on {table} ({code})")


def not_understood(where: str) -> SourceUnavailable:
    """Return the error for an answer that is not part of the server's protocol: another one may be."""
    return SourceUnavailable(
        f"an answer of {where} could not be understood; if it happens again, check the proxy in front of the "
        "server, and whether the server is a version that is supported"
    )


def forbidden(table: str, code: str) -> TableRefused:
    """Return the error for a missing right."""
    return TableRefused(f"{table} may not be read ({code}); grant SELECT on it to the source's user")


def gone(table: str, code: str) -> TableRefused:
    """Return the error for a table or a column that is missing."""
    return TableRefused(f"{table}, or one of its columns, no longer exists ({code})")


def fails(
    table: str, code: str, meaning: str | None, *, is_view: bool, column: str | None = None
) -> TableRefused:
    """Return the error for rows that the source itself cannot give: a person must correct it there."""
    shown = f"{code}: {meaning}" if meaning else code
    kind = "view " if is_view else ""
    what = f'column "{column}" of {kind}{table}' if column else f"{kind}{table}"
    remedy = ", drop it, or leave it out with exclude" if is_view else ""
    return TableRefused(
        f"{what} fails in the source ({shown}); read it there as the source's user, and correct it{remedy}"
    )
