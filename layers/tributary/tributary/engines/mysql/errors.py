"""The errors of MySQL and MariaDB: the driver's become ours here and nowhere else."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ssl import SSLError

import pymysql

from tributary.engines import statement_errors
from tributary.engines.network import LoginRefused, ProtocolBroken, not_the_protocol, tls_refused
from tributary.errors import SourceRefused, SourceUnavailable, TributaryError
from tributary.model.source_catalog import TableName

# What the driver raises if it cannot make sense of what it got.
NOT_UNDERSTOOD = (ProtocolBroken, struct.error, ValueError, LookupError, AssertionError, RuntimeError)
DRIVER_ERRORS = (pymysql.Error, OSError, AttributeError, *NOT_UNDERSTOOD)
NO_PLUGIN = (2059, 2061)  # CR_AUTH_PLUGIN_CANNOT_LOAD, CR_AUTH_PLUGIN_ERR
DENIED = 1045
REFUSALS = {
    DENIED: "wrong user name or password",
    1820: "the password must be changed",
    1862: "the password has expired",
    4151: "the account is locked",
    1044: "the user may not use this database",
    1049: "no such database",
    1130: "this address is not allowed to connect",
    1129: "the server has blocked this address after failed attempts; run FLUSH HOSTS there",
    1698: "the user may not log in with a password",
    3159: "the server requires TLS; set sslmode in the secret to verify-full",
    3118: "the account is locked",
}
BUSY = (1040, 1203, 1226)  # too many connections, of all or of this user
CANCELLED = (1317, 1969, 3024)  # interrupted, and the statement time-outs of MariaDB and MySQL
FORBIDDEN = (1142, 1143, 1044, 1227)
GONE = (1146, 1054, 1049, 1109)
OF_VIEWS = (1356, 1449)
BROKEN = (
    1021,  # the disk is full, of a temporary table too
    1037,  # out of memory
    1041,
    1053,
    1077,
    1079,
    1135,  # no thread for the connection
    1152,
    1158,
    1159,
    1160,
    1161,
    1180,
    1205,
    1206,
    1213,
    1412,  # the definition of the table has changed
    1615,
    1637,  # too many transactions
    1927,
    2003,
    2006,
    2013,
    3572,  # NOWAIT
    4031,
)
# dev.mysql.com/doc/mysql-errors, mariadb.com/kb/en/mariadb-error-codes: what a user can correct.
MEANINGS = {
    1105: "an error that the server does not name; see its log",
    1356: "it refers to a table, a column or a function that is missing, or its definer lacks a right",
    1449: "its definer does not exist",
    1365: "a division by zero",
    1690: "a number is out of range",
    1264: "a number is out of range",
    1292: "a value that is no value of its type",
    1366: "a value that is no value of its type",
    1242: "a subquery returned more than one row",
    1300: "bytes that are no characters of their character set",
    1267: "collations that cannot be compared",
    1064: "its SQL cannot be parsed",
    1146: "a table that it reads does not exist",
    1054: "a column does not exist",
    1305: "a function does not exist",
    1370: "a function may not be executed",
    1792: "it writes",
    1644: "a function raised an error",
    1194: "it is damaged",
    145: "it is damaged",
    1104: "it would examine more rows than max_join_size",
    1038: "sorting needs more memory than the server gives",
    1114: "a temporary table is full",
}


@contextmanager
def refusals(
    where: str, *, encrypted: bool, certificate_names: Callable[[], tuple[str, ...]]
) -> Iterator[None]:
    """Turn errors while connecting into ours."""
    try:
        yield
    except LoginRefused as reason:
        raise SourceRefused(f"{where} {reason}") from None
    except (*NOT_UNDERSTOOD, AttributeError):
        raise not_the_protocol(where, "MySQL") from None
    except (pymysql.Error, OSError) as error:
        cause = getattr(error, "original_exception", error)
        if isinstance(cause, SSLError) or code_of(error) == 2026:
            shown = cause if isinstance(cause, SSLError) else None
            raise tls_refused(shown, where, certificate_names) from None
        raise _refused(error, where, encrypted=encrypted) from None


def _refused(error: Exception, where: str, *, encrypted: bool) -> TributaryError:
    code = code_of(error)
    if isinstance(error, pymysql.Error) and not isinstance(error.args[0] if error.args else 0, int):
        return not_the_protocol(where, "MySQL")  # the driver's own words for what it did not expect
    if code in BUSY:
        return SourceUnavailable(f"{where} has no connection free ({code}); lower max_connections")
    if code in NO_PLUGIN:
        return SourceRefused(
            f"{where} wants a login by a plugin that is not supported; let the user log in by "
            "caching_sha2_password, or by mysql_native_password"
        )
    if code not in BROKEN and not 2000 <= code < 3000:  # of the client's side
        reason = f": {REFUSALS[code]}" if code in REFUSALS else ""
        if code == DENIED and not encrypted:
            reason += ", or TLS is required, which sslmode: disable turns off"
        return SourceRefused(f"{where} refused the connection ({code}{reason}); check the secret")
    return SourceUnavailable(f"{where} closed the connection, or stopped answering, while connecting")


@contextmanager
def queries(where: str, table: TableName | None = None) -> Iterator[None]:
    """Turn errors of a statement into ours."""
    try:
        yield
    except NOT_UNDERSTOOD:
        raise statement_errors.not_understood(where) from None
    except (pymysql.Error, OSError, AttributeError) as error:
        raise _reduced(code_of(error), where, str(table or "a table")) from None


def code_of(error: BaseException) -> int:
    """Return the server's error number, 2013 (connection lost) if the error has none."""
    number = error.args[0] if isinstance(error, pymysql.Error) and error.args else None
    return number if isinstance(number, int) and number else 2013


def _reduced(code: int, where: str, table: str) -> TributaryError:
    shown = str(code)
    if code in CANCELLED:
        return statement_errors.cancelled(where, table, shown)
    if code in BROKEN or 2000 <= code < 3000:  # of the client's side
        return statement_errors.unavailable(where, table, shown)
    if code in FORBIDDEN:
        return statement_errors.forbidden(table, shown)
    if code in GONE:
        return statement_errors.gone(table, shown)
    return statement_errors.fails(table, shown, MEANINGS.get(code), is_view=code in OF_VIEWS)
