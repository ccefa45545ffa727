"""Writes docs/types.md from the code: every type of each engine's manual, and what becomes of it.

The lists are the manuals' own chapters, each entry with the type as the engine's catalog spells it;
everything else on the page is asked of the engines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol, cast

from tributary.engines.generic import dialects
from tributary.engines.generic import types as generic_types
from tributary.engines.mysql import types as mysql_types
from tributary.engines.postgresql import types as postgresql_types
from tributary.engines.sqlite import types as sqlite_types
from tributary.engines.sqlserver import types as sqlserver_types
from tributary.errors import UnsupportedType
from tributary.model import value_policies
from tributary.model.source_catalog import SourceColumn
from tributary.model.types import Kind, KindName, warehouse
from tributary.redshift.text_sizes import SIZES

PAGE = Path(__file__).with_name("types.md")
GENERIC_PAGE = Path(__file__).with_name("types-sqlalchemy.md")

Chapters = dict[str, dict[str, str]]  # chapter -> the manual's name of a type -> the catalog's

# https://www.postgresql.org/docs/current/datatype.html
POSTGRESQL: Chapters = {
    "Numeric": {
        "smallint, smallserial": "smallint",
        "integer, serial": "integer",
        "bigint, bigserial": "bigint",
        "numeric(p,s), decimal(p,s)": "numeric(10,2)",
        "numeric without precision": "numeric",
        "numeric of more than 38 digits": "numeric(50,10)",
        "real": "real",
        "double precision, float": "double precision",
    },
    "Monetary": {"money": "money"},
    "Character": {
        "character varying(n)": "character varying(20)",
        "character varying, text": "text",
        "character(n)": "character(20)",
        "bpchar": "bpchar",
        '"char"': '"char"',
        "name": "name",
    },
    "Binary": {"bytea": "bytea"},
    "Date and time": {
        name: name
        for name in (
            "timestamp without time zone",
            "timestamp with time zone",
            "date",
            "time without time zone",
            "time with time zone",
            "interval",
        )
    },
    "Boolean": {"boolean": "boolean"},
    "Enumerated": {"enum": "enum public.mood"},
    "Geometric": {name: name for name in ("point", "line", "lseg", "box", "path", "polygon", "circle")},
    "Network addresses": {name: name for name in ("cidr", "inet", "macaddr", "macaddr8")},
    "Bit strings": {"bit(n)": "bit(9)", "bit varying(n)": "bit varying(9)", "bit varying": "bit varying"},
    "Text search": {name: name for name in ("tsvector", "tsquery")},
    "UUID": {"uuid": "uuid"},
    "XML": {"xml": "xml"},
    "JSON": {name: name for name in ("json", "jsonb", "jsonpath")},
    "Arrays": {"any array, such as integer[]": "array integer[]"},
    "Composite": {"any composite type": "composite public.pair"},
    "Ranges": {
        "int4range, int8range, numrange, tsrange, tstzrange, daterange, and your own": "range int4range",
        "their multiranges": "multirange int4multirange",
    },
    "Domains": {"a domain: as the type that it is made of, such as numeric(5,2)": "numeric(5,2)"},
    "Object identifiers": {
        name: name
        for name in (
            *("oid", "regclass", "regcollation", "regconfig", "regdictionary", "regnamespace", "regoper"),
            *("regoperator", "regproc", "regprocedure", "regrole", "regtype", "xid", "xid8", "cid", "tid"),
        )
    },
    "pg_lsn": {"pg_lsn": "pg_lsn"},
    "Types that the chapter leaves out": {
        name: name
        for name in ("pg_snapshot", "txid_snapshot", "refcursor", "aclitem", "int2vector", "oidvector")
    },
    "Types of the server's own catalogs": {
        name: name for name, row in postgresql_types.TYPES.items() if row.kind is None
    },
    "Extensions": {
        "hstore": "other public.hstore",
        "citext": "other public.citext",
        "geometry, geography (PostGIS): EWKB in hex": "other public.geometry(Point,4326)",
        "vector (pgvector), ltree, cube, and all others": "other public.vector(3)",
    },
}

# https://dev.mysql.com/doc/refman/9.4/en/data-types.html, https://mariadb.com/kb/en/data-types/
MYSQL: Chapters = {
    "Numeric": {
        "TINYINT, BOOL, BOOLEAN": "tinyint(1)",
        "TINYINT UNSIGNED": "tinyint(3) unsigned",
        "SMALLINT": "smallint(6)",
        "SMALLINT UNSIGNED": "smallint(5) unsigned",
        "MEDIUMINT, also UNSIGNED": "mediumint(8) unsigned",
        "INT, INTEGER": "int(11)",
        "INT UNSIGNED": "int(10) unsigned",
        "BIGINT": "bigint(20)",
        "BIGINT UNSIGNED, SERIAL": "bigint(20) unsigned",
        "DECIMAL, NUMERIC, DEC, FIXED, NUMBER": "decimal(10,2)",
        "DECIMAL of more than 38 digits": "decimal(65,30)",
        "FLOAT, REAL in REAL_AS_FLOAT": "float",
        "DOUBLE, DOUBLE PRECISION, REAL": "double",
        "BIT(1) to BIT(15)": "bit(1)",
        "BIT(16) to BIT(31)": "bit(16)",
        "BIT(32) to BIT(63)": "bit(32)",
        "BIT(64)": "bit(64)",
    },
    "Date and time": {
        "DATE": "date",
        "DATETIME": "datetime(6)",
        "TIMESTAMP": "timestamp(6)",
        "TIME": "time(6)",
        "YEAR": "year(4)",
    },
    "String": {
        "CHAR, NCHAR": "char(20)",
        "VARCHAR, NVARCHAR, VARCHAR2": "varchar(20)",
        "BINARY": "binary(16)",
        "VARBINARY, RAW": "varbinary(20)",
        "TINYTEXT": "tinytext",
        "TEXT": "text",
        "MEDIUMTEXT, LONG VARCHAR": "mediumtext",
        "LONGTEXT, CLOB, MariaDB's JSON": "longtext",
        "TINYBLOB": "tinyblob",
        "BLOB": "blob",
        "MEDIUMBLOB": "mediumblob",
        "LONGBLOB": "longblob",
        "ENUM": "enum('small','large')",
        "SET": "set('a','b')",
    },
    "Spatial": {
        name.upper(): name
        for name in (
            *("geometry", "point", "linestring", "polygon", "multipoint", "multilinestring"),
            *("multipolygon", "geometrycollection"),
        )
    },
    "JSON": {"JSON of MySQL": "json"},
    "Vector": {"VECTOR": "vector(3)"},
    "MariaDB alone": {"UUID": "uuid", "INET4": "inet4", "INET6": "inet6", "XMLTYPE": "xmltype"},
}

# https://www.sqlite.org/datatype3.html
SQLITE: Chapters = {
    "Affinity INTEGER": {
        name: name
        for name in (
            *("INT", "INTEGER", "TINYINT", "SMALLINT", "MEDIUMINT", "BIGINT", "UNSIGNED BIG INT", "INT2"),
            "INT8",
        )
    },
    "Affinity TEXT": {
        name: name
        for name in (
            *("CHARACTER(20)", "VARCHAR(255)", "VARYING CHARACTER(255)", "NCHAR(55)"),
            *("NATIVE CHARACTER(70)", "NVARCHAR(100)", "TEXT", "CLOB"),
        )
    },
    "Affinity BLOB": {"BLOB": "BLOB", "no type": "", "ANY of a STRICT table": "ANY"},
    "Affinity REAL": {name: name for name in ("REAL", "DOUBLE", "DOUBLE PRECISION", "FLOAT")},
    "Affinity NUMERIC": {
        name: name for name in ("NUMERIC", "DECIMAL(10,5)", "BOOLEAN", "DATE", "DATETIME", "TIMESTAMP")
    },
    "Names outside the manual's list": {name: name for name in ("TIME", "JSON", "UUID", "MONEY")},
}

# https://learn.microsoft.com/en-us/sql/t-sql/data-types/data-types-transact-sql
COLLATE = "COLLATE Latin1_General_CI_AS"
SQLSERVER: Chapters = {
    "Exact numerics": {
        **{name: name for name in ("tinyint", "smallint", "int", "bigint", "bit")},
        "decimal(p,s), numeric(p,s)": "decimal(10,2)",
        "decimal(38,38)": "decimal(38,38)",
        **{name: name for name in ("money", "smallmoney")},
    },
    "Approximate numerics": {"float, double precision": "float", "real": "real"},
    "Date and time": {
        "date": "date",
        "time": "time(7)",
        "datetime2": "datetime2(7)",
        "datetimeoffset": "datetimeoffset(7)",
        "datetime": "datetime",
        "smalldatetime": "smalldatetime",
    },
    "Character strings": {
        "char(n)": f"char(20) {COLLATE}",
        "varchar(n)": f"varchar(20) {COLLATE}",
        "varchar(n) in a UTF-8 collation": "varchar(20) COLLATE Latin1_General_100_CI_AS_SC_UTF8",
        "varchar(max)": f"varchar(max) {COLLATE}",
        "text": "text",
    },
    "Unicode character strings": {
        "nchar(n)": "nchar(20)",
        "nvarchar(n), sysname": "nvarchar(20)",
        "nvarchar(max)": "nvarchar(max)",
        "ntext": "ntext",
    },
    "Binary strings": {
        "binary(n)": "binary(16)",
        "varbinary(n)": "varbinary(20)",
        "varbinary(max)": "varbinary(max)",
        "image": "image",
    },
    "Other data types": {
        "rowversion, timestamp": "rowversion",
        **{
            name: name
            for name in (
                *("uniqueidentifier", "xml", "json", "vector", "hierarchyid", "geometry", "geography"),
                *("sql_variant", "cursor", "table"),
            )
        },
        "an alias type: as the type that it is made of, such as nvarchar(20)": "nvarchar(20)",
        "any other CLR type": "dbo.point",
    },
    "Columns that SQL Server keeps to itself": {
        "encrypted (Always Encrypted)": "encrypted int",
        "masked, where the user lacks UNMASK": "masked int",
    },
}


class Types(Protocol):
    """What the page asks of an engine's types."""

    def kind(self, column: SourceColumn) -> Kind:
        """Return the kind of the column's values; raises UnsupportedType."""

    def note(self, type: str) -> str:
        """Return in words what arrives of the type's values."""


