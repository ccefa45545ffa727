"""The engine for databases behind SQLAlchemy: its statements by exact text, its values, and its drivers."""

from __future__ import annotations

import json
import re
import sqlite3
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import duckdb
import pyarrow as pa
import pytest
from pydantic import SecretStr

from layers import build, driver_lines
from tributary import secret
from tributary.config.models import Source, TableEntry, TableSettings
from tributary.engines import registry
from tributary.engines.generic import columns, dialects
from tributary.engines.generic.engine import GenericEngine, _code, in_utc
from tributary.errors import (
    ConfigError,
    InternalError,
    SecretError,
    SourceRefused,
    SourceUnavailable,
    TableRefused,
    ValueRefused,
)
from tributary.model.engine_names import DIALECTS, NAMES
from tributary.model.query import Query, ReadColumn
from tributary.model.source_catalog import SourceColumn, SourceTable, TableName
from tributary.model.types import Kind
from tributary.model.value_policies import Policies
from tributary.planning.table_spec import specify
from tributary.reading import values
from tributary.secret import Secret

ROOT = Path(__file__).parents[2]
ADDED = "layers/drivers/requirements.txt: -r oracle.txt"
ORACLE = registry.get("oracle")
ORDERS = Query(
    TableName("SALES", "Or ders"),
    (
        ReadColumn("CHANGED", "TIMESTAMP(6)", Kind("timestamp")),
        ReadColumn("ID", "NUMBER(10,0)", Kind("decimal", precision=10, scale=0)),
    ),
    ("CHANGED", "ID"),
    cursor="CHANGED",
    limit=100,
)


def text(query: Query, name: str = "oracle") -> str:
    return " ".join(registry.get(name).select(query).split())


def test_oracle_gets_the_or_form_fetch_first_and_no_as_before_an_alias() -> None:
    assert text(replace(ORDERS, up_to="2024-02-01 00:00:00", position=("2024-01-01 00:00:00.5", "7"))) == (
        'SELECT t."CHANGED" AS c0, t."ID" AS c1 FROM "SALES"."Or ders" t '
        'WHERE t."CHANGED" <= :param_1 AND (t."CHANGED" > :param_2 OR t."CHANGED" = :param_2 '
        'AND t."ID" > :param_3) ORDER BY t."CHANGED", t."ID" FETCH FIRST 100 ROWS ONLY'
    )


def test_other_dialects_limit_a_page_in_their_own_way() -> None:
    assert text(ORDERS, "sqlalchemy:mssql+pyodbc") == (
        "SELECT TOP 100 t.[CHANGED] AS c0, t.[ID] AS c1 FROM [SALES].[Or ders] t "
        "WHERE t.[CHANGED] IS NOT NULL ORDER BY t.[CHANGED], t.[ID]"
    )


def test_a_users_sql_is_sent_as_it_is_written() -> None:
    query = replace(ORDERS, sql="SELECT * FROM a -- all", where="x LIKE '%:y' -- some", limit=None)
    assert registry.get("oracle").select(query).replace("\n", "|") == (
        'SELECT t."CHANGED" AS c0, t."ID" AS c1 |FROM (|SELECT * FROM a -- all|) t |'
        'WHERE (|x LIKE \'%:y\' -- some|) AND t."CHANGED" IS NOT NULL ORDER BY t."CHANGED", t."ID"'
    )


