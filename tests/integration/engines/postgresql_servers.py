"""PostgreSQL servers of several versions, and databases in them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from local.databases.postgres import Postgres
from tests.integration.engines.source import Source
from tributary.engines import registry
from tributary.secret import Secret

OLDER = Path("/usr/lib/postgresql/15/bin")  # Debian's
SERVERS = [None, *([OLDER] if (OLDER / "initdb").exists() else [])]


@contextmanager
def database(server: Postgres, name: str) -> Iterator[Source]:
    """A database of the server's, its administrator's session in it, and a secret for it."""
    with closing(server.connect()) as admin:
        admin.run(f"CREATE DATABASE {name}")
        try:
            with closing(server.connect(name)) as inside:
                secret = Secret(
                    host=server.host, port=server.port, username="postgres", dbname=name, sslmode="disable"
                )
                yield Source("postgresql", registry.get("postgresql"), secret, "public", inside.run, server)
        finally:
            admin.run(f"DROP DATABASE {name} WITH (FORCE)")
