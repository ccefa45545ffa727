"""The source `sales`: a shop's orders in PostgreSQL, and the changes between two runs."""

from __future__ import annotations

import secrets
from pathlib import Path

import pg8000.native

from local.databases.postgres import Postgres
from local.demo import compare
from local.demo.compare import Fingerprint
from local.demo.tables import CHANGED_AT, LINEITEM, ORDERS, PART, PARTSUPP, Table

# A row changed at some full minute of the 30 days until two hours ago: many share one.
HISTORY = "date_trunc('minute', now() - interval '2 hours' - random() * interval '30 days')"
NEW_KEYS = 10_000_000  # above every key of TPC-H at these sizes
LATE_CLERK, EARLY_CLERK, NEW_CLERK = "Clerk#late", "Clerk#early", "Clerk#new"

YAML = """\
engine: postgresql
secret: tributary/sales
defaults: {mode: merge, cursor: updated_at}
tables:
  - include: public.*
"""


class Sales:
    """A private PostgreSQL server with the database `sales`."""

    name = "sales"
    yaml = YAML
    tables: tuple[Table, ...] = (LINEITEM, ORDERS, PART, PARTSUPP)

    def __init__(self, directory: Path) -> None:
        self._server = Postgres.start(directory, settings={"max_wal_size": "2GB"})
        self._password = secrets.token_hex(12)
        admin = self._server.connect()
        admin.run("CREATE DATABASE sales")
        self.kind = "PostgreSQL " + str(admin.run("SHOW server_version")[0][0]).split()[0]
        admin.close()
        self._session = self._server.connect("sales")
        self._late: pg8000.native.Connection | None = None

    @property
    def secret(self) -> dict[str, object]:
        """Return the source's secret for Secrets Manager."""
        return {
            "host": self._server.host,
            "port": self._server.port,
            "username": "tributary",
            "password": self._password,
            "dbname": "sales",
            "sslmode": "disable",
        }

    def columns(self, table: Table) -> dict[str, str]:
        """Return the table's current columns."""
        return {**table.columns, CHANGED_AT: "TIMESTAMPTZ"}

    def fill(self, rows: Path) -> None:
        """Create the tables, load their rows from CSV, index them, and create the user that may read them."""
        for table in self.tables:
            self._run(f"CREATE TABLE {table.name} ({table.definition})")
            self._run(f"ALTER TABLE {table.name} ADD {CHANGED_AT} TIMESTAMPTZ NOT NULL DEFAULT {HISTORY}")
            with (rows / f"{table.name}.csv").open("rb") as csv:
                self._session.run(
                    f"COPY {table.name} ({table.names}) FROM STDIN (FORMAT csv, HEADER)", stream=csv
                )
            self._run(f"ALTER TABLE {table.name} ALTER {CHANGED_AT} SET DEFAULT now()")
            key = ", ".join(table.key)
            self._run(f"ALTER TABLE {table.name} ADD PRIMARY KEY ({key})")
            self._run(f"CREATE INDEX ON {table.name} ({CHANGED_AT}, {key})")
            self._run(f"ANALYZE {table.name}")
        self._run(f"CREATE ROLE tributary LOGIN PASSWORD '{self._password}'")
        self._run("GRANT pg_read_all_data, pg_read_all_stats TO tributary")

    def work_on(self) -> list[str]:
        """Leave a transaction open with new orders, while others are committed after them.

        Their timestamp is the transaction's start, as now() returns it: a watermark that moved to the
        highest value read would skip them forever.
        """
        self._late = self._server.connect("sales")
        self._late.run("BEGIN")
        self._late.run(_new_orders(1, LATE_CLERK, "o_orderkey % 1500 = 1"))
        late = self._late.row_count
        self._run(_new_orders(2, EARLY_CLERK, "o_orderkey % 3000 = 1"))
        return [
            f"a transaction inserts {late} orders and stays open",
            f"another, begun later, inserts {self._session.row_count} orders and commits",
        ]

    def change(self) -> list[str]:
        """Make changes as a shop would; return them as text."""
        assert self._late is not None
        self._late.run("COMMIT")
        self._late.close()
        done = ["the transaction that was open during the first run commits its orders"]
        self._run("BEGIN")
        self._run(
            f"UPDATE orders SET o_orderstatus = 'P', o_comment = NULL, {CHANGED_AT} = now() "
            "WHERE o_orderkey % 75 = 0"
        )
        changed = self._session.row_count
        self._run(_new_orders(3, NEW_CLERK, "o_orderkey % 300 = 2"))
        new = self._session.row_count
        order_key = f"l_orderkey + {3 * NEW_KEYS}"
        self._run(LINEITEM.copies({"l_orderkey": order_key}, "l_orderkey % 300 = 2"))
        done.append(
            f"{changed:,} changed and {new:,} new orders, and {self._session.row_count:,} new items, "
            "share one timestamp"
        )
        self._run("COMMIT")
        return done

    def late_orders(self) -> int:
        """Return how many orders the late transaction inserted."""
        rows = self._run(f"SELECT COUNT(*) FROM orders WHERE o_clerk = '{LATE_CLERK}'")
        return int(str(rows[0][0]))

    def fingerprint(self, table: Table) -> Fingerprint:
        """Return the table's fingerprint."""
        return compare.fingerprint(
            tuple(self._run(compare.query(compare.POSTGRESQL, table.name, self.columns(table)))[0])
        )

    def stop(self) -> None:
        """End the server."""
        self._server.stop()

    def _run(self, sql: str) -> list[list[object]]:
        rows: list[list[object]] = self._session.run(sql)
        return rows


def _new_orders(generation: int, clerk: str, where: str) -> str:
    changes = {
        "o_orderkey": f"o_orderkey + {generation * NEW_KEYS}",
        "o_orderstatus": "'O'",
        "o_clerk": f"'{clerk}'",
    }
    return ORDERS.copies(changes, f"{where} AND o_orderkey < {NEW_KEYS}")
