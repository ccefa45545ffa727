"""What differs from one engine to the next, for the suite that they share: one row per engine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Facts:
    """The SQL that the shared suite says to an engine's administrator.

    `text_key`: a type of texts that compares, pads or escapes in a way of its own; `time`: one with
    six decimals; `text`: one without a bound, `large` a value of ten million characters for it.
    `string`: how a literal is written, `escapes`: whether a backslash does that in one.
    `slow`: a view of a column `id` that takes half a minute. `drop_column`: of `big`, its `filler`.
    For servers: `sessions` lists those of the engine under test ({schema}: its database, or schema),
    `cancel` ends a statement of the session {0} and `kill` the session; `reader` makes the user {user}
    with the password `p` who may read `{open}`, `unreader` drops it. `read_only`: whether the server
    itself refuses what the session writes.
    """

    text_key: str
    time: str
    text: str
    slow: str
    large: str = "repeat('x', 10000000)"
    string: str = "'{0}'"
    drop_column: str = "ALTER TABLE big DROP COLUMN filler"
    escapes: bool = False
    sessions: str = ""
    running: str = ""  # added to `sessions`: only those that run a query
    cancel: str = ""
    kill: str = ""
    reader: tuple[str, ...] = ()
    unreader: tuple[str, ...] = ()
    read_only: bool = True
    indexes: bool = True  # whether the catalog shows unique indexes


FACTS = {
    "postgresql": Facts(
        text_key="text",
        time="timestamp(6)",
        text="text",
        slow="CREATE VIEW slow AS SELECT 1 AS id FROM (SELECT pg_sleep(30)) AS s",
        sessions="SELECT pid FROM pg_stat_activity "
        "WHERE application_name = 'tributary' AND datname = current_database()",
        running=" AND state = 'active' AND query LIKE '%slow%'",
        cancel="SELECT pg_cancel_backend({0})",
        kill="SELECT pg_terminate_backend({0})",
        reader=("CREATE ROLE {user} LOGIN PASSWORD 'p'", "GRANT SELECT ON {open} TO {user}"),
        unreader=("DROP OWNED BY {user}", "DROP ROLE {user}"),
    ),
    "mysql": Facts(
        text_key="varchar(60) COLLATE utf8mb4_unicode_ci",
        time="datetime(6)",
        text="longtext",
        slow="CREATE VIEW slow AS SELECT 1 AS id, sleep(30) AS s",
        escapes=True,
        sessions="SELECT id FROM information_schema.processlist "
        "WHERE id <> connection_id() AND db = '{schema}' AND user = 'root'",
        running=" AND command <> 'Sleep' AND info LIKE '%slow%'",
        cancel="KILL QUERY {0}",
        kill="KILL CONNECTION {0}",
        reader=("CREATE USER {user} IDENTIFIED BY 'p'", "GRANT SELECT ON {open} TO {user}"),
        unreader=("DROP USER {user}",),
    ),
    "sqlite": Facts(
        text_key="VARCHAR(60) COLLATE NOCASE",
        time="DATETIME",
        text="TEXT",
        slow="CREATE VIEW slow AS WITH RECURSIVE g(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g) "
        "SELECT count(*) AS id FROM g",
        large="replace(hex(zeroblob(5000000)), '0', 'x')",
        drop_column="ALTER TABLE big RENAME COLUMN filler TO other",
    ),
    "duckdb": Facts(
        text_key="VARCHAR COLLATE NOCASE",
        time="TIMESTAMP",
        text="VARCHAR",
        slow="CREATE VIEW slow AS SELECT count(*) AS id FROM range(3000000000) a, range(1000) b",
        drop_column="ALTER TABLE big RENAME COLUMN filler TO other",
        indexes=False,
    ),
    # A statement cannot be ended there without its session, and no session is read-only.
    "sqlserver": Facts(
        text_key="varchar(60) COLLATE Latin1_General_100_CI_AI_SC_UTF8",
        time="datetime2(6)",
        text="nvarchar(max)",
        slow="CREATE VIEW slow AS SELECT COUNT_BIG(*) AS id FROM sys.all_columns AS a "
        "CROSS JOIN sys.all_columns AS b CROSS JOIN sys.all_columns AS c",
        large="REPLICATE(CAST(N'x' AS nvarchar(max)), 10000000)",
        string="N'{0}'",
        sessions="SELECT session_id FROM sys.dm_exec_sessions "
        "WHERE program_name = 'tributary' AND database_id = DB_ID() AND session_id <> @@SPID",
        running=" AND status = 'running'",
        kill="KILL {0}",
        reader=(
            "CREATE LOGIN {user} WITH PASSWORD = 'p', CHECK_POLICY = OFF",
            "CREATE USER {user} FOR LOGIN {user}",
            "GRANT SELECT ON {open} TO {user}",
        ),
        unreader=("DROP USER {user}", "DROP LOGIN {user}"),
        read_only=False,
    ),
}
