"""How columns and errors arrive through ODBC, without servers, which the integration tests have."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tributary.engines import odbc
from tributary.engines.odbc import Binding, Dialect, ErrorCodes
from tributary.engines.sqlserver import engine as sqlserver
from tributary.engines.sqlserver import error_codes, types
from tributary.engines.sqlserver import types as sqlserver_types
from tributary.errors import InternalError, TableRefused, ValueRefused
from tributary.model.query import Page, Query, ReadColumn
from tributary.model.source_catalog import TableName
from tributary.model.types import Kind, KindName
from tributary.model.value_policies import Fault
from tributary.reading.csv_blocks import BLOCK_BYTES

NUMBER, TEXT, HEX = Binding("", "int64"), Binding("", "utf-16", 40), Binding("", "bytes", 9)
MOMENT = Binding("", "utf-8", 28, finer=True)
DIGITS = pa.decimal128(20, 8)


def schema(bindings: Sequence[Binding], decimals: pa.DataType = DIGITS) -> pa.Schema:
    """Return the bound types if the result describes every column as such a decimal."""
    columns = tuple(ReadColumn(f"c{place}", "a type", Kind("text")) for place in range(len(bindings)))
    described = pa.schema([(f"c{place}", decimals) for place in range(len(bindings))])
    return odbc._schema(Query(TableName("s", "t"), columns), bindings, described)


def batch(bindings: Sequence[Binding], *columns: list[Any]) -> pa.RecordBatch:
    """Return what arrow-odbc would give for the values, texts as the bytes that a server sends."""
    arrays = []
    for binding, values, field in zip(bindings, columns, schema(bindings), strict=True):
        encoding = {"utf-16": "utf-16-le", "utf-8": "utf-8"}.get(binding.type)
        sent = [v.encode(encoding, "surrogatepass") if encoding and v is not None else v for v in values]
        arrays.append(pa.array(sent, field.type))
    return pa.RecordBatch.from_arrays(arrays, [f"c{place}" for place in range(len(arrays))])


def pages(
    columns: list[tuple[str, Kind]],
    order: tuple[str, ...],
    bindings: Sequence[Binding],
    *batches: pa.RecordBatch,
) -> list[Page]:
    """Return the pages, each parsed once, so that a value which does not fit raises."""
    read = tuple(ReadColumn(name, "a type", kind) for name, kind in columns)
    collector = odbc._PageCollector(Query(TableName("s", "t"), read, order), bindings)
    collected = [*(page for one in batches for page in collector.add(one)), *collector.rest()]
    for page in collected:
        page.parse()
    return collected


TEXTS = ["", None, "a", 'q"u,o\nte', "é", "😀", "\ufeffx", "日本 ", "\\N", "NULL", "\r\n", None]


@pytest.mark.parametrize("values", [TEXTS, [t for t in TEXTS if t is None or t.isascii()], [None, None]])
def test_texts_arrive_as_they_are_and_null_apart_from_the_empty_one(values: list[str | None]):
    bindings = (NUMBER, TEXT)
    sent = batch(bindings, list(range(len(values))), values)
    for part in (sent, sent.slice(1)):
        (page,) = pages([("id", Kind("int64")), ("x", Kind("text"))], ("id",), bindings, part)
        assert page.table.column("x").to_pylist() == values[-part.num_rows :]
        assert page.position == (str(len(values) - 1),)


def test_numbers_and_bytes_arrive_bit_for_bit():
    bindings = (NUMBER, Binding("", "float64"), HEX, Binding("", "int32"))
    floats = [0.1, 5e-324, 1.7976931348623157e308, -0.0, None, 0.10000000149011612]
    binaries = [b"", b'\x00\xff"', None, b"abc", b"\n", b","]
    truths = [1, 0, None, 1, 0, 1]
    sent = batch(bindings, list(range(6)), floats, binaries, truths)
    columns = [("id", Kind("int64")), ("f", Kind("float64")), ("b", Kind("binary")), ("t", Kind("boolean"))]
    for part, start in ((sent, 0), (sent.slice(2), 2)):
        (page,) = pages(columns, ("b",), bindings, part)
        assert repr(page.table.column("f").to_pylist()) == repr(floats[start:])
        assert page.table.column("b").to_pylist() == binaries[start:]
        assert page.table.column("t").to_pylist() == [None if t is None else bool(t) for t in truths[start:]]
        assert page.position == ("2c",)
    single = pages([("f", Kind("float32"))], (), bindings[1:2], batch(bindings[1:2], [0.10000000149011612]))
    assert single[0].table.column("f").to_pylist() == [0.10000000149011612]


def test_days_arrive_as_dates_and_are_positions_in_the_form_of_dates():
    bindings = (Binding("", "days"), NUMBER)
    sent = batch(bindings, [0, None, -719_162, 2_932_896], [1, 2, 3, 4])
    columns = [("on", Kind("date")), ("id", Kind("int64"))]
    for end, position in ((1, "1970-01-01"), (3, "0001-01-01"), (4, "9999-12-31")):
        (page,) = pages(columns, ("on", "id"), bindings, sent.slice(0, end))
        dates = [date(1970, 1, 1), None, date(1, 1, 1), date(9999, 12, 31)]
        assert page.table.column("on").to_pylist() == dates[:end]
        assert page.position == (position, str(end))
    (page,) = pages(columns, ("id",), bindings, sent.slice(1, 1))
    assert page.table.column("on").to_pylist() == [None]
    assert [odbc._field_of(bindings[0], value) for value in (-719_162, None)] == [b"0001-01-01", None]


def test_decimals_arrive_with_the_digits_of_their_kind_and_are_positions_without_exponents():
    bindings = (Binding("", "decimal"), NUMBER)
    values = [Decimal("-0.5"), None, Decimal("0.00000001"), Decimal("123456789012")]
    sent = batch(bindings, values, [1, 2, 3, 4])
    columns = [("d", Kind("decimal", precision=38, scale=10)), ("id", Kind("int64"))]
    for end, position in ((1, "-0.50000000"), (3, "0.00000001"), (4, "123456789012.00000000")):
        (page,) = pages(columns, ("d", "id"), bindings, sent.slice(0, end))
        assert page.table.column("d").to_pylist() == values[:end]
        assert page.position == (position, str(end))
    assert [odbc._field_of(bindings[0], value) for value in (Decimal("1e-8"), None)] == [b"0.00000001", None]


@pytest.mark.parametrize(
    ("value", "fault"),
    [("0.001", "excess_digits"), ("100000000", "number_out_of_range"), ("-0.00000001", "excess_digits")],
)
def test_a_decimal_of_more_digits_than_planned_is_refused_or_counted_if_a_policy_makes_it_null(
    value: str, fault: Fault
):
    bindings, kind = (NUMBER, Binding("", "decimal")), Kind("decimal", precision=10, scale=2)
    sent = batch(bindings, [1, 2, 3], [Decimal("99999999.99"), Decimal(value), None])
    with pytest.raises(ValueRefused, match='column "d"'):
        pages([("id", Kind("int64")), ("d", kind)], ("id",), bindings, sent)
    policy = ReadColumn("d", "decimal(10,2)", kind, {fault: "null"})
    query = Query(TableName("s", "t"), (ReadColumn("id", "bigint", Kind("int64")), policy), ("id",))
    table, altered = odbc._parse([sent], query, bindings)
    assert table.column("d").to_pylist() == [Decimal("99999999.99"), None, None]
    assert dict(altered) == {("d", fault): 1}


@pytest.mark.parametrize("type", [pa.string(), pa.float64()])
def test_a_column_that_is_no_longer_a_decimal_is_not_read_as_one(type: pa.DataType):
    with pytest.raises(TableRefused, match=r'column "c0" of s\.t is no longer a decimal'):
        schema([Binding("t.[d]", "decimal")], type)


def test_a_day_before_the_first_year_is_refused():
    bindings = (Binding("", "days"), NUMBER)
    with pytest.raises(ValueRefused, match='column "on"'):
        pages(
            [("on", Kind("date")), ("id", Kind("int64"))],
            ("id",),
            bindings,
            batch(bindings, [-719_163, 0], [1, 2]),
        )


def test_a_time_is_truncated_to_the_warehouses_decimals_and_complete_in_a_position():
    bindings = (MOMENT, Binding("", "utf-8", 41))
    sent = batch(
        bindings,
        ["2024-01-01 00:00:00.1234567Z", None, "9999-12-31 23:59:59.9999999Z"],
        ["-0.5", "99999999999999999999.99", None],
    )
    kinds = [("at", Kind("timestamptz")), ("d", Kind("decimal", precision=38, scale=2))]
    (page,) = pages(kinds, ("at",), bindings, sent)
    assert page.table.column("at").to_pylist() == [
        datetime(2024, 1, 1, 0, 0, 0, 123_456, UTC),
        None,
        datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC),
    ]
    assert page.table.column("d").to_pylist() == [Decimal("-0.50"), Decimal("99999999999999999999.99"), None]
    assert page.position == ("9999-12-31 23:59:59.9999999Z",)


@pytest.mark.parametrize("value", ["a\ud83d", "\ude00b", "\ude00\ud83d"])
def test_a_lone_surrogate_is_refused_and_never_replaced(value: str):
    bindings = (NUMBER, TEXT)
    for values in (["a", value], [value, "b"]):
        with pytest.raises(ValueRefused, match='column "x"'):
            pages(
                [("id", Kind("int64")), ("x", Kind("text"))],
                ("id",),
                bindings,
                batch(bindings, [1, 2], values),
            )


def test_lone_surrogates_of_two_values_make_no_character():
    bindings = (NUMBER, TEXT)
    sent = batch(bindings, [1, 2], ["a\ud83d", "\ude00b"])
    with pytest.raises(ValueRefused, match='column "x"'):
        pages([("id", Kind("int64")), ("x", Kind("text"))], ("id",), bindings, sent)


def test_a_value_that_fills_its_buffer_counts_as_truncated():
    bindings = (NUMBER, TEXT, HEX)
    odbc._check_complete(batch(bindings, [1], ["a" * 9], [b"123456789"]), bindings, 19)
    for values in (["a" * 9, b""], ["", b"x" * 18]):
        with pytest.raises(odbc._ValueTooLong):
            odbc._check_complete(batch(bindings, [1], [values[0]], [values[1]]), bindings, 18)


def test_batches_are_collected_into_pages():
    bindings = (NUMBER, TEXT)
    one = batch(bindings, list(range(1_000)), ["x" * 1_500] * 1_000)
    columns = [("id", Kind("int64")), ("x", Kind("text"))]
    read = pages(columns, ("id",), bindings, *[one] * 12)
    assert [page.rows for page in read] == [1_000] * 12
    assert all(BLOCK_BYTES <= page.size_bytes < 2 * BLOCK_BYTES for page in read)
    assert read[0].position == ("999",)
    small = batch(bindings, list(range(1_000)), ["x"] * 1_000)
    assert [page.rows for page in pages(columns, ("id",), bindings, *[small] * 12)] == [12_000]
    assert pages(columns, ("id",), bindings, one.slice(0, 0)) == []


@pytest.mark.parametrize(("kind", "value"), [("int32", 2**31), ("boolean", 2)])
def test_a_number_that_its_kind_does_not_hold_is_refused(kind: KindName, value: int):
    bindings = (NUMBER, Binding("", "int64"))
    sent = batch(bindings, [1, 2], [1, value])
    with pytest.raises(ValueRefused, match='column "n"'):
        pages([("id", Kind("int64")), ("n", Kind(kind))], ("id",), bindings, sent)


def test_rows_read_one_by_one_are_the_records_of_rows_read_in_bulk():
    bindings = (NUMBER, TEXT, HEX, MOMENT)
    row = (7, 'é"'.encode("utf-16-le"), b"\x00\xff", b"2024-01-01 00:00:00.1234567Z")
    records = [odbc._field_of(binding, value) for binding, value in zip(bindings, row, strict=True)]
    assert records == [b"7", 'é"'.encode(), b"00ff", b"2024-01-01 00:00:00.1234567Z"]
    assert odbc._truncated_text(MOMENT, records[3]) == b"2024-01-01 00:00:00.123456Z"
    assert odbc._field_of(TEXT, None) is None


# --- errors -------------------------------------------------------------------------------------


class DriverError(Exception):
    """Like pyodbc's, which cannot be imported without a driver manager."""

    __module__ = "pyodbc"


