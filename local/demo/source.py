"""A source of the demo: it can be filled, changed, and compared."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from local.demo.compare import Fingerprint
from local.demo.tables import Table


class Source(Protocol):
    """A database of the company; `kind` says which server it is, `yaml` is its source file."""

    name: str
    kind: str
    yaml: str
    tables: tuple[Table, ...]

    @property
    def secret(self) -> dict[str, object]:
        """Return the source's secret for Secrets Manager."""

    def columns(self, table: Table) -> dict[str, str]:
        """Return the table's current columns."""

    def fill(self, rows: Path) -> None:
        """Create the tables, load their rows from `<name>.csv`, and create the user that may read them."""

    def change(self) -> list[str]:
        """Make the changes between two runs; return them as text."""

    def fingerprint(self, table: Table) -> Fingerprint:
        """Return the table's fingerprint, computed by the source."""

    def stop(self) -> None:
        """End the server."""
