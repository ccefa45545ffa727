"""The control tables: what has been committed, up to where, and by which generation.

`etl_control` is append-only: a publish inserts one row as its last statement and neither reads nor
updates it, so tables that load at the same time cannot deadlock or conflict (error 1023) on it.
`etl_fence` holds the generations that take-overs have raised; each publish begins by asking it.
`etl_schema_change` says what a publish changed of a table's columns, in the same transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tributary import __version__
from tributary.model.plan import ReadRequest, SchemaChange
from tributary.redshift.sql import (
    CHANGES,
    CONTROL,
    FENCE,
    STAGING_SCHEMA,
    STATEMENT_BYTES_AT_MOST,
    WATERMARKS,
    comma,
    literal,
    quote,
)
from tributary.redshift.views import VIEWS


@dataclass(frozen=True, slots=True)
class ControlRow:
    """What a publish commits beside its rows: one row of `etl_control`.

    `unread_columns`: what the warehouse's table has and the run did not read, as JSON; None for nothing.
    `key`: the key's columns as JSON; `columns_digest`: of the names of the columns that were read.
    `contents`: `image` where the rows are all that the table has of the source afterwards, `whole` where
    they are all of the source's beside what stood there, else `changes`.
    `asked`: what a person asked of the run, by which its rows are told from those of usual runs.
    """

    source: str
    table: str
    run_id: str
    generation: int
    mode: str
    target: str
    cursor: str | None
    watermark: str | None
    rows: int
    chunks: int
    size_bytes: int
    unread_columns: str | None = None
    key: str | None = None
    columns_digest: str | None = None
    contents: str | None = None
    asked: ReadRequest | None = None


# A column that a later version adds goes to the end and may be NULL: ADD COLUMN asks for no more.
TABLES = {
    CONTROL: {
        "source_name": "VARCHAR(50) NOT NULL",
        "table_name": "VARCHAR(512) NOT NULL",
        "last_successful_run": "TIMESTAMP NOT NULL",
        "records_processed": "BIGINT NOT NULL",
        "run_id": "VARCHAR(15) NOT NULL",
        "generation": "BIGINT NOT NULL",
        "mode": "VARCHAR(16) NOT NULL",
        "target_table": "VARCHAR(512) NOT NULL",
        "cursor_column": "VARCHAR(512)",
        "watermark": "VARCHAR(1024)",
        "chunks": "INTEGER NOT NULL",
        "size_bytes": "BIGINT NOT NULL",
        "tributary_version": "VARCHAR(32) NOT NULL",
        "unread_columns": "VARCHAR(65535)",
        "key_columns": "VARCHAR(4096)",
        "columns_digest": "VARCHAR(32)",
        "contents": "VARCHAR(16)",
        "asked_for": "VARCHAR(16)",
        "asked_from": "VARCHAR(1024)",
        "asked_to": "VARCHAR(1024)",
    },
    FENCE: {
        "source_name": "VARCHAR(50) NOT NULL",
        "generation": "BIGINT NOT NULL",
        "run_id": "VARCHAR(15) NOT NULL",
        "fenced_at": "TIMESTAMP NOT NULL",
    },
    CHANGES: {
        "source_name": "VARCHAR(50) NOT NULL",
        "table_name": "VARCHAR(512) NOT NULL",
        "column_name": "VARCHAR(127) NOT NULL",
        "change": "VARCHAR(16) NOT NULL",
        "type_before": "VARCHAR(64)",
        "type_after": "VARCHAR(64)",
        "run_id": "VARCHAR(15) NOT NULL",
        "generation": "BIGINT NOT NULL",
        "changed_at": "TIMESTAMP NOT NULL",
    },
}


def create() -> list[str]:
    """Return the statements that create what is missing of the control tables, in a repeatable way."""
    return [
        f"CREATE SCHEMA IF NOT EXISTS {STAGING_SCHEMA}",
        *(f"CREATE TABLE IF NOT EXISTS {table} (\n{_lines(columns)}\n)" for table, columns in TABLES.items()),
        *(view.create() for view in VIEWS),
    ]


def _lines(columns: Mapping[str, str]) -> str:
    return ",\n".join(f"  {name} {type}" for name, type in columns.items())


def upgrade(found: Mapping[str, Sequence[str]]) -> list[str]:
    """Return what must go before `create` where an older version's tables are found, by their columns.

    A view can only be replaced by one of the same columns (r_CREATE_VIEW): another one is dropped first.
    """
    dropped = [
        f"DROP VIEW {view.name}"
        for view in VIEWS
        if view.name in found and tuple(found[view.name]) != view.columns
    ]
    added = [
        f"ALTER TABLE {table} ADD COLUMN {name} {type}"
        for table, columns in TABLES.items()
        for name, type in columns.items()
        if table in found and name not in found[table]
    ]
    return [*dropped, *added]


def find_user(loader: str) -> str:
    """Return the query of the database user of that name (PG_USER)."""
    return f"SELECT usename FROM pg_user WHERE usename = {literal(loader)}"


def create_user(loader: str) -> str:
    """Return the statement that creates a database user whom only IAM lets in."""
    return f"CREATE USER {quote(loader)} PASSWORD DISABLE"


def create_schema(schema: str) -> str:
    """Return the statement that creates a schema of a source's tables, where it is missing."""
    return f"CREATE SCHEMA IF NOT EXISTS {quote(schema)}"


