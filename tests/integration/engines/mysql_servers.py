"""MariaDB servers of a test's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from local.databases.mariadb import MariaDB
from tests.integration.engines.source import Source
from tributary.engines import registry
from tributary.secret import Secret


@contextmanager
def own_server(**settings: str) -> Iterator[Source]:
    """A server of the test's own, where global settings may change."""
    chosen = {name.replace("_", "-"): value for name, value in settings.items()}
    with MariaDB.start(settings=chosen) as server, shop_of(server) as source:
        yield source


@contextmanager
def shop_of(server: MariaDB) -> Iterator[Source]:
    """Create a database `shop` in the server, as a source whose SQL is run as root."""
    with closing(server.connect()) as admin:
        admin.autocommit(True)

        def execute(sql: str) -> Any:
            with admin.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall()

        execute("CREATE DATABASE shop")
        execute("USE shop")
        secret = Secret(host=server.host, port=server.port, username="root", dbname="shop", sslmode="disable")
        yield Source("mysql", registry.get("mysql"), secret, "shop", execute, server)