@pytest.mark.parametrize(
    ("name", "text", "type", "expected"),
    [
        ("oracle", "2024-01-01 00:00:00.5", "TIMESTAMP(6)", "TIMESTAMP '2024-01-01 00:00:00.500000'"),
        ("oracle", "12.50", "NUMBER(10,2)", "12.50"),
        ("oracle", "it's", "VARCHAR2(20)", "'it''s'"),
        ("snowflake", "a\\'b", "TEXT", "'a\\\\''b'"),
        (
            "duckdb",
            "2024-01-01 00:00:00+00",
            "TIMESTAMP WITH TIME ZONE",
            "TIMESTAMPTZ '2024-01-01 00:00:00.000000+00:00'",
        ),
        ("duckdb", "2024-02-29", "DATE", "DATE '2024-02-29'"),
        (
            "sqlalchemy:mysql+pymysql",
            "2024-01-01 02:00:00+02:00",
            "TIMESTAMP",
            "TIMESTAMP '2024-01-01 00:00:00.000000'",
        ),
        ("sqlalchemy:sqlite+pysqlite", "2024-01-01", "DATETIME", "'2024-01-01'"),
    ],
)
def test_a_literal_has_the_columns_type(name: str, text: str, type: str, expected: str) -> None:
    assert registry.get(name).literal(text, type) == expected


@pytest.mark.parametrize(("text", "type"), [("1; DROP", "NUMBER(9,0)"), ("x", "DATE"), ("NaN", "NUMBER")])
def test_a_position_that_is_no_value_of_its_type_is_refused(text: str, type: str) -> None:
    with pytest.raises(InternalError):
        ORACLE.literal(text, type)


def read(held: list[Any], kind: Kind, policies: Policies | None = None, dialect: str = "oracle") -> list[Any]:
    column = ReadColumn("c", "x", kind, policies or {})
    query = Query(TableName("s", "t"), (column,))
    array = columns.of_objects(held, column, dialects.find(dialect))
    return list(values.parse(query, [array])[0].column("c").to_pylist())


DECIMAL = Kind("decimal", precision=5, scale=2)


@pytest.mark.parametrize(
    ("held", "kind", "expected"),
    [
        ([1, None, -(2**31)], Kind("int32"), [1, None, -(2**31)]),
        ([Decimal("7"), 8], Kind("int64"), [7, 8]),
        (
            [Decimal("1.5"), 2, None, Decimal("1E+2")],
            DECIMAL,
            [Decimal("1.50"), Decimal(2), None, Decimal(100)],
        ),
        ([Decimal("1.50000")], DECIMAL, [Decimal("1.50")]),
        ([date(1, 1, 1)], Kind("date"), [date(1, 1, 1)]),
        ([datetime(2024, 1, 1, 0, 0, 0, 1)], Kind("timestamp"), [datetime(2024, 1, 1, 0, 0, 0, 1)]),
        (
            [datetime(2024, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))],
            Kind("timestamptz"),
            [datetime(2024, 1, 1, tzinfo=UTC)],
        ),
        (["", "é", None], Kind("text"), ["", "é", None]),
        ([b"", b"\x00\xff", None], Kind("binary"), [b"", b"\x00\xff", None]),
        ([bytearray(b"a"), memoryview(b"b")], Kind("binary"), [b"a", b"b"]),
        ([True, None, False], Kind("boolean"), [True, None, False]),
        ([1, 0], Kind("boolean"), [True, False]),
        ([Decimal("1.5"), 2.5, None], Kind("float64"), [1.5, 2.5, None]),
        ([UUID(int=1), None], Kind("uuid"), [str(UUID(int=1)), None]),
        (
            [float("nan"), float("inf"), 0.1],
            Kind("float64"),
            [pytest.approx(float("nan"), nan_ok=True), float("inf"), 0.1],
        ),
        ([timedelta(hours=-25, microseconds=1)], Kind("text"), ["-24:59:59.999999"]),
        (["2024-01-01 00:00:00.123456Z"], Kind("timestamptz"), [datetime(2024, 1, 1, 0, 0, 0, 123456, UTC)]),
    ],
)
def test_a_drivers_objects_arrive_as_they_are(held: list[Any], kind: Kind, expected: list[Any]) -> None:
    assert read(held, kind) == expected