NAMED = "[Microsoft][ODBC Driver 18 for SQL Server][SQL Server]"
MEANT = {
    ("42S02", "208"): "gone",
    ("42S22", "207"): "gone",
    ("42000", "229"): "forbidden",
    ("42000", "300"): "forbidden",
    ("28000", "18456"): "refused",
    ("42000", "4060"): "refused",
    ("HYT00", "0"): "cancelled",
    ("42000", "1222"): "cancelled",
    ("40001", "1205"): "broken",
    ("08S01", "10054"): "broken",
    ("08001", "-1"): "broken",
    ("HY000", "40613"): "broken",
    ("42000", "3952"): "unreadable",
    ("HY000", "10928"): "busy",
    ("42000", "102"): None,
    **{("HY000", code): "broken" for code in ("1204", "4221", "40143", "40540", "42108", "42109")},
    **{("HY000", code): "broken" for code in ("701", "8645", "8651")},
    **{("42000", code): "blocked" for code in ("40615", "40914", "47073")},
    ("42000", "911"): "refused",
    ("08001", "20"): "no TLS",
}


@pytest.mark.parametrize(("state", "native"), MEANT)
def test_an_error_of_sql_server_is_identified_by_its_number_and_its_state(state: str, native: str):
    dialect = Dialect(types.binding, sqlserver._select, error_codes.MEANINGS)
    assert odbc.meaning(dialect, ErrorCodes(state, native)) == MEANT[state, native]


