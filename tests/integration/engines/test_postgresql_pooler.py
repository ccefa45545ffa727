"""PostgreSQL behind PgBouncer, in transaction pooling, with an application beside the reader."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import Any

import pg8000.native
import pytest

from local.databases import pgbouncer
from local.databases.postgres import Postgres
from tests.integration.engines.postgresql_servers import database
from tests.integration.engines.source import create_every_type
from tributary.errors import TableRefused

WATCHED = "SELECT name, setting FROM pg_settings WHERE name <> 'application_name' ORDER BY name"
LEAKS = [
    "SET search_path = other",
    "SET DateStyle = 'German, DMY'",
    "SET IntervalStyle = 'iso_8601'",
    "SET bytea_output = 'escape'",
    "SET extra_float_digits = -15",
    "SET default_transaction_isolation = 'serializable'",
    "SET statement_timeout = '1s'",
    "SET row_security = on",
    "SET TimeZone = 'Asia/Kolkata'",
    "SET quote_all_identifiers = on",
    "SET gin_fuzzy_search_limit = 1",
    "SET ROLE application_role",
    "CREATE TEMP TABLE t (id int)",
]


def test_nothing_leaks_through_a_pooler_in_either_direction(server: Postgres) -> None:
    """An application and the reader share the server connections, which the pooler hands out in turn."""
    with database(server, "pooled") as source, pgbouncer.pooled(server, pool_size=2) as port:
        create_every_type(source)
        source.execute("CREATE SCHEMA other")
        source.execute("CREATE ROLE application_role")
        source.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO application_role")
        source.execute("CREATE VIEW seen AS SELECT id FROM t")
        queries = [source.query("t", order=("id",)), source.query("t", order=("id",), where="id > 1")]
        queries.append(source.query("seen", order=("id",)))
        expected = [source.read(query) for query in queries]
        pooled = replace(source, secret=source.secret.model_copy(update={"port": port}))

        def application() -> pg8000.native.Connection:
            return pg8000.native.Connection(
                "postgres", host="127.0.0.1", port=port, database="pooled", ssl_context=False
            )

        def as_the_application_sees_it() -> list[tuple[int, Any]]:
            """Return the settings of both server connections, and whether they can write."""
            with closing(application()) as one, closing(application()) as other:
                for session in (one, other):
                    session.run("BEGIN")
                states = [
                    (session.run("SELECT pg_backend_pid(), current_user"), session.run(WATCHED))
                    for session in (one, other)
                ]
                for session in (one, other):
                    session.run("UPDATE public.t SET id = id")
                    session.run("ROLLBACK")
                return sorted(states, key=repr)

        for leak in ["SELECT 1", *LEAKS]:
            with closing(application()) as one, closing(application()) as other:
                for session in (one, other):
                    session.run("BEGIN")
                    session.run(leak)
                for session in (one, other):
                    session.run("COMMIT")
            before = as_the_application_sees_it()
            for query, rows in zip(queries, expected, strict=True):
                assert (leak, pooled.read(query)) == (leak, rows)
                with pooled.session() as connection:
                    read = pooled.engine.read(connection, query)
                    next(iter(read))
                    pooled.engine.clock(connection)
                    with pytest.raises(TableRefused):
                        pooled.engine.ask(connection, "SELECT 1 / 0")
                    table = pooled.engine.quote("public", "t")
                    assert pooled.engine.ask(connection, f"SELECT COUNT(*) FROM {table}") == ("6",)
            assert (leak, as_the_application_sees_it()) == (leak, before)
