"""The batches of a replay: build an image of a table from the raw layer, one run per batch.

The first batch creates an empty image, each further one applies a run, and the publish replaces the
table's rows by the image. Until then the table that people read is unchanged.
"""

from __future__ import annotations

from tributary.errors import PlanOutdated
from tributary.loading.control_rows import replayed_control_row
from tributary.loading.run_load import RunLoad
from tributary.model.ledger import TableLoad
from tributary.model.plan import TablePlan
from tributary.model.result import ReplayedRun
from tributary.redshift import replay_image
from tributary.redshift.publish import rows
from tributary.redshift.stage import manifest
from tributary.storage import object_keys


def batch(run: RunLoad, table: TablePlan, load: TableLoad) -> list[str]:
    """Return the next batch: create the empty image, or apply the run `load.replayed_run`."""
    name, number = run.staging_name(load), load.replayed_run
    if number == 0:
        return replay_image.begin(table, name)
    replayed, url = _replayed_run(run, table, number), None
    if replayed.chunks:
        key = object_keys.replayed_manifest(run.plan.source, run.plan.run_id, table.number, number)
        run.bucket.put(key, manifest(run.bucket.name, replayed.chunks))
        url = f"s3://{run.bucket.name}/{key}"
    return [
        *replay_image.stage_run(replayed.table, name, number, url, run.copy_role),
        *rows(
            replay_image.on_image(replayed.table, name, number - 1),
            name,
            replayed_control_row(run.plan, replayed),
        ),
        *replay_image.end_run(table, name, number),
    ]


def staged_count(run: RunLoad, table: TablePlan, load: TableLoad) -> tuple[int, int]:
    """Return the place in the run's batch that counts the staged rows, and the expected count."""
    replayed = _replayed_run(run, table, load.replayed_run)
    url = "s3://" if replayed.chunks else None
    staging = replay_image.stage_run(replayed.table, run.staging_name(load), load.replayed_run, url, "")
    return len(staging) - 1, replayed.rows


def complete_image(run: RunLoad, table: TablePlan, load: TableLoad) -> str:
    """Return the name of the image after the last run."""
    runs = table.replay.runs if table.replay else 0
    return replay_image.image_name(run.staging_name(load), runs)


def _replayed_run(run: RunLoad, table: TablePlan, number: int) -> ReplayedRun:
    """Return the replayed run of that number; the first is 1."""
    key = object_keys.replayed(run.plan.prefix, table.number, number)
    replayed = run.bucket.document(key, ReplayedRun)
    if replayed is None:
        raise PlanOutdated(f"run {number} to replay of {table.name} is missing; start the replay again")
    return replayed