@pytest.mark.parametrize(
    ("held", "kind"),
    [
        ([1.5], DECIMAL),  # a float that a driver made of a decimal
        ([Decimal("1.005")], DECIMAL),
        ([Decimal("NaN")], DECIMAL),
        ([2**31], Kind("int32")),
        ([1.0], Kind("int64")),
        (["1"], Kind("int64")),
        ([True], Kind("int64")),
        ([datetime(2024, 1, 1)], Kind("timestamptz")),  # without the zone that it must have
        ([datetime(2024, 1, 1, tzinfo=UTC)], Kind("timestamp")),
        ([datetime(2024, 1, 1)], Kind("date")),
        (["2024-01-01 00:00:00.1234567"], Kind("timestamp")),
        (["a\0"], Kind("text")),
        (["\ud800"], Kind("text")),
        ([object()], Kind("text")),
        (["x"], Kind("binary")),
        ([2], Kind("boolean")),
        ([{"a": 0.1}], Kind("json")),
    ],
)
def test_a_value_of_another_class_than_its_kinds_is_refused(held: list[Any], kind: Kind) -> None:
    if held == ["\ud800"]:
        held = [b"\xff".decode(errors="surrogateescape")]
    with pytest.raises(ValueRefused):
        read(held, kind)


def test_what_a_policy_cuts_of_a_finer_time_is_counted() -> None:
    column = ReadColumn("c", "x", Kind("timestamp"), {"excess_digits": "truncate"})
    array = columns.of_objects(["2024-01-01 00:00:00.1234567"], column, dialects.ORACLE)
    table, counts = values.parse(Query(TableName("s", "t"), (column,)), [array])
    assert table.column("c").to_pylist() == [datetime(2024, 1, 1, 0, 0, 0, 123456)]
    assert counts == {("c", "excess_digits"): 1}


def test_times_of_a_session_in_utc_have_its_zone() -> None:
    held = [datetime(2024, 1, 1, 2), None]
    assert read(held, Kind("timestamptz"), dialect="sqlalchemy:mysql+pymysql") == [
        datetime(2024, 1, 1, 2, tzinfo=UTC),
        None,
    ]


def test_arrow_times_outside_the_years_1_to_9999_are_met_by_policy() -> None:
    column = ReadColumn("c", "TIMESTAMP", Kind("timestamp"), {"date_out_of_range": "clamp"})
    read = pa.array([0, 2**63 - 1, -(2**63) + 1, None], pa.int64()).view(pa.timestamp("us"))
    table, _ = values.parse(Query(TableName("s", "t"), (column,)), [columns.of_arrow(read, column)])
    assert table.column("c").to_pylist() == [
        datetime(1970, 1, 1),
        datetime(9999, 12, 31, 23, 59, 59, 999_999),
        datetime(1, 1, 1),
        None,
    ]


