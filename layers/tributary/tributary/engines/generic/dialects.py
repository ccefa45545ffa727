"""Facts of each database behind SQLAlchemy: its driver, grade, SQL and types.

A grade says how far a claim was tested: `checked` (the type table was run against a server or a file here)
or `best effort` (never run). Engines with a folder of their own are `exact`. Nothing here imports a driver.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from tributary.engines.generic.types import AS_TEXT, TEXT_CAST, Type
from tributary.engines.network import tls
from tributary.errors import SecretError
from tributary.model.engine_names import DIALECTS
from tributary.model.types import ANY_DECIMAL, Kind
from tributary.secret import Secret

Grade = Literal["exact", "checked", "best effort"]
Arguments = dict[str, Any]

SYSTEM_SCHEMAS = frozenset(  # of all databases, for a dialect of which nothing is known
    (
        *("information_schema", "pg_catalog", "pg_toast", "sys", "mysql", "performance_schema", "system"),
        *("crdb_internal", "pg_extension", "INFORMATION_SCHEMA", "SYS", "SYSTEM", "SYSCAT", "SYSIBM"),
        *("SYSIBMADM", "SYSSTAT", "SYSTOOLS", "SYSPUBLIC", "SYSFUN", "SYSPROC", "NULLID", "SQLJ"),
    )
)


def _tls_unknown(secret: Secret) -> Arguments:
    """Refuse a secret that leaves TLS to chance: no two drivers name its options alike."""
    if secret.host and secret.sslmode != "disable" and not secret.url_options:
        raise SecretError(
            'the secret does not say how the driver uses TLS; write its options as "url_options", or '
            '"sslmode": "disable" on a network that you trust'
        )
    return {}


# Names, in lower case, by which drivers take options that set TLS aside.
TLS_OPTIONS = frozenset(
    (
        *("ssl", "ssl_disabled", "ssl_context", "sslmode", "ssl_server_dn_match", "encrypt"),
        *("sslvalidatecertificate", "secure", "verify", "http_scheme", "protocol", "insecure_mode"),
        *("disable_ocsp_checks", "ocsp_fail_open", "dsn"),
    )
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """What is known of a database. `{}` in SQL stands for an expression or a value's text.

    `pins` set a new session, with {ms} and {s} for the statement time-out; `begin` runs before each read.
    `columns` and `keys` are asked of the catalog instead of SQLAlchemy's reflection.
    """

    name: str  # as a file has it
    drivername: str  # as SQLAlchemy has it: dialect+driver
    grade: Grade = "best effort"
    line: str = ""  # of layers/drivers/requirements.txt, which adds the driver
    port: int = 0
    types: Mapping[str, Type] = field(default_factory=dict)
    text_cast: str = TEXT_CAST
    pins: tuple[str, ...] = ()
    tried_pins: tuple[str, ...] = ()  # of which a server may know only some
    begin: str = ""
    one_row: str = ""  # FROM clause of a SELECT without a table
    cancel: str = "cancel"  # method of the driver's connection that ends a statement from another thread
    columns: str = ""  # schema, table, column, type, nullable, is a view, comment
    keys: str = ""  # schema, table, constraint, whether it is the primary key, column; in order
    has_schemas: bool = True
    system_schemas: frozenset[str] = SYSTEM_SCHEMAS  # tables of these are not the user's
    fraction_digits: int = 6  # decimals of a second that a time, and so its literal, may have
    # Whether each key of the catalog holds for every row of its table: not where keys may be disabled,
    # not validated, or of a parent's rows alone.
    keys_enforced: bool = False
    utc_sessions: bool = False  # the session's zone is UTC, so a naive time of a type with a zone is in UTC
    stores_any: bool = False  # a column holds values of any type: times as texts, decimals as floats
    empty_is_null: bool = False
    escapes: bool = False  # a backslash in a literal is an escape
    literals: Mapping[str, str] = field(default_factory=dict)  # kind -> literal of a value's text
    connect: Callable[[Secret], Arguments] = _tls_unknown  # the driver's arguments
    prepare: Callable[[Any], None] | None = None  # sets what no statement can on the driver's connection
    url_query: Mapping[str, str] = field(default_factory=dict)
    arrow: bool = False  # the driver gives Arrow
    limits: str = ""  # what the documentation says of it

    @property
    def sslmode_sets_tls(self) -> bool:
        """Return whether the secret's `sslmode` sets the driver's TLS, and not its options."""
        return self.connect is not _tls_unknown


# --- literals -----------------------------------------------------------------------------------

LITERALS = {
    "date": "DATE '{}'",
    "timestamp": "TIMESTAMP '{}'",
    "timestamptz": "TIMESTAMP '{}+00:00'",
    "uuid": "'{}'",
}


# --- SQLite, PostgreSQL, MySQL: the engines that have a folder too --------------------------------


def _keep_odd_bytes(driver: Any) -> None:
    driver.text_factory = lambda text: text.decode(errors="surrogateescape")


_SQL_STANDARD = frozenset(("information_schema",))
_PG_SYSTEM = _SQL_STANDARD | {"pg_catalog", "pg_toast"}
SQLITE_TIMES = {"date": "'{}'", "timestamp": "'{}'"}
SQLITE_TYPES = {
    **dict.fromkeys(
        ("INTEGER", "INT", "TINYINT", "SMALLINT", "MEDIUMINT", "BIGINT", "UNSIGNED BIG INT", "INT2", "INT8"),
        Type(Kind("int64")),
    ),
    **dict.fromkeys(("REAL", "DOUBLE", "DOUBLE PRECISION", "FLOAT"), Type(Kind("float64"), orders=False)),
    **dict.fromkeys(("NUMERIC", "DECIMAL"), Type(ANY_DECIMAL, orders=False)),
    "JSON": Type(Kind("json", loose=True), "the same value", orders=False),
    "TIME": Type(Kind("text"), "as text, exact"),
}
SQLITE = Dialect(
    "sqlite",
    "sqlite+pysqlite",
    "checked",
    keys_enforced=True,
    system_schemas=frozenset(),
    types=SQLITE_TYPES,
    text_cast="CAST({} AS TEXT)",
    pins=("PRAGMA query_only = ON", "PRAGMA trusted_schema = OFF"),
    cancel="interrupt",
    stores_any=True,
    literals=SQLITE_TIMES,
    connect=lambda secret: {"check_same_thread": False},
    prepare=_keep_odd_bytes,
)

_PG_TEXT = Type(Kind("text"), AS_TEXT, "CAST({} AS TEXT)", orders=False)
POSTGRESQL_TYPES = {
    "REAL": Type(Kind("float32"), orders=False),
    # As texts: drivers make other times of those before the year 1.
    "DATE": Type(Kind("date"), select="CAST({} AS TEXT)"),
    "TIMESTAMP WITHOUT TIME ZONE": Type(Kind("timestamp"), select="CAST({} AS TEXT)"),
    "TIMESTAMP WITH TIME ZONE": Type(Kind("timestamptz"), select="CAST({} AS TEXT)"),
    "JSON": Type(Kind("json", loose=True), "the same value", "CAST({} AS TEXT)", orders=False),
    "JSONB": Type(Kind("json"), "the same value", "CAST({} AS TEXT)", orders=False),
    "[]": Type(Kind("json"), "as JSON", "CAST(to_json({}) AS TEXT)", orders=False),
    "INET": Type(  # whose cast adds /32
        Kind("text"), AS_TEXT, "CASE WHEN {} IS NOT NULL THEN concat({}) END", orders=False
    ),
    **dict.fromkeys(
        (
            *("TIME", "TIME WITHOUT TIME ZONE", "TIME WITH TIME ZONE", "INTERVAL", "INTERVAL YEAR TO MONTH"),
            *("CIDR", "MACADDR", "MACADDR8", "TSVECTOR", "TSQUERY", "BIT", "BIT VARYING", "XML"),
            *("INT4RANGE", "INT8RANGE", "NUMRANGE", "DATERANGE", "TSRANGE", "TSTZRANGE", "INT4MULTIRANGE"),
            *(
                "INT8MULTIRANGE",
                "NUMMULTIRANGE",
                "DATEMULTIRANGE",
                "TSMULTIRANGE",
                "TSTZMULTIRANGE",
                "CITEXT",
            ),
            *("JSONPATH", "REGCLASS", "ENUM"),
        ),
        _PG_TEXT,
    ),
    "OID": Type(Kind("int64"), select="CAST({} AS BIGINT)", orders=False),
    "MONEY": Type(Kind("decimal", precision=19, scale=2), select="CAST({} AS NUMERIC(19,2))", orders=False),
    "HSTORE": Type(Kind("json"), "as JSON", "CAST(hstore_to_json({}) AS TEXT)", orders=False),
}
_PG_PINS = (
    "SET default_transaction_read_only = on",
    "SET statement_timeout = {ms}",
    "SET TIME ZONE 'UTC'",
    "SET DateStyle = 'ISO, YMD'",
    "SET IntervalStyle = 'postgres'",
    "SET extra_float_digits = 1",
)
POSTGRESQL = Dialect(
    "postgresql",
    "postgresql+pg8000",
    "checked",
    port=5432,
    types=POSTGRESQL_TYPES,
    text_cast="CAST({} AS TEXT)",
    pins=_PG_PINS,
    system_schemas=_PG_SYSTEM,
    cancel="",
    connect=lambda secret: {"ssl_context": tls(secret)},
)

MYSQL_TYPES = {
    "TINYINT UNSIGNED": Type(Kind("int16")),
    "SMALLINT UNSIGNED": Type(Kind("int32")),
    "MEDIUMINT UNSIGNED": Type(Kind("int32")),
    **dict.fromkeys(("INTEGER UNSIGNED", "INT UNSIGNED"), Type(Kind("int64"))),
    **dict.fromkeys(("INTEGER UNSIGNED ZEROFILL", "INT UNSIGNED ZEROFILL"), Type(Kind("int64"))),
    "BIGINT UNSIGNED": Type(Kind("decimal", precision=20, scale=0)),
    "FLOAT": Type(Kind("float32"), select="CAST({} AS DOUBLE)", orders=False),
    "DOUBLE": Type(Kind("float64"), orders=False),
    "TIMESTAMP": Type(Kind("timestamptz")),
    "DATETIME": Type(Kind("timestamp")),
    "YEAR": Type(Kind("int16"), orders=False),
    "TIME": Type(Kind("text"), AS_TEXT, "CAST({} AS CHAR)", orders=False),
    "BIT": Type(Kind("decimal", precision=20, scale=0), select="CAST({} AS UNSIGNED)", orders=False),
    **dict.fromkeys(("TINYTEXT", "MEDIUMTEXT", "LONGTEXT", "ENUM", "SET"), Type(Kind("text"), orders=False)),
    "TEXT": Type(Kind("text"), orders=False),
    **dict.fromkeys(("TINYBLOB", "MEDIUMBLOB", "LONGBLOB"), Type(Kind("binary"), orders=False)),
    "JSON": Type(Kind("json"), "the same value", "CAST({} AS CHAR)", orders=False),
    "UUID": Type(Kind("uuid"), select="CAST({} AS CHAR)", orders=False),
    **dict.fromkeys(("INET4", "INET6"), Type(Kind("text"), AS_TEXT, "CAST({} AS CHAR)", orders=False)),
}
MYSQL = Dialect(
    "mysql",
    "mysql+pymysql",
    "checked",
    system_schemas=_SQL_STANDARD | {"mysql", "performance_schema", "sys"},
    port=3306,
    types=MYSQL_TYPES,
    text_cast="CAST({} AS CHAR)",
    pins=(
        "SET SESSION TRANSACTION READ ONLY",
        "SET SESSION time_zone = '+00:00'",
        "SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES'",
    ),
    tried_pins=("SET SESSION max_statement_time = {s}", "SET SESSION max_execution_time = {ms}"),
    cancel="",
    utc_sessions=True,
    literals={"timestamptz": "TIMESTAMP '{}'"},
    connect=lambda secret: {"ssl": tls(secret), "charset": "utf8mb4"},
)

# --- DuckDB -------------------------------------------------------------------------------------

_DUCK_TEXT = Type(Kind("text"), AS_TEXT, TEXT_CAST, orders=False)
_DUCK_JSON = Type(Kind("json"), "as JSON", "CAST(to_json({}) AS VARCHAR)", orders=False)
_NANOSECONDS = "cut by the policy `excess_digits: truncate`, else refused if it is finer than microseconds"
DUCKDB_TYPES = {
    "UTINYINT": Type(Kind("int16")),
    "USMALLINT": Type(Kind("int32")),
    "UINTEGER": Type(Kind("int64")),
    "UBIGINT": Type(Kind("decimal", precision=20, scale=0), select=TEXT_CAST, orders=False),
    **dict.fromkeys(
        ("HUGEINT", "UHUGEINT", "BIGNUM"),
        Type(
            Kind("decimal", precision=38, scale=0, loose=True),
            "exact, or refused if a value has more than 38 digits",
            TEXT_CAST,
            orders=False,
        ),
    ),
    "FLOAT": Type(Kind("float32"), orders=False),
    "TIMESTAMP_S": Type(Kind("timestamp"), select="CAST({} AS TIMESTAMP)", orders=False),
    "TIMESTAMP_MS": Type(Kind("timestamp"), select="CAST({} AS TIMESTAMP)", orders=False),
    "TIMESTAMP_NS": Type(Kind("timestamp"), _NANOSECONDS, TEXT_CAST, orders=False),
    "UUID": Type(Kind("uuid"), select=TEXT_CAST),
    **dict.fromkeys(
        ("TIME", "TIME_NS", "TIME WITH TIME ZONE", "TIMETZ", "INTERVAL", "BIT", "ENUM"), _DUCK_TEXT
    ),
    **dict.fromkeys(("[]", "STRUCT", "MAP", "UNION"), _DUCK_JSON),
    "TIMESTAMP": Type(Kind("timestamp")),
    "TIMESTAMP WITH TIME ZONE": Type(Kind("timestamptz")),
}
DUCKDB = Dialect(
    "duckdb",
    DIALECTS["duckdb"].partition("+")[0],
    "checked",
    "-r duckdb.txt",
    keys_enforced=True,
    types=DUCKDB_TYPES,
    pins=("SET TimeZone = 'UTC'",),
    system_schemas=_PG_SYSTEM,
    cancel="interrupt",
    columns="""
        SELECT c.schema_name, c.table_name, c.column_name, c.data_type, c.is_nullable,
               v.view_name IS NOT NULL, c.comment
        FROM duckdb_columns() c
        LEFT JOIN duckdb_views() v ON v.schema_name = c.schema_name AND v.view_name = c.table_name
             AND v.database_name = c.database_name
        WHERE c.database_name = current_database() AND NOT c.internal
        ORDER BY c.schema_name, c.table_name, c.column_index""",
    keys="""
        SELECT schema_name, table_name, constraint_index, constraint_type = 'PRIMARY KEY',
               unnest(constraint_column_names)
        FROM duckdb_constraints()
        WHERE database_name = current_database() AND constraint_type IN ('PRIMARY KEY', 'UNIQUE')
        ORDER BY schema_name, table_name, constraint_index""",
    literals={"timestamptz": "TIMESTAMPTZ '{}+00:00'"},
    connect=lambda secret: {"read_only": True},
    arrow=True,
    limits="A file in the function's own file system (a layer, or EFS), opened read-only.",
)

# --- servers that were not at hand --------------------------------------------------------------


def _libpq(secret: Secret) -> Arguments:
    """Return libpq's TLS options; it reads authorities from a file only."""
    if secret.sslrootcert:
        raise SecretError('this driver reads authorities from a file; write its path as "url_options"')
    mode = "verify-full" if secret.sslmode == "verify-full" else secret.sslmode
    roots = {"sslrootcert": "system"} if mode == "verify-full" else {}
    return {"sslmode": mode, **roots, **dict(secret.url_options)}


