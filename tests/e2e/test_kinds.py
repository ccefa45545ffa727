"""Every kind of an ordinary table, exact from the source's literal to the warehouse's value."""

from __future__ import annotations

import json

import pytest

from .company import Company, Source
from .compare import SERVERS, full_name, only_table

TEXT = "two\nlines\r\n'single' \"double\" \\back, ü 日本 🦊 "
LITERAL = "'two\nlines\r\n''single'' \"double\" \\back, ü 日本 🦊 '"
DOCUMENT = {"a": [1, 2.5, None, True], 'ü "q" \'': {"b": "🦊"}}
JSON = "'" + json.dumps(DOCUMENT, ensure_ascii=False).replace("'", "''") + "'"


def arrived(source: Source, columns: dict[str, tuple[str, list[tuple[str, object]]]]) -> None:
    """Load a table of one column for each entry, and hold every value against what is expected."""
    count = max(len(values) for _, values in columns.values())
    source.sql(
        "SELECT 1" if source.engine != "mysql" else "SET sql_mode = 'NO_BACKSLASH_ESCAPES'",
        f"CREATE TABLE kinds (id int NOT NULL PRIMARY KEY, "
        f"{', '.join(f'{name} {type} NULL' for name, (type, _) in columns.items())})",
        *(
            f"INSERT INTO kinds VALUES ({number}, "
            + ", ".join(
                values[number][0] if number < len(values) else "NULL" for _, values in columns.values()
            )
            + ")"
            for number in range(count + 1)  # the last row is NULL in every column
        ),
    )
    source.file(f"tables: [{{name: {full_name(source, 'kinds')}, mode: replace}}]")
    only_table(source.run())
    for name, (_, values) in columns.items():
        expected = [value for _, value in values] + [None] * (count + 1 - len(values))
        cells = [row[0] for row in source.loaded("kinds", f"{name}, id", "id")]
        if name == "document":
            cells = [None if value is None else json.loads(value) for value in cells]
        assert (name, cells) == (name, expected)


def test_postgresqls_values_arrive_exactly(company: Company) -> None:
    arrived(
        company.source("postgresql"),
        {
            "small": ("smallint", [("-32768", -32768), ("32767", 32767), ("0", 0)]),
            "whole": ("integer", [("-2147483648", -2147483648), ("2147483647", 2147483647)]),
            "big": (
                "bigint",
                [("-9223372036854775808", -(2**63)), ("9223372036854775807", 2**63 - 1)],
            ),
            "money_": (
                "numeric(10,2)",
                [("-99999999.99", "-99999999.99"), ("0.1", "0.10"), ("99999999.99", "99999999.99")],
            ),
            "widest": ("numeric(38,0)", [("9" * 38, "9" * 38), ("-" + "9" * 38, "-" + "9" * 38)]),
            "finest": ("numeric(38,37)", [("1." + "3" * 37, "1." + "3" * 37)]),
            "single": (
                "real",
                [("0.1", 0.1), ("'NaN'", "NaN"), ("'Infinity'", "Infinity"), ("3.4028235e38", 3.4028235e38)],
            ),
            "double_": (
                "double precision",
                [
                    ("0.1", 0.1),
                    ("0.30000000000000004", 0.30000000000000004),
                    ("1.7976931348623157e308", 1.7976931348623157e308),
                    ("'-Infinity'", "-Infinity"),
                    ("'NaN'", "NaN"),
                ],
            ),
            "flag": ("boolean", [("true", True), ("false", False)]),
            "day": ("date", [("'0001-01-01'", "0001-01-01"), ("'9999-12-31'", "9999-12-31")]),
            "naive": (
                "timestamp",
                [
                    ("'2026-10-25 02:30:00.123456'", "2026-10-25 02:30:00.123456"),
                    ("'1969-12-31 23:59:59.999999'", "1969-12-31 23:59:59.999999"),
                    ("'0001-01-01 00:00:00'", "0001-01-01 00:00:00"),
                ],
            ),
            "zoned": (
                "timestamptz",
                [
                    ("'2026-10-25 02:30:00.123456+02'", "2026-10-25 00:30:00.123456+00"),
                    ("'2026-10-25 02:30:00+01'", "2026-10-25 01:30:00+00"),
                ],
            ),
            "text_": ("text", [(LITERAL, TEXT), ("''", ""), ("'NULL'", "NULL"), ("'\\N'", "\\N")]),
            "limited": ("varchar(3)", [("'🦊🦊🦊'", "🦊🦊🦊"), ("''", ""), ("' a '", " a ")]),
            "binary_": ("bytea", [("'\\x00ff275c0a'", "00ff275c0a"), ("''", "")]),
            "unique_": (
                "uuid",
                [("'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")],
            ),
            "document": ("jsonb", [(JSON, DOCUMENT), ("'[]'", []), ("'\"text\"'", "text"), ("'7'", 7)]),
        },
    )


