"""No error that a server documents is an InternalError of ours, and only what may pass is tried again."""

from __future__ import annotations

import re
from itertools import product

import pg8000.native
import pymysql
import pytest
from pymysql.constants import ER

from tributary.engines.mysql import errors as mysql
from tributary.engines.postgresql import errors as postgresql
from tributary.errors import (
    InternalError,
    QueryCancelled,
    SourceRefused,
    SourceUnavailable,
    TableRefused,
    TransientError,
    TributaryError,
)
from tributary.model.source_catalog import TableName

TABLE = TableName("shop", "orders")
CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# postgresql.org/docs/current/errcodes-appendix.html: every class of an error.
CLASSES = re.findall(
    r"\w\w",
    "03 08 09 0A 0B 0F 0L 0P 0Z 10 20 21 22 23 24 25 26 27 28 2B 2D 2F 34 38 39 3B 3D 3F 40 42 44 53 54 55 "
    "57 58 F0 HV P0 XX",
)


def of_postgresql(code: str, *, is_view: bool) -> TributaryError:
    error = pg8000.native.DatabaseError({"S": "ERROR", "C": code, "M": "Geheimnis"})
    return postgresql.reduced(error, "db:5432", TABLE, None, lambda table: is_view)


@pytest.mark.parametrize("is_view", [True, False])
def test_no_sqlstate_of_postgresql_is_an_internal_error_but_the_servers_own(is_view: bool) -> None:
    ends = ["".join(end) for end in product("0127PRZ", repeat=3)]
    internal = {
        name + end
        for name in CLASSES
        for end in ends
        if isinstance(of_postgresql(name + end, is_view=is_view), InternalError)
    }
    assert internal == {"XX000"}  # internal_error: a bug of the server's


@pytest.mark.parametrize("name", ["22", "42", "0A", "P0", "21", "23", "2F", "38", "39", "44"])
def test_errors_of_a_users_sql_are_the_tables_and_are_not_tried_again(name: str) -> None:
    for end in map("".join, product(CHARACTERS, repeat=2)):
        for is_view in (True, False):
            error = of_postgresql(f"{name}0{end}", is_view=is_view)
            assert type(error) is TableRefused
            assert f"{name}0{end}" in str(error)
            assert "Geheimnis" not in str(error)


@pytest.mark.parametrize("code", ["", "2", "2201\n", "22012" * 9, "２２０１２", "ab123", "22 12"])
def test_a_code_that_is_none_is_not_shown(code: str) -> None:
    error = of_postgresql(code, is_view=False)
    assert type(error) is TableRefused
    assert "(?????)" in str(error)


def of_mysql(code: int) -> TributaryError:
    with pytest.raises(TributaryError) as caught, mysql.queries("db:3306", TABLE):
        raise pymysql.err.OperationalError(code, "Geheimnis")
    assert "Geheimnis" not in str(caught.value)
    return caught.value


# dev.mysql.com/doc/mysql-errors and mariadb.com/kb/en/mariadb-error-codes number their errors so.
DOCUMENTED = [*range(1, 200), *range(1000, 2000), *range(3000, 6000), *range(10_000, 14_200)]


def test_no_documented_error_of_mysql_or_mariadb_is_an_internal_error() -> None:
    assert {number for name, number in vars(ER).items() if name.isupper()} <= set(DOCUMENTED)
    kinds = {type(of_mysql(code)) for code in DOCUMENTED}
    assert kinds == {TableRefused, QueryCancelled, SourceUnavailable}


def test_an_error_of_mysql_that_has_a_meaning_is_shown_with_it() -> None:
    for code, meaning in mysql.MEANINGS.items():
        error = of_mysql(code)
        assert re.search(rf"\({code}[:)]", str(error))
        assert isinstance(error, TransientError) or meaning in str(error) or "no longer exists" in str(error)


# What passes by itself, by the lists of both servers; everything else waits for a person.
PASSING = {
    1021,  # the disk is full, of a temporary table too
    1037,  # out of memory
    1041,
    1053,  # the server shuts down
    1077,
    1079,
    1135,  # no thread for the connection
    1152,  # the connection was lost, or could not be read or written
    1158,
    1159,
    1160,
    1161,
    1180,  # a commit failed
    1205,  # a lock was not given in time
    1206,  # too many locks
    1213,  # a deadlock
    1412,  # the table's definition has changed
    1615,  # a prepared statement must be repeated
    1637,  # too many transactions
    1927,  # the connection was ended by KILL
    3572,  # NOWAIT
    4031,  # the server ended an idle connection
}


def test_what_passes_by_itself_is_tried_again_and_nothing_else() -> None:
    transient = {code for code in DOCUMENTED if isinstance(of_mysql(code), TransientError)}
    assert transient == PASSING | set(mysql.CANCELLED)


def refused(code: int, *, encrypted: bool) -> TributaryError:
    with (
        pytest.raises(TributaryError) as caught,
        mysql.refusals("db:3306", encrypted=encrypted, certificate_names=tuple),
    ):
        raise pymysql.err.OperationalError(code, "Geheimnis")
    assert "Geheimnis" not in str(caught.value)
    return caught.value


def test_a_refused_login_of_mysql_is_tried_again_only_if_connections_end() -> None:
    codes = [*range(1000, 2000), *range(3000, 5000)]
    transient = {code for code in codes if isinstance(refused(code, encrypted=True), TransientError)}
    assert transient == PASSING | set(mysql.BUSY)
    assert {type(refused(code, encrypted=True)) for code in codes} == {SourceRefused, SourceUnavailable}


@pytest.mark.parametrize("code", [*mysql.REFUSALS, *mysql.NO_PLUGIN])
def test_a_refused_login_of_mysql_says_what_it_means(code: int) -> None:
    error = refused(code, encrypted=False)
    assert type(error) is SourceRefused
    assert mysql.REFUSALS.get(code, "by a plugin that is not supported") in str(error)
    assert ("TLS is required" in str(error)) == (code == mysql.DENIED)
    assert "TLS is required" not in str(refused(code, encrypted=True))
