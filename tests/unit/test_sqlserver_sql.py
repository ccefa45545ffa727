"""The exact T-SQL sent to SQL Server; a T-SQL parser reads each statement.

These tests run without an SQL Server: docs/testing.md explains what that means.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlglot
from pydantic import SecretStr
from sqlglot import exp

from tributary.config.models import TableSettings
from tributary.engines.odbc import Binding
from tributary.engines.sqlserver import catalog, settings
from tributary.engines.sqlserver import clock as source_clock
from tributary.engines.sqlserver import engine as sqlserver
from tributary.engines.sqlserver import types as sqlserver_types
from tributary.engines.sqlserver.types import binding
from tributary.errors import InternalError, SecretError, SourceRefused, TableRefused, UnsupportedType
from tributary.model import types
from tributary.model.query import Query, ReadColumn
from tributary.model.source_catalog import (
    NEVER,
    CatalogFingerprint,
    Clock,
    CursorHazard,
    SourceColumn,
    SourceTable,
    TableName,
)
from tributary.model.types import Kind
from tributary.planning.read_bounds import SourceClock, read_bounds
from tributary.planning.source_probe import SourceProbe
from tributary.planning.table_spec import specify
from tributary.secret import Secret

LATIN = "varchar(20) COLLATE Latin1_General_CI_AS"
COLUMNS = (
    ("at", "datetime2(7)"),
    ("id", "bigint"),
    ("na]me", LATIN),
    ("note", "nvarchar(max)"),
    ("data", "varbinary(16)"),
    ("price", "decimal(10,2)"),
)


def read_columns(*columns: tuple[str, str]) -> tuple[ReadColumn, ...]:
    return tuple(
        ReadColumn(name, type, sqlserver.kind(SourceColumn(name, type, True))) for name, type in columns
    )


def query(**parts: Any) -> Query:
    return Query(TableName("dbo", "or ders"), read_columns(*COLUMNS), **parts)


def bulk(read: Query) -> str:
    """Return the statement that a read sends."""
    return sqlserver._select(read, [binding(column).sql for column in read.columns])


def parses(sql: str) -> bool:
    """Return whether the parser reads the text as one statement of T-SQL, not as an opaque command."""
    (tree,) = sqlglot.parse(sql, read="tsql")
    return tree is not None and not isinstance(tree, exp.Command)


BULK = (
    "CONVERT(varbinary(27), CONVERT(varchar(27), t.[at], 121)), CONVERT(bigint, t.[id]), "
    "CONVERT(varbinary(40), CONVERT(nvarchar(20), t.[na]]me])), "
    "CONVERT(varbinary(max), CONVERT(nvarchar(max), t.[note])), "
    "CONVERT(varbinary(16), t.[data]), t.[price]"
)


def test_the_first_page_takes_the_top_of_an_order():
    sql = bulk(query(order=("at", "id"), cursor="at", limit=100))
    assert sql == (
        f"SELECT TOP (100) {BULK} FROM [dbo].[or ders] AS t WHERE t.[at] IS NOT NULL ORDER BY t.[at], t.[id]"
    )
    assert parses(sql)


def test_a_later_page_begins_after_a_position_in_alternatives():
    """Each of them is one seek for the planner; row values are no part of T-SQL."""
    later = query(
        order=("at", "na]me"),
        cursor="at",
        after="2024-01-01 00:00:00.0000001",
        up_to="2024-02-01 00:00:00.000000",
        position=("2024-01-05 10:00:00.1234567", "it's"),
        limit=5,
    )
    sql = bulk(later)
    assert sql == (
        f"SELECT TOP (5) {BULK} FROM [dbo].[or ders] AS t "
        "WHERE t.[at] <= CAST('2024-02-01T00:00:00.000000' AS datetime2(7)) "
        "AND (t.[at] > CAST('2024-01-05T10:00:00.1234567' AS datetime2(7)) "
        "OR (t.[at] = CAST('2024-01-05T10:00:00.1234567' AS datetime2(7)) "
        "AND t.[na]]me] > CAST(N'it''s' COLLATE Latin1_General_CI_AS AS varchar(20)))) "
        "ORDER BY t.[at], t.[na]]me]"
    )
    assert parses(sql)


def test_rows_without_a_cursor_and_tables_without_an_order_are_read():
    nulls = bulk(query(order=("id",), cursor="at", nulls=True, position=("7",), limit=9))
    assert nulls == (
        f"SELECT TOP (9) {BULK} FROM [dbo].[or ders] AS t "
        "WHERE t.[at] IS NULL AND t.[id] > CAST(7 AS bigint) ORDER BY t.[id]"
    )
    whole = bulk(query())
    assert whole == f"SELECT {BULK} FROM [dbo].[or ders] AS t"
    assert parses(nulls)
    assert parses(whole)


def test_a_select_for_the_planner_has_its_columns_as_they_are():
    assert sqlserver.select(query(order=("id",), limit=1)) == (
        "SELECT TOP (1) t.[at], t.[id], t.[na]]me], t.[note], t.[data], t.[price] "
        "FROM [dbo].[or ders] AS t ORDER BY t.[id]"
    )


@pytest.mark.parametrize(
    ("text", "type", "expected"),
    [
        ("7", "bigint", "CAST(7 AS bigint)"),
        ("-1.50", "decimal(10,2)", "CAST(-1.50 AS decimal(10,2))"),
        ("0.1234", "money", "CAST(0.1234 AS money)"),
        ("1", "bit", "CAST(1 AS bit)"),
        ("it's \\", LATIN, "CAST(N'it''s \\' COLLATE Latin1_General_CI_AS AS varchar(20))"),
        (
            "Ж",
            "char(3) COLLATE Cyrillic_General_CI_AS",
            "CAST(CAST(0x1604 AS nvarchar(1)) COLLATE Cyrillic_General_CI_AS AS char(3))",
        ),
        ("日本", "nvarchar(9)", "CAST(CAST(0xE5652C67 AS nvarchar(2)) AS nvarchar(9))"),
        ("é😀", "nvarchar(9)", "CAST(CAST(0xE9003DD800DE AS nvarchar(3)) AS nvarchar(9))"),
        ("\udced\udca0\udcbd", "nvarchar(9)", "CAST(CAST(0x3DD8 AS nvarchar(1)) AS nvarchar(9))"),
        ("a\0b", "nvarchar(9)", "CAST(CAST(0x610000006200 AS nvarchar(3)) AS nvarchar(9))"),
        ("00ff", "varbinary(9)", "CAST(0x00ff AS varbinary(9))"),
        ("2003", "rowversion", "0x00000000000007d3"),
        (
            "01234567-89ab-4def-8123-456789abcdef",
            "uniqueidentifier",
            "CAST('01234567-89ab-4def-8123-456789abcdef' AS uniqueidentifier)",
        ),
        ("2024-01-01", "date", "CAST('2024-01-01' AS date)"),
        ("10:11:12.1234567", "time(7)", "CAST('10:11:12.1234567' AS time(7))"),
        ("2024-01-01 00:00:00", "smalldatetime", "CAST('2024-01-01T00:00:00' AS smalldatetime)"),
        ("2024-01-01 00:00:00.123456", "datetime", "CAST('2024-01-01T00:00:00.123' AS datetime)"),
        (
            "2024-01-01 00:00:00.1234567",
            "datetime2(7)",
            "CAST('2024-01-01T00:00:00.1234567' AS datetime2(7))",
        ),
        (
            "2024-01-01 00:00:00.1234567Z",
            "datetimeoffset(7)",
            "CAST('2024-01-01T00:00:00.1234567+00:00' AS datetimeoffset(7))",
        ),
        (
            "2024-01-01 00:00:00.12+00",
            "datetimeoffset(7)",
            "CAST('2024-01-01T00:00:00.12+00:00' AS datetimeoffset(7))",
        ),
    ],
)
def test_a_literal_has_its_columns_exact_type(text: str, type: str, expected: str):
    assert sqlserver.literal(text, type) == expected
    assert parses(f"SELECT {expected}")


@pytest.mark.parametrize(
    ("text", "type"),
    [
        ("1 OR 1=1", "int"),
        ("2024-01-01' OR '1", "date"),
        ("2024-01-01 00:00:00' OR '", "datetime2(7)"),
        ("00' OR '", "binary(4)"),
        ("-1", "rowversion"),
        ("x' OR '1", "uniqueidentifier"),
        ("1.5", "float"),
        ("<a/>", "xml"),
    ],
)
def test_a_text_that_is_no_value_of_its_type_makes_no_sql(text: str, type: str):
    with pytest.raises(InternalError) as caught:
        sqlserver.literal(text, type)
    assert text not in str(caught.value)


WIDE = "CONVERT(varbinary(max), CONVERT(nvarchar(max), t.[c]))"
SHAPE = "CONVERT(varbinary(max), N'SRID=' + CONVERT(nvarchar(11), t.[c].STSrid) + N';' + t.[c].AsTextZM())"
ZONED = (
    "CONVERT(varbinary(28), CONVERT(varchar(27), CONVERT(datetime2(7), "
    "SWITCHOFFSET(t.[c], '+00:00')), 121) + 'Z')"
)
UTF8 = "varchar(8000) COLLATE Latin1_General_100_CI_AS_SC_UTF8"
TYPES = {  # type -> kind, what the warehouse has, how it travels, whether it orders rows
    "bit": ("boolean", "BOOLEAN", "CONVERT(int, t.[c])", True),
    "tinyint": ("int16", "SMALLINT", "CONVERT(int, t.[c])", True),
    "smallint": ("int16", "SMALLINT", "CONVERT(int, t.[c])", True),
    "int": ("int32", "INTEGER", "CONVERT(int, t.[c])", True),
    "bigint": ("int64", "BIGINT", "CONVERT(bigint, t.[c])", True),
    "numeric(38,0)": ("decimal", "DECIMAL(38,0)", "t.[c]", True),
    "decimal(38,37)": ("decimal", "DECIMAL(38,37)", "t.[c]", True),
    "decimal(5,5)": ("decimal", "DECIMAL(5,5)", "CONVERT(varbinary(41), CONVERT(varchar(41), t.[c]))", True),
    "money": ("decimal", "DECIMAL(19,4)", "CONVERT(decimal(19,4), t.[c])", True),
    "smallmoney": ("decimal", "DECIMAL(10,4)", "CONVERT(decimal(10,4), t.[c])", True),
    "float": ("float64", "DOUBLE PRECISION", "CONVERT(float(53), t.[c])", False),
    "real": ("float32", "REAL", "CONVERT(float(53), t.[c])", False),
    "date": ("date", "DATE", "DATEDIFF(day, CONVERT(date, '19700101', 112), t.[c])", True),
    "time(7)": ("text", "VARCHAR(16)", "CONVERT(varbinary(16), CONVERT(varchar(16), t.[c], 121))", True),
    "smalldatetime": (
        "timestamp",
        "TIMESTAMP",
        "CONVERT(varbinary(19), CONVERT(varchar(19), t.[c], 120))",
        True,
    ),
    "datetime": ("timestamp", "TIMESTAMP", "CONVERT(varbinary(23), CONVERT(varchar(23), t.[c], 121))", True),
    "datetime2(7)": (
        "timestamp",
        "TIMESTAMP",
        "CONVERT(varbinary(27), CONVERT(varchar(27), t.[c], 121))",
        True,
    ),
    "datetimeoffset(7)": ("timestamptz", "TIMESTAMPTZ", ZONED, True),
    f"char(10) {LATIN[12:]}": (
        "text",
        "VARCHAR(30)",
        "CONVERT(varbinary(20), CONVERT(nvarchar(10), t.[c]))",
        True,
    ),
    UTF8: ("text", "VARCHAR(8000)", WIDE, True),
    f"varchar(max) {LATIN[12:]}": ("text", "VARCHAR(65535)", WIDE, False),
    "nchar(10)": ("text", "VARCHAR(30)", "CONVERT(varbinary(20), CONVERT(nvarchar(10), t.[c]))", True),
    "nvarchar(4000)": (
        "text",
        "VARCHAR(12000)",
        "CONVERT(varbinary(8000), CONVERT(nvarchar(4000), t.[c]))",
        True,
    ),
    "text": ("text", "VARCHAR(65535)", WIDE, False),
    "ntext": ("text", "VARCHAR(65535)", WIDE, False),
    "binary(16)": ("binary", "VARBYTE", "CONVERT(varbinary(16), t.[c])", True),
    "varbinary(max)": ("binary", "VARBYTE(16777216)", "CONVERT(varbinary(max), t.[c])", False),
    "image": ("binary", "VARBYTE(16777216)", "CONVERT(varbinary(max), t.[c])", False),
    "rowversion": ("int64", "BIGINT", "CONVERT(bigint, t.[c])", True),
    "uniqueidentifier": (
        "uuid",
        "VARCHAR(36)",
        "CONVERT(varbinary(36), LOWER(CONVERT(char(36), t.[c])))",
        True,
    ),
    "xml": ("text", "VARCHAR(65535)", WIDE, False),
    "json": ("json", "SUPER", WIDE, False),
    "vector": ("json", "SUPER", WIDE, False),
    "hierarchyid": ("text", "VARCHAR(65535)", "CONVERT(varbinary(max), t.[c].ToString())", False),
    "geometry": ("text", "VARCHAR(65535)", SHAPE, False),
    "geography": ("text", "VARCHAR(65535)", SHAPE, False),
}


@pytest.mark.parametrize("type", TYPES)
def test_a_types_kind_and_binding(type: str):
    (column,) = read_columns(("c", type))
    expected = TYPES[type]
    arrived = types.warehouse(column.kind), binding(column).sql, sqlserver.orders(type)
    assert (column.kind.name, *arrived) == expected
    assert parses(f"SELECT {expected[2]} FROM [dbo].[t] AS t")
    assert parses(f"SELECT {sqlserver.rendered('c', type)} FROM [dbo].[t]")


def test_every_type_with_a_row_is_tried():
    assert {sqlserver_types.declared(type).word for type in TYPES} == sqlserver_types.TYPES.keys()


@pytest.mark.parametrize("type", ["sql_variant", "dbo.point", "masked varchar", "encrypted int", "mine"])
def test_a_type_that_is_not_supported_is_refused_by_name(type: str):
    with pytest.raises(
        UnsupportedType, match=f'column "c" has type {type.replace("(", ".").replace(")", ".")}'
    ):
        sqlserver.kind(SourceColumn("c", type, True))


def test_any_type_can_be_read_as_text_and_a_time_is_not_truncated_then():
    def taken(type: str) -> Binding:
        return binding(ReadColumn("c", type, Kind("text")))

    assert taken("sql_variant").sql == WIDE
    assert taken("datetime2(7)").finer is False
    assert taken("date").sql == "CONVERT(varbinary(10), CONVERT(varchar(10), t.[c], 23))"
    assert binding(ReadColumn("c", "datetime2(7)", Kind("timestamp"))).finer is True


@pytest.mark.parametrize(
    ("type", "expected"),
    [
        ("varchar(20) COLLATE Japanese_BIN", False),
        ("char(2) COLLATE Japanese_XJIS_100_BIN2", False),
        ("varchar(20) COLLATE Chinese_PRC_BIN2", False),
        ("varchar(20) COLLATE Chinese_Taiwan_Stroke_90_BIN", False),
        ("varchar(20) COLLATE Korean_Wansung_BIN", False),
        ("varchar(20) COLLATE Japanese_CI_AS", True),
        ("varchar(20) COLLATE Latin1_General_BIN2", True),
        ("varchar(20) COLLATE Latin1_General_100_BIN2_UTF8", True),
        ("varchar(20) COLLATE Japanese_XJIS_140_BIN2_UTF8", True),
        ("nvarchar(20)", True),
    ],
)
def test_a_text_whose_characters_may_have_two_codes_is_no_key(type: str, *, expected: bool):
    assert sqlserver.orders(type) is expected


def test_rows_are_not_read_by_what_no_index_holds():
    with pytest.raises(TableRefused, match=r'column "note" of dbo.or ders has type nvarchar\(max\)'):
        bulk(query(order=("note",)))


# --- catalog and session ------------------------------------------------------------------------


def test_queries_on_the_catalog_are_t_sql():
    names = [TableName("dbo", "it's"), TableName("sales", "orders")]
    for question in (
        *(catalog.COLUMNS, catalog.INDEXES, catalog.VIEW, catalog.HAZARDS, catalog.FILTERS),
        *(catalog.PARTITIONS.replace("$PARTITION", ""), catalog.FOREIGN.replace("{servers}", "0")),
    ):
        sql = catalog.named(question, names)
        assert "s.name IN (N'dbo', N'sales') AND o.name IN (N'it''s', N'orders')" in sql
        assert parses(sql)
    availability = source_clock.AVAILABILITY.replace("{view}", source_clock.VIEW)
    about_the_server = (catalog.OLDEST, catalog.ROWVERSION_HORIZON, catalog.LINKED_SERVERS)
    assert all(map(parses, (catalog.TABLES, source_clock.CLOCK, availability, *about_the_server)))
    assert parses(source_clock.RESTORED)


def test_a_users_query_and_condition_are_wrapped_and_described_by_the_server():
    own = query(order=("id",), limit=10, sql="SELECT * FROM dbo.orders -- all", where="[id] > 3 -- some")
    assert sqlserver.select(own).partition(" FROM ")[2] == (
        "(\nSELECT * FROM dbo.orders -- all\n) AS t WHERE (\n[id] > 3 -- some\n) ORDER BY t.[id]"
    )
    assert parses(sqlserver.select(own))
    assert parses(catalog.DESCRIBED.replace("{statement}", "N'SELECT * FROM (\nSELECT ''x'' AS a\n) AS t'"))


def test_results_of_the_catalog_become_tables():
    def column(name: str, *about: str | None) -> tuple[str | None, ...]:
        comment = "in euros" if name == "price" else None
        own = {"code": ("1", "table", "77", "2", None, "1252"), "note": ("0", "table", "77", "3", None, None)}
        of_column = own.get(name, ("1", "table", "77", "9", "ab", None))
        return ("dbo", "orders", name, *about, comment, "what was bought", *of_column)

    columns = [
        column("id", "bigint", "8", "19", "0", None, "0", None),
        column("code", "varchar", "20", "0", "0", "Latin1_General_CI_AS", "0", None),
        column("note", "nvarchar", "-1", "0", "0", "Latin1_General_CI_AS", "1", None),
        column("name", "nvarchar", "40", "0", "0", "Latin1_General_CI_AS", "1", None),
        column("price", "decimal", "9", "10", "2", None, "1", None),
        column("at", "datetime2", "8", "27", "7", None, "0", None),
        column("version", "timestamp", "8", "0", "0", None, "0", None),
        column("card", "varchar", "20", "0", "0", "Latin1_General_CI_AS", "1", "masked"),
        ("dbo", "ORDERS", "id", "int", "4", "10", "0", None, "0", *[None] * 9),
    ]

    def index(name: str, *about: str) -> tuple[str, ...]:
        return ("dbo", "orders", name, *about)

    indexes = [
        index("pk", "1", "1", "id", "0", "1"),
        index("uq_code", "0", "1", "code", "0", "1"),
        index("uq_name", "0", "1", "name", "1", "1"),
        index("ix_at", "0", "0", "at", "0", "1"),
        index("ix_at", "0", "0", "id", "0", "1"),
        index("ix_down", "0", "0", "at", "0", "0"),
    ]
    name = TableName("dbo", "orders")

    assert catalog.tables(columns, indexes, {name}) == {
        name: SourceTable(
            name,
            (
                SourceColumn("id", "bigint", False),
                SourceColumn("code", LATIN, False),
                SourceColumn("note", "nvarchar(max)", True, readable=False),
                SourceColumn("name", "nvarchar(20)", True),
                SourceColumn("price", "decimal(10,2)", True, "in euros"),
                SourceColumn("at", "datetime2(7)", False),
                SourceColumn("version", "rowversion", False),
                SourceColumn("card", "masked varchar", True),
            ),
            ("id",),
            (("code",),),
            (("id",), ("code",), ("name",), ("at", "id")),
            "what was bought",
            fingerprint=CatalogFingerprint(
                character_sets={"code": "1252"},
                formulas=dict.fromkeys(("id", "name", "price", "at", "version", "card"), "9 ab")
                | {"code": "2", "note": "3"},
                identity="77",
            ),
        )
    }


def test_a_session_is_pinned():
    pinned, isolation = settings.pins(20)
    assert pinned == (
        "SET NOCOUNT ON; SET LANGUAGE us_english; SET DATEFORMAT ymd; SET DATEFIRST 7; SET ROWCOUNT 0; "
        "SET TEXTSIZE 2147483647; SET ANSI_NULLS ON; SET ANSI_PADDING ON; SET ANSI_WARNINGS ON; "
        "SET QUOTED_IDENTIFIER ON; SET IMPLICIT_TRANSACTIONS OFF; SET CURSOR_CLOSE_ON_COMMIT OFF; "
        "SET XACT_ABORT OFF; SET CONCAT_NULL_YIELDS_NULL ON; SET ARITHABORT ON; SET ARITHIGNORE OFF; "
        "SET NUMERIC_ROUNDABORT OFF; SET QUERY_GOVERNOR_COST_LIMIT 0; SET DEADLOCK_PRIORITY LOW; "
        "SET LOCK_TIMEOUT 20000"
    )
    assert settings.pins(600)[0].endswith("SET LOCK_TIMEOUT 30000")
    assert len(sqlglot.parse(pinned, read="tsql")) == 20
    known = isolation.replace("SNAPSHOT", "SERIALIZABLE")  # a level of SQL Server's own
    assert sqlglot.parse_one(known, read="tsql").key == "ifblock"


# The manual's page "SET statements" and what is left alone, with the reason.
LEFT_ALONE = {
    "CONTEXT_INFO": "a value of a session's own, empty at its start",
    "FIPS_FLAGGER": "warns only",
    "IDENTITY_INSERT": "writes only",
    "OFFSETS": "a protocol long gone",
    "FMTONLY": "of a batch of one's own: no server or login sets it",
    "NOEXEC": "of a batch of one's own: no server or login sets it",
    "PARSEONLY": "of a batch of one's own: no server or login sets it",
    "RESULT_SET_CACHING": "of Synapse",
    "ANSI_DEFAULTS": "each of its parts is pinned",
    "ANSI_NULL_DFLT_OFF": "definitions only",
    "ANSI_NULL_DFLT_ON": "definitions only",
    "FORCEPLAN": "plans only",
    "SHOWPLAN_ALL": "of a batch of one's own: no server or login sets it",
    "SHOWPLAN_TEXT": "of a batch of one's own: no server or login sets it",
    "SHOWPLAN_XML": "of a batch of one's own: no server or login sets it",
    "STATISTICS IO": "statistics only",
    "STATISTICS XML": "of a session's own: no server or login sets it",
    "STATISTICS PROFILE": "of a session's own: no server or login sets it",
    "STATISTICS TIME": "statistics only",
    "REMOTE_PROC_TRANSACTIONS": "procedures elsewhere only",
}
OF_THE_MANUAL = (
    *("DATEFIRST", "DATEFORMAT", "DEADLOCK_PRIORITY", "LOCK_TIMEOUT", "CONCAT_NULL_YIELDS_NULL"),
    *("CURSOR_CLOSE_ON_COMMIT", "FIPS_FLAGGER", "IDENTITY_INSERT", "LANGUAGE", "OFFSETS"),
    *("QUOTED_IDENTIFIER", "ARITHABORT", "ARITHIGNORE", "FMTONLY", "NOCOUNT", "NOEXEC"),
    *("NUMERIC_ROUNDABORT", "PARSEONLY", "QUERY_GOVERNOR_COST_LIMIT", "RESULT_SET_CACHING", "ROWCOUNT"),
    *("TEXTSIZE", "ANSI_DEFAULTS", "ANSI_NULL_DFLT_OFF", "ANSI_NULL_DFLT_ON", "ANSI_NULLS"),
    *("ANSI_PADDING", "ANSI_WARNINGS", "FORCEPLAN", "SHOWPLAN_ALL", "SHOWPLAN_TEXT", "SHOWPLAN_XML"),
    *("STATISTICS IO", "STATISTICS XML", "STATISTICS PROFILE", "STATISTICS TIME"),
    *("IMPLICIT_TRANSACTIONS", "REMOTE_PROC_TRANSACTIONS", "TRANSACTION ISOLATION LEVEL", "XACT_ABORT"),
    "CONTEXT_INFO",
)


@pytest.mark.parametrize("name", OF_THE_MANUAL)
def test_each_set_statement_of_the_manual_is_pinned_or_left_alone_for_a_reason(name: str):
    pinned = any(f"SET {name} " in statement for statement in settings.pins(60))
    assert pinned is (name not in LEFT_ALONE)


def test_the_server_cuts_values_that_are_far_over_the_bound_of_a_row():
    assert sqlserver.bound_values(134_217_730) == "SET TEXTSIZE 134217730"
    assert sqlserver.bound_values(2 * (1024 << 20) + 2) == "SET TEXTSIZE 2147483647"  # the server's most


SECRET = Secret(host="db", username="u;s}er", password=SecretStr("p}w;UID={sa}"), dbname="sh op")


def test_a_connection_string_is_encrypted_and_nothing_in_the_secret_can_end_its_field():
    assert sqlserver.connection_string(SECRET, "ODBC Driver 18 for SQL Server") == (
        "Driver={ODBC Driver 18 for SQL Server};Server={tcp:db,1433};Database={sh op};UID={u;s}}er};"
        "PWD={p}}w;UID={sa}}};Encrypt={yes};TrustServerCertificate={no};ApplicationIntent={ReadOnly};"
        "APP={tributary};"
    )


@pytest.mark.parametrize(
    ("sslmode", "encrypt", "trust"),
    [("verify-full", "yes", "no"), ("require", "yes", "yes"), ("disable", "no", "yes")],
)
def test_sslmode_says_how_a_session_is_encrypted(sslmode: str, encrypt: str, trust: str):
    secret = SECRET.model_copy(update={"sslmode": sslmode, "port": 1500})
    built = sqlserver.connection_string(secret, "d")
    assert "Server={tcp:db,1500};" in built
    assert f"Encrypt={{{encrypt}}};TrustServerCertificate={{{trust}}};" in built


NAMES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


@pytest.mark.parametrize(
    "before", [{}, {"SSL_CERT_FILE": "the system's"}, dict.fromkeys(NAMES, "the system's")]
)
def test_a_secrets_own_authorities_are_trusted_while_it_connects_and_no_longer(
    monkeypatch: pytest.MonkeyPatch, before: dict[str, str]
):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in before.items():
        monkeypatch.setenv(name, value)
    trusted: list[tuple[str | None, ...]] = []

    class Refuses:
        class Error(Exception):
            pass

        def connect(self, *arguments: object, **options: object) -> None:
            file, directory = (os.environ.get(name) for name in NAMES)
            own = file is not None and Path(file).exists() and Path(file).read_text()
            trusted.append((own or None, *(os.listdir(directory or "/none") if own else [])))
            raise self.Error

    drivers = SimpleNamespace(pyodbc=Refuses(), arrow_odbc=Refuses())
    monkeypatch.setattr("tributary.engines.odbc._drivers", lambda: drivers)
    monkeypatch.setattr("tributary.engines.odbc._is_drivers", lambda error: isinstance(error, Refuses.Error))
    for authority in ("ONE", None, "TWO"):
        with pytest.raises(SourceRefused):
            sqlserver.connect(SECRET.model_copy(update={"sslrootcert": authority}), statement_timeout_s=1)
        assert {name: os.environ[name] for name in NAMES if name in os.environ} == before
    assert trusted == [("ONE",), (None,), ("TWO",)]


def test_a_statement_for_the_bulk_path_is_ascii_whatever_its_names_and_texts_are():
    text = query(order=("id",), limit=1)
    named = replace(
        text, table=TableName("dbo", "Bücher😀"), columns=(replace(text.columns[1], name="größe"),)
    )
    sql = sqlserver.ascii_statement(sqlserver._select(replace(named, order=()), ["t.[größe] AS c0"]))
    assert sql.isascii()
    digits = re.fullmatch(
        r"DECLARE @statement nvarchar\(max\) = CONVERT\(nvarchar\(max\), 0x([0-9A-F]+)\); "
        r"EXEC sys\.sp_executesql @statement",
        sql,
    )
    assert digits is not None
    expected = "SELECT TOP (1) t.[größe] AS c0 FROM [dbo].[Bücher😀] AS t"
    assert bytes.fromhex(digits[1]).decode("utf-16-le") == expected
    assert sqlserver.ascii_statement("SELECT 1") == "SELECT 1"


def test_a_request_that_never_ends_holds_the_watermark_only_for_a_bounded_time(
    monkeypatch: pytest.MonkeyPatch,
):
    assert "r.start_time > DATEADD(minute, -60, GETDATE())" in catalog.OLDEST
    assert "r.open_transaction_count > 0" in catalog.OLDEST
    answers = {
        source_clock.CLOCK: ("2024-01-01 12:00:00.0000000", "0", "READ_WRITE", "3", None, None, "0"),
        catalog.OLDEST: (None, "2"),
    }
    monkeypatch.setattr(sqlserver, "ask", lambda session, sql: answers[sql])
    clock = sqlserver.clock(SimpleNamespace(where="db"))  # type: ignore[arg-type]
    assert (clock.oldest, clock.hidden) == (None, None)
    assert clock.notes[0].startswith(
        "2 requests run on the server for more than 60 minutes without a transaction"
    )


AVAILABILITY = source_clock.AVAILABILITY.replace("{view}", source_clock.VIEW)
AZURE = source_clock.AVAILABILITY.replace("{view}", "sys.dm_database_replica_states")
DENIED = TableRefused("300")
NOON_UTC, ELEVEN = datetime(2024, 1, 1, 12, tzinfo=UTC), datetime(2024, 1, 1, 11, tzinfo=UTC)


def state(
    *,
    ahead: str = "0",
    writable: str = "READ_ONLY",
    edition: str = "3",
    kind: str | None = None,
    subscribes: str = "0",
) -> tuple[str | None, ...]:
    """Return a row of CLOCK, at noon in UTC."""
    return (
        "2024-01-01 12:00:00.0000000",
        ahead,
        writable,
        edition,
        kind,
        "2024-01-01 11:00:00.000",
        subscribes,
    )


COPIES: dict[str, tuple[dict[str, Any], Clock]] = {
    "a secondary replica has the time of its last commit": (
        {source_clock.CLOCK: state(), AVAILABILITY: ("2024-01-01 11:00:00.000", "0")},
        Clock(NOON_UTC, None, source_clock.REPLICA, (), ELEVEN),
    ),
    "that time is local to the servers": (
        {source_clock.CLOCK: state(ahead="600"), AVAILABILITY: ("2024-01-01 21:00:00.000", "0")},
        Clock(NOON_UTC, None, source_clock.REPLICA, (), ELEVEN),
    ),
    "a suspended replica says so": (
        {source_clock.CLOCK: state(), AVAILABILITY: ("2024-01-01 11:00:00.000", "1")},
        Clock(NOON_UTC, None, source_clock.REPLICA, (source_clock.SUSPENDED,), ELEVEN),
    ),
    "a replica without a commit waits": (
        {source_clock.CLOCK: state(), AVAILABILITY: (None, "0")},
        Clock(NOON_UTC, None, source_clock.REPLICA, (source_clock.NO_COMMIT,), NEVER),
    ),
    "a replica of Azure SQL is asked by its own view": (
        {source_clock.CLOCK: state(edition="5"), AZURE: ("2024-01-01 11:00:00.000", "0")},
        Clock(NOON_UTC, None, source_clock.REPLICA, (), ELEVEN),
    ),
    "a replica whose state is hidden says which right is missing": (
        {source_clock.CLOCK: state(), AVAILABILITY: DENIED},
        Clock(NOON_UTC, None, source_clock.REPLICA, (source_clock.LAG_UNKNOWN,)),
    ),
    "a snapshot has the time at which it was made": (
        {source_clock.CLOCK: state(kind="snapshot")},
        Clock(NOON_UTC, None, source_clock.SNAPSHOT, (), ELEVEN),
    ),
    "a copy by log shipping has the time of its last backup, in that server's zone": (
        {source_clock.CLOCK: state(kind="standby"), source_clock.RESTORED: ("2024-01-01 13:00:00.000", "8")},
        Clock(NOON_UTC, None, source_clock.STANDBY, (), ELEVEN),
    ),
    "a backup without a zone has this server's": (
        {
            source_clock.CLOCK: state(kind="standby"),
            source_clock.RESTORED: ("2024-01-01 11:00:00.000", "127"),
        },
        Clock(NOON_UTC, None, source_clock.STANDBY, (), ELEVEN),
    ),
    "a copy whose backups are hidden says which right is missing": (
        {source_clock.CLOCK: state(kind="standby"), source_clock.RESTORED: DENIED},
        Clock(NOON_UTC, None, source_clock.STANDBY, (source_clock.LAG_UNKNOWN,)),
    ),
    "a read-only database that was restored has the time of its backup": (
        {
            source_clock.CLOCK: state(),
            AVAILABILITY: None,
            source_clock.RESTORED: ("2024-01-01 11:00:00.000", "0"),
        },
        Clock(NOON_UTC, None, source_clock.READ_ONLY, (), ELEVEN),
    ),
    "a subscriber's publisher cannot be seen, but its own transactions are": (
        {
            source_clock.CLOCK: state(writable="READ_WRITE", subscribes="1"),
            catalog.OLDEST: ("2024-01-01 11:00:00.000", "0"),
        },
        Clock(NOON_UTC, ELEVEN, source_clock.SUBSCRIBER, (source_clock.SUBSCRIPTION_LAG,)),
    ),
    "without VIEW SERVER STATE transactions are hidden": (
        {source_clock.CLOCK: state(writable="READ_WRITE"), catalog.OLDEST: DENIED},
        Clock(NOON_UTC, None, source_clock.LACKS_VIEW),
    ),
    "a primary's own transactions are all that there are": (
        {source_clock.CLOCK: state(writable="READ_WRITE"), catalog.OLDEST: (None, "0")},
        Clock(NOON_UTC, None),
    ),
}


@pytest.mark.parametrize("claim", COPIES)
def test_a_copy_of_sql_server_is_known_and_dated_by_its_data(monkeypatch: pytest.MonkeyPatch, claim: str):
    answers, expected = COPIES[claim]

    def ask(session: object, sql: str) -> Any:
        answer = answers[sql]
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(sqlserver, "ask", ask)
    assert sqlserver.clock(SimpleNamespace(where="db")) == expected  # type: ignore[arg-type]


def test_results_of_the_catalog_become_hazards_partitions_and_policies():
    orders = TableName("dbo", "orders")
    rows = [("dbo", "orders", "at", "trigger t is disabled"), ("dbo", "orders", "id", "its values go down")]
    assert catalog.hazards(rows) == {
        orders: (CursorHazard("at", "trigger t is disabled"), CursorHazard("id", "its values go down"))
    }
    parts = [("dbo", "orders", None, "(SELECT 1) AS p"), ("dbo", "orders", "07e8", "(SELECT 2) AS p")]
    assert catalog.partitions(parts) == {orders: {"open": "(SELECT 1) AS p", "07e8": "(SELECT 2) AS p"}}
    assert catalog.policies([("dbo", "orders", "tenants")]) == {orders: "tenants"}


def test_a_view_or_an_external_table_proves_less_than_a_table():
    def described(kind: str) -> SourceTable:
        row = (
            "dbo",
            "t",
            "id",
            "int",
            "4",
            "10",
            "0",
            None,
            "0",
            None,
            None,
            None,
            "1",
            kind,
            "7",
            "1",
            None,
            None,
        )
        index = ("dbo", "t", "pk", "1", "1", "id", "0", "1")
        name = TableName("dbo", "t")
        return catalog.tables([row], [index], {name})[name]

    proofs = {
        kind: (one.keys_enforced, one.nulls_enforced, one.fingerprint.identity)
        for kind in ("table", "view", "external")
        for one in [described(kind)]
    }
    assert proofs == {
        "table": (True, True, "7"),
        "view": (True, False, None),
        "external": (False, False, None),
    }


def test_a_table_under_a_security_policy_is_refused_by_name():
    name = TableName("dbo", "orders")
    table = SourceTable(name, (SourceColumn("id", "int", False),), ("id",), filtered_by="tenants")
    with pytest.raises(TableRefused, match=r"every row of dbo\.orders, because of security policy tenants"):
        specify(sqlserver, table, TableSettings(mode="replace"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"sslmode": "verify-ca"}, "verify-full or require"),
        ({"host": "db\\PROD"}, "port"),
        ({"dbname": ""}, "dbname"),
    ],
)
def test_what_the_driver_cannot_do_is_an_error_of_the_secret(changes: dict[str, str], advice: str):
    with pytest.raises(SecretError, match=advice):
        sqlserver.connection_string(SECRET.model_copy(update=changes), "d")


# --- bounds -------------------------------------------------------------------------------------


def statements_of_a_plan(cursor: tuple[str, str], watermark: str, clock: Clock) -> list[str]:
    """Return the queries of a plan for an incremental table; each gets no row."""
    statements: list[str] = []

    def ask(connection: object, sql: str) -> tuple[str, ...] | None:
        statements.append(sql)
        return ("41",) if "MAX" in sql or "MIN_ACTIVE" in sql else None

    table = SourceTable(
        TableName("dbo", "orders"),
        (SourceColumn("id", "bigint", False), SourceColumn(*cursor, False)),
    )
    settings = TableSettings(mode="merge", cursor=cursor[0], key=("id",), cursor_time_zone="UTC")
    shown: Any = SimpleNamespace(**{**vars(sqlserver), "ask": ask})
    shown.counter_horizon = lambda connection, type: (
        ask(connection, catalog.ROWVERSION_HORIZON)[0] if type == "rowversion" else None  # type: ignore[index]
    )
    choice = specify(shown, table, settings)
    probe = SourceProbe(shown, None)
    read_bounds(probe, choice, SourceClock(clock, {}), watermark, whole_read=False)
    probe.check_unique(choice, watermark)
    probe.has_values(choice, "id")
    assert all(map(parses, statements))
    return statements


NOON = Clock(datetime(2024, 1, 1, 12, 0, 0, 123_456, UTC), None)


def test_bounds_of_a_time_cursor_are_queried_in_t_sql():
    after = "CAST('2024-01-01T10:00:00.1234567' AS datetime2(7))"
    table = "FROM [dbo].[orders]"
    highest = f"SELECT CONVERT(varchar(27), [at], 121) FROM (SELECT MAX([at]) AS [at] {table} WHERE"
    changed = f"EXISTS (SELECT 1 {table} recent WHERE recent.[id] = one.[id] AND recent.[at] > {after})"
    shared = f"SELECT one.[id] {table} one WHERE {changed} GROUP BY one.[id] HAVING COUNT(*) > 1"
    assert statements_of_a_plan(("at", "datetime2(7)"), "2024-01-01 10:00:00.1234567", NOON) == [
        f"{highest} [at] > {after}) highest",
        f"{highest} [at] > {after} AND [at] < CAST('2024-01-01T11:59:59.123456' AS datetime2(7))) highest",
        f"SELECT COUNT(*) {table} WHERE [at] > CAST('2024-01-01T12:00:00.123456' AS datetime2(7))",
        f"SELECT CASE WHEN EXISTS ({shared}) THEN 1 END",
        f"SELECT CASE WHEN EXISTS (SELECT 1 {table} WHERE [id] IS NOT NULL) THEN 1 END",
    ]


def test_a_rowversion_is_bounded_by_the_servers_horizon_even_if_transactions_are_hidden():
    highest = "SELECT CONVERT(bigint, [v]) FROM (SELECT MAX([v]) AS [v] FROM [dbo].[orders] WHERE "
    hidden = replace(NOON, hidden="the user lacks VIEW SERVER STATE")
    statements = statements_of_a_plan(("v", "rowversion"), "32", hidden)
    assert statements[:3] == [
        f"{highest}[v] > 0x0000000000000020) highest",
        catalog.ROWVERSION_HORIZON,
        f"{highest}[v] > 0x0000000000000020 AND [v] <= 0x0000000000000029) highest",
    ]


@pytest.mark.parametrize(
    ("begun", "now", "ahead_h", "expected"),
    [
        (datetime(2026, 7, 1, 10), datetime(2026, 7, 1, 10, 30), 0, datetime(2026, 7, 1, 10)),
        # Central Europe in summer: 12:00 on the wall is 10:00, as far as every zone that is alike knows
        (datetime(2026, 7, 1, 12), datetime(2026, 7, 1, 10, 30), 2, datetime(2026, 7, 1, 10)),
        # an hour after the clocks went back from three to two: half past two may be of the first time
        (datetime(2026, 10, 25, 2, 30), datetime(2026, 10, 25, 2, 0), 1, datetime(2026, 10, 25, 0, 30)),
        # before they went back, seen afterwards: the offset of then, and not of now
        (datetime(2026, 10, 24, 23, 0), datetime(2026, 10, 25, 6, 0), 1, datetime(2026, 10, 24, 21, 0)),
        # a zone that does not exist
        (datetime(2026, 7, 1, 12), datetime(2026, 7, 1, 11), 0.1, datetime(2026, 7, 1, 10, 54)),
    ],
)
def test_a_start_in_the_servers_local_time_is_never_taken_too_late(
    begun: datetime, now: datetime, ahead_h: float, expected: datetime
):
    ahead = timedelta(hours=ahead_h)
    assert source_clock.earliest(begun, now.replace(tzinfo=UTC), ahead) == expected.replace(tzinfo=UTC)


def test_a_kind_stays_what_it_was_however_it_is_declared():
    assert sqlserver.kind(SourceColumn("c", "decimal(10,2)", True)) == Kind("decimal", precision=10, scale=2)
    assert sqlserver.kind(SourceColumn("c", "nvarchar(7)", True)) == Kind("text", size_bytes=21)
