"""A private MariaDB server from the system's own binaries, without a service."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import pymysql
import pymysql.connections

from local.databases.server import Server, ServerError, free_port, run

HOST = "127.0.0.1"
SUPERUSER = "root"
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", "/usr/local/bin"])
# Its files need not survive a crash, so nothing waits for a disk: creating a table takes 2 ms, not 10.
WRITING: Mapping[str, str] = {
    "innodb-flush-log-at-trx-commit": "0",
    "innodb-log-file-size": "32M",
    "innodb-doublewrite": "0",
    "loose-innodb-flush-method": "nosync",
    "loose-debug-no-sync": "1",
}
SETTINGS: Mapping[str, str] = {
    "bind-address": HOST,
    "skip-name-resolve": "1",  # identify accounts by address, without a slow reverse lookup
    "max-connections": "300",
    "character-set-server": "utf8mb4",
    "skip-log-bin": "1",
    "performance-schema": "0",
    **WRITING,
}


def available() -> bool:
    """Say whether MariaDB's server is installed here."""
    return bool(_program("mariadbd"))


@dataclass(frozen=True, slots=True)
class MariaDB:
    """A running server; leaving its context stops it. Root has no password over 127.0.0.1."""

    port: int
    directory: Path
    server: Server
    temporary: bool
    host: str = HOST
    superuser: str = SUPERUSER

    @classmethod
    def start(cls, directory: Path | None = None, *, settings: Mapping[str, str] | None = None) -> Self:
        """Start a server with its files in the directory, or in a temporary one that is deleted with it.

        A setting is an option of mariadbd without its dashes. Raises ServerError with the log's tail.
        """
        temporary = directory is None
        home = Path(tempfile.mkdtemp(prefix="mariadb-")) if directory is None else directory.absolute()
        home.mkdir(parents=True, exist_ok=True)
        if not (home / "data" / "mysql").exists():
            _initialise(home)
        for attempts_left in (4, 3, 2, 1, 0):
            port = free_port()
            try:
                return cls(port, home, _serve(home, port, settings or {}), temporary)
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
        self, dbname: str | None = None, user: str | None = None, password: str | None = None
    ) -> pymysql.connections.Connection[pymysql.cursors.Cursor]:
        """Open a session in utf8mb4, without TLS."""
        return pymysql.connect(
            host=self.host,
            port=self.port,
            user=user or SUPERUSER,
            password=password or "",
            database=dbname,
            charset="utf8mb4",
            ssl_disabled=True,  # PyMySQL would load the system's certificates for TLS, 20 ms each time
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


@functools.cache
def _program(name: str) -> str | None:
    return shutil.which(name, path=PATH)


def _as_root() -> list[str]:
    return ["--user=root"] if os.geteuid() == 0 else []


def _options(settings: Mapping[str, str]) -> list[str]:
    return [f"--{name}={value}" for name, value in settings.items()]


def _initialise(home: Path) -> None:
    installer = _program("mariadb-install-db")
    if not installer:
        raise ServerError("no MariaDB here: install mariadb-server-core and mariadb-client-core")
    command = [
        installer,
        "--no-defaults",
        f"--datadir={home / 'data'}",
        "--auth-root-authentication-method=normal",
        "--skip-test-db",
        *_as_root(),
        *_options(WRITING),
    ]
    environment = {**os.environ, "TMPDIR": str(home)}  # its temporary tables are named by process id only
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    if done.returncode:
        raise ServerError(f"mariadb-install-db failed:\n{done.stdout}{done.stderr}")


def _serve(home: Path, port: int, settings: Mapping[str, str]) -> Server:
    program = _program("mariadbd")
    if not program:
        raise ServerError("no mariadbd here: install mariadb-server-core")
    # The socket goes under /tmp: its path may not exceed 107 bytes.
    socket = Path(tempfile.gettempdir()) / f"mariadb-{os.getpid()}-{port}.sock"
    own = home / "tmp"  # a starting server deletes all temporary tables in the folder, also another server's
    own.mkdir(exist_ok=True)
    command = [
        program,
        "--no-defaults",
        *_as_root(),
        f"--datadir={home / 'data'}",
        f"--socket={socket}",
        f"--tmpdir={own}",
        f"--pid-file={home / 'mariadb.pid'}",
        f"--port={port}",
        *_options({**SETTINGS, **settings}),
    ]

    def ready() -> None:
        pymysql.connect(host=HOST, port=port, user=SUPERUSER).close()

    return run(command, home / "mariadb.log", ready)