ENGINES: dict[str, tuple[Types, Chapters]] = {
    "PostgreSQL": (cast(Types, postgresql_types), POSTGRESQL),
    "MySQL and MariaDB": (cast(Types, mysql_types), MYSQL),
    "SQLite": (cast(Types, sqlite_types), SQLITE),
    "SQL Server": (cast(Types, sqlserver_types), SQLSERVER),
}

HEAD = """# Types

What every type of a source becomes in Redshift. This page is made from the code by `make types`; a test holds one against the other.

A type arrives *exact*, in a form that is given here, or is refused by a message that names column and type. Values are rendered by their own server, and no value is altered on the way unless a [policy](configuration.md#values-that-redshift-cannot-hold) says so.

- **Texts** are bounded in bytes: VARCHAR(n) of four bytes for each character of the source's type. If that has no size, or one of 65,535 bytes or more, the column is a *VARCHAR by its values*: of {sizes} or 65,535 bytes, at first at least twice the longest value, and [widened](incremental.md#texts-without-a-bound) before one would not fit. **Binaries** are VARBYTE, up to 64,000 bytes if the source's type says so, else up to 16,777,216.
- **Dates and times** are those of the years 1 to 9999, to the microsecond; what is finer is refused, or cut where a type's row says so, and never rounded. Times with a zone are TIMESTAMPTZ in UTC, times without one stay without.
- **JSON** texts of at most 65,535 bytes become SUPER through JSON_PARSE.
- A column of a view, a generated or an identity column has the form of its type, as any other.
- A column that no form fits can be taken as its own text: `column_policies: {name: text}`.
"""  # noqa: E501


