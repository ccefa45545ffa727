"""Comments of a source's tables and columns, copied to the warehouse if they changed.

A comment that exists only in the warehouse is never removed: a person may have written it there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tributary.model.warehouse_names import Target
from tributary.redshift.sql import comma, literal, quote

COMMENT_BYTES = 8_000  # of one comment, so that a batch stays below the limits of the Data API
CommentTexts = dict[str | None, str]  # by column; None is the table itself


@dataclass(frozen=True, slots=True)
class Comments:
    """The comments of the warehouse's tables."""

    by_table: Mapping[tuple[str, str], Mapping[str | None, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Iterable[Sequence[str | None]]) -> Comments:
        """Return the comments in the rows of `existing`."""
        by_table: dict[tuple[str, str], CommentTexts] = {}
        for schema, table, column, remark in rows:
            by_table.setdefault((str(schema), str(table)), {})[column] = str(remark)
        return cls(by_table)

    def missing(
        self, target: Target, texts: CommentTexts, *, new_table: bool = False
    ) -> tuple[tuple[str | None, str], ...]:
        """Return the source's comments (`texts`) that the warehouse's table lacks.

        `new_table`: a new table replaces it, so it needs all comments, those written in the warehouse too.
        """
        present = self.by_table.get((target.schema, target.table), {})
        wanted = {**present, **texts} if new_table else texts
        short = {column: shortened(text) for column, text in wanted.items()}
        return tuple(
            (column, text)
            for column, text in short.items()
            if text and (new_table or present.get(column) != text)
        )


def shortened(text: str) -> str:
    """Return the comment as the warehouse can hold it: without NUL, cut to COMMENT_BYTES."""
    return text.replace("\0", "").encode()[:COMMENT_BYTES].decode(errors="ignore")


def existing(schemas: Sequence[str]) -> str:
    """Return the query for the comments in the schemas (PG_DESCRIPTION, as r_COMMENT says).

    The column is NULL for a table's own comment, whose objsubid is 0.
    """
    return (
        "SELECT n.nspname, c.relname, a.attname, d.description FROM pg_description AS d "
        "JOIN pg_class AS c ON c.oid = d.objoid JOIN pg_namespace AS n ON n.oid = c.relnamespace "
        "LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = d.objsubid AND a.attnum > 0 "
        f"WHERE c.relkind IN ('r', 'v') AND n.nspname IN ({comma(map(literal, schemas))})"
    )


def set_comment(schema: str, table: str, column: str | None, text: str) -> str:
    """Return the statement that sets the comment of a column, or of the table.

    COMMENT takes a string constant, no expression (r_COMMENT), so a backslash is doubled.
    """
    quoted = "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
    if column is None:
        return f"COMMENT ON TABLE {quote(schema, table)} IS {quoted}"
    return f"COMMENT ON COLUMN {quote(schema, table, column)} IS {quoted}"
