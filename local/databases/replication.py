"""Servers that others fill too: a PostgreSQL standby and subscriber, a MariaDB replica, a node of Galera."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from local.databases.mariadb import MariaDB
from local.databases.postgres import SUPERUSER, Postgres, as_other_than_root, server_programs
from local.databases.server import ServerError, free_port

PRIMARY = {
    "wal_level": "logical",
    "synchronous_commit": "local",
}  # settings of a PostgreSQL server that others are filled from
LOGGED = {"skip-log-bin": "0", "log-bin": "binlog", "binlog-format": "ROW", "server-id": "1"}  # of a MariaDB

GALERA = Path("/usr/lib/galera/libgalera_smm.so")  # Debian's package galera-4


@contextmanager
def standby(primary: Postgres, *, settings: Mapping[str, str] | None = None) -> Iterator[Postgres]:
    """Start a hot standby of the server, which streams from it."""
    home = Path(tempfile.mkdtemp(prefix="standby-"))
    prefix, user = as_other_than_root()
    if user:
        shutil.chown(home, user)
    copy = [
        str(server_programs() / "pg_basebackup"),
        "-h",
        primary.host,
        "-p",
        str(primary.port),
        "-U",
        SUPERUSER,
    ]
    copy += ["-D", str(home / "data"), "--write-recovery-conf", "--checkpoint=fast", "--no-sync"]
    done = subprocess.run([*prefix, *copy], check=False, capture_output=True, text=True, user=user)
    if done.returncode:
        raise ServerError(f"pg_basebackup failed:\n{done.stderr}")
    try:
        with Postgres.start(home, settings=settings) as server:
            yield server
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def replica(primary: MariaDB, *, settings: Mapping[str, str] | None = None) -> Iterator[MariaDB]:
    """Start a replica of a server that logs its changes (LOGGED) and has no databases of its own yet."""
    with MariaDB.start(settings={"server-id": "2", **(settings or {})}) as server:
        with closing(server.connect()) as session:
            session.query(
                f"CHANGE MASTER TO MASTER_HOST='{primary.host}', MASTER_PORT={primary.port}, "
                f"MASTER_USER='{primary.superuser}', MASTER_PASSWORD='', MASTER_USE_GTID=slave_pos, "
                "MASTER_CONNECT_RETRY=1"
            )
            session.query("START SLAVE")
        yield server


def galera_node() -> dict[str, str]:
    """Return the settings of a MariaDB server that is the first node of a Galera cluster."""
    own, states = free_port(), free_port()
    return {
        "wsrep-on": "ON",
        "wsrep-provider": str(GALERA),
        "wsrep-cluster-address": "gcomm://",
        "wsrep-node-address": f"127.0.0.1:{own}",
        "wsrep-provider-options": (
            f"gmcast.listen_addr=tcp://127.0.0.1:{own};ist.recv_addr=127.0.0.1:{states};gcache.size=16M"
        ),
        "binlog-format": "ROW",
        "innodb-autoinc-lock-mode": "2",
    }