@pytest.mark.parametrize("engine", SERVERS[1:])
def test_mariadbs_values_arrive_exactly(company: Company, engine: str) -> None:
    arrived(
        company.source(engine),
        {
            "tiny": ("tinyint(1)", [("-128", -128), ("127", 127), ("1", 1)]),
            "small": ("smallint unsigned", [("65535", 65535), ("0", 0)]),
            "medium_": ("mediumint", [("-8388608", -8388608), ("8388607", 8388607)]),
            "whole": ("int unsigned", [("4294967295", 4294967295)]),
            "big": ("bigint", [("-9223372036854775808", -(2**63)), ("9223372036854775807", 2**63 - 1)]),
            "bigger": ("bigint unsigned", [("18446744073709551615", "18446744073709551615")]),
            "money_": ("decimal(10,2)", [("-99999999.99", "-99999999.99"), ("0.1", "0.10")]),
            "widest": ("decimal(38,0)", [("9" * 38, "9" * 38), ("-" + "9" * 38, "-" + "9" * 38)]),
            "single": ("float", [("0.1", 0.1), ("16777217", 16777216.0)]),
            "double_": (
                "double",
                [
                    ("0.1", 0.1),
                    ("0.30000000000000004", 0.30000000000000004),
                    ("1.7976931348623157e308", 1.7976931348623157e308),
                ],
            ),
            "day": ("date", [("'1000-01-01'", "1000-01-01"), ("'9999-12-31'", "9999-12-31")]),
            "naive": (
                "datetime(6)",
                [
                    ("'2026-10-25 02:30:00.123456'", "2026-10-25 02:30:00.123456"),
                    ("'1000-01-01 00:00:00'", "1000-01-01 00:00:00"),
                ],
            ),
            "zoned": (
                "timestamp(6)",
                [("'2026-10-25 02:30:00.123456'", "2026-10-25 02:30:00.123456+00")],
            ),
            "text_": (
                "longtext",
                [(LITERAL, TEXT), ("''", ""), ("'NULL'", "NULL"), ("'\\N'", "\\N")],
            ),
            "limited": ("varchar(3)", [("'🦊🦊🦊'", "🦊🦊🦊"), ("''", ""), ("' a '", " a ")]),
            "foreign_": ("varchar(9) CHARACTER SET latin1", [("'ü€ß'", "ü€ß")]),
            "label": ("enum('a','b c')", [("'b c'", "b c"), ("'a'", "a")]),
            "labels": ("set('x','y')", [("'x,y'", "x,y"), ("''", "")]),
            "binary_": ("blob", [("x'00ff275c0a'", "00ff275c0a"), ("''", "")]),
            "fixed": ("binary(3)", [("x'6100'", "610000")]),
            "unique_": (
                "uuid",
                [("'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")],
            ),
        },
    )


def test_sqlites_values_arrive_exactly(company: Company) -> None:
    arrived(
        company.source("sqlite"),
        {
            "whole": ("integer", [("-9223372036854775808", -(2**63)), ("9223372036854775807", 2**63 - 1)]),
            "money_": ("decimal(10,2)", [("-99999999.99", "-99999999.99"), ("0.1", "0.10"), ("7", "7.00")]),
            "double_": ("real", [("0.1", 0.1), ("0.30000000000000004", 0.30000000000000004), ("7", 7.0)]),
            "flag": ("boolean", [("1", True), ("0", False)]),
            "day": ("date", [("'0001-01-01'", "0001-01-01"), ("'9999-12-31'", "9999-12-31")]),
            "naive": ("datetime", [("'2026-10-25 02:30:00.123456'", "2026-10-25 02:30:00.123456")]),
            "text_": ("text", [(LITERAL, TEXT), ("''", ""), ("'NULL'", "NULL"), ("'7'", "7")]),
            "binary_": ("blob", [("x'00ff275c0a'", "00ff275c0a"), ("x''", "")]),
        },
    )