def grant(loader: str, database: str) -> list[str]:
    """Return the statements that give the pipeline's database user what it needs and no more."""
    user = quote(loader)
    return [
        f"GRANT CREATE ON DATABASE {quote(database)} TO {user}",
        f"GRANT USAGE ON SCHEMA public TO {user}",
        f"GRANT USAGE, CREATE ON SCHEMA {STAGING_SCHEMA} TO {user}",
        f"GRANT SELECT, INSERT ON {CONTROL} TO {user}",
        f"GRANT SELECT, INSERT ON {FENCE} TO {user}",
        f"GRANT INSERT ON {CHANGES} TO {user}",
        f"GRANT SELECT ON {WATERMARKS} TO {user}",
    ]


def fence(source: str, generation: int) -> str:
    """Return the statement that fails, and so its whole transaction, where a higher generation stands."""
    return (
        f"SELECT 1 / CASE WHEN COUNT(*) > 0 THEN 0 ELSE 1 END AS not_fenced FROM {FENCE} "
        f"WHERE source_name = {literal(source)} AND generation > {generation}"
    )


def raise_fence(source: str, generation: int, run_id: str) -> str:
    """Return the statement that shuts out every publish of a lower generation; repeatable."""
    return (
        f"INSERT INTO {FENCE} (source_name, generation, run_id, fenced_at) "
        f"SELECT {literal(source)}, {generation}, {literal(run_id)}, GETDATE() "
        f"WHERE NOT EXISTS (SELECT 1 FROM {FENCE} "
        f"WHERE source_name = {literal(source)} AND generation >= {generation})"
    )


def commit(rows: Sequence[ControlRow]) -> str:
    """Return the INSERT of the control rows: the last statement of a publish."""
    values = comma(map(_values, rows))
    return f"INSERT INTO {CONTROL} ({comma(TABLES[CONTROL])}) VALUES {values}"


def _values(row: ControlRow) -> str:
    what = (row.run_id, row.generation, row.mode, row.target, row.cursor, row.watermark)
    which = (row.unread_columns, row.key, row.columns_digest, row.contents)
    asked = (row.asked.what, row.asked.since, row.asked.before) if row.asked else (None, None, None)
    said = comma(literal(value) for value in (*what, row.chunks, row.size_bytes, __version__, *which, *asked))
    return f"({literal(row.source)}, {literal(row.table)}, GETDATE(), {row.rows}, {said})"


