"""Rebuild: a table made anew from the raw layer, beside the one that stands, and put in its place at once.

An image of the table begins empty. Each run of the raw layer is staged again and does to the image
what it did to the table, in its own mode; so what comes out is what its publishes made. The image's
name says how many runs it holds and changes with each, in the transaction that takes the run in: a
batch that is sent twice finds the image gone and changes nothing.
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
    """Return the name of a table's image that holds so many runs; `name` is that of its staging table."""
    return f"{name}_{runs}"


def begin(table: TablePlan, name: str) -> list[str]:
    """Return the batch that makes the empty image, of the columns and types of the table.

    LIKE takes over its distribution and sort keys as well (r_CREATE_TABLE_NEW).
    """
    image = quote(STAGING_SCHEMA, image_name(name, 0))
    return [
        create_target(table),
        f"DROP TABLE IF EXISTS {image}",
        f"CREATE TABLE {image} (LIKE {target(table)})",
        *(f"ALTER TABLE {image} ADD COLUMN {quote(column)} {type}" for column, type in new_columns(table)),
    ]


def new_columns(table: TablePlan) -> list[tuple[str, str]]:
    """Return the columns, with their types, that the warehouse's table does not have yet."""
    types = {column.target: table_design.type_of(table, column) for column in table.columns} | added(
        table.mode
    )
    return [(name, type) for name, type in types.items() if name in table.schema_changes.new_columns]


def stage_run(run: TablePlan, name: str, number: int, manifest_url: str | None, copy_role: str) -> list[str]:
    """Return the first part of a run's batch, which ends with the count of its rows that arrived.

    Not what makes a missing target: an image that is missing holds this run already.
    """
    _, *statements = stage(of_image(run, name, number - 1), name, manifest_url, copy_role)
    return statements


def of_image(run: TablePlan, name: str, runs: int) -> TablePlan:
    """Return the run's plan with the image in the place of the table."""
    return run.with_changes(schema_name=STAGING_SCHEMA, table_name=image_name(name, runs), new_columns=())


def end_run(table: TablePlan, name: str, number: int) -> list[str]:
    """Return the last part of a run's batch: the image holds one run more, and is counted.

    The count stands beside that of what the image would replace.
    """
    before, after = (quote(STAGING_SCHEMA, image_name(name, runs)) for runs in (number - 1, number))
    arrived = f"SELECT COUNT(*) AS arrived FROM {after}"
    standing = f"SELECT COUNT(*) AS standing FROM {target(table)}{where(ours(table))}"
    return [
        f"DROP TABLE {quote(STAGING_SCHEMA, name)}",
        f"DROP TABLE IF EXISTS {after}",
        f"ALTER TABLE {before} RENAME TO {quote(image_name(name, number))}",
        f"SELECT arrived, standing FROM ({arrived}) AS a CROSS JOIN ({standing}) AS s",
    ]


def put_in_place(table: TablePlan, name: str, control_row: ControlRow) -> list[str]:
    """Return the statements that put the image, by its full name, in the place of the source's rows."""
    columns = comma(quote(column) for column in (*(one.target for one in table.columns), *added(table.mode)))
    return [
        f"DELETE FROM {target(table)}{where(ours(table))}",
        f"INSERT INTO {target(table)} ({columns}) SELECT {columns} FROM {quote(STAGING_SCHEMA, name)}",
    ]
