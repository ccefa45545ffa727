"""The settings that each transaction reads with, whatever the server, the role or a pooler's sessions have.

First everything returns to what the server gives this user, so that nothing remains of what an application
set in a pooled session. Then what changes values or which rows are read gets one value for all sources.
docs/source-evidence.md lists each setting with its reason, and the ones that are left alone.
(https://www.postgresql.org/docs/current/runtime-config-client.html)
"""

from __future__ import annotations

from tributary.engines.postgresql.catalog import string
from tributary.model.source_catalog import TableName

LOCK_TIMEOUT_S = 30
BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED, READ ONLY, NOT DEFERRABLE"
ROLLBACK = "ROLLBACK"
RESETS = ("RESET SESSION AUTHORIZATION", "RESET ROLE", "RESET ALL")

# The form of values.
TEXTS = {
    "client_encoding": "UTF8",
    "standard_conforming_strings": "on",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "quote_all_identifiers": "off",  # in the texts of regclass and its like
}
# Which rows are read.
ROWS = {
    "row_security": "off",  # an error instead of fewer rows
    "gin_fuzzy_search_limit": "0",  # with a limit, a GIN index gives some of its rows
}
# Settings that older servers do not have.
LATER = {
    "transaction_timeout": "0",  # 17: a statement has a time-out of its own
    "restrict_nonsystem_relation_kind": "",  # 14.13 to 17: views could not be read
}
WATCH = {"client_connection_check_interval": "10s"}  # 14, on Linux: ends a query whose reader is gone

NO_PATH = "''"
# A pooled session may hold temporary tables of an application: they come last.
USERS_PATH = "pg_catalog.concat_ws(', ', nullif(pg_catalog.current_setting('search_path'), ''), 'pg_temp')"


def opening(
    statement_timeout_s: int, *, path: str, watch: bool, visible_rows: bool = False
) -> tuple[str, ...]:
    """Return the statements before one that is read; `path` is the SQL expression of its search_path."""
    return BEGIN, *RESETS, pins(statement_timeout_s, path=path, watch=watch, visible_rows=visible_rows)


def pins(statement_timeout_s: int, *, path: str, watch: bool, visible_rows: bool = False) -> str:
    """Return the query that sets the transaction's settings; `watch`: where the server can."""
    limits = {
        "statement_timeout": f"{statement_timeout_s}s",
        "lock_timeout": f"{min(LOCK_TIMEOUT_S, statement_timeout_s)}s",
        "idle_in_transaction_session_timeout": "60s",
    }
    rows = ROWS | ({"row_security": "on"} if visible_rows else {})
    always = [_set(name, f"'{value}'") for name, value in (limits | TEXTS | rows).items()]
    later = [
        f"CASE WHEN pg_catalog.current_setting('{name}', true) IS NOT NULL THEN {_set(name, repr(value))} END"
        for name, value in (LATER | (WATCH if watch else {})).items()
    ]
    return f"SELECT {', '.join([*always, *later, _set('search_path', path)])}"


def _set(name: str, value: str) -> str:
    return f"pg_catalog.set_config('{name}', {value}, true)"


def path_of(table: TableName) -> str:
    """Return the path for a read of the table: the user's for a view, whose functions may need it."""
    schema, name = string(table.schema), string(table.table)
    return (
        "CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n "
        f"ON n.oid = c.relnamespace WHERE n.nspname = {schema} AND c.relname = {name} AND c.relkind = 'v') "
        f"THEN {USERS_PATH} ELSE '' END"
    )