COCKROACHDB = Dialect(
    "cockroachdb",
    DIALECTS["cockroachdb"],
    line="-r cockroachdb.txt",
    keys_enforced=True,
    port=26257,
    types=POSTGRESQL_TYPES | {"INTEGER": Type(Kind("int64")), "INT": Type(Kind("int64"))},
    text_cast="CAST({} AS TEXT)",
    pins=_PG_PINS[:3],
    system_schemas=_PG_SYSTEM | {"crdb_internal", "pg_extension"},
    connect=_libpq,
)
REDSHIFT = Dialect(
    "redshift",
    DIALECTS["redshift"],
    line="-r redshift.txt",
    port=5439,
    types={
        "REAL": Type(Kind("float32"), orders=False),
        "SUPER": Type(Kind("json"), select="JSON_SERIALIZE({})"),
    },
    pins=("SET statement_timeout = {ms}",),
    system_schemas=_PG_SYSTEM | {"pg_internal", "pg_automv", "catalog_history"},
    connect=_libpq,
    limits="Constraints are not enforced, so keys are checked in the data.",
)


def _oracle(secret: Secret) -> Arguments:
    context = tls(secret)
    name = secret.dbname or secret.url_options.get("service_name")
    service = {"service_name": name} if name else {}  # else its `sid` is an option
    return {
        "host": secret.host,
        "port": secret.port or 1521,
        **service,
        "protocol": "tcps" if context else "tcp",
        **({"ssl_context": context} if context else {}),
    }


