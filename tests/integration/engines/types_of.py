"""Every supported type per engine: its kind, and literals at its limits with the value that must arrive.

The literals go in through the administrator's session, so that another path writes what ours reads.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

Values = list[tuple[str, Any]]

FIRST, LAST = datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999_999)
UUID = "01234567-89ab-4def-8123-456789abcdef"

POSTGRESQL: dict[str, tuple[str, Values]] = {
    "smallint": ("int16", [("-32768", -32768), ("32767", 32767), ("0", 0)]),
    "integer": ("int32", [("-2147483648", -(2**31)), ("2147483647", 2**31 - 1)]),
    "bigint": ("int64", [("-9223372036854775808", -(2**63)), ("9223372036854775807", 2**63 - 1)]),
    "numeric(10,2)": ("decimal", [("-99999999.99", Decimal("-99999999.99")), ("0.5", Decimal("0.50"))]),
    "numeric(38,0)": ("decimal", [("9" * 38, Decimal("9" * 38)), ("-" + "9" * 38, Decimal("-" + "9" * 38))]),
    "numeric(38,37)": ("decimal", [("9." + "9" * 37, Decimal("9." + "9" * 37))]),
    "numeric(3,-2)": ("decimal", [("99900", Decimal("99900")), ("-100", Decimal("-100"))]),
    "numeric(2,4)": ("decimal", [("0.0099", Decimal("0.0099"))]),
    "real": (
        "float32",
        [("16777216", 16777216.0), ("3.4028235e38", 3.4028234663852886e38), ("1e-45", 1.401298464324817e-45)],
    ),
    "double precision": (
        "float64",
        [
            ("0.1", 0.1),
            ("1.7976931348623157e308", 1.7976931348623157e308),
            ("5e-324", 5e-324),
            ("'Infinity'", float("inf")),
            ("1::float8/3", 1 / 3),
        ],
    ),
    "date": ("date", [("'0001-01-01'", date(1, 1, 1)), ("'9999-12-31'", date(9999, 12, 31))]),
    "timestamp": (
        "timestamp",
        [
            ("'0001-01-01'", FIRST),
            ("'9999-12-31 23:59:59.999999'", LAST),
            ("'2024-02-29 12:00:00.5'", datetime(2024, 2, 29, 12, 0, 0, 500000)),
        ],
    ),
    "timestamp(0)": ("timestamp", [("'2024-03-31 02:30:00'", datetime(2024, 3, 31, 2, 30))]),
    "timestamp with time zone": (
        "timestamptz",
        [
            ("'2024-07-01 12:00:00.000001+05:30'", datetime(2024, 7, 1, 6, 30, 0, 1, UTC)),
            ("'1900-01-01 00:00:00Z'", datetime(1900, 1, 1, tzinfo=UTC)),
        ],
    ),
    "boolean": ("boolean", [("true", True), ("false", False)]),
    "text": (
        "text",
        [("''", ""), ("E'a\\nb,\"c\"\\\\.'", 'a\nb,"c"\\.'), ("repeat('é', 32767)", "é" * 32767)],
    ),
    "character varying(20)": ("text", [("'trailing  '", "trailing  "), ("'\\N'", "\\N"), ("'NULL'", "NULL")]),
    "character(5)": ("text", [("'ab'", "ab   "), ("'😀😀😀😀😀'", "😀" * 5)]),
    "name": ("text", [("'a name'", "a name")]),
    "bytea": ("binary", [("''", b""), (r"'\x00ff22'", b"\x00\xff\x22"), (r"'\x5c78'", b"\\x")]),
    "uuid": ("uuid", [(f"'{UUID.upper()}'", UUID)]),
    "json": (
        "json",
        [('\'{"a":  [1, "\\u0041\\ud83e\\udd8a"]}\'', '{"a":  [1, "\\u0041\\ud83e\\udd8a"]}')],
    ),
    "jsonb": ("json", [('\'{"b":1,"a":null}\'', '{"a": null, "b": 1}')]),
    "mood": ("text", [("'sad'", "sad"), ("'o''k, \"x\"'", 'o\'k, "x"')]),
    "percentage": ("decimal", [("12.5", Decimal("12.50"))]),
    "half_percentage": ("decimal", [("12.5", Decimal("12.50"))]),
    "numeric": (
        "decimal",
        [
            ("9" * 28 + "." + "9" * 10, Decimal("9" * 28 + "." + "9" * 10)),
            ("-" + "9" * 28, Decimal("-" + "9" * 28)),
            ("1.5" + "0" * 30, Decimal("1.5")),
            ("0.0000000001", Decimal("0.0000000001")),
        ],
    ),
    "numeric(60,40)": (
        "decimal",
        [("9." + "9" * 37 + "000", Decimal("9." + "9" * 37)), ("-0.5", Decimal("-0.5"))],
    ),
    "numeric(50,10)": ("decimal", [("9" * 28 + ".5", Decimal("9" * 28 + ".5"))]),
    "money": (
        "decimal",
        [("'-92233720368547758.08'", Decimal("-92233720368547758.08")), ("1.5", Decimal("1.50"))],
    ),
    '"char"': ("text", [("'x'", "x"), ("'\"'", '"')]),
    "bpchar": ("text", [("'ab  '", "ab  ")]),
    "character": ("text", [("'a'", "a")]),
    "time": (
        "text",
        [("'12:30:00.000001'", "12:30:00.000001"), ("'24:00:00'", "24:00:00"), ("'00:00'", "00:00:00")],
    ),
    "time(0) with time zone": (
        "text",
        [("'12:30:00.4+02'", "12:30:00+02"), ("'00:00-15:59:59'", "00:00:00-15:59:59")],
    ),
    "interval": (
        "text",
        [
            ("'-1 year 2 mons -3 days 04:05:06.789'", "-10 mons -3 days +04:05:06.789"),
            (
                "'178000000 years 11 mons -2147483648 days -2562047788:00:54.775807'",
                "178000000 years 11 mons -2147483648 days -2562047788:00:54.775807",
            ),
            ("'0'", "00:00:00"),
        ],
    ),
    "interval year to month": ("text", [("'14'", "1 year 2 mons")]),
    "bit(1)": ("text", [("B'1'", "1"), ("B'0'", "0")]),
    "bit(9)": ("text", [("B'100000001'", "100000001")]),
    "bit varying": ("text", [("B''", ""), ("B'0101'", "0101")]),
    "point": ("text", [("'(0.1,-1e300)'", "(0.1,-1e+300)")]),
    "line": ("text", [("'{1,-1,0}'", "{1,-1,0}")]),
    "lseg": ("text", [("'[(0,0),(1,1)]'", "[(0,0),(1,1)]")]),
    "box": ("text", [("'(0,0),(1,1)'", "(1,1),(0,0)")]),
    "path": ("text", [("'[(0,0),(1,1)]'", "[(0,0),(1,1)]")]),
    "polygon": ("text", [("'((0,0),(1,1),(1,0))'", "((0,0),(1,1),(1,0))")]),
    "circle": ("text", [("'<(0,0),2.5>'", "<(0,0),2.5>")]),
    "inet": ("text", [("'192.168.0.1'", "192.168.0.1"), ("'::ffff:1.2.3.4/96'", "::ffff:1.2.3.4/96")]),
    "cidr": ("text", [("'10.0.0.0/8'", "10.0.0.0/8")]),
    "macaddr": ("text", [("'08-00-2b-01-02-03'", "08:00:2b:01:02:03")]),
    "macaddr8": ("text", [("'08002b0102030405'", "08:00:2b:01:02:03:04:05")]),
    "tsvector": ("text", [("'a fat cat:2A'", "'a' 'cat':2A 'fat'")]),
    "tsquery": ("text", [("'fat & !cat'", "'fat' & !'cat'")]),
    "jsonpath": ("text", [("'$.a[*] ? (@ > 1)'", '$."a"[*]?(@ > 1)')]),
    "int4range": ("text", [("'[1,9]'", "[1,10)"), ("'empty'", "empty")]),
    "tstzrange": ("text", [("'[2024-01-01 00:00+02,)'", '["2023-12-31 22:00:00+00",)')]),
    "datemultirange": ("text", [("'{[2024-01-01,2024-01-03)}'", "{[2024-01-01,2024-01-03)}")]),
    "integer[]": (
        "json",
        [("'{1,NULL,3}'", "[1,null,3]"), ("'{{1,2},{3,4}}'", "[[1,2],[3,4]]"), ("'{}'", "[]")],
    ),
    "text[]": ("json", [("ARRAY['a\"b', NULL, 'ü, ']", '["a\\"b",null,"ü, "]')]),
    "float8[]": ("json", [("'{0.1,NaN,1e300}'", '[0.1,"NaN",1e+300]')]),
    "mood[]": ("json", [("'{sad}'", '["sad"]')]),
    "pair": ("json", [("ROW(1, 'x\"y')", '{"left":1,"right":"x\\"y"}')]),
    "hstore": ("json", [("'a=>1, b=>NULL'", '{"a": "1", "b": null}')]),
    "citext": ("text", [("'Ab'", "Ab")]),
    "ltree": ("text", [("'a.b.c'", "a.b.c")]),
    "oid": ("int64", [("4294967295", 2**32 - 1)]),
    "regclass": ("text", [("'pg_class'", "pg_class"), ("'12345678'", "12345678")]),
    "regrole": ("text", [("'postgres'", "postgres")]),
    "xid": ("int64", [("'4294967295'", 2**32 - 1)]),
    "xid8": ("decimal", [("'18446744073709551615'", Decimal(2**64 - 1))]),
    "tid": ("text", [("'(42,7)'", "(42,7)")]),
    "pg_lsn": ("text", [("'FFFFFFFF/FFFFFFFF'", "FFFFFFFF/FFFFFFFF")]),
    "pg_snapshot": ("text", [("'10:20:10,14'", "10:20:10,14")]),
    "aclitem": ("text", [("'postgres=r/postgres'", "postgres=r/postgres")]),
    "int2vector": ("text", [("'1 2 3'", "1 2 3")]),
    "serial_day": ("date", [("'2024-02-29'", date(2024, 2, 29))]),
}
POSTGRESQL_FIRST = [
    "CREATE TYPE mood AS ENUM ('sad', 'o''k, \"x\"', 'happy')",
    "CREATE DOMAIN percentage AS numeric(5,2) CHECK (VALUE >= 0)",
    "CREATE DOMAIN half_percentage AS percentage CHECK (VALUE <= 50)",
    "CREATE DOMAIN serial_day AS date",
    'CREATE TYPE pair AS ("left" int, "right" text)',
    *(f"CREATE EXTENSION {name}" for name in ("hstore", "citext", "ltree")),
]

MYSQL: dict[str, tuple[str, Values]] = {
    "tinyint(1)": ("int16", [("-128", -128), ("127", 127), ("true", 1)]),
    "tinyint unsigned": ("int16", [("255", 255)]),
    "smallint": ("int16", [("-32768", -32768)]),
    "smallint unsigned": ("int32", [("65535", 65535)]),
    "mediumint unsigned": ("int32", [("16777215", 2**24 - 1)]),
    "int": ("int32", [("-2147483648", -(2**31))]),
    "int unsigned": ("int64", [("4294967295", 2**32 - 1)]),
    "int(8) zerofill": ("int64", [("42", 42)]),
    "bigint": ("int64", [("-9223372036854775808", -(2**63)), ("9223372036854775807", 2**63 - 1)]),
    "bigint unsigned": ("decimal", [("18446744073709551615", Decimal(2**64 - 1)), ("0", Decimal(0))]),
    "decimal(10,2)": ("decimal", [("-99999999.99", Decimal("-99999999.99")), ("0.5", Decimal("0.50"))]),
    "decimal(38,30)": (
        "decimal",
        [("12345678.000000000000000000000000000001", Decimal("12345678." + "0" * 29 + "1"))],
    ),
    "float": (
        "float32",
        [
            ("16777216", 16777216.0),
            ("3.402823466e38", 3.4028234663852886e38),
            ("0.1", 0.10000000149011612),
            ("-0e0", -0.0),
        ],
    ),
    "float(7,2)": ("float32", [("12345.67", 12345.669921875)]),
    "double": (
        "float64",
        [("0.1", 0.1), ("1.7976931348623157e308", 1.7976931348623157e308), ("1/3e0", 1 / 3)],
    ),
    "date": ("date", [("'0001-01-01'", date(1, 1, 1)), ("'9999-12-31'", date(9999, 12, 31))]),
    "datetime": ("timestamp", [("'2024-03-31 02:30:00'", datetime(2024, 3, 31, 2, 30))]),
    "datetime(6)": (
        "timestamp",
        [("'1000-01-01'", datetime(1000, 1, 1)), ("'9999-12-31 23:59:59.999999'", LAST)],
    ),
    "timestamp": ("timestamptz", [("'2024-07-01 12:00:00'", datetime(2024, 7, 1, 6, 30, tzinfo=UTC))]),
    "timestamp(6)": (
        "timestamptz",
        [("'2024-10-27 01:30:00.000001'", datetime(2024, 10, 26, 20, 0, 0, 1, UTC))],
    ),
    "text": ("text", [("''", ""), ("'a\nb,\"c\"'", 'a\nb,"c"'), ("repeat('é', 32767)", "é" * 32767)]),
    "varchar(20)": ("text", [("'trailing  '", "trailing  "), ("'\\\\N'", "\\N"), ("'NULL'", "NULL")]),
    "varchar(20) CHARACTER SET latin1": ("text", [("'ÿé\"'", 'ÿé"')]),
    "varchar(20) CHARACTER SET utf16": ("text", [("'😀'", "😀")]),
    "char(5)": ("text", [("'ab'", "ab"), ("'😀😀😀😀😀'", "😀" * 5)]),
    "mediumtext": ("text", [("'x'", "x")]),
    "tinytext": ("text", [("'x'", "x")]),
    "longtext": ("text", [("'x'", "x")]),
    "decimal(65,30)": ("decimal", [("99999999." + "9" * 30, Decimal("99999999." + "9" * 30))]),
    "decimal(65,0)": ("decimal", [("9" * 38, Decimal("9" * 38))]),
    "bit(1)": ("int16", [("b'1'", 1), ("b'0'", 0)]),
    "bit(15)": ("int16", [("32767", 32767)]),
    "bit(64)": ("decimal", [("18446744073709551615", Decimal(2**64 - 1)), ("0", Decimal(0))]),
    "time": (
        "text",
        [("'-838:59:59'", "-838:59:59"), ("'838:59:59'", "838:59:59"), ("'00:00:01'", "00:00:01")],
    ),
    "time(6)": ("text", [("'-00:00:00.000001'", "-00:00:00.000001"), ("'12:30:00.5'", "12:30:00.500000")]),
    "year": ("int16", [("2024", 2024), ("1901", 1901), ("'0000'", 0), ("2155", 2155)]),
    "geometry": (
        "text",
        [
            (
                "ST_GeomFromText('POINT(0.1 -2)', 4326)",
                "E6100000" + "0101000000" + "9A9999999999B93F" + "00000000000000C0",
            )
        ],
    ),
    "point": ("text", [("POINT(1, 2)", "00000000" + "0101000000" + "000000000000F03F" + "0000000000000040")]),
    "inet6": ("text", [("'::ffff:1.2.3.4'", "::ffff:1.2.3.4"), ("'2001:db8::1'", "2001:db8::1")]),
    "inet4": ("text", [("'192.168.0.1'", "192.168.0.1")]),
    "json": ("text", [('\'{"a":  "\\\\u0000"}\'', '{"a":  "\\u0000"}')]),
    "varbinary(9)": ("binary", [("''", b""), ("x'00ff22'", b"\x00\xff\x22"), ("'a '", b"a ")]),
    "binary(3)": ("binary", [("x'01'", b"\x01\x00\x00")]),
    "blob": ("binary", [("x'ff'", b"\xff")]),
    "enum('a','b,''\"')": ("text", [("'b,''\"'", "b,'\""), ("'a'", "a")]),
    "set('x','y')": ("text", [("'x,y'", "x,y"), ("''", "")]),
    "uuid": ("uuid", [(f"'{UUID.upper()}'", UUID)]),
}
MYSQL_FIRST = ["SET time_zone = '+05:30'"]

SQLITE: dict[str, tuple[str, Values]] = {
    "INTEGER": ("int64", [("-9223372036854775808", -(2**63)), ("9223372036854775807", 2**63 - 1)]),
    "bigint": ("int64", [("1", 1)]),
    "DECIMAL(10,2)": (
        "decimal",
        [("-99999999.99", Decimal("-99999999.99")), ("3", Decimal("3.00")), ("'0.1'", Decimal("0.10"))],
    ),
    "NUMERIC(20)": ("decimal", [("9007199254740993", Decimal(9007199254740993))]),
    "REAL": (
        "float64",
        [
            ("0.1", 0.1),
            ("1.7976931348623157e308", 1.7976931348623157e308),
            ("3", 3.0),
            ("9e999", float("inf")),
        ],
    ),
    "TEXT": ("text", [("''", ""), ("'a\nb,\"c\"'", 'a\nb,"c"')]),
    "varchar(20)": ("text", [("'trailing  '", "trailing  "), ("'NULL'", "NULL")]),
    "DATE": ("date", [("'0001-01-01'", date(1, 1, 1)), ("'9999-12-31'", date(9999, 12, 31))]),
    "DATETIME": (
        "timestamp",
        [
            ("'9999-12-31 23:59:59.999999'", LAST),
            ("'2024-01-01T10:00:00'", datetime(2024, 1, 1, 10)),
            ("'2024-01-01'", datetime(2024, 1, 1)),
        ],
    ),
    "BOOLEAN": ("boolean", [("0", False), ("1", True)]),
    "UNSIGNED BIG INT": ("int64", [("7", 7)]),
    "NUMERIC": ("decimal", [("1.5", Decimal("1.5")), ("9223372036854775807", Decimal(2**63 - 1))]),
    "VARYING CHARACTER(9)": ("text", [("'ab'", "ab")]),
    "TIME": ("text", [("'12:30'", "12:30")]),
    "JSON": ("json", [("'{\"a\":  [1]}'", '{"a":  [1]}')]),
    "BLOB": ("binary", [("x''", b""), ("x'00ff22'", b"\x00\xff\x22")]),
}

SQLSERVER: dict[str, tuple[str, Values]] = {
    "bit": ("boolean", [("0", False), ("1", True)]),
    "tinyint": ("int16", [("0", 0), ("255", 255)]),
    "smallint": ("int16", [("-32768", -32768), ("32767", 32767)]),
    "int": ("int32", [("-2147483648", -(2**31)), ("2147483647", 2**31 - 1)]),
    "bigint": ("int64", [("-9223372036854775808", -(2**63)), ("9223372036854775807", 2**63 - 1)]),
    "decimal(10,2)": ("decimal", [("-99999999.99", Decimal("-99999999.99")), ("0.5", Decimal("0.50"))]),
    "numeric(38,0)": ("decimal", [("9" * 38, Decimal("9" * 38)), ("-" + "9" * 38, Decimal("-" + "9" * 38))]),
    "decimal(38,37)": ("decimal", [("9." + "9" * 37, Decimal("9." + "9" * 37))]),
    "money": (
        "decimal",
        [
            ("-922337203685477.5808", Decimal("-922337203685477.5808")),
            ("922337203685477.5807", Decimal("922337203685477.5807")),
        ],
    ),
    "smallmoney": ("decimal", [("-214748.3648", Decimal("-214748.3648"))]),
    "float": (
        "float64",
        [("0.1e0", 0.1), ("1.7976931348623157e308", 1.7976931348623157e308), ("1/3e0", 1 / 3)],
    ),
    "real": (
        "float32",
        [("16777216", 16777216.0), ("0.1", 0.10000000149011612), ("3.4e38", 3.3999999521443642e38)],
    ),
    "date": ("date", [("'0001-01-01'", date(1, 1, 1)), ("'9999-12-31'", date(9999, 12, 31))]),
    "time(7)": ("text", [("'23:59:59.9999999'", "23:59:59.9999999"), ("'00:00'", "00:00:00.0000000")]),
    "time(0)": ("text", [("'23:59:59'", "23:59:59")]),
    "smalldatetime": ("timestamp", [("'2079-06-06T23:59:00'", datetime(2079, 6, 6, 23, 59))]),
    "datetime": (
        "timestamp",
        [
            ("'1753-01-01T00:00:00'", datetime(1753, 1, 1)),
            ("'9999-12-31T23:59:59.997'", datetime(9999, 12, 31, 23, 59, 59, 997_000)),
            ("'2024-01-01T00:00:00.003'", datetime(2024, 1, 1, 0, 0, 0, 3_000)),
        ],
    ),
    "datetime2(7)": (
        "timestamp",
        [("'0001-01-01'", FIRST), ("'9999-12-31 23:59:59.9999999'", LAST)],
    ),
    "datetime2(0)": ("timestamp", [("'2024-03-31 02:30:00'", datetime(2024, 3, 31, 2, 30))]),
    "datetimeoffset(7)": (
        "timestamptz",
        [
            ("'2024-07-01 12:00:00.0000019+05:30'", datetime(2024, 7, 1, 6, 30, 0, 1, UTC)),
            ("'1900-01-01 00:00:00Z'", datetime(1900, 1, 1, tzinfo=UTC)),
        ],
    ),
    "char(5)": ("text", [("'ab'", "ab   ")]),
    "varchar(20)": ("text", [("'trailing  '", "trailing  "), ("'NULL'", "NULL")]),
    "varchar(20) COLLATE Cyrillic_General_CI_AS": ("text", [("N'Ж\"'", 'Ж"')]),
    "varchar(8000)": ("text", [("REPLICATE('x', 8000)", "x" * 8000)]),
    "varchar(max)": ("text", [("REPLICATE(CAST('x' AS varchar(max)), 65535)", "x" * 65535)]),
    "nchar(5)": ("text", [("N'é'", "é    ")]),
    "nvarchar(20)": ("text", [("N'😀日本'", "😀日本"), ("N''", "")]),
    "nvarchar(max)": ("text", [("REPLICATE(CAST(N'é' AS nvarchar(max)), 32767)", "é" * 32767)]),
    "text": ("text", [("'a'", "a")]),
    "ntext": ("text", [("N'日本'", "日本")]),
    "binary(3)": ("binary", [("0x01", b"\x01\x00\x00")]),
    "varbinary(9)": ("binary", [("0x", b""), ("0x00ff22", b"\x00\xff\x22")]),
    "varbinary(max)": ("binary", [("0xff", b"\xff")]),
    "image": ("binary", [("0xff", b"\xff")]),
    "uniqueidentifier": ("uuid", [(f"'{UUID.upper()}'", UUID)]),
    "xml": ("text", [("N'<a>é</a>'", "<a>é</a>")]),
    "hierarchyid": ("text", [("'/1/3/'", "/1/3/")]),
    "geometry": ("text", [("geometry::STGeomFromText('POINT (1 2)', 0)", "SRID=0;POINT (1 2)")]),
    "geography": ("text", [("geography::Point(1, 2, 4326)", "SRID=4326;POINT (2 1)")]),
}

DUCKDB: dict[str, tuple[str, Values]] = {
    "TINYINT": ("int16", [("-128", -128), ("127", 127)]),
    "SMALLINT": ("int16", [("-32768", -32768)]),
    "INTEGER": ("int32", [("-2147483648", -(2**31)), ("2147483647", 2**31 - 1)]),
    "BIGINT": ("int64", [("-9223372036854775808", -(2**63)), ("9223372036854775807", 2**63 - 1)]),
    "UTINYINT": ("int16", [("255", 255)]),
    "USMALLINT": ("int32", [("65535", 65535)]),
    "UINTEGER": ("int64", [("4294967295", 2**32 - 1)]),
    "UBIGINT": ("decimal", [("18446744073709551615", Decimal(2**64 - 1))]),
    "HUGEINT": ("decimal", [("9" * 38, Decimal("9" * 38)), ("-" + "9" * 38, Decimal("-" + "9" * 38))]),
    "UHUGEINT": ("decimal", [("1" + "0" * 37, Decimal("1" + "0" * 37))]),
    "DECIMAL(10,2)": ("decimal", [("-99999999.99", Decimal("-99999999.99")), ("0.5", Decimal("0.50"))]),
    "DECIMAL(38,0)": ("decimal", [("9" * 38, Decimal("9" * 38))]),
    "DECIMAL(38,37)": ("decimal", [("9." + "9" * 37, Decimal("9." + "9" * 37))]),
    "FLOAT": (
        "float32",
        [("16777216", 16777216.0), ("0.1", 0.10000000149011612), ("1e-45", 1.401298464324817e-45)],
    ),
    "DOUBLE": (
        "float64",
        [("0.1", 0.1), ("1.7976931348623157e308", 1.7976931348623157e308), ("'inf'", float("inf"))],
    ),
    "BOOLEAN": ("boolean", [("true", True), ("false", False)]),
    "DATE": ("date", [("'0001-01-01'", date(1, 1, 1)), ("'9999-12-31'", date(9999, 12, 31))]),
    "TIMESTAMP": (
        "timestamp",
        [("'0001-01-01'", FIRST), ("'9999-12-31 23:59:59.999999'", LAST)],
    ),
    "TIMESTAMP_S": ("timestamp", [("'2024-03-31 02:30:00'", datetime(2024, 3, 31, 2, 30))]),
    "TIMESTAMP_MS": ("timestamp", [("'2024-03-31 02:30:00.003'", datetime(2024, 3, 31, 2, 30, 0, 3_000))]),
    "TIMESTAMP_NS": ("timestamp", [("'2024-03-31 02:30:00.000003'", datetime(2024, 3, 31, 2, 30, 0, 3))]),
    "TIMESTAMP WITH TIME ZONE": (
        "timestamptz",
        [
            ("'2024-07-01 12:00:00.000001+05:30'", datetime(2024, 7, 1, 6, 30, 0, 1, UTC)),
            ("'1900-01-01 00:00:00Z'", datetime(1900, 1, 1, tzinfo=UTC)),
        ],
    ),
    "TIME": ("text", [("'12:30:00.000001'", "12:30:00.000001")]),
    "INTERVAL": ("text", [("INTERVAL 1 MONTH", "1 month")]),
    "VARCHAR": (
        "text",
        [("''", ""), ("'NULL'", "NULL"), ("'trailing  '", "trailing  "), ("repeat('é', 32767)", "é" * 32767)],
    ),
    "BLOB": ("binary", [("''::BLOB", b""), ("unhex('00ff22')", b"\x00\xff\x22")]),
    "UUID": ("uuid", [(f"'{UUID.upper()}'", UUID)]),
    "BIT": ("text", [("'0101'::BIT", "0101")]),
    "ENUM('sad', 'ok')": ("text", [("'ok'", "ok")]),
    "JSON": ("json", [("'{\"a\":  [1]}'", '{"a":  [1]}')]),
    "INTEGER[]": ("json", [("[1, NULL]", "[1,null]"), ("[]", "[]")]),
    "INTEGER[2]": ("json", [("[1, 2]", "[1,2]")]),
    "STRUCT(a INTEGER, b VARCHAR)": ("json", [("{'a': 1, 'b': 'x\"y'}", '{"a":1,"b":"x\\"y"}')]),
    "MAP(VARCHAR, INTEGER)": ("json", [("MAP {'a': 1}", '{"a":1}')]),
}

TYPES = {
    "postgresql": POSTGRESQL,
    "mysql": MYSQL,
    "sqlite": SQLITE,
    "sqlserver": SQLSERVER,
    "duckdb": DUCKDB,
}
FIRST_STATEMENTS: dict[str, list[str]] = {
    "postgresql": POSTGRESQL_FIRST,
    "mysql": MYSQL_FIRST,
    "sqlite": [],
    "duckdb": [],
    "sqlserver": [],
}
CASES = {f"{engine}: {type}": (engine, type) for engine, types in TYPES.items() for type in types}