OF_THE_USER = {
    **dict.fromkeys(("245", "241", "8114", "8169", "295"), "a value that is no value of its type"),
    **dict.fromkeys(("8115", "220", "232", "242", "517"), "a number or a time is out of range"),
    "8134": "a division by zero",
    "512": "more than one row",
    "4413": "is missing",
    "468": "collations",
    "102": "cannot be parsed",
    "50000": "a function raised an error",
    "8655": "rebuild it",
    "824": "its data are damaged",
    "31415": "fails in the source",  # a number that no list has
}


@pytest.mark.parametrize("state", ["42000", "22018", "22003", "HY000", "S0001"])
@pytest.mark.parametrize("native", OF_THE_USER)
def test_an_error_of_the_server_is_the_users_to_correct_and_never_internal(state: str, native: str):
    dialect = Dialect(
        types.binding, sqlserver._select, error_codes.MEANINGS, error_codes.REASONS, bugs=error_codes.BUGS
    )
    session = odbc.Session(dialect, "", "db:1433", (), 60)
    error = odbc._reduced(session, ErrorCodes(state, native), TableName("dbo", "v"))
    assert type(error) is TableRefused
    assert f"dbo.v fails in the source ({state}, {native}" in str(error)
    assert OF_THE_USER[native] in str(error)


