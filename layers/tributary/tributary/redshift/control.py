"""The control tables: what has been committed, up to which watermark, and by which generation.

`etl_control` is append-only: a publish inserts one row as its last statement and neither reads nor
updates it, so tables that load at the same time cannot deadlock or conflict (error 1023) on it.
`etl_fence` holds the generations that take-overs have raised; each publish begins by checking it.
`etl_schema_change` records the column changes of a publish, in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tributary import __version__
from tributary.model.plan import ReadRequest, SchemaChange
from tributary.model.warehouse_names import STAGING_SCHEMA
from tributary.redshift.sql import (
    ACCESS,
    CHANGES,
    CONTROL,
    FENCE,
    STATEMENT_BYTES_AT_MOST,
    WATERMARKS,
    comma,
    literal,
    quote,
)
from tributary.redshift.views import VIEWS


@dataclass(frozen=True, slots=True)
class ControlRow:
    """What a publish commits beside its rows: one row of `etl_control`."""

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
    unread_columns: str | None = None  # JSON: columns of the warehouse table that the run did not read
    key: str | None = None  # JSON: the key columns
    columns_digest: str | None = None  # of the names of the columns that were read
    # image: the table holds exactly these rows of the source afterwards;
    # whole: all rows of the source, merged into those that were there; else changes
    contents: str | None = None
    request: ReadRequest | None = None  # what a person requested beyond the usual


# A later version adds columns at the end, nullable, as ADD COLUMN does.
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
    """Return the statements that create the control tables and views if missing; repeatable."""
    return [
        f"CREATE SCHEMA IF NOT EXISTS {STAGING_SCHEMA}",
        *(f"CREATE TABLE IF NOT EXISTS {table} (\n{_lines(columns)}\n)" for table, columns in TABLES.items()),
        *(view.create() for view in VIEWS),
    ]


def _lines(columns: Mapping[str, str]) -> str:
    return ",\n".join(f"  {name} {type}" for name, type in columns.items())


def upgrade(existing: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the statements that must run before `create` on an older version's tables.

    `existing`: the columns of tables and views by name. A view can only be replaced by one with the
    same columns (r_CREATE_VIEW), so any other is dropped first.
    """
    dropped = [
        f"DROP VIEW {view.name}"
        for view in VIEWS
        if view.name in existing and tuple(existing[view.name]) != view.columns
    ]
    added = [
        f"ALTER TABLE {table} ADD COLUMN {name} {type}"
        for table, columns in TABLES.items()
        for name, type in columns.items()
        if table in existing and name not in existing[table]
    ]
    return [*dropped, *added]


def find_users(names: Iterable[str]) -> str:
    """Return the query for the database users of these names (PG_USER)."""
    return f"SELECT usename FROM pg_user WHERE usename IN ({comma(map(literal, names))})"


def create_user(loader: str) -> str:
    """Return the statement that creates a database user that can log in by IAM only."""
    return f"CREATE USER {quote(loader)} PASSWORD DISABLE"


def create_schema(schema: str) -> str:
    """Return the statement that creates the schema of a source's tables if it is missing."""
    return f"CREATE SCHEMA IF NOT EXISTS {quote(schema)}"


def grant(loader: str, database: str) -> list[str]:
    """Return the statements that grant the pipeline's database user what it needs and no more."""
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
    """Return the statement that fails, and so its transaction, if a higher generation is in `etl_fence`."""
    return (
        f"SELECT 1 / CASE WHEN COUNT(*) > 0 THEN 0 ELSE 1 END AS not_fenced FROM {FENCE} "
        f"WHERE source_name = {literal(source)} AND generation > {generation}"
    )


def highest_generation(source: str) -> str:
    """Return the query for the highest generation of the source that the warehouse has seen, 0 for none."""
    conditions = f"WHERE source_name = {literal(source)}"
    return (
        f"SELECT COALESCE(MAX(generation), 0) FROM (SELECT generation FROM {CONTROL} {conditions} "
        f"UNION ALL SELECT generation FROM {FENCE} {conditions}) AS seen"
    )


def raise_fence(source: str, generation: int, run_id: str) -> str:
    """Return the statement that makes every publish of a lower generation fail; repeatable."""
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


def fitting(rows: Sequence[ControlRow]) -> int:
    """Return how many of the rows one INSERT can hold, 1 at least: the Data API limits its size."""
    size_bytes = len(commit(()).encode())
    for place, row in enumerate(rows):
        size_bytes += len(f", {_values(row)}".encode())
        if size_bytes > STATEMENT_BYTES_AT_MOST:
            return max(place, 1)
    return len(rows)


def _values(row: ControlRow) -> str:
    run = (row.run_id, row.generation, row.mode, row.target, row.cursor, row.watermark)
    columns = (row.unread_columns, row.key, row.columns_digest, row.contents)
    request = (row.request.what, row.request.since, row.request.before) if row.request else (None, None, None)
    values = (*run, row.chunks, row.size_bytes, __version__, *columns, *request)
    rest = comma(map(literal, values))
    return f"({literal(row.source)}, {literal(row.table)}, GETDATE(), {row.rows}, {rest})"


def note_changes(control_row: ControlRow, changes: Sequence[SchemaChange]) -> list[str]:
    """Return the INSERTs of a table's column changes, as few as the Data API's limit allows."""
    begin = f"INSERT INTO {CHANGES} ({comma(TABLES[CHANGES])}) VALUES "
    statements: list[str] = []
    for change in changes:
        row = _change(control_row, change)
        if statements and len((statements[-1] + row).encode()) < STATEMENT_BYTES_AT_MOST:
            statements[-1] += f", {row}"
        else:
            statements.append(begin + row)
    return statements


