"""A table's rows as one number, computed by the server that holds them: equal tables, equal numbers.

Each row becomes one text (values in a form that all servers can produce, NULL distinct from ''), each
text the first 32 bits of its MD5, and those are summed: the order of rows does not matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from local.demo.tables import CHANGED_AT


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """How many rows a table has, and the sum of their digests."""

    rows: int
    checksum: int


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a server writes a number, a date and a time as text, and a row's digest as an integer.

    `{0}` is the column, or the row's text; decimals have two places.
    """

    number: str
    decimal: str
    date: str
    time: str
    digest: str
    concat: str = " || "

    def text(self, column: str, type: str) -> str:
        """Return the expression of the column's value as text."""
        if column == CHANGED_AT:
            return self.time.format(column)
        form = {"DECIMAL": self.decimal, "DATE": self.date, "VARCHAR": "{0}"}
        return form.get(type.partition("(")[0], self.number).format(column)

    def joined(self, parts: list[str]) -> str:
        """Return the expression of the parts, one after the other; NULL if one of them is."""
        return f"CONCAT({', '.join(parts)})" if self.concat == "CONCAT" else self.concat.join(parts)


POSTGRESQL = Dialect(
    number="CAST({0} AS VARCHAR)",
    decimal="CAST({0} AS VARCHAR)",
    date="TO_CHAR({0}, 'YYYY-MM-DD')",
    time="TO_CHAR({0} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')",
    digest="CAST(CAST('x' || SUBSTRING(MD5({0}), 1, 8) AS BIT(32)) AS BIGINT)",
)
REDSHIFT = Dialect(
    number="CAST({0} AS VARCHAR)",
    decimal="CAST({0} AS VARCHAR)",
    date="TO_CHAR({0}, 'YYYY-MM-DD')",
    time="TO_CHAR({0}, 'YYYY-MM-DD HH24:MI:SS.US')",
    digest="STRTOL(SUBSTRING(MD5({0}), 1, 8), 16)",
)
MARIADB = Dialect(
    number="CAST({0} AS CHAR)",
    decimal="CAST({0} AS CHAR)",
    date="DATE_FORMAT({0}, '%Y-%m-%d')",
    time="DATE_FORMAT({0}, '%Y-%m-%d %H:%i:%s.%f')",
    digest="CAST(CONV(SUBSTRING(MD5({0}), 1, 8), 16, 10) AS UNSIGNED)",
    concat="CONCAT",
)
DUCKDB = Dialect(
    number="CAST({0} AS VARCHAR)",
    decimal="CAST({0} AS VARCHAR)",
    date="STRFTIME({0}, '%Y-%m-%d')",
    time="STRFTIME({0}, '%Y-%m-%d %H:%M:%S.%f')",
    digest="CAST('0x' || SUBSTRING(MD5({0}), 1, 8) AS BIGINT)",
)
SQLITE = Dialect(
    number="CAST({0} AS TEXT)",
    decimal="CASE WHEN {0} IS NOT NULL THEN PRINTF('%.2f', {0}) END",  # PRINTF makes 0.00 of NULL
    date="{0}",
    time="{0} || '.000000'",
    digest="DIGEST({0})",  # SQLite has no MD5: the connection brings the function
)


def query(dialect: Dialect, table: str, columns: Mapping[str, str]) -> str:
    """Return the query of the table's fingerprint: one row of two numbers."""
    values = [
        f"COALESCE({dialect.joined([chr(39) + '=' + chr(39), dialect.text(column, type)])}, '~')"
        for column, type in columns.items()
    ]
    separated = [part for value in values for part in (value, "'|'")][:-1]
    digest = dialect.digest.format(dialect.joined(separated))
    return f"SELECT COUNT(*), COALESCE(SUM({digest}), 0) FROM {table}"


def fingerprint(row: tuple[object, ...]) -> Fingerprint:
    """Return the query's row as a fingerprint."""
    rows, checksum = row
    return Fingerprint(int(str(rows)), int(str(checksum)))