_ORACLE_UTC = "TO_CHAR(SYS_EXTRACT_UTC({}), 'YYYY-MM-DD HH24:MI:SS.FF9') || 'Z'"
_ORACLE_NAIVE = "TO_CHAR({}, 'YYYY-MM-DD HH24:MI:SS.FF9')"
_CUT = "exact; finer than microseconds by the policy `excess_digits`"
ORACLE_TYPES = {
    "NUMBER": Type(ANY_DECIMAL, "exact by its digits, or refused if a value has more"),
    "FLOAT": Type(ANY_DECIMAL, "exact by its digits: it is decimal", orders=False, sized=False),
    "BINARY_FLOAT": Type(Kind("float32"), orders=False),
    "BINARY_DOUBLE": Type(Kind("float64"), orders=False),
    "DATE": Type(Kind("timestamp"), "exact, with its time"),
    "TIMESTAMP": Type(Kind("timestamp"), _CUT, _ORACLE_NAIVE, orders=False),
    **{f"TIMESTAMP({digits})": Type(Kind("timestamp")) for digits in range(7)},
    "TIMESTAMP WITH TIME ZONE": Type(Kind("timestamptz"), f"{_CUT}; in UTC", _ORACLE_UTC, orders=False),
    "TIMESTAMP WITH LOCAL TIME ZONE": Type(Kind("timestamptz"), f"{_CUT}; in UTC", _ORACLE_UTC, orders=False),
    **dict.fromkeys(
        ("INTERVAL YEAR TO MONTH", "INTERVAL DAY TO SECOND"), Type(Kind("text"), AS_TEXT, "TO_CHAR({})")
    ),
    **dict.fromkeys(("ROWID", "UROWID"), Type(Kind("text"), AS_TEXT, "ROWIDTOCHAR({})", orders=False)),
    "JSON": Type(Kind("json"), "the same value", "JSON_SERIALIZE({} RETURNING CLOB)", orders=False),
    "LONG": Type(Kind("text"), orders=False),
    "LONG RAW": Type(Kind("binary"), orders=False),
}
ORACLE = Dialect(
    "oracle",
    DIALECTS["oracle"],
    line="-r oracle.txt",
    port=1521,
    types=ORACLE_TYPES,
    text_cast="TO_CHAR({})",
    begin="SET TRANSACTION READ ONLY",
    system_schemas=frozenset(),  # the catalog's query leaves out what Oracle maintains
    one_row=" FROM DUAL",
    columns="""
        SELECT c.owner, c.table_name, c.column_name,
               CASE WHEN c.data_type = 'NUMBER' AND c.data_scale IS NOT NULL
                    THEN 'NUMBER(' || NVL(c.data_precision, 38) || ',' || c.data_scale || ')'
                    WHEN c.data_type IN ('CHAR', 'VARCHAR2', 'NCHAR', 'NVARCHAR2')
                    THEN c.data_type || '(' || c.char_length || ')'
                    WHEN c.data_type = 'RAW' THEN 'RAW(' || c.data_length || ')'
                    ELSE c.data_type END,
               CASE c.nullable WHEN 'Y' THEN 1 ELSE 0 END,
               CASE o.object_type WHEN 'VIEW' THEN 1 ELSE 0 END, m.comments
        FROM all_tab_columns c
        JOIN all_objects o ON o.owner = c.owner AND o.object_name = c.table_name
             AND o.object_type IN ('TABLE', 'VIEW')
        JOIN all_users u ON u.username = c.owner AND u.oracle_maintained = 'N'
        LEFT JOIN all_col_comments m ON m.owner = c.owner AND m.table_name = c.table_name
             AND m.column_name = c.column_name
        ORDER BY c.owner, c.table_name, c.column_id""",
    keys="""
        SELECT k.owner, k.table_name, k.constraint_name, CASE k.constraint_type WHEN 'P' THEN 1 ELSE 0 END,
               c.column_name
        FROM all_constraints k
        JOIN all_cons_columns c ON c.owner = k.owner AND c.constraint_name = k.constraint_name
        WHERE k.constraint_type IN ('P', 'U') AND k.status = 'ENABLED' AND k.validated = 'VALIDATED'
        ORDER BY k.owner, k.table_name, k.constraint_name, c.position""",
    empty_is_null=True,
    connect=_oracle,
    limits="Thin mode; DATE arrives as TIMESTAMP with its time; an empty text is NULL in Oracle itself.",
)
DB2 = Dialect(
    "db2",
    DIALECTS["db2"],
    line="-r db2.txt",
    port=50000,
    types={
        "DECFLOAT": Type(
            ANY_DECIMAL,
            "exact, or refused if a value has more digits",
            "CAST({} AS VARCHAR(64))",
            orders=False,
            sized=False,
        ),
        "REAL": Type(Kind("float32"), orders=False),
        "TIMESTAMP": Type(Kind("timestamp"), _CUT, "CAST({} AS VARCHAR(32))", orders=False),
        **{f"TIMESTAMP({digits})": Type(Kind("timestamp")) for digits in range(7)},
        "GRAPHIC": Type(Kind("text")),
        "VARGRAPHIC": Type(Kind("text")),
        "XML": Type(Kind("text"), AS_TEXT, "XMLSERIALIZE({} AS CLOB)", orders=False),
    },
    text_cast="CAST({} AS VARCHAR(32672))",
    one_row=" FROM SYSIBM.SYSDUMMY1",
    limits="ibm-db has no arm64 wheel: set the template's Architecture to x86_64, or use Db2 by ODBC.",
)
SNOWFLAKE = Dialect(
    "snowflake",
    DIALECTS["snowflake"],
    line="-r snowflake.txt",
    types={
        "NUMBER": Type(ANY_DECIMAL),
        "FLOAT": Type(Kind("float64"), orders=False),
        "TIMESTAMP_NTZ": Type(
            Kind("timestamp"), _CUT, "TO_CHAR({}, 'YYYY-MM-DD HH24:MI:SS.FF9')", orders=False
        ),
        **{f"TIMESTAMP_NTZ({digits})": Type(Kind("timestamp")) for digits in range(7)},
        **dict.fromkeys(
            ("TIMESTAMP_LTZ", "TIMESTAMP_TZ"),
            Type(
                Kind("timestamptz"),
                f"{_CUT}; in UTC",
                "TO_CHAR(CONVERT_TIMEZONE('UTC', {}), 'YYYY-MM-DD HH24:MI:SS.FF9') || 'Z'",
                orders=False,
            ),
        ),
        **dict.fromkeys(
            ("VARIANT", "OBJECT", "ARRAY"), Type(Kind("json"), "as JSON", "TO_JSON({})", orders=False)
        ),
        **dict.fromkeys(("GEOGRAPHY", "GEOMETRY"), Type(Kind("text"), AS_TEXT, "ST_ASWKT({})", orders=False)),
    },
    pins=(
        "ALTER SESSION SET TIMEZONE = 'UTC'",
        "ALTER SESSION SET STATEMENT_TIMEOUT_IN_SECONDS = {s}",
    ),
    escapes=True,
    connect=lambda secret: {},  # the connector speaks TLS alone
    limits='The secret\'s "host" is the account; "url_options" name warehouse, schema and role.',
)
HANA = Dialect(
    "hana",
    DIALECTS["hana"],
    line="-r hana.txt",
    port=443,
    types={
        "SMALLDECIMAL": Type(ANY_DECIMAL),
        "SECONDDATE": Type(Kind("timestamp")),
        "TIMESTAMP": Type(
            Kind("timestamp"), _CUT, "TO_VARCHAR({}, 'YYYY-MM-DD HH24:MI:SS.FF7')", orders=False
        ),
        "REAL": Type(Kind("float32"), orders=False),
        **dict.fromkeys(("ALPHANUM", "SHORTTEXT"), Type(Kind("text"))),
    },
    text_cast="TO_NVARCHAR({})",
    one_row=" FROM DUMMY",
    connect=lambda secret: {
        "encrypt": secret.sslmode != "disable",
        "sslValidateCertificate": secret.sslmode != "require",
        **({"sslTrustStore": secret.sslrootcert} if secret.sslrootcert else {}),
    },
    limits="The driver is SAP's, under SAP's licence.",
)
TERADATA = Dialect(
    "teradata",
    DIALECTS["teradata"],
    line="-r teradata.txt",
    port=1025,
    types={
        "BYTEINT": Type(Kind("int16")),
        **dict.fromkeys(("BYTE", "VARBYTE"), Type(Kind("binary"), orders=False)),
        "TIMESTAMP": Type(Kind("timestamp")),
    },
    limits="The driver encrypts by itself; TLS by `url_options`.",
)
CLICKHOUSE = Dialect(
    "clickhouse",
    DIALECTS["clickhouse"],
    line="-r clickhouse.txt",
    port=8443,
    types={
        "INT8": Type(Kind("int16")),
        "INT16": Type(Kind("int16")),
        "INT32": Type(Kind("int32")),
        "INT64": Type(Kind("int64")),
        "UINT8": Type(Kind("int16")),
        "UINT16": Type(Kind("int32")),
        "UINT32": Type(Kind("int64")),
        "UINT64": Type(Kind("decimal", precision=20, scale=0), select="toString({})", orders=False),
        "FLOAT32": Type(Kind("float32"), orders=False),
        "FLOAT64": Type(Kind("float64"), orders=False),
        "DATE32": Type(Kind("date")),
        "DATETIME": Type(
            Kind("timestamptz"), "in UTC", "toString(toTimeZone({}, 'UTC')) || 'Z'", orders=False
        ),
        "DATETIME64": Type(
            Kind("timestamptz"), "in UTC", "toString(toTimeZone({}, 'UTC')) || 'Z'", orders=False
        ),
        "FIXEDSTRING": Type(Kind("text"), "if it is UTF-8, else a misfit", orders=False),
    },
    text_cast="toString({})",
    escapes=True,
    connect=lambda secret: {
        "secure": secret.sslmode != "disable",
        "verify": secret.sslmode in ("verify-full", "verify-ca"),
    },
    limits="A primary key of ClickHouse is not unique: set `key`, which is checked in the data.",
)
TRINO = Dialect(
    "trino",
    DIALECTS["trino"].partition("+")[0],
    line="-r trino.txt",
    port=443,
    types={
        "REAL": Type(Kind("float32"), orders=False),
        **dict.fromkeys(
            ("ARRAY", "MAP", "ROW"),
            Type(Kind("json"), "as JSON", "json_format(CAST({} AS JSON))", orders=False),
        ),
        "JSON": Type(Kind("json"), "the same value", "json_format({})", orders=False),
        "TIMESTAMP": Type(Kind("timestamp"), _CUT, TEXT_CAST, orders=False),
        **{f"TIMESTAMP({digits})": Type(Kind("timestamp")) for digits in range(7)},
    },
    connect=lambda secret: {
        "http_scheme": "http" if secret.sslmode == "disable" else "https",
        "verify": secret.sslmode in ("verify-full", "verify-ca"),
    },
    limits="Trino has no keys: set `key`, which is checked in the data. `dbname` is catalog/schema.",
)
_FIREBIRD_TEXT = "CAST({} AS VARCHAR(64))"
FIREBIRD = Dialect(
    "firebird",
    DIALECTS["firebird"],
    "checked",
    line="-r firebird.txt",
    keys_enforced=True,
    port=3050,
    types={
        "FLOAT": Type(Kind("float32"), orders=False),
        "REAL": Type(Kind("float32"), orders=False),
        "TIMESTAMP": Type(Kind("timestamp")),
        "BLOB SUB_TYPE BINARY": Type(Kind("binary"), orders=False),
        "BLOB SUB_TYPE TEXT": Type(Kind("text"), orders=False),
        "INT128": Type(
            Kind("decimal", precision=38, scale=0, loose=True), select=_FIREBIRD_TEXT, orders=False
        ),
        "DECFLOAT": Type(
            ANY_DECIMAL,
            "exact, or refused if a value has more digits",
            _FIREBIRD_TEXT,
            orders=False,
            sized=False,
        ),
        "TIME": Type(Kind("text"), AS_TEXT, _FIREBIRD_TEXT, orders=False),
    },
    text_cast="CAST({} AS VARCHAR(8191))",
    one_row=" FROM RDB$DATABASE",
    has_schemas=False,
    fraction_digits=4,
    connect=lambda secret: {"charset": "UTF8"},
    limits="Encrypted by the wire protocol of Firebird 3, which the server requires by default.",
)

