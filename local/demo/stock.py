"""The source `stock`: what suppliers have, in a file of DuckDB that is read through SQLAlchemy."""

from __future__ import annotations

from pathlib import Path

import duckdb

from local.demo import compare
from local.demo.compare import Fingerprint
from local.demo.tables import CHANGED_AT, PARTSUPP, Table

# A row changed at some full minute of the 30 days until two hours ago, in UTC.
HISTORY = "date_trunc('minute', now() AT TIME ZONE 'UTC' - INTERVAL 2 HOUR - random() * INTERVAL 30 DAY)"

YAML = """\
engine: duckdb
secret: tributary/stock
defaults: {mode: merge, cursor: updated_at, cursor_time_zone: UTC, overlap: 1 hour}
tables:
  - include: main.*
"""


class Stock:
    """A file with one table; each statement opens it for a moment, since one process has it at a time."""

    name = "stock"
    kind = f"DuckDB {duckdb.__version__}"
    yaml = YAML
    tables: tuple[Table, ...] = (PARTSUPP,)

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._file = directory / "stock.duckdb"

    @property
    def secret(self) -> dict[str, object]:
        """Return the source's secret for Secrets Manager."""
        return {"dbname": str(self._file)}

    def columns(self, table: Table) -> dict[str, str]:
        """Return the table's current columns."""
        return {**table.columns, CHANGED_AT: "TIMESTAMP"}

    def fill(self, rows: Path) -> None:
        """Create the table and load its rows from CSV."""
        for table in self.tables:
            key = ", ".join(table.key)
            self._run(
                f"CREATE TABLE {table.name} ({table.definition}, "
                f"{CHANGED_AT} TIMESTAMP NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'), PRIMARY KEY ({key}))"
            )
            file = str(rows / f"{table.name}.csv").replace("'", "''")
            self._run(
                f"INSERT INTO {table.name} SELECT *, {HISTORY} FROM read_csv('{file}', all_varchar = true)"
            )

    def change(self) -> list[str]:
        """Make the changes between two runs; return them as text."""
        self._run(
            "UPDATE partsupp SET ps_availqty = ps_availqty + 1, updated_at = now() AT TIME ZONE 'UTC' "
            "WHERE ps_partkey % 50 = 0"
        )
        return ["a delivery comes for every fiftieth part"]

    def fingerprint(self, table: Table) -> Fingerprint:
        """Return the table's fingerprint."""
        return compare.fingerprint(self._run(compare.query(compare.DUCKDB, table.name, self.columns(table))))

    def stop(self) -> None:
        """Do nothing: no process runs."""

    def _run(self, sql: str) -> tuple[object, ...]:
        """Run the statement and return its first row."""
        with duckdb.connect(self._file) as session:
            return session.execute(sql).fetchone() or ()