def test_a_clock_without_a_zone_is_in_the_one_nearest_to_ours() -> None:
    here = datetime(2024, 7, 1, 12, 0, 30, tzinfo=UTC)
    assert in_utc(datetime(2024, 7, 1, 17, 30, 29), here) == datetime(2024, 7, 1, 12, 0, 29, tzinfo=UTC)
    assert in_utc(datetime(2024, 7, 1, 11, 58), here) == datetime(2024, 7, 1, 11, 58, tzinfo=UTC)
    aware = datetime(2024, 7, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    assert in_utc(aware, here) == datetime(2024, 7, 1, 12, tzinfo=UTC)


def test_an_errors_code_is_shown_and_never_its_text() -> None:
    error = Exception("ORA-00942: table of hunter2 does not exist")
    assert _code(error) == "Exception, ORA-00942"
    assert _code(SimpleNamespace(orig=Exception({"C": "42501", "M": "hunter2"}))) == "Exception, 42501"  # type: ignore[arg-type]


TABLE = SourceTable(
    TableName("SALES", "ORDERS"),
    (SourceColumn("ID", "NUMBER(10,0)", nullable=False), SourceColumn("AT", "TIMESTAMP(6)", nullable=False)),
    ("ID",),
)


@pytest.mark.parametrize(("cursor", "proposal"), [("AT", "1 hour"), ("ID", "1000")])
def test_a_mode_that_reads_new_rows_alone_needs_an_overlap(cursor: str, proposal: str) -> None:
    with pytest.raises(TableRefused, match=rf"needs an overlap.* such as {proposal}"):
        specify(ORACLE, TABLE, TableSettings(cursor=cursor))
    assert specify(ORACLE, TABLE, TableSettings(cursor="AT", overlap=timedelta(hours=1))).mode == "merge"
    assert specify(ORACLE, TABLE, TableSettings(mode="replace")).cursor is None


def test_a_key_that_the_database_does_not_enforce_is_not_proven() -> None:
    from tributary.engines.generic import catalog

    rows = [("S", "T", "ID", "NUMBER(38,0)", False, False, None)]
    keys = [("S", "T", "pk", True, "ID")]
    described = catalog.from_rows(dialects.SNOWFLAKE, rows, keys)[TableName("S", "T")]
    assert described.primary_key == ("ID",)
    assert not described.keys_enforced


@pytest.mark.parametrize("name", ["hana", "sqlalchemy:informix+ifxpy"])
def test_a_driver_that_the_layer_lacks_is_named_with_its_line(name: str) -> None:
    with pytest.raises(ConfigError, match=r"layers/drivers/requirements\.txt") as caught:
        registry.get(name).quote("a")
    assert dialects.find(name).line in str(caught.value)


def test_a_source_whose_driver_is_left_out_is_refused_with_the_line_to_add() -> None:
    tables = (TableEntry(name="a.b"),)
    sources = [
        Source(name="erp", engine="oracle", secret="tributary/x", tables=tables),
        Source(name="shop", engine="postgresql", secret="tributary/x", tables=tables),
    ]
    assert driver_lines.missing(sources, set()) == [
        f"erp.yaml, engine: the drivers layer has no driver for oracle; add this line to {ADDED}"
    ]
    assert driver_lines.missing(sources, {"-r oracle.txt"}) == []


def test_a_build_says_what_the_drivers_layer_has_and_lacks(tmp_path: Path) -> None:
    drivers = tmp_path / "drivers"
    drivers.mkdir()
    (drivers / "requirements.txt").write_text("-r oracle.txt\n# -r db2.txt\n")
    for name in ("oracle", "db2", "sqlalchemy"):
        (drivers / f"{name}.txt").touch()
    (tmp_path / "layer" / "oracledb-1.dist-info").mkdir(parents=True)
    (tmp_path / "layer" / "file").write_bytes(b"x" * (3 << 20))
    assert build.carried(tmp_path / "layer", drivers) == (
        "layer drivers: 3 MiB: oracledb; without the lines -r db2.txt"
    )


def test_every_named_database_has_a_line_a_file_of_pins_and_a_row_in_the_page() -> None:
    page = (ROOT / "docs/databases.md").read_text()
    requirements = (ROOT / "layers/drivers/requirements.txt").read_text()
    assert dialects.NAMED.keys() == DIALECTS.keys()
    for dialect in dialects.NAMED.values():
        assert f"# {dialect.line}\n" in requirements
        pins = (ROOT / "layers/drivers" / dialect.line.removeprefix("-r ")).read_text()
        assert pins.splitlines()[1] == "-r sqlalchemy.txt"
        assert all("==" in line for line in pins.splitlines()[2:])
        (row,) = [line for line in page.splitlines() if line.endswith(f"| `{dialect.line}` |")]
        assert row.startswith(f"| `{dialect.name}` |")
        assert f"| {dialect.grade} |" in row
    assert all(f"| `{name}` |" in page for name in NAMES)


def test_a_dialect_that_says_nothing_of_tls_is_not_reached_without_it() -> None:
    engine: Any = registry.get("sqlalchemy:informix+ifxpy")
    with pytest.raises(SecretError, match="url_options"):
        engine.dialect.connect(Secret(host="x"))
    assert engine.dialect.connect(Secret(host="x", sslmode="disable")) == {}
    assert engine.dialect.connect(Secret(host="x", url_options={"ssl": "true"})) == {}


def test_a_secret_may_be_a_url_or_have_options() -> None:
    parsed = secret.parse('{"url": "oracle+oracledb://a:hunter2@b", "url_options": {"x": "1"}}', "s")
    assert parsed.url_options == {"x": "1"}
    assert "hunter2" not in repr(parsed)


@pytest.mark.parametrize(
    ("held", "kind", "reason"),
    [
        ("a\ud800", Kind("text"), "not valid UTF-8"),
        (b"x", Kind("text"), "outside its declared type"),
        (Decimal("sNaN"), Kind("int32"), "outside its declared type"),
        (Decimal("Infinity"), Kind("int32"), "outside its declared type"),
    ],
)
def test_an_object_that_is_no_value_of_its_kind_is_refused_by_policy(
    held: object, kind: Kind, reason: str
) -> None:
    with pytest.raises(ValueRefused, match=reason):
        read([held], kind)
    assert read([held], kind, {"misfit": "null", "invalid_text": "null"}) == [None]


@pytest.mark.parametrize(
    "url",
    [
        "oracle+oracledb://me:hun@ter2@db.example:1521/x",
        "oracle+oracledb://me:hun@ter:2@db.example:1521/x",
        "oracle+oracledb://me:hun@ter/2@db.example:1521/x",
        "oracle+oracledb://me:hun@?ter2@db.example:1521/x",
        "oracle+oracledb://me:hunter/db.example",
        "oracle+oracledb://me:hunter2@[::1/x",
        "me:hunter2@db.example",
    ],
)
def test_a_url_that_cannot_be_understood_shows_no_part_of_its_password(url: str) -> None:
    with pytest.raises(SecretError) as refused:
        ORACLE.connect(Secret(url=SecretStr(url)), statement_timeout_s=5)
    assert not re.search("hun|ter.?2|me:|example", str(refused.value))


OPENED = "oracle+oracledb://me:hunter2@127.0.0.1"


@pytest.mark.parametrize(
    ("held", "place"),
    [
        ({"url": f"{OPENED}:1522/?service_name=x"}, {"port": 1522, "service_name": "x"}),
        ({"url": f"{OPENED}/ORCL"}, {"port": 1521}),
        ({"host": "127.0.0.1", "url_options": {"service_name": "x"}}, {"port": 1521, "service_name": "x"}),
    ],
)
def test_oracle_is_reached_by_tls_however_the_secret_gives_its_place(
    held: dict[str, Any], place: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: dict[str, Any] = {}

    def create_engine(url: Any, **options: Any) -> None:
        opened.update(url=url, **options["connect_args"])
        raise ConnectionError

    monkeypatch.setattr("sqlalchemy.create_engine", create_engine)
    for name in ("dial", "close_connection"):
        monkeypatch.setattr(f"tributary.engines.generic.engine.{name}", lambda *_: None)
    with pytest.raises(SourceRefused):
        ORACLE.connect(secret.parse(json.dumps(held), "s"), statement_timeout_s=5)

    url = opened.pop("url")
    assert opened.pop("ssl_context").check_hostname
    assert opened == {"host": "127.0.0.1", "protocol": "tcps", **place}
    # With a host or a database SQLAlchemy would make an address without TLS.
    assert (url.host, url.database, "service_name" in url.query) == (None, None, False)


@pytest.mark.parametrize(
    ("name", "url", "option"),
    [
        ("sqlalchemy:mysql+pymysql", "mysql+pymysql://h", "ssl_disabled"),
        ("cockroachdb", "cockroachdb+psycopg2://h", "sslmode"),
        ("oracle", "oracle+oracledb://h/x", "ssl_server_dn_match"),
        ("snowflake", "snowflake://h", "insecure_mode"),
        ("snowflake", "snowflake://h", "protocol"),
        ("hana", "hana+hdbcli://h", "sslValidateCertificate"),
        ("trino", "trino://h", "http_scheme"),
        ("clickhouse", "clickhousedb+connect://h", "verify"),
    ],
)
def test_no_option_of_a_driver_sets_tls_aside(name: str, url: str, option: str) -> None:
    engine: Any = registry.get(name)
    for given in ({"url": f"{url}?{option}=x"}, {"host": "h", "url_options": {option: "x"}}):
        with pytest.raises(SecretError, match=f'option "{option}".*"sslmode"'):
            engine.connect(secret.parse(json.dumps(given), "s"), statement_timeout_s=5)


def test_a_file_that_cannot_be_opened_is_not_called_a_lack_of_connections(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match=r"cannot be opened.*dbname"):
        registry.get("duckdb").connect(Secret(dbname=str(tmp_path / "none.db")), statement_timeout_s=5)


def test_schemas_with_the_names_of_another_databases_system_are_the_users(tmp_path: Path) -> None:
    file = str(tmp_path / "own.db")
    schemas = ("SYS", "mysql", "performance_schema", "NULLID")
    with duckdb.connect(file) as connection:
        for schema in schemas:
            connection.execute(f'CREATE SCHEMA "{schema}"')
            connection.execute(f'CREATE TABLE "{schema}".t (id INT)')
    engine: Any = registry.get("duckdb")
    session = engine.connect(Secret(dbname=file), statement_timeout_s=5)
    assert engine.list_tables(session) == sorted(TableName(schema, "t") for schema in schemas)
    engine.close(session)


@pytest.mark.parametrize("name", ["sqlalchemy:mysql+pymysql", "sqlalchemy:sqlite+pysqlite"])
def test_a_clock_that_is_in_utc_is_never_taken_for_one_of_another_zone(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine: Any = registry.get(name)
    behind = (datetime.now(UTC) - timedelta(minutes=10)).replace(tzinfo=None, microsecond=0)
    monkeypatch.setattr(engine, "_rows", lambda *_, **__: [(behind,)])
    assert engine.clock(SimpleNamespace()).now == behind.replace(tzinfo=UTC)


def test_views_are_listed_and_a_broken_one_hides_no_other_table(tmp_path: Path) -> None:
    file = tmp_path / "views.db"
    with sqlite3.connect(file) as connection:
        connection.executescript(
            "CREATE TABLE t (id INTEGER PRIMARY KEY); CREATE TABLE gone (id INTEGER);"
            "CREATE VIEW shown AS SELECT id FROM t; CREATE VIEW broken AS SELECT id FROM gone;"
            "DROP TABLE gone"
        )
    connection.close()
    engine: Any = registry.get("sqlalchemy:sqlite+pysqlite")
    session = engine.connect(Secret(dbname=str(file)), statement_timeout_s=5)
    names = [TableName("main", name) for name in ("broken", "shown", "t")]
    assert engine.list_tables(session) == names
    described = engine.describe(session, names)
    assert sorted(described) == names[1:]
    assert described[names[1]].is_view
    with pytest.raises(TableRefused, match="no such table"):
        engine.describe_query(session, names[0], "SELECT * FROM broken")
    engine.close(session)


@pytest.mark.parametrize(
    "name", [*dialects.NAMED, "sqlalchemy:postgresql+psycopg", "sqlalchemy:mysql+pymysql"]
)
def test_a_key_is_believed_only_of_databases_that_cannot_disable_one(name: str) -> None:
    believed = name in {"cockroachdb", "duckdb", "firebird"}
    assert dialects.find(name).keys_enforced == believed
    assert not dialects.find("sqlalchemy:informix+ifxpy").keys_enforced


def test_a_session_that_cannot_be_pinned_is_closed(tmp_path: Path) -> None:
    file = tmp_path / "shop.db"
    sqlite3.connect(file).close()
    opened: list[Any] = []
    dialect = replace(dialects.SQLITE, pins=("NO SUCH STATEMENT",), prepare=opened.append)
    with pytest.raises(TableRefused, match="rejected a query"):
        GenericEngine(dialect).connect(Secret(dbname=str(file)), statement_timeout_s=9)
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        opened[0].execute("SELECT 1")