@pytest.mark.parametrize(
    ("state", "native"), [("HY000", "0"), ("HY104", "0"), ("07006", "0"), ("42000", "8624")]
)
def test_a_fault_of_the_driver_or_of_the_query_processor_is_internal(state: str, native: str):
    dialect = Dialect(types.binding, sqlserver._select, error_codes.MEANINGS, bugs=error_codes.BUGS)
    session = odbc.Session(dialect, "", "db:1433", (), 60)
    assert type(odbc._reduced(session, ErrorCodes(state, native), None)) is InternalError


def test_a_view_over_a_missing_table_is_named_as_a_view(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(odbc, "_is_view", lambda session, table: table == TableName("dbo", "v"))
    dialect = Dialect(types.binding, sqlserver._select, error_codes.MEANINGS, error_codes.REASONS)
    session = odbc.Session(dialect, "", "db:1433", (), 60)
    messages = [
        str(odbc._reduced(session, ErrorCodes("42S02", "208"), TableName("dbo", name))) for name in ("v", "t")
    ]
    assert messages[0].startswith(
        "view dbo.v fails in the source (42S02, 208: a table that it reads does not"
    )
    assert messages[1] == "dbo.t, or one of its columns, no longer exists (42S02, 208)"


@pytest.mark.parametrize(
    "error",
    [
        DriverError(
            "42S02", f"[42S02] {NAMED}Invalid object name 'secret (7) (SQL)'. (208) (SQLExecDirectW)"
        ),
        RuntimeError(
            "ODBC emitted an error calling 'SQLExecDirect':\n"
            f"State: 42S02, Native error: 208, Message: {NAMED}Invalid object name 'secret'."
        ),
    ],
)
def test_an_error_is_its_codes_and_none_of_its_text(error: Exception):
    codes = odbc.error_codes(error)
    assert codes == ErrorCodes("42S02", "208")
    assert str(codes) == "42S02, 208"


SQL_CLIENT = "[Microsoft][ODBC Driver 18 for SQL Server]"
VERIFY = f"{SQL_CLIENT}SSL Provider: [error:0A000086:SSL routines::certificate verify failed"


@pytest.mark.parametrize(
    ("state", "native", "text", "advice"),
    [
        ("08001", "-1", f"{VERIFY}:subject name does not match host name]", "for another name"),
        ("08001", "-1", f"{VERIFY}:self-signed certificate]", "no trusted authority.*sslrootcert"),
        ("08001", "-1", f"{VERIFY}:certificate has expired]", "not valid now"),
        ("08001", "-1", f"{SQL_CLIENT}SSL Provider: [wrong version]", "check its TLS"),
        ("08001", "20", f"{SQL_CLIENT}The instance does not support encryption", "offers no TLS"),
        ("42000", "40615", f"{NAMED}Client with IP address is not allowed", "firewall.*allow it there"),
        ("42000", "911", f"{NAMED}Database does not exist", "no such database"),
        ("28000", "18456", f"{NAMED}Login failed for user", "wrong user name or password"),
        ("42000", "18487", f"{NAMED}The password has expired", "has expired"),
        ("08001", "258", f"{SQL_CLIENT}Login timeout", "cannot be reached"),
    ],
)
def test_a_refused_login_says_what_to_do_and_none_of_the_drivers_text(
    monkeypatch: pytest.MonkeyPatch, state: str, native: str, text: str, advice: str
):
    dialect = Dialect(sqlserver_types.binding, sqlserver._select, error_codes.MEANINGS, error_codes.REASONS)
    session = odbc.Session(dialect, "", "db:1433", (), 60)
    error = DriverError(state, f"[{state}] {text} ({native}) (SQLDriverConnect)")
    refused = odbc._refused(session, error)
    assert re.search(advice, str(refused)), refused
    assert text not in str(refused)
    assert (state if native == "-1" else native) in str(refused)


def test_without_the_odbc_parts_the_engine_says_how_to_add_them():
    code = (
        "import sys; sys.modules['pyodbc'] = None\n"
        "from tributary.engines.sqlserver import engine as sqlserver\n"
        "from tributary.secret import Secret\n"
        "try: sqlserver.connect(Secret(host='h', username='u', dbname='d'), statement_timeout_s=1)\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    package = str(Path(odbc.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": package}, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("ConfigError this engine needs the ODBC parts of the drivers layer")
    assert "make driver-sqlserver" in done.stdout