def page() -> str:
    """Return the page."""
    head = HEAD.replace("{sizes}", ", ".join(f"{size:,}" for size in SIZES[:-1]))
    return "\n".join([head, *_faults(), *(line for name in ENGINES for line in _engine(name))])


def _engine(name: str) -> Iterator[str]:
    types, chapters = ENGINES[name]
    yield f"## {name}\n"
    for chapter, listed in chapters.items():
        yield f"### {chapter}\n| type | in Redshift | what arrives |\n|---|---|---|"
        for manual, type in listed.items():
            yield f"| {manual} | {_target(types, type)} | {types.note(type)} |"
        yield ""


def _target(types: Types, type: str) -> str:
    try:
        kind = types.kind(SourceColumn("c", type, nullable=True))
        return "VARCHAR by its values" if kind.sized_by_values else warehouse(kind)
    except UnsupportedType:
        return "none"


def _faults() -> Iterator[str]:
    yield "## Faults and what can be done about them"
    yield "| fault | a column with | in Redshift | policies |\n|---|---|---|---|"
    for fault, meaning in value_policies.MEANINGS.items():
        words = dict.fromkeys(
            _word(kind) for kind, policies in value_policies.OF_KIND.items() if fault in policies
        )
        yield f"| `{fault}` | {meaning} | {', '.join(words)} | {', '.join(value_policies.CHOICES[fault])} |"
    yield ""


def _word(kind: KindName) -> str:
    """Return the kind's type in Redshift, without its arguments."""
    return warehouse(Kind(kind)).partition("(")[0]


GENERIC_HEAD = """# Types of databases that are read through SQLAlchemy

What the types of each [database](databases.md) become in Redshift. This page is made from the code by `make types`. A type that neither its database's list nor the list of standard SQL has is refused by name; [types](types.md) says what all engines share. "Key" says whether a column of the type may be a key or a cursor. With `column_policies: {name: text}` a column arrives as the database's own text.
"""  # noqa: E501


def generic_page() -> str:
    """Return the page of the databases that are read through SQLAlchemy."""
    lines = [GENERIC_HEAD, "## Standard SQL, in every database", *_rows(generic_types.STANDARD)]
    databases = [dialects.POSTGRESQL, dialects.MYSQL, dialects.SQLITE, *dialects.NAMED.values()]
    for dialect in sorted(databases, key=lambda one: one.name):
        lines += [f"## {dialect.name}", f"Grade: {dialect.grade}.\n", *_rows(dialect.types)]
    return "\n".join(lines)


def _rows(types: Mapping[str, generic_types.Type]) -> Iterator[str]:
    yield "| type | in Redshift | what arrives | key |\n|---|---|---|---|"
    for name, row in types.items():
        target = "VARCHAR by its values" if row.kind.sized_by_values else warehouse(row.kind)
        shown = "any array" if name == "[]" else name
        key = "yes" if row.orders and row.kind.name not in generic_types.UNORDERED else "no"
        yield f"| {shown} | {target} | {row.note} | {key} |"
    yield ""


if __name__ == "__main__":
    PAGE.write_text(page())
    GENERIC_PAGE.write_text(generic_page())
