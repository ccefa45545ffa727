"""What the demo asks of a source: to be filled, changed, and compared."""

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
        """Return what Secrets Manager shall hold of the source."""

    def columns(self, table: Table) -> dict[str, str]:
        """Return the columns that the table has by now."""

    def fill(self, rows: Path) -> None:
        """Create the tables, load their rows from `<name>.csv`, and make the user that may read them."""

    def change(self) -> list[str]:
        """Do what a company does between two runs; return it in words."""

    def fingerprint(self, table: Table) -> Fingerprint:
        """Return the table's fingerprint, computed by the source."""

    def stop(self) -> None:
        """End the server."""
