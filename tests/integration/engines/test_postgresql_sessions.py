"""PostgreSQL's settings: none changes what is read, none of ours stays in a pooler's sessions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from local.databases.postgres import Postgres
from tests.integration.engines.postgresql_servers import database
from tests.integration.engines.source import Source, create_every_type
from tributary.errors import SourceRefused, TableRefused, TributaryError
from tributary.model.source_catalog import TableName
from tributary.secret import Secret

# Settings of text, at values that would change what is read or how it is written.
TEXTS = {
    "DateStyle": ["German, DMY", "SQL, MDY"],
    "TimeZone": ["Asia/Kolkata", "America/St_Johns"],
    "client_encoding": ["LATIN1", "SQL_ASCII"],
    "search_path": ["nowhere", "pg_temp, public", ""],
    "lc_monetary": ["C"],
    "lc_numeric": ["C"],
    "lc_time": ["C"],
    "lc_messages": ["C"],
    "default_text_search_config": ["pg_catalog.spanish"],
    "timezone_abbreviations": ["Australia"],
    "restrict_nonsystem_relation_kind": ["view, foreign-table"],
    "default_table_access_method": ["heap"],
    "default_tablespace": ["pg_default"],
    "temp_tablespaces": ["pg_default"],
    "application_name": ["another"],
    "log_min_error_statement": ["debug5"],
}
LISTS = ("search_path", "temp_tablespaces", "DateStyle")
# Settings that no value is tried of, each with its reason.
NOT_TRIED = {
    "jit_provider": "read at the server's start",
    "dynamic_library_path": "only for functions in C, whose loading would fail",
    "extension_destdir": "only for CREATE EXTENSION",
    "extension_control_path": "only for CREATE EXTENSION",
    "session_preload_libraries": "libraries of the administrator's",
    "local_preload_libraries": "libraries of the administrator's",
    "backtrace_functions": "only the server's log",
    "wal_consistency_checking": "only the write-ahead log",
    "transaction_deferrable": "of one transaction, and BEGIN states it",
    "transaction_isolation": "of one transaction, and BEGIN states it",
    "transaction_read_only": "of one transaction, and BEGIN states it",
    "output_plugin_libraries": "only replication",
    "createrole_self_grant": "only CREATE ROLE",
    "synchronized_standby_slots": "only replication",
    "synchronous_standby_names": "only commits that write",
    "debug_discard_caches": "only speed: minutes for one statement",
    "post_auth_delay": "only a pause",
    "idle_session_timeout": "only when a session may be ended, which is an error that is retried",
    "log_statement_sample_rate": "only the server's log",
    "seed": "a random number's start, which no read uses",
    "max_stack_depth": "a limit of the operating system's bounds it",
    "ignore_system_indexes": "only at a session's start, by its client",
    "log_directory": "only the server's log",
    "lc_collate": "fixed in a database",
}


def worst_values(source: Source) -> Iterator[tuple[str, str]]:
    """Yield every setting that a session can have of its own, with each of its extreme values."""
    rows = source.execute(
        "SELECT name, vartype, enumvals, min_val, max_val FROM pg_settings "
        "WHERE context IN ('user', 'superuser') ORDER BY name"
    )
    for name, type, labels, low, high in rows:
        if name in NOT_TRIED:
            continue
        values = {"bool": ["on", "off"], "enum": labels, "string": TEXTS.get(name)}.get(type, [low, high])
        assert values, f"{name} is a setting that no value is known for: add it to TEXTS or to NOT_TRIED"
        yield from ((name, value) for value in values)


def test_no_setting_of_a_session_changes_what_is_read(server: Postgres) -> None:
    with database(server, "settings") as source, closing(server.connect()) as admin:
        create_every_type(source)
        source.execute("CREATE VIEW seen AS SELECT id, c0 FROM t")
        queries = [source.query("t", order=("id",)), source.query("seen", order=("id",))]
        expected = [source.read(query) for query in queries]
        tried = 0
        for name, value in worst_values(source):
            text = value if name in LISTS else "'" + value.replace("'", "''") + "'"
            admin.run(f"ALTER DATABASE settings SET {name} = {text or repr(text)}")
            try:
                read = [source.read(query) for query in queries]
                assert (name, value, read) == (name, value, expected)
                with source.session() as connection:
                    hidden = source.engine.clock(connection).hidden
                    assert bool(hidden) == ((name, value) == ("track_activities", "off")), name
                    assert source.engine.list_tables(connection) == [
                        TableName("public", "seen"),
                        TableName("public", "t"),
                    ]
            except TributaryError as error:
                raise AssertionError(f"{name} = {value}: {error!r}") from error
            finally:
                admin.run(f"ALTER DATABASE settings RESET {name}")
            tried += 1
        assert tried > 300


def test_a_statement_of_a_view_cannot_change_the_session_for_the_next(server: Postgres) -> None:
    with database(server, "changed") as source:
        source.execute(
            "CREATE FUNCTION sets() RETURNS text LANGUAGE sql VOLATILE AS "
            "$$SELECT set_config('DateStyle', 'German', false) || set_config('row_security', 'on', false)$$"
        )
        source.execute("CREATE TABLE t (id int PRIMARY KEY, day date)")
        source.execute("INSERT INTO t VALUES (1, '2024-02-29')")
        source.execute("CREATE VIEW seen AS SELECT id, sets() AS x FROM t")
        seen, table = source.query("seen"), source.query("t")
        with source.session() as connection:
            list(source.engine.read(connection, seen))
            assert source.engine.ask(connection, "SELECT day::text FROM public.t") == ("2024-02-29",)
            (page,) = source.engine.read(connection, table)
            assert [str(row["day"]) for row in page.table.to_pylist()] == ["2024-02-29"]


def test_a_user_who_may_not_see_every_row_is_refused_by_name(server: Postgres) -> None:
    with database(server, "secured") as source:
        source.execute("CREATE TABLE t (id int PRIMARY KEY, tenant int)")
        source.execute("INSERT INTO t SELECT g, g % 3 FROM generate_series(1, 10) AS g")
        source.execute("ALTER TABLE t ENABLE ROW LEVEL SECURITY")
        source.execute("CREATE POLICY narrows ON t USING (tenant = 0)")
        source.execute("CREATE ROLE narrow LOGIN PASSWORD 'p'")
        source.execute("GRANT SELECT ON t TO narrow")
        query = source.query("t", order=("id",))
        narrow = replace(
            source,
            secret=Secret.model_validate(
                {**source.secret.model_dump(), "username": "narrow", "password": "p"}
            ),
        )
        try:
            assert len(source.read(query)) == 10
            with pytest.raises(TableRefused, match=r"public\.t.*row-level security.*BYPASSRLS"):
                narrow.read(query)
            with (
                narrow.session() as connection,
                pytest.raises(TableRefused, match="row-level security"),
            ):
                narrow.engine.ask(connection, "SELECT COUNT(*) FROM public.t")
            with narrow.session(visible_rows=True) as connection:
                (page,) = narrow.engine.read(connection, query)
                assert [row["id"] for row in page.table.to_pylist()] == [3, 6, 9]
        finally:
            source.execute("DROP OWNED BY narrow")
            source.execute("DROP ROLE narrow")


STACKED = [
    "id > 0); DELETE FROM public.t; SELECT (1",
    "id > 0); COMMIT; DELETE FROM public.t; SELECT (1",
    "id > 0)) TO STDOUT; DELETE FROM public.t; COPY (SELECT (1",
]


@pytest.mark.parametrize("where", STACKED)
def test_a_users_sql_is_one_statement_and_cannot_write(server: Postgres, where: str) -> None:
    with database(server, "stacked") as source:
        source.execute("CREATE TABLE t (id int PRIMARY KEY)")
        source.execute("INSERT INTO t VALUES (1), (2)")
        query = source.query("t", order=("id",))
        for attempt in (
            replace(query, where=where),
            replace(query, sql=f"SELECT * FROM (SELECT 1 AS id WHERE (1 = 1 OR {where}"),
        ):
            with pytest.raises(TributaryError):
                source.read(attempt)
        with source.session() as connection:
            with pytest.raises(TributaryError):
                source.engine.ask(connection, f"SELECT 1 FROM public.t WHERE (\n{where}\n)")
            with pytest.raises(TributaryError):
                source.engine.describe_query(
                    connection, query.table, f"SELECT 1 FROM public.t WHERE ({where})"
                )
            with pytest.raises(TableRefused, match="NUL"):
                source.engine.ask(connection, "SELECT '\0'")
            assert source.engine.ask(connection, "SELECT COUNT(*) FROM public.t") == ("2",)


def test_a_users_sql_means_what_it_means_in_the_users_own_session(server: Postgres) -> None:
    with database(server, "extended") as source:
        source.execute("CREATE EXTENSION citext")
        source.execute("CREATE TABLE t (id int PRIMARY KEY, email citext)")
        source.execute("INSERT INTO t VALUES (1, 'Ann@Example.com'), (2, 'bob@example.com')")
        source.execute(
            "CREATE FUNCTION is_ann(citext) RETURNS bool LANGUAGE sql STABLE AS "
            "$$SELECT $1 = 'ann@example.com' AND EXISTS (SELECT FROM t)$$"
        )
        source.execute("CREATE VIEW anns AS SELECT id FROM t WHERE is_ann(email)")
        where = "email = 'ann@example.com'"
        query = source.query("t", order=("id",))
        read = [
            source.read(replace(query, where=where)),
            source.read(replace(query, sql=f"SELECT * FROM t WHERE {where}")),
            source.read(source.query("anns", order=("id",))),
        ]
        assert [[row["id"] for row in rows] for rows in read] == [[1], [1], [1]]
        with source.session() as connection:
            sql = f"SELECT COUNT(*) FROM public.t AS t WHERE (\n{where}\n)"
            assert source.engine.ask(connection, sql) == ("1",)


# SASLprep prohibits each of them: unassigned, private, of two directions, control, only what it removes.
PASSWORDS = ["pass😀word", "\ue000", "aא1", "tab\there", "\u00ad", "ﬁ\u00a0x"]


@pytest.mark.parametrize("password", PASSWORDS)
def test_a_password_that_saslprep_prohibits_is_taken_as_libpq_takes_it(
    server: Postgres, password: str
) -> None:
    with database(server, "login") as source:
        source.execute(f"CREATE ROLE emoji LOGIN PASSWORD '{password}'")
        secret = Secret.model_validate(
            {**source.secret.model_dump(), "username": "emoji", "password": password}
        )
        try:
            with source.session(secret=secret) as connection:
                assert source.engine.ask(connection, "SELECT current_user") == ("emoji",)
            with pytest.raises(SourceRefused, match="wrong user name or password"):
                source.engine.connect(
                    secret.model_copy(
                        update={"password": secret.model_validate({"password": password + "x"}).password}
                    ),
                    statement_timeout_s=5,
                )
        finally:
            source.execute("DROP ROLE emoji")


REFUSED = {  # a view's expression, and the code that it fails with
    "1 / (id - id)": "22012",
    "'x'::text::int": "22P02",
    "2147483647 + id": "22003",
    "(SELECT g FROM generate_series(1, 2) AS g)": "21000",
    "nextval('counted')": "25006",
    "raises()": "P0001",
    "reads()": "42P01",
    "raises('AB123')": "AB123",
}


def test_what_the_source_refuses_is_never_an_internal_error(server: Postgres) -> None:
    with database(server, "refusing") as source:
        for statement in [
            "CREATE SEQUENCE counted",
            "CREATE TABLE t (id int PRIMARY KEY)",
            "INSERT INTO t VALUES (1)",
        ]:
            source.execute(statement)
        for name, body in {
            "raises()": "RAISE 'no'",
            "raises(code text)": "RAISE EXCEPTION USING ERRCODE = code",
            "reads()": "RETURN (SELECT x FROM gone)",
        }.items():
            source.execute(f"CREATE FUNCTION {name} RETURNS int LANGUAGE plpgsql AS $$BEGIN {body}; END$$")
        for number, (expression, code) in enumerate(REFUSED.items()):
            source.execute(f"CREATE VIEW v{number} AS SELECT id, {expression} AS x FROM t")
            query = source.query(f"v{number}", order=("id",), limit=10)
            with pytest.raises(TableRefused, match=rf"view public\.v{number} fails in the source \({code}"):
                source.read(query)


def test_a_data_exception_names_the_column(server: Postgres) -> None:
    with database(server, "excepting") as source:
        source.execute("CREATE TABLE t (id int PRIMARY KEY)")
        source.execute("INSERT INTO t VALUES (1), (2), (3)")
        source.execute("CREATE VIEW v AS SELECT id, id + 1 AS fine, 1 / (id - 3) AS poor FROM t")
        query = source.query("v", order=("id",), limit=10)
        with pytest.raises(
            TableRefused, match=r'column "poor" of view public\.v fails .*22012: a division by'
        ):
            source.read(query)
