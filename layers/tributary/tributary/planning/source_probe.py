"""Small questions to a source about one table: its highest cursor value, unique keys, the user's SQL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tributary.engines.protocol import Engine
from tributary.errors import InternalError, KeyNotUnique, TableRefused
from tributary.model.plan import Column
from tributary.model.source_catalog import SourceTable, TableName
from tributary.planning.table_spec import TableSpec
from tributary.reading.keyset import relation, user_condition


@dataclass(frozen=True, slots=True)
class SourceProbe:
    """Asks a source about its tables through one open connection."""

    engine: Engine
    connection: Any

    def highest(
        self, spec: TableSpec, cursor: Column, *, after: str | None, condition: str = ""
    ) -> str | None:
        """Return the cursor's highest value after the watermark that meets the condition, None for none."""
        query = self.maximum_query(spec, cursor, after=after, condition=condition)
        row = self.engine.ask(self.connection, query)
        return row[0] if row else None

    def maximum_query(
        self, spec: TableSpec, cursor: Column, *, after: str | None = None, condition: str = ""
    ) -> str:
        """Return the query of the highest value: one row and one column."""
        name, rows = self.engine.quote(cursor.name), self._named_rows(spec, cursor.name)
        conditions = [f"{name} > {self.engine.literal(after, cursor.type)}"] if after is not None else []
        conditions += [condition] if condition else []
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        rendered = self.engine.rendered(cursor.name, cursor.type)
        return f"SELECT {rendered} FROM (SELECT MAX({name}) AS {name} FROM {rows}{where}) highest"

    def has_new_rows(self, spec: TableSpec, cursor: Column, watermark: str) -> str:
        """Return the SQL expression that is 1 if a row is above the watermark, else 0."""
        above = f"{self.engine.quote(cursor.name)} > {self.engine.literal(watermark, cursor.type)}"
        rows = f"SELECT 1 FROM {self._named_rows(spec, cursor.name)} WHERE {above}"
        return f"CASE WHEN EXISTS ({rows}) THEN 1 ELSE 0 END"

    def count_above(self, spec: TableSpec, cursor: Column, value: str) -> int:
        """Count the rows whose cursor is above the value."""
        above = f"{self.engine.quote(cursor.name)} > {self.engine.literal(value, cursor.type)}"
        rows = self._named_rows(spec, cursor.name)
        row = self.engine.ask(self.connection, f"SELECT COUNT(*) FROM {rows} WHERE {above}")
        return int(row[0] or 0) if row else 0

    def check_unique(self, spec: TableSpec, watermark: str | None) -> None:
        """Raise KeyNotUnique if rows to be read share their key with another row.

        Asked only about a key that the source does not keep unique itself.
        """
        if spec.key_proven or not spec.key:
            return
        names = [self.engine.quote(name) for name in spec.key]
        cursor = [spec.cursor.name] if spec.cursor else []
        read = list(dict.fromkeys([*spec.key, *cursor]))
        rows = self._rows(spec, *read)
        key = ", ".join(f"one.{name}" for name in names)
        of_new_rows = ""
        if watermark is not None and spec.cursor is not None:
            same = " AND ".join(f"recent.{name} = one.{name}" for name in names)
            literal = self.engine.literal(watermark, spec.cursor.type)
            above = f"recent.{self.engine.quote(spec.cursor.name)} > {literal}"
            of_new_rows = f" WHERE EXISTS (SELECT 1 FROM {rows} recent WHERE {same} AND {above})"
        if not spec.table.keys_enforced:
            # A server that trusts the key of its catalog would find each group to be one row.
            listed = ", ".join(map(self.engine.quote, read))
            every, none = f"SELECT {listed} FROM {rows} a", f"SELECT {listed} FROM {rows} b WHERE 1 = 0"
            rows = f"({every} UNION ALL {none})"
        if self.exists(f"SELECT {key} FROM {rows} one{of_new_rows} GROUP BY {key} HAVING COUNT(*) > 1"):
            raise KeyNotUnique(
                f"key {', '.join(spec.key)} of {spec.name} is not unique: several rows share one; "
                "set key to columns that identify a row, or use mode: replace without a key"
            )

    def has_values(self, spec: TableSpec, column: str) -> bool:
        """Return whether the column is not NULL in at least one row."""
        name = self.engine.quote(column)
        return self.exists(f"SELECT 1 FROM {self._named_rows(spec, column)} WHERE {name} IS NOT NULL")

    def describe_query(self, name: TableName, sql: str) -> SourceTable:
        """Return the columns of a user's query; raises TableRefused if the source rejects it."""
        try:
            return self.engine.describe_query(self.connection, name, sql)
        except (InternalError, TableRefused) as error:
            raise TableRefused(f"query {name} is refused by the source; try it there. {error}") from None

    def undescribed(self, name: TableName) -> TableRefused:
        """Return why the source lists a table and does not describe it: a broken view, or it is gone."""
        try:
            rows = f"SELECT * FROM {self.engine.quote(name.schema, name.table)}"
            self.engine.describe_query(self.connection, name, rows)
        except TableRefused as error:
            return error
        return TableRefused(f"table {name} disappeared from the source while it was being planned")

    def check_user_sql(self, spec: TableSpec) -> None:
        """Raise TableRefused if the source rejects the user's condition."""
        if spec.settings.where is not None:
            self._check_condition(spec, user_condition(spec.settings.where))

    def check_no_nulls(self, spec: TableSpec) -> None:
        """Raise TableRefused if a key or a cursor that the server does not keep NOT NULL is NULL in a row.

        No page could continue after a NULL.
        """
        if spec.sql is None and spec.table.nulls_enforced and spec.table.keys_enforced:
            return
        cursor = [spec.cursor.name] if spec.cursor and spec.settings.nulls != "include" else []
        for column in dict.fromkeys([*spec.key, *cursor]):
            name = self.engine.quote(column)
            if self.exists(f"SELECT 1 FROM {self._named_rows(spec, column)} WHERE {name} IS NULL"):
                raise TableRefused(
                    f'column "{column}" of {spec.name} is NULL in some rows, and neither a key nor a '
                    "cursor may be; leave these rows out with where, choose other columns, or set nulls: "
                    "include for a cursor"
                )

    def _check_condition(self, spec: TableSpec, condition: str) -> None:
        try:
            self.exists(f"SELECT 1 FROM {self._relation(spec)} t WHERE {condition} AND 1 = 0")
        except (InternalError, TableRefused) as error:
            raise TableRefused(
                f"where of {spec.name} is refused by the source; try it there. {error}"
            ) from None

    def exists(self, query: str) -> bool:
        """Return whether the query has a row, in SQL that every engine has."""
        row = self.engine.ask(
            self.connection, f"SELECT CASE WHEN EXISTS ({query}) THEN 1 END{self.engine.ONE_ROW}"
        )
        return row is not None and row[0] is not None

    def _relation(self, spec: TableSpec) -> str:
        name, sql = spec.table.name, spec.sql
        if sql is None and spec.table.is_view:  # its functions mean what they mean in the user's sessions
            sql = f"SELECT * FROM {self.engine.quote(name.schema, name.table)}"
        return relation(name, sql, self.engine.quote)

    def _rows(self, spec: TableSpec, *columns: str) -> str:
        """Return what the rows are selected from: the table, or a subquery if the file has a `where`."""
        if spec.settings.where is None:
            return self._relation(spec)
        names = ", ".join(f"t.{self.engine.quote(column)}" for column in columns)
        condition = user_condition(spec.settings.where)
        return f"(SELECT {names} FROM {self._relation(spec)} t WHERE {condition})"

    def _named_rows(self, spec: TableSpec, *columns: str) -> str:
        """Return the same with the alias that a derived table must have."""
        rows = self._rows(spec, *columns)
        return f"{rows} t" if rows.startswith("(") else rows
