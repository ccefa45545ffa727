"""Sources that are copies of another server: rows are written at the primary and read from the copy."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pg8000.native
import pymysql

from local.databases.mariadb import MariaDB
from local.databases.postgres import Postgres
from tests.e2e.company import MariaDBSource, PostgresSource, Row
from tests.patience import wait_for


@dataclass
class StandbySource(PostgresSource):
    """A database of a primary, read from its standby."""

    primary: Postgres
    standby: Postgres

    def create(self) -> None:
        with closing(self.primary.connect()) as admin:
            admin.run(f'CREATE DATABASE "{self.name}"')

    def secret(self) -> dict[str, Any]:
        return {**super().secret(), "host": self.standby.host, "port": self.standby.port}

    def connect(self, **login: Any) -> pg8000.native.Connection:
        return self.primary.connect(self.name, **login)

    def copy_sql(self, *statements: str) -> list[Row]:
        """Run statements on the copy and return the rows of the last."""
        with closing(self.standby.connect(self.name)) as session:
            rows: list[Row] = []
            for statement in statements:
                rows = [tuple(row) for row in session.run(statement) or []]
            return rows

    def pause(self) -> None:
        """Keep the standby from replaying more, as a delay does, without a lock of half-replayed DDL."""
        self.arrived()
        self.copy_sql("SELECT pg_wal_replay_pause()")

    def resume(self) -> None:
        self.copy_sql("SELECT pg_wal_replay_resume()")

    def arrived(self) -> None:
        """Return once the copy has all that was committed until now."""
        [(position,)] = self.sql("SELECT pg_current_wal_lsn()::text")
        replayed = f"SELECT pg_last_wal_replay_lsn() >= '{position}'::pg_lsn"
        with closing(self.standby.connect()) as session:
            wait_for(lambda: session.run(replayed) == [[True]])


@dataclass
class SubscriberSource(PostgresSource):
    """A database that a logical subscription fills from a publisher's database of the same name."""

    primary: Postgres
    subscriber: Postgres

    def create(self) -> None:
        for server in (self.primary, self.subscriber):
            with closing(server.connect()) as admin:
                admin.run(f'CREATE DATABASE "{self.name}"')

    def secret(self) -> dict[str, Any]:
        return {**super().secret(), "host": self.subscriber.host, "port": self.subscriber.port}

    def connect(self, **login: Any) -> pg8000.native.Connection:
        return self.primary.connect(self.name, **login)

    def subscribe(self, *tables: str) -> None:
        """Create the tables on both sides and the subscription."""
        self.sql(*tables, "CREATE PUBLICATION everything FOR ALL TABLES")
        address = f"host={self.primary.host} port={self.primary.port} user=postgres dbname={self.name}"
        self.copy_sql(
            *tables, f"CREATE SUBSCRIPTION {self.name} CONNECTION '{address}' PUBLICATION everything"
        )
        copied = "SELECT count(*) FROM pg_subscription_rel WHERE srsubstate = 'r'"
        wait_for(lambda: self.copy_sql(copied) == [(len(tables),)])  # while no transaction is open

    def pause(self) -> None:
        """Stop the subscription."""
        self.copy_sql(f"ALTER SUBSCRIPTION {self.name} DISABLE")
        running = f"SELECT pid FROM pg_stat_subscription WHERE subname = '{self.name}'"
        wait_for(lambda: self.copy_sql(running) in ([], [(None,)]))

    def resume(self) -> None:
        self.copy_sql(f"ALTER SUBSCRIPTION {self.name} ENABLE")

    def arrived(self) -> None:
        """Return once the copy has all that was committed until now, and knows it."""
        [(now,)] = self.sql("SELECT clock_timestamp()::text")
        applied = (
            f"SELECT bool_and(s.latest_end_time >= '{now}' AND a.backend_start < now() - interval '5.2 s') "
            "FROM pg_stat_subscription AS s JOIN pg_stat_activity AS a ON a.pid = s.pid "
            f"WHERE s.subname = '{self.name}'"
        )
        # A message that follows a commit tells the time up to which nothing is left to apply.
        commit = "SELECT pg_logical_emit_message(true, 'tests', 'now')"
        wait_for(lambda: bool(self.sql(commit)) and self.copy_sql(applied) == [(True,)])

    def copy_sql(self, *statements: str) -> list[Row]:
        """Run statements on the copy and return the rows of the last."""
        with closing(self.subscriber.connect(self.name)) as session:
            rows: list[Row] = []
            for statement in statements:
                rows = [tuple(row) for row in session.run(statement) or []]
            return rows

    def unsubscribe(self) -> None:
        """Remove the subscription, whose slot would keep the publisher's log."""
        self.copy_sql(f"DROP SUBSCRIPTION IF EXISTS {self.name}")


@dataclass
class ReplicaSource(MariaDBSource):
    """A database of a MariaDB server, read from its replica."""

    primary: MariaDB
    replica: MariaDB

    def create(self) -> None:
        with closing(self.primary.connect()) as admin:
            admin.query(f"CREATE DATABASE `{self.name}` CHARACTER SET utf8mb4")

    def secret(self) -> dict[str, Any]:
        return {**super().secret(), "host": self.replica.host, "port": self.replica.port}

    def connect(self, **login: Any) -> pymysql.Connection[Any]:
        return self.primary.connect(self.name, **login)

    def copy_sql(self, *statements: str) -> list[Row]:
        """Run statements on the copy and return the rows of the last."""
        rows: Sequence[Row] = []
        with closing(self.replica.connect()) as session, session.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
                rows = cursor.fetchall()
        return list(rows)

    def pause(self) -> None:
        """Stop replication."""
        self.copy_sql("STOP SLAVE")

    def resume(self) -> None:
        self.copy_sql("START SLAVE")

    def arrived(self) -> None:
        """Return once the copy has all that was committed until now."""
        [(position,)] = self.sql("SELECT @@gtid_binlog_pos")
        assert self.copy_sql(f"SELECT MASTER_GTID_WAIT('{position}', 60)") == [(0,)]


@dataclass
class PooledSource(PostgresSource):
    """A database that is read through a pooler in transaction pooling."""

    pooler_port: int

    def secret(self) -> dict[str, Any]:
        return {**super().secret(), "port": self.pooler_port}
