"""The settings of a session, each stated: a login's language, the server's `user options` and a database's
defaults could be others.

What is not here only concerns writes and definitions, plans and statistics, or a batch of one's own:
docs/source-evidence.md has a reason for each SET statement of the manual.
"""

from __future__ import annotations

LOCK_TIMEOUT_S = 30  # by default the server waits without a limit

# Snapshot isolation, if the database allows it: each statement sees one version of the rows, and waits for no
# writer. Otherwise READ COMMITTED, which also reads versions if READ_COMMITTED_SNAPSHOT is on. In Azure SQL
# DB_ID() may differ from sys.databases; the name does not.
ISOLATION = """
IF EXISTS (SELECT 1 FROM sys.databases WHERE name = DB_NAME() AND snapshot_isolation_state = 1)
BEGIN SET TRANSACTION ISOLATION LEVEL SNAPSHOT END
ELSE BEGIN SET TRANSACTION ISOLATION LEVEL READ COMMITTED END
"""
SETTINGS = {
    "NOCOUNT": "ON",
    "LANGUAGE": "us_english",  # before DATEFORMAT and DATEFIRST, which it changes
    "DATEFORMAT": "ymd",
    "DATEFIRST": "7",
    "ROWCOUNT": "0",
    "TEXTSIZE": "2147483647",  # a longer value would be truncated silently
    "ANSI_NULLS": "ON",
    "ANSI_PADDING": "ON",
    "ANSI_WARNINGS": "ON",
    "QUOTED_IDENTIFIER": "ON",
    "IMPLICIT_TRANSACTIONS": "OFF",
    "CURSOR_CLOSE_ON_COMMIT": "OFF",
    "XACT_ABORT": "OFF",
    "CONCAT_NULL_YIELDS_NULL": "ON",
    "ARITHABORT": "ON",
    "ARITHIGNORE": "OFF",
    "NUMERIC_ROUNDABORT": "OFF",
    "QUERY_GOVERNOR_COST_LIMIT": "0",
    "DEADLOCK_PRIORITY": "LOW",  # in a deadlock, this session is the victim
}


def pins(statement_timeout_s: int) -> tuple[str, str]:
    """Return the statements that pin a session: its waits are bounded, and a text has one meaning."""
    settings = SETTINGS | {"LOCK_TIMEOUT": str(1000 * min(LOCK_TIMEOUT_S, statement_timeout_s))}
    return "; ".join(f"SET {name} {value}" for name, value in settings.items()), ISOLATION