NAMED = {
    dialect.name: dialect
    for dialect in (
        *(CLICKHOUSE, COCKROACHDB, DB2, DUCKDB, FIREBIRD, HANA, ORACLE, REDSHIFT, SNOWFLAKE, TERADATA, TRINO),
    )
}
BY_DIALECT = {"sqlite": SQLITE, "postgresql": POSTGRESQL, "mysql": MYSQL, "mariadb": MYSQL} | {
    dialect.drivername.partition("+")[0]: dialect for dialect in NAMED.values()
}


def find(name: str) -> Dialect:
    """Return the facts of an engine's name: `oracle`, or `sqlalchemy:name+driver` for any other dialect."""
    if name in NAMED:
        return NAMED[name]
    drivername = name.partition(":")[2]
    known = BY_DIALECT.get(drivername.partition("+")[0])
    if known is not None and known.drivername.partition("+")[0] == drivername.partition("+")[0]:
        same = known.drivername == drivername
        return known if same else _with_driver(known, drivername)
    return Dialect(name, drivername)


def _with_driver(known: Dialect, drivername: str) -> Dialect:
    """Return the facts of the database, with a driver of which nothing is known."""
    return replace(
        known, drivername=drivername, grade="best effort", line="", connect=_tls_unknown, arrow=False
    )
