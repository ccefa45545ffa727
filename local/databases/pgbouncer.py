"""A private PgBouncer in front of a PostgreSQL server, in transaction pooling, from the system's package."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pg8000.native

from local.databases.postgres import HOST, Postgres
from local.databases.server import free_port, run

PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])
CONFIGURATION = """
[databases]
* = host={host} port={server_port}
[pgbouncer]
listen_addr = {host}
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = transaction
default_pool_size = {pool_size}
logfile =
pidfile =
"""


def available() -> bool:
    """Return whether PgBouncer is installed."""
    return shutil.which("pgbouncer", path=PATH) is not None


@contextmanager
def pooled(server: Postgres, *, pool_size: int) -> Iterator[int]:
    """Yield the port of a pooler with that many server connections for each database and user."""
    home = Path(tempfile.mkdtemp(prefix="pgbouncer-"))
    home.chmod(0o755)
    port = free_port()
    users, configuration = home / "users.txt", home / "pgbouncer.ini"
    users.write_text(f'"{server.superuser}" ""\n')
    configuration.write_text(
        CONFIGURATION.format(host=HOST, server_port=server.port, port=port, users=users, pool_size=pool_size)
    )

    def ready() -> None:
        pg8000.native.Connection(server.superuser, host=HOST, port=port, ssl_context=False).close()

    command = [str(shutil.which("pgbouncer", path=PATH)), str(configuration)]
    running = run(command, home / "pgbouncer.log", ready, user="nobody" if os.geteuid() == 0 else None)
    try:
        yield port
    finally:
        running.stop()
        shutil.rmtree(home, ignore_errors=True)
