"""A statement being translated from Redshift's grammar to PostgreSQL's."""

from __future__ import annotations

from dataclasses import dataclass

from local.redshift.copy_command import Copy
from local.redshift.lexer import Reader
from local.redshift.names import LongNames
from local.redshift.rewrite import dotted, identifier, render


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition of an external table: its columns with their values, and its manifest's location."""

    values: tuple[tuple[str, str], ...]
    location: str


@dataclass(frozen=True, slots=True)
class Change:
    """Partitions to add to an external table (quoted name), or to drop from it."""

    table: str
    partitions: tuple[Partition, ...]
    adds: bool
    missing_only: bool


@dataclass(frozen=True, slots=True)
class Translated:
    """A statement for PostgreSQL: `sql` gives the answer, '' if there is nothing to run.

    A COPY and a change of partitions are run by other code.
    """

    sql: str = ""
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    copy: Copy | None = None
    change: Change | None = None


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement being read: the reader's position, and whether it is in a transaction block."""

    reader: Reader
    names: LongNames
    in_block: bool

    def render(self) -> str:
        """Return the rest as PostgreSQL's SQL."""
        return render(self.reader.rest(), self.names)

    def dotted(self) -> str:
        """Pass a name with its schema and return it quoted."""
        return dotted(self.reader.dotted(), self.names)

    def plain(self) -> str:
        """Return the rest verbatim, except quoted names and the word ROLE before a name."""
        source = self.reader.rest()
        kept = [
            token
            for at, token in enumerate(source)
            if not (token.is_("ROLE") and at and source[at - 1].word in ("TO", "FROM", "GRANT", "REVOKE"))
        ]
        return " ".join(
            identifier(token, self.names) if token.kind == "quoted" else token.text for token in kept
        )