def note_changes(committed: ControlRow, changes: Sequence[SchemaChange]) -> list[str]:
    """Return the INSERTs of what changed of a table's columns, as few as the Data API takes."""
    begin = f"INSERT INTO {CHANGES} ({comma(TABLES[CHANGES])}) VALUES "
    statements: list[str] = []
    for change in changes:
        row = _change(committed, change)
        if statements and len((statements[-1] + row).encode()) < STATEMENT_BYTES_AT_MOST:
            statements[-1] += f", {row}"
        else:
            statements.append(begin + row)
    return statements


def _change(committed: ControlRow, change: SchemaChange) -> str:
    what = (change.column, change.change, change.before, change.after, committed.run_id, committed.generation)
    said = comma(map(literal, (committed.source, committed.table, *what)))
    return f"({said}, GETDATE())"


def watermarks(source: str) -> str:
    """Return the query of the newest control row of each table of the source."""
    return (
        "SELECT table_name, run_id, mode, target_table, cursor_column, watermark, key_columns, "
        "unread_columns, columns_digest FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY table_name "
        f"ORDER BY generation DESC, run_id DESC) AS newest FROM {CONTROL} "
        f"WHERE source_name = {literal(source)}) AS runs WHERE newest = 1"
    )


def log(source: str, tables: Sequence[str]) -> str:
    """Return the query of the runs that changed the tables, oldest first."""
    return (
        "SELECT table_name, run_id, mode, target_table, records_processed, contents "
        f"FROM {CONTROL} WHERE source_name = {literal(source)} "
        f"AND table_name IN ({comma(map(literal, tables))}) AND COALESCE(asked_for, 'usual') <> 'replay' "
        "AND (records_processed > 0 OR COALESCE(contents, 'unknown') <> 'changes') "
        "ORDER BY table_name, generation, run_id"
    )


def committed(source: str, table: str, run_id: str) -> str:
    """Return the query that counts the control rows of a table's run."""
    return (
        f"SELECT COUNT(*) FROM {CONTROL} WHERE source_name = {literal(source)} "
        f"AND table_name = {literal(table)} AND run_id = {literal(run_id)}"
    )


def count_runs_with_chunks(source: str, since: Mapping[str, str]) -> str:
    """Return the query of how many runs have chunks of each table, `since`: from which run on."""
    of = " OR ".join(
        f"(table_name = {literal(table)} AND run_id >= {literal(run_id)})" for table, run_id in since.items()
    )
    return (
        f"SELECT table_name, COUNT(DISTINCT run_id) FROM {CONTROL} WHERE source_name = {literal(source)} "
        f"AND chunks > 0 AND ({of}) GROUP BY table_name"
    )


def runs_with_chunks(source: str, table: str, since: str) -> str:
    """Return the query of the runs that have chunks of a table, and what their rows are of it."""
    return (
        f"SELECT DISTINCT run_id, contents FROM {CONTROL} WHERE source_name = {literal(source)} "
        f"AND table_name = {literal(table)} AND chunks > 0 AND run_id >= {literal(since)} ORDER BY run_id"
    )


def columns(schemas: Sequence[str]) -> str:
    """Return the query of the columns that the warehouse has in the schemas (SVV_COLUMNS)."""
    return (
        "SELECT table_schema, table_name, column_name, data_type, numeric_precision, numeric_scale, "
        "character_maximum_length "
        f"FROM svv_columns WHERE table_schema IN ({comma(map(literal, schemas))}) "
        "ORDER BY table_schema, table_name, ordinal_position"
    )


def staging_tables() -> str:
    """Return the query of the staging tables that stand (SVV_TABLES)."""
    return f"SELECT table_name FROM svv_tables WHERE table_schema = {literal(STAGING_SCHEMA)}"


def load_error(query: int) -> str:
    """Return the query of what stopped a COPY, without the value (SYS_LOAD_ERROR_DETAIL)."""
    return (
        "SELECT error_code, column_name, column_type, file_name FROM sys_load_error_detail "
        f"WHERE query_id = {query} ORDER BY start_time DESC LIMIT 1"
    )
