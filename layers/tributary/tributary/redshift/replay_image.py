"""SQL of a replay: build an image of a table from the raw layer, then replace the table's rows by it.

The image begins empty. Each run of the raw layer is staged again and applied to the image in the run's
own mode, so the result is what its publishes produced. The image's name ends with the number of runs it
contains. It is renamed in the transaction that applies a run, so a batch that is sent twice fails at the
missing image and changes nothing.
"""

from __future__ import annotations

from tributary.model.own_columns import added
from tributary.model.plan import TablePlan
from tributary.model.warehouse_names import STAGING_SCHEMA
from tributary.redshift import table_design
from tributary.redshift.control import ControlRow
from tributary.redshift.rows import ours, where
from tributary.redshift.sql import comma, quote
from tributary.redshift.stage import create_target, stage, target


def image_name(name: str, runs: int) -> str:
    """Return the name of the image that contains `runs` runs; `name` is the staging table's name."""
    return f"{name}_{runs}"


def begin(table: TablePlan, name: str) -> list[str]:
    """Return the batch that creates the empty image with the table's columns and types.

    LIKE copies its distribution and sort keys too (r_CREATE_TABLE_NEW).
    """
    image = quote(STAGING_SCHEMA, image_name(name, 0))
    return [
        create_target(table),
        f"DROP TABLE IF EXISTS {image}",
        f"CREATE TABLE {image} (LIKE {target(table)})",
        *(f"ALTER TABLE {image} ADD COLUMN {quote(column)} {type}" for column, type in new_columns(table)),
    ]


def new_columns(table: TablePlan) -> list[tuple[str, str]]:
    """Return the columns, with their types, that the publish adds to the warehouse's table."""
    types = {column.target: table_design.type_of(table, column) for column in table.columns} | added(
        table.mode
    )
    return [(name, type) for name, type in types.items() if name in table.schema_changes.new_columns]


def stage_run(run: TablePlan, name: str, number: int, manifest_url: str | None, copy_role: str) -> list[str]:
    """Return the first statements of a run's batch; the last one counts the run's staged rows.

    Without CREATE TABLE for the target: a missing image means that this run is already applied.
    """
    _, *statements = stage(on_image(run, name, number - 1), name, manifest_url, copy_role)
    return statements


def on_image(run: TablePlan, name: str, runs: int) -> TablePlan:
    """Return the run's plan with the image as its target."""
    return run.with_changes(schema_name=STAGING_SCHEMA, table_name=image_name(name, runs), new_columns=())


def end_run(table: TablePlan, name: str, number: int) -> list[str]:
    """Return the last statements of a run's batch: rename the image and count its rows.

    The last one returns the image's row count and the count of the rows that it would replace.
    """
    before, after = (quote(STAGING_SCHEMA, image_name(name, runs)) for runs in (number - 1, number))
    arrived = f"SELECT COUNT(*) AS arrived FROM {after}"
    existing = f"SELECT COUNT(*) AS existing FROM {target(table)}{where(ours(table))}"
    return [
        f"DROP TABLE {quote(STAGING_SCHEMA, name)}",
        f"DROP TABLE IF EXISTS {after}",
        f"ALTER TABLE {before} RENAME TO {quote(image_name(name, number))}",
        f"SELECT arrived, existing FROM ({arrived}) AS a CROSS JOIN ({existing}) AS e",
    ]


def replace_by_image(table: TablePlan, name: str, control_row: ControlRow) -> list[str]:
    """Return the statements that replace the source's rows by those of the image `name`."""
    columns = comma(quote(column) for column in (*(one.target for one in table.columns), *added(table.mode)))
    return [
        f"DELETE FROM {target(table)}{where(ours(table))}",
        f"INSERT INTO {target(table)} ({columns}) SELECT {columns} FROM {quote(STAGING_SCHEMA, name)}",
    ]