def _change(control_row: ControlRow, change: SchemaChange) -> str:
    column = (change.column, change.change, change.before, change.after)
    run = (control_row.run_id, control_row.generation)
    values = comma(map(literal, (control_row.source, control_row.table, *column, *run)))
    return f"({values}, GETDATE())"


def watermarks(source: str) -> str:
    """Return the query for the newest control row of each table of the source."""
    return (
        "SELECT table_name, run_id, mode, target_table, cursor_column, watermark, key_columns, "
        "unread_columns, columns_digest FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY table_name "
        f"ORDER BY generation DESC, run_id DESC) AS newest FROM {CONTROL} "
        f"WHERE source_name = {literal(source)}) AS runs WHERE newest = 1"
    )


def changing_runs(source: str, tables: Sequence[str]) -> str:
    """Return the query for the runs that changed the tables, oldest first."""
    return (
        "SELECT table_name, run_id, mode, target_table, records_processed, contents "
        f"FROM {CONTROL} WHERE source_name = {literal(source)} "
        f"AND table_name IN ({comma(map(literal, tables))}) AND COALESCE(asked_for, 'usual') <> 'replay' "
        "AND (records_processed > 0 OR COALESCE(contents, 'unknown') <> 'changes') "
        "ORDER BY table_name, generation, run_id"
    )


def count_committed(source: str, table: str, run_id: str) -> str:
    """Return the query that counts the control rows of a table's run."""
    return (
        f"SELECT COUNT(*) FROM {CONTROL} WHERE source_name = {literal(source)} "
        f"AND table_name = {literal(table)} AND run_id = {literal(run_id)}"
    )


def count_runs_with_chunks(source: str, since: Mapping[str, str]) -> str:
    """Return the query for the number of runs with chunks of each table, from the run `since[table]` on."""
    tables = " OR ".join(
        f"(table_name = {literal(table)} AND run_id >= {literal(run_id)})" for table, run_id in since.items()
    )
    return (
        f"SELECT table_name, COUNT(DISTINCT run_id) FROM {CONTROL} WHERE source_name = {literal(source)} "
        f"AND chunks > 0 AND ({tables}) GROUP BY table_name"
    )


def runs_with_chunks(source: str, table: str, since: str) -> str:
    """Return the query for the runs with chunks of a table, each with its `contents`."""
    return (
        f"SELECT DISTINCT run_id, contents FROM {CONTROL} WHERE source_name = {literal(source)} "
        f"AND table_name = {literal(table)} AND chunks > 0 AND run_id >= {literal(since)} ORDER BY run_id"
    )


def columns(schemas: Sequence[str]) -> str:
    """Return the query for the columns of all tables and views in the schemas.

    From pg_attribute: SVV_COLUMNS, SVV_TABLES and information_schema fail while others drop
    tables, or when any external schema of the database is broken.
    """
    return (
        "SELECT n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.atttypmod "
        "FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
        "JOIN pg_attribute AS a ON a.attrelid = c.oid WHERE c.relkind IN ('r', 'v') AND a.attnum > 0 "
        f"AND NOT a.attisdropped AND n.nspname IN ({comma(map(literal, schemas))}) "
        "ORDER BY n.nspname, c.relname, a.attnum"
    )


def tables_of_others(schemas: Sequence[str]) -> str:
    """Return the query for the tables and views in the schemas that another user owns, with its name."""
    return (
        "SELECT n.nspname, c.relname, u.usename FROM pg_class AS c "
        "JOIN pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_user AS u ON u.usesysid = c.relowner "
        f"WHERE c.relkind IN ('r', 'v') AND n.nspname IN ({comma(map(literal, schemas))}) "
        "AND u.usename <> current_user ORDER BY 1, 2"
    )


def own_table(schema: str, table: str) -> str:
    """Return the statement that fails if the table belongs to another user."""
    return (
        "SELECT 1 / CASE WHEN COUNT(*) > 0 THEN 0 ELSE 1 END AS own_table FROM pg_class AS c "
        "JOIN pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_user AS u ON u.usesysid = c.relowner "
        f"WHERE n.nspname = {literal(schema)} AND c.relname = {literal(table)} AND u.usename <> current_user"
    )


def tables_of_users() -> str:
    """Return the query for our control tables that belong to a user who is no administrator.

    The staging schema is listed as a table without a name.
    """
    ours = comma(
        literal(name.partition(".")[2]) for name in (*TABLES, ACCESS, *(view.name for view in VIEWS))
    )
    return (
        "SELECT n.nspname, c.relname, u.usename FROM pg_class AS c "
        "JOIN pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_user AS u ON u.usesysid = c.relowner "
        f"WHERE n.nspname = 'public' AND c.relname IN ({ours}) "
        "AND NOT u.usesuper AND u.usename <> current_user "
        "UNION ALL SELECT n.nspname, '', u.usename FROM pg_namespace AS n "
        f"JOIN pg_user AS u ON u.usesysid = n.nspowner WHERE n.nspname = {literal(STAGING_SCHEMA)} "
        "AND NOT u.usesuper AND u.usename <> current_user ORDER BY 1, 2"
    )


def staging_tables() -> str:
    """Return the query for the existing staging tables."""
    return (
        "SELECT c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
        f"WHERE c.relkind = 'r' AND n.nspname = {literal(STAGING_SCHEMA)} ORDER BY c.relname"
    )


def load_error(query: int) -> str:
    """Return the query for the error of a failed COPY (SYS_LOAD_ERROR_DETAIL).

    Its message may contain values: see `data_api.column_of_scan_error`.
    """
    return (
        "SELECT error_code, column_name, column_type, file_name, error_message FROM sys_load_error_detail "
        f"WHERE query_id = {query} ORDER BY start_time DESC LIMIT 1"
    )
