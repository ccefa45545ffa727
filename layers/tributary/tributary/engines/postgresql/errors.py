"""The errors of PostgreSQL: the driver's become ours here and nowhere else."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pg8000.native
from scramp import ScramException  # type: ignore[import-untyped]

from tributary.engines import statement_errors
from tributary.engines.network import LoginRefused, ProtocolBroken, not_the_protocol
from tributary.errors import InternalError, SourceRefused, SourceUnavailable, TableRefused, TributaryError
from tributary.model.source_catalog import TableName

# What the driver raises if it cannot make sense of what it got.
NOT_UNDERSTOOD = (ProtocolBroken, struct.error, ValueError, LookupError)
DRIVER_ERRORS = (pg8000.native.Error, OSError, AttributeError, *NOT_UNDERSTOOD)
IsView = Callable[[TableName], bool]
CODE = re.compile(r"[0-9A-Z]{5}")
REFUSALS = {
    "28P01": "wrong user name or password, or the password has expired (VALID UNTIL)",
    "28000": "no access for this user, database or address",
    "3D000": "no such database",
    "42501": "the user may not connect to this database",
    "55000": "the database takes no connections",
}
# postgresql.org/docs/current/errcodes-appendix.html; what is not listed is the user's to correct.
CANCELLED = ("57014", "40001", "72000")  # by a time-out too; a conflict with recovery; a snapshot too old
PASSES = ("08", "53", "57", "58", "40", "55006", "55P03", "HV00N")
BUGS = ("XX000",)
MEANINGS = {
    "22012": "a division by zero",
    "22003": "a number is out of range",
    "22008": "a time is out of range",
    "22021": "bytes that are no characters of the database's encoding",
    "22P02": "a text that is no value of its type",
    "22P05": "a character that UTF-8 does not have",
    "22023": "an invalid argument",
    "21000": "a subquery returned more than one row",
    "25006": "it writes",
    "42P01": "a table that it reads does not exist",
    "42703": "a column does not exist",
    "42883": "a function or an operator does not exist",
    "42704": "a type or another object does not exist",
    "3F000": "a schema does not exist",
    "0A000": "not possible on this server, such as an unlogged table on a standby",
    "54001": "it needs more stack than the server has",
    "P0001": "a function raised an error",
    "XX001": "its data are damaged",
    "XX002": "an index of it is damaged",
}


@contextmanager
def refusals(where: str, *, encrypted: bool) -> Iterator[None]:
    """Turn errors while connecting into ours."""
    try:
        yield
    except pg8000.native.DatabaseError as error:
        code = sqlstate(error)
        if code.startswith(("08", "53", "57")) and code != "08P01":
            raise SourceUnavailable(f"{where} takes no connection now ({code})") from None
        reason = _reason(error, encrypted=encrypted)
        raise SourceRefused(
            f"{where} refused the connection ({f'{code}: {reason}' if reason else code}); check username, "
            "password and dbname in the secret, and the server's pg_hba.conf"
        ) from None
    except ScramException:
        raise SourceRefused(f"{where} refused the password; check the secret") from None
    except LoginRefused as reason:
        raise SourceRefused(f"{where} {reason}") from None
    except NOT_UNDERSTOOD:
        raise not_the_protocol(where, "PostgreSQL") from None
    except DRIVER_ERRORS:
        raise SourceUnavailable(
            f"{where} closed the connection, or stopped answering, while connecting"
        ) from None


def _reason(error: pg8000.native.DatabaseError, *, encrypted: bool) -> str | None:
    """Return what a refusal means; the routine tells some apart, since messages may be in any language."""
    code, routine = sqlstate(error), field_of(error, "R")
    if code == "28000" and routine == "InitializeSessionUserId":
        return "the role does not exist, or has no LOGIN"
    if code == "28000" and routine == "ClientAuthentication" and not encrypted:
        return "pg_hba.conf does not let this user in from here without TLS; set sslmode in the secret"
    if code == "28000" and routine == "ClientAuthentication":
        return "pg_hba.conf does not let this user in from here"
    return REFUSALS.get(code)


def sqlstate(error: pg8000.native.DatabaseError) -> str:
    """Return the error's SQLSTATE; a function in the source may raise one of its own."""
    code = field_of(error, "C")
    return code if CODE.fullmatch(code) else "?????"


def field_of(error: pg8000.native.DatabaseError, name: str) -> str:
    """Return a field of the server's error, which a letter identifies; an empty text if it has none."""
    detail = error.args[0] if error.args else None
    return str(detail.get(name, "")) if isinstance(detail, dict) else ""


def reduced(
    error: pg8000.native.DatabaseError,
    where: str,
    table: TableName | None,
    column: str | None,
    is_view: IsView,
) -> TributaryError:
    """Return our error for a statement's; `is_view` asks the server, only if that makes a difference."""
    code, name = sqlstate(error), str(table or "a table")
    if code in CANCELLED:
        return statement_errors.cancelled(where, name, code)
    if code.startswith(PASSES):
        return statement_errors.unavailable(where, name, code)
    if code in BUGS:
        return InternalError(f"{where} failed on {name} with SQLSTATE {code}")
    return _refused(error, table, column, is_view)


def _refused(
    error: pg8000.native.DatabaseError, table: TableName | None, column: str | None, is_view: IsView
) -> TableRefused:
    code, name = sqlstate(error), str(table or "a table")
    if field_of(error, "R") == "check_enable_rls":  # the routine: its message may be in any language
        return TableRefused(
            f"the user may not see every row of {name}, because of row-level security ({code}); give it "
            "BYPASSRLS, or set rows: visible in the source's file to read only what the user may see"
        )
    if code == "42501":
        return statement_errors.forbidden(name, code)
    of_view = table is not None and is_view(table)
    if code in ("42P01", "42703", "3F000") and not of_view:
        return statement_errors.gone(name, code)
    if code == "55000":
        return TableRefused(
            f"{name} cannot be read now ({code}); a materialized view must be refreshed first"
        )
    return statement_errors.fails(name, code, MEANINGS.get(code), is_view=of_view, column=column)
