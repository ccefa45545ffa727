"""What a source says of its tables and columns, said in the warehouse too, where it changed.

A comment that the source does not have is never taken away: it may be one that somebody wrote there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tributary.model.warehouse_names import Target
from tributary.redshift.sql import comma, literal, quote

COMMENT_BYTES = 8_000  # of one comment, so that a batch of them is one that the Data API takes
Said = dict[str | None, str]  # by column, None for the table itself


@dataclass(frozen=True, slots=True)
class Comments:
    """The comments that the warehouse's tables have."""

    found: Mapping[tuple[str, str], Mapping[str | None, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Iterable[Sequence[str | None]]) -> Comments:
        """Return the comments in the answer to `ask`."""
        found: dict[tuple[str, str], Said] = {}
        for schema, table, column, remark in rows:
            found.setdefault((str(schema), str(table)), {})[column] = str(remark)
        return cls(found)

    def missing(
        self, target: Target, said: Said, *, anew: bool = False
    ) -> tuple[tuple[str | None, str], ...]:
        """Return those of the source's comments that the warehouse's table does not have.

        `anew`: another table takes its place, and is to have all comments, those written there too.
        """
        has = self.found.get((target.schema, target.table), {})
        cut = {column: shortened(text) for column, text in ({**has, **said} if anew else said).items()}
        return tuple(
            (column, text) for column, text in cut.items() if text and (anew or has.get(column) != text)
        )


def shortened(text: str) -> str:
    """Return the comment as the warehouse can have it: without NUL, cut where it is very long."""
    return text.replace("\0", "").encode()[:COMMENT_BYTES].decode(errors="ignore")


def ask(schemas: Sequence[str]) -> str:
    """Return the query of the comments that stand there (SVV_TABLES, SVV_COLUMNS)."""
    there = f"table_schema IN ({comma(map(literal, schemas))}) AND remarks IS NOT NULL"
    return (
        "SELECT table_schema, table_name, CAST(NULL AS VARCHAR) AS column_name, remarks "
        f"FROM svv_tables WHERE {there} "
        f"UNION ALL SELECT table_schema, table_name, column_name, remarks FROM svv_columns WHERE {there}"
    )


def comment(schema: str, table: str, column: str | None, text: str) -> str:
    """Return the statement that says the comment of a column, or of the table.

    COMMENT takes one string and no expression (r_COMMENT), so a backslash is doubled.
    """
    said = "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
    if column is None:
        return f"COMMENT ON TABLE {quote(schema, table)} IS {said}"
    return f"COMMENT ON COLUMN {quote(schema, table, column)} IS {said}"
