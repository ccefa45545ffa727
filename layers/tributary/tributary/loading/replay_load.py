"""Rebuilding: what Load sends for a table that is made anew from the raw layer, a run at a time.

The first batch makes an empty image of the table, each further one takes a run in, and the publish
puts the image in the table's place. Until then nobody who reads the table sees any of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from tributary.errors import PlanOutdated
from tributary.model.ledger import TableLoad
from tributary.model.plan import Plan, TablePlan
from tributary.model.result import ReplayedRun
from tributary.redshift import replay_image
from tributary.redshift.control import ControlRow
from tributary.redshift.publish import rows
from tributary.redshift.stage import manifest, staging_name
from tributary.storage import object_keys
from tributary.storage.bucket import Bucket


def batch(bucket: Bucket, plan: Plan, table: TablePlan, load: TableLoad, copy_role: str) -> list[str]:
    """Return the batch that is due: of the empty image, or of the run at `load.replayed_run`."""
    name = staging_name(plan.source, plan.run_id, table.number)
    if load.replayed_run == 0:
        return replay_image.begin(table, name)
    run, url = find(bucket, plan, table, load.replayed_run), None
    if run.chunks:
        key = _manifest(plan, table, load)
        bucket.put(key, manifest(bucket.name, run.chunks))
        url = f"s3://{bucket.name}/{key}"
    staged = replay_image.stage_run(run.table, name, load.replayed_run, url, copy_role)
    of_run = replay_image.on_image(run.table, name, load.replayed_run - 1)
    return [
        *staged,
        *rows(of_run, name, _committed(plan, run)),
        *replay_image.end_run(table, name, load.replayed_run),
    ]


def find(bucket: Bucket, plan: Plan, table: TablePlan, number: int) -> ReplayedRun:
    """Return a run that the table is made of; the first has the number 1."""
    run = bucket.document(object_keys.replayed(plan.prefix, table.number, number), ReplayedRun)
    if run is None:
        raise PlanOutdated(f"run {number} to replay of {table.name} is missing; start it again")
    return run


def arrived_at(bucket: Bucket, plan: Plan, table: TablePlan, load: TableLoad) -> tuple[int, int]:
    """Return at which place of a run's batch its arrived rows are counted, and how many they must be."""
    run = find(bucket, plan, table, load.replayed_run)
    name = staging_name(plan.source, plan.run_id, table.number)
    url = _manifest(plan, table, load) if run.chunks else None
    return len(replay_image.stage_run(run.table, name, load.replayed_run, url, "")) - 1, run.rows


def image(plan: Plan, table: TablePlan) -> str:
    """Return the name of the image that holds every run."""
    runs = table.replay.runs if table.replay else 0
    return replay_image.image_name(staging_name(plan.source, plan.run_id, table.number), runs)


def refusal(table: TablePlan, counts: Sequence[int]) -> str | None:
    """Return why the image may not take the table's place, None where it may."""
    arrived, standing = counts
    if (standing - arrived) * 100 <= standing * table.publish.may_vanish:
        return None
    return (
        f"the raw layer makes {arrived} rows of {table.name}, and {standing} stand in the warehouse: more "
        f"would go than may_vanish allows ({table.publish.may_vanish}%); if that is right, start the replay "
        'with "may_vanish": "100%"'
    )


def _manifest(plan: Plan, table: TablePlan, load: TableLoad) -> str:
    return object_keys.replayed_manifest(plan.source, plan.run_id, table.number, load.replayed_run)


def _committed(plan: Plan, run: ReplayedRun) -> ControlRow:
    """Return what the run's rows say of themselves: the run that read them."""
    return ControlRow(
        source=plan.source,
        table=run.table.name,
        run_id=run.run_id,
        generation=plan.generation,
        mode=run.table.mode,
        target=run.table.target.name,
        cursor=run.table.read.cursor,
        watermark=None,
        rows=run.rows,
        chunks=len(run.chunks),
        size_bytes=0,
    )
